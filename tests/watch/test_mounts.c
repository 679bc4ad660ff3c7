/* The mount table: lines of mountinfo, hostile ones too, and which mount a path lies in. */
#include "watch/mounts.h"

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "tests/test.h"

static const struct {
	const char *line;
	bool good;
	const char *root, *point, *fstype, *source, *super;
} lines[] = {
	{ "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", true, "/mnt1", "/mnt2",
	  "ext3", "/dev/root", "rw,errors=continue" },
	{ "1 0 8:1 / / rw - ext4 /dev/sda1 rw", true, "/", "/", "ext4", "/dev/sda1", "rw" },
	{ "1 0 8:1 / /a\\040b\\011c\\012d\\134e rw shared:1 master:2 - ext4 x\\043 rw", true, "/", "/a b\tc\nd\\e",
	  "ext4", "x#", "rw" },
	{ "1 0 0:20 / /m rw - tmpfs  rw", true, "/", "/m", "tmpfs", "", "rw" },
	{ "1 0 0:20 / /m rw - tmpfs none", true, "/", "/m", "tmpfs", "none", "" },
	{ "1 0 0:20 / /m\\000x\\9z\\0 rw - tmpfs none rw", true, "/", "/m\\000x\\9z\\0", "tmpfs", "none", "rw" },
	{ "1 0 0:20 / /\xff\xfe rw - tmpfs none rw", true, "/", "/\xff\xfe", "tmpfs", "none", "rw" },
	{ "1 0 0:20 / relative rw - tmpfs none rw", false, NULL, NULL, NULL, NULL, NULL },
	{ "x 0 0:20 / /m rw - tmpfs none rw", false, NULL, NULL, NULL, NULL, NULL },
	{ "1 -1 0:20 / /m rw - tmpfs none rw", false, NULL, NULL, NULL, NULL, NULL },
	{ "99999999999 0 0:20 / /m rw - tmpfs none rw", false, NULL, NULL, NULL, NULL, NULL },
	{ "1 0 0-20 / /m rw - tmpfs none rw", false, NULL, NULL, NULL, NULL, NULL },
	{ "1 0 0:20 / /m rw shared:1", false, NULL, NULL, NULL, NULL, NULL },
	{ "1 0 0:20 / /m rw -", false, NULL, NULL, NULL, NULL, NULL },
	{ "1 0 0:20 / /m", false, NULL, NULL, NULL, NULL, NULL },
	{ "   ", false, NULL, NULL, NULL, NULL, NULL },
};

static void test_lines(_unused_ void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct mount_table t;
		size_t bad;

		assert_int_equal(mounts_parse(lines[i].line, strlen(lines[i].line), &t, &bad), 0);
		assert_int_equal(t.n, lines[i].good);
		assert_int_equal(bad, !lines[i].good);
		if (lines[i].good) {
			assert_string_equal(t.mounts[0].root, lines[i].root);
			assert_string_equal(t.mounts[0].point, lines[i].point);
			assert_string_equal(t.mounts[0].fstype, lines[i].fstype);
			assert_string_equal(t.mounts[0].source, lines[i].source);
			assert_string_equal(t.mounts[0].super_options, lines[i].super);
		}
		mounts_free(&t);
	}
}

static const char table[] = "22 27 0:21 / /proc rw - proc proc rw\n"
			    "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
			    "bad line\n"
			    "30 27 8:1 / /srv rw - ext4 /dev/sda1 rw\n"
			    "31 27 8:2 / /a/b rw - ext4 /dev/sda2 rw\n"
			    "32 27 8:3 / /a rw - ext4 /dev/sda3 rw\n"
			    "33 30 8:4 / /srv rw - ext4 /dev/sda4 rw\n"
			    "34 33 8:5 /sub /srv/deep/er rw - xfs /dev/sda5 rw\n"
			    "35 27 8:6 / /sr rw - ext4 /dev/sda6 rw\n";

static const struct {
	const char *path;
	int id;
} finds
	[] = {
		{ "/", 27 },	     { "/etc/passwd", 27 },    { "/proc", 22 },
		{ "/proc/1", 22 },   { "/procs", 27 },	       { "/srv", 33 }, /* stacked: the one on top */
		{ "/srv/deep", 33 }, { "/srv/deep/er/x", 34 }, { "/srv/deeper", 33 },
		{ "/a/b/c", 32 }, /* a mount over /a hides the older one on /a/b */
		{ "/sr/x", 35 },
	};

static void test_find(_unused_ void **state)
{
	struct mount_table t;
	size_t bad;

	assert_int_equal(mounts_parse(table, sizeof(table) - 1, &t, &bad), 0);
	assert_int_equal(bad, 1);
	assert_int_equal(t.n, 8);
	assert_true(t.mounts[1].dev == makedev(254, 0));
	for (size_t i = 0; i < ARRAY_SIZE(finds); i++) {
		const struct mount *m = mounts_find(&t, finds[i].path);

		assert_non_null(m);
		assert_int_equal(m->id, finds[i].id);
	}
	mounts_free(&t);
}

static void test_loop(_unused_ void **state)
{
	static const char text[] =
		"1 2 8:1 / / rw - ext4 a rw\n2 1 8:2 / / rw - ext4 b rw\n3 3 8:3 / / rw - ext4 c rw\n";
	struct mount_table t;

	assert_int_equal(mounts_parse(text, sizeof(text) - 1, &t, NULL), 0);
	/* Whatever it answers, it answers. */
	mounts_find(&t, "/x");
	mounts_free(&t);
}

static void test_read(_unused_ void **state)
{
	struct mount_table t;
	size_t bad;

	assert_int_equal(mounts_read("/proc/self/mountinfo", &t, &bad), 0);
	assert_int_equal(bad, 0);
	assert_true(t.n > 0);
	assert_non_null(mounts_find(&t, "/"));
	mounts_free(&t);
	assert_int_equal(mounts_read("/nonexistent/mountinfo", &t, &bad), -ENOENT);
}

static const struct {
	const char *line;
	bool skip;
} skips[] = {
	{ "1 0 8:1 / / rw - ext4 /dev/sda rw", false },
	{ "1 0 0:1 / / rw - tmpfs none rw", false },
	{ "1 0 0:1 / / rw - overlay none rw", false },
	{ "1 0 0:1 / / rw - nfs4 server:/x rw", true },
	{ "1 0 0:1 / / rw - proc proc rw", true },
	{ "1 0 0:1 / / rw - fuse.thing x rw,user_id=1000,group_id=0", true },
	{ "1 0 0:1 / / rw - fuse.thing x rw,user_id=0,group_id=0", false },
	{ "1 0 0:1 / / rw - fuse.thing x rw,user_id=01,group_id=0", true },
	{ "1 0 0:1 / / rw - fuse.sshfs x rw,user_id=0,group_id=0", true },
};

static void test_why_skip(_unused_ void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(skips); i++) {
		struct mount_table t;

		assert_int_equal(mounts_parse(skips[i].line, strlen(skips[i].line), &t, NULL), 0);
		assert_int_equal(t.n, 1);
		assert_int_equal(mounts_why_skip(&t.mounts[0]) != NULL, skips[i].skip);
		mounts_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_find),     cmocka_unit_test(test_loop),
		cmocka_unit_test(test_read),  cmocka_unit_test(test_why_skip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
