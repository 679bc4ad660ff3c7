/*
 * Verdicts by version of a file, for as long as a trust snapshot lasts. A set-associative table of fixed size: the
 * oldest of a set goes. Only files on disks get in, and only while the gate had a lease on them, so that the ctime in
 * the key cannot be one that a writer is about to leave behind.
 */
#include <errno.h>
#include <stdlib.h>

#include "exec/gate-internal.h"
#include "lib/hash.h"
#include "lib/util.h"

#define CACHE_SETS 2048
#define CACHE_WAYS 4

struct cached {
	struct file_id id;
	uint64_t generation; /* 0: empty */
	uint64_t stamp;
	struct judgement j;
};

struct cache {
	uint64_t stamp;
	struct cached sets[CACHE_SETS][CACHE_WAYS];
};

int cache_new(struct cache **ret)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	*ret = c;
	return 0;
}

void cache_free(struct cache *c)
{
	free(c);
}

static size_t set_of(const struct file_id *id)
{
	return hash_mix(id->dev, id->ino) % CACHE_SETS;
}

static bool same_file(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

const struct judgement *cache_find(const struct cache *c, const struct file_id *id, uint64_t generation)
{
	const struct cached *set = c->sets[set_of(id)];

	for (size_t i = 0; i < CACHE_WAYS; i++)
		if (same_file(&set[i].id, id) && set[i].generation == generation && set[i].id.ctime == id->ctime &&
		    set[i].id.size == id->size)
			return &set[i].j;
	return NULL;
}

void cache_put(struct cache *c, const struct file_id *id, uint64_t generation, const struct judgement *j)
{
	struct cached *set = c->sets[set_of(id)], *take = set;

	for (size_t i = 0; i < CACHE_WAYS; i++) {
		/* Of other versions nobody asks any more; that of another place stays. */
		if (same_file(&set[i].id, id) && (set[i].generation == generation || set[i].id.ctime != id->ctime)) {
			take = &set[i];
			break;
		}
		if (set[i].stamp < take->stamp)
			take = &set[i];
	}
	*take = (struct cached){ *id, generation, ++c->stamp, *j };
}
