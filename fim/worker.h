/*
 * What scan.c (the run, the walker's side) and the workers (worker.c: one thread; worker_init.c, worker_check.c: what
 * it does) share. Nobody else includes this.
 */
#ifndef FIM_WORKER_H
#define FIM_WORKER_H

#include <pthread.h>

#include "fim/jobs.h"
#include "fim/mime.h"
#include "fim/plan.h"
#include "fim/scan.h"
#include "fim/walk.h"

struct scan {
	const struct scan_options *o;
	const struct scan_sink *sink;
	struct plan plan;   /* what is walked */
	struct plan policy; /* what is compared, where o->policy says so */
	struct jobs *jobs;
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

/* One thread. */
struct worker {
	struct scan *scan;
	struct file_reader *reader;
	struct digest *blake; /* SCAN_INIT */
	struct source source; /* else */
	struct chunk stored;
	struct arena arena; /* of the entry at hand */
	struct buf path;
	struct buf scratch;
	struct masks masks;
	uint64_t files, bytes, unread; /* not yet in the scan's progress */
};

/*
 * A regular file whose content is left to whoever is free. What is read goes into an arena of its own; whoever reads it
 * is the only one to touch it.
 */
struct large {
	struct job job;
	const char *name; /* in the arena */
	attr_mask mask;
	struct record rec; /* metadata, then all of it */
	struct arena arena;
	/* SCAN_INIT: where it goes. The piece owns it. */
	struct piece *piece;
	struct large *next; /* of the piece */
	uint32_t index;
	/* Else: what the baseline has, when it has it. The worker that reads it frees it. */
	bool has_before;
	struct entry before;
};

/* Metadata and content, or FILE_READ_LATER: large_new and large_push, or file_read_content. file: the listing calls it
 * a regular file. -ENOENT when gone. */
int worker_read(struct worker *w, struct arena *a, const struct folder *f, const char *name, bool file, attr_mask mask,
		struct record *ret);
bool worker_is_unread(const struct record *rec);

/* NULL when out of memory. Takes a reference on f, copies the rest. */
struct large *large_new(struct folder *f, const char *name, attr_mask mask, const struct record *meta);
void large_free(struct large *l);
DEFINE_CLEANUP(struct large *, large_free)

/* One job each: 0, a sink's value or a negative errno. The mask of the range's folder has been set. */
int init_job(struct worker *w, const struct job *j);
int check_job(struct worker *w, const struct job *j);
/* One large file each, also when the scan has been stopped: then it is not read, only let go of. */
int init_large(struct worker *w, struct large *l);
int check_large(struct worker *w, struct large *l);

/* Thread: takes jobs until there are no more; after a failure it only lets go of them. */
void *worker_main(void *scan);

#endif
