/*
 * What is signed of a baseline, finding baselines, and checking them. The signature covers the head row and the digest
 * over all leaves (chunks) in order; rows are checked against their leaf when they are loaded. Any thread, on its own
 * connection.
 */
#include <errno.h>

#include "db/baseline_store.h"
#include "lib/text.h"

int tree_hash_leaf(struct digest *tree, struct buf *scratch, const void *path, size_t path_len, uint32_t seq,
		   uint32_t n, const void *first, size_t first_len, const uint8_t digest[DB_HASH_SIZE])
{
	buf_reset(scratch);
	buf_bytes(scratch, path, path_len);
	buf_u32(scratch, seq);
	buf_u32(scratch, n);
	buf_bytes(scratch, first, first_len);
	buf_add(scratch, digest, DB_HASH_SIZE);
	return scratch->failed ? -ENOMEM : digest_update(tree, scratch->data, scratch->len);
}

int layers_hash_leaf(struct digest *layers, struct buf *scratch, const void *path, size_t path_len, uint32_t seq,
		     const uint8_t *numbers, size_t n)
{
	if (n == 0)
		return 0;
	buf_reset(scratch);
	buf_bytes(scratch, path, path_len);
	buf_u32(scratch, seq);
	buf_bytes(scratch, numbers, n);
	return scratch->failed ? -ENOMEM : digest_update(layers, scratch->data, scratch->len);
}

static int hash_leaf_row(struct db *d, struct digest *tree, struct digest *layers, sqlite3_stmt *st)
{
	const void *path = sqlite3_column_blob(st, 0);
	size_t path_len = (size_t)sqlite3_column_bytes(st, 0);
	uint32_t seq = (uint32_t)sqlite3_column_int64(st, 1);
	int r;

	if (sqlite3_column_bytes(st, 4) != DB_HASH_SIZE)
		return db_failf(d, -EMEDIUMTYPE, "a chunk without its digest");
	r = tree_hash_leaf(tree, &d->scratch, path, path_len, seq, (uint32_t)sqlite3_column_int64(st, 2),
			   sqlite3_column_blob(st, 3), (size_t)sqlite3_column_bytes(st, 3), sqlite3_column_blob(st, 4));
	if (r < 0)
		return r;
	return layers_hash_leaf(layers, &d->scratch, path, path_len, seq, sqlite3_column_blob(st, 5),
				(size_t)sqlite3_column_bytes(st, 5));
}

static int hash_leaves(struct db *d, int64_t id, struct digest *tree, struct digest *layers)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_CHUNK_LEAVES, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	while ((r = db_step(d, st)) > 0) {
		r = hash_leaf_row(d, tree, layers, st);
		if (r < 0)
			break;
	}
	sqlite3_reset(st);
	return r;
}

int baseline_seal_make(struct db *d, int64_t id, struct baseline_seal *ret)
{
	_cleanup_digest_ struct digest *tree = NULL, *layers = NULL;
	uint8_t tree_full[DIGEST_MAX], layers_full[DIGEST_MAX];
	int r = digest_new(DIGEST_BLAKE2B512, &tree);

	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &layers);
	if (r == 0)
		r = digest_start(tree);
	if (r == 0)
		r = digest_start(layers);
	if (r == 0)
		r = hash_leaves(d, id, tree, layers);
	if (r == 0)
		r = digest_finish(tree, tree_full);
	if (r == 0)
		r = digest_finish(layers, layers_full);
	if (r < 0)
		return r;
	memcpy(ret->tree, tree_full, DB_HASH_SIZE);
	memcpy(ret->layers, layers_full, DB_HASH_SIZE);
	return 0;
}

static void put_string(struct buf *b, const char *s)
{
	buf_u8(b, s != NULL);
	if (s)
		buf_bytes(b, s, strlen(s));
}

static void put_image(struct buf *b, const struct baseline_info *info, const struct baseline_seal *seal)
{
	put_string(b, info->image_id);
	buf_u32(b, info->n_layers);
	for (uint32_t i = 0; i < info->n_layers; i++) {
		put_string(b, info->layers[i].diff_id);
		put_string(b, info->layers[i].digest);
		put_string(b, info->layers[i].created_by);
		buf_u64(b, info->layers[i].size);
	}
	buf_add(b, seal->layers, DB_HASH_SIZE);
}

