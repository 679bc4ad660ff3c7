/*
 * The canary thread writes its file and waits for the event. Owns the list of places and, while a test runs, one file.
 * The lock is never held over a system call on a watched file system.
 *
 * Where: in the state folder when that is on the file system in question, else in the root folder of the mount. A file
 * system that cannot be written there is not tested, and its place says why.
 */
#include "daemon/canary.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"
#include "watch/mounts.h"

#define CANARY_REMEMBERED 4 /* files whose later events are still ours */

struct canary {
	struct canary_options o;
	struct watch *watch;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	atomic_bool stopping;
	bool running, changed; /* changed: the pause is over */
	uint64_t serial;
	char *files[CANARY_REMEMBERED];
	const char *waiting; /* the file whose event is awaited */
	bool came;
	struct canary_place places[CANARY_PLACES_MAX];
	size_t n;
};

bool canary_event(struct canary *c, const struct fs_event *e)
{
	bool ours = false;

	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < CANARY_REMEMBERED; i++)
		ours |= c->files[i] && streq(c->files[i], e->path);
	/* A sensor that knows pids has to know ours. */
	if (e->pid && e->pid != getpid())
		ours = false;
	if (ours && c->waiting && streq(c->waiting, e->path)) {
		c->came = true;
		pthread_cond_broadcast(&c->cond);
	}
	pthread_mutex_unlock(&c->lock);
	return ours;
}

/* --- places */

struct canary_marks {
	struct canary_place *places;
	size_t n;
	const char *state_dir;
	uint64_t state_dev;
};

static int canary_take_mark(const struct watch_mark *m, void *data)
{
	struct canary_marks *marks = data;
	struct canary_place *p = &marks->places[marks->n];

	if (!m->marked || m->layers || marks->n == CANARY_PLACES_MAX)
		return 0;
	*p = (struct canary_place){ .mountpoint = strdup(m->mountpoint) };
	p->dir = strdup(m->dev == marks->state_dev ? marks->state_dir : m->mountpoint);
	if (p->mountpoint && p->dir)
		marks->n++;
	return 0;
}

static void canary_place_free(struct canary_place *p)
{
	free(p->mountpoint);
	free(p->dir);
}

/* Marks come and go: places that stay keep their record. */
static void canary_look(struct canary *c)
{
	struct canary_place found[CANARY_PLACES_MAX];
	struct canary_marks marks = { .places = found, .state_dir = c->o.state_dir };
	_cleanup_close_ int fd = open(c->o.state_dir, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		marks.state_dev = mounts_dev(fd, &st);
	watch_each_mark(c->watch, canary_take_mark, &marks);
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < marks.n; i++) {
		for (size_t k = 0; k < c->n; k++) {
			struct canary_place *old = &c->places[k];

			if (!old->mountpoint || !streq(old->mountpoint, found[i].mountpoint))
				continue;
			canary_place_free(&found[i]);
			found[i] = *old;
			old->mountpoint = old->dir = NULL;
		}
	}
	for (size_t k = 0; k < c->n; k++)
		canary_place_free(&c->places[k]);
	memcpy(c->places, found, marks.n * sizeof(found[0]));
	c->n = marks.n;
	pthread_mutex_unlock(&c->lock);
}

/* --- one test */

static char *canary_name(struct canary *c, const char *dir)
{
	char *path;

	if (asprintf(&path, "%s/" WATCH_CANARY_PREFIX "%d-%llu", streq(dir, "/") ? "" : dir, (int)getpid(),
		     (unsigned long long)++c->serial) < 0)
		return NULL;
	return path;
}

/* From here on events of this file are ours. */
static void canary_expect(struct canary *c, char *path)
{
	size_t slot = c->serial % CANARY_REMEMBERED;

	pthread_mutex_lock(&c->lock);
	free(c->files[slot]);
	c->files[slot] = path;
	c->waiting = path;
	c->came = false;
	pthread_mutex_unlock(&c->lock);
}

