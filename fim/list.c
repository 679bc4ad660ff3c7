/*
 * Names of one folder. Owns its buffers, of the walker's thread. A folder of a million entries is held as names and
 * offsets, nothing else.
 */
#include "fim/list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_ENTRIES (256 * KIB)
#define LIST_KEEP    (64 * KIB) /* buffers above this are given back after use */

void list_reset(struct list *l)
{
	if (l->names.cap > LIST_KEEP)
		buf_free(&l->names);
	buf_reset(&l->names);
	if (l->cap * sizeof(*l->at) > LIST_KEEP) {
		free(l->at);
		l->at = NULL;
		l->cap = 0;
	}
	l->n = 0;
}

void list_done(struct list *l)
{
	buf_free(&l->names);
	free(l->at);
	free(l->entries);
	*l = (struct list){ 0 };
}

int list_add(struct list *l, char kind, const char *name)
{
	size_t len = strlen(name) + 1;

	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 256;
		uint32_t *at = reallocarray(l->at, cap, sizeof(*at));

		if (!at)
			return -ENOMEM;
		l->at = at;
		l->cap = cap;
	}
	if (l->names.len + len + 1 > UINT32_MAX || l->n == UINT32_MAX / 2)
		return -EFBIG;
	l->at[l->n] = (uint32_t)l->names.len;
	buf_char(&l->names, kind);
	buf_add(&l->names, name, len);
	if (l->names.failed)
		return -ENOMEM;
	l->n++;
	return 0;
}

static bool list_is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

int list_read(struct list *l, int fd, int (*fn)(void *data, const char *name, unsigned char type), void *data)
{
	ssize_t n;
	int r;

	if (!l->entries)
		l->entries = malloc(LIST_ENTRIES);
	if (!l->entries)
		return -ENOMEM;
	while ((n = getdents64(fd, l->entries, LIST_ENTRIES)) > 0) {
		for (char *p = l->entries; p < l->entries + n;) {
			const struct dirent64 *d = (const struct dirent64 *)p;

			p += d->d_reclen;
			if (list_is_dots(d->d_name))
				continue;
			r = fn(data, d->d_name, d->d_type);
			if (r)
				return r;
		}
	}
	return n < 0 ? -errno : 0;
}

static int list_compare(const void *a, const void *b, void *names)
{
	return strcmp((char *)names + *(const uint32_t *)a + 1, (char *)names + *(const uint32_t *)b + 1);
}

void list_sort(struct list *l)
{
	uint32_t n = 0;

	if (!l->n)
		return;
	qsort_r(l->at, l->n, sizeof(*l->at), list_compare, l->names.data);
	for (uint32_t i = 1; i < l->n; i++)
		if (list_compare(&l->at[n], &l->at[i], l->names.data) != 0)
			l->at[++n] = l->at[i];
	l->n = n + 1;
}

/* Folders wait in the queue while the walk's buffers are used again: small ones get copies of the exact size. */
static void *list_take(void **data, size_t len, size_t cap)
{
	void *p;

	if (cap <= LIST_KEEP) {
		p = malloc(MAX(len, 1));
		if (p && len)
			memcpy(p, *data, len);
		return p;
	}
	p = realloc(*data, len);
	if (p)
		*data = NULL;
	return p;
}

int list_give(struct list *l, struct folder *f)
{
	void *names = l->names.data, *at = l->at;
	uint32_t n = 0;

	for (uint32_t i = 0; i < l->n; i++)
		if (l->names.data[l->at[i]] != FOLDER_PASS)
			l->at[n++] = l->at[i];
	f->names = list_take(&names, l->names.len, l->names.cap);
	f->at = list_take(&at, n * sizeof(*l->at), l->cap * sizeof(*l->at));
	f->n = n;
	if (!names)
		l->names = (struct buf)BUF_INIT;
	if (!at) {
		l->at = NULL;
		l->cap = 0;
	}
	l->n = 0;
	buf_reset(&l->names);
	return f->names && f->at ? 0 : -ENOMEM;
}
