/*
 * Taking in an exported baseline (format: baseline_store.h). The signature over all leaves is checked before anything
 * is stored, each chunk against its leaf as it comes, from a pipe too and in little memory. Whoever makes such a file
 * can sign it with a key of his own: every length and every name is checked all the same. Runs on the thread that
 * writes.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "db/baseline_store.h"
#include "lib/text.h"

#define LEAVES_MAX  (1u << 24)
#define IO_SIZE	    (64 * KIB)
#define MESSAGE_TAG "holdfast baseline 1\n"

/* The text only where there is not a better one already. */
int export_error(struct buf *err, int r, const char *text)
{
	if (err && err->len == 0)
		buf_str(err, text);
	return r;
}

struct in {
	struct db *d;
	int fd;
	uint8_t data[IO_SIZE];
	size_t pos, len;
	struct buf block; /* the current one */
	char tag;
	struct baseline_info info; /* strings in arena */
	struct arena arena;
	uint8_t tree[DB_HASH_SIZE];
	uint8_t layers[DB_HASH_SIZE]; /* of an image: checked when all chunks are there */
	struct buf leaves;	      /* DB_HASH_SIZE bytes each */
	struct digest *blake, *layers_digest;
	struct buf scratch;
	struct entry entries[CHUNK_MAX];
	struct baseline_writer *writer;
	uint64_t files;
};

/* Up to len bytes into the block; fewer only at the end of the file. */
static int in_read(struct in *in, size_t len)
{
	while (len > 0) {
		size_t n = MIN(len, in->len - in->pos);

		if (n == 0) {
			ssize_t got = read(in->fd, in->data, sizeof(in->data));

			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				return got < 0 ? -errno : -EBADMSG;
			in->pos = 0;
			in->len = (size_t)got;
			continue;
		}
		/* Grows with what is there, not with what the length claims. */
		buf_add(&in->block, in->data + in->pos, n);
		if (in->block.failed)
			return -ENOMEM;
		in->pos += n;
		len -= n;
	}
	return 0;
}

static int in_block(struct in *in)
{
	struct reader head;
	uint32_t len;
	int r;

	buf_reset(&in->block);
	r = in_read(in, 5);
	if (r < 0)
		return r;
	head = (struct reader){ (const uint8_t *)in->block.data, (const uint8_t *)in->block.data + 5, false };
	in->tag = (char)reader_u8(&head);
	len = reader_u32(&head);
	if (len > EXPORT_BLOCK_MAX)
		return -EBADMSG;
	buf_reset(&in->block);
	return in_read(in, len);
}

static int expect(struct in *in, char tag, size_t len)
{
	int r = in_block(in);

	return r < 0 ? r : in->tag == tag && (len == 0 || in->block.len == len) ? 0 : -EBADMSG;
}

static struct reader block_reader(const struct in *in)
{
	const uint8_t *p = (const uint8_t *)in->block.data;

	return (struct reader){ p, p + in->block.len, false };
}

static const char *read_string(struct reader *r, struct arena *a)
{
	size_t len;
	const char *s;

	if (reader_u8(r) != 1)
		return NULL;
	s = reader_bytes(r, &len);
	if (r->bad || (len > 0 && memchr(s, 0, len))) {
		r->bad = true;
		return NULL;
	}
	return arena_strndup(a, len ? s : "", len);
}

static int parse_image(struct in *in, struct reader *r)
{
	struct baseline_info *i = &in->info;
	struct baseline_layer *layers;
	const void *digest;

	i->image_id = read_string(r, &in->arena);
	i->n_layers = reader_u32(r);
	if (r->bad || i->n_layers > BASELINE_LAYERS_MAX)
		return -EBADMSG;
	layers = arena_zalloc(&in->arena, (i->n_layers + 1) * sizeof(*layers));
	if (!layers)
		return -ENOMEM;
	for (uint32_t n = 0; n < i->n_layers; n++) {
		layers[n].diff_id = read_string(r, &in->arena);
		layers[n].digest = read_string(r, &in->arena);
		layers[n].created_by = read_string(r, &in->arena);
		layers[n].size = reader_u64(r);
		if (!layers[n].diff_id)
			return -EBADMSG;
	}
	i->layers = layers;
	digest = reader_raw(r, DB_HASH_SIZE);
	if (!digest)
		return -EBADMSG;
	memcpy(in->layers, digest, DB_HASH_SIZE);
	return 0;
}

