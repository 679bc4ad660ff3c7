/* JSON values from bytes that need not be UTF-8. */
#ifndef EVENT_JSON_H
#define EVENT_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

/*
 * object[key] = s: as it is when it is UTF-8, else escaped for people (text_escape) with its bytes in hex under key
 * "_raw". Does nothing when s is NULL.
 */
void json_put_bytes(json_t *object, const char *key, const char *s, size_t len);
void json_put_string(json_t *object, const char *key, const char *s);
/* A number, or its decimal string above INT64_MAX (jansson's integers are signed). New reference. */
json_t *json_u64(uint64_t v);
/* ISO-8601 with nanoseconds. New reference. */
json_t *json_time(uint64_t real_ns);
/* Appends o as one line of printable ASCII, keys in order of insertion. Sets b->failed when out of memory. */
void json_ascii(struct buf *b, const json_t *o);
/*
 * Appends o as one line of JSON without a newline, keys in order of insertion. What text_escape keeps from terminals is
 * written as \uXXXX, other UTF-8 as it is. Every command and output prints JSON through this.
 */
void json_line(struct buf *b, const json_t *o);

#endif
