/* What is told of an environment: any bytes, in pieces of any size, and that of real processes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec/environment.h"
#include "lib/cleanup.h"
#include "lib/util.h"
#include "tests/test.h"

#define BYTES(s) s, sizeof(s) - 1

static const struct {
	const char *data;
	size_t len;
	const char *said;
} cases[] = {
	{ BYTES(""), "" },
	{ BYTES("A=1\0B=2\0"), "" },
	{ BYTES("LD_PRELOAD=\0"), "" },
	{ BYTES("LD_PRELOAD=/tmp/x.so\0"), "LD_PRELOAD=/tmp/x.so" },
	{ BYTES("A=1\0LD_PRELOAD=/a /b\0LD_AUDIT=c\0"), "LD_PRELOAD=/a /b LD_AUDIT=c" },
	{ BYTES("XLD_PRELOAD=/a\0LD_PRELOADX=/b\0ld_preload=/c\0"), "" },
	{ BYTES("LD_LIBRARY_PATH=.\0LD_PRELOAD=x"), "LD_LIBRARY_PATH=. LD_PRELOAD=x" }, /* without its end */
	{ BYTES("LD_PRELOAD=\x1b[2J\xff\n\0"), "LD_PRELOAD=\\x1b[2J\\xff\\n" },
	{ BYTES("\0\0\0LD_AUDIT=y\0\0"), "LD_AUDIT=y" },
	{ BYTES("LD_PRELOAD=a\0LD_PRELOAD=b\0"), "LD_PRELOAD=a LD_PRELOAD=b" },
};

static void test_bytes(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (size_t piece = 1; piece <= cases[i].len + 1; piece++) {
			struct environment e = { .said = BUF_INIT };

			for (size_t at = 0; at < cases[i].len; at += piece)
				environment_add(&e, cases[i].data + at, MIN(piece, cases[i].len - at));
			environment_end(&e);
			assert_string_equal(e.said.len ? e.said.data : "", cases[i].said);
			buf_free(&e.said);
		}
	}
}

static void test_bounds(void **state _unused_)
{
	struct environment e = { .said = BUF_INIT };
	char big[3000] = "LD_PRELOAD=";

	memset(big + 11, 'x', sizeof(big) - 11);
	for (int i = 0; i < 1000; i++) {
		environment_add(&e, big, sizeof(big));
		environment_add(&e, "", 1);
	}
	environment_end(&e);
	assert_true(e.cut);
	assert_true(e.said.len < 4 * ENVIRONMENT_TEXT_MAX);
	assert_non_null(strstr(e.said.data, "xxx... LD_PRELOAD="));
	buf_free(&e.said);
}

static pid_t start(char *const envp[])
{
	char *const argv[] = { (char *)"sleep", (char *)"60", NULL };
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		execve("/bin/sleep", argv, envp);
		_exit(99);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 0); /* the exec closed it */
	close(ready[0]);
	return pid;
}

static int look(int proc, pid_t pid, char **ret)
{
	struct environment e = { .said = BUF_INIT };
	int r = environment_read(proc, pid, &e);

	*ret = strdup(e.said.len ? e.said.data : "");
	buf_free(&e.said);
	return r;
}

/* As large as the kernel takes it, what counts behind all the rest. */
static void test_process(void **state _unused_)
{
	static char fill[100000];
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *envp[20] = { NULL };
	_cleanup_free_ char *said = NULL, *none = NULL, *gone = NULL;
	pid_t pid;

	memset(fill, 'A', sizeof(fill) - 1);
	for (int i = 0; i < 18; i++)
		envp[i] = fill;
	envp[18] = (char *)"LD_LIBRARY_PATH=/nowhere";
	pid = start(envp);
	assert_int_equal(look(proc, pid, &said), 0);
	assert_string_equal(said, "LD_LIBRARY_PATH=/nowhere");
	kill(pid, SIGKILL);
	/* Not waited for yet: its memory is gone. */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT), 0);
	assert_int_equal(look(proc, pid, &gone), -ESRCH);
	waitpid(pid, NULL, 0);

	pid = start((char *[]){ NULL });
	assert_int_equal(look(proc, pid, &none), 0);
	assert_string_equal(none, "");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_process),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
