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
/* A copy of a->event. NULL: out of memory. */
struct event *access_keep(const struct access *a);
/* The file at path is there and empty. */
bool access_emptied(const char *path);
void access_free(struct access *a);

#endif
