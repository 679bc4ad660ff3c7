/* What fim/upper.c and fim/upper_walk.c share. Not for others. */
#ifndef FIM_UPPER_INTERNAL_H
#define FIM_UPPER_INTERNAL_H

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "fim/upper.h"
#include "lib/buf.h"
#include "lib/util.h"

/* A folder of the container. */
struct upper_place {
	int fd;		   /* in the writable layer; -1: it has none of it */
	bool lower;	   /* what lower layers have at origin shows through */
	bool gone;	   /* there is no such folder: it, or one above it, was removed */
	struct buf origin; /* "" for the root; else "/a/b" */
};

struct upper {
	int fd;
	struct baseline_reader *base;
	struct file_reader *files;
	struct upper_place at;
	struct buf at_dir;
	bool at_valid;
};

/* p is one that was entered before, or { .fd = -1 }. dir: "/a/b", "" or "/" for the root. */
int place_enter(struct upper *u, struct upper_place *p, const char *dir);
int place_top(struct upper *u, struct upper_place *p);
void place_done(struct upper_place *p);

#endif
