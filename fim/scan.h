/*
 * The scan engine behind init, check and the daemon's rescans: one walker, a bounded queue, N workers each with its own
 * reader and database connection, and a sink. Folders are listed and cut into chunks by the walker; workers stat,
 * compare, read and hash; memory does not grow with the number of files.
 */
#ifndef FIM_SCAN_H
#define FIM_SCAN_H

#include <stdatomic.h>

#include "conf/scope.h"
#include "db/baseline.h"
#include "event/event.h"
#include "fim/read.h"

enum scan_mode {
	SCAN_INIT,  /* every entry, complete records, no baseline: sink.chunk */
	SCAN_QUICK, /* against a baseline: content is read only where record_same_version says it may differ:
		       sink.difference */
	SCAN_FULL,  /* against a baseline: all content is read again */
};

struct scan_difference {
	const char *path;
	enum change change; /* ADDED REMOVED CHANGED REPLACED ATTRIBUTES */
	attr_mask attributes;
	const struct record *before; /* NULL when ADDED */
	const struct record *after;  /* NULL when REMOVED */
};

/* Callbacks run on worker or walker threads, several at once: the sink locks for itself. Non-zero ends the scan with
 * that value. */
struct scan_sink {
	void *data;
	/* SCAN_INIT: takes ownership of c (sealed). */
	int (*chunk)(void *data, struct chunk *c);
	/* SCAN_QUICK, SCAN_FULL: borrowed for the call. */
	int (*difference)(void *data, const struct scan_difference *d);
	/* Something is not covered: skipped file system, missing configured path, unreadable folder. path borrowed. */
	int (*gap)(void *data, enum gap_reason reason, const char *path, const char *detail);
};

struct scan_progress {
	_Atomic uint64_t files, bytes, unread; /* done so far; bytes: of content read */
	_Atomic uint64_t listed;	       /* entries found by the walker so far */
	_Atomic int walked;		       /* the walker is through: listed is final */
	_Atomic int stop;		       /* set by anybody: end early with -ECANCELED */
};

struct scan_options {
	enum scan_mode mode;
	int rootfd; /* folder that stands for "/" */
	const struct scope *scope;
	const char *const *only; /* when n_only: just these paths (and what is below), inside scope */
	size_t n_only;
	const struct scope *policy; /* attributes to compare; NULL: scope's own */
	struct read_options read; /* mime NULL: the scan has its own */
	unsigned threads;	     /* 0: number of processors */
	const struct db_options *db; /* QUICK, FULL: where workers read the baseline */
	int64_t baseline;
	uint64_t rate;			/* bytes and 4 KiB-per-entry budget a second; 0: full speed */
	struct scan_progress *progress; /* may be NULL */
};

/* Runs to the end on threads of its own. 0, a sink's value, -ECANCELED, -EBADMSG (baseline rows fail verification; text
 * in err), or a negative errno. */
int scan_run(const struct scan_options *o, const struct scan_sink *sink, struct buf *err);

#endif
