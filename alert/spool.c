/*
 * The spool: a header with the offset of the first record that was not delivered, then records. Owns its descriptor;
 * one thread. Syncing is left to the kernel: a kill loses nothing, a power loss what was not written back.
 */
#include "alert/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/util.h"

/* Header: magic, offset. Record: length, checksum, bytes. */
#define SPOOL_MAGIC  0x316c6f6f70736668ULL /* "hfspool1" */
#define SPOOL_HEADER 16
#define SPOOL_FRAME  8

struct spool {
	int fd;
	uint64_t max;
	uint64_t head, end; /* first record not delivered; end of the last */
	uint64_t pending;
};

static uint32_t checksum(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t h = 2166136261u; /* FNV-1a: against torn writes, not against people */

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static int read_at(int fd, void *data, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		done += (size_t)n;
	}
	return 0;
}

static int write_at(int fd, const void *data, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const char *)data + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static int write_header(struct spool *s)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_u64(&b, SPOOL_MAGIC);
	buf_u64(&b, s->head);
	return b.failed ? -ENOMEM : write_at(s->fd, b.data, b.len, 0);
}

/* Length of the record at `at`; 0 when there is no whole one. */
static uint32_t frame_at(const struct spool *s, uint64_t at, uint32_t *ret_sum)
{
	uint8_t frame[SPOOL_FRAME];
	struct reader r = { frame, frame + sizeof(frame), false };
	uint32_t len;

	if (at + SPOOL_FRAME > s->end || read_at(s->fd, frame, sizeof(frame), at) < 0)
		return 0;
	len = reader_u32(&r);
	*ret_sum = reader_u32(&r);
	return len <= SPOOL_RECORD_MAX && at + SPOOL_FRAME + len <= s->end ? len : 0;
}

/* --- opening */

static int spool_reset(struct spool *s)
{
	s->head = s->end = SPOOL_HEADER;
	s->pending = 0;
	if (ftruncate(s->fd, SPOOL_HEADER) < 0)
		return -errno;
	return write_header(s);
}

/* Counts the records; what was not written to its end is cut off. */
static int spool_scan(struct spool *s)
{
	uint64_t at = s->head;
	uint32_t len, sum;

	while ((len = frame_at(s, at, &sum))) {
		at += SPOOL_FRAME + len;
		s->pending++;
	}
	if (at == s->end)
		return 0;
	s->end = at;
	return ftruncate(s->fd, (off_t)at) < 0 ? -errno : 0;
}

static bool has_header(struct spool *s, uint64_t size)
{
	uint8_t header[SPOOL_HEADER];
	struct reader r = { header, header + sizeof(header), false };

	if (size < SPOOL_HEADER || read_at(s->fd, header, sizeof(header), 0) < 0 || reader_u64(&r) != SPOOL_MAGIC)
		return false;
	s->head = reader_u64(&r);
	s->end = size;
	return s->head >= SPOOL_HEADER && s->head <= size;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EMEDIUMTYPE;
}

static int set_aside(struct spool *s, const char *path)
{
	_cleanup_buf_ struct buf bad = BUF_INIT;

	buf_printf(&bad, "%s.bad", path);
	if (bad.failed)
		return -ENOMEM;
	if (rename(path, bad.data) < 0)
		return -errno;
	close(s->fd);
	s->fd = open_file(path);
	return s->fd < 0 ? s->fd : spool_reset(s);
}

static int spool_load(struct spool *s, const char *path)
{
	struct stat st;

	s->fd = path ? open_file(path) : memfd_create("spool", MFD_CLOEXEC);
	if (s->fd < 0)
		return path ? s->fd : -errno;
	if (fstat(s->fd, &st) < 0)
		return -errno;
	if (!st.st_size)
		return spool_reset(s);
	return has_header(s, (uint64_t)st.st_size) ? spool_scan(s) : set_aside(s, path);
}

int spool_open(const char *path, uint64_t max, struct spool **ret)
{
	struct spool *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->max = max;
	r = spool_load(s, path);
	if (r < 0) {
		spool_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void spool_close(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* --- use */

/* Moves what is left to the front. A kill in between leaves what was delivered to be delivered again. */
static int compact(struct spool *s)
{
	char piece[65536];
	uint64_t from = s->head, to = SPOOL_HEADER;
	int r;

	/* The pieces must not overlap what a kill would still need: only worth it when half of the file is free. */
	if (s->head - SPOOL_HEADER < s->end - s->head)
		return -ENOSPC;
	while (from < s->end) {
		size_t len = (size_t)MIN((uint64_t)sizeof(piece), s->end - from);

		r = read_at(s->fd, piece, len, from);
		if (r == 0)
			r = write_at(s->fd, piece, len, to);
		if (r < 0)
			return r;
		from += len;
		to += len;
	}
	s->head = SPOOL_HEADER;
	s->end = to;
	r = write_header(s);
	return r == 0 && ftruncate(s->fd, (off_t)to) < 0 ? -errno : r;
}

int spool_append(struct spool *s, const void *data, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint64_t whole = SPOOL_FRAME + (uint64_t)len;
	int r;

	if (!len || len > SPOOL_RECORD_MAX)
		return -EMSGSIZE;
	if (s->end - s->head + whole > s->max)
		return -ENOSPC;
	if (s->end + whole > 2 * s->max && compact(s) < 0)
		return -ENOSPC;
	buf_u32(&b, (uint32_t)len);
	buf_u32(&b, checksum(data, len));
	buf_add(&b, data, len);
	r = b.failed ? -ENOMEM : write_at(s->fd, b.data, b.len, s->end);
	if (r < 0)
		return r;
	s->end += whole;
	s->pending++;
	return 0;
}

uint64_t spool_pending(const struct spool *s)
{
	return s->pending;
}

int spool_peek(struct spool *s, size_t max, size_t max_bytes, struct buf *ret, size_t *ret_n)
{
	uint64_t at = s->head;
	uint32_t len, sum;

	buf_reset(ret);
	*ret_n = 0;
	while (*ret_n < max && at < s->end) {
		size_t before = ret->len;

		len = frame_at(s, at, &sum);
		if (*ret_n && ret->len + len > max_bytes)
			return 0;
		buf_u32(ret, len);
		if (!len || !buf_reserve(ret, len) || read_at(s->fd, ret->data + ret->len, len, at + SPOOL_FRAME) < 0 ||
		    checksum(ret->data + ret->len, len) != sum) {
			ret->len = before;
			if (*ret_n)
				return 0; /* those before it first */
			spool_reset(s);
			return -EBADMSG;
		}
		ret->len += len;
		ret->data[ret->len] = '\0';
		at += SPOOL_FRAME + len;
		++*ret_n;
	}
	return ret->failed ? -ENOMEM : 0;
}

int spool_done(struct spool *s, size_t n)
{
	uint32_t len, sum;

	for (; n && (len = frame_at(s, s->head, &sum)); n--) {
		s->head += SPOOL_FRAME + len;
		s->pending -= s->pending > 0;
	}
	return s->head >= s->end ? spool_reset(s) : write_header(s);
}
