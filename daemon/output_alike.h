/*
 * Program starts alike, for people: the first is printed at once, those that follow within ten seconds are counted, and
 * told with the last of them. Alike: nobody vouches for the same file, run under the same name, in the same container,
 * for the same reason. One thread.
 */
#ifndef DAEMON_OUTPUT_ALIKE_H
#define DAEMON_OUTPUT_ALIKE_H

#include "event/event.h"

#define ALIKE_MAX 32 /* at a time; then the oldest is told */

struct alike {
	struct event *last; /* a reference; NULL: free */
	uint64_t more;	    /* behind those that were told */
	uint64_t until;	    /* monotonic ns */
};

struct alikes {
	struct alike list[ALIKE_MAX];
	/* more starts like e than were told; borrows e. */
	void (*tell)(const struct event *e, uint64_t more, void *data);
	void *data;
};

/* True: e is counted, and is not to be printed. */
bool alikes_take(struct alikes *a, struct event *e, uint64_t now);
/* Tells those whose time has come. When to look again; UINT64_MAX: nothing waits. */
uint64_t alikes_tick(struct alikes *a, uint64_t now);
/* Tells what is counted and lets all go. */
void alikes_end(struct alikes *a);

#endif
