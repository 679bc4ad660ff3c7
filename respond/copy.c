/* Copies of files between file systems, digested as they are made. No state; the responder's thread, or a command. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fim/read.h"
#include "lib/digest.h"
#include "lib/io.h"
#include "lib/util.h"
#include "respond/quarantine-internal.h"

#define COPY_BLOCK    (128 * KIB)
#define COPY_ATTEMPTS 3

/* out -1: only digests. */
static int copy_blocks(struct digest *d, int in, int out, uint64_t max, uint64_t *ret_size)
{
	_cleanup_free_ char *block = malloc(COPY_BLOCK);
	uint64_t at = 0;
	int r = block ? digest_start(d) : -ENOMEM;

	while (r == 0) {
		ssize_t n = pread(in, block, COPY_BLOCK, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? -errno : 0;
			break;
		}
		if ((uint64_t)n > max - at)
			return -EFBIG;
		r = digest_update(d, block, (size_t)n);
		if (r == 0 && out >= 0)
			r = io_write_all(out, block, (size_t)n);
		at += (uint64_t)n;
	}
	*ret_size = at;
	return r;
}

int copy_fd(int in, int out, uint64_t max, uint8_t ret_digest[32], uint64_t *ret_size)
{
	_cleanup_digest_ struct digest *d = NULL;
	uint8_t digest[DIGEST_MAX];
	int r = digest_new(DIGEST_SHA256, &d);

	if (r == 0)
		r = copy_blocks(d, in, out, max, ret_size);
	if (r == 0)
		r = digest_finish(d, digest);
	if (r == 0)
		memcpy(ret_digest, digest, 32);
	return r;
}

int copy_digest(int fd, uint8_t ret_digest[32], uint64_t *ret_size)
{
	return copy_fd(fd, -1, UINT64_MAX, ret_digest, ret_size);
}

static int copy_xattrs(int fd, const struct record *rec)
{
	struct reader r = { rec->xattrs, rec->xattrs ? rec->xattrs + rec->xattrs_len : NULL, false };
	int failed = 0;

	while (r.p < r.end && !r.bad) {
		char name[256];
		size_t name_len, value_len;
		const void *n = reader_bytes(&r, &name_len), *v = reader_bytes(&r, &value_len);

		if (r.bad || name_len >= sizeof(name))
			return -EBADMSG;
		memcpy(name, n, name_len);
		name[name_len] = '\0';
		if (fsetxattr(fd, name, v, value_len, 0) < 0 && !failed)
			failed = -errno;
	}
	return failed;
}

int copy_attributes(int fd, const struct record *rec)
{
	struct timespec times[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
	int failed = 0, r;

	if (rec->have & ATTR_BIT(ATTR_UID) && rec->have & ATTR_BIT(ATTR_GID) && fchown(fd, rec->uid, rec->gid) < 0)
		failed = -errno;
	/* After the owner, which takes setuid away. */
	if (rec->have & ATTR_BIT(ATTR_MODE) && fchmod(fd, rec->mode) < 0 && !failed)
		failed = -errno;
	r = copy_xattrs(fd, rec);
	failed = failed ? failed : r;
	if (rec->have & ATTR_BIT(ATTR_MTIME)) {
		int64_t ns = rec->mtime % (int64_t)NSEC_PER_SEC;

		ns += ns < 0 ? (int64_t)NSEC_PER_SEC : 0;
		times[1].tv_nsec = (long)ns;
		times[1].tv_sec = (time_t)((rec->mtime - ns) / (int64_t)NSEC_PER_SEC);
		if (futimens(fd, times) < 0 && !failed)
			failed = -errno;
	}
	return failed;
}

int copy_sync_dir(int dirfd)
{
	/* The descriptor may be one that stands for a path only. */
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* --- across file systems */

/* Its content did not change while it was copied: what is in the copy is what is removed. */
static int copy_stable(int in, int out, uint64_t max, uint8_t ret_digest[32])
{
	uint8_t again[32];
	uint64_t size;
	int r = 0;

	for (unsigned i = 0; i < COPY_ATTEMPTS; i++) {
		if (ftruncate(out, 0) < 0 || lseek(out, 0, SEEK_SET) < 0)
			return -errno;
		r = copy_fd(in, out, max, ret_digest, &size);
		if (r == 0)
			r = copy_digest(in, again, &size);
		if (r < 0 || !memcmp(again, ret_digest, sizeof(again)))
			return r;
	}
	return -EAGAIN;
}

static int record_of(int dirfd, const char *name, struct arena *a, struct record *ret)
{
	_cleanup_(file_reader_free_p) struct file_reader *reader = NULL;
	const struct read_options o = { .algo = DIGEST_SHA256 };
	int r = file_reader_new(&o, &reader);

	if (r == 0)
		r = file_read_meta(reader, a, dirfd, name, ret);
	if (r == 0)
		file_read_content(reader, a, dirfd, name, ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_FLAGS), ret);
	return r;
}

static bool still_names(int dirfd, const char *name, int fd)
{
	struct stat at, of;

	return fstatat(dirfd, name, &at, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &of) == 0 && at.st_dev == of.st_dev &&
	       at.st_ino == of.st_ino;
}

int copy_over(int dirfd, const char *name, int to_dirfd, const char *to_name, uint64_t max, uint8_t ret_digest[32])
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_close_ int in = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), out = -1;
	struct record rec;
	struct stat st;
	int r;

	if (in < 0)
		return -errno;
	if (fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	r = record_of(dirfd, name, &arena, &rec);
	if (r < 0)
		return r;
	out = openat(to_dirfd, to_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return -errno;
	r = copy_stable(in, out, max, ret_digest);
	/* A file system without attributes of some kind must not stop it: the record of them is kept in meta. */
	if (r == 0)
		copy_attributes(out, &rec);
	if (r == 0 && fsync(out) < 0)
		r = -errno;
	if (r == 0)
		r = copy_sync_dir(to_dirfd);
	if (r == 0 && !still_names(dirfd, name, in))
		r = -ESTALE;
	if (r == 0 && unlinkat(dirfd, name, 0) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(to_dirfd, to_name, 0);
	return r;
}
