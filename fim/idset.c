/*
 * Set of row numbers. Belongs to one thread.
 */
#include "fim/idset.h"

#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define IDSET_PAGE 4096 /* bits */

struct idset_page {
	int64_t number;
	uint64_t bits[IDSET_PAGE / 64];
	UT_hash_handle hh;
};

static struct idset_page *idset_find(const struct idset *s, int64_t id)
{
	int64_t number = id >> 12;
	struct idset_page *p;

	HASH_FIND(hh, s->pages, &number, sizeof(number), p);
	return p;
}

int idset_add(struct idset *s, int64_t id)
{
	struct idset_page *p = idset_find(s, id);

	if (!p) {
		p = calloc(1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		p->number = id >> 12;
		HASH_ADD(hh, s->pages, number, sizeof(p->number), p);
		if (!p->hh.tbl) {
			free(p);
			return -ENOMEM;
		}
	}
	p->bits[((uint64_t)id % IDSET_PAGE) / 64] |= UINT64_C(1) << ((uint64_t)id % 64);
	return 0;
}

bool idset_has(const struct idset *s, int64_t id)
{
	const struct idset_page *p = idset_find(s, id);

	return p && p->bits[((uint64_t)id % IDSET_PAGE) / 64] >> ((uint64_t)id % 64) & 1;
}

void idset_free(struct idset *s)
{
	struct idset_page *p, *next;

	HASH_ITER(hh, s->pages, p, next)
	{
		HASH_DEL(s->pages, p);
		free(p);
	}
}
