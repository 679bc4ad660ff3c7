/*
 * Configured paths that are not there, or that lie below something that is not a folder. On the walk's thread, before
 * it begins. Follows no symbolic link, touches no file system that is left out.
 */
#include "fim/missing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/read.h"
#include "lib/cleanup.h"

/* Tells which part of a path that cannot be opened is in the way, if one is. */
static void missing_why(const struct walk_options *o, const char *path, struct buf *ret)
{
	_cleanup_close_ int at = openat(o->rootfd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char target[4096], name[256];
	struct statx stx;

	for (const char *p = path; at >= 0;) {
		const char *end = strchrnul(p + 1, '/');
		ssize_t n;
		int fd;

		if (!*end || (size_t)(end - p) > sizeof(name))
			return;
		memcpy(name, p + 1, (size_t)(end - p - 1));
		name[end - p - 1] = '\0';
		fd = openat(at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return;
		close(at);
		at = fd;
		if (statx(at, "", AT_EMPTY_PATH, STATX_TYPE, &stx) < 0)
			return;
		p = end;
		if (S_ISDIR(stx.stx_mode))
			continue;
		n = readlinkat(at, "", target, sizeof(target));
		if (n < 0)
			buf_printf(ret, "%.*s is not a folder", (int)(end - path), path);
		else
			buf_printf(ret, "below a symbolic link %.*s -> %.*s", (int)(end - path), path, (int)n, target);
		return;
	}
}

static int missing_check(const struct walk_options *o, const struct skips *skips, const char *path)
{
	_cleanup_buf_ struct buf why = BUF_INIT;
	_cleanup_close_ int dirfd = -1;
	const char *name;
	struct statx stx;
	int r;

	if (skips_above(skips, path))
		return 0; /* the walk reports it when it gets there */
	r = file_open_parent(o->rootfd, path, &dirfd, &name);
	if (!r && statx(dirfd, *name ? name : ".", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) < 0)
		r = -errno;
	switch (-r) {
	case 0:
		return 0;
	case ENOENT:
	case ENOTDIR:
	case ELOOP:
		missing_why(o, path, &why);
		return o->gap(o->data, GAP_NO_PATH, path, why.len ? why.data : NULL);
	default:
		return o->gap(o->data, GAP_UNREADABLE, path, record_unread_text((unsigned)-r));
	}
}

int missing_report(const struct walk_options *o, const struct skips *skips)
{
	const struct scope *s = o->plan->scope;
	int r = 0;

	/* A part of the scope that is asked for may well have gone: that is a difference, not a gap. */
	if (o->plan->n_only)
		return 0;
	for (size_t i = 0; !r && i < s->n_paths; i++)
		if (!s->paths[i].is_glob)
			r = missing_check(o, skips, s->paths[i].path);
	return r;
}
