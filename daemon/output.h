/*
 * Standard output: one line an event, on a thread of its own ("out") behind a bounded queue. A reader that does not
 * read stops this thread and nothing else: what the queue has no room for is counted.
 */
#ifndef DAEMON_OUTPUT_H
#define DAEMON_OUTPUT_H

#include <stdbool.h>

#include "event/event.h"

struct output;

struct output_stats {
	uint64_t printed, dropped;
	bool closed; /* nobody reads any more */
};

struct output_options {
	int fd;
	bool json, colour;
	/* First loss since nothing was waiting, and its end; on any thread. May be NULL. */
	void (*blocked)(bool blocked, uint64_t dropped, void *data);
	void *data;
};

int output_start(const struct output_options *o, struct output **ret);
/* Takes a reference of its own. Never blocks. */
void output_put(struct output *o, struct event *e);
/* Prints what is queued as long as somebody reads, for a moment at most. */
void output_stop(struct output *o);
void output_get_stats(struct output *o, struct output_stats *ret);

#endif
