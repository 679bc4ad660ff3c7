/*
 * Mount namespaces by their inode, each with the last processes that were seen in it, and the fanotify group that is
 * told of mounts in them. A group tells of all its namespaces alike, without saying in which: so it says when to look,
 * and who it was. Its queue may overflow: that too says only that it is time to look. One that the kernel refuses to
 * mark is looked at from time to time.
 */
#include "watch/mountns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/cgroup.h"
#include "watch/fan.h"

#define PIDS_MAX     8
#define MOUNTERS_MAX 64
#define MOUNTER_NS   (5 * NSEC_PER_SEC)
#define INTERVAL_NS  (10 * NSEC_PER_SEC)

struct ns {
	uint64_t ino;
	char container[CGROUP_ID_MAX];
	bool second, untold;
	int32_t pids[PIDS_MAX]; /* the first one seen, then the last ones */
	unsigned n_pids;	/* counts up without end */
	UT_hash_handle hh;	/* in the order in which they were seen first */
};

struct mounter {
	struct process *process;
	uint64_t boot_ns;
};

struct mountns {
	int fan; /* -1: nobody tells */
	int procfd, wake;
	uint64_t interval, host; /* inode of the namespace we are in */
	size_t max;
	struct proc_table *procs;
	atomic_bool wanted, stopping;

	pthread_mutex_t lock;
	struct ns *list;
	size_t untold;
	uint64_t passed;
	bool full;
	struct mounter mounters[MOUNTERS_MAX];
	unsigned n_mounters; /* counts up without end */

	pthread_mutex_t change_lock; /* held while it is called; never under lock */
	void (*change)(void *data);
	void *change_data;

	void (*state)(const struct mountns_stats *s, void *data);
	void *state_data;
	struct mountns_stats last; /* told; the thread's */

	pthread_t thread;
	bool running;
};

/* 0: gone. */
static uint64_t ns_of(const struct mountns *m, int32_t pid)
{
	char path[40];
	struct stat st;

	snprintf(path, sizeof(path), "%d/ns/mnt", pid);
	return fstatat(m->procfd, path, &st, 0) == 0 ? st.st_ino : 0;
}

bool mountns_is_in(const struct mountns *m, int32_t pid, uint64_t ino)
{
	return ino && ns_of(m, pid) == ino;
}

bool mountns_is_told(const struct mountns *m)
{
	return m->fan >= 0;
}

void mountns_want(struct mountns *m, bool wanted)
{
	m->wanted = wanted;
	eventfd_write(m->wake, 1);
}

/* --- namespaces (lock held) */

static void ns_free(struct mountns *m, struct ns *n)
{
	HASH_DEL(m->list, n);
	m->untold -= n->untold;
	free(n);
}

static bool ns_has(const struct ns *n, int32_t pid)
{
	for (unsigned i = 0; i < MIN(n->n_pids, (unsigned)PIDS_MAX); i++)
		if (n->pids[i] == pid)
			return true;
	return false;
}

/* The first one stays: as a rule it lives longest. */
static void ns_note(struct ns *n, int32_t pid)
{
	if (ns_has(n, pid))
		return;
	n->pids[n->n_pids < PIDS_MAX ? n->n_pids : 1 + n->n_pids % (PIDS_MAX - 1)] = pid;
	n->n_pids++;
}

/* One that is in it still; 0: none of those that were seen. Without the lock, of a copy. */
static int32_t ns_alive(const struct mountns *m, const struct ns *n)
{
	for (unsigned i = 0; i < MIN(n->n_pids, (unsigned)PIDS_MAX); i++)
		if (ns_of(m, n->pids[i]) == n->ino)
			return n->pids[i];
	return 0;
}

static bool has_own(const struct mountns *m, const char *container)
{
	for (const struct ns *n = m->list; n; n = n->hh.next)
		if (!n->second && streq(n->container, container))
			return true;
	return false;
}

/* 1: it was not known, 0, or -ENOSPC. */
static int ns_put(struct mountns *m, const char *container, uint64_t ino, int32_t pid)
{
	struct ns *n;

	HASH_FIND(hh, m->list, &ino, sizeof(ino), n);
	/* The number of one that is gone was given away. */
	if (n && !streq(n->container, container)) {
		ns_free(m, n);
		n = NULL;
	}
	if (n) {
		ns_note(n, pid);
		return 0;
	}
	n = HASH_COUNT(m->list) < m->max ? calloc(1, sizeof(*n)) : NULL;
	if (!n)
		return -ENOSPC;
	n->ino = ino;
	snprintf(n->container, sizeof(n->container), "%s", container);
	n->second = has_own(m, container);
	ns_note(n, pid);
	HASH_ADD(hh, m->list, ino, sizeof(n->ino), n);
	if (!n->hh.tbl) {
		free(n);
		return -ENOSPC;
	}
	return 1;
}

