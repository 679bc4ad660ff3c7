/*
 * The quarantine folder and its entries. Used by the responder's thread and by commands; a command that works on an
 * entry while the responder makes another does not get in its way, since entries are folders of their own.
 */
#include "respond/quarantine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fim/read.h"
#include "lib/util.h"
#include "respond/quarantine-internal.h"

#define META_MAX (4 * MIB)
#define META_TMP "meta.tmp"

/* --- the folder */

int quarantine_open(const char *state_dir, bool create, const struct quarantine_bounds *bounds, struct quarantine *ret)
{
	_cleanup_close_ int dir = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;

	if (dir < 0)
		return -errno;
	if (create && mkdirat(dir, QUARANTINE_NAME, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir, QUARANTINE_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	/* What malware left may be of use to others: nobody but us reaches into it. */
	if (st.st_uid != geteuid() || st.st_mode & 077)
		return -EPERM;
	ret->fd = TAKE_FD(fd);
	ret->bounds = bounds ? *bounds : (struct quarantine_bounds){ UINT64_MAX, UINT64_MAX, UINT64_MAX };
	return 0;
}

void quarantine_close(struct quarantine *q)
{
	cleanup_close(&q->fd);
	q->fd = -1;
}

static bool parse_id(const char *name, uint64_t *ret)
{
	char *end;

	if (*name < '1' || *name > '9')
		return false;
	errno = 0;
	*ret = strtoull(name, &end, 10);
	return !errno && !*end;
}

static int open_entry(const struct quarantine *q, uint64_t id)
{
	char name[24];
	int fd;

	snprintf(name, sizeof(name), "%" PRIu64, id);
	fd = openat(q->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Each name in a folder but . and .. */
static int each_name(int at, int (*fn)(int dirfd, const char *name, void *data), void *data)
{
	_cleanup_close_ int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	TAKE_FD(fd);
	while (r == 0 && (e = readdir(d)))
		if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
			r = fn(at, e->d_name, data);
	return r;
}

struct usage {
	uint64_t entries, bytes;
};

static int add_size(int dirfd, const char *name, void *data)
{
	struct usage *u = data;
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
		u->bytes += (uint64_t)st.st_size;
	return 0;
}

static int add_entry(int dirfd, const char *name, void *data)
{
	_cleanup_close_ int fd = -1;
	struct usage *u = data;
	uint64_t id;

	if (!parse_id(name, &id))
		return 0;
	u->entries++;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? 0 : each_name(fd, add_size, u);
}

int quarantine_usage(const struct quarantine *q, uint64_t *ret_entries, uint64_t *ret_bytes)
{
	struct usage u = { 0, 0 };
	int r = each_name(q->fd, add_entry, &u);

	if (r < 0)
		return r;
	*ret_entries = u.entries;
	*ret_bytes = u.bytes;
	return 0;
}

/* --- entries */

void quarantine_put_digest(json_t *meta, const char *key, const uint8_t *digest, size_t size)
{
	_cleanup_buf_ struct buf hex = BUF_INIT;

	buf_hex(&hex, digest, size);
	if (!hex.failed)
		json_object_set_new(meta, key, json_string(hex.data));
}

int quarantine_room(struct quarantine_entry *e, uint64_t size)
{
	if (size > e->left)
		return -EDQUOT;
	e->left -= size;
	return 0;
}

/* Bytes that are left for an entry; -EDQUOT: none. */
static int room_left(const struct quarantine *q, uint64_t more, uint64_t *ret)
{
	uint64_t entries, bytes;
	int r = quarantine_usage(q, &entries, &bytes);

	if (r < 0)
		return r;
	if (entries + more > q->bounds.entries || bytes >= q->bounds.bytes)
		return -EDQUOT;
	*ret = q->bounds.bytes - bytes;
	return 0;
}

int quarantine_begin(const struct quarantine *q, uint64_t id, struct quarantine_entry *ret)
{
	char name[24];
	uint64_t left;
	int fd, r = room_left(q, 1, &left);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%" PRIu64, id);
	if (mkdirat(q->fd, name, 0700) < 0)
		return -errno;
	fd = open_entry(q, id);
	if (fd < 0)
		return fd;
	*ret = (struct quarantine_entry){ .q = q, .id = id, .fd = fd, .meta = json_object(), .left = left };
	return 0;
}

int quarantine_continue(const struct quarantine *q, uint64_t id, struct quarantine_entry *ret)
{
	uint64_t left;
	json_t *meta;
	int fd, r = room_left(q, 0, &left);

	if (r == 0)
		r = quarantine_meta(q, id, &meta);

	if (r < 0)
		return r;
	fd = open_entry(q, id);
	if (fd < 0) {
		json_decref(meta);
		return fd;
	}
	*ret = (struct quarantine_entry){ .q = q, .id = id, .fd = fd, .meta = meta, .left = left };
	return 0;
}

int quarantine_commit(struct quarantine_entry *e)
{
	_cleanup_close_ int fd = openat(e->fd, META_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -errno;
	if (json_dumpfd(e->meta, fd, JSON_INDENT(1) | JSON_ENSURE_ASCII) < 0)
		return -ENOSPC;
	if (fsync(fd) < 0 || renameat(e->fd, META_TMP, e->fd, QUARANTINE_META) < 0 || fsync(e->fd) < 0 ||
	    fsync(e->q->fd) < 0)
		return -errno;
	return 0;
}

static int remove_name(int dirfd, const char *name, void *data)
{
	int *keep = data;

	if (keep && streq(name, QUARANTINE_FILE)) {
		*keep = 1;
		return 0;
	}
	return unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

void quarantine_end(struct quarantine_entry *e)
{
	int keep = 0;
	char name[24];

	if (e->fd >= 0 && faccessat(e->fd, QUARANTINE_META, F_OK, 0) < 0) {
		each_name(e->fd, remove_name, &keep);
		snprintf(name, sizeof(name), "%" PRIu64, e->id);
		if (!keep)
			unlinkat(e->q->fd, name, AT_REMOVEDIR);
	}
	cleanup_close(&e->fd);
	e->fd = -1;
	json_decref(e->meta);
	e->meta = NULL;
}

int quarantine_meta(const struct quarantine *q, uint64_t id, json_t **ret)
{
	_cleanup_close_ int dir = open_entry(q, id), fd = -1;
	struct stat st;
	json_t *meta;

	if (dir < 0)
		return dir;
	fd = openat(dir, QUARANTINE_META, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EBADMSG : -errno;
	if (fstat(fd, &st) < 0 || st.st_size > (off_t)META_MAX)
		return -EBADMSG;
	meta = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(meta)) {
		json_decref(meta);
		return -EBADMSG;
	}
	*ret = meta;
	return 0;
}

/* --- commands */

struct ids {
	uint64_t *id;
	size_t n, cap;
};

static int add_id(int dirfd _unused_, const char *name, void *data)
{
	struct ids *ids = data;
	uint64_t id, *grown;

	if (!parse_id(name, &id))
		return 0;
	if (ids->n == ids->cap) {
		ids->cap = ids->cap ? ids->cap * 2 : 64;
		grown = realloc(ids->id, ids->cap * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		ids->id = grown;
	}
	ids->id[ids->n++] = id;
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int quarantine_each(const struct quarantine *q, int (*fn)(uint64_t id, const json_t *meta, void *data), void *data)
{
	struct ids ids = { 0 };
	int r = each_name(q->fd, add_id, &ids);

	if (ids.n)
		qsort(ids.id, ids.n, sizeof(*ids.id), compare_ids);
	for (size_t i = 0; i < ids.n && r == 0; i++) {
		json_t *meta = NULL;

		quarantine_meta(q, ids.id[i], &meta);
		r = fn(ids.id[i], meta, data);
		json_decref(meta);
	}
	free(ids.id);
	return r;
}

/* --- putting back */

struct restore {
	int fd; /* of the entry */
	json_t *meta;
	char *path;
	int dirfd; /* where it goes */
	const char *name;
};

static void restore_done(struct restore *x)
{
	cleanup_close(&x->fd);
	cleanup_close(&x->dirfd);
	json_decref(x->meta);
	free(x->path);
}

static int unhex(const char *hex, struct buf *b)
{
	unsigned byte;

	for (; hex[0] && hex[1]; hex += 2) {
		if (sscanf(hex, "%2x", &byte) != 1)
			return -EBADMSG;
		buf_u8(b, (uint8_t)byte);
	}
	return b->failed ? -ENOMEM : *hex ? -EBADMSG : 0;
}

/* The path as it was recorded, byte for byte. */
static int restore_path(struct restore *x, const char *to)
{
	const json_t *file = json_object_get(x->meta, "file");
	const char *raw = json_string_value(json_object_get(file, "path_raw")),
		   *path = json_string_value(json_object_get(file, "path"));
	_cleanup_buf_ struct buf bytes = BUF_INIT;
	int r;

	if (to || !raw) {
		x->path = to || path ? strdup(to ? to : path) : NULL;
		return x->path ? 0 : -ENODATA;
	}
	r = unhex(raw, &bytes);
	if (r < 0)
		return r;
	x->path = strdup(bytes.data ? bytes.data : "");
	return x->path ? 0 : -ENOMEM;
}

/* The very bytes that were taken. */
static int restore_check(const struct restore *x)
{
	const char *want = json_string_value(json_object_get(json_object_get(x->meta, "file"), "sha256"));
	_cleanup_close_ int fd = openat(x->fd, QUARANTINE_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_buf_ struct buf hex = BUF_INIT;
	uint8_t digest[32];
	uint64_t size;
	int r;

	if (fd < 0)
		return errno == ENOENT ? -ENODATA : errno == ELOOP ? -EBADMSG : -errno;
	r = copy_digest(fd, digest, &size);
	if (r < 0)
		return r;
	buf_hex(&hex, digest, sizeof(digest));
	return want && !hex.failed && streq(hex.data, want) ? 0 : -EBADMSG;
}

/* Inode flags that had to go. */
static void restore_flags(const struct restore *x)
{
	json_int_t n = json_integer_value(json_object_get(json_object_get(x->meta, "file"), "flags"));
	_cleanup_close_ int fd = n ? openat(x->dirfd, x->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
	unsigned flags = (unsigned)n;

	if (fd >= 0)
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int restore_move(const struct restore *x)
{
	uint8_t digest[32];
	int r = renameat2(x->fd, QUARANTINE_FILE, x->dirfd, x->name, RENAME_NOREPLACE) < 0 ? -errno : 0;

	if (r == -EXDEV || r == -EINVAL)
		r = copy_over(x->fd, QUARANTINE_FILE, x->dirfd, x->name, UINT64_MAX, digest);
	if (r == 0)
		restore_flags(x);
	return r;
}

int quarantine_restore(const struct quarantine *q, uint64_t id, const char *to, struct buf *why)
{
	_cleanup_(restore_done) struct restore x = { .fd = open_entry(q, id), .dirfd = -1 };
	_cleanup_close_ int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r = x.fd < 0 ? x.fd : root < 0 ? -errno : quarantine_meta(q, id, &x.meta);

	if (r == 0)
		r = restore_path(&x, to);
	if (r == 0)
		r = restore_check(&x);
	if (r < 0)
		return r;
	r = file_open_parent(root, x.path, &x.dirfd, &x.name);
	if (r < 0) {
		buf_printf(why, "its folder: %s", strerror(-r));
		return r == -ENOENT ? -ENOTDIR : r;
	}
	r = restore_move(&x);
	if (r == 0) {
		struct quarantine_entry e = { .q = q, .id = id, .fd = x.fd, .meta = x.meta };

		json_object_set_new(x.meta, "restored", json_true());
		copy_sync_dir(x.dirfd);
		quarantine_commit(&e);
	}
	return r;
}

int quarantine_delete(const struct quarantine *q, uint64_t id)
{
	_cleanup_close_ int fd = open_entry(q, id);
	char name[24];
	int r = fd < 0 ? fd : each_name(fd, remove_name, NULL);

	snprintf(name, sizeof(name), "%" PRIu64, id);
	if (r == 0 && unlinkat(q->fd, name, AT_REMOVEDIR) < 0)
		r = -errno;
	return r;
}
