/* The inotify sensor: the same rows, its tree of watches, its limits, and as a stand-in for single mounts. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"
#include "tests/watch/rows.h"
#include "tests/watch/sensor.h"

#define WRITTEN	   (FS_MODIFY | FS_CLOSE_WRITE)
#define LIMIT_FILE "/proc/sys/user/max_inotify_watches"

static void test_rows(_unused_ void **state)
{
	rows_run("inotify", sensor_base, "tmpfs");
}

static void test_tree(_unused_ void **state)
{
	struct watch_stats stats;
	struct sensor s;

	sh("mkdir -p %s %s %s %s", at("tree/in/a/b/c"), at("tree/out/x/y"), at("tree/in/skip/s"), at("tree/way"));
	sensor_start(&s, "inotify", 64, false, "paths: [%s, %s]\nexclude: [%s]\n", at("tree/in"),
		     at("tree/way/later/f"), at("tree/in/skip"));
	/* Moved within: what is below goes on under the new name. */
	sh("mv %s %s; echo x > %s", at("tree/in/a"), at("tree/in/A"), at("tree/in/A/b/c/f"));
	expect(&s, at("tree/in/a"), FS_RENAME_FROM);
	expect(&s, at("tree/in/A"), FS_RENAME_TO);
	assert_string_equal(sensor_find(&s, at("tree/in/A"), FS_RENAME_TO)->path2, at("tree/in/a"));
	expect(&s, at("tree/in/A/b/c/f"), FS_CREATE | WRITTEN);
	/* Moved in: looked through, then watched. */
	sh("mv %s %s", at("tree/out/x"), at("tree/in/x"));
	expect(&s, at("tree/in/x"), FS_RENAME_TO | FS_RESCAN);
	sh("echo x > %s", at("tree/in/x/y/f"));
	expect(&s, at("tree/in/x/y/f"), FS_CREATE | WRITTEN);
	/* Moved out: watched no more. */
	sh("mv %s %s", at("tree/in/x"), at("tree/out/z"));
	expect(&s, at("tree/in/x"), FS_RENAME_FROM);
	assert_null(sensor_find(&s, at("tree/in/x"), FS_RENAME_FROM)->path2);
	sensor_settle(&s);
	sh("echo x > %s; echo x > %s", at("tree/out/z/y/f"), at("tree/in/skip/s/f"));
	sensor_settle(&s);
	assert_int_equal(sensor_ops(&s, at("tree/in/x/y/f"), -1), 0);
	assert_int_equal(sensor_ops(&s, at("tree/in/skip/s/f"), -1), 0);
	/* A configured path that comes to be. */
	sh("mkdir %s; echo x > %s", at("tree/way/later"), at("tree/way/later/f"));
	expect(&s, at("tree/way/later"), FS_RESCAN);
	sh("echo x > %s", at("tree/way/later/f"));
	expect(&s, at("tree/way/later/f"), WRITTEN);
	watch_get_stats(s.watch, &stats);
	assert_true(stats.watches >= 5 && stats.watches < 20);
	sensor_stop(&s);
}

static void test_opens(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s; echo x > %s; echo x > %s", at("opens/in"), at("opens/home/a/.ssh"), at("opens/in/shadow"),
	   at("opens/home/a/.ssh/id"));
	sensor_start(&s, "inotify", 64, false, "paths: [%s]\nsensitive: [%s, '%s']\n", at("opens/in"),
		     at("opens/in/shadow"), at("opens/home/*/.ssh"));
	sh("cat %s %s %s > /dev/null", at("opens/in/shadow"), at("opens/home/a/.ssh/id"), "/etc/hostname");
	expect(&s, at("opens/in/shadow"), FS_OPEN);
	expect(&s, at("opens/home/a/.ssh/id"), FS_OPEN);
	sensor_stop(&s);
}

static void test_overflow(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s", at("overflow"));
	sensor_start(&s, "inotify", 1, false, "paths: [%s]\n", at("overflow"));
	sh("cd %s && for i in $(seq 12); do seq 3000 | xargs -n 500 touch && rm -rf %s/[0-9]*; done; mkdir %s",
	   at("overflow"), at("overflow"), at("overflow/late"));
	assert_true(sensor_wait_gap(&s, GAP_QUEUE_OVERFLOW, "/", false));
	expect(&s, "/", FS_RESCAN);
	/* The folder that came meanwhile is watched. */
	sensor_settle(&s);
	sh("echo x > %s", at("overflow/late/f"));
	expect(&s, at("overflow/late/f"), FS_CREATE | WRITTEN);
	sensor_stop(&s);
}

