/* What fim/drift_live.c and fim/drift_look.c share. Not for others. */
#ifndef FIM_DRIFT_LIVE_INTERNAL_H
#define FIM_DRIFT_LIVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fim/drift.h"
#include "fim/drift_images.h"
#include "fim/drift_live.h"
#include "fim/lately.h"
#include "fim/settle.h"

#define DRIFT_NOTES_MAX	   16384 /* events that wait to be taken over */
#define DRIFT_SCANS_MAX	   1024	 /* containers that wait to be looked at */
#define DRIFT_PENDING	   16384
#define DRIFT_MOUNTS_NS	   (20 * NSEC_PER_MSEC)	 /* who mounts, mounts more */
#define DRIFT_YOUNG_NS	   (250 * NSEC_PER_MSEC) /* a runtime writes down what it mounts */
#define DRIFT_MOUNTS_WAITS 40
#define DRIFT_STANDING_NS  (2 * NSEC_PER_SEC) /* between looks while something is: nobody tells that a namespace ended \
					       */
#define DRIFT_MOUNTS_COST 20		      /* times as long as a look took, before the next */

/* An event, on its way to the thread. */
struct drift_note {
	struct drift_note *next;
	struct fs_event event; /* its strings and process are the note's */
};

struct drift_scan {
	struct container *container;
	uint64_t due; /* boot ns */
	bool first;
};

struct drift_live {
	struct drift_live_options o;

	pthread_t thread;
	pthread_mutex_t lock; /* of what others reach */
	pthread_cond_t wake;
	struct drift_note *notes, **notes_end;
	size_t n_notes;
	uint64_t lost; /* not told yet */
	struct drift_scan scans[DRIFT_SCANS_MAX];
	size_t n_scans;
	atomic_bool stop;
	bool forget, mounted;
	struct conf *conf; /* replaced by reload; the thread has its own reference */

	/* the thread's */
	struct db *db;
	struct conf *now;
	struct drift_images *images;
	struct lately lately;
	struct settle settle;
	uint64_t seen; /* boot ns: all events until then are in it */
	struct arena arena;
	bool losing;
	uint64_t swept; /* boot ns */
	struct drift_mounts *mounts;
	struct drift_stand *stand;
	unsigned mounts_waits;
	bool mounts_idle;		  /* due is the next of the looks while something is mounted */
	uint64_t mounts_due, mounts_rest; /* boot ns; due: 0 nothing to look at */
	const char *cause;		  /* of paths that a scan names */

	struct {
		_Atomic uint64_t events, looks, changes, scans, lost, errors, no_baseline, pending;
	} counters;
};

/* --- drift_look.c */
/* Judges one path that was taken from settle. False: it was put back. */
bool drift_look(struct drift_live *l, struct pending *p);
/* Names what may differ in the container below inner, or judges it at once where there is no room. */
void drift_scan(struct drift_live *l, struct container *c, const char *inner, const struct facts *f, const char *cause);
/* Whatever way it took: straight into the layer, through the container's root, from a mount namespace of the host. */
bool drift_is_outside(const struct process *p, const struct container *c);

/* --- drift_mounts.c */
/*
 * Tells what was mounted in containers, or is not any more, since the last look. True when there is one whose runtime
 * has not said yet what it mounted.
 */
bool drift_mounts_look(struct drift_live *l);
/* Something that was told is mounted. */
bool drift_mounts_stand(const struct drift_live *l);
void drift_mounts_free(struct drift_live *l);
/* As reverted, at point; whoever calls it says who and adds the rest. NULL: out of memory. */
struct event *drift_mounts_event(const struct container *c, const char *baseline, int64_t baseline_id,
				 const char *point);
/* Something else that was told is mounted over e's path, in its container: it is not as the image has it yet. */
bool drift_mounts_is_covered(const struct drift_live *l, const struct event *e);
/* e may be NULL: then it is an error that is counted. */
void drift_mounts_tell(struct drift_live *l, struct event *e, const char *cause);

/* --- drift_stand.c */
/* A look at all containers begins. */
void drift_stand_begin(struct drift_live *l);
/* One of its mount namespaces is there; and once more when it was looked at. */
void drift_stand_seen(struct drift_live *l, const char *container, bool looked);
/* What history has under that id is mounted still. */
void drift_stand_found(struct drift_live *l, int64_t id);
/* All were looked at: what is not mounted any more is told as over. */
void drift_stand_end(struct drift_live *l);
void drift_stand_free(struct drift_live *l);

#endif
