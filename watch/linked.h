/*
 * Guarded files with several links, by file handle: an event that names another link of the inode finds the guarded
 * names here. Thread-safe: scan and live add, the notify thread asks. Bounded; full means full (the caller tells).
 */
#ifndef WATCH_LINKED_H
#define WATCH_LINKED_H

#include <stddef.h>
#include <stdint.h>

struct linked;

int linked_new(size_t max, uint64_t seed, struct linked **ret);
void linked_free(struct linked *l);
/* 0; 1: it was there already; -ENOSPC when full; -ENOMEM. */
int linked_add(struct linked *l, const void *key, size_t len, const char *path);
void linked_remove(struct linked *l, const void *key, size_t len, const char *path);
/* Calls fn for each path of the inode. fn must not call back into l. */
void linked_each(struct linked *l, const void *key, size_t len, void (*fn)(const char *path, void *data), void *data);
size_t linked_count(const struct linked *l);

#endif
