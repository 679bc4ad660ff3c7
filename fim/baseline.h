/*
 * Taking a baseline and checking against one: a scan (fim/scan.h) glued to the store (db/baseline.h). The commands and
 * the daemon call these two and never start a scan by themselves.
 */
#ifndef FIM_BASELINE_H
#define FIM_BASELINE_H

#include "db/baseline.h"
#include "fim/scan.h"

/*
 * What both have in common. Strings, scope and descriptors are the caller's and must outlive the call.
 *
 * gap is called for what is not covered: GAP_FS_SKIPPED (detail: "nfs4", "proc", "loop: same folder as /srv"),
 * GAP_NO_PATH (detail NULL, or "below a symbolic link /bin -> usr/bin", "/etc/x is not a folder"), GAP_UNREADABLE (a
 * folder; detail: "permission denied") and GAP_LIMIT (a path longer than WALK_PATH_MAX). path is as the baseline names
 * it, borrowed. Single unreadable files are no gaps: they are entries with record.unread, counted in progress->unread.
 * NULL: not wanted. Non-zero ends the run with that value. Callbacks come from threads of the run, but never two at
 * once.
 */
struct fim_common {
	int rootfd;			/* folder that stands for "/"; open for reading or O_PATH */
	unsigned threads;		/* 0: number of processors */
	uint64_t hash_size;		/* as in struct read_options */
	bool mime_all;			/* as in struct read_options */
	uint64_t rate;			/* as in struct scan_options */
	struct scan_progress *progress; /* may be NULL; to end early set its stop (from a signal handler too) */
	int (*gap)(void *data, enum gap_reason reason, const char *path, const char *detail);
	void *data; /* for gap and difference */
};

struct fim_init_options {
	struct fim_common common;
	const char *name;
	enum baseline_kind kind;
	const char *root; /* as recorded: "/" for the host */
	const struct scope *scope;
	const char *image_ref; /* NULL when not an image */
	const char *image_digest;
	/* The folder holds an image: only what an image has is recorded (image_entry_reduce). */
	bool image;
	enum digest_algo algo;
	bool replace;		    /* an existing baseline of that name is replaced at the end; else -EEXIST */
	const struct sign_key *key; /* signs it */
};

/*
 * Takes a baseline. d is open for writing and the calling thread is the database writer while this runs; walker and
 * workers are threads of their own. 0 and the baseline's id (ret_id may be NULL); -EEXIST; -ECANCELED when
 * progress->stop was set; gap's value; or a negative errno, with text in err. On failure nothing is left in the store.
 */
int fim_init(struct db *d, const struct fim_init_options *o, int64_t *ret_id, struct buf *err);

struct fim_check_options {
	struct fim_common common;
	int64_t baseline;	     /* id, from baseline_find */
	const struct db_options *db; /* workers open connections of their own by this */
	/* Signature of the baseline is checked with it first. NULL: the caller has done so (baseline_check_signature).
	 */
	const struct sign_key *pub;
	bool full;		 /* read all content again */
	const char *const *only; /* when n_only: just these paths and what is below them (daemon rescans, check PATH) */
	size_t n_only;
	const struct scope *policy; /* attributes to compare; NULL: as the baseline's own scope says */
	/* Each difference, borrowed for the call, in no order. Never two at once. Non-zero ends the check with it. */
	int (*difference)(void *data, const struct scan_difference *d);
};

/*
 * Compares the tree with the baseline. d is open for reading and belongs to the calling thread. 0 (differences or not);
 * -ENOENT: no such baseline; -EBADMSG: signature or rows are bad (text in err says which); -ECANCELED; a callback's
 * value; or a negative errno with text in err.
 */
int fim_check(struct db *d, const struct fim_check_options *o, struct buf *err);

#endif
