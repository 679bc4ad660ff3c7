/* See rig.h. */
#include "tests/fim/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fim/baseline.h"
#include "lib/clock.h"

#define RIG_DEADLINE (60 * NSEC_PER_SEC)
#define FENCE	     "zz-fence-"
#define ARRIVAL	     WATCH_CANARY_PREFIX "rig-"

static void rig_emit(struct event *e, void *data)
{
	struct rig *r = data;

	pthread_mutex_lock(&r->lock);
	if (r->n < RIG_EVENTS_MAX)
		r->events[r->n++] = event_ref(e);
	pthread_mutex_unlock(&r->lock);
}

static void rig_noticed(const char *path, bool linked, bool sensitive, void *data)
{
	struct rig *r = data;

	if (linked)
		watch_add_linked(r->watch, path);
	if (sensitive)
		watch_mark_sensitive(r->watch, path);
}

/* While it is held nothing is looked at. */
static size_t rig_room(void *data)
{
	return ((struct rig *)data)->held ? 0 : SIZE_MAX;
}

static bool rig_arrival(const struct fs_event *e, void *data)
{
	struct rig *r = data;
	const char *number = strstr(e->path, ARRIVAL);

	if (number)
		atomic_store(&r->arrived, (unsigned)atoi(number + strlen(ARRIVAL)));
	return true;
}

static void rig_gap(const struct watch_gap *g, void *data)
{
	(void)g;
	((struct rig *)data)->gaps++;
}

void rig_make(struct rig *r)
{
	char path[128];

	memset(r, 0, sizeof(*r));
	pthread_mutex_init(&r->lock, NULL);
	snprintf(r->dir, sizeof(r->dir), "/tmp/live.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	static const char *const names[] = { "g", "out", "state" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", r->dir, names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	snprintf(r->db_path, sizeof(r->db_path), "%s/state/holdfast.db", r->dir);
	r->db.path = r->db_path;
}

static void rig_configure(struct rig *r, const char *yaml)
{
	_cleanup_buf_ struct buf text = BUF_INIT, err = BUF_INIT;

	if (!yaml || !strstr(yaml, "paths:"))
		buf_printf(&text, "paths: [%s/g]\n", r->dir);
	for (const char *p = yaml; p && *p; p++) {
		if (*p == '@')
			buf_str(&text, r->dir);
		else
			buf_char(&text, *p);
	}
	if (conf_parse("rig", text.data, text.len, &r->conf, &err) < 0)
		fail_msg("%s", err.data);
}

void rig_baseline(struct rig *r, const char *yaml)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_db_ struct db *d = NULL;
	struct fim_init_options o = { .name = "host", .kind = BASELINE_HOST, .root = "/", .replace = true };
	char key[128];

	if (!r->conf)
		rig_configure(r, yaml);
	snprintf(key, sizeof(key), "%s/state/signing.key", r->dir);
	if (db_open(&r->db, DB_CREATE, &d, &err) < 0 || sign_key_load(key, 1, &r->key, &err) < 0)
		fail_msg("%s", err.data);
	history_set_key(d, r->key);
	o.common.rootfd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	o.scope = &r->conf->scope;
	o.algo = r->conf->store.digest;
	o.key = r->key;
	if (fim_init(d, &o, NULL, &err) < 0)
		fail_msg("%s", err.data);
	close(o.common.rootfd);
}

static uint64_t rig_seen(void *data)
{
	struct rig *r = data;

	return r->late ?: watch_seen(r->watch);
}

void rig_start(struct rig *r, const char *sensor)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct watch_options w = { .conf = r->conf, .gap = rig_gap, .data = r };
	struct live_options l = { .conf = r->conf,
				  .db = &r->db,
				  .baseline = "host",
				  .emit = rig_emit,
				  .noticed = rig_noticed,
				  .gap = rig_gap,
				  .known = r->known,
				  .room = rig_room,
				  .seen = rig_seen,
				  .canary = rig_arrival,
				  .data = r };

	assert_int_equal(mime_new(&r->mime), 0);
	l.mime = r->mime;
	snprintf(r->state, sizeof(r->state), "%s/state", r->dir);
	assert_int_equal(proc_table_new("/proc", 4096, &r->procs), 0);
	if (connector_start(&(struct connector_options){ .procs = r->procs }, &r->connector, &err) < 0)
		r->connector = NULL;
	proc_table_scan(r->procs);
	assert_int_equal(queue_new(1024, &r->inbox), 0);
	w.procs = r->procs;
	w.out = r->inbox;
	w.state_dir = r->state; /* borrowed as long as it runs */
	if (!streq(sensor, "none") && watch_start(&w, sensor, &r->watch, &err) < 0)
		fail_msg("%s", err.data);
	l.in = r->inbox;
	if (live_start(&l, &r->live, &err) < 0)
		fail_msg("%s", err.data);
}

struct live *rig_left_behind;

void rig_stop(struct rig *r)
{
	struct fs_batch *b;

	if (!r->live)
		return;
	r->left_behind = live_stop(r->live);
	if (r->left_behind)
		rig_left_behind = r->live;
	if (r->watch)
		watch_stop(TAKE_PTR(r->watch));
	queue_close(r->inbox);
	while ((b = queue_pop(r->inbox)))
		fs_batch_free(b);
	if (!r->left_behind) {
		queue_free(r->inbox);
		mime_free(r->mime);
	}
	if (r->connector)
		connector_stop(r->connector);
	proc_table_free(r->procs);
	r->live = NULL;
}

