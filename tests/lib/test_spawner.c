/* lib/spawner: programs get their arguments and input, failures come back, nothing is left open in them. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/spawner.h"
#include "lib/util.h"

static struct spawner *spawner;

static bool ended(int pidfd, int ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static void test_runs(void **state _unused_)
{
	char folder[] = "/tmp/holdfast-spawner.XXXXXX", out[64], text[256] = "";
	const char *argv[] = { "/bin/sh", "-c", "cat > \"$1\"; ls /proc/self/fd | wc -l >> \"$1\"", "sh", out };
	int in, pidfd;
	FILE *f;

	assert_non_null(mkdtemp(folder));
	snprintf(out, sizeof(out), "%s/out", folder);
	assert_int_equal(spawner_run(spawner, argv, ARRAY_SIZE(argv), &in, &pidfd), 0);
	assert_true(fcntl(in, F_GETFL) & O_NONBLOCK);
	assert_int_equal(write(in, "hello\n", 6), 6);
	assert_false(ended(pidfd, 50));
	close(in);
	assert_true(ended(pidfd, 10000));
	close(pidfd);
	f = fopen(out, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	/* 0, 1, 2 and the folder that ls reads. */
	assert_string_equal(text, "hello\n4\n");
	unlink(out);
	rmdir(folder);
}

static void test_fails(void **state _unused_)
{
	static const struct {
		const char *program;
		int error;
	} cases[] = {
		{ "/nowhere/to/be/found", -ENOENT },
		{ "/etc/passwd", -EACCES },
		{ "relative", -EINVAL },
	};
	int in, pidfd;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(spawner_run(spawner, &cases[i].program, 1, &in, &pidfd), cases[i].error);
	assert_int_equal(spawner_run(spawner, NULL, 0, &in, &pidfd), -EINVAL);
}

static void test_kill(void **state _unused_)
{
	const char *argv[] = { "/bin/sleep", "1000" };
	int in, pidfd;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(spawner_run(spawner, argv, 2, &in, &pidfd), 0);
		assert_int_equal(syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0), 0);
		assert_true(ended(pidfd, 10000));
		/* Its reader is gone. */
		assert_int_equal(write(in, "x", 1), -1);
		assert_int_equal(errno, EPIPE);
		close(in);
		close(pidfd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_fails),
		cmocka_unit_test(test_kill),
	};
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (spawner_start(&spawner) < 0)
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	spawner_stop(spawner);
	return failed;
}
