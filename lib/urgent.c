#include "lib/urgent.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static void be_fair(struct urgent *u)
{
	const struct sched_param none = { .sched_priority = 0 };

	pthread_setschedparam(pthread_self(), SCHED_OTHER, &none);
	/* Of the thread: on Linux that is what 0 names. */
	setpriority(PRIO_PROCESS, 0, -20);
	u->realtime = false;
}

static void be_realtime(struct urgent *u)
{
	const struct sched_param low = { .sched_priority = 1 };

	u->realtime = pthread_setschedparam(pthread_self(), SCHED_RR, &low) == 0;
}

/* How long it has waited for a processor since it began, and how often it got one. */
static bool read_turns(int fd, uint64_t *ret_waited_ns, uint64_t *ret_turns)
{
	char text[96];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "%*u %" SCNu64 " %" SCNu64, ret_waited_ns, ret_turns) == 2;
}

void urgent_begin(struct urgent *u)
{
	*u = (struct urgent){ .stat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC) };
	be_fair(u);
	if (u->stat < 0 || !read_turns(u->stat, &u->waited_ns, &u->turns)) {
		urgent_end(u);
		be_realtime(u);
	}
}

static bool is_kept_waiting(struct urgent *u)
{
	uint64_t waited_ns, turns, before_ns = u->waited_ns, before = u->turns;

	if (!read_turns(u->stat, &waited_ns, &turns))
		return true;
	u->waited_ns = waited_ns;
	u->turns = turns;
	return turns > before && (waited_ns - before_ns) / (turns - before) > URGENT_WAITED_NS;
}

void urgent_look(struct urgent *u, uint64_t now)
{
	if (u->stat < 0 || now < u->look_ns)
		return;
	u->look_ns = now + URGENT_LOOK_NS;
	if (is_kept_waiting(u)) {
		u->until_ns = now + URGENT_HOLD_NS;
		if (!u->realtime)
			be_realtime(u);
	} else if (u->realtime && now >= u->until_ns) {
		be_fair(u);
	}
}

void urgent_end(struct urgent *u)
{
	if (u->stat >= 0)
		close(u->stat);
	u->stat = -1;
}
