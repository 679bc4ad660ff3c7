/*
 * What scan.c (the run, the walker's side) and worker.c (one thread's side) share. Nobody else includes this.
 */
#ifndef FIM_WORKER_H
#define FIM_WORKER_H

#include <pthread.h>

#include "fim/mime.h"
#include "fim/plan.h"
#include "fim/scan.h"
#include "fim/walk.h"
#include "lib/queue.h"

/* A range of one folder's names; with dir also the piece of the baseline that covers that range. */
struct job {
	struct folder *folder;
	uint32_t from, to;
	int64_t dir; /* 0: the baseline does not have this folder */
	uint32_t seq;
};

struct scan {
	const struct scan_options *o;
	const struct scan_sink *sink;
	struct plan plan;   /* what is walked */
	struct plan policy; /* what is compared, where o->policy says so */
	struct queue *jobs;
	struct mime *mime; /* the workers' */
	struct scan_progress *progress;
	struct scan_progress own; /* when the caller wants none */
	_Atomic int status;	  /* the first failure, or a sink's value: ends everything */
	_Atomic uint64_t budget;  /* monotonic ns up to which the rate is used up */
	pthread_mutex_t err_lock;
	struct buf *err;
};

/* Attributes of the entries of one folder, with as few questions as possible. */
struct masks {
	const struct plan *plan;
	const char *dir;
	enum plan_answer answer;
	bool uniform;
	attr_mask mask;
};

/* Baseline access of one thread. */
struct source {
	struct db *db;
	struct baseline_reader *reader;
	struct digest *blake;
	struct buf scratch;
};

int source_open(struct scan *s, struct source *ret);
void source_close(struct source *src);
/* Loads one piece; -EBADMSG is told in the scan's err. */
int source_load(struct scan *s, struct source *src, int64_t dir, const char *path, uint32_t seq, struct chunk *c);

bool scan_stopped(struct scan *s);
/* The first one counts. Returns r. */
int scan_fail(struct scan *s, int r);
void scan_error(struct scan *s, const char *fmt, ...) _printf_(2, 3);
/* Waits when a rate is set and used up. */
void scan_spend(struct scan *s, uint64_t bytes);
/* Hands a difference to the sink, if the entry's attributes want it. */
int scan_report(struct scan *s, const char *path, const struct record *before, const struct record *after,
		enum change change, attr_mask attributes);

void masks_enter(struct masks *m, struct scan *s, const char *dir);
/* False: nothing of this entry is compared. */
bool masks_of(const struct masks *m, const char *name, struct buf *scratch, attr_mask *ret_mask);

/* Thread: takes jobs until the queue is closed; after a failure it only drains it. */
void *worker_main(void *scan);

#endif
