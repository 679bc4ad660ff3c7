/*
 * Names of guarded inodes with several links. Owns its entries, under one lock that is never held over a system call.
 */
#include "watch/linked.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

struct linked_entry {
	struct linked_entry *next;
	uint64_t hash;
	uint32_t key_len;
	uint8_t data[]; /* key, then the path */
};

struct linked {
	pthread_mutex_t lock;
	uint64_t seed;
	size_t max, n_buckets;
	atomic_size_t n; /* written under the lock; read without it to skip an empty table */
	struct linked_entry *buckets[];
};

int linked_new(size_t max, uint64_t seed, struct linked **ret)
{
	size_t n_buckets = 64;
	struct linked *l;

	while (n_buckets < max / 4)
		n_buckets *= 2;
	l = calloc(1, sizeof(*l) + n_buckets * sizeof(l->buckets[0]));
	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	l->seed = seed;
	l->max = max;
	l->n_buckets = n_buckets;
	*ret = l;
	return 0;
}

void linked_free(struct linked *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_buckets; i++) {
		for (struct linked_entry *e = l->buckets[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	}
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static const char *path_of(const struct linked_entry *e)
{
	return (const char *)e->data + e->key_len;
}

static bool is_inode(const struct linked_entry *e, uint64_t hash, const void *key, size_t len)
{
	return e->hash == hash && e->key_len == len && memcmp(e->data, key, len) == 0;
}

static struct linked_entry **find(struct linked *l, uint64_t hash, const void *key, size_t len, const char *path)
{
	struct linked_entry **link = &l->buckets[hash & (l->n_buckets - 1)];

	while (*link && !(is_inode(*link, hash, key, len) && strcmp(path_of(*link), path) == 0))
		link = &(*link)->next;
	return link;
}

static struct linked_entry *entry_new(uint64_t hash, const void *key, size_t len, const char *path)
{
	size_t path_size = strlen(path) + 1;
	struct linked_entry *e = malloc(sizeof(*e) + len + path_size);

	if (!e)
		return NULL;
	e->next = NULL;
	e->hash = hash;
	e->key_len = (uint32_t)len;
	memcpy(e->data, key, len);
	memcpy(e->data + len, path, path_size);
	return e;
}

int linked_add(struct linked *l, const void *key, size_t len, const char *path)
{
	uint64_t hash = hash_bytes(l->seed, key, len);
	struct linked_entry *e = entry_new(hash, key, len, path), **link;
	int r = 0;

	if (!e)
		return -ENOMEM;
	pthread_mutex_lock(&l->lock);
	link = find(l, hash, key, len, path);
	if (*link) {
		r = 1;
	} else if (atomic_load(&l->n) >= l->max) {
		r = -ENOSPC;
	} else {
		*link = e;
		e = NULL;
		atomic_fetch_add(&l->n, 1);
	}
	pthread_mutex_unlock(&l->lock);
	free(e);
	return r;
}

void linked_remove(struct linked *l, const void *key, size_t len, const char *path)
{
	uint64_t hash = hash_bytes(l->seed, key, len);
	struct linked_entry **link, *e;

	pthread_mutex_lock(&l->lock);
	link = find(l, hash, key, len, path);
	e = *link;
	if (e) {
		*link = e->next;
		atomic_fetch_sub(&l->n, 1);
	}
	pthread_mutex_unlock(&l->lock);
	free(e);
}

void linked_each(struct linked *l, const void *key, size_t len, void (*fn)(const char *path, void *data), void *data)
{
	uint64_t hash = hash_bytes(l->seed, key, len);

	pthread_mutex_lock(&l->lock);
	for (struct linked_entry *e = l->buckets[hash & (l->n_buckets - 1)]; e; e = e->next)
		if (is_inode(e, hash, key, len))
			fn(path_of(e), data);
	pthread_mutex_unlock(&l->lock);
}

size_t linked_count(const struct linked *l)
{
	return atomic_load_explicit(&l->n, memory_order_relaxed);
}
