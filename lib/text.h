/*
 * Text in and out: escaping for people, UTF-8, times, durations, sizes, glob patterns, "did you mean".
 */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

/* Whole string is valid UTF-8 (no surrogates, no overlong forms). */
bool text_utf8_valid(const char *s, size_t len);
/* Length of the character at s and its code point; 0 when there is no valid one. len is at least 1. */
size_t text_utf8_next(const char *s, size_t len, uint32_t *ret);
/* Controls, and characters that a reader does not see or a terminal obeys (bidirectional overrides, zero width...). */
bool text_is_hidden(uint32_t c);

/*
 * Append bytes so that a terminal shows them and obeys none of them: C0 and C1 controls, DEL, invalid
 * UTF-8, bidirectional overrides and backslash become \n, \t, \\, \xHH or \u{HHHH}. Printable UTF-8 stays.
 */
void text_escape(struct buf *b, const char *s, size_t len);
/* The same for text that may hold escaped parts already: backslash stays as it is. */
void text_sanitize(struct buf *b, const char *s, size_t len);

#define TEXT_TIME_MAX 32
/*
 * UTC, "2026-01-31T12:00:00.123456789Z" (digits 9), or with 1 to 8 digits cut, 0 for whole seconds. Before 1970 when
 * real_ns is a negative int64_t (file times).
 */
void text_time(char ret[TEXT_TIME_MAX], uint64_t real_ns, int digits);
/*
 * A moment: ISO-8601 ("2026-01-31", "2026-01-31T12:00:00[.frac][Z]", UTC), "@SECONDS", or a duration that is
 * taken as that long before `now_ns` ("7d", "90s"). -EINVAL when it is none of these.
 */
int text_parse_time(const char *s, uint64_t now_ns, uint64_t *ret_ns);
/* "250ms", "10s", "5m", "2h", "90d", "1w"; a bare number is seconds. -EINVAL, -ERANGE. */
int text_parse_duration(const char *s, uint64_t *ret_ns);
/* "512", "64K", "2G", "1T" (powers of 1024; "KiB" accepted). -EINVAL, -ERANGE. */
int text_parse_size(const char *s, uint64_t *ret_bytes);
/* "1.2 GiB", "300 B". */
void text_size(struct buf *b, uint64_t bytes);
/* "1m 5s", "850 ms". */
void text_duration(struct buf *b, uint64_t ns);

/* Bytes from len hex digits of either case: their number, or -EINVAL when it is nothing else or more than max. */
int text_parse_hex(const char *s, size_t len, uint8_t *ret, size_t max);

/*
 * Glob on bytes: * ? [set] [!set] \x; ** crosses slashes, * ? and sets do not; a whole component ** also matches no
 * component at all (a/ ** /b without the blanks matches a/b). Bounded time (no exponential backtracking).
 */
bool text_glob(const char *pattern, const char *s);
/* True when s holds a glob character. */
bool text_is_glob(const char *s);

/* The nearest of n words (edit distance at most a third of the length, or 1), or NULL. */
const char *text_nearest(const char *word, const char *const *words, size_t n);

/*
 * \ooo as the kernel's tables write space, tab, newline, backslash and '#'. In place: the result is never longer. \000
 * stays as it is.
 */
void text_unescape_octal(char *s);

#endif
