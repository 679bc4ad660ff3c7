/*
 * What was sent a moment ago is not sent again: the first alert of a rule in a container by a program goes out at once,
 * those like it are counted and summed up when `window` is over. A rule that raises more than `burst` different ones
 * within the window has the rest summed up as well. Bounded; one thread.
 */
#ifndef ALERT_REPEAT_H
#define ALERT_REPEAT_H

#include "alert/alert.h"

#define REPEAT_MAX 8192 /* kinds of alerts remembered; the oldest is summed up early */

struct repeat;

struct repeat_options {
	uint64_t window; /* ns; 0: everything is sent */
	uint64_t burst;	 /* 0: any number */
	/* A sum; borrowed. */
	void (*sum)(struct alert *a, void *data);
	/* count like ones, for history; borrowed. Sets the row of one that is answered. */
	void (*told)(struct alert *a, uint64_t count, void *data);
	void *data;
};

int repeat_new(const struct repeat_options *o, struct repeat **ret);
/* Sums up everything and tells what is held back. */
void repeat_free(struct repeat *r);
void repeat_set(struct repeat *r, uint64_t window, uint64_t burst);
/*
 * True: it is to be sent. Sets a->repeated. History is told at once, but of ones alike (same path and process) within
 * REPEAT_MERGE_NS only their number. One that is answered has a row then: its own, or that of one like it.
 */
bool repeat_take(struct repeat *r, struct alert *a, uint64_t mono_ns);
/* What is due. Returns when to come again, UINT64_MAX: never. */
uint64_t repeat_tick(struct repeat *r, uint64_t mono_ns);
#define REPEAT_MERGE_NS 1000000000ULL

DEFINE_CLEANUP(struct repeat *, repeat_free)

#endif
