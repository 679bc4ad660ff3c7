/*
 * Taking over the gate's group. Main thread, but the thread "handover", which lives from the start until the group is
 * taken and does nothing but close it when that takes too long.
 */
#include "daemon/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/notify.h"

/* The name tells runs apart: what an old watchdog has removed must not be the new one's. */
#define HANDOVER_PREFIX "exec-gate-"

struct handover {
	char store[64], remove[64];
	int notify; /* the manager; -1: none */
	int group;  /* from the run before; -1: none */
	uint64_t until;
	bool late;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock;
	pthread_cond_t taken;
};

static void *let_go(void *data)
{
	struct handover *h = data;
	struct timespec until = clock_timespec(h->until);

	pthread_setname_np(pthread_self(), "handover");
	pthread_mutex_lock(&h->lock);
	while (h->group >= 0)
		if (pthread_cond_timedwait(&h->taken, &h->lock, &until) == ETIMEDOUT && h->group >= 0) {
			close(h->group);
			h->group = -1;
			h->late = true;
		}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

static int start_bound(struct handover *h)
{
	sigset_t all, old;
	int r;

	pthread_mutex_init(&h->lock, NULL);
	clock_cond_init(&h->taken);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&h->thread, NULL, let_go, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	h->running = r == 0;
	return r;
}

int handover_part_start(struct monitor *m)
{
	struct handover *h = malloc(sizeof(*h));
	char name[64], removal[96];

	if (!h)
		return EX_OSERR;
	*h = (struct handover){ .notify = notify_open(),
				.group = notify_take(HANDOVER_PREFIX, name, sizeof(name)),
				.until = clock_mono_ns() + m->conf->exec.stall };
	snprintf(h->store, sizeof(h->store), "FDSTORE=1\nFDNAME=" HANDOVER_PREFIX "%d", getpid());
	snprintf(h->remove, sizeof(h->remove), "FDSTOREREMOVE=1\nFDNAME=" HANDOVER_PREFIX "%d", getpid());
	m->handover = h;
	if (h->group < 0)
		return 0;
	/* From here on nobody but us holds it: a start that fails lets go of everybody. */
	snprintf(removal, sizeof(removal), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	if (h->notify >= 0)
		notify_send(h->notify, removal, -1);
	return 0;
}

/* After the watchdog was forked: it is a thread. */
int handover_bound_start(struct monitor *m)
{
	struct handover *h = m->handover;

	if (h->group >= 0 && (m->conf->exec.mode != CONF_EXEC_ENFORCE || start_bound(h) < 0)) {
		close(h->group);
		h->group = -1;
	}
	return 0;
}

void handover_bound_stop(struct monitor *m)
{
	cleanup_close(&(int){ handover_take(m) });
}

int handover_take(struct monitor *m)
{
	struct handover *h = m->handover;
	int group;

	if (!h->running)
		return -1;
	pthread_mutex_lock(&h->lock);
	group = h->group;
	h->group = -1;
	pthread_cond_signal(&h->taken);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	h->running = false;
	if (h->late)
		gapbook_open(m->gaps, GAP_LIMIT, "program starts",
			     "the start took longer than exec.stall: what waited for it was let go", 0, 0);
	return group;
}

bool handover_store(struct monitor *m, int group)
{
	int r = m->handover->notify < 0 ? -ENOENT : notify_send(m->handover->notify, m->handover->store, group);

	if (r < 0 && r != -ENOENT)
		log_warn("the service manager does not keep the gate for the next start: %s", strerror(-r));
	return r == 0;
}

void handover_remove(struct monitor *m)
{
	notify_send(m->handover->notify, m->handover->remove, -1);
}

const char *handover_release(struct monitor *m, int *ret_notify)
{
	*ret_notify = m->handover->notify;
	return m->handover->notify < 0 ? NULL : m->handover->remove;
}

void handover_part_stop(struct monitor *m)
{
	struct handover *h = TAKE_PTR(m->handover);

	cleanup_close(&h->notify);
	free(h);
}
