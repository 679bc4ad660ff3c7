/*
 * Mount namespaces by their inode, each with the last processes that were seen in it, and the fanotify group that is
 * told of mounts in them. A group tells of all its namespaces alike, without saying in which: so it says when to look,
 * and who mounted what. Its queue may overflow: then it is time to look, and nobody is known. One that the kernel
 * refuses to mark is looked at from time to time.
 */
#include "watch/mountns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/read.h"
#include "watch/fan.h"
#include "watch/mounters.h"
#include "watch/mountid.h"
#include "watch/mountns-internal.h"

#define LATE_MS	    5 /* between a mount that others see and its event */
#define LATE_TRIES  3
#define INTERVAL_NS (10 * NSEC_PER_SEC)

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

/* --- namespaces */

/* One that is in it still; 0: none of those that were seen. Without the lock, of a copy. */
static int32_t ns_alive(const struct mountns *m, const struct ns *n)
{
	for (unsigned i = 0; i < MIN(n->n_pids, (unsigned)PIDS_MAX); i++)
		if (ns_of(m, n->pids[i]) == n->ino)
			return n->pids[i];
	return 0;
}

static uint64_t started(const struct mountns *m, int32_t pid)
{
	_cleanup_close_ int fd = proc_open(m->procfd, pid);
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct process p = { .known = 0 };

	return fd >= 0 && proc_read_fd(fd, PROC_PART_STAT, &a, &p) == 0 ? p.start_ns : UINT64_MAX;
}

/* What serves the file system is not asked: it may never answer. */
static int root_of(int dirfd, const char *path, struct root *ret)
{
	struct statx st;

	if (statx(dirfd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) < 0)
		return -errno;
	*ret = (struct root){ st.stx_ino, st.stx_dev_major, st.stx_dev_minor };
	return 0;
}

