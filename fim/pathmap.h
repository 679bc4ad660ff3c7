/*
 * Hash table of things named by a path, intrusive: what is kept embeds a struct path_node. The hash is keyed with
 * random bytes, so that names chosen by an attacker do not fall into one chain. One thread.
 */
#ifndef FIM_PATHMAP_H
#define FIM_PATHMAP_H

#include <stddef.h>
#include <stdint.h>

struct path_node {
	struct path_node *next;
	uint64_t hash;
	const char *path; /* owned by what embeds this */
};

struct pathmap {
	struct path_node **slots;
	size_t n_slots; /* power of two */
	size_t n;
	uint64_t seed;
};

int pathmap_init(struct pathmap *m);
/* Nodes are the caller's: empty it first, with pathmap_pop. */
void pathmap_free(struct pathmap *m);
uint64_t pathmap_hash(const struct pathmap *m, const char *path);
/* NULL when there is none. */
struct path_node *pathmap_find(const struct pathmap *m, const char *path);
/* node->path is set. The path must not be there yet. Never fails: without memory to grow, chains get longer. */
void pathmap_add(struct pathmap *m, struct path_node *node);
void pathmap_remove(struct pathmap *m, struct path_node *node);
/* Takes any node out; NULL when empty. */
struct path_node *pathmap_pop(struct pathmap *m);

#endif
