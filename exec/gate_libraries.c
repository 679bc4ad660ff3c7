/*
 * The thread "libraries": what processes have mapped to run besides their own program, looked at a moment after the
 * exec, when the loader has done its work, and twice more for what came later; after that, what the kernel told of.
 * What it finds goes to the workers as something that runs already; nothing is killed for it. Its room is bounded, what
 * finds none is counted as lost.
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
#define LATE	   STAGES /* one look at the mappings that it is for */
#define LATE_MAX   16	  /* of those; where there are more, all are looked at */
#define BUCKETS	   1024
#define STAGE_WORK 128 /* files handed over for one process at a time */

/* The later looks find what a program loads by itself as it begins, and what a loader did that had to wait. */
static const uint64_t delays[STAGES + 1] = { 10 * NSEC_PER_MSEC, 300 * NSEC_PER_MSEC,
					     3 * NSEC_PER_SEC, [LATE] = 10 * NSEC_PER_MSEC };

struct look {
	TAILQ_ENTRY(look) link;
	LIST_ENTRY(look) by_pid; /* while it waits */
	int32_t pid;
	bool named; /* its environment asked for it: that nothing could be seen is worth a word */
	uint64_t due;
	unsigned stage;
	size_t n_seen, n_late; /* n_late above LATE_MAX: not all of them */
	uint64_t seen[SEEN_MAX];
	uint64_t late[LATE_MAX]; /* addresses */
};

TAILQ_HEAD(look_list, look);

struct libraries {
	struct gate *g;
	pthread_t thread;
	pthread_mutex_t lock; /* never held over I/O */
	pthread_cond_t wake;
	bool end;
	struct look_list free, waiting[STAGES + 1]; /* in the order in which they are due */
	LIST_HEAD(, look) pids[BUCKETS];
	size_t n_looks; /* that were ever used: the rest of the room is not touched */
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
	ret->key = ino ^ (uint64_t)major << 52 ^ (uint64_t)minor << 32;
	ret->in_memory = strncmp(path, "/memfd:", 7) == 0;
	return true;
}

/* Its addresses: what begins there may have been joined with what lies beside it. */
static bool is_wanted(const struct look *k, const struct mapping *m)
{
	uint64_t from, to;

	if (k->stage != LATE || k->n_late > LATE_MAX)
		return true;
	if (sscanf(m->range, "%lx-%lx", &from, &to) != 2)
		return false;
	for (size_t i = 0; i < k->n_late; i++)
		if (k->late[i] >= from && k->late[i] < to)
			return true;
	return false;
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
		/* Whose process ended meanwhile was not there any more. */
		if (r != -ESRCH && r != -ENOENT && late_identify(pid, &(struct file_id){ 0 }) == 0)
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
		if (!begins || !parse_line(line, &m) || !is_wanted(k, &m) || was_seen(k, m.key))
			continue;
		work++;
		look_at_file(g, dir, k->pid, &exe, &m);
	}
	if (total >= MAPS_MAX || work == STAGE_WORK)
		gate_count(g, COUNT_LOST, 1);
	return total ? 0 : -ESRCH;
}

/* --- who waits, with the lock held */

static struct look *find_look(struct libraries *l, int32_t pid)
{
	struct look *k;

	LIST_FOREACH(k, &l->pids[(uint32_t)pid % BUCKETS], by_pid)
	if (k->pid == pid)
		return k;
	return NULL;
}

static void look_waits(struct libraries *l, struct look *k, unsigned stage)
{
	struct look_list *list = &l->waiting[stage];

	k->stage = stage;
	k->due = clock_mono_ns() + delays[stage];
	TAILQ_INSERT_TAIL(list, k, link);
	LIST_INSERT_HEAD(&l->pids[(uint32_t)k->pid % BUCKETS], k, by_pid);
	if (TAILQ_FIRST(list) == k)
		pthread_cond_signal(&l->wake);
}

static void look_leaves(struct libraries *l, struct look *k)
{
	TAILQ_REMOVE(&l->waiting[k->stage], k, link);
	LIST_REMOVE(k, by_pid);
}

/* NULL: no room. */
static struct look *new_look(struct libraries *l, int32_t pid)
{
	struct look *k = TAILQ_FIRST(&l->free);

	if (k)
		TAILQ_REMOVE(&l->free, k, link);
	else if (l->n_looks < LOOKS_MAX)
		k = &l->looks[l->n_looks++];
	if (k) {
		k->pid = pid;
		k->named = false;
		k->n_seen = k->n_late = 0;
	}
	return k;
}

/* --- the thread */

/* With the lock held: the next one that is due; else NULL, and when to look again in ret_until. */
static struct look *next_due(struct libraries *l, uint64_t *ret_until)
{
	uint64_t now = clock_mono_ns();

	*ret_until = now + NSEC_PER_SEC;
	for (unsigned i = 0; i <= LATE; i++) {
		struct look *k = TAILQ_FIRST(&l->waiting[i]);

		if (!k)
			continue;
		if (k->due <= now) {
			look_leaves(l, k);
			return k;
		}
		*ret_until = MIN(*ret_until, k->due);
	}
	return NULL;
}

static void wait_until(struct libraries *l, uint64_t until)
{
	struct timespec t = clock_timespec(until);

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
		if (r == 0 && k->stage + 1 < STAGES)
			look_waits(l, k, k->stage + 1);
		else
			TAILQ_INSERT_HEAD(&l->free, k, link);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int libraries_start(struct gate *g)
{
	struct libraries *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->g = g;
	TAILQ_INIT(&l->free);
	for (unsigned i = 0; i <= LATE; i++)
		TAILQ_INIT(&l->waiting[i]);
	pthread_mutex_init(&l->lock, NULL);
	clock_cond_init(&l->wake);
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
	k = find_look(l, pid);
	/* What it ran before is gone. But nobody has looked yet: what was asked for is owed. */
	if (k)
		look_leaves(l, k);
	named |= k && k->stage == 0 && k->named;
	if (k)
		TAILQ_INSERT_HEAD(&l->free, k, link);
	k = new_look(l, pid);
	if (k) {
		k->named = named;
		look_waits(l, k, 0);
	}
	pthread_mutex_unlock(&l->lock);
	if (!k)
		gate_look_lost(g, 1);
}

void gate_look_at_mapping(struct gate *g, int32_t pid, uint64_t address)
{
	struct libraries *l = g->libraries;
	struct look *k;

	pthread_mutex_lock(&l->lock);
	k = find_look(l, pid);
	if (!k) {
		k = new_look(l, pid);
		if (k)
			look_waits(l, k, LATE);
	} else if (k->stage > 0 && k->stage < LATE) {
		/* Sooner, then; what was seen before is left alone, and what comes later will be told. */
		look_leaves(l, k);
		k->n_late = LATE_MAX + 1;
		look_waits(l, k, LATE);
	}
	if (k && k->stage == LATE) {
		if (k->n_late < LATE_MAX)
			k->late[k->n_late] = address;
		if (k->n_late <= LATE_MAX)
			k->n_late++;
	}
	pthread_mutex_unlock(&l->lock);
	if (!k)
		gate_look_lost(g, 1);
}

void gate_look_lost(struct gate *g, uint64_t n)
{
	gate_count(g, COUNT_UNLOOKED, n);
}
