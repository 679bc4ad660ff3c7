/*
 * Pieces of a layer, each for two readers: the caller, and a thread that takes the digest. A piece goes back into the
 * ring when both are through with it; the ring bounds how far one is ahead of the other.
 */
#include "fim/image_stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fim/image_unpack.h"
#include "lib/queue.h"

#define PIECE_SIZE (256 * KIB)
#define PIECES	   8

struct piece {
	uint8_t *data;
	size_t len;
	atomic_uint refs;
};

struct image_stream {
	struct image_bytes from;
	struct digest *digest;
	struct queue *empty, *full;
	struct piece pieces[PIECES];
	struct piece *current; /* the caller's */
	bool peeked, ended, running;
	int error; /* of the thread: read after it has ended */
	pthread_t thread;
	uint64_t bytes;
};

static void piece_unref(struct image_stream *s, struct piece *p)
{
	if (atomic_fetch_sub(&p->refs, 1) == 1)
		queue_push(s->empty, p);
}

static void *digest_main(void *data)
{
	struct image_stream *s = data;
	struct piece *p;

	while ((p = queue_pop(s->full))) {
		if (!s->error)
			s->error = digest_update(s->digest, p->data, p->len);
		piece_unref(s, p);
	}
	return NULL;
}

static int stream_init(struct image_stream *s, enum digest_algo algo)
{
	int r = digest_new(algo, &s->digest);

	if (r == 0)
		r = digest_start(s->digest);
	if (r == 0)
		r = queue_new(PIECES, &s->empty);
	if (r == 0)
		r = queue_new(PIECES, &s->full);
	for (size_t i = 0; i < PIECES && r == 0; i++) {
		s->pieces[i].data = malloc(PIECE_SIZE);
		r = s->pieces[i].data ? queue_push(s->empty, &s->pieces[i]) : -ENOMEM;
	}
	if (r == 0)
		r = -pthread_create(&s->thread, NULL, digest_main, s);
	if (r == 0)
		pthread_setname_np(s->thread, "hash");
	s->running = r == 0;
	return r;
}

int image_stream_new(const struct image_bytes *from, enum digest_algo algo, struct image_stream **ret)
{
	struct image_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->from = *from;
	r = stream_init(s, algo);
	if (r < 0) {
		image_stream_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void stream_join(struct image_stream *s)
{
	if (!s->running)
		return;
	queue_close(s->full);
	pthread_join(s->thread, NULL);
	s->running = false;
}

void image_stream_free(struct image_stream *s)
{
	stream_join(s);
	if (s->full)
		queue_free(s->full);
	if (s->empty)
		queue_free(s->empty);
	for (size_t i = 0; i < PIECES; i++)
		free(s->pieces[i].data);
	digest_free(s->digest);
	free(s);
}

/* Fills as much of the piece as there is: short reads of a decompressor make no small pieces. */
static int piece_fill(struct image_stream *s, struct piece *p)
{
	p->len = 0;
	while (p->len < PIECE_SIZE && !s->ended) {
		ssize_t n = s->from.read(s->from.ctx, p->data + p->len, PIECE_SIZE - p->len);

		if (n < 0)
			return (int)n;
		s->ended = n == 0;
		p->len += (size_t)n;
	}
	return 0;
}

ssize_t image_stream_next(struct image_stream *s, const uint8_t **ret)
{
	struct piece *p;
	int r;

	if (s->peeked) {
		s->peeked = false;
		*ret = s->current->data;
		return (ssize_t)s->current->len;
	}
	if (s->current)
		piece_unref(s, TAKE_PTR(s->current));
	if (s->ended)
		return 0;
	p = queue_pop(s->empty);
	r = piece_fill(s, p);
	if (r < 0 || p->len == 0) {
		queue_push(s->empty, p);
		return r;
	}
	atomic_store(&p->refs, 2);
	s->current = p;
	s->bytes += p->len;
	r = queue_push(s->full, p);
	if (r < 0)
		return r;
	*ret = p->data;
	return (ssize_t)p->len;
}

ssize_t image_stream_peek(struct image_stream *s, const uint8_t **ret)
{
	ssize_t n = image_stream_next(s, ret);

	s->peeked = n > 0;
	return n;
}

int image_stream_finish(struct image_stream *s, uint8_t ret[DIGEST_MAX])
{
	const uint8_t *data;
	ssize_t n;

	do
		n = image_stream_next(s, &data);
	while (n > 0);
	stream_join(s);
	if (n < 0 || s->error < 0)
		return n < 0 ? (int)n : s->error;
	return digest_finish(s->digest, ret);
}

uint64_t image_stream_bytes(const struct image_stream *s)
{
	return s->bytes;
}

enum image_pack image_pack_of(const uint8_t *head, size_t len)
{
	static const struct {
		uint8_t magic[4], mask[4];
		enum image_pack pack;
	} table[] = {
		{ { 0x1f, 0x8b }, { 0xff, 0xff }, IMAGE_PACK_GZIP },
		{ { 0x28, 0xb5, 0x2f, 0xfd }, { 0xff, 0xff, 0xff, 0xff }, IMAGE_PACK_ZSTD },
		{ { 0x50, 0x2a, 0x4d, 0x18 }, { 0xf0, 0xff, 0xff, 0xff }, IMAGE_PACK_ZSTD }, /* a skippable frame */
	};

	for (size_t i = 0; i < ARRAY_SIZE(table) && len >= 4; i++) {
		size_t same = 0;

		while (same < 4 && (head[same] & table[i].mask[same]) == table[i].magic[same])
			same++;
		if (same == 4)
			return table[i].pack;
	}
	return IMAGE_PACK_NONE;
}

ssize_t image_range_read(void *range, uint8_t *data, size_t room)
{
	struct image_range *r = range;
	ssize_t n;

	if (r->left == 0)
		return 0;
	do
		n = pread(r->fd, data, MIN((uint64_t)room, r->left), (off_t)r->offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENODATA; /* cut short since it was measured */
	r->offset += (uint64_t)n;
	r->left -= (uint64_t)n;
	return n;
}