/* In a user namespace of its own, whose limit is nobody else's. */
static int limited(void)
{
	struct sensor s;
	FILE *f;
	int r = 0;

	if (unshare(CLONE_NEWUSER) < 0)
		return -1;
	f = fopen(LIMIT_FILE, "w");
	if (!f || fputs("15", f) < 0 || fclose(f))
		return -1;
	sensor_start(&s, "inotify", 64, false, "paths: [%s]\n", at("limit"));
	if (!sensor_wait_gap(&s, GAP_LIMIT, "inotify", false) || s.gaps[0].lost < 10) {
		sensor_dump(&s);
		r = -1;
	}
	sensor_stop(&s);
	errno = EPROTO;
	return r;
}

static void test_limit(_unused_ void **state)
{
	int error, pid;

	sh("mkdir -p %s/d$(seq -s \" %s/d\" 30)", at("limit"), at("limit"));
	error = rows_in_child(limited, &pid);
	if (error && error != EPROTO) {
		print_message("skipped: the limit cannot be set: %s\n", strerror(error));
		skip();
	}
	assert_int_equal(error, 0);
}

/* No capabilities, another user: sensor NULL ends up with inotify and says that it is weak. */
static int unprivileged(void)
{
	char yaml[256];
	struct sensor s;
	int r = 0;

	if (setgid(65534) < 0 || setuid(65534) < 0)
		return -1;
	/* What a user may read about itself depends on this. */
	prctl(PR_SET_DUMPABLE, 1);
	snprintf(yaml, sizeof(yaml), "paths: [%s]\n", at("user"));
	if (sensor_try(&s, NULL, 64, false, yaml) < 0) {
		print_message("%s\n", s.err.data ? s.err.data : "");
		return -1;
	}
	if (!streq(watch_sensor(s.watch), "inotify") || !sensor_wait_gap(&s, GAP_WEAK_SENSOR, "/", false) ||
	    !sensor_wait_gap(&s, GAP_UNREADABLE, "inotify", false))
		r = -1;
	sensor_write(at("user/open/f"), "x");
	if (!sensor_wait(&s, at("user/open/f"), FS_CREATE | WRITTEN, -1))
		r = -1;
	if (r < 0)
		sensor_dump(&s);
	sensor_stop(&s);
	errno = EPROTO;
	return r;
}

static void test_unprivileged(_unused_ void **state)
{
	int pid;

	sh("mkdir -p %s %s; chmod 700 %s; chmod 777 %s", at("user/open"), at("user/closed"), at("user/closed"),
	   at("user/open"));
	assert_int_equal(rows_in_child(unprivileged, &pid), 0);
}

/* Overlay has no file handles for fanotify: inotify watches just that mount, the rest stays with fanotify. */
static void test_stand_in(_unused_ void **state)
{
	const char *why = sensor_lacks_fanotify();
	struct sensor s;

	sh("mkdir -p %s %s %s %s", at("stand/lower/d"), at("stand/upper"), at("stand/work"), at("stand/in/merged"));
	if (why) {
		print_message("skipped: fanotify: %s\n", why);
		skip();
	}
	sensor_start(&s, NULL, 64, false, "paths: [%s]\n", at("stand/in"));
	assert_string_equal(watch_sensor(s.watch), "fanotify");
	{
		char options[512];

		snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", at("stand/lower"),
			 at("stand/upper"), at("stand/work"));
		if (mount("overlay", at("stand/in/merged"), "overlay", 0, options) < 0) {
			print_message("skipped: overlay: %s\n", strerror(errno));
			sensor_stop(&s);
			skip();
		}
	}
	expect(&s, at("stand/in/merged"), FS_RESCAN);
	assert_true(sensor_wait_gap(&s, GAP_WEAK_SENSOR, at("stand/in/merged"), false));
	sh("echo x > %s; echo x > %s", at("stand/in/merged/d/f"), at("stand/in/g"));
	expect(&s, at("stand/in/merged/d/f"), FS_CREATE | WRITTEN);
	expect(&s, at("stand/in/g"), FS_CREATE | WRITTEN);
	assert_int_equal(sensor_find(&s, at("stand/in/merged/d/f"), FS_CREATE)->pid, 0);
	assert_true(sensor_find(&s, at("stand/in/g"), FS_CREATE)->pid > 0);
	sh("umount %s", at("stand/in/merged"));
	assert_true(sensor_wait_gap(&s, GAP_WEAK_SENSOR, at("stand/in/merged"), true));
	sensor_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	 cmocka_unit_test(test_tree),  cmocka_unit_test(test_opens),
		cmocka_unit_test(test_overflow), cmocka_unit_test(test_limit), cmocka_unit_test(test_unprivileged),
		cmocka_unit_test(test_stand_in),
	};

	sensor_own_namespace();
	return cmocka_run_group_tests(tests, sensor_setup, sensor_teardown);
}
