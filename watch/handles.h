/*
 * Folders by file handle: what open_by_handle_at answered before, with what the configuration says of each. Bounded;
 * when it is full a random entry goes. One thread.
 */
#ifndef WATCH_HANDLES_H
#define WATCH_HANDLES_H

#include <stddef.h>
#include <stdint.h>

#include "watch/place.h"

#define HANDLES_PLACES_MAX 4

/* A folder: the paths it has on this host (one for each mount that shows it). The strings lie behind the struct. */
struct handles_dir {
	struct handles_dir *next;
	uint64_t hash;
	uint32_t index; /* in the table of all */
	uint32_t generation;
	uint32_t key_len;
	uint32_t n_places; /* 0: it has no path on this host */
	struct place places[HANDLES_PLACES_MAX];
	uint8_t data[]; /* key, then the paths */
};

struct handles;

int handles_new(size_t max, uint64_t seed, struct handles **ret);
void handles_free(struct handles *h);
uint64_t handles_hash(const struct handles *h, const void *key, size_t len);
/* NULL when there is none. Borrowed until the next handles_put or handles_clear. */
struct handles_dir *handles_get(struct handles *h, uint64_t hash, const void *key, size_t len);
/* Adds or replaces; copies the key and the paths. NULL: out of memory. */
struct handles_dir *handles_put(struct handles *h, uint64_t hash, const void *key, size_t len, uint32_t generation,
				const struct place *places, size_t n_places);
void handles_clear(struct handles *h);
size_t handles_count(const struct handles *h);

#endif
