/*
 * The gate's life: the fanotify group, marks, threads, counters. The group's descriptor is nobody else's: a process
 * that inherited it would keep every start hanging after our death, so nothing may fork while a gate is open.
 */
#include "exec/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "lib/clock.h"
#include "lib/fstype.h"
#include "lib/hash.h"
#include "lib/util.h"
#include "watch/mounts.h"

#define SLOTS_DEFAULT	 4096
#define SLOTS_MIN	 8
#define FILES_WANTED	 65536 /* ORPHANS_MAX tries as many numbers */
#define FILES_KEPT	 512   /* for the rest of the process */
#define DEADLINE_DEFAULT (500 * NSEC_PER_MSEC)
#define MAX_SIZE_DEFAULT (256 * MIB)

const char *const gate_reason_texts[GATE_REASON_COUNT] = {
	[GATE_TRUSTED] = "trusted",
	[GATE_NOT_TRUSTED] = "no trust source vouches for it",
	[GATE_WRITER] = "somebody has it open for writing",
	[GATE_DEADLINE] = "not judged in time",
	[GATE_FULL] = "too many starts at once",
	[GATE_TOO_LARGE] = "larger than exec.max_size",
	[GATE_UNREADABLE] = "cannot be read",
	[GATE_KERNEL] = "the kernel could not open it for the gate",
	[GATE_UNGATED] = "its file system is not gated",
	[GATE_SWAPPED] = "not the file that was judged",
	[GATE_ARGUMENT] = "script on the command line, no trust source vouches for it",
	[GATE_GONE] = "it ended too soon",
	[GATE_DRIFT] = EVENT_REASON_DRIFT,
	[GATE_LISTED] = "on the list of denied programs",
	[GATE_LIBRARY_UNKNOWN] = "mapped to run, no trust source vouches for it",
};

/* --- making and freeing */

static size_t allowed_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return 256;
	if (l.rlim_cur < FILES_WANTED && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = MIN(l.rlim_max, (rlim_t)FILES_WANTED);
		setrlimit(RLIMIT_NOFILE, &l);
		getrlimit(RLIMIT_NOFILE, &l);
	}
	return (size_t)MIN(l.rlim_cur, (rlim_t)FILES_WANTED);
}

/* Each start takes two descriptors; with none left the kernel would refuse every start on the machine. */
static void size_tables(struct gate *g)
{
	size_t files = allowed_files(), room = files > 2 * FILES_KEPT ? files - FILES_KEPT : files / 2;

	g->batch = MAX(MIN(room / 8, (size_t)GATE_BATCH_MAX), (size_t)1);
	room = room > 2 * g->batch ? (room - 2 * g->batch) / 2 : 1;
	g->n_slots = MAX(MIN(room, g->o.slots ?: SLOTS_DEFAULT), (size_t)SLOTS_MIN);
}

static void init_locks(struct gate *g)
{
	pthread_mutexattr_t inherit;

	/* Threads that run before all others wait for ones that do not. */
	pthread_mutexattr_init(&inherit);
	pthread_mutexattr_setprotocol(&inherit, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&g->lock, &inherit);
	pthread_mutexattr_destroy(&inherit);
	pthread_cond_init(&g->work, NULL);
	clock_cond_init(&g->after);
}

static void init_lists(struct gate *g)
{
	TAILQ_INIT(&g->free);
	TAILQ_INIT(&g->todo);
	TAILQ_INIT(&g->held);
	TAILQ_INIT(&g->done);
	TAILQ_INIT(&g->waiting);
	for (size_t i = 0; i < GATE_BUCKETS; i++)
		LIST_INIT(&g->pids[i]);
	for (size_t i = 0; i < g->n_slots; i++)
		TAILQ_INSERT_TAIL(&g->free, &g->slots[i], link);
}

