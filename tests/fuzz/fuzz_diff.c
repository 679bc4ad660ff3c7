/*
 * Fuzz target: the difference of two texts (up to the first 0xff, and behind it). What comes out is printable UTF-8 and
 * bounded, empty just for equal texts, and a key that is put into the second is not in it.
 */
#include <stdlib.h>
#include <string.h>

#include "fim/redact.h"
#include "fim/textdiff.h"
#include "lib/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void check_shown(const struct buf *b)
{
	uint32_t c;

	check(!b->failed && b->len <= 2 * TEXTDIFF_OUT_MAX);
	for (size_t i = 0, n; i < b->len; i += n) {
		n = text_utf8_next(b->data + i, b->len - i, &c);
		check(n && (c == '\n' || !text_is_hidden(c)));
	}
}

static void check_key(const char *text, size_t len)
{
	static const char key[] =
		"\n-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
	_cleanup_buf_ struct buf whole = BUF_INIT, b = BUF_INIT;

	buf_add(&whole, text, len);
	buf_str(&whole, key);
	if (!whole.failed && textdiff(text, len, whole.data, whole.len, &b) == 0) {
		check_shown(&b);
		check(!b.len || !strstr(b.data, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *middle = memchr(data, 0xff, size);
	const char *a = (const char *)data, *o = middle ? (const char *)middle + 1 : a + size;
	size_t n = middle ? (size_t)(middle - data) : size, m = size - n - (middle != NULL);
	_cleanup_buf_ struct buf b = BUF_INIT, line = BUF_INIT;

	if (size > 2 * TEXTDIFF_SIZE_MAX)
		return 0;
	if (textdiff(a, n, o, m, &b) == 0) {
		check_shown(&b);
		check((b.len == 0) == (n == m && memcmp(a, o, n) == 0));
	}
	redact_line(&line, a, n);
	check(!line.failed);
	check_key(a, n);
	return 0;
}
