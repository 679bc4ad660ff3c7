/*
 * The bytes of a layer on their way from where they lie to whoever reads them, with a digest over all of them taken on
 * a thread beside.
 */
#ifndef FIM_IMAGE_STREAM_H
#define FIM_IMAGE_STREAM_H

#include "lib/buf.h"
#include "lib/digest.h"

/* Where bytes come from. */
struct image_bytes {
	/* Up to room bytes into data: how many, 0 at the end, or a negative errno. */
	ssize_t (*read)(void *ctx, uint8_t *data, size_t room);
	void *ctx;
};

struct image_stream;

int image_stream_new(const struct image_bytes *from, enum digest_algo algo, struct image_stream **ret);
void image_stream_free(struct image_stream *s);
/* The next piece, valid until the next call: its length, 0 at the end, or a negative errno. */
ssize_t image_stream_next(struct image_stream *s, const uint8_t **ret);
/* Looks at the first bytes, as many as there are up to n, before any were taken. */
ssize_t image_stream_peek(struct image_stream *s, const uint8_t **ret);
/* Reads what nobody has read yet, and gives the digest of everything. */
int image_stream_finish(struct image_stream *s, uint8_t ret[DIGEST_MAX]);
/* Bytes so far. */
uint64_t image_stream_bytes(const struct image_stream *s);

/* A piece of a file, by pread. */
struct image_range {
	int fd;
	uint64_t offset, left;
};
ssize_t image_range_read(void *range, uint8_t *data, size_t room);

DEFINE_CLEANUP(struct image_stream *, image_stream_free)

#endif
