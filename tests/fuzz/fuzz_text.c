/*
 * Fuzz target: names and words from hostile bytes. What is escaped is printable UTF-8 and holds what went in; globs
 * end; what parses as a time prints and parses again.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void check_escape(const char *s, size_t len)
{
	_cleanup_buf_ struct buf once = BUF_INIT, twice = BUF_INIT;
	uint32_t c;

	buf_str(&once, "");
	text_escape(&once, s, len);
	for (size_t i = 0, n; i < once.len; i += n) {
		n = text_utf8_next(once.data + i, once.len - i, &c);
		check(n && !text_is_hidden(c));
	}
	text_sanitize(&twice, once.data, once.len);
	check(twice.len == once.len);
}

static void check_words(const char *s)
{
	static const char *const words[] = { "paths", "exclude", "sensitive" };
	uint64_t v;

	text_parse_size(s, &v);
	text_parse_duration(s, &v);
	text_nearest(s, words, ARRAY_SIZE(words));
	if (text_parse_time(s, 1ULL << 60, &v) == 0) {
		char text[TEXT_TIME_MAX];
		uint64_t back;

		text_time(text, v, 9);
		check(text_parse_time(text, 0, &back) == 0 && back == v);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *s = NULL, *pattern = NULL;

	if (size > 4096)
		return 0;
	check_escape((const char *)data, size);
	s = strndup((const char *)data, size);
	check(s != NULL);
	check_words(s);
	pattern = strndup(s, strlen(s) / 2);
	check(pattern != NULL);
	text_glob(pattern, s + strlen(pattern));
	return 0;
}
