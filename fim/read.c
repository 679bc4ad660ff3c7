/*
 * Reads one file's record. A file_reader belongs to one thread and owns its buffers, digest context, magic cookie and a
 * small cache of hard links. Opens regular files and folders only, never follows a link, never blocks on what a name
 * became in the meantime.
 *
 * One version: the record is taken from the name (statx), then the file is opened, read, and asked again by its
 * descriptor. Only when device, inode, size, mtime and ctime are still those of the record do digest, xattrs and flags
 * belong to it. That also tells that what was opened is what was looked at, so one fstat is enough. A name that became
 * a FIFO or a folder fails pread at once.
 */
#include "fim/read.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "fim/content.h"
#include "fim/quiet.h"
#include "fim/xattr.h"
#include "lib/cleanup.h"
#include "lib/util.h"

#define READ_TRIES	3
#define READ_LINKS	256 /* slots for hard links: a digest once per inode, not once per name */
#define READ_TARGET_MAX 4096
#define READ_STATX	(STATX_BASIC_STATS & ~(STATX_ATIME | STATX_BLOCKS))
#define READ_LEASE_WAIT (10 * NSEC_PER_MSEC) /* between tries to open a file that somebody holds a lease on */

#define READ_XATTRS (ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_CAPS) | ATTR_BIT(ATTR_SELINUX))
#define READ_DIGEST (ATTR_BIT(ATTR_DIGEST) | ATTR_GROWING)

enum { READ_CHANGED = 1 }; /* outcome: not the file or not the version that the record is of */

struct read_link {
	struct record of; /* have: what record_same_version wants */
	char mime[64];
};

struct file_reader {
	struct read_options o;
	struct content content;
	struct xattr_reader xattr;
	char target[READ_TARGET_MAX];
	struct read_link *links;
};

int file_reader_new(const struct read_options *o, struct file_reader **ret)
{
	_cleanup_(file_reader_free_p) struct file_reader *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->o = *o;
	e = content_init(&r->content, o);
	if (!e)
		e = xattr_reader_init(&r->xattr);
	if (e < 0)
		return e;
	r->links = calloc(READ_LINKS, sizeof(*r->links));
	if (!r->links)
		return -ENOMEM;
	*ret = TAKE_PTR(r);
	return 0;
}

void file_reader_free(struct file_reader *r)
{
	if (!r)
		return;
	content_done(&r->content);
	xattr_reader_done(&r->xattr);
	free(r->links);
	free(r);
}

uint64_t file_reader_unanswered(const struct file_reader *r)
{
	return r->content.unanswered_ns;
}

/* --- metadata */

static int read_statx(int dirfd, const char *name, struct record *ret)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	struct statx stx;

	if (statx(dirfd, name, flags, READ_STATX, &stx) < 0)
		return -errno;
	record_from_statx(ret, &stx);
	return 0;
}

/* A link's target and its times of one version, too: the name may be replaced between the two calls. */
static int read_target(struct file_reader *r, struct arena *a, int dirfd, const char *name, struct record *rec)
{
	ssize_t n = readlinkat(dirfd, name, r->target, sizeof(r->target));
	struct record after;
	int e;

	if (n < 0)
		return errno == EINVAL || errno == ENOENT ? READ_CHANGED : -errno;
	e = read_statx(dirfd, name, &after);
	if (e < 0 || !record_same_version(rec, &after))
		return READ_CHANGED;
	rec->target = arena_strndup(a, r->target, (size_t)n);
	if (!rec->target)
		return -ENOMEM;
	rec->have |= ATTR_BIT(ATTR_TARGET);
	return 0;
}

int file_read_meta(struct file_reader *r, struct arena *a, int dirfd, const char *name, struct record *ret)
{
	struct record rec;
	int e;

	for (int i = 0; i < READ_TRIES; i++) {
		e = read_statx(dirfd, name, &rec);
		if (e < 0)
			return e;
		e = rec.type == 'l' ? read_target(r, a, dirfd, name, &rec) : 0;
		if (e != READ_CHANGED)
			break;
	}
	if (e == READ_CHANGED)
		rec.unread = RECORD_UNSTABLE;
	else if (e < 0)
		rec.unread = (uint16_t)-e;
	*ret = rec;
	return 0;
}

/* --- opening */

/*
 * O_NOATIME needs to be the owner or CAP_FOWNER: refused, the file is opened without. O_NONBLOCK: neither a FIFO nor
 * somebody's write lease makes this wait; a lease is being broken by then, so it is tried again.
 */
static int read_open(int dirfd, const char *name, int flags)
{
	int tries = READ_TRIES, fd;

	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	do {
		fd = openat(dirfd, name, flags | O_NOATIME);
		if (fd < 0 && errno == EPERM)
			fd = openat(dirfd, name, flags);
		if (fd >= 0 || errno != EWOULDBLOCK)
			break;
		quiet_nap(READ_LEASE_WAIT);
	} while (--tries);
	return fd < 0 ? -errno : fd;
}