static int prepare(struct gate *g, const struct gate_options *o, struct trust *trust)
{
	g->o = *o;
	g->o.deadline = o->deadline ?: DEADLINE_DEFAULT;
	g->o.max_size = o->max_size ?: MAX_SIZE_DEFAULT;
	g->fanotify = g->wake = -1;
	g->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g->files = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	g->self = getpid();
	g->trust = trust_ref(trust);
	g->conf = g->o.conf ? conf_ref((struct conf *)(uintptr_t)g->o.conf) : NULL;
	g->generation = 1;
	g->seed = hash_seed();
	init_locks(g);
	size_tables(g);
	g->slots = calloc(g->n_slots, sizeof(*g->slots));
	g->sightings = calloc(GATE_SIGHTINGS, sizeof(*g->sightings));
	g->opened = calloc(GATE_SIGHTINGS, sizeof(*g->opened));
	if (!g->slots || !g->sightings || !g->opened)
		return -ENOMEM;
	init_lists(g);
	g->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return g->wake < 0 ? -errno : cache_new(&g->cache);
}

static void gate_free(struct gate *g)
{
	for (unsigned i = 0; i < GATE_WORKERS; i++) {
		exec_hash_free(g->workers[i].hash);
		free(g->workers[i].digests);
	}
	for (size_t i = 0; g->slots && i < g->n_slots; i++) {
		/* Unused slots are zero, and ours were closed but for those nobody came to. */
		if (g->slots[i].list != &g->todo)
			continue;
		container_unref(g->slots[i].container);
		cleanup_close(&g->slots[i].fd);
		cleanup_close(&g->slots[i].pidfd);
		cleanup_close(&g->slots[i].real);
	}
	cleanup_close(&g->fanotify);
	cleanup_close(&g->wake);
	cleanup_close(&g->proc);
	cleanup_close(&g->files);
	cache_free(g->cache);
	free(g->slots);
	free(g->overlays);
	free(g->sightings);
	free(g->opened);
	trust_unref(g->trust);
	if (g->conf)
		conf_unref(g->conf);
	pthread_cond_destroy(&g->work);
	pthread_cond_destroy(&g->after);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* --- threads */

static unsigned worker_count(const struct gate *g)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return MIN(MAX(g->o.workers ?: (unsigned)MAX(n, 2), 1u), (unsigned)GATE_WORKERS);
}

static int start_workers(struct gate *g)
{
	for (unsigned i = 0, n = worker_count(g); i < n; i++) {
		struct worker *w = &g->workers[i];
		int r;

		w->g = g;
		w->digests = malloc(sizeof(*w->digests));
		r = w->digests ? exec_hash_new(&w->hash) : -ENOMEM;
		if (r == 0)
			r = -pthread_create(&w->thread, NULL, gate_worker, w);
		if (r < 0)
			return r;
		g->n_workers++;
	}
	return 0;
}

