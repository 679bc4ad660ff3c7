/* Settings of an output with a network as bytes and back. No state. */
#include "alert/post.h"

#include <errno.h>
#include <string.h>

static void put_text(struct buf *b, const char *text)
{
	buf_u8(b, text != NULL);
	if (text)
		buf_bytes(b, text, strlen(text) + 1);
}

static const char *get_text(struct reader *r)
{
	const char *text;
	size_t len;

	if (!reader_u8(r))
		return NULL;
	text = reader_bytes(r, &len);
	if (r->bad || !len || strnlen(text, len) != len - 1) {
		r->bad = true;
		return NULL;
	}
	return text;
}

void post_settings_encode(const struct post_settings *s, struct buf *ret)
{
	buf_u64(ret, s->timeout);
	put_text(ret, s->url);
	put_text(ret, s->ca);
	put_text(ret, s->cert);
	put_text(ret, s->key);
	buf_u32(ret, (uint32_t)s->n_headers);
	for (size_t i = 0; i < s->n_headers; i++)
		put_text(ret, s->headers[i]);
}

int post_settings_decode(const void *data, size_t len, struct post_settings *ret)
{
	struct reader r = { data, (const uint8_t *)data + len, false };

	*ret = (struct post_settings){ .timeout = reader_u64(&r) };
	ret->url = get_text(&r);
	ret->ca = get_text(&r);
	ret->cert = get_text(&r);
	ret->key = get_text(&r);
	ret->n_headers = reader_u32(&r);
	if (r.bad || !ret->url || ret->n_headers > POST_HEADERS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < ret->n_headers; i++) {
		ret->headers[i] = get_text(&r);
		if (!ret->headers[i])
			return -EBADMSG;
	}
	return r.p == r.end ? 0 : -EBADMSG;
}
