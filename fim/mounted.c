/*
 * Judging what is mounted in a container. Reads the baseline and the writable layer, never what is mounted; the thread
 * of the caller.
 */
#include "fim/mounted.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fim/drift.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "lib/util.h"

#define LINKS_MAX 40

/* --- which are the runtime's */

static void path_up(struct buf *b)
{
	while (b->len && b->data[--b->len] != '/')
		;
	b->data[b->len] = '\0';
}

/* The path as the image's links make it: the runtime follows them too. False when it goes round, or on lack of memory.
 */
static bool follow_links(const struct mounted_view *v, const char *path, struct buf *ret)
{
	_cleanup_free_ char *rest = strdup(path);
	size_t at = 0;

	buf_reset(ret);
	buf_str(ret, "");
	for (int links = 0; rest && rest[at];) {
		size_t len = strcspn(rest + at, "/");
		struct record rec;
		char *name = rest + at;

		at += len + (name[len] == '/');
		if (len == 0 || (len == 1 && *name == '.'))
			continue;
		if (len == 2 && memcmp(name, "..", 2) == 0) {
			path_up(ret);
			continue;
		}
		buf_printf(ret, "/%.*s", (int)len, name);
		if (ret->failed)
			return false;
		if (baseline_lookup(v->base, ret->data, v->arena, &rec) < 0 || rec.type != 'l' || !rec.target)
			continue;
		if (++links > LINKS_MAX || asprintf(&name, "%s/%s", rec.target, rest + at) < 0)
			return false;
		path_up(ret);
		if (*rec.target == '/') {
			buf_reset(ret);
			buf_str(ret, "");
		}
		free(rest);
		rest = name;
		at = 0;
	}
	return rest && !ret->failed;
}

static bool is_at_or_below(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	return len && strncmp(path, folder, len) == 0 && (!path[len] || path[len] == '/');
}

bool mounted_by_runtime(const struct mounted_view *v, const char *point)
{
	_cleanup_buf_ struct buf real = BUF_INIT;

	for (uint32_t i = 0; i < v->container->n_mounts; i++)
		if (follow_links(v, v->container->mounts[i].dest, &real) && is_at_or_below(real.data, point))
			return true;
	return false;
}

/* --- what it is */

static const struct mount *root_of(const struct mount_table *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (streq(t->mounts[i].point, "/"))
			return &t->mounts[i];
	return NULL;
}

bool mounted_is_entered(const struct mount_table *t)
{
	_cleanup_close_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const struct mount *root = root_of(t);
	struct stat st;

	return root && (fd < 0 || fstat(fd, &st) < 0 || root->dev != mounts_dev(fd, &st));
}

/* The overlay of the container, as this namespace has it. */
static bool is_own(const struct mounted_view *v, const struct mount *m)
{
	const struct mount *root = root_of(v->table);

	return root && root->dev == m->dev;
}

static void describe(const struct mounted_view *v, const struct mount *m, struct buf *b)
{
	buf_str(b, "mounted over it: ");
	if (is_own(v, m)) {
		buf_str(b, "the container's own ");
		text_escape(b, m->root, strlen(m->root));
	} else {
		text_escape(b, m->fstype, strlen(m->fstype));
		if (!streq(m->root, "/")) {
			buf_str(b, ", ");
			text_escape(b, m->root, strlen(m->root));
		}
	}
	if (v->second)
		buf_str(b, "; in another mount namespace of the container");
}

/* What is shown now, when it is the container's own; what cannot be read is not known. */
static int look_at_own(const struct mounted_view *v, const struct mount *m, struct scan_difference *d)
{
	_cleanup_close_ int fd = open(v->container->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_(upper_free_p) struct upper *upper = NULL;
	struct upper_file now;
	enum change change;

	if (fd < 0 || upper_new(fd, v->base, v->files, &upper) < 0 ||
	    upper_look(upper, v->arena, m->root, drift_mask(), &now) < 0 || !now.exists)
		return 0;
	d->attributes = upper_compare(d->before, &now, drift_mask(), &change) & ATTR_ALL;
	d->after = arena_dup(v->arena, &now.rec, sizeof(now.rec));
	return d->after ? 0 : -ENOMEM;
}

int mounted_difference(const struct mounted_view *v, const struct mount *m, struct scan_difference *ret,
		       struct buf *cause)
{
	struct record base;
	int r = baseline_lookup(v->base, m->point, v->arena, &base);

	*ret = (struct scan_difference){ .path = m->point,
					 .change = CHANGE_REPLACED,
					 .attributes = ATTR_BIT(ATTR_DEV) };
	if (r == 0)
		ret->before = arena_dup(v->arena, &base, sizeof(base));
	if (r == 0 && !ret->before)
		return -ENOMEM;
	describe(v, m, cause);
	if (cause->failed)
		return -ENOMEM;
	return is_own(v, m) ? look_at_own(v, m, ret) : 0;
}
