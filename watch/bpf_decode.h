/*
 * Of watch/bpf_decode.c and watch/bpf_decode_call.c alone: what records of the BPF programs have in common. The kernel
 * wrote them, but names in them are whatever a user chose.
 */
#ifndef HOLDFAST_WATCH_BPF_DECODE_H
#define HOLDFAST_WATCH_BPF_DECODE_H

#include <stddef.h>

#include "lib/arena.h"

struct decode_cursor {
	const char *at;
	size_t left;
};

/* The next len bytes. NULL: there are not so many. */
const char *decode_take(struct decode_cursor *c, size_t len);

/* "c\0b\0a\0" to "/a/b/c"; "/" when there is no name. NULL: malformed, or out of memory. */
const char *decode_path(const char *names, size_t len, const char *suffix, struct arena *a);

/* Where text leads by what is written alone; names: of the folder where it begins. NULL: malformed, or out of memory.
 */
const char *decode_absolute(const char *text, const char *names, size_t len, struct arena *a);

#endif
