/*
 * Live integrity: takes file events, lets each path settle, reads what is there now, compares it with the last known
 * state (baseline, or the newest open deviation) and emits semantic changes. One thread ("live") owns all state; hash
 * workers read files; nothing else decides what a change is. A rescan or the periodic recheck only names paths that may
 * differ: they go through the same door.
 */
#ifndef FIM_LIVE_H
#define FIM_LIVE_H

#include "conf/conf.h"
#include "db/baseline.h"
#include "db/history.h"
#include "event/event.h"
#include "watch/watch.h"

struct live;

struct live_stats {
	uint64_t events, evaluated, changes, transient, opens, rescans;
	uint64_t dropped;	 /* paths the full table had no room for; their folders were rescanned */
	uint64_t errors;	 /* looks that failed: the store, memory, I/O */
	uint64_t latency_max_ns; /* from the event's reading to the emitted change, since the last call */
	size_t pending, pending_max;
	size_t merging;		 /* opens and transients that wait to be told together */
	size_t held;		 /* changes of package transactions that wait to be verified */
	uint64_t excused;	 /* changes that packages explained or that were approved */
	uint64_t approvals;	 /* that were in force when they were read last */
	uint64_t undiffed;	 /* changes told without the lines that differ, though their file is in diffs */
	size_t rescans_waiting;	 /* with the one that runs */
	uint64_t guarded;	 /* entries in the baseline */
	uint64_t names;		 /* paths that are known: of the baseline, of history, and what is there */
	uint64_t unread;	 /* of them without a digest though one is due */
	uint64_t rechecked;	 /* entries the periodic recheck has looked at */
	uint64_t recheck_rounds; /* it has been through all of them so often */
	int64_t baseline;	 /* its id */
};

struct live_options {
	const struct conf *conf;     /* its scope: what the sensor reports; reference taken */
	const struct db_options *db; /* live opens its own read connections; strings outlive it */
	const char *baseline;	     /* name of the host baseline that is guarded */
	const char *state_dir;	     /* the daemon's own files: never judged. NULL: none. Outlives it */
	struct queue *in;	     /* of struct fs_batch, from the sensor. Closing it is not needed to stop. */
	/* The callbacks run on the live thread. */
	/* Takes a reference of its own when it keeps e. */
	void (*emit)(struct event *e, void *data);
	/* How many events can be emitted now without loss: beyond that judging waits, paths stay in their bounded
	 * table. NULL: any number. */
	size_t (*room)(void *data);
	/* Guarded file with several links, sensitive path that (re)appeared: for the sensor. Also called by live_start.
	 * May be NULL. */
	void (*noticed)(const char *path, bool linked, bool sensitive, void *data);
	/* Something below path is not covered (closed, key and lost unused). Also called on a rescan's threads. May be
	 * NULL. */
	void (*gap)(const struct watch_gap *g, void *data);
	/*
	 * read_options.known, on the hash threads, for looks that an event asked for: a rescan or a check of old files
	 * reads content itself, for it is to find what no event told of. May be NULL.
	 */
	int (*known)(void *data, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX]);
	/*
	 * watch_seen: a file that is gone may have been renamed, which is known when the sensor has come that far. On
	 * the live thread. NULL: it always has.
	 */
	uint64_t (*seen)(void *data);
	/* A file with a canary's name: true when it is the daemon's own, which is not judged. May be NULL. */
	bool (*canary)(const struct fs_event *e, void *data);
	/* Somebody wrote to the device node of a watched file system. May be NULL. */
	void (*device)(const struct fs_event *e, void *data);
	/* The sensor asks for a rescan (FS_RESCAN): whoever takes it calls live_rescan. NULL: live does that itself. */
	void (*lost)(const struct fs_event *e, void *data);
	struct mime *mime;		 /* NULL: types stay unknown. Outlives it */
	struct packages_store *packages; /* NULL: live reads lists of packages for itself. Outlives it */
	void *data;
};

/* Loads what the baseline knows and starts the threads. -ENOENT, -EBADMSG ... with text in err. */
int live_start(const struct live_options *o, struct live **ret, struct buf *err);
/*
 * Judges what is pending for at most half a second, then ends. What was not judged is found by the next start's
 * reconciling. 0, or 1: a thread that reads (a dead disk, a slow list of packages) is left behind, which may go on to
 * use the inbox and what the callbacks use for as long as the process lives.
 */
int live_stop(struct live *l);
/*
 * Looks at everything below path again (quick: metadata, reading where it may differ; full: all content). Any thread,
 * returns at once. cause is put on changes that have no author of their own. done (may be NULL) is called on the live
 * thread when every difference has been judged: found is the number of changes emitted; err is 0 or why the scan failed
 * (-ECANCELED at stop).
 */
void live_rescan(struct live *l, const char *path, bool full, const char *cause,
		 void (*done)(int err, uint64_t found, void *data), void *data);
int live_reload(struct live *l, const struct conf *conf);
/* The baseline was changed by accept: forget cached states of this path (NULL: all, and look the baseline up again by
 * name). Any thread. */
void live_forget(struct live *l, const char *path);
/* Approvals were recorded or revoked: they are in force for every change that is judged after this. Any thread. */
void live_approvals(struct live *l);
void live_get_stats(struct live *l, struct live_stats *ret);

#endif
