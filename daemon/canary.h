/*
 * The canary: at the start and at intervals a file of ours is written on each marked file system, and the event has to
 * come back through the whole path (kernel, sensor, queue, live thread) with our pid, within a deadline. On a thread of
 * its own ("canary").
 */
#ifndef DAEMON_CANARY_H
#define DAEMON_CANARY_H

#include "conf/conf.h"
#include "daemon/gapbook.h"
#include "watch/watch.h"

struct canary;

#define CANARY_PLACES_MAX 64

struct canary_place {
	char *mountpoint;
	char *dir;	     /* where the file is written */
	bool tested, ok;     /* tested: it could be written */
	char why[128];	     /* not tested, or not ok */
	uint64_t latency_ns; /* of the last good one */
	uint64_t time;	     /* real ns of the last test */
	uint64_t good, bad;
};

struct canary_options {
	struct gapbook *gaps;
	const char *state_dir;	     /* preferred on its file system */
	uint64_t interval, deadline; /* ns */
};

/* It can be told of events from here on, until it is freed; tests run between start and stop. */
int canary_new(const struct canary_options *o, struct canary **ret);
int canary_start(struct canary *c, struct watch *watch);
void canary_stop(struct canary *c);
void canary_free(struct canary *c);
/* From now on: starts it when it did not run, tests at once; interval 0 stops it and forgets its results. */
void canary_reload(struct canary *c, struct watch *watch, uint64_t interval, uint64_t deadline);
/* An event of a file with a canary's name: true when it is ours. Any thread, never blocks for long. */
bool canary_event(struct canary *c, const struct fs_event *e);
/* fn borrows; the canary is locked. */
void canary_each(struct canary *c, void (*fn)(const struct canary_place *p, void *data), void *data);

#endif
