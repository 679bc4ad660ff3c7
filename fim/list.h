/*
 * One folder's names: read from the kernel or given, filtered by the caller, sorted.
 */
#ifndef FIM_LIST_H
#define FIM_LIST_H

#include "fim/walk.h"

/* Being collected. */
struct list {
	struct buf names; /* kind, name, NUL, one after the other */
	uint32_t *at;
	uint32_t n, cap;
	char *entries; /* buffer for getdents64 */
};

void list_reset(struct list *l);
void list_done(struct list *l);
/* -EFBIG when the folder has more than 4 GiB of names. */
int list_add(struct list *l, char kind, const char *name);
/*
 * Reads the folder at fd and calls fn for each name but "." and "..", with d_type. fn non-zero ends it with that value.
 * A negative errno of the kernel's.
 */
int list_read(struct list *l, int fd, int (*fn)(void *data, const char *name, unsigned char type), void *data);
/* Sorts by name; equal names are dropped but for the first. */
void list_sort(struct list *l);
/* Moves the names into f, those of kind FOLDER_PASS left out; l is empty then. -ENOMEM. */
int list_give(struct list *l, struct folder *f);

#endif
