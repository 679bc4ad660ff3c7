/*
 * A baseline as one file (format: baseline_store.h), read in one snapshot and verified as it goes. Any thread, on its
 * own connection. Memory: one chunk at a time.
 */
#include <errno.h>
#include <unistd.h>

#include "db/baseline_store.h"

#define IO_SIZE (64 * KIB)

struct out {
	struct db *d;
	int fd;
	struct buf buf;
	struct baseline_reader *reader;
	struct digest *blake;
	struct buf scratch, block;
	struct chunk chunk;
	struct buf *err;
};

static int out_flush(struct out *o)
{
	const char *p = o->buf.data;
	size_t left = o->buf.len;

	if (o->buf.failed)
		return -ENOMEM;
	while (left > 0) {
		ssize_t n = write(o->fd, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		left -= (size_t)n;
	}
	buf_reset(&o->buf);
	return 0;
}

static int put_block(struct out *o, char tag, const void *data, size_t len)
{
	if (len > EXPORT_BLOCK_MAX)
		return -E2BIG;
	buf_u8(&o->buf, (uint8_t)tag);
	buf_bytes(&o->buf, data, len);
	return o->buf.len >= IO_SIZE ? out_flush(o) : 0;
}

static int put_head(struct out *o, int64_t id, const struct sign_key *pub)
{
	_cleanup_buf_ struct buf message = BUF_INIT;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	uint8_t tree[DB_HASH_SIZE], signature[SIGN_SIZE], key[SIGN_PUBLIC_SIZE];
	struct baseline_seal seal;
	struct baseline_info info;
	int r = baseline_seal_read(o->d, id, &a, &info, tree, signature);

	if (r == 0)
		r = baseline_seal_make(o->d, id, &seal);
	if (r < 0)
		return r;
	baseline_message(&message, &info, &seal);
	sign_key_public(pub, key);
	if (message.failed)
		return -ENOMEM;
	buf_str(&o->buf, EXPORT_MAGIC);
	r = put_block(o, 'H', message.data, message.len);
	if (r == 0)
		r = put_block(o, 'K', key, sizeof(key));
	return r < 0 ? r : put_block(o, 'S', signature, sizeof(signature));
}

static int put_leaves(struct out *o, int64_t id)
{
	sqlite3_stmt *st;
	int r = db_stmt(o->d, STMT_CHUNK_LEAVES, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	while ((r = db_step(o->d, st)) > 0) {
		buf_reset(&o->block);
		buf_bytes(&o->block, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
		buf_u32(&o->block, (uint32_t)sqlite3_column_int64(st, 1));
		buf_u32(&o->block, (uint32_t)sqlite3_column_int64(st, 2));
		buf_bytes(&o->block, sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3));
		buf_add(&o->block, sqlite3_column_blob(st, 4), (size_t)sqlite3_column_bytes(st, 4));
		r = o->block.failed ? -ENOMEM : put_block(o, 'L', o->block.data, o->block.len);
		if (r < 0)
			break;
	}
	sqlite3_reset(st);
	return r;
}

static int put_chunk(struct out *o)
{
	struct chunk *c = &o->chunk;

	buf_reset(&o->block);
	buf_bytes(&o->block, c->dir, strlen(c->dir) + 1);
	buf_u32(&o->block, c->seq);
	buf_u32(&o->block, c->n);
	for (uint32_t i = 0; i < c->n; i++) {
		buf_reset(&o->scratch);
		record_encode(&o->scratch, &c->entries[i].rec);
		buf_bytes(&o->block, c->entries[i].name, strlen(c->entries[i].name) + 1);
		buf_bytes(&o->block, o->scratch.data, o->scratch.len);
	}
	return o->block.failed || o->scratch.failed ? -ENOMEM : put_block(o, 'C', o->block.data, o->block.len);
}

static int put_dir(int64_t id, const char *path, void *data)
{
	struct out *o = data;

	for (uint32_t seq = 0;; seq++) {
		int r = baseline_load_chunk(o->reader, id, path, seq, &o->chunk, o->blake, &o->scratch);

		if (r == -ENOENT)
			return 0;
		if (r == 0)
			r = put_chunk(o);
		if (r < 0)
			return r;
	}
}

static int export(struct out *o, int64_t id)
{
	_cleanup_sign_key_ struct sign_key *loaded = NULL;
	const struct sign_key *pub = o->d->key;
	int r = pub ? 0 : sign_key_load_public(o->d->key_path, &loaded, o->err);

	if (r == 0)
		r = baseline_check_signature(o->d, id, pub ? pub : loaded, o->err);
	if (r == 0)
		r = baseline_reader_new(o->d, id, &o->reader);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &o->blake);
	if (r == 0)
		r = put_head(o, id, pub ? pub : loaded);
	if (r == 0)
		r = put_leaves(o, id);
	if (r == 0)
		r = baseline_each_dir(o->reader, NULL, put_dir, o);
	if (r == 0)
		r = put_block(o, 'E', "", 0);
	return r < 0 ? r : out_flush(o);
}

int baseline_export(struct db *d, int64_t id, int fd, struct buf *err)
{
	struct out o = { .d = d, .fd = fd, .err = err };
	int r = db_snapshot_begin(d);

	if (r == 0)
		r = export(&o, id);
	db_snapshot_end(d);
	if (o.reader)
		baseline_reader_free(o.reader);
	digest_free(o.blake);
	buf_free(&o.buf);
	buf_free(&o.scratch);
	buf_free(&o.block);
	arena_free(&o.chunk.arena);
	if (r == -ENOENT)
		return export_error(err, r, "no such baseline");
	if (r == -EBADMSG || r == -EMEDIUMTYPE)
		return export_error(err, r, db_error(d));
	return r < 0 ? export_error(err, r, strerror(-r)) : 0;
}