static int start_threads(struct gate *g)
{
	sigset_t all, old;
	int r;

	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = start_workers(g);
	if (r == 0) {
		r = -pthread_create(&g->verdict, NULL, gate_after, g);
		g->have_verdict = r == 0;
	}
	if (r == 0) {
		r = -pthread_create(&g->reader, NULL, gate_reader, g);
		g->have_reader = r == 0;
	}
	if (r == 0 && g->o.libraries)
		r = libraries_start(g);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int gate_start(const struct gate_options *o, struct trust *trust, struct gate **ret, struct buf *err)
{
	struct gate *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	/* The kernel tells by SIGIO when somebody wants a lease broken. We give each back soon anyway. */
	signal(SIGIO, SIG_IGN);
	r = prepare(g, o, trust);
	if (r == 0)
		r = gate_open_group(g, err);
	if (r == 0)
		r = start_threads(g);
	if (r < 0) {
		if (err->len == 0)
			buf_printf(err, "the exec gate does not start: %s", strerror(-r));
		gate_stop(g);
		return r;
	}
	*ret = g;
	return 0;
}

/* Somebody keeps the group: closing it would let nobody go. What was read is judged, for as long as that may take. */
static void finish_waiting(struct gate *g)
{
	uint64_t until = clock_mono_ns() + g->o.deadline;
	bool waiting = true;

	while (waiting) {
		gate_answer_overdue(g, clock_mono_ns() >= until ? UINT64_MAX : clock_mono_ns());
		pthread_mutex_lock(&g->lock);
		waiting = !TAILQ_EMPTY(&g->waiting);
		pthread_mutex_unlock(&g->lock);
		if (waiting)
			poll(NULL, 0, 1);
	}
}

/* Where nobody was held up, what was started before the end may not be read or judged yet. */
static void finish_told(struct gate *g)
{
	uint64_t until = clock_mono_ns() + g->o.deadline;
	bool busy = true;

	gate_read_rest(g, until);
	while (busy && clock_mono_ns() < until) {
		pthread_mutex_lock(&g->lock);
		busy = !TAILQ_EMPTY(&g->todo) || g->busy;
		pthread_mutex_unlock(&g->lock);
		if (busy)
			poll(NULL, 0, 1);
	}
}

/* What waits for a worker is let go: the group is about to close, which does the same. */
static void end_workers(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->workers_end = true;
	pthread_cond_broadcast(&g->work);
	pthread_mutex_unlock(&g->lock);
	for (unsigned i = 0; i < g->n_workers; i++)
		pthread_join(g->workers[i].thread, NULL);
}

void gate_stop(struct gate *g)
{
	if (!g)
		return;
	atomic_store(&g->stopping, true);
	if (g->have_reader) {
		eventfd_write(g->wake, 1);
		pthread_join(g->reader, NULL);
		if (atomic_load(&g->kept)) {
			finish_waiting(g);
		} else {
			gate_unmark_all(g);
			if (!g->o.enforce)
				finish_told(g);
			gate_drain(g);
		}
	}
	libraries_stop(g);
	end_workers(g);
	/* Before results are handed over: that may take its time. */
	cleanup_close(&g->fanotify);
	g->fanotify = -1;
	if (g->have_verdict) {
		pthread_mutex_lock(&g->lock);
		g->after_end = true;
		pthread_cond_signal(&g->after);
		pthread_mutex_unlock(&g->lock);
		pthread_join(g->verdict, NULL);
	}
	gate_free(g);
}

int gate_group(const struct gate *g)
{
	return g->fanotify;
}

void gate_keep(struct gate *g, bool kept)
{
	atomic_store(&g->kept, kept);
}

int gate_exempt(struct gate *g, const char *path)
{
	return fanotify_mark(g->fanotify, FAN_MARK_ADD | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY,
			     g->o.enforce ? FAN_OPEN_EXEC_PERM : FAN_OPEN_EXEC, AT_FDCWD, path) < 0
		       ? -errno
		       : 0;
}

/* --- marks and trust */

static bool is_marked(const struct gate *g, uint64_t dev)
{
	char path[40], wanted[48], *line = NULL;
	size_t room = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", g->fanotify);
	snprintf(wanted, sizeof(wanted), "fanotify sdev:%lx ", (unsigned long)major(dev) << 20 | minor(dev));
	f = fopen(path, "re");
	while (f && !found && getline(&line, &room, f) > 0)
		found = strncmp(line, wanted, strlen(wanted)) == 0;
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Another file system has the number of one that is gone: whoever made it chose inodes, times and sizes. */
static void forget_versions(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->generation++;
	pthread_mutex_unlock(&g->lock);
	if (g->o.known)
		known_forget(g->o.known);
}

static int mark(struct gate *g, const char *path, unsigned flags, uint64_t dev)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	const struct fstype *type;
	struct stat st;
	char self[40];
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (dev != mounts_dev(fd, &st))
		return -ENODEV;
	r = fstype_of_fd(fd, &type);
	if (r < 0)
		return r;
	/* A start there would wait for a server, and we with it. */
	if (type->class == FSTYPE_REMOTE || type->class == FSTYPE_FUSE || type->class == FSTYPE_PSEUDO)
		return -EOPNOTSUPP;
	/* Before anything of it is judged. */
	if (flags == FAN_MARK_ADD && type->class == FSTYPE_DISK && !is_marked(g, dev))
		forget_versions(g);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return fanotify_mark(g->fanotify, flags | FAN_MARK_FILESYSTEM,
			     g->o.enforce ? FAN_OPEN_EXEC_PERM : FAN_OPEN_EXEC, AT_FDCWD, self) < 0
		       ? -errno
		       : 0;
}

/* 0: cannot be told. */
static uint64_t dev_of(const char *path)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? mounts_dev(fd, &st) : 0;
}

