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

#define DRIFT_NOTES_MAX 16384 /* events that wait to be taken over */
#define DRIFT_SCANS_MAX 1024  /* containers that wait to be looked at */
#define DRIFT_PENDING	16384

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
	bool forget;
	struct conf *conf; /* replaced by reload; the thread has its own reference */

	/* the thread's */
	struct db *db;
	struct conf *now;
	struct drift_images *images;
	struct lately lately;
	struct settle settle;
	struct arena arena;
	bool losing;
	uint64_t swept;	   /* boot ns */
	const char *cause; /* of paths that a scan names */

	struct {
		_Atomic uint64_t events, looks, changes, scans, lost, errors, no_baseline, pending;
	} counters;
};

/* --- drift_look.c */
/* Judges one path that was taken from settle. False: it was put back. */
bool drift_look(struct drift_live *l, struct pending *p);
/* Names what may differ in the container below inner, or judges it at once where there is no room. */
void drift_scan(struct drift_live *l, struct container *c, const char *inner, const struct facts *f, const char *cause);

#endif
