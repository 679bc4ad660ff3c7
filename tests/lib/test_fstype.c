/* File system types: by magic number, by name, and of real descriptors. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fstype.h"
#include "lib/util.h"

static const struct {
	const char *name;
	enum fstype_class class;
} by_name[] = {
	{ "ext4", FSTYPE_DISK },	  { "tmpfs", FSTYPE_MEMORY },	   { "overlay", FSTYPE_OVERLAY },
	{ "nfs4", FSTYPE_REMOTE },	  { "fuse.sshfs", FSTYPE_REMOTE }, { "fuse.nobody-knows", FSTYPE_FUSE },
	{ "fuseblk", FSTYPE_FUSE },	  { "proc", FSTYPE_PSEUDO },	   { "cgroup2", FSTYPE_PSEUDO },
	{ "no-such-fs", FSTYPE_UNKNOWN }, { "", FSTYPE_UNKNOWN },
};

static void test_by_name(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(by_name); i++)
		assert_int_equal(fstype_by_name(by_name[i].name)->class, by_name[i].class);
	assert_string_equal(fstype_by_name("fuse.nobody-knows")->name, "fuse");
}

static void test_by_magic(void **state _unused_)
{
	assert_string_equal(fstype_by_magic(0xef53)->name, "ext4");
	assert_string_equal(fstype_by_magic(0x9123683e)->name, "btrfs");
	/* as a sign-extended word */
	assert_string_equal(fstype_by_magic(0xffffffff9123683eULL)->name, "btrfs");
	assert_int_equal(fstype_by_magic(0)->class, FSTYPE_UNKNOWN);
	assert_int_equal(fstype_by_magic(0x12345678)->class, FSTYPE_UNKNOWN);
}

static void test_of_fd(void **state _unused_)
{
	_cleanup_close_ int proc = open("/proc", O_PATH | O_CLOEXEC);
	const struct fstype *t;

	assert_true(proc >= 0);
	assert_int_equal(fstype_of_fd(proc, &t), 0);
	assert_string_equal(t->name, "proc");
	assert_int_equal(fstype_of_fd(-1, &t), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_by_magic),
		cmocka_unit_test(test_of_fd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
