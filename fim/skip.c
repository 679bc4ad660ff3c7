/*
 * Mount points to leave out, from mountinfo. Immutable once loaded. Never touches a mount point.
 */
#include "fim/skip.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fim/plan.h"
#include "lib/util.h"

bool skip_class(enum fstype_class class)
{
	return class == FSTYPE_REMOTE || class == FSTYPE_PSEUDO || class == FSTYPE_FUSE;
}

static int skip_compare(const void *a, const void *b)
{
	const struct skip *x = a, *y = b;
	int r = strcmp(x->dir, y->dir);

	return r ? r : strcmp(x->name, y->name);
}

/* The root as this process sees it, "" for "/": what mount points below it begin with. */
static int skip_root(int rootfd, char ret[PATH_MAX])
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", rootfd);
	n = readlink(link, ret, PATH_MAX);
	if (n < 0)
		return -errno;
	if (n == PATH_MAX)
		return -ENAMETOOLONG;
	ret[n == 1 ? 0 : n] = '\0';
	return 0;
}

static struct skip *skip_find(struct skips *s, const char *path, size_t dir_len, const char *name)
{
	for (size_t i = s->n; i--;)
		if (streq(s->v[i].name, name) && !strncmp(s->v[i].dir, path, dir_len) && !s->v[i].dir[dir_len])
			return &s->v[i];
	return NULL;
}

/* Mounts come in the order they were made: a later one covers an earlier one at the same place. */
static int skip_add(struct skips *s, const char *path, const char *fstype)
{
	const char *name = strrchr(path, '/') + 1;
	size_t dir_len = name - path > 1 ? (size_t)(name - path - 1) : 1;
	struct skip *k = skip_find(s, path, dir_len, name);

	if (!skip_class(fstype_by_name(fstype)->class)) {
		if (k)
			*k = s->v[--s->n];
		return 0;
	}
	if (!k)
		k = &s->v[s->n++];
	k->dir = arena_strndup(&s->arena, path, dir_len);
	k->name = arena_strdup(&s->arena, name);
	k->fstype = arena_strdup(&s->arena, fstype);
	return k->dir && k->name && k->fstype ? 0 : -ENOMEM;
}

int skips_load(const char *mountinfo, int rootfd, struct skips *ret)
{
	struct mount_table table = { 0 };
	struct skips s = { 0 };
	char root[PATH_MAX];
	const char *rest;
	int r = skip_root(rootfd, root);

	if (r < 0)
		return r;
	r = mounts_read(mountinfo, &table, NULL);
	if (r < 0)
		return r;
	s.v = calloc(MAX(table.n, 1), sizeof(*s.v));
	if (!s.v)
		r = -ENOMEM;
	for (size_t i = 0; !r && i < table.n; i++) {
		rest = plan_below(table.mounts[i].point, *root ? root : "/");
		if (rest)
			r = skip_add(&s, rest - 1, table.mounts[i].fstype);
	}
	mounts_free(&table);
	if (r < 0) {
		skips_done(&s);
		return r;
	}
	qsort(s.v, s.n, sizeof(*s.v), skip_compare);
	*ret = s;
	return 0;
}

void skips_done(struct skips *s)
{
	free(s->v);
	arena_free(&s->arena);
	*s = (struct skips){ 0 };
}

size_t skips_in(const struct skips *s, const char *dir, const struct skip **ret_first)
{
	size_t low = 0, high = s->n, n = 0;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (strcmp(s->v[mid].dir, dir) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	while (low + n < s->n && streq(s->v[low + n].dir, dir))
		n++;
	*ret_first = s->v + low;
	return n;
}

const struct skip *skips_above(const struct skips *s, const char *path)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *rest = plan_below(path, s->v[i].dir);
		size_t n = strlen(s->v[i].name);

		if (rest && !strncmp(rest, s->v[i].name, n) && (!rest[n] || rest[n] == '/'))
			return &s->v[i];
	}
	return NULL;
}
