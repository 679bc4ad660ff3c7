/* The sensor as a whole: mounts, links, names, opens, overflow, floods. On tmpfs and loop images of our own. */
#include "watch/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/test.h"
#include "tests/watch/rows.h"
#include "tests/watch/sensor.h"

#define WRITTEN (FS_MODIFY | FS_CLOSE_WRITE)

static void expect_none(struct sensor *s, const char *path)
{
	if (!sensor_ops(s, path, -1))
		return;
	sensor_dump(s);
	fail_msg("%s: %#x came, nothing was expected", path, sensor_ops(s, path, -1));
}

static void expect_gap(struct sensor *s, enum gap_reason reason, const char *scope, bool closed)
{
	if (sensor_wait_gap(s, reason, scope, closed))
		return;
	sensor_dump(s);
	fail_msg("gap %d of %s did not %s", reason, scope ? scope : "any", closed ? "close" : "open");
}

/* --- scope */

static void test_scope(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s %s", at("in/sub"), at("out/way"), at("in/skip"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s, %s]\nexclude: [%s, '*.swp']\n", at("in"),
		     at("out/way/file"), at("in/skip"));
	sh("echo x > %s; echo x > %s; echo x > %s; echo x > %s; echo x > %s", at("in/sub/a"), at("in/skip/a"),
	   at("in/a.swp"), at("out/a"), at("out/way/file"));
	sensor_write(at("in/own"), "by the test");
	expect(&s, at("in/sub/a"), FS_CREATE | WRITTEN);
	expect(&s, at("out/way/file"), FS_CREATE | WRITTEN);
	sensor_take(&s);
	expect_none(&s, at("in/skip/a"));
	expect_none(&s, at("in/a.swp"));
	expect_none(&s, at("out/a"));
	expect_none(&s, at("in/own"));
	/* The way to a guarded file. */
	sh("mv %s %s", at("out/way"), at("out/away"));
	expect(&s, at("out/way"), FS_RESCAN | FS_RENAME_FROM);
	sh("mkdir %s", at("out/way"));
	expect(&s, at("out/way"), FS_RESCAN | FS_CREATE);
	sh("mv %s %s", at("out/away"), at("in/away"));
	expect(&s, at("in/away"), FS_RENAME_TO);
	assert_null(sensor_find(&s, at("in/away"), FS_RENAME_TO)->path2);
	sh("echo x > %s", at("in/away/file"));
	expect(&s, at("in/away/file"), WRITTEN);
	/* Another configuration. */
	sensor_reload(&s, "paths: [%s]\n", at("out"));
	sh("echo x > %s; echo x > %s", at("in/later"), at("out/later"));
	expect(&s, at("out/later"), FS_CREATE | WRITTEN);
	expect_none(&s, at("in/later"));
	sensor_stop(&s);
}

