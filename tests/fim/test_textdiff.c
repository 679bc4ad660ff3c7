/* Differences as text: right (applied to the old text they give the new one), bounded, and without secrets. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fim/differ.h"
#include "fim/redact.h"
#include "fim/textdiff.h"
#include "lib/text.h"

/* --- secrets */

static void test_redact(void **state _unused_)
{
	static const struct {
		const char *line, *hidden; /* NULL: nothing of it is hidden */
	} cases[] = {
		{ "password = hunter2", "hunter2" },
		{ "db_password: \"two words\"", "two words" },
		{ "DB_PASSWORD='it\\'s'", "it\\'s" },
		{ "machine x login y password s3cr3t", "s3cr3t" },
		{ "requirepass foobared", "foobared" },
		{ "token=abc", "abc" },
		{ "{\"api_key\": \"abcd\"}", "abcd" },
		{ "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "K7MDENG" },
		{ "key AKIAIOSFODNN7EXAMPLE x", "IOSFODNN7" },
		{ "url=https://bob:pa55@example.org/x", "pa55" },
		{ "Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop" },
		{ "root:$6$salt1234$abcdefghijklmnopqrstuvwxyz./0123:19000:0:99999:7:::", "abcdefghij" },
		{ "u:$y$j9T$abcdef$ghijklmnopqrstuvwxyz:1:", "ghijklm" },
		{ "u:ab0123456789x:1:2", "ab0123456789x" },
		{ "x ghp_0123456789abcdefghijABCDEFGHIJ012345", "0123456789" },
		{ "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl" },
		{ "k: 9f86d081884c7d659a2feaa0c55ad015", "9f86d081884c7d65" },
		{ "v=Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MA==", "Zm9vYmFy" },
		{ "snmp community s3cret-ro", "s3cret-ro" },
		{ "+++=Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MA==", "Zm9vYmFy" },
		{ "/etc/x/Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MA==/y", "Zm9vYmFy" },
		{ "psk=\"abc", "abc" },
		{ "PermitRootLogin yes", NULL },
		{ "PasswordAuthentication no", NULL },
		{ "password requisite pam_pwquality.so retry=3", NULL },
		{ "password [success=1 default=ignore] pam_unix.so yescrypt", NULL },
		{ "passwd: files systemd", NULL },
		{ "UUID=2f1c2b7e-1a5b-4b1e-9a55-0f7de9b01a2c / ext4 defaults 0 1", NULL },
		{ "Include /usr/share/x86_64-linux-gnu/some/long/Path/With/Many/Parts.d/file-1.2.3", NULL },
		{ "bob:x:1000:1000:Bob,,,:/home/bob:/bin/bash", NULL },
		{ "127.0.0.1 localhost.localdomain", NULL },
		{ "", NULL },
		{ "token", NULL },
		{ "password=", NULL },
		{ "$", NULL },
		{ "://", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT, plain = BUF_INIT;

		redact_line(&b, cases[i].line, strlen(cases[i].line));
		text_escape(&plain, cases[i].line, strlen(cases[i].line));
		if (cases[i].hidden) {
			if (strstr(b.data, cases[i].hidden) || !strstr(b.data, REDACTED))
				fail_msg("%s: %s", cases[i].line, b.data);
		} else if (b.len != plain.len || memcmp(b.data ? b.data : "", plain.data ? plain.data : "", b.len)) {
			fail_msg("%s: %s", cases[i].line, b.data);
		}
	}
}

/* Whatever bytes there are: no control but the end of a line, and time that is not quadratic. */
static void test_hostile(void **state _unused_)
{
	static char text[TEXTDIFF_SIZE_MAX];
	static const char *const patterns[] = {
		"\x1b[31m", "\xff\xfe", "://a:", "$1$",	 "a=\"",	 "password ", "A1b2C3",
		"eyJ",	    ":",	"\r\n",	 "\n",	 "\xe2\x80\xae", "+",	      "+=",
		"/_",	    "+1a",	"pwd=[", "pwd(", "pwd=\"[",	 "$1$a/",     "-----BEGIN PRIVATE KEY"
	};

	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		size_t n = strlen(patterns[i]);

		for (size_t k = 0; k < sizeof(text); k++)
			text[k] = patterns[i][k % n];
		assert_int_equal(textdiff("x\n", 2, text, sizeof(text), &b), 0);
		assert_true(b.len > 0 && b.len < TEXTDIFF_OUT_MAX + 8 * TEXTDIFF_LINE_MAX);
		assert_true(text_utf8_valid(b.data, b.len));
		for (size_t k = 0; k < b.len; k++)
			assert_true((uint8_t)b.data[k] >= ' ' || b.data[k] == '\n');
		assert_null(memchr(b.data, 0x7f, b.len));
		/* As one line, which a difference would cut. */
		buf_reset(&b);
		redact_line(&b, text, sizeof(text));
		assert_true(text_utf8_valid(b.data ?: "", b.len));
	}
	assert_false(textdiff_is_text("a\0b", 3));
	assert_true(textdiff_is_text("a\xff", 2));
}

/* --- differences */

static void test_exact(void **state _unused_)
{
	static const struct {
		const char *a, *b, *diff;
	} cases[] = {
		{ "", "", "" },
		{ "a\n", "a\n", "" },
		{ "a\n", "b\n", "@@ -1,1 +1,1 @@\n-a\n+b\n" },
		{ "", "a\n", "@@ -0,0 +1,1 @@\n+a\n" },
		{ "a\n", "", "@@ -1,1 +0,0 @@\n-a\n" },
		{ "a\nb\nc\n", "a\nc\n", "@@ -1,3 +1,2 @@\n a\n-b\n c\n" },
		{ "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		  "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n" },
		{ "a\n1\n2\n3\n4\n5\n6\n7\n8\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\n8\nB\n",
		  "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n@@ -7,4 +7,4 @@\n 6\n 7\n 8\n-b\n+B\n" },
		{ "a\n", "a", "@@ -1,1 +1,1 @@\n-a\n+a\n" },
		{ "k\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n",
		  "k\n-----BEGIN RSA PRIVATE KEY-----\nMIIF\n-----END RSA PRIVATE KEY-----\n",
		  "@@ -1,4 +1,4 @@\n k\n [redacted]\n-[redacted]\n+[redacted]\n [redacted]\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		assert_int_equal(textdiff(cases[i].a, strlen(cases[i].a), cases[i].b, strlen(cases[i].b), &b), 0);
		assert_string_equal(b.data ? b.data : "", cases[i].diff);
	}
	assert_int_equal(textdiff("", 0, "", TEXTDIFF_SIZE_MAX + 1, NULL), -EFBIG);
}

/* Random texts of few different lines: the new text comes out when the hunks are applied to the old one. */
static size_t make(char *ret, unsigned *seed, unsigned lines, unsigned kinds)
{
	size_t len = 0;

	for (unsigned i = 0; i < lines; i++) {
		ret[len++] = (char)('a' + rand_r(seed) % kinds);
		ret[len++] = '\n';
	}
	ret[len] = '\0';
	return len;
}

static void apply(const char *a, size_t n, const char *diff, char *ret)
{
	size_t at = 0, out = 0;

	while (*diff) {
		int from, count, to, length;

		assert_int_equal(sscanf(diff, "@@ -%d,%d +%d,%d @@", &from, &count, &to, &length), 4);
		diff += strcspn(diff, "\n") + 1;
		for (size_t start = (size_t)(count ? from - 1 : from) * 2; at < start;)
			ret[out++] = a[at++];
		for (int i = 0; *diff && *diff != '@'; i++, diff += 3) {
			if (*diff != '+') {
				assert_true(at + 2 <= n && a[at] == diff[1]);
				at += 2;
			}
			if (*diff != '-') {
				ret[out++] = diff[1];
				ret[out++] = '\n';
			}
		}
	}
	while (at < n)
		ret[out++] = a[at++];
	ret[out] = '\0';
}

static void test_random(void **state _unused_)
{
	static char a[4096], o[4096], got[8192];
	unsigned seed = 7;

	for (int round = 0; round < 3000; round++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		size_t n = make(a, &seed, rand_r(&seed) % 30, 1 + rand_r(&seed) % 5);
		size_t m = make(o, &seed, rand_r(&seed) % 30, 1 + rand_r(&seed) % 5);

		assert_int_equal(textdiff(a, n, o, m, &b), 0);
		apply(a, n, b.data ? b.data : "", got);
		assert_string_equal(got, o);
	}
	/* More differs than is followed line by line. */
	for (int round = 0; round < 4; round++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		size_t n = make(a, &seed, 600, 20), m = make(o, &seed, 600, 20);

		assert_int_equal(textdiff(a, n, o, m, &b), 0);
		apply(a, n, b.data, got);
		assert_string_equal(got, o);
	}
}

/* --- content of changes */

/* Without waiting for a disk; in a flood without content, and counted. */
static void test_flood_is_counted(void **state _unused_)
{
	static const char text[] = "a\nb\n";
	char dir[] = "/tmp/holdfast-differ.XXXXXX", path[64], yaml[96];
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_digest_ struct digest *hash = NULL;
	_cleanup_(differ_free_p) struct differ *d = NULL;
	_cleanup_conf_ struct conf *conf = NULL;
	_cleanup_buf_ struct buf errors = BUF_INIT;
	uint8_t digest[DIGEST_MAX];
	unsigned kept = 0, n = 0;
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	snprintf(yaml, sizeof(yaml), "diffs: [%s]\n", dir);
	assert_int_equal(conf_parse("test", yaml, strlen(yaml), &conf, &errors), 0);
	f = fopen(path, "we");
	assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0 && chmod(path, 0644) == 0);
	assert_int_equal(digest_new(DIGEST_SHA256, &hash), 0);
	assert_int_equal(digest_once(hash, text, strlen(text), digest), 0);
	assert_int_equal(differ_new(NULL, DIGEST_SHA256, false, &d), 0);
	/* A machine that stands still for seconds has more of them. */
	for (; n < 100 * DIFFER_PER_SECOND && !differ_skipped(d); n++) {
		_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);

		e->path = path;
		e->has_after = true;
		e->after.type = 'f';
		e->after.mode = 0644;
		e->after.size = strlen(text);
		memcpy(e->after.digest, digest, sizeof(digest));
		e->after.digest_len = (uint8_t)digest_size(hash);
		e->after.have = ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
		differ_event(d, conf, root, e);
		kept += e->content_len == strlen(text) && memcmp(e->content, text, strlen(text)) == 0;
	}
	assert_int_equal(kept, n - 1);
	assert_true(kept >= DIFFER_PER_SECOND);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redact), cmocka_unit_test(test_hostile),		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_random), cmocka_unit_test(test_flood_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
