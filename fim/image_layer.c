/*
 * One layer: place -> digest of the blob -> decompression -> digest of the layer -> tar -> tree. The digests of both
 * are taken here, on threads of their own (image_stream.h); decompression and tar are the role's (image_pass.h), in two
 * processes. Nothing of a layer is believed before its end, where the digests are compared: the caller stores nothing
 * until then.
 */
#include "fim/image_layer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_unpack.h"

#define PASS_PIECE (64 * KIB)

/* What comes back from the role, in pieces. */
struct pass_input {
	struct image_pass *pass;
	uint8_t piece[PASS_PIECE];
};

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

int image_layer_entry(void *data, const struct tar_entry *e)
{
	struct image_apply *a = data;
	struct image_node *node = NULL;
	int r = stopped(a) ? -ECANCELED : image_tree_add(a->tree, e, &node);

	if (r == 0 && node)
		r = image_tree_digest(a->tree, node, e->rec.digest, e->rec.digest_len);
	count(a, 1, node ? e->rec.size : 0);
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

static ssize_t pass_next(void *data, const uint8_t **ret)
{
	struct pass_input *in = data;

	*ret = in->piece;
	return image_pass_read(in->pass, in->piece, sizeof(in->piece));
}

static int entries_of(struct image_apply *a, struct image_stream *s, unsigned number)
{
	_cleanup_free_ struct pass_input *bytes = malloc(sizeof(*bytes));
	_cleanup_(image_pass_free_p) struct image_pass *p = NULL;
	const struct tar_input in = { pass_next, NULL, bytes };
	int r = image_pass_new(a->roles, IMAGE_ROLE_TAR, IMAGE_WORK_ENTRIES, a->algo, s, a->err, &p);

	if (r < 0)
		return r;
	if (!bytes)
		return -ENOMEM;
	bytes->pass = p;
	image_tree_layer(a->tree, number);
	return image_entries_of_bytes(&in, a->algo, a->err, image_layer_entry, a);
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
	_cleanup_(image_pass_free_p) struct image_pass *u = NULL;
	_cleanup_(image_stream_free_p) struct image_stream *s = NULL;
	const enum image_work work = pack == IMAGE_PACK_GZIP ? IMAGE_WORK_GZIP : IMAGE_WORK_ZSTD;
	struct image_bytes from = { image_pass_read, NULL };
	int r = image_pass_new(a->roles, IMAGE_ROLE_LAYER, work, a->algo, blob, a->err, &u);

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