static void test_canary_and_state(_unused_ void **state)
{
	char own[128];
	struct sensor s;

	sh("mkdir -p %s %s", at("canary/in"), at("canary/out"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("canary/in"));
	snprintf(own, sizeof(own), "%s", at("canary/out/" WATCH_CANARY_PREFIX "1"));
	sensor_write(own, "x");
	assert_true(sensor_wait(&s, own, FS_CREATE | WRITTEN, getpid()));
	sensor_stop(&s);
}

/* --- names */

static void test_names(_unused_ void **state)
{
	static const char *const names[] = { "new\nline", "\033[31mred", "\xff\xfe",	"sp ace", "\\040",
					     "#043",	  "(deleted)",	 "x (deleted)", "'\"`$" };
	char longest[NAME_MAX + 1];
	struct sensor s;
	int pid;

	memset(longest, 0x81, NAME_MAX);
	longest[NAME_MAX] = '\0';
	sh("mkdir -p %s", at("names"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("names"));
	pid = fork();
	if (!pid) {
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			mkdir(at("names/%s", names[i]), 0755);
			close(creat(at("names/%s/%s", names[i], longest), 0644));
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_true(sensor_wait(&s, at("names/%s", names[i]), FS_CREATE, pid));
		assert_true(sensor_wait(&s, at("names/%s/%s", names[i], longest), FS_CREATE | FS_CLOSE_WRITE, pid));
	}
	sensor_stop(&s);
}

#define DEEP_LEVELS 60
#define DEEP_NAME   200

/* Folders that were there before the sensor, so that it cannot have learned their names from events. */
static int make_deep(const char *top)
{
	char name[DEEP_NAME + 1];
	int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	memset(name, 'd', DEEP_NAME);
	name[DEEP_NAME] = '\0';
	for (int i = 0; i < DEEP_LEVELS && fd >= 0; i++) {
		int next;

		mkdirat(fd, name, 0755);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	return fd;
}

static void test_deep(_unused_ void **state)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct sensor s;
	int fd, pid;

	sh("mkdir -p %s", at("deep"));
	fd = make_deep(at("deep"));
	assert_true(fd >= 0);
	buf_str(&path, at("deep"));
	for (int i = 0; i < DEEP_LEVELS; i++) {
		buf_char(&path, '/');
		for (int k = 0; k < DEEP_NAME; k++)
			buf_char(&path, 'd');
	}
	buf_str(&path, "/f");
	assert_true(path.len > PATH_MAX);
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("deep"));
	pid = fork();
	if (!pid)
		_exit(close(openat(fd, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644)));
	waitpid(pid, NULL, 0);
	close(fd);
	if (!sensor_wait(&s, path.data, FS_CREATE | FS_CLOSE_WRITE, pid)) {
		sensor_dump(&s);
		fail_msg("the deep file was not told");
	}
	sensor_stop(&s);
}

/* --- links */

static void test_linked(_unused_ void **state)
{
	struct watch_stats stats;
	struct sensor s;

	sh("mkdir -p %s %s; echo x > %s; ln %s %s", at("links/in"), at("links/out"), at("links/in/f"), at("links/in/f"),
	   at("links/out/g"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("links/in"));
	watch_add_linked(s.watch, at("links/in/f"));
	watch_add_linked(s.watch, at("links/in/f"));
	sh("echo more >> %s", at("links/out/g"));
	expect(&s, at("links/in/f"), WRITTEN);
	expect_none(&s, at("links/out/g"));
	sh("chmod 600 %s", at("links/out/g"));
	expect(&s, at("links/in/f"), FS_ATTRIB);
	watch_get_stats(s.watch, &stats);
	assert_int_equal(stats.linked, 1);
	/* A guarded name that is gone is not told any more. */
	sh("rm %s", at("links/in/f"));
	expect(&s, at("links/in/f"), FS_DELETE);
	sensor_settle(&s);
	sh("echo more >> %s", at("links/out/g"));
	sensor_settle(&s);
	watch_get_stats(s.watch, &stats);
	assert_int_equal(stats.linked, 0);
	sensor_stop(&s);
}

static bool told_link(struct sensor *s, const char *path, uint32_t ops)
{
	struct stat st;
	uint32_t told = 0;

	assert_int_equal(stat(path, &st), 0);
	for (size_t i = 0; i < s->n; i++)
		if (s->events[i].ops & FS_LINK && s->events[i].ino == st.st_ino && s->events[i].dev == st.st_dev)
			told |= s->events[i].ops;
	return (told & ops) == ops && told;
}

/* Made while the sensor runs: it cannot know whose inode that is, but tells its number. */
static void test_link_outside(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s; echo x > %s", at("new/in"), at("new/out"), at("new/in/f"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("new/in"));
	sh("echo x > %s; ln %s %s; echo y >> %s; rm %s; echo x > %s", at("new/out/fresh"), at("new/in/f"),
	   at("new/out/g"), at("new/out/g"), at("new/out/g"), at("new/in/last"));
	expect(&s, at("new/in/last"), FS_CREATE | WRITTEN);
	assert_true(told_link(&s, at("new/in/f"), FS_LINK | FS_ATTRIB | FS_MODIFY | FS_CLOSE_WRITE));
	assert_false(told_link(&s, at("new/out/fresh"), 0));
	assert_false(told_link(&s, at("new/in/last"), 0));
	expect_none(&s, at("new/out/fresh"));
	sensor_stop(&s);
}

/* --- opens */

static void test_sensitive(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s %s; echo x > %s; echo x > %s; echo x > %s", at("opens/keys/old"), at("opens/home/a/.ssh"),
	   at("opens/etc"), at("opens/etc/shadow"), at("opens/etc/passwd"), at("opens/home/a/.ssh/id"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\nsensitive: [%s, %s, '%s']\n", at("opens/etc"),
		     at("opens/etc/shadow"), at("opens/keys"), at("opens/home/*/.ssh"));
	sh("cat %s %s %s > /dev/null", at("opens/etc/shadow"), at("opens/etc/passwd"), at("opens/home/a/.ssh/id"));
	expect(&s, at("opens/etc/shadow"), FS_OPEN);
	expect(&s, at("opens/home/a/.ssh/id"), FS_OPEN);
	expect_none(&s, at("opens/etc/passwd"));
	/* Replaced by rename: another inode. */
	sh("cp %s %s; mv %s %s", at("opens/etc/passwd"), at("opens/etc/new"), at("opens/etc/new"),
	   at("opens/etc/shadow"));
	expect(&s, at("opens/etc/shadow"), FS_RENAME_TO);
	sensor_settle(&s);
	sh("cat %s > /dev/null", at("opens/etc/shadow"));
	expect(&s, at("opens/etc/shadow"), FS_OPEN);
	/* New ones below a glob, and a folder that came with all it holds. */
	sh("mkdir -p %s; mkdir -p %s; echo x > %s; mv %s %s", at("opens/home/b/.ssh"), at("opens/tmp/.ssh/deep"),
	   at("opens/tmp/.ssh/deep/id"), at("opens/tmp"), at("opens/home/c"));
	sensor_settle(&s);
	sh("echo x > %s; cat %s %s > /dev/null", at("opens/home/b/.ssh/id"), at("opens/home/b/.ssh/id"),
	   at("opens/home/c/.ssh/deep/id"));
	expect(&s, at("opens/home/b/.ssh/id"), FS_OPEN);
	expect(&s, at("opens/home/c/.ssh/deep/id"), FS_OPEN);
	sensor_stop(&s);
}

static void test_opens_all(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s; echo x > %s", at("all/in"), at("all/out"), at("all/out/f"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\nopens: all\n", at("all/in"));
	sh("cat %s > /dev/null", at("all/out/f"));
	expect(&s, at("all/out/f"), FS_OPEN);
	sensor_reload(&s, "paths: [%s]\nopens: off\n", at("all/in"));
	sensor_settle(&s);
	sh("cat %s > /dev/null", at("all/out/f"));
	sensor_settle(&s);
	expect_none(&s, at("all/out/f"));
	sensor_stop(&s);
}

/* --- mounts */

static void test_mounts(_unused_ void **state)
{
	char image[128], point[128];
	const char *why = "mount refused";
	struct sensor s;

	snprintf(image, sizeof(image), "%s", at("later.img"));
	snprintf(point, sizeof(point), "%s", at("mounts/later"));
	sh("mkdir -p %s %s", point, at("mounts/bound"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("mounts"));
	if (sensor_mount("ext4", image, point, &why) < 0) {
		print_message("skipped: ext4: %s\n", why);
		sensor_stop(&s);
		skip();
	}
	expect(&s, point, FS_RESCAN);
	sh("echo x > %s", at("mounts/later/f"));
	expect(&s, at("mounts/later/f"), FS_CREATE | WRITTEN);
	sh("umount %s", point);
	expect_gap(&s, GAP_UNMOUNTED, point, false);
	sensor_settle(&s);
	sh("mount -o loop -t ext4 %s %s", image, point);
	expect(&s, point, FS_RESCAN);
	expect_gap(&s, GAP_UNMOUNTED, point, true);
	sh("echo y > %s", at("mounts/later/f"));
	expect(&s, at("mounts/later/f"), WRITTEN);
	/* A memory file system in a watched tree. */
	sh("mkdir %s; mount -t tmpfs none %s", at("mounts/memory"), at("mounts/memory"));
	expect(&s, at("mounts/memory"), FS_RESCAN);
	sh("echo x > %s", at("mounts/memory/f"));
	expect(&s, at("mounts/memory/f"), FS_CREATE | WRITTEN);
	sh("umount %s; umount %s", at("mounts/memory"), point);
	sensor_stop(&s);
}

/*
 * Nobody's umount fails because the sensor is just looking: it looks through a clone of the mount. On a busy machine it
 * may stand still while it makes one.
 */
static void test_umount(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s", at("busy/m"));
	sensor_start(&s, "fanotify", 4096, false, "paths: [%s]\n", at("busy"));
	sh("cd %s && n=0 && for i in $(seq 40); do mount -t tmpfs none m && mkdir -p m/a/b/c m/d/e && "
	   "touch m/a/b/c/f m/d/e/f && mv m/a m/z && touch m/z/b/g || exit 1; "
	   "until umount m; do n=$((n + 1)); [ $n -le 3 ] || exit 1; done; done",
	   at("busy"));
	sensor_stop(&s);
}

static void test_bind(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s %s; echo f > %s; echo g > %s", at("bind/in/d"), at("bind/src/sub"), at("bind/only"),
	   at("bind/in/file"), at("bind/src/g"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("bind/in"));
	sh("mount --bind %s %s", at("bind/src"), at("bind/in/d"));
	expect(&s, at("bind/in/d"), FS_RESCAN);
	/* Written below its other name, out of scope: told under the guarded one. */
	sh("echo x > %s", at("bind/src/sub/f"));
	expect(&s, at("bind/in/d/sub/f"), FS_CREATE | WRITTEN);
	sh("mount --bind %s %s", at("bind/src/g"), at("bind/in/file"));
	expect(&s, at("bind/in/file"), FS_RESCAN);
	sensor_settle(&s);
	sh("echo x > %s", at("bind/in/file"));
	expect(&s, at("bind/in/file"), WRITTEN);
	sensor_settle(&s);
	sh("umount %s; umount %s", at("bind/in/file"), at("bind/in/d"));
	expect(&s, at("bind/in/d"), FS_RESCAN);
	sensor_settle(&s);
	sh("echo y > %s", at("bind/src/sub/f"));
	sensor_settle(&s);
	expect_none(&s, at("bind/in/d/sub/f"));
	sensor_stop(&s);
}

/* The file system is seen here only through a bind mount of one of its folders. */
static void test_partial(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s %s; mount -t tmpfs none %s; mkdir -p %s", at("partial/in"), at("partial/fs"), at("partial/fs"),
	   at("partial/fs/a/b"));
	sh("mkdir %s; mount --bind %s %s; umount -l %s", at("partial/in/view"), at("partial/fs/a"),
	   at("partial/in/view"), at("partial/fs"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("partial/in"));
	sh("echo x > %s", at("partial/in/view/b/f"));
	expect(&s, at("partial/in/view/b/f"), FS_CREATE | WRITTEN);
	sh("umount %s", at("partial/in/view"));
	sensor_stop(&s);
}

static int write_elsewhere(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(at("ns/in"), "/mnt", NULL, MS_BIND, NULL) < 0 || umount2(sensor_base, MNT_DETACH) < 0)
		return -1;
	return system("echo x > /mnt/d/f") ? -1 : 0;
}

static void test_other_namespace(_unused_ void **state)
{
	struct sensor s;
	int pid;

	sh("mkdir -p %s", at("ns/in/d"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("ns/in"));
	assert_int_equal(rows_in_child(write_elsewhere, &pid), 0);
	expect(&s, at("ns/in/d/f"), FS_CREATE | WRITTEN);
	sensor_stop(&s);
}

static void test_btrfs_subvolume(_unused_ void **state)
{
	char image[128], point[128];
	const char *why = "mount refused";
	struct sensor s;

	snprintf(image, sizeof(image), "%s", at("sub.img"));
	snprintf(point, sizeof(point), "%s", at("sub"));
	if (system("btrfs --version >/dev/null 2>&1") || sensor_mount("btrfs", image, point, &why) < 0) {
		print_message("skipped: btrfs: %s\n", why);
		skip();
	}
	sh("btrfs -q subvolume create %s >/dev/null && btrfs -q subvolume create %s > /dev/null && umount %s",
	   at("sub/@"), at("sub/@other"), point);
	sh("mount -o loop,subvol=@ -t btrfs %s %s && mkdir %s", image, point, at("sub/in"));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", at("sub/in"));
	sh("echo x > %s; mkdir %s; echo x > %s", at("sub/in/f"), at("sub/in/d"), at("sub/in/d/f"));
	expect(&s, at("sub/in/f"), FS_CREATE | WRITTEN);
	expect(&s, at("sub/in/d/f"), FS_CREATE | WRITTEN);
	sensor_settle(&s);
	sh("umount %s", point);
	sensor_stop(&s);
	unlink(image);
}

/* --- block devices */

static void test_device(_unused_ void **state)
{
	char image[128], point[128], device[64] = "";
	const char *why = "mount refused";
	struct sensor s;
	struct stat st;

	snprintf(image, sizeof(image), "%s", at("device.img"));
	snprintf(point, sizeof(point), "%s", at("device"));
	if (sensor_mount("ext4", image, point, &why) < 0) {
		print_message("skipped: ext4: %s\n", why);
		skip();
	}
	assert_int_equal(stat(point, &st), 0);
	snprintf(device, sizeof(device), "/dev/loop%u", minor(st.st_dev));
	sensor_start(&s, "fanotify", 64, false, "paths: [%s]\n", point);
	sh("echo x > /dev/null; dd if=/dev/zero of=%s bs=512 count=1 seek=600000 conv=notrunc 2>/dev/null", device);
	expect(&s, device, FS_DEVICE);
	expect_none(&s, "/dev/null");
	sh("umount %s", point);
	sensor_stop(&s);
	unlink(image);
}

/* --- loss */

static void test_kernel_overflow(_unused_ void **state)
{
	struct watch_stats stats;
	struct sensor s;

	sh("mkdir -p %s", at("overflow"));
	/* Nobody takes batches: the sensor waits, the kernel's queue of 16384 events fills. */
	sensor_start(&s, "fanotify", 1, true, "paths: [%s]\n", at("overflow"));
	sh("cd %s && seq 30000 | xargs -n 500 touch && rm -rf %s/* ", at("overflow"), at("overflow"));
	expect_gap(&s, GAP_QUEUE_OVERFLOW, "/", false);
	expect(&s, "/", FS_RESCAN);
	watch_get_stats(s.watch, &stats);
	assert_true(stats.overflows > 0);
	/* And on it goes. */
	sh("echo x > %s", at("overflow/after"));
	expect(&s, at("overflow/after"), FS_CREATE | WRITTEN);
	sensor_stop(&s);
}

static void test_slow_reader(_unused_ void **state)
{
	struct sensor s;

	sh("mkdir -p %s", at("slow"));
	sensor_start(&s, "fanotify", 1, false, "paths: [%s]\n", at("slow"));
	sh("cd %s && for i in 1 2 3; do echo x > $i; done", at("slow"));
	sh("sleep 0.1; echo x > %s; sleep 0.1; echo x > %s", at("slow/4"), at("slow/5"));
	/* Not taking anything for longer than the sensor waits. */
	{
		uint64_t deadline = clock_mono_ns() + 12 * NSEC_PER_SEC;
		struct watch_stats stats = { 0 };

		while (!stats.overflows && clock_mono_ns() < deadline) {
			sh("echo x >> %s; sleep 0.1", at("slow/6"));
			watch_get_stats(s.watch, &stats);
		}
		assert_true(stats.overflows > 0);
	}
	expect(&s, "/", FS_RESCAN);
	expect_gap(&s, GAP_QUEUE_OVERFLOW, "/", false);
	sensor_stop(&s);
}

/* --- floods */

#define FLOOD_CYCLES 25000

static int flood(void)
{
	if (chdir(at("flood")) < 0)
		return -1;
	for (int i = 0; i < FLOOD_CYCLES; i++) {
		char tmp[32], name[32];
		int fd;

		snprintf(tmp, sizeof(tmp), "t%d", i);
		snprintf(name, sizeof(name), "n%d", i);
		fd = open(tmp, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, "x", 1) != 1 || close(fd) < 0 || rename(tmp, name) < 0)
			return -1;
		if (i % 10 && unlink(name) < 0)
			return -1;
	}
	return 0;
}

/* What the events leave standing is what stands. */
static void test_flood(_unused_ void **state)
{
	uint8_t *ops = calloc(FLOOD_CYCLES, sizeof(*ops));
	struct watch_stats stats;
	struct sensor s;
	size_t prefix;
	int pid;

	assert_non_null(ops);
	sh("mkdir -p %s", at("flood"));
	sensor_start(&s, "fanotify", 4096, false, "paths: [%s]\n", at("flood"));
	assert_int_equal(rows_in_child(flood, &pid), 0);
	sh("echo x > %s", at("flood/end"));
	expect(&s, at("flood/end"), FS_CLOSE_WRITE);
	prefix = strlen(at("flood/n"));
	for (size_t i = 0; i < s.n; i++) {
		const struct fs_event *e = &s.events[i];

		if (strncmp(e->path, at("flood/n"), prefix) != 0)
			continue;
		assert_int_equal(e->pid, pid);
		ops[atoi(e->path + prefix)] |=
			(uint8_t)((e->ops & FS_RENAME_TO ? 1 : 0) | (e->ops & FS_DELETE ? 2 : 0));
	}
	for (int i = 0; i < FLOOD_CYCLES; i++)
		if (ops[i] != (i % 10 ? 3 : 1))
			fail_msg("n%d: %d", i, ops[i]);
	watch_get_stats(s.watch, &stats);
	print_message("  %llu events, %llu handed over, %llu merged, %llu handle misses\n",
		      (unsigned long long)stats.events, (unsigned long long)stats.kept,
		      (unsigned long long)stats.merged, (unsigned long long)stats.handle_misses);
	assert_int_equal(stats.overflows, 0);
	assert_int_equal(s.n_gaps, 0);
	sensor_stop(&s);
	free(ops);
}

int main(void)
{
	const char *why = sensor_lacks_fanotify();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scope),
		cmocka_unit_test(test_canary_and_state),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_deep),
		cmocka_unit_test(test_linked),
		cmocka_unit_test(test_link_outside),
		cmocka_unit_test(test_sensitive),
		cmocka_unit_test(test_opens_all),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_umount),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_partial),
		cmocka_unit_test(test_other_namespace),
		cmocka_unit_test(test_btrfs_subvolume),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_kernel_overflow),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_flood),
	};

	if (why) {
		printf("SKIP: fanotify: %s\n", why);
		return 77;
	}
	sensor_own_namespace();
	return cmocka_run_group_tests(tests, sensor_setup, sensor_teardown);
}