void baseline_message(struct buf *b, const struct baseline_info *info, const struct baseline_seal *seal)
{
	buf_str(b, "holdfast baseline 1\n");
	put_string(b, info->name);
	buf_u8(b, (uint8_t)info->kind);
	put_string(b, info->root);
	put_string(b, info->scope);
	put_string(b, info->image_ref);
	put_string(b, info->image_digest);
	buf_u64(b, info->created);
	buf_u8(b, (uint8_t)info->algo);
	buf_u64(b, info->files);
	buf_u64(b, info->bytes);
	buf_u64(b, info->unread);
	if (info->kind == BASELINE_IMAGE)
		put_image(b, info, seal);
	buf_add(b, seal->tree, DB_HASH_SIZE);
}

int baseline_sign(struct db *d, struct baseline_info *info, const struct sign_key *key)
{
	_cleanup_buf_ struct buf message = BUF_INIT;
	_cleanup_buf_ struct buf id = BUF_INIT;
	struct baseline_seal seal;
	uint8_t signature[SIGN_SIZE];
	sqlite3_stmt *st;
	int r;

	if (!key)
		return db_failf(d, -ENOKEY, "no key to sign the baseline with");
	r = baseline_seal_make(d, info->id, &seal);
	if (r < 0)
		return r;
	baseline_message(&message, info, &seal);
	sign_key_id(key, &id);
	if (message.failed || id.failed)
		return -ENOMEM;
	r = sign_make(key, message.data, message.len, signature);
	if (r == 0)
		r = db_stmt(d, STMT_BASELINE_SIGN, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, info->id);
	sqlite3_bind_int64(st, 2, (int64_t)info->files);
	sqlite3_bind_int64(st, 3, (int64_t)info->bytes);
	sqlite3_bind_int64(st, 4, (int64_t)info->unread);
	sqlite3_bind_text(st, 5, id.data, -1, SQLITE_STATIC);
	sqlite3_bind_blob(st, 6, seal.tree, sizeof(seal.tree), SQLITE_STATIC);
	sqlite3_bind_blob(st, 7, signature, sizeof(signature), SQLITE_STATIC);
	return db_run(d, st);
}

/* --- finding */