/* The head is the signed message itself. */
static int parse_head(struct in *in)
{
	struct reader r = block_reader(in);
	struct baseline_info *i = &in->info;

	if (in->block.len < strlen(MESSAGE_TAG) || memcmp(r.p, MESSAGE_TAG, strlen(MESSAGE_TAG)) != 0)
		return -EBADMSG;
	r.p += strlen(MESSAGE_TAG);
	i->name = read_string(&r, &in->arena);
	i->kind = (enum baseline_kind)reader_u8(&r);
	i->root = read_string(&r, &in->arena);
	i->scope = read_string(&r, &in->arena);
	i->image_ref = read_string(&r, &in->arena);
	i->image_digest = read_string(&r, &in->arena);
	i->created = reader_u64(&r);
	i->algo = (enum digest_algo)reader_u8(&r);
	i->files = reader_u64(&r);
	i->bytes = reader_u64(&r);
	i->unread = reader_u64(&r);
	if (i->kind == BASELINE_IMAGE && !r.bad) {
		int err = parse_image(in, &r);

		if (err < 0)
			return err;
	}
	if (r.bad || (size_t)(r.end - r.p) != DB_HASH_SIZE || !i->name || !i->root || !i->scope ||
	    i->kind > BASELINE_IMAGE || i->algo >= DIGEST_ALGO_COUNT || !text_utf8_valid(i->scope, strlen(i->scope)))
		return -EBADMSG;
	memcpy(in->tree, r.p, DB_HASH_SIZE);
	return 0;
}

static int check_signer(const struct sign_key *signer, const struct sign_key *pub, struct buf *err)
{
	_cleanup_buf_ struct buf have = BUF_INIT, want = BUF_INIT;

	sign_key_id(signer, &have);
	if (pub)
		sign_key_id(pub, &want);
	if (have.failed || want.failed)
		return -ENOMEM;
	if (pub && !streq(have.data, want.data)) {
		if (err)
			buf_printf(err, "signed by %s, not by %s", have.data, want.data);
		return -EBADMSG;
	}
	if (!pub && err)
		buf_printf(err, "warning: nobody vouches for the key that signed it, %s", have.data);
	return 0;
}

static int read_head(struct in *in, const struct sign_key *pub, struct buf *err)
{
	_cleanup_sign_key_ struct sign_key *signer = NULL;
	_cleanup_buf_ struct buf message = BUF_INIT;
	int r = in_read(in, strlen(EXPORT_MAGIC));

	if (r < 0 || memcmp(in->block.data, EXPORT_MAGIC, strlen(EXPORT_MAGIC)) != 0)
		return export_error(err, r < 0 && r != -EBADMSG ? r : -EBADMSG,
				    "not a baseline that holdfast exported");
	r = expect(in, 'H', 0);
	if (r == 0)
		r = parse_head(in);
	if (r < 0)
		return r;
	buf_add(&message, in->block.data, in->block.len);
	r = expect(in, 'K', SIGN_PUBLIC_SIZE);
	if (r == 0)
		r = sign_key_from_public((const uint8_t *)in->block.data, &signer) < 0 ? -EBADMSG : 0;
	if (r == 0)
		r = expect(in, 'S', SIGN_SIZE);
	if (r < 0)
		return r;
	if (message.failed)
		return -ENOMEM;
	if (sign_check(signer, message.data, message.len, (const uint8_t *)in->block.data) < 0)
		return export_error(err, -EBADMSG, "the signature does not match: the file was changed");
	return check_signer(signer, pub, err);
}

static int read_leaf(struct in *in, struct digest *tree)
{
	struct reader r = block_reader(in);
	size_t path_len, first_len;
	const void *path = reader_bytes(&r, &path_len), *first;
	uint32_t seq = reader_u32(&r), n = reader_u32(&r);

	first = reader_bytes(&r, &first_len);
	if (r.bad || (size_t)(r.end - r.p) != DB_HASH_SIZE || in->leaves.len / DB_HASH_SIZE >= LEAVES_MAX)
		return -EBADMSG;
	buf_add(&in->leaves, r.p, DB_HASH_SIZE);
	return in->leaves.failed ? -ENOMEM
				 : tree_hash_leaf(tree, &in->scratch, path, path_len, seq, n, first, first_len, r.p);
}

/* All leaves, up to the first block behind them, which stays the current one. */
static int read_leaves(struct in *in)
{
	_cleanup_digest_ struct digest *tree = NULL;
	uint8_t full[DIGEST_MAX];
	int r = digest_new(DIGEST_BLAKE2B512, &tree);

	if (r == 0)
		r = digest_start(tree);
	while (r == 0) {
		r = in_block(in);
		if (r < 0 || in->tag != 'L')
			break;
		r = read_leaf(in, tree);
	}
	if (r == 0)
		r = digest_finish(tree, full);
	if (r < 0)
		return r;
	return memcmp(full, in->tree, DB_HASH_SIZE) == 0 ? 0 : -EBADMSG;
}

/* A string with its NUL. */
static const char *read_name(struct reader *r)
{
	size_t len;
	const char *s = reader_bytes(r, &len);

	return r->bad || len == 0 || memchr(s, 0, len) != s + len - 1 ? NULL : s;
}

static bool name_valid(const struct chunk *c, uint32_t i)
{
	const char *name = c->entries[i].name;

	if (strchr(name, '/') || streq(name, ".") || streq(name, ".."))
		return false;
	if (name[0] == '\0' && !(i == 0 && streq(c->dir, "/")))
		return false;
	return i == 0 || strcmp(c->entries[i - 1].name, name) < 0;
}

