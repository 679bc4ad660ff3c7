/* Intrusive hash table by path. Owns its slots only; one thread. */
#include "fim/pathmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define PATHMAP_FIRST 256

int pathmap_init(struct pathmap *m)
{
	memset(m, 0, sizeof(*m));
	m->slots = calloc(PATHMAP_FIRST, sizeof(*m->slots));
	if (!m->slots)
		return -ENOMEM;
	m->n_slots = PATHMAP_FIRST;
	if (getrandom(m->seed, sizeof(m->seed), 0) != sizeof(m->seed))
		m->seed[0] = (uintptr_t)m->slots * 0x9e3779b97f4a7c15ULL;
	return 0;
}

void pathmap_free(struct pathmap *m)
{
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

static uint64_t pathmap_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* Multiply-and-fold over 16 bytes a step, keyed by the seed. */
uint64_t pathmap_hash(const struct pathmap *m, const char *path)
{
	uint64_t h = m->seed[0] ^ 0xa0761d6478bd642fULL;
	size_t len = strlen(path), left = len;

	while (left > 0) {
		uint64_t w[2] = { 0, 0 };
		size_t step = left < sizeof(w) ? left : sizeof(w);

		memcpy(w, path, step);
		h = pathmap_mix(w[0] ^ m->seed[1] ^ 0xe7037ed1a0b428dbULL, w[1] ^ h);
		path += step;
		left -= step;
	}
	return pathmap_mix(h ^ len, m->seed[0] ^ 0x8ebc6af09c88c6e3ULL);
}

struct path_node *pathmap_find(const struct pathmap *m, const char *path)
{
	uint64_t hash = pathmap_hash(m, path);
	struct path_node *node = m->slots[hash & (m->n_slots - 1)];

	while (node && (node->hash != hash || strcmp(node->path, path) != 0))
		node = node->next;
	return node;
}

static void pathmap_grow(struct pathmap *m)
{
	size_t n_slots = m->n_slots * 2;
	struct path_node **slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return;
	for (size_t i = 0; i < m->n_slots; i++) {
		struct path_node *node = m->slots[i], *next;

		for (; node; node = next) {
			next = node->next;
			node->next = slots[node->hash & (n_slots - 1)];
			slots[node->hash & (n_slots - 1)] = node;
		}
	}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n_slots;
}

void pathmap_add(struct pathmap *m, struct path_node *node)
{
	struct path_node **slot;

	if (m->n >= m->n_slots)
		pathmap_grow(m);
	node->hash = pathmap_hash(m, node->path);
	slot = &m->slots[node->hash & (m->n_slots - 1)];
	node->next = *slot;
	*slot = node;
	m->n++;
}

void pathmap_remove(struct pathmap *m, struct path_node *node)
{
	struct path_node **at = &m->slots[node->hash & (m->n_slots - 1)];

	while (*at && *at != node)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = node->next;
	node->next = NULL;
	m->n--;
}

struct path_node *pathmap_pop(struct pathmap *m)
{
	for (size_t i = 0; m->n > 0 && i < m->n_slots; i++) {
		struct path_node *node = m->slots[i];

		if (!node)
			continue;
		m->slots[i] = node->next;
		node->next = NULL;
		m->n--;
		return node;
	}
	return NULL;
}
