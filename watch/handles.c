/*
 * The cache of folders by file handle. Owns its entries; the notify thread alone touches it. Makes no system call.
 */
#include "watch/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "lib/hash.h"

struct handles {
	uint64_t seed, random;
	size_t max, n, n_buckets;
	struct handles_dir **all; /* to pick a random one from */
	struct handles_dir *buckets[];
};

int handles_new(size_t max, uint64_t seed, struct handles **ret)
{
	size_t n_buckets = 64;
	struct handles *h;

	if (!max || max > 1U << 24)
		return -EINVAL;
	while (n_buckets < max)
		n_buckets *= 2;
	h = calloc(1, sizeof(*h) + n_buckets * sizeof(h->buckets[0]));
	if (!h)
		return -ENOMEM;
	h->all = calloc(max, sizeof(h->all[0]));
	if (!h->all) {
		free(h);
		return -ENOMEM;
	}
	h->max = max;
	h->n_buckets = n_buckets;
	h->seed = seed;
	h->random = seed | 1;
	*ret = h;
	return 0;
}

void handles_clear(struct handles *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->all[i]);
	h->n = 0;
	memset(h->buckets, 0, h->n_buckets * sizeof(h->buckets[0]));
}

void handles_free(struct handles *h)
{
	if (!h)
		return;
	handles_clear(h);
	free(h->all);
	free(h);
}

uint64_t handles_hash(const struct handles *h, const void *key, size_t len)
{
	return hash_bytes(h->seed, key, len);
}

static struct handles_dir **bucket(struct handles *h, uint64_t hash)
{
	return &h->buckets[hash & (h->n_buckets - 1)];
}

struct handles_dir *handles_get(struct handles *h, uint64_t hash, const void *key, size_t len)
{
	for (struct handles_dir *d = *bucket(h, hash); d; d = d->next)
		if (d->hash == hash && d->key_len == len && memcmp(d->data, key, len) == 0)
			return d;
	return NULL;
}

static void drop(struct handles *h, struct handles_dir *d)
{
	struct handles_dir **link = bucket(h, d->hash);

	while (*link != d)
		link = &(*link)->next;
	*link = d->next;
	h->all[d->index] = h->all[--h->n];
	h->all[d->index]->index = d->index;
	free(d);
}

/* xorshift: whom it hits need not be unpredictable, only not always the same. */
static void evict_random(struct handles *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	drop(h, h->all[h->random % h->n]);
}

static struct handles_dir *copy(const void *key, size_t len, const struct place *places, size_t n_places)
{
	size_t size = len;
	struct handles_dir *d;
	uint8_t *p;

	for (size_t i = 0; i < n_places; i++)
		size += places[i].len + 1;
	d = malloc(sizeof(*d) + size);
	if (!d)
		return NULL;
	memcpy(d->data, key, len);
	d->key_len = (uint32_t)len;
	d->n_places = (uint32_t)n_places;
	p = d->data + len;
	for (size_t i = 0; i < n_places; i++) {
		d->places[i] = places[i];
		d->places[i].path = memcpy(p, places[i].path, places[i].len + 1);
		p += places[i].len + 1;
	}
	return d;
}

struct handles_dir *handles_put(struct handles *h, uint64_t hash, const void *key, size_t len, uint32_t generation,
				const struct place *places, size_t n_places)
{
	struct handles_dir *d = copy(key, len, places, MIN(n_places, HANDLES_PLACES_MAX)), *old;

	if (!d)
		return NULL;
	old = handles_get(h, hash, key, len);
	if (old)
		drop(h, old);
	else if (h->n == h->max)
		evict_random(h);
	d->hash = hash;
	d->generation = generation;
	d->index = (uint32_t)h->n;
	h->all[h->n++] = d;
	d->next = *bucket(h, hash);
	*bucket(h, hash) = d;
	return d;
}

size_t handles_count(const struct handles *h)
{
	return h->n;
}
