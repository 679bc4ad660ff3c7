/*
 * A set of row numbers, one bit each, in pages: dense numbers cost next to nothing, wild ones (an edited database) a
 * page each.
 */
#ifndef FIM_IDSET_H
#define FIM_IDSET_H

#include <stdbool.h>
#include <stdint.h>

struct idset {
	struct idset_page *pages;
};

/* -ENOMEM. */
int idset_add(struct idset *s, int64_t id);
bool idset_has(const struct idset *s, int64_t id);
void idset_free(struct idset *s);

#endif
