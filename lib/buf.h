/*
 * Growable byte buffer. Always NUL-terminated behind len once something was appended, so data can be
 * used as a C string when the content holds no NUL. Out of memory is remembered in `failed`: callers
 * append freely and check once.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/util.h"

struct buf {
	char *data;
	size_t len;
	size_t cap;
	bool failed;
};

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		NULL, 0, 0, false                                                                                      \
	}

void buf_free(struct buf *b);
/* Forget the content, keep the memory. */
void buf_reset(struct buf *b);
void buf_add(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
/* Lower-case hex of len bytes. */
void buf_hex(struct buf *b, const void *data, size_t len);
/* Little-endian fixed width, and length-prefixed (u32) bytes: the canonical encodings are made of these. */
void buf_u8(struct buf *b, uint8_t v);
void buf_u32(struct buf *b, uint32_t v);
void buf_u64(struct buf *b, uint64_t v);
void buf_bytes(struct buf *b, const void *data, size_t len);
/* LEB128: seven bits a byte, low ones first; 1 to 10 bytes. */
void buf_varint(struct buf *b, uint64_t v);
/* Room for n more bytes and the NUL. False (and failed set) when out of memory. */
bool buf_reserve(struct buf *b, size_t n);

/* Reader over bytes made by the above. A read past the end sets `bad` and yields 0 / empty: check once. */
struct reader {
	const uint8_t *p;
	const uint8_t *end;
	bool bad;
};

uint8_t reader_u8(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* Only the shortest form is taken, so that one value has one encoding. */
uint64_t reader_varint(struct reader *r);
/* The next len bytes, NULL (and bad) when there are fewer. Borrowed from the underlying memory. */
const void *reader_raw(struct reader *r, size_t len);
/* Borrowed from the underlying memory; never NULL unless bad. */
const void *reader_bytes(struct reader *r, size_t *ret_len);

#define _cleanup_buf_ __attribute__((cleanup(buf_free)))

#endif
