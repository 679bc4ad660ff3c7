/*
 * Libraries that few runs need and that bring dozens of others: loaded by whoever needs one first, and then kept. What
 * is linked instead costs every command its start and the monitor memory.
 */
#ifndef LIB_LATE_H
#define LIB_LATE_H

#include <stddef.h>

#include "lib/buf.h"

struct late_call {
	const char *name;
	void *at; /* the pointer to a function that is set */
};

/* Any thread; sets all pointers, or none and err says why. -ELIBACC: no such library, or it lacks a call. */
int late_load(const char *library, const struct late_call *calls, size_t n, struct buf *err);

#endif
