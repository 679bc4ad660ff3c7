/*
 * The work of the role unpack: one stream in, one out, both ends of one socket, which block. A process of its own with
 * one thread; what it holds of a layer is one piece.
 */
#include "fim/image_work.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "fim/image_entries.h"
#include "fim/image_unpack.h"
#include "lib/cleanup.h"
#include "lib/io.h"

#define WORK_PIECE (256 * KIB)

struct work {
	int fd;
	struct buf out;
	uint8_t piece[WORK_PIECE];
};

static ssize_t work_read(void *ctx, uint8_t *data, size_t room)
{
	const struct work *w = ctx;
	ssize_t n;

	do
		n = read(w->fd, data, room);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t work_next(void *data, const uint8_t **ret)
{
	struct work *w = data;

	*ret = w->piece;
	return work_read(w, w->piece, sizeof(w->piece));
}

static int work_flush(struct work *w)
{
	int r = w->out.failed ? -ENOMEM : io_write_all(w->fd, w->out.data, w->out.len);

	buf_reset(&w->out);
	return r;
}

static int work_entry(void *data, const struct tar_entry *e)
{
	struct work *w = data;

	image_entry_encode(&w->out, e);
	return w->out.failed || w->out.len >= WORK_PIECE / 4 ? work_flush(w) : 0;
}

static int work_entries(struct work *w, enum digest_algo algo, struct buf *err)
{
	const struct tar_input in = { work_next, NULL, w };
	int r = image_entries_of_tar(&in, algo, err, work_entry, w);

	return r < 0 ? r : work_flush(w);
}

static int work_unpack(struct work *w, enum image_pack pack, struct buf *err)
{
	_cleanup_(image_unpack_free_p) struct image_unpack *u = NULL;
	const struct image_bytes from = { work_read, w };
	ssize_t n = 0;
	int r = image_unpack_new(&from, pack, err, &u);

	while (r == 0 && (n = image_unpack_read(u, w->piece, sizeof(w->piece))) > 0)
		r = io_write_all(w->fd, w->piece, (size_t)n);
	return r == 0 && n < 0 ? (int)n : r;
}

void image_work_ready(void)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	image_unpack_ready(&err);
	for (size_t i = 0; i < DIGEST_ALGO_COUNT; i++) {
		_cleanup_digest_ struct digest *d = NULL;
		uint8_t digest[DIGEST_MAX];

		if (digest_new((enum digest_algo)i, &d) == 0)
			digest_once(d, "", 0, digest);
	}
}

int image_work_run(enum image_work work, enum digest_algo algo, int fd, struct buf *err)
{
	_cleanup_free_ struct work *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->fd = fd;
	if (work == IMAGE_WORK_ENTRIES)
		r = work_entries(w, algo, err);
	else
		r = work_unpack(w, work == IMAGE_WORK_GZIP ? IMAGE_PACK_GZIP : IMAGE_PACK_ZSTD, err);
	buf_free(&w->out);
	return r;
}
