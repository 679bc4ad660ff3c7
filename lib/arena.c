/*
 * Arena allocator: a chain of malloc blocks, the newest first. Owns its blocks; the arena belongs to one thread while
 * it grows. No allocation is freed singly.
 */
#include "lib/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define ARENA_ALIGN	8
#define ARENA_BLOCK_MIN 1024
#define ARENA_BLOCK_MAX (64 * KIB)

struct arena_block {
	struct arena_block *next;
	size_t size;
	size_t used;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

/* Blocks double up to ARENA_BLOCK_MAX, so that small arenas stay small; larger requests get their own size. */
static struct arena_block *arena_grow(struct arena *a, size_t size)
{
	size_t want = a->head ? MIN(a->head->size * 2, ARENA_BLOCK_MAX) : ARENA_BLOCK_MIN;
	struct arena_block *block;

	if (size > SIZE_MAX / 2)
		return NULL;
	want = MAX(want, size);
	block = malloc(sizeof(*block) + want);
	if (!block)
		return NULL;
	block->next = a->head;
	block->size = want;
	block->used = 0;
	a->head = block;
	return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *block = a->head;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (!block || size > block->size - block->used) {
		block = arena_grow(a, size);
		if (!block)
			return NULL;
	}
	p = block->data + block->used;
	block->used += size;
	a->used += size;
	return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	if (p)
		memset(p, 0, size);
	return p;
}

void *arena_dup(struct arena *a, const void *data, size_t len)
{
	void *p = arena_alloc(a, len);

	if (p && len)
		memcpy(p, data, len);
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
	char *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;

	if (!p)
		return NULL;
	if (len)
		memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

/* Frees all blocks behind the head: the head is the newest and so the largest regular one. */
static void arena_free_rest(struct arena_block *head)
{
	while (head->next) {
		struct arena_block *next = head->next;

		head->next = next->next;
		free(next);
	}
}

void arena_reset(struct arena *a)
{
	a->used = 0;
	if (!a->head)
		return;
	arena_free_rest(a->head);
	/* A block made for one huge request would stay huge for good. */
	if (a->head->size > ARENA_BLOCK_MAX) {
		free(a->head);
		a->head = NULL;
		return;
	}
	a->head->used = 0;
}

void arena_free(struct arena *a)
{
	if (a->head) {
		arena_free_rest(a->head);
		free(a->head);
	}
	*a = (struct arena)ARENA_INIT;
}
