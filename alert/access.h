/*
 * Accesses as rules see them: what a sensor told of a file becomes an event of kind EVENT_ACCESS (EVENT_OPEN for opens)
 * that stands for the calls that were made. Thread "alert"; looks at files that appeared or whose attributes changed,
 * by one statx.
 */
#ifndef ALERT_ACCESS_H
#define ALERT_ACCESS_H

#include "event/field.h"
#include "watch/watch.h"

#define ACCESS_CREATED 1024

/* One for a thread. Zero to begin with. */
struct access {
	struct event event; /* the access at hand; borrows from the batch: access_keep makes one that lasts */
	struct record record;
	struct arena arena;		  /* target of a link */
	uint64_t created[ACCESS_CREATED]; /* hashes of path and pid: created and not closed */
};

/* The calls that e stands for, at most FACES_MAX; 0: none that rules know. a->event describes it until the next call.
 */
unsigned access_begin(struct access *a, const struct fs_batch *b, const struct fs_event *e, enum face ret[FACES_MAX]);
/*
 * Once it is known whose container a->event was in: what overlayfs does in its own folder is no call, what it moves
 * from there to its place is the copy of a file that is written to, or stands for one that was removed. The number of
 * calls.
 */
unsigned access_in_layer(struct access *a, enum face faces[FACES_MAX], unsigned n);
/* A copy of a->event. NULL: out of memory. */
struct event *access_keep(const struct access *a);
/* The file that e is about is there and empty. */
bool access_emptied(const struct event *e);
void access_free(struct access *a);

#endif
