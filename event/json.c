/* JSON values from bytes, counts and times. No state; any thread. */
#include "event/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"

void json_put_bytes(json_t *object, const char *key, const char *s, size_t len)
{
	_cleanup_buf_ struct buf text = BUF_INIT, raw = BUF_INIT, raw_key = BUF_INIT;

	if (!s)
		return;
	if (text_utf8_valid(s, len)) {
		json_object_set_new(object, key, json_stringn(s, len));
		return;
	}
	text_escape(&text, s, len);
	buf_hex(&raw, s, len);
	buf_printf(&raw_key, "%s_raw", key);
	if (text.failed || raw.failed || raw_key.failed)
		return;
	json_object_set_new(object, key, json_stringn(text.data, text.len));
	json_object_set_new(object, raw_key.data, json_stringn(raw.data, raw.len));
}

void json_put_string(json_t *object, const char *key, const char *s)
{
	if (s)
		json_put_bytes(object, key, s, strlen(s));
}

json_t *json_u64(uint64_t v)
{
	return v <= INT64_MAX ? json_integer((json_int_t)v) : json_sprintf("%" PRIu64, v);
}

json_t *json_time(uint64_t real_ns)
{
	char text[TEXT_TIME_MAX];

	text_time(text, real_ns, 9);
	return json_string(text);
}

static int json_collect(const char *data, size_t len, void *buf)
{
	buf_add(buf, data, len);
	return 0;
}

/* RFC 8259 section 7: above U+FFFF as a pair of surrogates. */
static void json_escape(struct buf *b, uint32_t c)
{
	if (c >= 0x10000) {
		buf_printf(b, "\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)));
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	buf_printf(b, "\\u%04x", (unsigned)c);
}

void json_line(struct buf *b, const json_t *o)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	size_t start = 0, n;
	uint32_t c;

	if (json_dump_callback(o, json_collect, &text, JSON_COMPACT | JSON_ENCODE_ANY) < 0 || text.failed) {
		b->failed = true;
		return;
	}
	/* Controls and invisible characters stand inside strings only, and C0 is escaped already. */
	for (size_t i = 0; i < text.len; i += n) {
		n = text_utf8_next(text.data + i, text.len - i, &c);
		if (!n) {
			n = 1;
			continue;
		}
		if (!text_is_hidden(c))
			continue;
		buf_add(b, text.data + start, i - start);
		json_escape(b, c);
		start = i + n;
	}
	buf_add(b, text.data + start, text.len - start);
}

void json_ascii(struct buf *b, const json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);

	b->failed |= !text;
	/* DEL is the one control byte that JSON does not escape. */
	for (const char *p = text; p && *p; p++) {
		if (*p == 0x7f)
			buf_str(b, "\\u007f");
		else
			buf_char(b, *p);
	}
	free(text);
}
