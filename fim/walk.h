/*
 * Lists the folders of a plan, one after the other, parents before children, names sorted. Reads names and the identity
 * of folders; what a file is like is for others to find out.
 */
#ifndef FIM_WALK_H
#define FIM_WALK_H

#include <stdatomic.h>

#include "event/event.h"
#include "fim/plan.h"

#define WALK_PATH_MAX (1024 * 1024) /* folders with a longer path are left out (GAP_LIMIT) */

/*
 * A folder and its names, counted: jobs on several threads share it. Immutable once handed out. A name costs its bytes,
 * a NUL, its kind and an offset.
 */
struct folder {
	atomic_uint refs;
	int fd;	      /* for calls relative to it; may be O_PATH when partial */
	char *path;   /* absolute, as the plan names it */
	uint64_t seq; /* in walk order, from 1 */
	bool partial; /* gone through: only names that the plan asks for are in it */
	uint32_t n;
	uint32_t *at; /* n offsets into names, sorted by name (byte order) */
	char *names;  /* at each offset a kind, then the name and its NUL */
};

enum folder_kind {
	FOLDER_ENTRY = 'e', /* of a type to be looked at */
	FOLDER_FILE = 'f',  /* regular, as the listing says */
	FOLDER_FOLDER = 'd',
	FOLDER_PASS = 'p',    /* a folder to go through; never in what is handed out */
	FOLDER_SKIPPED = 's', /* a file system that is left out is mounted here: not even to be looked at */
};

static inline const char *folder_name(const struct folder *f, uint32_t i)
{
	return f->names + f->at[i] + 1;
}

static inline char folder_kind(const struct folder *f, uint32_t i)
{
	return f->names[f->at[i]];
}

struct folder *folder_ref(struct folder *f);
void folder_unref(struct folder *f);
DEFINE_CLEANUP(struct folder *, folder_unref)

struct walk_options {
	int rootfd;
	const struct plan *plan;
	const char *mountinfo; /* file; NULL: /proc/self/mountinfo */
	void *data;
	/* True: end early with -ECANCELED. */
	bool (*stopped)(void *data);
	/* Takes over a reference. Non-zero ends the walk with it. */
	int (*folder)(void *data, struct folder *f);
	/* As in struct scan_sink. */
	int (*gap)(void *data, enum gap_reason reason, const char *path, const char *detail);
};

/* On the calling thread. 0, a callback's value, -ECANCELED, or a negative errno. */
int walk_run(const struct walk_options *o);

#endif