static const char *column_string(sqlite3_stmt *st, int col, struct arena *a, bool *failed)
{
	const void *p;
	char *s;

	if (sqlite3_column_type(st, col) == SQLITE_NULL)
		return NULL;
	p = sqlite3_column_blob(st, col);
	s = arena_strndup(a, p ? p : "", (size_t)sqlite3_column_bytes(st, col));
	*failed |= !s;
	return s;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

int baseline_info_read(sqlite3_stmt *st, struct arena *a, struct baseline_info *ret)
{
	static const char *const states[] = { "building", "signed", "deleting" };
	bool failed = false;
	int state = sqlite3_column_int(st, 12);
	int algo = sqlite3_column_int(st, 8);
	int kind = sqlite3_column_int(st, 2);

	*ret = (struct baseline_info){
		.id = sqlite3_column_int64(st, 0),
		.name = or_empty(column_string(st, 1, a, &failed)),
		.kind = (enum baseline_kind)kind,
		.root = or_empty(column_string(st, 3, a, &failed)),
		.scope = or_empty(column_string(st, 4, a, &failed)),
		.image_ref = column_string(st, 5, a, &failed),
		.image_digest = column_string(st, 6, a, &failed),
		.image_id = column_string(st, 16, a, &failed),
		.created = (uint64_t)sqlite3_column_int64(st, 7),
		.algo = (enum digest_algo)algo,
		.files = (uint64_t)sqlite3_column_int64(st, 9),
		.bytes = (uint64_t)sqlite3_column_int64(st, 10),
		.unread = (uint64_t)sqlite3_column_int64(st, 11),
		.state = state >= 0 && state < 3 ? states[state] : "bad",
		.signed_by = column_string(st, 13, a, &failed),
	};
	if (algo < 0 || algo >= DIGEST_ALGO_COUNT || kind < 0 || kind > BASELINE_IMAGE)
		return -EMEDIUMTYPE;
	return failed ? -ENOMEM : 0;
}

/* The layers of an image; nothing for other kinds. */
static int read_layers(struct db *d, struct arena *a, struct baseline_info *info)
{
	struct baseline_layer *layers;
	bool failed = false;
	uint32_t n = 0;
	sqlite3_stmt *st;
	int r = info->kind == BASELINE_IMAGE ? db_stmt(d, STMT_LAYER_OF, &st) : 0;

	if (r < 0 || info->kind != BASELINE_IMAGE)
		return r;
	layers = arena_alloc(a, BASELINE_LAYERS_MAX * sizeof(*layers));
	if (!layers)
		return -ENOMEM;
	sqlite3_bind_int64(st, 1, info->id);
	while ((r = db_step(d, st)) > 0) {
		if (n == BASELINE_LAYERS_MAX || sqlite3_column_int64(st, 0) != n + 1) {
			r = db_failf(d, -EMEDIUMTYPE, "layers of an image with numbers out of order");
			break;
		}
		layers[n++] = (struct baseline_layer){
			.diff_id = or_empty(column_string(st, 1, a, &failed)),
			.digest = column_string(st, 2, a, &failed),
			.created_by = column_string(st, 3, a, &failed),
			.size = (uint64_t)sqlite3_column_int64(st, 4),
		};
	}
	sqlite3_reset(st);
	info->layers = layers;
	info->n_layers = n;
	return r < 0 ? r : failed ? -ENOMEM : 0;
}

static int find(struct db *d, sqlite3_stmt *st, struct arena *a, struct baseline_info *ret)
{
	int r = db_step(d, st);

	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = baseline_info_read(st, a, ret);
	sqlite3_reset(st);
	if (r == -EMEDIUMTYPE)
		return db_failf(d, r, "a baseline with values out of range");
	return r < 0 ? r : read_layers(d, a, ret);
}

int baseline_find(struct db *d, const char *name, struct arena *a, struct baseline_info *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_BY_NAME, &st);

	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	return find(d, st, a, ret);
}

int baseline_find_id(struct db *d, int64_t id, struct arena *a, struct baseline_info *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_BY_ID, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	return find(d, st, a, ret);
}

int baseline_find_image(struct db *d, const char *digest, struct arena *a, struct baseline_info *ret)
{
	_cleanup_buf_ struct buf full = BUF_INIT;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_BY_IMAGE, &st);

	if (r < 0)
		return r;
	buf_printf(&full, "%s%s", strchr(digest, ':') ? "" : "sha256:", digest);
	if (full.failed)
		return -ENOMEM;
	sqlite3_bind_text(st, 1, full.data, -1, SQLITE_TRANSIENT);
	return find(d, st, a, ret);
}

int baseline_each(struct db *d, int (*fn)(const struct baseline_info *info, void *data), void *data)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(d, "SELECT " STMT_BASELINE_COLUMNS " FROM baseline WHERE state < 2 ORDER BY name, id", &st);

	while (r >= 0 && (r = db_step(d, st)) > 0) {
		_cleanup_arena_ struct arena a = ARENA_INIT;
		struct baseline_info info;

		r = baseline_info_read(st, &a, &info);
		if (r == 0)
			r = read_layers(d, &a, &info);
		if (r == 0)
			r = fn(&info, data);
		if (r != 0)
			return r;
	}
	return r;
}

/* --- checking */

static int bad(struct buf *err, const char *name, const char *what)
{
	if (err) {
		buf_str(err, "baseline ");
		text_escape(err, name, strlen(name));
		buf_printf(err, ": %s", what);
	}
	return -EBADMSG;
}