/* It may be gone again, or live on in other processes: with the next of them it is a new one. */
static void ns_unmarked(struct mountns *m, uint64_t ino, int error)
{
	struct ns *n;

	pthread_mutex_lock(&m->lock);
	HASH_FIND(hh, m->list, &ino, sizeof(ino), n);
	if (n && (error == ENOENT || error == ESRCH)) {
		ns_free(m, n);
	} else if (n && !n->untold) {
		n->untold = true;
		m->untold++;
	}
	pthread_mutex_unlock(&m->lock);
}

static void mark(struct mountns *m, int32_t pid, uint64_t ino)
{
	char path[40];

	snprintf(path, sizeof(path), "%d/ns/mnt", pid);
	if (m->fan >= 0 &&
	    fanotify_mark(m->fan, FAN_MARK_ADD | FAN_MARK_MNTNS, FAN_MNT_ATTACH | FAN_MNT_DETACH, m->procfd, path) < 0)
		ns_unmarked(m, ino, errno);
}

void mountns_seen(struct mountns *m, const char *container, int32_t pid)
{
	uint64_t ino = m->wanted ? ns_of(m, pid) : 0;
	bool wake;
	int r;

	/* What has not been moved into its own yet is in the runtime's. */
	if (!ino || ino == m->host)
		return;
	pthread_mutex_lock(&m->lock);
	r = ns_put(m, container, ino, pid);
	wake = r > 0 || (r < 0 && !m->full);
	m->full |= r < 0;
	m->passed += r < 0;
	pthread_mutex_unlock(&m->lock);
	if (r > 0)
		mark(m, pid, ino);
	if (wake)
		eventfd_write(m->wake, 1);
}

/* Nobody was seen in it since. */
static void ns_forget(struct mountns *m, const struct ns *gone)
{
	struct ns *n;

	pthread_mutex_lock(&m->lock);
	HASH_FIND(hh, m->list, &gone->ino, sizeof(gone->ino), n);
	if (n && n->n_pids == gone->n_pids && streq(n->container, gone->container))
		ns_free(m, n);
	pthread_mutex_unlock(&m->lock);
}

int mountns_each(struct mountns *m, int (*fn)(const struct mountns_one *ns, void *data), void *data)
{
	_cleanup_free_ struct ns *copy = NULL;
	size_t n = 0;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	copy = calloc(HASH_COUNT(m->list) + 1, sizeof(*copy));
	for (const struct ns *i = m->list; copy && i; i = i->hh.next)
		copy[n++] = *i;
	pthread_mutex_unlock(&m->lock);
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n && r == 0; i++) {
		int32_t pid = ns_alive(m, &copy[i]);

		if (pid)
			r = fn(&(struct mountns_one){ copy[i].ino, copy[i].container, pid, copy[i].second }, data);
		else
			ns_forget(m, &copy[i]);
	}
	return r;
}

bool mountns_is_second(struct mountns *m, const char *container, int32_t pid)
{
	uint64_t ino = ns_of(m, pid);
	bool second = false;

	pthread_mutex_lock(&m->lock);
	for (const struct ns *n = m->list; n && !second; n = n->hh.next)
		second = n->second && streq(n->container, container) && (ino ? n->ino == ino : ns_has(n, pid));
	/* One that has not run anything since it went there was not seen there. */
	if (!second && ino && ino != m->host) {
		const struct ns *n = m->list;

		while (n && (n->second || !streq(n->container, container)))
			n = n->hh.next;
		second = n && n->ino != ino;
	}
	pthread_mutex_unlock(&m->lock);
	return second;
}

/* --- who */

/* Of the container, or of the host: another one's cannot reach it. */
static bool may_mount(const struct process *p, const char *container)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	size_t n = p->known & PROCESS_CGROUP ? cgroup_containers(p->cgroup, in) : 0;

	return n == 0 || streq(in[n - 1].id, container);
}

static struct process *find_mounter(struct mountns *m, const char *container, uint64_t since)
{
	for (unsigned i = 0; i < MIN(m->n_mounters, (unsigned)MOUNTERS_MAX); i++) {
		const struct mounter *who = &m->mounters[(m->n_mounters - 1 - i) % MOUNTERS_MAX];

		if (who->boot_ns >= since && may_mount(who->process, container))
			return process_ref(who->process);
	}
	return NULL;
}

struct process *mountns_mounter(struct mountns *m, const char *container)
{
	uint64_t now = clock_boot_ns(), since = now > MOUNTER_NS ? now - MOUNTER_NS : 0;
	struct process *p;

	pthread_mutex_lock(&m->lock);
	p = find_mounter(m, container, since);
	pthread_mutex_unlock(&m->lock);
	return p;
}

static void note_mounter(struct mountns *m, int32_t pid)
{
	struct process *p = m->procs && pid > 0 ? proc_table_get(m->procs, pid, false) : NULL;
	struct mounter *slot;

	if (!p)
		return;
	pthread_mutex_lock(&m->lock);
	slot = &m->mounters[m->n_mounters++ % MOUNTERS_MAX];
	if (slot->process)
		process_unref(slot->process);
	*slot = (struct mounter){ p, clock_boot_ns() };
	pthread_mutex_unlock(&m->lock);
}

