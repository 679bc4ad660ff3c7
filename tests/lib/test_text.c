/* lib/text, text_time, glob: tables of cases. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/text.h"

static void test_escape(void **state _unused_)
{
	static const struct {
		const char *in;
		size_t len;
		const char *out;
	} cases[] = {
		{ "", 0, "" },
		{ "/etc/passwd", 11, "/etc/passwd" },
		{ "a\nb\tc\\d", 7, "a\\nb\\tc\\\\d" },
		{ "\x1b[31m\r\a\0z", 9, "\\x1b[31m\\x0d\\x07\\x00z" },
		{ "\x7f", 1, "\\x7f" },
		{ "caf\xc3\xa9", 5, "caf\xc3\xa9" },
		{ "\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80" },
		{ "\xc2\x9b"
		  "31m",
		  5, "\\u{9b}31m" },
		{ "\xe2\x80\xae"
		  "gpj.exe",
		  10, "\\u{202e}gpj.exe" },
		{ "\xe2\x80\x8e\xe2\x80\x8f", 6, "\\u{200e}\\u{200f}" },
		{ "\xe2\x81\xa6\xe2\x81\xa9", 6, "\\u{2066}\\u{2069}" },
		{ "\xe2\x80\xa8\xe2\x80\xa9", 6, "\\u{2028}\\u{2029}" },
		{ "\xef\xbb\xbf", 3, "\\u{feff}" },
		{ "\xff\xfe", 2, "\\xff\\xfe" },
		{ "\xc0\xaf", 2, "\\xc0\\xaf" },		   /* overlong */
		{ "\xed\xa0\x80", 3, "\\xed\\xa0\\x80" },	   /* surrogate */
		{ "\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80" }, /* above U+10FFFF */
		{ "\xe2\x82", 2, "\\xe2\\x82" },		   /* cut */
		{ "\xe2\x82x", 3, "\\xe2\\x82x" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		buf_str(&b, "");
		text_escape(&b, cases[i].in, cases[i].len);
		assert_string_equal(b.data, cases[i].out);
	}
}

/* Any bytes: the output is valid UTF-8 without a control byte. */
static void test_escape_any(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char in[64];

	srandom(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)random() % sizeof(in);

		for (size_t i = 0; i < len; i++)
			in[i] = (char)(random() % 4 ? 0x80 | random() : random());
		buf_reset(&b);
		text_escape(&b, in, len);
		assert_true(text_utf8_valid(b.data ? b.data : "", b.len));
		for (size_t i = 0; i < b.len; i++)
			assert_true((uint8_t)b.data[i] >= 0x20 && b.data[i] != 0x7f);
	}
}

static void test_sanitize(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	text_sanitize(&b, "a\\nb\n", 5);
	assert_string_equal(b.data, "a\\nb\\n");
}

static void test_time(void **state _unused_)
{
	static const struct {
		int64_t ns;
		int digits;
		const char *text;
	} cases[] = {
		{ 0, 0, "1970-01-01T00:00:00Z" },
		{ -1, 9, "1969-12-31T23:59:59.999999999Z" },
		{ 951782400LL * 1000000000, 3, "2000-02-29T00:00:00.000Z" },
		{ 1769860800123456789LL, 9, "2026-01-31T12:00:00.123456789Z" },
		{ 1769860800123456789LL, 6, "2026-01-31T12:00:00.123456Z" },
		{ 1769860800123456789LL, 3, "2026-01-31T12:00:00.123Z" },
		{ 4107542399LL * 1000000000, 0, "2100-02-28T23:59:59Z" },
		{ INT64_MAX, 9, "2262-04-11T23:47:16.854775807Z" },
		{ INT64_MIN, 9, "1677-09-21T00:12:43.145224192Z" },
	};
	char text[TEXT_TIME_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		text_time(text, (uint64_t)cases[i].ns, cases[i].digits);
		assert_string_equal(text, cases[i].text);
	}
}