void rig_forget(struct rig *r)
{
	pthread_mutex_lock(&r->lock);
	while (r->n > 0)
		event_unref(r->events[--r->n]);
	pthread_mutex_unlock(&r->lock);
}

void rig_free(struct rig *r)
{
	char command[128];

	rig_stop(r);
	rig_forget(r);
	conf_unref(r->conf);
	if (r->key)
		sign_key_free(r->key);
	snprintf(command, sizeof(command), "rm -rf '%s'", r->dir);
	assert_int_equal(system(command), 0);
}

void rig_shell(const struct rig *r, const char *dir, const char *script)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	int status;

	buf_printf(&text, "set -e; G=%s/g OUT=%s/out; cd '%s/%s'; %s", r->dir, r->dir, r->dir, dir, script);
	status = system(text.data);
	if (status != 0)
		fail_msg("script failed: %s", text.data);
}

static bool rig_fence_came(struct rig *r, const char *path)
{
	bool came = false;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++)
		came |= r->events[i]->path && streq(r->events[i]->path, path);
	pthread_mutex_unlock(&r->lock);
	return came;
}

/* By a child: what the daemon's own process does is no news. */
static void rig_make_fence(const char *path)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

		_exit(fd >= 0 && write(fd, "x", 1) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

void rig_hold(struct rig *r)
{
	r->held = true;
}

/* All that has happened before is with the live thread when this file is. */
static void rig_release(struct rig *r)
{
	const struct timespec step = { 0, 2 * (long)NSEC_PER_MSEC };
	uint64_t deadline = clock_mono_ns() + RIG_DEADLINE;
	char path[160];

	snprintf(path, sizeof(path), "%s/g/" ARRIVAL "%u", r->dir, ++r->arrivals);
	rig_make_fence(path);
	while (atomic_load(&r->arrived) != r->arrivals) {
		if (clock_mono_ns() > deadline)
			fail_msg("%s does not arrive", path);
		nanosleep(&step, NULL);
	}
	unlink(path);
	r->held = false;
}

/* A file of ours goes the same way as everything before it; then nothing may be left to do. */
void rig_settle(struct rig *r)
{
	const struct timespec step = { 0, 2 * (long)NSEC_PER_MSEC };
	uint64_t deadline = clock_mono_ns() + RIG_DEADLINE;
	struct live_stats s;
	char path[160];

	if (r->held)
		rig_release(r);
	snprintf(path, sizeof(path), "%s/g/" FENCE "%u", r->dir, r->fences++);
	rig_make_fence(path);
	for (;;) {
		live_get_stats(r->live, &s);
		if (rig_fence_came(r, path) && !s.pending && !s.merging && !s.rescans_waiting && !queue_depth(r->inbox))
			return;
		if (clock_mono_ns() > deadline)
			fail_msg("not settled: fence %d, pending %zu, rescans %zu", rig_fence_came(r, path), s.pending,
				 s.rescans_waiting);
		nanosleep(&step, NULL);
	}
}

static int rig_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Relative to the folder `below` (with its slash); NULL when it is not in it. The folder itself is "". */
static const char *rig_relative(const char *path, const char *below)
{
	size_t len = strlen(below);

	if (path && strncmp(path, below, len) == 0)
		return path + len;
	return path && strlen(path) == len - 1 && strncmp(path, below, len - 1) == 0 ? "" : NULL;
}

static char *rig_line(const struct event *e, const char *below)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const char *what = e->kind == EVENT_OPEN ? "opened" : change_names[e->change];
	const char *path = rig_relative(e->path, below), *path2 = rig_relative(e->path2, below);

	if ((!path && !path2) || strstr(e->path, FENCE) || (e->kind != EVENT_CHANGE && e->kind != EVENT_OPEN))
		return NULL;
	buf_printf(&b, "%s %s", what, path ? path : e->path);
	if (e->path2)
		buf_printf(&b, " -> %s", path2 ? path2 : e->path2);
	return TAKE_PTR(b.data);
}

char *rig_told(struct rig *r, const char *dir)
{
	char *lines[RIG_EVENTS_MAX], below[160];
	struct buf b = BUF_INIT;
	size_t n = 0;

	snprintf(below, sizeof(below), "%s/%s/", r->dir, dir);
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++) {
		lines[n] = rig_line(r->events[i], below);
		n += lines[n] != NULL;
	}
	pthread_mutex_unlock(&r->lock);
	qsort(lines, n, sizeof(*lines), rig_compare);
	buf_str(&b, "");
	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "%s%s", i ? "; " : "", lines[i]);
		free(lines[i]);
	}
	return b.data;
}

struct event *rig_find(struct rig *r, const char *path, enum change change)
{
	struct event *found = NULL;
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", r->dir, path);
	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->n; i++) {
		struct event *e = r->events[i];

		if (e->path && streq(e->path, full) && e->kind == EVENT_CHANGE && e->change == change)
			found = e;
	}
	pthread_mutex_unlock(&r->lock);
	return found;
}
