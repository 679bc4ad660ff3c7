/*
 * Content of regular files. Owns a buffer and a digest context, of one thread. Reads by pread only;
 * leaves the page cache as it found it as far as the kernel tells what it held before.
 */
#include "fim/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

#define CONTENT_BUFFER (256 * KIB)
#define CONTENT_LARGE  MIB	 /* smaller files are not worth the calls */
#define CONTENT_WINDOW (8 * MIB) /* page cache of a cold file is given back in pieces of this size */
#define CONTENT_COLD   16	 /* a file is cold when at most one page in so many was cached before */

#ifndef __NR_cachestat
#define __NR_cachestat 451 /* the same on every architecture */
#endif

/* As linux/mman.h has them since 6.5. */
struct content_range {
	uint64_t off, len;
};
struct content_cached {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

int content_init(struct content *c, const struct read_options *o)
{
	void *buffer;

	*c = (struct content){ .o = *o };
	if (posix_memalign(&buffer, 4096, CONTENT_BUFFER))
		return -ENOMEM;
	c->buffer = buffer;
	return digest_new(o->algo, &c->digest);
}

void content_done(struct content *c)
{
	digest_free(c->digest);
	digest_free(c->extra);
	free(c->buffer);
	*c = (struct content){ 0 };
}

static ssize_t content_pread(int fd, void *data, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, data, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* True when the file's pages are to be given back: (nearly) none of them were cached before this read. */
static bool content_is_cold(struct content *c, int fd, uint64_t size)
{
	struct content_range range = { 0, size };
	struct content_cached stat = { 0 };

	if (c->no_cachestat)
		return true;
	if (syscall(__NR_cachestat, fd, &range, &stat, 0) < 0) {
		c->no_cachestat = errno == ENOSYS || errno == EPERM;
		return true;
	}
	return stat.cached <= size / 4096 / CONTENT_COLD;
}

static void content_set_mime(struct content *c, struct arena *a, size_t len, struct record *rec)
{
	uint64_t start = clock_mono_ns();

	rec->mime = c->o.mime ? mime_type(c->o.mime, a, c->buffer, len) : NULL;
	if (rec->mime)
		rec->have |= ATTR_BIT(ATTR_MIME);
	else
		c->unanswered_ns += clock_mono_ns() - start;
}

static int content_step(struct content *c, uint64_t bytes)
{
	return c->o.step && c->o.step(c->o.step_data, bytes) ? -ECANCELED : 0;
}

/* The next block at offset `done` into the digest. Positive: bytes. */
static ssize_t content_block(struct content *c, int fd, uint64_t done, uint64_t size)
{
	ssize_t n = content_pread(fd, c->buffer, MIN(size - done, CONTENT_BUFFER), done);
	int r;

	if (n <= 0)
		return n ? n : -ENODATA;
	r = digest_update(c->digest, c->buffer, (size_t)n);
	if (!r && c->with_extra)
		r = digest_update(c->extra, c->buffer, (size_t)n);
	if (!r)
		r = content_step(c, (uint64_t)n);
	return r < 0 ? r : n;
}

static int content_read(struct content *c, struct arena *a, int fd, bool mime, bool cold, struct record *rec)
{
	uint64_t done = 0, given = 0;
	ssize_t n;

	if (mime && !rec->size)
		content_set_mime(c, a, 0, rec);
	while (done < rec->size) {
		n = content_block(c, fd, done, rec->size);
		if (n < 0)
			return (int)n;
		if (mime && !done)
			content_set_mime(c, a, (size_t)n, rec);
		done += (uint64_t)n;
		if (cold && done - given >= CONTENT_WINDOW) {
			posix_fadvise(fd, (off_t)given, (off_t)(done - given), POSIX_FADV_DONTNEED);
			given = done;
		}
	}
	return 0;
}

int content_digest(struct content *c, struct arena *a, int fd, bool mime, struct record *rec)
{
	uint64_t size = rec->size;
	bool large = size >= CONTENT_LARGE, cold = large && content_is_cold(c, fd, size);
	int r;

	if (large)
		posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	r = digest_start(c->digest);
	c->has_extra = false;
	if (!r && c->with_extra)
		r = digest_start(c->extra);
	if (!r)
		r = content_read(c, a, fd, mime, cold, rec);
	if (cold)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (!r)
		r = digest_finish(c->digest, rec->digest);
	if (!r && c->with_extra)
		r = digest_finish(c->extra, c->extra_digest);
	if (r < 0)
		return r;
	c->has_extra = c->with_extra;
	rec->digest_len = (uint8_t)digest_table[c->o.algo].size;
	rec->have |= ATTR_BIT(ATTR_DIGEST);
	return 0;
}

int content_mime(struct content *c, struct arena *a, int fd, struct record *rec)
{
	ssize_t n = content_pread(fd, c->buffer, MIME_HEAD, 0);

	if (n < 0)
		return (int)n;
	content_set_mime(c, a, (size_t)n, rec);
	return 0;
}
