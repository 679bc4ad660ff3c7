/* Helpers of the sensor tests: real kernel, real mounts, in a mount namespace that ends with the test. */
#include "tests/watch/sensor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/clock.h"
#include "lib/text.h"
#include "tests/test.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)
#define STEP_NS	    (20 * NSEC_PER_MSEC)

void sensor_own_namespace(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("SKIP: no mount namespace of our own: %s\n", strerror(errno));
		exit(77);
	}
}

const char *sensor_lacks_fanotify(void)
{
	_cleanup_close_ int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_QUEUE, O_RDONLY);

	return fd < 0 ? strerror(errno) : NULL;
}

void sensor_run(const char *command)
{
	int status = system(command);

	if (status)
		fail_msg("%s: status %d", command, status);
}

char sensor_base[64];

int sensor_setup(_unused_ void **state)
{
	snprintf(sensor_base, sizeof(sensor_base), "/tmp/holdfast-watch.XXXXXX");
	assert_non_null(mkdtemp(sensor_base));
	if (mount("tmpfs", sensor_base, "tmpfs", 0, "size=2g,mode=755") < 0)
		print_message("no tmpfs on %s: %s\n", sensor_base, strerror(errno));
	return 0;
}

int sensor_teardown(_unused_ void **state)
{
	umount2(sensor_base, MNT_DETACH);
	rmdir(sensor_base);
	return 0;
}

const char *at(const char *fmt, ...)
{
	static char ring[8][6000];
	static unsigned next;
	char *text = ring[next++ % 8];
	int n = snprintf(text, sizeof(ring[0]), "%s/", sensor_base);
	va_list args;

	va_start(args, fmt);
	vsnprintf(text + n, sizeof(ring[0]) - (size_t)n, fmt, args);
	va_end(args);
	return text;
}

void sh(const char *fmt, ...)
{
	char command[16384];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	sensor_run(command);
}

void expect(struct sensor *s, const char *path, uint32_t ops)
{
	if (sensor_wait(s, path, ops, -1))
		return;
	sensor_dump(s);
	fail_msg("%s: expected %#x, got %#x", path, ops, sensor_ops(s, path, -1));
}

static bool runs(const char *fmt, const char *a, const char *b)
{
	_cleanup_buf_ struct buf command = BUF_INIT;

	buf_printf(&command, "%s %s %s >/dev/null 2>&1", fmt, a, b);
	return system(command.data) == 0;
}

int sensor_mount(const char *type, const char *image, const char *point, const char **ret_why)
{
	_cleanup_buf_ struct buf mkfs = BUF_INIT, options = BUF_INIT;
	_cleanup_close_ int fd = -1;

	mkdir(point, 0755);
	if (streq(type, "tmpfs"))
		return mount("tmpfs", point, "tmpfs", 0, "mode=755") < 0 ? -errno : 0;
	fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 400 * (off_t)MIB) < 0)
		return -errno;
	buf_printf(&mkfs, "mkfs.%s %s", type, streq(type, "ext4") ? "-q -F" : "-q -f");
	*ret_why = "mkfs failed or is missing";
	if (!runs(mkfs.data, image, ""))
		return -ENOENT;
	buf_printf(&options, "mount -o loop -t %s", type);
	*ret_why = "no loop mount of this type";
	return runs(options.data, image, point) ? 0 : -ENODEV;
}

/* --- the sensor */

static void on_gap(const struct watch_gap *g, void *data)
{
	struct sensor *s = data;

	pthread_mutex_lock(&s->lock);
	if (s->n_gaps < ARRAY_SIZE(s->gaps)) {
		struct watch_gap *copy = &s->gaps[s->n_gaps++];

		*copy = *g;
		copy->scope = arena_strdup(&s->gap_arena, g->scope);
		copy->detail = arena_strdup(&s->gap_arena, g->detail);
	}
	pthread_mutex_unlock(&s->lock);
}

static struct conf *parse(const char *yaml)
{
	_cleanup_buf_ struct buf errors = BUF_INIT;
	struct conf *conf = NULL;

	if (conf_parse("test", yaml, strlen(yaml), &conf, &errors) < 0)
		fail_msg("%s", errors.data);
	return conf;
}

int sensor_try(struct sensor *s, const char *kind, size_t queue, bool small, const char *yaml)
{
	struct watch_options o = { .gap = on_gap, .data = s, .small_queue = small };

	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	s->conf = parse(yaml);
	assert_int_equal(queue_new(queue, &s->queue), 0);
	o.conf = s->conf;
	o.out = s->queue;
	return watch_start(&o, kind, &s->watch, &s->err);
}

void sensor_start(struct sensor *s, const char *kind, size_t queue, bool small, const char *yaml, ...)
{
	char line[8192];
	va_list args;
	int r;

	va_start(args, yaml);
	vsnprintf(line, sizeof(line), yaml, args);
	va_end(args);
	r = sensor_try(s, kind, queue, small, line);
	if (r < 0)
		fail_msg("watch_start: %s: %s", strerror(-r), s->err.data ? s->err.data : "");
}

