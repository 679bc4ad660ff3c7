/* Runs the rows and compares what the sensor tells. */
#include "tests/watch/rows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"
#include "tests/watch/ops.h"
#include "tests/watch/sensor.h"

static bool cannot(int error)
{
	return error == ENOTSUP || error == ENOSYS || error == EINVAL || error == EPERM || error == ETXTBSY;
}

int rows_in_child(int (*run)(void), int *ret_pid)
{
	int status, pid = fork();

	if (!pid) {
		errno = 0;
		_exit(run() < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	*ret_pid = pid;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void check_path2(struct sensor *s, const char *where, const struct op_case *c, const struct op_expect *e)
{
	char path[256], path2[256];

	snprintf(path, sizeof(path), "%s/%s", where, e->name);
	snprintf(path2, sizeof(path2), "%s/%s", where, e->path2);
	for (uint32_t op = FS_RENAME_FROM; op <= FS_RENAME_TO; op <<= 1) {
		const struct fs_event *found = e->ops & op ? sensor_find(s, path, op) : NULL;

		if (!found || (*e->path2 ? found->path2 && streq(found->path2, path2) : !found->path2))
			continue;
		sensor_dump(s);
		fail_msg("%s: %s: path2 %s", c->name, path, found->path2 ? found->path2 : "none");
	}
}

/* A folder that came is looked through as a whole: inotify was too late for what came with it. */
static bool wait_rescan(struct sensor *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++)
		if ((s->events[i].ops & FS_RESCAN) && strncmp(path, s->events[i].path, strlen(s->events[i].path)) == 0)
			return true;
	return false;
}

static void check(struct sensor *s, const char *where, const struct op_case *c, const struct op_expect *e, int pid)
{
	uint32_t ops = e->ops;
	char path[256];

	/* inotify knows neither who nor of programs. */
	if (streq(watch_sensor(s->watch), "inotify")) {
		ops &= ~(uint32_t)FS_EXEC;
		pid = 0;
	}
	/* The passed descriptor is closed by whoever is last. */
	if (streq(c->name, "passed descriptor"))
		pid = -1;
	snprintf(path, sizeof(path), "%s/%s", where, e->name);
	if (pid == 0 && strchr(e->name, '/') && wait_rescan(s, path))
		return;
	if (!sensor_wait(s, path, ops, pid)) {
		sensor_dump(s);
		fail_msg("%s: %s: expected %#x, got %#x", c->name, path, ops, sensor_ops(s, path, pid));
	}
	if (e->path2)
		check_path2(s, where, c, e);
}

static void run_case(struct sensor *s, const char *where, const struct op_case *c)
{
	int error, pid;

	sensor_run("rm -rf -- * ../out/*");
	if (c->prepare)
		c->prepare();
	sensor_settle(s);
	error = rows_in_child(c->run, &pid);
	if (error && cannot(error)) {
		print_message("  not here: %s: %s\n", c->name, strerror(error));
		return;
	}
	if (error)
		fail_msg("%s: %s", c->name, strerror(error));
	for (const struct op_expect *e = c->expect; e->name; e++)
		check(s, where, c, e, pid);
}

void rows_run(const char *sensor, const char *base, const char *type)
{
	char point[128], image[128], where[160], out[160];
	const char *why = "mount refused";
	struct sensor s;

	snprintf(point, sizeof(point), "%s/%s", base, type);
	snprintf(image, sizeof(image), "%s/%s.img", base, type);
	snprintf(where, sizeof(where), "%s/guarded", point);
	snprintf(out, sizeof(out), "%s/out", point);
	if (sensor_mount(type, image, point, &why) < 0) {
		print_message("skipped: %s: %s\n", type, why);
		skip();
	}
	assert_int_equal(mkdir(where, 0755), 0);
	assert_int_equal(mkdir(out, 0755), 0);
	assert_int_equal(chdir(where), 0);
	sensor_start(&s, sensor, 256, false, "paths: [%s]\n", where);
	for (size_t i = 0; i < op_case_count; i++)
		run_case(&s, where, &op_cases[i]);
	assert_int_equal(chdir("/"), 0);
	/* A sensor that is quiet holds no file system. */
	sensor_settle(&s);
	assert_int_equal(umount(point), 0);
	sensor_stop(&s);
	unlink(image);
}