static void test_parse_time(void **state _unused_)
{
	static const uint64_t now = 1769860800ULL * NSEC_PER_SEC;
	static const struct {
		const char *text;
		int r;
		uint64_t ns;
	} cases[] = {
		{ "2026-01-31", 0, 1769817600ULL * NSEC_PER_SEC },
		{ "2026-01-31T12:00:00Z", 0, now },
		{ "2026-01-31 12:00", 0, now },
		{ "2026-01-31T12:00:00.5", 0, now + NSEC_PER_SEC / 2 },
		{ "@1769860800", 0, now },
		{ "@1769860800.25", 0, now + NSEC_PER_SEC / 4 },
		{ "90s", 0, now - 90 * NSEC_PER_SEC },
		{ "7d", 0, now - 7 * 86400 * NSEC_PER_SEC },
		{ "", -EINVAL, 0 },
		{ "@", -EINVAL, 0 },
		{ "@1x", -EINVAL, 0 },
		{ "@99999999999999999999", -ERANGE, 0 },
		{ "2026-02-30", -EINVAL, 0 },
		{ "2026-13-01", -EINVAL, 0 },
		{ "2026-01-31T25:00", -EINVAL, 0 },
		{ "2026-01-31T12:00:00.1234567890", -EINVAL, 0 },
		{ "2026-01-31x", -EINVAL, 0 },
		{ "yesterday", -EINVAL, 0 },
		{ "9000000w", -ERANGE, 0 },
		{ "5000w", -ERANGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t ns = 0;

		assert_int_equal(text_parse_time(cases[i].text, now, &ns), cases[i].r);
		assert_true(ns == cases[i].ns);
	}
}

static void test_time_round_trip(void **state _unused_)
{
	char text[TEXT_TIME_MAX];
	uint64_t ns;

	for (uint64_t day = 0; day < 106000; day += 13) {
		text_time(text, day * 86400 * NSEC_PER_SEC + day, 9);
		assert_int_equal(text_parse_time(text, 0, &ns), 0);
		assert_true(ns == day * 86400 * NSEC_PER_SEC + day);
	}
}

static void test_units(void **state _unused_)
{
	static const struct {
		const char *text;
		int r;
		uint64_t v;
	} sizes[] = {
		{ "512", 0, 512 },	  { "64K", 0, 65536 },	 { "2G", 0, 2ULL << 30 }, { "1T", 0, 1ULL << 40 },
		{ "3KiB", 0, 3072 },	  { "", -EINVAL, 0 },	 { "-1", -EINVAL, 0 },	  { "1X", -EINVAL, 0 },
		{ "99999999T", -ERANGE, 0 }, { "99999999999999999999", -ERANGE, 0 }, { " 1", -EINVAL, 0 },
	}, durations[] = {
		{ "250ms", 0, 250 * NSEC_PER_MSEC }, { "10", 0, 10 * NSEC_PER_SEC }, { "5m", 0, 300 * NSEC_PER_SEC },
		{ "2h", 0, 7200 * NSEC_PER_SEC },    { "1w", 0, 604800 * NSEC_PER_SEC }, { "1y", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },		     { "99999999999d", -ERANGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint64_t v = 0;

		assert_int_equal(text_parse_size(sizes[i].text, &v), sizes[i].r);
		assert_true(v == sizes[i].v);
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		uint64_t v = 0;

		assert_int_equal(text_parse_duration(durations[i].text, &v), durations[i].r);
		assert_true(v == durations[i].v);
	}
}

static void test_units_out(void **state _unused_)
{
	static const struct {
		uint64_t v;
		const char *text;
	} sizes[] = { { 0, "0 B" },	      { 300, "300 B" },		 { 1024, "1.0 KiB" }, { 1288490189, "1.2 GiB" },
		      { 1048575, "1.0 MiB" }, { UINT64_MAX, "16.0 EiB" } },
	  durations[] = { { 0, "0 ms" },
			  { 850 * NSEC_PER_MSEC, "850 ms" },
			  { 5250 * NSEC_PER_MSEC, "5.2 s" },
			  { 42 * NSEC_PER_SEC, "42 s" },
			  { 65 * NSEC_PER_SEC, "1m 5s" },
			  { 7260 * NSEC_PER_SEC, "2h 1m" },
			  { 180000 * NSEC_PER_SEC, "2d 2h" } };
	_cleanup_buf_ struct buf b = BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		buf_reset(&b);
		text_size(&b, sizes[i].v);
		assert_string_equal(b.data, sizes[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		buf_reset(&b);
		text_duration(&b, durations[i].v);
		assert_string_equal(b.data, durations[i].text);
	}
}

static void test_glob(void **state _unused_)
{
	static const struct {
		const char *pattern, *s;
		bool match;
	} cases[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "a", "", false },
		{ "*", "", true },
		{ "*.swp", "x.swp", true },
		{ "*.swp", "x.swpx", false },
		{ "*.swp", "d/x.swp", false },
		{ "/etc/*", "/etc/passwd", true },
		{ "/etc/*", "/etc/ssh/key", false },
		{ "/etc/*/key", "/etc/ssh/key", true },
		{ "/etc/**", "/etc/ssh/key", true },
		{ "/etc/**", "/etc", false },
		{ "/etc/**/key", "/etc/key", true },
		{ "/etc/**/key", "/etc/a/b/key", true },
		{ "/etc/**/key", "/etc/a/bkey", false },
		{ "**/key", "key", true },
		{ "**/key", "a/b/key", true },
		{ "**key", "a/bkey", true },
		{ "/a**z", "/ab/cz", true },
		{ "/**/x/*.c", "/p/x/q/x/y.c", true },
		{ "/**/x/*.c", "/p/x/q/y.c", false },
		{ "?", "a", true },
		{ "?", "/", false },
		{ "a?c", "abc", true },
		{ "[abc]", "b", true },
		{ "[a-c]x", "cx", true },
		{ "[!a-c]", "b", false },
		{ "[!a-c]", "d", true },
		{ "[!a]", "/", false },
		{ "[]]", "]", true },
		{ "[!]]", "x", true },
		{ "[a", "[a", true },
		{ "[\\]]", "]", true },
		{ "[a-]", "-", true },
		{ "\\*", "*", true },
		{ "\\*", "a", false },
		{ "\\", "\\", true },
		{ "*a*b*", "xxaxxbxx", true },
		{ "*a*b*", "xxbxxaxx", false },
		{ "***", "a/b", true },
		{ "*\xff", "\xfe\xff", true },
		{ "[\xf0-\xff]", "\xfe", true },
		{ "*/*x", "ab/cx", true },
		{ "a*/b", "a//b", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (text_glob(cases[i].pattern, cases[i].s) != cases[i].match)
			fail_msg("%s on %s", cases[i].pattern, cases[i].s);
	}
	assert_true(text_is_glob("a*"));
	assert_false(text_is_glob("/etc/passwd"));
}

/* Reference: plain recursion. */
static bool glob_slow(const char *p, const char *s, bool start)
{
	if (!*p)
		return !*s;
	if (p[0] == '*' && p[1] == '*') {
		bool component = start && p[2] == '/';

		while (*p == '*')
			p++;
		component = start && *p == '/';
		if (component) {
			if (glob_slow(p + 1, s, true))
				return true;
			while ((s = strchr(s, '/'))) {
				if (glob_slow(p + 1, ++s, true))
					return true;
			}
			return false;
		}
		for (;; s++) {
			if (glob_slow(p, s, false))
				return true;
			if (!*s)
				return false;
		}
	}
	if (*p == '*') {
		for (;; s++) {
			if (glob_slow(p + 1, s, false))
				return true;
			if (!*s || *s == '/')
				return false;
		}
	}
	if (!*s || (*p == '?' ? *s == '/' : *p != *s))
		return false;
	return glob_slow(p + 1, s + 1, *p == '/');
}

static void test_glob_random(void **state _unused_)
{
	char pattern[12], s[16];

	srandom(2);
	for (int round = 0; round < 300000; round++) {
		size_t plen = (size_t)random() % sizeof(pattern), slen = (size_t)random() % sizeof(s);

		for (size_t i = 0; i < plen; i++)
			pattern[i] = "ab/?**"[random() % 6];
		for (size_t i = 0; i < slen; i++)
			s[i] = "ab/"[random() % 3];
		pattern[plen] = s[slen] = '\0';
		if (text_glob(pattern, s) != glob_slow(pattern, s, true))
			fail_msg("\"%s\" on \"%s\"", pattern, s);
	}
}

static void test_glob_bounded(void **state _unused_)
{
	char pattern[201], s[4001];
	uint64_t from = clock_mono_ns();

	for (int i = 0; i < 200; i++)
		pattern[i] = "*a"[i % 2];
	pattern[198] = 'b';
	pattern[199] = 'c';
	pattern[200] = '\0';
	memset(s, 'a', 4000);
	s[4000] = '\0';
	assert_false(text_glob(pattern, s));
	assert_true(clock_mono_ns() - from < 20 * NSEC_PER_SEC);
}

static void test_nearest(void **state _unused_)
{
	static const char *const words[] = { "paths", "exclude", "sensitive", "opens", "limits" };
	static const struct {
		const char *word, *nearest;
	} cases[] = { { "path", "paths" },
		      { "pahts", "paths" },
		      { "exlude", "exclude" },
		      { "sensetive", "sensitive" },
		      { "limit", "limits" },
		      { "zebra", NULL },
		      { "", NULL } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *nearest = text_nearest(cases[i].word, words, ARRAY_SIZE(words));

		if (cases[i].nearest)
			assert_string_equal(nearest, cases[i].nearest);
		else
			assert_null(nearest);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),	     cmocka_unit_test(test_escape_any),
		cmocka_unit_test(test_sanitize),     cmocka_unit_test(test_time),
		cmocka_unit_test(test_parse_time),   cmocka_unit_test(test_time_round_trip),
		cmocka_unit_test(test_units),	     cmocka_unit_test(test_units_out),
		cmocka_unit_test(test_glob),	     cmocka_unit_test(test_glob_random),
		cmocka_unit_test(test_glob_bounded), cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
