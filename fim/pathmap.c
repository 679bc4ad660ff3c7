/* Intrusive hash table by path. Owns its slots only; one thread. */
#include "fim/pathmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

#define PATHMAP_FIRST 256

int pathmap_init(struct pathmap *m)
{
	memset(m, 0, sizeof(*m));
	m->slots = calloc(PATHMAP_FIRST, sizeof(*m->slots));
	if (!m->slots)
		return -ENOMEM;
	m->n_slots = PATHMAP_FIRST;
	m->seed = hash_seed();
	return 0;
}

void pathmap_free(struct pathmap *m)
{
	free(m->slots);
	memset(m, 0, sizeof(*m));
}

uint64_t pathmap_hash(const struct pathmap *m, const char *path)
{
	return hash_bytes(m->seed, path, strlen(path));
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
