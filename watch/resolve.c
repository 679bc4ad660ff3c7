/*
 * From a folder's file handle to its paths on this host, and from any handle to its inode. Owns no memory but the
 * cache's entries and, while events are decoded, one descriptor for each file system. Notify thread; opens with O_PATH
 * only, but the mount point.
 *
 * The kernel answers with the path seen through the mount that was used to ask. That path is first made relative to the
 * root of the file system, and then looked for below every mount that shows the file system on this host.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "watch/marks.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

#define DELETED_SUFFIX " (deleted)"
#define DEEP_MAX       4096 /* levels climbed for a path that is longer than the kernel can tell */

/*
 * Through a clone of the mount that nobody else sees: a descriptor on the mount itself would make an umount fail now
 * and then. The clone ends with the last descriptor on it.
 */
int resolve_open_mount(const char *point, int mount_id)
{
	_cleanup_close_ int clone = -1;
	struct statx stx;
	char proc[64];
	int fd;

	if (statx(AT_FDCWD, point, AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID, &stx) < 0)
		return -errno;
	if ((stx.stx_mask & STATX_MNT_ID) && stx.stx_mnt_id != (uint64_t)mount_id)
		return -ESTALE;
	/* A file may be mounted on: only a regular one is opened, others may block or act. */
	if (!S_ISDIR(stx.stx_mode) && !S_ISREG(stx.stx_mode))
		return -ENOTDIR;
	clone = (int)syscall(SYS_open_tree, AT_FDCWD, point, AT_NO_AUTOMOUNT | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (clone < 0)
		return -errno;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", clone);
	fd = open(proc, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static int mount_fd(struct fan_fs *fs)
{
	if (fs->fd < 0)
		fs->fd = resolve_open_mount(fs->point, fs->mount_id);
	return fs->fd;
}

void resolve_done(struct fan *f)
{
	f->opened = false;
	for (struct fan_fs *fs = f->filesystems; fs; fs = fs->next) {
		f->opened |= fs->fd >= 0;
		if (fs->fd >= 0)
			close(fs->fd);
		fs->fd = -1;
	}
}

/* Name of the folder `child` within `parent`, by inode number. */
static int find_name(int parent, int child, struct buf *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	struct stat st;

	if (fd < 0 || fstat(child, &st) < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	fd = -1;
	while ((entry = readdir(dir))) {
		if (entry->d_ino != st.st_ino || streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		buf_reset(ret);
		buf_str(ret, entry->d_name);
		return ret->failed ? -ENOMEM : 0;
	}
	return -ENOENT;
}

static int read_link(int fd, struct buf *ret)
{
	char link[PATH_MAX], proc[64];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	n = readlink(proc, link, sizeof(link));
	if (n < 0)
		return -errno;
	if (n == sizeof(link) || link[0] != '/')
		return -ENAMETOOLONG;
	buf_reset(ret);
	buf_add(ret, link, (size_t)n);
	return ret->failed ? -ENOMEM : 0;
}

/* Climbs to the first folder whose path the kernel can tell, and puts the names on the way behind it. */
static int read_deep_link(int fd, struct buf *ret)
{
	_cleanup_buf_ struct buf tail = BUF_INIT, name = BUF_INIT, next = BUF_INIT;
	_cleanup_close_ int at = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int r = at < 0 ? -errno : -ENAMETOOLONG;

	for (int i = 0; at >= 0 && r == -ENAMETOOLONG && i < DEEP_MAX; i++) {
		_cleanup_close_ int parent = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (parent < 0)
			return -errno;
		r = find_name(parent, at, &name);
		if (r < 0)
			return r;
		buf_reset(&next);
		buf_char(&next, '/');
		buf_add(&next, name.data, name.len);
		buf_add(&next, tail.data, tail.len);
		buf_reset(&tail);
		buf_add(&tail, next.data, next.len);
		close(at);
		at = TAKE_FD(parent);
		r = read_link(at, ret);
	}
	if (r < 0)
		return r;
	buf_add(ret, tail.data, tail.len);
	return ret->failed || tail.failed || next.failed ? -ENOMEM : 0;
}

/* Path from the root of the mount; a removed folder (held open by somebody) under the path it had. */
static int path_of(int fd, struct buf *ret)
{
	size_t suffix = strlen(DELETED_SUFFIX);
	struct stat st;
	int r = read_link(fd, ret);

	if (r == -ENAMETOOLONG)
		r = read_deep_link(fd, ret);
	if (r < 0)
		return r;
	if (ret->len > suffix && streq(ret->data + ret->len - suffix, DELETED_SUFFIX) && fstat(fd, &st) == 0 &&
	    st.st_nlink == 0) {
		ret->len -= suffix;
		ret->data[ret->len] = '\0';
	}
	return 0;
}

/* path, from the root of the mount that mount_fd is the top of, is the folder fd. */
static bool is_same_object(int fd, int mount_fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && fstatat(mount_fd, path[1] ? path + 1 : ".", &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * Makes the path, told from the root of the mount, relative to the root of the file system. A folder that lies outside
 * of what the mount shows (a bind mount, a subvolume) has its path told from that root already.
 */
static void make_relative(const struct fan_fs *fs, int fd, struct buf *path, struct buf *ret)
{
	buf_reset(ret);
	if (!streq(fs->root, "/") && is_same_object(fd, fs->fd, path->data))
		buf_str(ret, fs->root);
	if (path->len > 1)
		buf_add(ret, path->data, path->len);
	if (!ret->len)
		buf_char(ret, '/');
}

/* Path of `relative` (to the file system's root) where the mount shows it; false when it does not. */
static bool host_path(const struct mount *m, const char *relative, struct buf *ret)
{
	const char *rest = relative;

	if (!place_is_below(m->root, relative))
		return false;
	if (!streq(m->root, "/"))
		rest += strlen(m->root);
	buf_reset(ret);
	if (!streq(m->point, "/"))
		buf_str(ret, m->point);
	if (!streq(rest, "/"))
		buf_str(ret, rest);
	if (!ret->len)
		buf_char(ret, '/');
	return !ret->failed;
}

/* The first places in scope, else one that is not (programs started from there have a name, canaries are heard). */
static struct handles_dir *put_places(struct fan *f, struct fan_fs *fs, uint64_t hash, const struct decode_fid *fid,
				      const char *relative)
{
	const struct mount_table *table = &f->w->mounts;
	struct buf paths[HANDLES_PLACES_MAX] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
	struct place places[HANDLES_PLACES_MAX], *place;
	struct handles_dir *d;
	size_t n = 0;
	bool outside = false; /* the only place so far is out of scope */

	for (size_t i = 0; i < table->n && n < HANDLES_PLACES_MAX; i++) {
		const struct mount *m = &table->mounts[i];
		struct buf *path = &paths[outside ? 0 : n];

		if (m->dev != fs->dev || !host_path(m, relative, &f->spare) || mounts_find(table, f->spare.data) != m)
			continue;
		place = &places[HANDLES_PLACES_MAX - 1];
		place_init(place, f->w->conf, f->w->o.state_dir, f->spare.data, f->spare.len);
		if (n && place->self == SCOPE_OUT && !place->sensitive)
			continue;
		buf_reset(path);
		buf_add(path, f->spare.data, f->spare.len);
		if (path->failed)
			continue;
		place->path = path->data;
		places[outside ? 0 : n] = *place;
		outside = place->self == SCOPE_OUT && !place->sensitive;
		n = MAX(n, (size_t)(path - paths) + 1);
	}
	d = handles_put(f->handles, hash, fid->key, fid->len, fs->generation, places, n);
	for (size_t i = 0; i < HANDLES_PLACES_MAX; i++)
		buf_free(&paths[i]);
	return d;
}

static int open_handle(struct fan_fs *fs, const struct decode_fid *fid)
{
	_Alignas(struct file_handle) uint8_t handle[sizeof(struct file_handle) + DECODE_HANDLE_MAX];
	int fd = mount_fd(fs);

	if (fd < 0)
		return fd;
	memcpy(handle, fid->key + DECODE_FSID_LEN, fid->len - DECODE_FSID_LEN);
	fd = open_by_handle_at(fd, (struct file_handle *)handle, O_PATH | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int resolve_inode(struct fan_fs *fs, const struct decode_fid *fid, uint64_t *ret_dev, uint64_t *ret_ino)
{
	_cleanup_close_ int fd = open_handle(fs, fid);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	return 0;
}

struct handles_dir *resolve_dir(struct fan *f, struct fan_fs *fs, const struct decode_fid *fid)
{
	uint64_t hash = handles_hash(f->handles, fid->key, fid->len) ^ (fs->dev * 0x9e3779b97f4a7c15ULL);
	struct handles_dir *d = handles_get(f->handles, hash, fid->key, fid->len);
	_cleanup_close_ int fd = -1;

	if (d && d->generation == fs->generation) {
		watch_count(&f->w->handle_hits, 1);
		return d;
	}
	watch_count(&f->w->handle_misses, 1);
	fd = open_handle(fs, fid);
	if (fd < 0 || path_of(fd, &f->path) < 0) {
		/* Gone: the path it had last is better than none. */
		if (!d)
			watch_count(&f->w->stale, 1);
		return d;
	}
	make_relative(fs, fd, &f->path, &f->path2);
	return put_places(f, fs, hash, fid, f->path2.data);
}

void resolve_learn(struct fan *f, struct fan_fs *fs, const struct decode_fid *fid, const char *path, size_t len)
{
	uint64_t hash = handles_hash(f->handles, fid->key, fid->len) ^ (fs->dev * 0x9e3779b97f4a7c15ULL);
	struct place place;

	place_init(&place, f->w->conf, f->w->o.state_dir, path, len);
	handles_put(f->handles, hash, fid->key, fid->len, fs->generation, &place, 1);
}