static int parse_chunk(struct in *in, struct chunk *c)
{
	struct reader r = block_reader(in);

	c->dir = read_name(&r);
	c->seq = reader_u32(&r);
	c->n = reader_u32(&r);
	c->entries = in->entries;
	if (r.bad || !c->dir || c->dir[0] != '/' || c->n > CHUNK_MAX)
		return -EBADMSG;
	for (uint32_t i = 0; i < c->n; i++) {
		struct entry *e = &c->entries[i];
		const void *record;
		size_t len;

		e->name = read_name(&r);
		record = reader_bytes(&r, &len);
		if (r.bad || !e->name || !name_valid(c, i) || record_decode(record, len, &e->rec) < 0)
			return -EBADMSG;
	}
	return r.p == r.end ? 0 : -EBADMSG;
}

static int hash_layers(struct in *in, const struct chunk *c)
{
	uint8_t numbers[CHUNK_MAX];

	for (uint32_t i = 0; i < c->n; i++)
		if (c->entries[i].rec.have & ATTR_BIT(ATTR_LAYER) && c->entries[i].rec.layer > in->info.n_layers)
			return -EBADMSG;
	if (!chunk_layers(c, numbers))
		return 0;
	return layers_hash_leaf(in->layers_digest, &in->scratch, c->dir, strlen(c->dir), c->seq, numbers, c->n);
}

/* Only the head of an image speaks of layers. */
static int check_layers(struct in *in)
{
	uint8_t full[DIGEST_MAX];
	int r = digest_finish(in->layers_digest, full);

	if (r < 0 || in->info.kind != BASELINE_IMAGE)
		return r;
	return memcmp(full, in->layers, DB_HASH_SIZE) == 0 ? 0 : -EBADMSG;
}

static int read_chunks(struct in *in)
{
	size_t n = in->leaves.len / DB_HASH_SIZE;
	int r = digest_new(DIGEST_BLAKE2B512, &in->layers_digest);

	if (r == 0)
		r = digest_start(in->layers_digest);

	for (size_t i = 0; i < n && r == 0; i++) {
		struct chunk c = { .n = 0 };

		r = in->tag == 'C' ? parse_chunk(in, &c) : -EBADMSG;
		if (r == 0)
			r = chunk_seal(&c, in->blake, &in->scratch);
		if (r == 0 && memcmp(c.digest, in->leaves.data + i * DB_HASH_SIZE, DB_HASH_SIZE) != 0)
			r = -EBADMSG;
		if (r == 0)
			r = hash_layers(in, &c);
		if (r == 0)
			r = baseline_add(in->writer, &c);
		in->files += c.n;
		if (r == 0)
			r = in_block(in);
	}
	if (r == 0 && (in->tag != 'E' || in->block.len > 0 || in->files != in->info.files))
		r = -EBADMSG;
	if (r == 0)
		r = check_layers(in);
	/* And nothing behind it. */
	return r < 0 ? r : in->pos < in->len || read(in->fd, in->data, 1) > 0 ? -EBADMSG : 0;
}

static int import(struct in *in, const char *name, const struct sign_key *pub, const struct sign_key *own,
		  struct buf *err)
{
	int r = read_head(in, pub, err);

	if (r == 0)
		r = read_leaves(in);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &in->blake);
	if (r < 0)
		return r;
	if (name)
		in->info.name = name;
	if (!baseline_name_valid(in->info.name))
		return export_error(err, -EINVAL, "its name is not fit for a baseline: give another one");
	r = baseline_begin(in->d, &in->info, false, &in->writer);
	if (r == 0)
		r = read_chunks(in);
	return r < 0 ? r : baseline_finish(TAKE_PTR(in->writer), own, NULL);
}

int baseline_import(struct db *d, int fd, const char *name, const struct sign_key *pub, const struct sign_key *own,
		    struct buf *err)
{
	struct in *in = calloc(1, sizeof(*in));
	struct buf text = BUF_INIT;
	int r;

	if (!in)
		return -ENOMEM;
	in->d = d;
	in->fd = fd;
	r = import(in, name, pub, own, &text);
	/* Two chunks in one place: the signer's doing, and so the file's fault. */
	if (r == -EMEDIUMTYPE)
		r = -EBADMSG;
	if (in->writer)
		baseline_abort(in->writer);
	if (r < 0 && strncmp(text.len ? text.data : "", "warning", 7) == 0)
		buf_reset(&text);
	if (r == -EBADMSG)
		export_error(&text, r, "the file is damaged, cut short or was changed");
	else if (r < 0)
		export_error(&text, r, db_error(d)[0] ? db_error(d) : strerror(-r));
	if (err && text.len > 0)
		buf_str(err, text.data);
	digest_free(in->blake);
	digest_free(in->layers_digest);
	buf_free(&in->block);
	buf_free(&in->leaves);
	buf_free(&in->scratch);
	arena_free(&in->arena);
	buf_free(&text);
	free(in);
	return r;
}
