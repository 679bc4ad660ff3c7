/*
 * Arena: many small allocations, one owner, freed together. Used for chunks of file records and for
 * configuration snapshots. Not for threads to share while it grows.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include <stddef.h>

struct arena {
	struct arena_block *head;
	size_t used; /* bytes handed out */
};

#define ARENA_INIT                                                                                                     \
	{                                                                                                              \
		NULL, 0                                                                                                \
	}

/* NULL when out of memory. Aligned to 8. Not zeroed. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
void *arena_dup(struct arena *a, const void *data, size_t len);
/* Copy of a string of len bytes with a NUL behind it. */
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_strdup(struct arena *a, const char *s);
/* Keep one block of ordinary size for reuse, free the rest. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#define _cleanup_arena_ __attribute__((cleanup(arena_free)))

#endif
