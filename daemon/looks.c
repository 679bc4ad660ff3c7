/*
 * Connections where no BPF program tells them: a thread ("sockets") looks at the kernel's own list again and again;
 * what was not there the time before is recorded, and told to the rules as the call that makes such a one. Whose it is
 * and since when are as of the look, and what is over by then was never seen: a gap as long as it lasts. Started and
 * ended on the main thread; the thread enters other network namespaces, so nothing else is done on it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/monitor.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "proc/sockets.h"

/* A look takes a hundredth of the time, at most. */
#define LOOKS_SHARE  100
#define LOOKS_MIN_MS 1000
#define LOOKS_MAX_MS 60000

#define LOOKS_SCOPE "connections"

/* Inodes of sockets, sorted once they are complete. */
struct inodes {
	uint64_t *list;
	size_t n, cap;
};

struct looks {
	struct monitor *m;
	pthread_t thread;
	int stop_fd;
	atomic_bool stop, record;
	atomic_uint_fast64_t looks, told;
	struct inodes before, now; /* the thread's */
	bool full;		   /* of what it lists not all could be kept */
};

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool inodes_have(const struct inodes *s, uint64_t ino)
{
	return s->n && bsearch(&ino, s->list, s->n, sizeof(ino), compare);
}

/* False: no room. */
static bool inodes_add(struct inodes *s, uint64_t ino)
{
	size_t cap = s->cap ? 2 * s->cap : 1024;
	uint64_t *grown;

	if (s->n == s->cap) {
		grown = s->cap < SOCKETS_MAX ? realloc(s->list, cap * sizeof(*grown)) : NULL;
		if (!grown)
			return false;
		s->list = grown;
		s->cap = cap;
	}
	s->list[s->n++] = ino;
	return true;
}

/* NULL: it was there before the first look, which was whenever it was. */
static const struct call_info *looks_call(const struct looks *l, const struct event_socket *s)
{
	const char *name = s->connected		    ? (s->accepted ? "accept4" : "connect")
			   : s->type == SOCK_STREAM ? "listen"
						    : "bind";

	return l->looks ? call_by_name(name, strlen(name)) : NULL;
}

static void looks_take(int32_t pid, const struct event_socket *s, void *data)
{
	struct event_socket found = *s;
	const struct call_info *call;
	struct looks *l = data;

	if (!inodes_add(&l->now, s->ino)) {
		l->full = true; /* it would be new each time */
		return;
	}
	if (inodes_have(&l->before, s->ino) || pid == getpid())
		return;
	found.approximate = true;
	call = looks_call(l, &found);
	if (call || l->record)
		l->told += connection_found(l->m, pid, &found, call, l->record);
}

static void look(struct looks *l)
{
	struct sockets_found found = { 0 };
	struct inodes former = l->before;
	int r;

	l->now.n = 0;
	l->full = false;
	r = sockets_each("/proc", 0, &l->stop, looks_take, l, &found);
	if (r < 0 || found.missed || l->full)
		gapbook_open(l->m->gaps, GAP_LIMIT, LOOKS_SCOPE,
			     r < 0 ? strerror(-r) : "not all of them could be listed", found.missed, 0);
	else
		gapbook_end(l->m->gaps, GAP_LIMIT, LOOKS_SCOPE, "all of them are listed again");
	if (r < 0)
		return;
	if (l->now.n)
		qsort(l->now.list, l->now.n, sizeof(*l->now.list), compare);
	l->before = l->now;
	l->now = former;
	l->looks++;
}

static void *looks_thread(void *data)
{
	struct looks *l = data;
	struct pollfd stop = { .fd = l->stop_fd, .events = POLLIN };
	uint64_t began, wait;

	pthread_setname_np(pthread_self(), "sockets");
	do {
		began = clock_mono_ns();
		look(l);
		wait = LOOKS_SHARE * (clock_mono_ns() - began) / NSEC_PER_MSEC;
		wait = MIN(MAX(wait, (uint64_t)LOOKS_MIN_MS), (uint64_t)LOOKS_MAX_MS);
	} while (!l->stop && poll(&stop, 1, (int)wait) <= 0);
	return NULL;
}

static void looks_free(struct looks *l)
{
	free(l->before.list);
	free(l->now.list);
	if (l->stop_fd >= 0)
		close(l->stop_fd);
	free(l);
}

void looks_start(struct monitor *m, bool recorded)
{
	struct looks *l = m->looks ? NULL : calloc(1, sizeof(*l));
	sigset_t all, before;
	int r;

	if (m->looks)
		m->looks->record = recorded;
	if (!l)
		return;
	l->m = m;
	l->record = recorded;
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = l->stop_fd < 0 ? -errno : -pthread_create(&l->thread, NULL, looks_thread, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	gapbook_open(m->gaps, GAP_WEAK_SENSOR, LOOKS_SCOPE,
		     r < 0 ? strerror(-r)
			   : "without BPF they are looked for every second or less often: those that end sooner are "
			     "missed, whose they are and since when is as of the look",
		     0, 0);
	if (r < 0)
		looks_free(l);
	else
		m->looks = l;
}

void looks_stop(struct monitor *m)
{
	struct looks *l = TAKE_PTR(m->looks);
	uint64_t one = 1;

	if (!l)
		return;
	l->stop = true;
	if (write(l->stop_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: a fresh eventfd */
	pthread_join(l->thread, NULL);
	gapbook_end(m->gaps, GAP_LIMIT, LOOKS_SCOPE, "it is looked no more");
	looks_free(l);
}

json_t *looks_status(struct monitor *m)
{
	json_t *o = json_object();

	json_object_set_new(o, "source", json_string("sock_diag"));
	json_object_set_new(o, "approximate", json_true());
	json_object_set_new(o, "looks", json_integer((json_int_t)m->looks->looks));
	json_object_set_new(o, "told", json_integer((json_int_t)m->looks->told));
	return o;
}
