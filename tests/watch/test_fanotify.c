/* The fanotify sensor on real file systems: every row of what the kernel reports. */
#include <stdio.h>

#include "tests/test.h"
#include "tests/watch/rows.h"
#include "tests/watch/sensor.h"

static void test_rows_tmpfs(_unused_ void **state)
{
	rows_run("fanotify", sensor_base, "tmpfs");
}

static void test_rows_ext4(_unused_ void **state)
{
	rows_run("fanotify", sensor_base, "ext4");
}

static void test_rows_xfs(_unused_ void **state)
{
	rows_run("fanotify", sensor_base, "xfs");
}

static void test_rows_btrfs(_unused_ void **state)
{
	rows_run("fanotify", sensor_base, "btrfs");
}

int main(void)
{
	const char *why = sensor_lacks_fanotify();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_tmpfs),
		cmocka_unit_test(test_rows_ext4),
		cmocka_unit_test(test_rows_xfs),
		cmocka_unit_test(test_rows_btrfs),
	};

	if (why) {
		printf("SKIP: fanotify: %s\n", why);
		return 77;
	}
	sensor_own_namespace();
	return cmocka_run_group_tests(tests, sensor_setup, sensor_teardown);
}