static void look(const struct mountns *m, int32_t pid, struct seen *s)
{
	struct root root;
	char path[40];
	uint64_t ino;

	snprintf(path, sizeof(path), "%d/ns/mnt", pid);
	s->id = mountid_namespace(m->procfd, path, &ino);
	if (s->id && ino != s->ino)
		s->id = 0;
	s->born = s->id ? mountid_first(s->id) : 0;
	if (!s->born) {
		s->id = 0;
		s->born = started(m, pid);
	}
	snprintf(path, sizeof(path), "%d/root", pid);
	s->entered = root_of(m->procfd, path, &root) == 0 && memcmp(&root, &m->root, sizeof(root)) != 0;
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

static void see(struct mountns *m, const char *container, int32_t pid, struct seen *s)
{
	bool wake;
	int r;

	look(m, pid, s);
	pthread_mutex_lock(&m->lock);
	r = ns_put(m, container, s, pid);
	wake = r > 0 || (r < 0 && !m->full);
	m->full |= r < 0;
	m->passed += r < 0;
	pthread_mutex_unlock(&m->lock);
	if (r > 0)
		mark(m, pid, s->ino);
	if (wake)
		eventfd_write(m->wake, 1);
}

void mountns_seen(struct mountns *m, const char *container, int32_t pid)
{
	struct seen s = { .ino = m->wanted ? ns_of(m, pid) : 0 };
	struct ns *n;
	bool known;

	/* What has not been moved into its own yet is in the runtime's. */
	if (!s.ino || s.ino == m->host)
		return;
	pthread_mutex_lock(&m->lock);
	n = ns_find(m, container, s.ino);
	known = n && n->entered && n->id;
	if (known)
		ns_note(n, pid);
	pthread_mutex_unlock(&m->lock);
	if (!known)
		see(m, container, pid, &s);
}

bool mountns_search(struct mountns *m, const char *container, uint64_t ino)
{
	int fd = openat(m->procfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *d;
	bool found = false;

	if (!dir) {
		cleanup_close(&fd);
		return false;
	}
	while (!found && (d = readdir(dir))) {
		int32_t pid = *d->d_name >= '1' && *d->d_name <= '9' ? (int32_t)strtol(d->d_name, NULL, 10) : 0;

		found = pid > 0 && ns_of(m, pid) == ino;
		if (found)
			mountns_seen(m, container, pid);
	}
	closedir(dir);
	return found;
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
			r = fn(&(struct mountns_one){ copy[i].ino, copy[i].container, pid, copy[i].second, copy[i].id },
			       data);
		else
			ns_forget(m, &copy[i]);
	}
	return r;
}

bool mountns_is_full(struct mountns *m)
{
	bool full;

	pthread_mutex_lock(&m->lock);
	full = m->full;
	pthread_mutex_unlock(&m->lock);
	return full;
}

bool mountns_is_second(struct mountns *m, const char *container, int32_t pid)
{
	uint64_t ino = ns_of(m, pid);
	bool second = false, own = false, in_own = false;

	pthread_mutex_lock(&m->lock);
	for (const struct ns *n = m->list; n && !second; n = n->hh.next) {
		if (!streq(n->container, container))
			continue;
		second = n->second && (ino ? n->ino == ino : ns_has(n, pid));
		own |= !n->second;
		in_own |= !n->second && n->ino == ino;
	}
	pthread_mutex_unlock(&m->lock);
	/* One that has not run anything since it went there was not seen there. */
	return second || (ino && ino != m->host && own && !in_own);
}

/* --- who */

/* One process mounts many times as a rule: it is asked for once. False: there was none. */
static bool take_events(struct mountns *m)
{
	_Alignas(struct fanotify_event_metadata) char data[4096];
	const struct fanotify_event_metadata *e = (const void *)data;
	_cleanup_process_ struct process *who = NULL;
	int32_t last = 0;
	ssize_t len;
	bool any;

	pthread_mutex_lock(&m->event_lock);
	len = read(m->fan, data, sizeof(data));
	any = len > 0;
	for (; len > 0 && FAN_EVENT_OK(e, len); e = FAN_EVENT_NEXT(e, len)) {
		if (e->pid != last && who)
			process_unref(TAKE_PTR(who));
		if (e->pid != last && m->procs && e->pid > 0)
			who = proc_table_get(m->procs, e->pid, false);
		last = e->pid;
		mounters_event(m->mounters, e, who);
	}
	pthread_mutex_unlock(&m->event_lock);
	return any;
}

static struct process *find_mounter(struct mountns *m, uint64_t mount, bool gone)
{
	struct process *p;

	pthread_mutex_lock(&m->event_lock);
	p = mounters_find(m->mounters, mount, gone);
	pthread_mutex_unlock(&m->event_lock);
	return p;
}

/* The kernel shows a mount and then tells of it: what others see may be in its queue yet, or not even there. */
struct process *mountns_mounter(struct mountns *m, uint64_t mount, bool gone, bool wait)
{
	struct process *p = NULL;
	bool any = false;

	for (int i = 0; m->fan >= 0 && mount && !p && i < (wait ? LATE_TRIES : 1); i++) {
		if (i > 0)
			poll(NULL, 0, LATE_MS);
		while (take_events(m))
			any = true;
		p = find_mounter(m, mount, gone);
	}
	/* What was taken here is no reason any more for the thread to say that something changed. */
	if (any)
		eventfd_write(m->wake, 1);
	return p;
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
	pthread_mutex_init(&m->event_lock, NULL);
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
	if (r == 0)
		r = root_of(AT_FDCWD, "/", &m->root);
	m->mounters = mounters_new();
	if (r == 0 && !m->mounters)
		r = -ENOMEM;
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
	mounters_free(m->mounters);
	cleanup_close(&m->fan);
	cleanup_close(&m->wake);
	cleanup_close(&m->procfd);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->change_lock);
	pthread_mutex_destroy(&m->event_lock);
	free(m);
}