int gate_mark(struct gate *g, const char *path, uint64_t dev, bool layers)
{
	bool fresh;
	int r;

	if (!dev)
		dev = dev_of(path);
	if (!dev)
		return -ENODEV;
	/* Before the mark: the first start that is told of is judged as one of there. */
	pthread_mutex_lock(&g->lock);
	fresh = !devs_find(g, dev);
	r = devs_set(g, dev, layers);
	pthread_mutex_unlock(&g->lock);
	if (r == 0)
		r = mark(g, path, FAN_MARK_ADD, dev);
	if (r == 0 || !fresh)
		return r;
	pthread_mutex_lock(&g->lock);
	devs_remove(g, dev);
	pthread_mutex_unlock(&g->lock);
	return r;
}

void gate_unmark(struct gate *g, const char *path, uint64_t dev)
{
	/* That it cannot be reached any more (unmounted) is as good. */
	mark(g, path, FAN_MARK_REMOVE, dev);
	pthread_mutex_lock(&g->lock);
	devs_remove(g, dev);
	pthread_mutex_unlock(&g->lock);
}

void gate_set_trust(struct gate *g, struct trust *trust)
{
	struct trust *old;

	trust_ref(trust);
	pthread_mutex_lock(&g->lock);
	old = g->trust;
	g->trust = trust;
	g->generation++;
	pthread_mutex_unlock(&g->lock);
	trust_unref(old);
}

void gate_set_conf(struct gate *g, const struct conf *conf)
{
	struct conf *old;

	pthread_mutex_lock(&g->lock);
	old = g->conf;
	g->conf = conf_ref((struct conf *)(uintptr_t)conf);
	g->generation++;
	pthread_mutex_unlock(&g->lock);
	if (old)
		conf_unref(old);
}

/* --- what it tells */

void gate_get_stats(struct gate *g, struct gate_stats *ret)
{
	const _Atomic uint64_t *c = g->counts, *v = g->verdicts;

	*ret = (struct gate_stats){
		.events = c[COUNT_EVENTS],
		.allowed = v[EXEC_ALLOWED],
		.unexpected = v[EXEC_UNEXPECTED],
		.denied = v[EXEC_DENIED],
		.killed = v[EXEC_KILLED],
		.unjudged = v[EXEC_UNJUDGED],
		.cached = c[COUNT_CACHED],
		.hashed = c[COUNT_HASHED],
		.bytes = c[COUNT_BYTES],
		.writers = c[COUNT_WRITERS],
		.deadlines = c[COUNT_DEADLINES],
		.full = c[COUNT_FULL],
		.kernel = c[COUNT_KERNEL],
		.swapped = c[COUNT_SWAPPED],
		.late = c[COUNT_LATE],
		.scripts = c[COUNT_SCRIPTS],
		.unleased = c[COUNT_UNLEASED],
		.early = c[COUNT_EARLY],
		.lost = c[COUNT_LOST],
		.libraries = c[COUNT_LIBRARIES],
		.unlooked = c[COUNT_UNLOOKED],
		.slots = g->n_slots,
		.worst_ns = g->worst,
	};
	pthread_mutex_lock(&g->lock);
	ret->in_flight = g->in_flight;
	pthread_mutex_unlock(&g->lock);
}

const char *gate_class(const struct gate *g, bool *ret_deny_errno)
{
	*ret_deny_errno = g->deny_errno;
	return g->class_name;
}
