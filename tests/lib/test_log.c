/* lib/log: what reaches stderr, through a real pipe. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/log.h"

static char output[16384];

static void capture(enum log_level level, const char *text)
{
	int fds[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(fds[1], STDERR_FILENO);
	errno = EXDEV;
	log_msg(level, "%s", text);
	assert_int_equal(errno, EXDEV);
	dup2(saved, STDERR_FILENO);
	n = read(fds[0], output, sizeof(output) - 1);
	output[MAX(n, 0)] = '\0';
	close(fds[0]);
	close(fds[1]);
	close(saved);
}

static void test_lines(void **state _unused_)
{
	static const struct {
		enum log_level level;
		const char *text, *line;
	} cases[] = {
		{ LOG_LEVEL_ERROR, "no", "holdfast: error: no\n" },
		{ LOG_LEVEL_WARN, "a\nb\x1b[0m", "holdfast: warning: a\\nb\\x1b[0m\n" },
		{ LOG_LEVEL_INFO, "kept \\n", "holdfast: info: kept \\n\n" },
		{ LOG_LEVEL_DEBUG, "hidden", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		capture(cases[i].level, cases[i].text);
		assert_string_equal(output, cases[i].line);
	}
	log_set_level(LOG_LEVEL_DEBUG);
	capture(LOG_LEVEL_DEBUG, "shown");
	assert_string_equal(output, "holdfast: debug: shown\n");
	log_set_level(LOG_LEVEL_ERROR);
	capture(LOG_LEVEL_WARN, "hidden");
	assert_string_equal(output, "");
	log_set_level(LOG_LEVEL_INFO);
}

static void test_long(void **state _unused_)
{
	char text[10001];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	capture(LOG_LEVEL_ERROR, text);
	assert_string_equal(output + strlen(output) - 5, "x...\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_long) };

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
