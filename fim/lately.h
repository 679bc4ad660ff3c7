/*
 * States of paths that were told a moment ago, which history does not hold yet: a bounded cache, the oldest goes first.
 * One thread.
 */
#ifndef FIM_LATELY_H
#define FIM_LATELY_H

#include "fim/judge.h"
#include "fim/pathmap.h"

#define LATELY_MAX   16384
#define LATELY_BYTES (12 * MIB)

struct lately_state;

struct lately {
	struct pathmap map;
	struct lately_state *oldest, *newest;
	size_t bytes;
	struct buf scratch;
};

int lately_init(struct lately *l);
void lately_free(struct lately *l);
void lately_clear(struct lately *l);
/* Without memory nothing is kept. */
void lately_set(struct lately *l, const char *path, const struct side *now);
void lately_forget(struct lately *l, const char *path);
/* Record in a. -ENOENT: nothing is known of it. */
int lately_get(const struct lately *l, struct arena *a, const char *path, struct side *ret);

#endif
