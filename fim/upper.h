/*
 * The writable layer of a container over the baseline of its image: what the container shows at a path, by the rules
 * of overlayfs (whiteouts as device 0:0 or as an attribute, opaque folders, redirected folders, files with metadata
 * alone). The layers of the image itself are never read: their files are what the baseline says.
 */
#ifndef FIM_UPPER_H
#define FIM_UPPER_H

#include "db/baseline.h"
#include "event/event.h"
#include "fim/read.h"

/* Folders of one layer that wait to be looked into; more: GAP_LIMIT. */
#define UPPER_FOLDERS_MAX 100000

struct upper;

/* fd: the layer's folder, open for reading; the three are the caller's and outlive it. One thread. */
int upper_new(int fd, struct baseline_reader *base, struct file_reader *files, struct upper **ret);
void upper_free(struct upper *u);

struct upper_file {
	bool exists;	   /* in the container */
	bool own;	   /* it lies in the writable layer: rec was read from there; else rec is the baseline's */
	bool copied;	   /* it was copied up from below, and not made anew */
	struct record rec; /* what an image can have of it; with dev and ino when own */
};

/* path: as in the container, "/" for its root. Reads of it what mask asks for. 0, or a negative errno. */
int upper_look(struct upper *u, struct arena *a, const char *path, attr_mask mask, struct upper_file *ret);
/* Folders that were looked into are opened again: for who looks after something may have changed. */
void upper_forget(struct upper *u);

struct upper_walk {
	/* Nothing is told of the path and what is below it. NULL: of none. */
	bool (*skip)(void *data, const char *path);
	/* Borrowed for the call. Non-zero ends it with that value. */
	int (*path)(void *data, const char *path);
	/* GAP_UNREADABLE, GAP_LIMIT. May be NULL. */
	void (*gap)(void *data, enum gap_reason reason, const char *path, const char *detail);
	void *data;
};

/*
 * Names every path from `below` on ("/": all) that may not be as the image has it: what lies in the layer, and what the
 * layer hides or moves. Each once, in no order. Memory does not grow with the number of files.
 */
int upper_each(struct upper *u, const char *below, const struct upper_walk *w);

/*
 * What lies between the image's record (NULL: not in it) and what the container shows: as compare_records, but that a
 * file with other content that is no copy of the image's is REPLACED, and the layer of the image that had it counts as
 * an attribute that differs.
 */
attr_mask upper_compare(const struct record *base, const struct upper_file *now, attr_mask mask, enum change *ret);

DEFINE_CLEANUP(struct upper *, upper_free)

#endif
