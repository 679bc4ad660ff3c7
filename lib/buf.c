/*
 * Growable byte buffer and the reader of its encodings. Owns the memory behind struct buf; any thread, one at a time
 * per buffer. Never aborts: out of memory is kept in `failed`.
 */
#include "lib/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf)BUF_INIT;
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

static bool buf_grow(struct buf *b, size_t n)
{
	size_t need, cap = b->cap ? b->cap : 64;
	char *data;

	if (__builtin_add_overflow(b->len, n, &need) || need > SIZE_MAX / 4) {
		b->failed = true;
		return false;
	}
	while (cap <= need)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

bool buf_reserve(struct buf *b, size_t n)
{
	if (b->failed)
		return false;
	if (n < b->cap - b->len) /* cap 0 means len 0: false */
		return true;
	return buf_grow(b, n);
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (!buf_reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void buf_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	if (!buf_reserve(b, 63))
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(b->data + b->len, b->cap - b->len, fmt, ap);
	if (n >= 0 && (size_t)n >= b->cap - b->len) {
		if (buf_reserve(b, (size_t)n))
			vsnprintf(b->data + b->len, b->cap - b->len, fmt, again);
		else
			n = -1;
	}
	va_end(again);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		b->data[b->len] = '\0';
		return;
	}
	b->len += (size_t)n;
}

void buf_hex(struct buf *b, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	if (len > SIZE_MAX / 4 || !buf_reserve(b, 2 * len)) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < len; i++) {
		b->data[b->len++] = digits[p[i] >> 4];
		b->data[b->len++] = digits[p[i] & 15];
	}
	b->data[b->len] = '\0';
}

void buf_u8(struct buf *b, uint8_t v)
{
	buf_add(b, &v, 1);
}

void buf_u32(struct buf *b, uint32_t v)
{
	uint8_t le[4] = { v, v >> 8, v >> 16, v >> 24 };

	buf_add(b, le, sizeof(le));
}

void buf_u64(struct buf *b, uint64_t v)
{
	buf_u32(b, (uint32_t)v);
	buf_u32(b, v >> 32);
}

void buf_bytes(struct buf *b, const void *data, size_t len)
{
	if (len > UINT32_MAX) {
		b->failed = true;
		return;
	}
	buf_u32(b, (uint32_t)len);
	buf_add(b, data, len);
}

void buf_varint(struct buf *b, uint64_t v)
{
	uint8_t out[10];
	size_t n = 0;

	while (v >= 0x80) {
		out[n++] = (uint8_t)v | 0x80;
		v >>= 7;
	}
	out[n++] = (uint8_t)v;
	buf_add(b, out, n);
}

const void *reader_raw(struct reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > (size_t)(r->end - r->p)) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	return p;
}

uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_raw(r, 1);

	return p ? *p : 0;
}

uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_raw(r, 4);

	return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

uint64_t reader_u64(struct reader *r)
{
	uint64_t low, high;

	if (r->bad || r->end - r->p < 8) {
		r->bad = true;
		return 0;
	}
	low = reader_u32(r);
	high = reader_u32(r);
	return low | high << 32;
}

uint64_t reader_varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t c = reader_u8(r);

		if (r->bad)
			return 0;
		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c & 0x80)
			continue;
		if (!c && shift)
			break;
		return v;
	}
	r->bad = true;
	return 0;
}

const void *reader_bytes(struct reader *r, size_t *ret_len)
{
	size_t len = reader_u32(r);
	const void *p = reader_raw(r, len);

	*ret_len = p ? len : 0;
	return p;
}