void sensor_reload(struct sensor *s, const char *yaml, ...)
{
	struct conf *conf;
	char line[8192];
	va_list args;

	va_start(args, yaml);
	vsnprintf(line, sizeof(line), yaml, args);
	va_end(args);
	conf = parse(line);
	assert_int_equal(watch_reload(s->watch, conf), 0);
	conf_unref(s->conf);
	s->conf = conf;
}

static void take_batch(struct sensor *s, struct fs_batch *b)
{
	for (uint32_t i = 0; i < b->n; i++) {
		struct fs_event *e;

		if (s->n == s->room) {
			s->room = MAX(s->room * 2, 1024U);
			s->events = realloc(s->events, s->room * sizeof(*s->events));
			assert_non_null(s->events);
		}
		e = &s->events[s->n++];
		*e = b->events[i];
		e->process = NULL;
		e->path = arena_strdup(&s->arena, e->path);
		e->path2 = e->path2 ? arena_strdup(&s->arena, e->path2) : NULL;
		e->text = e->text ? arena_strdup(&s->arena, e->text) : NULL;
	}
	fs_batch_free(b);
}

bool sensor_take(struct sensor *s)
{
	int timed_out;
	struct fs_batch *b = queue_pop_until(s->queue, clock_mono_ns() + STEP_NS, &timed_out);

	if (!b)
		return false;
	take_batch(s, b);
	return true;
}

static void clear(struct sensor *s)
{
	arena_free(&s->arena);
	s->n = 0;
}

/* The canary prefix is always passed on: once a canary came back, what was before it did too. */
void sensor_settle(struct sensor *s)
{
	const char *guarded = s->conf->scope.paths[0].path;
	_cleanup_buf_ struct buf path = BUF_INIT;
	static unsigned count;

	buf_printf(&path, "%s/%ssettle%u", guarded, WATCH_CANARY_PREFIX, count++);
	sensor_write(path.data, "");
	assert_true(sensor_wait(s, path.data, FS_CREATE, -1));
	unlink(path.data);
	assert_true(sensor_wait(s, path.data, FS_DELETE, -1));
	clear(s);
}

void sensor_stop(struct sensor *s)
{
	if (s->watch)
		watch_stop(s->watch);
	if (s->queue) {
		queue_close(s->queue);
		for (struct fs_batch *b; (b = queue_pop(s->queue));)
			fs_batch_free(b);
		queue_free(s->queue);
	}
	if (s->conf)
		conf_unref(s->conf);
	clear(s);
	free(s->events);
	arena_free(&s->gap_arena);
	buf_free(&s->err);
	pthread_mutex_destroy(&s->lock);
	memset(s, 0, sizeof(*s));
}

uint32_t sensor_ops(struct sensor *s, const char *path, int pid)
{
	uint32_t ops = 0;

	for (size_t i = 0; i < s->n; i++)
		if (streq(s->events[i].path, path) && (pid == -1 || s->events[i].pid == pid))
			ops |= s->events[i].ops;
	return ops;
}

const struct fs_event *sensor_find(struct sensor *s, const char *path, uint32_t ops)
{
	for (size_t i = 0; i < s->n; i++)
		if (streq(s->events[i].path, path) && (s->events[i].ops & ops) == ops)
			return &s->events[i];
	return NULL;
}

bool sensor_wait(struct sensor *s, const char *path, uint32_t ops, int pid)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	while ((sensor_ops(s, path, pid) & ops) != ops) {
		if (clock_mono_ns() > deadline)
			return false;
		sensor_take(s);
	}
	return true;
}

static bool has_gap(struct sensor *s, enum gap_reason reason, const char *scope, bool closed)
{
	bool found = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_gaps; i++)
		found |= s->gaps[i].reason == reason && s->gaps[i].closed == closed &&
			 (!scope || streq(s->gaps[i].scope, scope));
	pthread_mutex_unlock(&s->lock);
	return found;
}

bool sensor_wait_gap(struct sensor *s, enum gap_reason reason, const char *scope, bool closed)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	while (!has_gap(s, reason, scope, closed)) {
		if (clock_mono_ns() > deadline)
			return false;
		sensor_take(s);
	}
	return true;
}

void sensor_dump(struct sensor *s)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (size_t i = 0; i < s->n && i < 100; i++) {
		const struct fs_event *e = &s->events[i];

		buf_reset(&b);
		text_escape(&b, e->path, MIN(strlen(e->path), 300U));
		buf_str(&b, " -> ");
		if (e->path2)
			text_escape(&b, e->path2, MIN(strlen(e->path2), 300U));
		print_message("  ops %#x pid %d dir %d %s %s\n", e->ops, e->pid, e->is_dir, b.data,
			      e->text ? e->text : "");
	}
	for (size_t i = 0; i < s->n_gaps; i++)
		print_message("  gap %d %s: %s lost %llu key %llu closed %d\n", s->gaps[i].reason, s->gaps[i].scope,
			      s->gaps[i].detail, (unsigned long long)s->gaps[i].lost,
			      (unsigned long long)s->gaps[i].key, s->gaps[i].closed);
}

void sensor_write(const char *path, const char *content)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, content, strlen(content)) < 0)
		fail_msg("%s: %s", path, strerror(errno));
}