int baseline_seal_read(struct db *d, int64_t id, struct arena *a, struct baseline_info *info,
		       uint8_t tree[DB_HASH_SIZE], uint8_t signature[SIGN_SIZE])
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_BY_ID, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	r = db_step(d, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = baseline_info_read(st, a, info);
	if (r == 0 && (sqlite3_column_bytes(st, 14) != DB_HASH_SIZE || sqlite3_column_bytes(st, 15) != SIGN_SIZE))
		r = -EMEDIUMTYPE;
	if (r == 0) {
		memcpy(tree, sqlite3_column_blob(st, 14), DB_HASH_SIZE);
		memcpy(signature, sqlite3_column_blob(st, 15), SIGN_SIZE);
	}
	sqlite3_reset(st);
	return r < 0 ? r : read_layers(d, a, info);
}

int baseline_check_signature(struct db *d, int64_t id, const struct sign_key *pub, struct buf *err)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_buf_ struct buf message = BUF_INIT;
	uint8_t tree[DB_HASH_SIZE], signature[SIGN_SIZE];
	struct baseline_seal seal;
	struct baseline_info info;
	bool same;
	int r = baseline_seal_read(d, id, &a, &info, tree, signature);

	if (r == -EMEDIUMTYPE)
		return bad(err, "", "its row was changed");
	if (r == 0)
		r = baseline_seal_make(d, id, &seal);
	if (r == -EMEDIUMTYPE)
		return bad(err, info.name, "its chunks were changed");
	if (r < 0)
		return r;
	same = memcmp(tree, seal.tree, sizeof(tree)) == 0;
	memcpy(seal.tree, tree, sizeof(tree));
	baseline_message(&message, &info, &seal);
	if (message.failed)
		return -ENOMEM;
	if (sign_check(pub, message.data, message.len, signature) < 0)
		return bad(err, info.name, "the signature does not match: it was changed, or signed with another key");
	if (!same)
		return bad(err, info.name, "chunks were changed, removed or added since it was signed");
	return 0;
}

struct verify {
	struct db *d;
	struct baseline_reader *reader;
	const char *name;
	struct digest *blake;
	struct buf scratch;
	struct chunk chunk;
	struct buf *err;
	uint64_t rows;
};

static int verify_dir(int64_t id, const char *path, void *data)
{
	struct verify *v = data;

	for (uint32_t seq = 0;; seq++) {
		int r = baseline_load_chunk(v->reader, id, path, seq, &v->chunk, v->blake, &v->scratch);

		if (r == -ENOENT)
			return 0;
		if (r == -EBADMSG || r == -EMEDIUMTYPE) {
			_cleanup_buf_ struct buf text = BUF_INIT;

			buf_str(&text, "entries of ");
			text_escape(&text, path, strlen(path));
			buf_printf(&text, " (chunk %u) were changed", seq);
			return bad(v->err, v->name, text.failed ? "entries were changed" : text.data);
		}
		if (r < 0)
			return r;
		v->rows += v->chunk.n;
	}
}

static int verify(struct db *d, int64_t id, const struct sign_key *pub, struct buf *err)
{
	_cleanup_(baseline_reader_free_p) struct baseline_reader *reader = NULL;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct verify v = { .d = d, .err = err };
	struct baseline_info info;
	int r = baseline_check_signature(d, id, pub, err);

	if (r == 0)
		r = baseline_find_id(d, id, &a, &info);
	if (r == 0)
		r = baseline_reader_new(d, id, &reader);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &v.blake);
	if (r == 0) {
		v.reader = reader;
		v.name = info.name;
		r = baseline_each_dir(reader, NULL, verify_dir, &v);
		if (r == 0 && v.rows != info.files)
			r = bad(err, info.name, "files are missing or were added");
	}
	digest_free(v.blake);
	buf_free(&v.scratch);
	arena_free(&v.chunk.arena);
	return r;
}

int baseline_verify(struct db *d, int64_t id, const struct sign_key *pub, struct buf *err)
{
	/* Somebody may accept a change meanwhile. */
	bool own = sqlite3_get_autocommit(d->h);
	int r = own ? db_snapshot_begin(d) : 0;

	if (r == 0)
		r = verify(d, id, pub, err);
	if (own)
		db_snapshot_end(d);
	return r;
}