/* Errors that say that the name is no longer what the record says. */
static int read_open_outcome(int e)
{
	switch (-e) {
	case ENOENT:  /* gone, or just being replaced */
	case ELOOP:   /* a symlink now */
	case ENOTDIR: /* was a folder */
	case EISDIR:  /* pread: a folder now */
	case ESPIPE:  /* pread: a FIFO now */
	case ENXIO:   /* a socket now, or a device without driver */
		return READ_CHANGED;
	default:
		return e;
	}
}

static void read_flags(int fd, struct record *rec)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return; /* the file system has none */
	rec->flags = (uint32_t)flags;
	rec->have |= ATTR_BIT(ATTR_FLAGS);
}

/* --- hard links */

static struct read_link *read_link_slot(struct file_reader *r, const struct record *rec)
{
	return &r->links[(rec->ino ^ rec->ino >> 8 ^ rec->dev) % READ_LINKS];
}

static bool read_link_get(struct file_reader *r, struct arena *a, bool mime, struct record *rec)
{
	struct read_link *l = read_link_slot(r, rec);

	if (!record_same_version(&l->of, rec) || (mime && !*l->mime))
		return false;
	if (mime) {
		rec->mime = arena_strdup(a, l->mime);
		if (rec->mime)
			rec->have |= ATTR_BIT(ATTR_MIME);
	}
	memcpy(rec->digest, l->of.digest, l->of.digest_len);
	rec->digest_len = l->of.digest_len;
	rec->have |= ATTR_BIT(ATTR_DIGEST);
	return true;
}

static void read_link_put(struct file_reader *r, const struct record *rec)
{
	struct read_link *l = read_link_slot(r, rec);

	l->of = *rec;
	*l->mime = '\0';
	if (rec->mime && strlen(rec->mime) < sizeof(l->mime))
		strcpy(l->mime, rec->mime);
}

/* --- content */

static bool read_wants_mime(const struct file_reader *r, attr_mask mask, const struct record *rec)
{
	return mask & ATTR_BIT(ATTR_MIME) && (r->o.mime_all || rec->mode & 0111);
}

/* The size that the digest is of is the record's: both versions are compared afterwards. */
static bool read_is_known(const struct file_reader *r, int fd, struct record *rec)
{
	if (!r->o.known || !(rec->mode & 0111) || r->o.known(r->o.known_data, fd, r->o.algo, rec->digest) != 0)
		return false;
	rec->digest_len = (uint8_t)digest_table[r->o.algo].size;
	rec->have |= ATTR_BIT(ATTR_DIGEST);
	return true;
}

static int read_data(struct file_reader *r, struct arena *a, int fd, attr_mask mask, struct record *rec)
{
	bool mime = read_wants_mime(r, mask, rec);
	int e;

	if (!(mask & READ_DIGEST))
		rec->unread = RECORD_NOT_ASKED;
	else if (r->o.hash_size && rec->size > r->o.hash_size)
		rec->unread = RECORD_TOO_LARGE;
	if (rec->unread)
		return mime ? content_mime(&r->content, a, fd, rec) : 0;
	if (rec->nlink > 1 && read_link_get(r, a, mime, rec))
		return 0;
	quiet_wait(fd, rec);
	if (read_is_known(r, fd, rec))
		return mime ? content_mime(&r->content, a, fd, rec) : 0;
	e = content_digest(&r->content, a, fd, mime, rec);
	return e == -ENODATA ? READ_CHANGED : e; /* shorter than the record says */
}

#define READ_OPENS (READ_DIGEST | READ_XATTRS | ATTR_BIT(ATTR_FLAGS) | ATTR_BIT(ATTR_MIME))

/* The content may be known all the same; that something of the file is not must show. */
static void read_no_xattrs(struct record *rec, int e)
{
	if (e < 0 && (!rec->unread || rec->unread == RECORD_NOT_ASKED))
		rec->unread = e == -EAGAIN ? RECORD_UNSTABLE : (uint16_t)-e;
}

/* What is asked of an open descriptor beside content, and then what it is now. */
static int read_rest(struct file_reader *r, struct arena *a, int fd, attr_mask mask, struct record *rec,
		     struct record *ret_after)
{
	if (mask & READ_XATTRS)
		read_no_xattrs(rec, xattr_read_fd(&r->xattr, a, fd, rec));
	if (mask & ATTR_BIT(ATTR_FLAGS))
		read_flags(fd, rec);
	return read_statx(fd, "", ret_after);
}

/* fd is open on what rec, so far its metadata, was taken of. */
static int read_opened(struct file_reader *r, struct arena *a, int fd, attr_mask mask, struct record *rec)
{
	struct record before = *rec, after;
	int e = read_data(r, a, fd, mask, rec);

	if (e)
		return read_open_outcome(e);
	e = read_rest(r, a, fd, mask, rec, &after);
	if (e < 0)
		return e;
	if (!record_same_version(&before, &after))
		return READ_CHANGED;
	if (rec->nlink > 1 && rec->have & ATTR_BIT(ATTR_DIGEST))
		read_link_put(r, rec);
	return 0;
}

static int read_regular(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
			struct record *rec)
{
	_cleanup_close_ int fd = -1;

