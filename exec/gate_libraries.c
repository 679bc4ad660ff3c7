/*
 * The thread "libraries": what processes have mapped to run besides their own program, looked at a moment after the
 * exec, when the loader has done its work, and twice more for what came later. What it finds goes to the workers as
 * something that runs already; nothing is killed for it. Its room is bounded, what finds none is counted as lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "exec/gate_late.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "lib/util.h"

#define LOOKS_MAX  4096 /* processes to look at */
#define SEEN_MAX   64	/* files of one, looked at before */
#define MAPS_MAX   (8 * MIB)
#define MAPS_LINE  512 /* what is needed of a line stands at its beginning */
#define STAGES	   3
#define STAGE_WORK 128 /* files handed over for one process at a time */

/* The later looks find what a program loads by itself as it begins, and what a loader did that had to wait. */
static const uint64_t delays[STAGES] = { 10 * NSEC_PER_MSEC, 300 * NSEC_PER_MSEC, 3 * NSEC_PER_SEC };

struct look {
	TAILQ_ENTRY(look) link;
	int32_t pid;
	bool named; /* its environment asked for it: that nothing could be seen is worth a word */
	uint64_t due;
	unsigned stage;
	size_t n_seen;
	uint64_t seen[SEEN_MAX];
};

TAILQ_HEAD(look_list, look);

struct libraries {
	struct gate *g;
	pthread_t thread;
	pthread_mutex_t lock; /* never held over I/O */
	pthread_cond_t wake;
	bool end;
	struct look_list free, waiting[STAGES]; /* in the order in which they are due */
	size_t n_looks;				/* that were ever used: the rest of the room is not touched */
	struct look looks[LOOKS_MAX];
};

/* --- one line of maps */

struct mapping {
	const char *range; /* "start-end", as map_files calls it */
	size_t range_len;
	uint64_t key; /* tells files of one process apart */
	bool in_memory;
};

/* True for what is mapped to run from a file. */
static bool parse_line(char *line, struct mapping *ret)
{
	char *perms = strchr(line, ' '), *at, *path;
	unsigned major, minor;
	uint64_t ino;

	if (!perms || strlen(perms) < 6 || perms[3] != 'x')
		return false;
	ret->range = line;
	ret->range_len = (size_t)(perms - line);
	at = strchr(perms + 1, ' ');
	at = at ? strchr(at + 1, ' ') : NULL;
	if (!at || sscanf(at, " %x:%x %lu", &major, &minor, &ino) != 3 || ino == 0)
		return false;
	path = strpbrk(at, "/[");
	if (!path || *path != '/')
		return false;
	ret->key = (ino ^ (uint64_t)major << 52 ^ (uint64_t)minor << 32) | 1;
	ret->in_memory = strncmp(path, "/memfd:", 7) == 0;
	return true;
}

static bool was_seen(struct look *k, uint64_t key)
{
	for (size_t i = 0; i < k->n_seen; i++)
		if (k->seen[i] == key)
			return true;
	if (k->n_seen < SEEN_MAX)
		k->seen[k->n_seen++] = key;
	return false;
}

/* --- one process */

/* A verdict that was given for this version of the file, and says that all is well, needs nobody's time. */
static bool is_fine(struct gate *g, const struct slot *s)
{
	const struct judgement *known = NULL;

	if (!s->leased)
		return false;
	pthread_mutex_lock(&g->lock);
	known = cache_find(g->cache, &s->id, g->generation);
	if (known)
		gate_count(g, COUNT_CACHED, 1);
	bool fine = known && known->verdict == EXEC_ALLOWED;
	pthread_mutex_unlock(&g->lock);
	return fine;
}

static void hand_over(struct gate *g, const struct slot *found, bool judged, enum gate_reason reason)
{
	struct slot *s;

	pthread_mutex_lock(&g->lock);
	s = slot_take(g, found->pid);
	if (s) {
		s->origin = SLOT_LIBRARY;
		s->role = GATE_LIBRARY;
		s->fd = found->fd;
		s->id = found->id;
		s->uid = found->uid;
		s->gid = found->gid;
		s->mode = found->mode;
		s->leased = found->leased;
		s->late_reason = s->j.reason = reason;
		s->seen = s->answered = true;
		s->judged = judged;
		s->born_ns = clock_mono_ns();
		s->boot_ns = clock_boot_ns();
		s->real_ns = clock_real_ns();
		if (judged)
			slot_settle(g, s);
		else
			slot_queue(g, s);
	} else {
		gate_count(g, COUNT_LOST, 1);
	}
	pthread_mutex_unlock(&g->lock);
	if (!s && found->fd >= 0)
		close(found->fd);
}

