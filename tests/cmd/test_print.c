/* Output: tables, escaping, colour, what becomes of lost output. Reads back what was written to a pipe or file. */
#include "tests/test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "cmd/print.h"
#include "lib/cleanup.h"

static char *read_back(int fd)
{
	static char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static int file(void)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	fd = dup(fileno(f));
	fclose(f);
	assert_true(fd >= 0);
	return fd;
}

static void test_table(void **state)
{
	static const char *const titles[] = { "name", "n" };
	static const struct {
		const char *const *titles;
		size_t right;
		const char *cells[8];
		size_t n;
		const char *want;
	} cases[] = {
		{ titles, 2, { "a", "1", "longer", "100" }, 4, "name      n\na         1\nlonger  100\n" },
		{ NULL, 0, { "a", "b", "cc", "" }, 4, "a  b\ncc\n" },
		{ NULL, 0, { "a line of its own", "", "a", "b" }, 4, "a line of its own\na  b\n" },
		{ NULL, 0, { "\033[31m", "b", "x\ny", "c" }, 4, "\\x1b[31m  b\nx\\ny      c\n" },
		{ NULL, 0, { "\xc3\xa4\xc3\xb6", "b", "abc", "c" }, 4, "\xc3\xa4\xc3\xb6   b\nabc  c\n" },
		{ titles, 0, { NULL }, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_table_ struct table t = TABLE_INIT;
		_cleanup_close_ int fd = file();
		struct out o;

		out_init(&o, fd);
		table_init(&t, cases[i].titles, 2, cases[i].right);
		for (size_t c = 0; c < cases[i].n; c++)
			table_cell(&t, cases[i].cells[c]);
		table_print(&t, &o, "");
		assert_int_equal(out_finish(&o), 0);
		assert_string_equal(read_back(fd), cases[i].want);
	}
}

static void test_no_colour_in_files(void **state)
{
	_cleanup_close_ int fd = file();
	struct out o;

	(void)state;
	out_init(&o, fd);
	assert_false(o.terminal);
	out_colour(&o, COLOUR_RED);
	out_text(&o, "a\x1b\x7f");
	out_colour(&o, COLOUR_NONE);
	assert_int_equal(out_finish(&o), 0);
	assert_string_equal(read_back(fd), "a\\x1b\\x7f");
}

static void test_json(void **state)
{
	_cleanup_close_ int fd = file();
	struct out o;

	(void)state;
	out_init(&o, fd);
	out_json(&o, json_pack("{s:s}", "a", "\x7f\n"));
	assert_int_equal(out_finish(&o), 0);
	assert_string_equal(read_back(fd), "{\"a\":\"\\u007f\\n\"}\n");
	out_init(&o, fd);
	out_json(&o, NULL);
	assert_int_equal(out_finish(&o), EX_IOERR);
}

static void test_lost(void **state)
{
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct out o;
	int fds[2];

	(void)state;
	assert_true(full >= 0);
	out_init(&o, full);
	out_str(&o, "x");
	assert_int_equal(out_finish(&o), EX_IOERR);
	/* A reader that went away is the end of output, and no failure. */
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	out_init(&o, fds[1]);
	out_str(&o, "x");
	assert_int_equal(out_finish(&o), 0);
	close(fds[1]);
}

/* More than a pipe takes at once, to a reader that is slow and a descriptor that does not block. */
static void test_slow_reader(void **state)
{
	char line[1024];
	struct out o;
	int fds[2], status;
	pid_t pid;

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\0';
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		out_init(&o, fds[1]);
		for (int i = 0; i < 1024; i++)
			out_str(&o, line);
		_exit(out_finish(&o));
	}
	close(fds[1]);
	for (size_t total = 0;;) {
		ssize_t n = read(fds[0], line, sizeof(line));

		assert_true(n >= 0);
		total += (size_t)n;
		if (n)
			continue;
		assert_int_equal(total, 1024 * (sizeof(line) - 1));
		break;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table), cmocka_unit_test(test_no_colour_in_files), cmocka_unit_test(test_json),
		cmocka_unit_test(test_lost),  cmocka_unit_test(test_slow_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