/* --- the thread */

void mountns_on_change(struct mountns *m, void (*fn)(void *data), void *data)
{
	pthread_mutex_lock(&m->change_lock);
	m->change = fn;
	m->change_data = data;
	pthread_mutex_unlock(&m->change_lock);
}

static void tell_change(struct mountns *m)
{
	pthread_mutex_lock(&m->change_lock);
	if (m->change)
		m->change(m->change_data);
	pthread_mutex_unlock(&m->change_lock);
}

/* One process mounts many times as a rule: it is asked for once. */
static void take_events(struct mountns *m)
{
	_Alignas(struct fanotify_event_metadata) char data[4096];
	ssize_t len = read(m->fan, data, sizeof(data));
	const struct fanotify_event_metadata *e = (const void *)data;
	int32_t last = 0;

	for (; len > 0 && FAN_EVENT_OK(e, len); e = FAN_EVENT_NEXT(e, len)) {
		if (e->pid != last)
			note_mounter(m, e->pid);
		last = e->pid;
	}
}

static int no_more(const struct mountns_one *ns _unused_, void *data _unused_)
{
	return 0;
}

/* Those without a process give way. */
static void make_room(struct mountns *m)
{
	if (!m->last.full)
		return;
	mountns_each(m, no_more, NULL);
	pthread_mutex_lock(&m->lock);
	m->full = HASH_COUNT(m->list) >= m->max;
	pthread_mutex_unlock(&m->lock);
}

static void get_state(struct mountns *m, struct mountns_stats *ret)
{
	*ret = (struct mountns_stats){ .wanted = m->wanted, .told = m->fan >= 0 };
	pthread_mutex_lock(&m->lock);
	ret->full = m->full;
	ret->untold = m->untold;
	ret->passed = m->passed;
	pthread_mutex_unlock(&m->lock);
}

static void tell_state(struct mountns *m)
{
	struct mountns_stats now;

	get_state(m, &now);
	if (now.wanted == m->last.wanted && now.told == m->last.told && now.full == m->last.full &&
	    now.untold == m->last.untold && now.passed == m->last.passed)
		return;
	m->last = now;
	if (m->state)
		m->state(&now, m->state_data);
}

static int wait_ms(const struct mountns *m)
{
	return m->last.wanted && (!m->last.told || m->last.untold || m->last.full) ? (int)(m->interval / NSEC_PER_MSEC)
										   : -1;
}

static void *mounts_main(void *data)
{
	struct mountns *m = data;
	struct pollfd fds[] = { { .fd = m->wake, .events = POLLIN }, { .fd = m->fan, .events = POLLIN } };
	eventfd_t count;

	pthread_setname_np(pthread_self(), "mounts");
	while (!m->stopping) {
		tell_state(m);
		poll(fds, ARRAY_SIZE(fds), wait_ms(m));
		if (fds[0].revents & POLLIN)
			eventfd_read(m->wake, &count);
		if (fds[1].revents & POLLIN)
			take_events(m);
		tell_state(m);
		make_room(m);
		if (!m->stopping && m->wanted)
			tell_change(m);
	}
	return NULL;
}

/* --- start and stop */

static int open_group(void)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_MNT | FAN_UNLIMITED_MARKS, 0);

	/* Whether marks of that kind are taken is asked with one that is taken off again. */
	if (fd >= 0 && (fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_MNTNS, FAN_MNT_ATTACH | FAN_MNT_DETACH, AT_FDCWD,
				      "/proc/self/ns/mnt") ||
			fanotify_mark(fd, FAN_MARK_REMOVE | FAN_MARK_MNTNS, FAN_MNT_ATTACH | FAN_MNT_DETACH, AT_FDCWD,
				      "/proc/self/ns/mnt"))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int start(struct mountns *m)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&m->thread, NULL, mounts_main, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	m->running = r == 0;
	return r;
}

int mountns_new(const struct mountns_options *o, struct mountns **ret)
{
	struct mountns *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->change_lock, NULL);
	m->procs = o->procs;
	m->interval = o->interval ?: INTERVAL_NS;
	m->max = o->max ?: MOUNTNS_MAX;
	m->state = o->state;
	m->state_data = o->data;
	m->fan = o->look ? -1 : open_group();
	m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->procfd = open(o->procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->wake < 0 || m->procfd < 0)
		r = -errno;
	m->host = ns_of(m, getpid());
	if (r == 0)
		r = start(m);
	if (r < 0) {
		mountns_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void mountns_free(struct mountns *m)
{
	if (m->running) {
		m->stopping = true;
		eventfd_write(m->wake, 1);
		pthread_join(m->thread, NULL);
	}
	while (m->list)
		ns_free(m, m->list);
	for (size_t i = 0; i < MOUNTERS_MAX; i++)
		if (m->mounters[i].process)
			process_unref(m->mounters[i].process);
	cleanup_close(&m->fan);
	cleanup_close(&m->wake);
	cleanup_close(&m->procfd);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->change_lock);
	free(m);
}