static void look_at_file(struct gate *g, int dir, int32_t pid, const struct file_id *exe, const struct mapping *m)
{
	struct slot found = { .fd = -1, .pidfd = -1, .pid = pid };
	_cleanup_close_ int at = -1;
	char path[80];
	int r;

	snprintf(path, sizeof(path), "map_files/%.*s", (int)MIN(m->range_len, (size_t)64), m->range);
	at = openat(dir, path, O_PATH | O_CLOEXEC);
	if (at < 0)
		return; /* unmapped since */
	r = late_open_file(g, &found, at, m->in_memory);
	if (r < 0) {
		if (r != -ESRCH && r != -ENOENT)
			hand_over(g, &found, true, GATE_UNREADABLE);
		return;
	}
	if ((found.id.dev == exe->dev && found.id.ino == exe->ino) || is_fine(g, &found)) {
		close(found.fd);
		return;
	}
	hand_over(g, &found, false, GATE_LIBRARY_UNKNOWN);
}

/* 0 when its maps could be read. */
static int look_at(struct gate *g, struct look *k)
{
	_cleanup_close_ int dir = -1;
	_cleanup_fclose_ FILE *f = NULL;
	struct file_id exe = { 0 };
	char line[MAPS_LINE], path[40];
	size_t total = 0, work = 0;
	bool inside = false;
	int fd;

	snprintf(path, sizeof(path), "%d", k->pid);
	dir = openat(g->proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fd = dir < 0 ? -1 : openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f || late_identify(k->pid, &exe) < 0) {
		if (fd >= 0 && !f)
			close(fd);
		return -ESRCH;
	}
	while (total < MAPS_MAX && work < STAGE_WORK && fgets(line, sizeof(line), f)) {
		bool begins = !inside;
		struct mapping m;

		inside = !strchr(line, '\n');
		total += strlen(line);
		if (!begins || !parse_line(line, &m) || was_seen(k, m.key))
			continue;
		work++;
		look_at_file(g, dir, k->pid, &exe, &m);
	}
	if (total >= MAPS_MAX || work == STAGE_WORK)
		gate_count(g, COUNT_LOST, 1);
	return total ? 0 : -ESRCH;
}

/* --- the thread */

/* With the lock held: the next one that is due; else NULL, and when to look again in ret_until. */
static struct look *next_due(struct libraries *l, uint64_t *ret_until)
{
	uint64_t now = clock_mono_ns();

	*ret_until = now + NSEC_PER_SEC;
	for (unsigned i = 0; i < STAGES; i++) {
		struct look *k = TAILQ_FIRST(&l->waiting[i]);

		if (!k)
			continue;
		if (k->due <= now) {
			TAILQ_REMOVE(&l->waiting[i], k, link);
			return k;
		}
		*ret_until = MIN(*ret_until, k->due);
	}
	return NULL;
}

static void wait_until(struct libraries *l, uint64_t until)
{
	struct timespec t = { (time_t)(until / NSEC_PER_SEC), (long)(until % NSEC_PER_SEC) };

	pthread_cond_timedwait(&l->wake, &l->lock, &t);
}

static void *run(void *data)
{
	struct libraries *l = data;

	pthread_setname_np(pthread_self(), "libraries");
	pthread_mutex_lock(&l->lock);
	while (!l->end) {
		uint64_t until;
		struct look *k = next_due(l, &until);
		int r;

		if (!k) {
			wait_until(l, until);
			continue;
		}
		pthread_mutex_unlock(&l->lock);
		r = look_at(l->g, k);
		if (r < 0 && k->stage == 0 && k->named)
			hand_over(l->g, &(struct slot){ .fd = -1, .pid = k->pid }, true, GATE_GONE);
		pthread_mutex_lock(&l->lock);
		if (r == 0 && ++k->stage < STAGES) {
			k->due = clock_mono_ns() + delays[k->stage];
			TAILQ_INSERT_TAIL(&l->waiting[k->stage], k, link);
		} else {
			TAILQ_INSERT_HEAD(&l->free, k, link);
		}
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int libraries_start(struct gate *g)
{
	struct libraries *l = calloc(1, sizeof(*l));
	pthread_condattr_t monotonic;
	int r;

	if (!l)
		return -ENOMEM;
	l->g = g;
	TAILQ_INIT(&l->free);
	for (unsigned i = 0; i < STAGES; i++)
		TAILQ_INIT(&l->waiting[i]);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = -pthread_create(&l->thread, NULL, run, l);
	if (r == 0)
		g->libraries = l;
	else
		free(l);
	return r;
}

void libraries_stop(struct gate *g)
{
	struct libraries *l = TAKE_PTR(g->libraries);

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->end = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	pthread_cond_destroy(&l->wake);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void gate_look_at_libraries(struct gate *g, int32_t pid, bool named)
{
	struct libraries *l = g->libraries;
	struct look *k;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	k = TAILQ_FIRST(&l->free);
	if (k)
		TAILQ_REMOVE(&l->free, k, link);
	else if (l->n_looks < LOOKS_MAX)
		k = &l->looks[l->n_looks++];
	if (k) {
		k->pid = pid;
		k->named = named;
		k->stage = 0;
		k->n_seen = 0;
		k->due = clock_mono_ns() + delays[0];
		TAILQ_INSERT_TAIL(&l->waiting[0], k, link);
		if (TAILQ_FIRST(&l->waiting[0]) == k)
			pthread_cond_signal(&l->wake);
	}
	pthread_mutex_unlock(&l->lock);
	if (!k)
		gate_count(g, COUNT_UNLOOKED, 1);
}