/* 0 and the time it took, -ETIMEDOUT, or why the file could not be written (then *ret_written stays false). */
static int canary_test(struct canary *c, const char *dir, bool *ret_written, uint64_t *ret_latency)
{
	char *path = canary_name(c, dir);
	uint64_t start = clock_mono_ns();
	struct timespec until;
	int fd, r = 0;

	if (!path)
		return -ENOMEM;
	canary_expect(c, path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*ret_written = true;
	if (write(fd, "canary\n", 7) != 7)
		r = -EIO;
	close(fd);
	pthread_mutex_lock(&c->lock);
	until = clock_timespec(clock_mono_ns() + c->o.deadline);
	while (!c->came && !c->stopping && r == 0) {
		if (pthread_cond_timedwait(&c->cond, &c->lock, &until) == ETIMEDOUT)
			r = c->came ? 0 : -ETIMEDOUT;
	}
	*ret_latency = clock_mono_ns() - start;
	c->waiting = NULL;
	if (r == 0 && !c->came)
		r = -ECANCELED;
	pthread_mutex_unlock(&c->lock);
	unlink(path);
	return r;
}

static void canary_result(struct canary *c, struct canary_place *p, int r, bool written, uint64_t latency)
{
	pthread_mutex_lock(&c->lock);
	p->time = clock_real_ns();
	p->tested = written;
	p->ok = r == 0;
	p->good += r == 0;
	p->bad += written && r < 0;
	if (r == 0)
		p->latency_ns = latency;
	snprintf(p->why, sizeof(p->why), "%s",
		 r == 0		   ? ""
		 : r == -ETIMEDOUT ? "the event did not come back in time"
				   : strerror(-r));
	pthread_mutex_unlock(&c->lock);
}

static void canary_place_test(struct canary *c, struct canary_place *p)
{
	bool written = false, failed_before = p->tested && !p->ok;
	uint64_t latency = 0;
	int r = canary_test(c, p->dir, &written, &latency);

	if (r == -ECANCELED)
		return;
	canary_result(c, p, r, written, latency);
	if (written && r < 0) {
		gapbook_open(c->o.gaps, GAP_CANARY, p->mountpoint, p->why, 0, 0);
	} else if (r == 0 && failed_before) {
		gapbook_end(c->o.gaps, GAP_CANARY, p->mountpoint, "the event path works again");
	}
}

static void *canary_main(void *data)
{
	struct canary *c = data;

	pthread_setname_np(pthread_self(), "canary");
	pthread_mutex_lock(&c->lock);
	while (!c->stopping) {
		struct timespec until;

		pthread_mutex_unlock(&c->lock);
		canary_look(c);
		/* The list is changed by this thread alone; others read it under the lock. */
		for (size_t i = 0; i < c->n && !c->stopping; i++)
			canary_place_test(c, &c->places[i]);
		pthread_mutex_lock(&c->lock);
		until = clock_timespec(clock_mono_ns() + (c->o.interval ? c->o.interval : 3600 * NSEC_PER_SEC));
		while (!c->stopping && !c->changed && pthread_cond_timedwait(&c->cond, &c->lock, &until) == 0)
			;
		c->changed = false;
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int canary_new(const struct canary_options *o, struct canary **ret)
{
	struct canary *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->o = *o;
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->cond);
	*ret = c;
	return 0;
}

int canary_start(struct canary *c, struct watch *watch)
{
	int r;

	c->watch = watch;
	c->stopping = false;
	r = -pthread_create(&c->thread, NULL, canary_main, c);
	c->running = r == 0;
	return r;
}

void canary_stop(struct canary *c)
{
	if (!c->running)
		return;
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	c->running = false;
}

static void canary_forget(struct canary *c)
{
	pthread_mutex_lock(&c->lock);
	while (c->n)
		canary_place_free(&c->places[--c->n]);
	pthread_mutex_unlock(&c->lock);
}

void canary_reload(struct canary *c, struct watch *watch, uint64_t interval, uint64_t deadline)
{
	pthread_mutex_lock(&c->lock);
	c->o.interval = interval;
	c->o.deadline = deadline;
	c->changed = c->running;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	if (interval && !c->running && canary_start(c, watch) < 0)
		log_error("the end-to-end test of the sensors does not run: no thread");
	if (!interval) {
		canary_stop(c);
		canary_forget(c);
	}
}

void canary_free(struct canary *c)
{
	canary_stop(c);
	canary_forget(c);
	for (size_t i = 0; i < CANARY_REMEMBERED; i++)
		free(c->files[i]);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->cond);
	free(c);
}

void canary_each(struct canary *c, void (*fn)(const struct canary_place *p, void *data), void *data)
{
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n; i++)
		fn(&c->places[i], data);
	pthread_mutex_unlock(&c->lock);
}
