/* exec/gate on btrfs, where stat's device is that of a subvolume and no mark was set by it. */
#include "tests/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/exec/rig.h"

static struct rig rig;
static const char *unable;
static const char *const good[] = { "good", "sub/good", NULL };

static int prepare(void **state _unused_)
{
	char text[256];

	unable = rig_setup(&rig, "btrfs");
	if (unable)
		return 0;
	/* One that is no mount of its own. */
	snprintf(text, sizeof(text), "btrfs subvolume create %s/sub >/dev/null", rig.mnt);
	if (system(text) != 0)
		unable = "no subvolume can be made";
	if (unable)
		return 0;
	rig_program(&rig, "good", 3, 1);
	rig_program(&rig, "bad", 4, 2);
	rig_program(&rig, "sub/good", 5, 3);
	rig_program(&rig, "sub/bad", 6, 4);
	return 0;
}

static void start(bool enforce)
{
	if (unable) {
		print_message("skipped: %s\n", unable);
		skip();
	}
	assert_int_equal(rig_start(&rig, &(struct rig_options){ .enforce = enforce, .good = good }), 0);
}

static int after(void **state _unused_)
{
	rig_kill(&rig);
	return 0;
}

static int end(void **state _unused_)
{
	rig_teardown(&rig);
	return 0;
}

static void test_enforce(void **state _unused_)
{
	start(true);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rig_run(&rig, "good", NULL), 3);
		assert_int_equal(rig_run(&rig, "bad", NULL), -EPERM);
		assert_int_equal(rig_run(&rig, "sub/good", NULL), 5);
		assert_int_equal(rig_run(&rig, "sub/bad", NULL), -EPERM);
	}
	rig_stop(&rig);
	/* Nothing was taken for what no event told of, or for another file than was judged. */
	assert_int_equal(rig.shared->stats.late, 0);
	assert_int_equal(rig.shared->stats.swapped, 0);
	assert_int_equal(rig.shared->stats.denied, 40);
	assert_int_equal(rig.shared->stats.killed, 0);
}

static void test_observe(void **state _unused_)
{
	start(false);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rig_run(&rig, "good", NULL), 3);
		assert_int_equal(rig_run(&rig, "sub/bad", NULL), 6);
	}
	rig_stop(&rig);
	assert_int_equal(rig.shared->stats.swapped, 0);
	assert_int_equal(rig.shared->stats.unexpected, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_enforce, after),
		cmocka_unit_test_teardown(test_observe, after),
	};

	return cmocka_run_group_tests(tests, prepare, end);
}
