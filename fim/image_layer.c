/*
 * One layer: place -> digest of the blob -> decompression -> digest of the layer -> tar -> tree. The digests are taken
 * on threads of their own (image_stream.h); everything else is done here, on the caller's thread. Nothing of a layer is
 * believed before its end, where the digests are compared: the caller stores nothing until then.
 */
#include "fim/image_layer.h"

#include <errno.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_unpack.h"

static ssize_t stream_next(void *stream, const uint8_t **ret)
{
	return image_stream_next(stream, ret);
}

static bool stopped(const struct image_apply *a)
{
	return a->progress && atomic_load_explicit(&a->progress->stop, memory_order_relaxed);
}

static void count(struct image_apply *a, uint64_t files, uint64_t bytes)
{
	if (!a->progress)
		return;
	atomic_fetch_add_explicit(&a->progress->files, files, memory_order_relaxed);
	atomic_fetch_add_explicit(&a->progress->bytes, bytes, memory_order_relaxed);
}

static int content(struct image_apply *a, struct tar_reader *t, struct image_node *node)
{
	uint8_t digest[DIGEST_MAX];
	const uint8_t *data;
	ssize_t n = 0;
	int r = digest_start(a->digest);

	while (r == 0 && (n = tar_reader_data(t, &data)) > 0) {
		r = digest_update(a->digest, data, (size_t)n);
		count(a, 0, (uint64_t)n);
		if (r == 0 && stopped(a))
			r = -ECANCELED;
	}
	if (r == 0 && n < 0)
		r = (int)n;
	if (r == 0)
		r = digest_finish(a->digest, digest);
	return r < 0 ? r : image_tree_digest(a->tree, node, digest, digest_table[a->algo].size);
}

int image_layer_entries(struct image_apply *a, const struct tar_input *in, unsigned number)
{
	_cleanup_(tar_reader_free_p) struct tar_reader *t = NULL;
	struct tar_entry e;
	int r = tar_reader_new(in, a->err, &t);

	image_tree_layer(a->tree, number);
	while (r >= 0 && (r = tar_reader_next(t, &e)) > 0) {
		struct image_node *node;

		r = stopped(a) ? -ECANCELED : image_tree_add(a->tree, &e, &node);
		if (r == 0 && node) {
			r = content(a, t, node);
			if (r < 0 && a->err->len)
				image_fail_where(a->err, "%s", e.path);
		}
		count(a, 1, 0);
	}
	return r;
}

/* The digest of everything that went through, against what it should be. */
static int verify(struct image_apply *a, struct image_stream *s, const char *want, const char *what)
{
	_cleanup_buf_ struct buf hex = BUF_INIT;
	uint8_t digest[DIGEST_MAX];
	int r = image_stream_finish(s, digest);

	if (r < 0)
		return r;
	buf_hex(&hex, digest, digest_table[image_digest_algo(want)].size);
	if (hex.failed)
		return -ENOMEM;
	return streq(hex.data, image_digest_hex(want))
		       ? 0
		       : image_fail(a->err, -EBADMSG, "the %s does not have its digest %s", what, want);
}

static int entries_of(struct image_apply *a, struct image_stream *s, unsigned number)
{
	struct tar_input in = { stream_next, NULL, s };

	return image_layer_entries(a, &in, number);
}

static int apply_plain(struct image_apply *a, struct image_stream *s, struct image_layer *l, unsigned number)
{
	int r = entries_of(a, s, number);

	if (r == 0)
		r = verify(a, s, l->diff_id, "layer");
	l->size = image_stream_bytes(s);
	/* The blob is the layer. */
	if (r == 0 && l->digest && !streq(l->digest, l->diff_id))
		r = image_fail(a->err, -EBADMSG, "the layer does not have its digest %s", l->digest);
	return r;
}

static int apply_packed(struct image_apply *a, struct image_stream *blob, enum image_pack pack, struct image_layer *l,
			unsigned number)
{
	_cleanup_(image_unpack_free_p) struct image_unpack *u = NULL;
	_cleanup_(image_stream_free_p) struct image_stream *s = NULL;
	struct image_bytes from = { image_unpack_read, NULL };
	int r = image_unpack_new(blob, pack, a->err, &u);

	from.ctx = u;
	if (r == 0)
		r = image_stream_new(&from, image_digest_algo(l->diff_id), &s);
	if (r == 0)
		r = entries_of(a, s, number);
	if (r == 0)
		r = verify(a, s, l->diff_id, "uncompressed layer");
	if (r == 0 && l->digest)
		r = verify(a, blob, l->digest, "compressed layer");
	if (s)
		l->size = image_stream_bytes(s);
	return r;
}

int image_layer_apply(struct image_apply *a, const struct image_bytes *from, struct image_layer *l, unsigned number)
{
	_cleanup_(image_stream_free_p) struct image_stream *s = NULL;
	const uint8_t *head = NULL;
	enum image_pack pack;
	ssize_t n;
	int r = image_stream_new(from, image_digest_algo(l->digest ? l->digest : l->diff_id), &s);

	if (r < 0)
		return r;
	n = image_stream_peek(s, &head);
	if (n < 0)
		return (int)n;
	pack = image_pack_of(head, (size_t)n);
	if (pack == IMAGE_PACK_NONE) {
		if (l->digest && image_digest_algo(l->digest) != image_digest_algo(l->diff_id))
			return image_fail(a->err, -EOPNOTSUPP, "digests of two algorithms of one layer");
		return apply_plain(a, s, l, number);
	}
	return apply_packed(a, s, pack, l, number);
}
