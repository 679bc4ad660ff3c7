/*
 * Where the kernel asks about the file of an overlay and not about that of its layer (before Linux 6.5): a lease on the
 * overlay's file says nothing of who has the layer's open or mapped. So that one is looked for and leased too. Runs on
 * the workers; opens files of layers alone, which are where the mount table says.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "lib/cleanup.h"
#include "lib/fstype.h"
#include "lib/util.h"
#include "proc/overlay.h"

struct searching {
	const char *rel; /* within the overlay */
	bool upper;	 /* which layers are asked */
	int fd;		 /* found; -1: not yet, or a negative errno below that */
};

static bool is_overlay(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fstype_by_magic((uint64_t)fs.f_type)->class == FSTYPE_OVERLAY;
}

/* The first layer that has it is the one that shows. */
static void look_in(const char *layer, bool upper, void *data)
{
	const struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC,
				      .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	_cleanup_close_ int dir = -1;
	struct searching *k = data;

	if (k->fd != -1 || upper != k->upper || *layer != '/')
		return;
	dir = open(layer, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	k->fd = (int)syscall(SYS_openat2, dir, k->rel, &how, sizeof(how));
	if (k->fd < 0)
		k->fd = errno == EAGAIN ? -EAGAIN : -1;
}

static int search(const struct mount *m, const char *rel)
{
	struct searching k = { .rel = rel, .upper = true, .fd = -1 };

	for (int i = 0; i < 2; i++, k.upper = false) {
		_cleanup_free_ char *options = strdup(m->super_options);

		if (options)
			overlay_each_layer(options, look_in, &k);
	}
	return k.fd;
}

/* What path is within the overlay, without the slash before it. */
static bool find_rel(const struct mount *m, const char *path, char ret[PATH_MAX])
{
	size_t len = streq(m->point, "/") ? 0 : strlen(m->point);
	const char *root = streq(m->root, "/") ? "" : m->root + 1;

	if (strncmp(path, m->point, len) != 0 || path[len] != '/')
		return false;
	return snprintf(ret, PATH_MAX, "%s%s%s", root, *root ? "/" : "", path + len + 1) < PATH_MAX;
}

static int open_real(const struct slot *s, const char *path)
{
	struct mount_table table = { .n = 0 };
	char text[PATH_MAX];
	struct statx stx;
	int fd = -1;

	if (statx(s->fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 || !(stx.stx_mask & STATX_MNT_ID))
		return -1;
	snprintf(text, sizeof(text), "/proc/%d/mountinfo", s->pid);
	if (mounts_read(text, &table, NULL) < 0)
		return -1;
	for (size_t i = 0; i < table.n && fd == -1; i++) {
		const struct mount *m = &table.mounts[i];

		if ((uint64_t)m->id == stx.stx_mnt_id && streq(m->fstype, "overlay") && find_rel(m, path, text))
			fd = search(m, text);
	}
	mounts_free(&table);
	return fd;
}

/* An overlay shows size and change time of the file that it has. */
static bool is_same(int real, const struct slot *s)
{
	struct file_id id;
	struct stat st;

	if (fstat(real, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	known_identify(&st, &id);
	return id.size == s->id.size && id.ctime == s->id.ctime;
}

void real_lease(struct gate *g, struct slot *s, const char *path)
{
	int fd;

	if (s->origin != SLOT_EVENT || s->writer || s->real >= 0 || !path || !is_overlay(s->fd))
		return;
	s->leased = false;
	fd = open_real(s, path);
	if (fd >= 0 && !is_same(fd, s)) {
		close(fd);
		fd = -1;
	}
	if (fd == -EAGAIN || (fd >= 0 && fcntl(fd, F_SETLEASE, F_RDLCK) < 0 && errno == EAGAIN)) {
		s->writer = true;
		gate_count(g, COUNT_WRITERS, 1);
	} else if (fd < 0) {
		gate_count(g, COUNT_UNLEASED, 1);
	} else {
		s->leased = fcntl(fd, F_GETLEASE) == F_RDLCK;
	}
	s->real = fd >= 0 ? fd : -1;
}