	if (!(mask & READ_OPENS)) {
		rec->unread = RECORD_NOT_ASKED;
		return 0;
	}
	fd = read_open(dirfd, name, 0);
	return fd < 0 ? read_open_outcome(fd) : read_opened(r, a, fd, mask, rec);
}

/* A folder's own attributes. Its times may go on changing: only that it is the same one is asked. */
static int read_folder(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		       struct record *rec)
{
	_cleanup_close_ int fd = -1;
	struct record after;
	int e;

	if (!(mask & (READ_XATTRS | ATTR_BIT(ATTR_FLAGS))))
		return 0;
	fd = read_open(dirfd, *name ? name : ".", O_DIRECTORY);
	if (fd < 0)
		return read_open_outcome(fd);
	e = read_rest(r, a, fd, mask, rec, &after);
	if (e < 0)
		return e;
	return after.dev == rec->dev && after.ino == rec->ino ? 0 : READ_CHANGED;
}

/* What may not be opened still has xattrs to be read by name. */
static int read_by_name(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
			struct record *rec)
{
	struct record after;

	if (!(mask & READ_XATTRS) || !*name)
		return 0;
	read_no_xattrs(rec, xattr_read_at(&r->xattr, a, dirfd, name, rec));
	if (!(rec->have & ATTR_BIT(ATTR_XATTRS)) || !rec->xattrs_len)
		return 0; /* nothing that could be another file's */
	return read_statx(dirfd, name, &after) == 0 && record_same_version(rec, &after) ? 0 : READ_CHANGED;
}

static int read_once(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		     struct record *rec)
{
	int e;

	if (rec->type != 'f' && rec->type != 'd')
		return read_by_name(r, a, dirfd, name, mask, rec);
	if (rec->type == 'f')
		e = read_regular(r, a, dirfd, name, mask, rec);
	else
		e = read_folder(r, a, dirfd, name, mask, rec);
	if (e >= 0)
		return e;
	if (rec->type == 'f')
		rec->unread = (uint16_t)-e;
	return read_by_name(r, a, dirfd, name, mask, rec);
}

void file_read_content(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		       struct record *rec)
{
	struct record meta = *rec;

	if (rec->unread) /* a symlink whose target would not hold still */
		return;
	for (int i = 0; i < READ_TRIES; i++) {
		*rec = meta;
		if (read_once(r, a, dirfd, name, mask, rec) != READ_CHANGED)
			return;
		if (file_read_meta(r, a, dirfd, name, &meta) < 0) {
			*rec = meta;
			rec->unread = RECORD_GONE;
			return;
		}
	}
	*rec = meta;
	rec->unread = RECORD_UNSTABLE;
}

static bool read_is_for_later(const struct file_reader *r, attr_mask mask, const struct record *rec)
{
	return r->o.later && rec->size >= r->o.later && mask & READ_DIGEST &&
	       !(r->o.hash_size && rec->size > r->o.hash_size);
}

/* 0 when it is all there, FILE_READ_LATER, or a negative errno: nothing is. */
static int read_listed(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		       struct record *ret)
{
	_cleanup_close_ int fd = mask & READ_OPENS ? read_open(dirfd, name, 0) : -1;

	if (fd < 0 || read_statx(fd, "", ret) < 0 || ret->type != 'f')
		return -ENOENT;
	if (read_is_for_later(r, mask, ret))
		return FILE_READ_LATER;
	return read_opened(r, a, fd, mask, ret) == 0 ? 0 : -ESTALE;
}

int file_read_listed(struct file_reader *r, struct arena *a, int dirfd, const char *name, attr_mask mask,
		     struct record *ret)
{
	int e = read_listed(r, a, dirfd, name, mask, ret);

	if (e >= 0)
		return e;
	e = file_read_meta(r, a, dirfd, name, ret);
	if (!e)
		file_read_content(r, a, dirfd, name, mask, ret);
	return e;
}

int file_read_prefix(struct file_reader *r, int dirfd, const char *name, uint64_t size, uint8_t ret[DIGEST_MAX])
{
	_cleanup_close_ int fd = read_open(dirfd, name, 0);
	struct record rec;
	int e;

	if (fd < 0)
		return fd;
	e = read_statx(fd, "", &rec);
	if (e < 0)
		return e;
	if (rec.type != 'f')
		return -EINVAL;
	if (rec.size < size)
		return -ENODATA;
	rec.size = size;
	e = content_digest(&r->content, NULL, fd, false, &rec);
	if (!e)
		memcpy(ret, rec.digest, rec.digest_len);
	return e;
}

void file_reader_want_extra(struct file_reader *r, const char *algo)
{
	struct content *c = &r->content;

	c->has_extra = false;
	if (algo && !c->extra)
		digest_new_named(algo, &c->extra);
	c->with_extra = algo && c->extra;
}

size_t file_reader_extra(const struct file_reader *r, uint8_t ret[DIGEST_MAX])
{
	const struct content *c = &r->content;

	if (!c->has_extra)
		return 0;
	memcpy(ret, c->extra_digest, digest_size(c->extra));
	return digest_size(c->extra);
}
