/*
 * The chain over history: rows of one transaction make one batch, whose digest covers the batch before it, every row,
 * the baselines and what pruning kept, and which is signed. Owns table batch. Runs inside the write transaction of its
 * connection, so two programs that write cannot fork the chain.
 */
#include <errno.h>

#include "db/head.h"
#include "lib/clock.h"
#include "lib/log.h"

void chain_reset(struct db *d)
{
	d->chain.open = false;
	d->chain.baselines_changed = false;
}

static void copy_blob(sqlite3_stmt *st, int col, void *ret, size_t size)
{
	const void *p = sqlite3_column_blob(st, col);
	size_t len = (size_t)sqlite3_column_bytes(st, col);

	memset(ret, 0, size);
	if (p && len == size)
		memcpy(ret, p, size);
}

void chain_batch_read(sqlite3_stmt *st, struct batch *ret)
{
	ret->seq = sqlite3_column_int64(st, 0);
	ret->first = sqlite3_column_int64(st, 1);
	ret->last = sqlite3_column_int64(st, 2);
	ret->time = (uint64_t)sqlite3_column_int64(st, 3);
	ret->floor = sqlite3_column_int64(st, 4);
	copy_blob(st, 5, ret->kept, sizeof(ret->kept));
	copy_blob(st, 6, ret->baselines, sizeof(ret->baselines));
	copy_blob(st, 7, ret->prev, sizeof(ret->prev));
	copy_blob(st, 8, ret->digest, sizeof(ret->digest));
	copy_blob(st, 9, ret->signature, sizeof(ret->signature));
}

int chain_newest(struct db *d, struct batch *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BATCH_NEWEST, &st);

	memset(ret, 0, sizeof(*ret));
	if (r == 0)
		r = db_step(d, st);
	if (r > 0) {
		chain_batch_read(st, ret);
		sqlite3_reset(st);
	}
	return r < 0 ? r : 0;
}

/* Programs trusted by hand are sealed with the baselines; a store that has none is sealed as it always was. */
static int add_trusted(struct db *d, struct buf *b)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_TRUSTED_SEALS, &st);
	bool any = false;

	if (r < 0)
		return r;
	while ((r = db_step(d, st)) > 0) {
		if (!any)
			buf_str(b, "holdfast trusted 1\n");
		any = true;
		row_hash_columns(b, st, 0, sqlite3_column_count(st));
	}
	return r;
}

int chain_baselines_digest(struct db *d, uint8_t ret[DB_HASH_SIZE])
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_SEALS, &st);

	if (r < 0)
		return r;
	buf_str(&b, "holdfast baselines 1\n");
	while ((r = db_step(d, st)) > 0) {
		buf_u64(&b, (uint64_t)sqlite3_column_int64(st, 0));
		buf_bytes(&b, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
		buf_bytes(&b, sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2));
	}
	if (r == 0)
		r = add_trusted(d, &b);
	if (r < 0)
		return r;
	return b.failed ? -ENOMEM : db_hash(d, b.data, b.len, ret);
}

int chain_batch_digest(struct db *d, struct batch *b, const uint8_t leaves[DB_HASH_SIZE])
{
	_cleanup_buf_ struct buf m = BUF_INIT;

	buf_str(&m, "holdfast batch 1\n");
	buf_u64(&m, (uint64_t)b->seq);
	buf_u64(&m, (uint64_t)b->first);
	buf_u64(&m, (uint64_t)b->last);
	buf_u64(&m, b->time);
	buf_u64(&m, (uint64_t)b->floor);
	buf_add(&m, b->kept, sizeof(b->kept));
	buf_add(&m, b->baselines, sizeof(b->baselines));
	buf_add(&m, b->prev, sizeof(b->prev));
	buf_add(&m, leaves, DB_HASH_SIZE);
	return m.failed ? -ENOMEM : db_hash(d, m.data, m.len, b->digest);
}

int chain_open(struct db *d)
{
	struct chain *c = &d->chain;
	int r;

	if (c->open)
		return 0;
	if (d->depth == 0)
		return db_failf(d, -EINVAL, "history is written inside a transaction");
	if (!d->key)
		return db_failf(d, -ENOKEY, "no key to sign history with");
	r = chain_newest(d, &c->prev);
	if (r == 0)
		r = digest_start(c->leaves);
	if (r < 0)
		return r;
	c->next = c->prev.last + 1;
	if (c->prev.seq == 0) {
		c->next = 1;
		c->prev.floor = 1;
	}
	c->floor = c->prev.floor;
	memcpy(c->kept, c->prev.kept, sizeof(c->kept));
	c->open = true;
	return 0;
}

int64_t chain_next_id(struct db *d)
{
	return d->chain.next;
}

int chain_append(struct db *d, const uint8_t leaf[DB_HASH_SIZE])
{
	d->chain.next++;
	return digest_update(d->chain.leaves, leaf, DB_HASH_SIZE);
}

int chain_change_baselines(struct db *d)
{
	uint8_t now[DB_HASH_SIZE];
	int r = chain_open(d);

	if (r == 0)
		r = chain_baselines_digest(d, now);
	if (r < 0)
		return r;
	if (d->chain.prev.seq > 0 && !d->chain.baselines_changed &&
	    memcmp(now, d->chain.prev.baselines, sizeof(now)) != 0)
		return db_failf(
			d, -EBADMSG,
			"baselines or trust entries were added, removed or changed behind our back: see holdfast "
			"baseline verify");
	d->chain.baselines_changed = true;
	return 0;
}

/* Before a new batch is sealed the head file has to name the newest one (head.h says why). */
static int require_head(struct db *d, const struct batch *newest)
{
	struct head head;
	int r = head_read(d->head_path, &head);

	if (r == -ENOENT && newest->seq == 0)
		return 0;
	if (r == 0 && head.seq > newest->seq)
		return db_failf(d, -EBADMSG,
				"history ends at batch %lld, the head file says %lld: the database was replaced by an "
				"older one",
				(long long)newest->seq, (long long)head.seq);
	if (r == 0 && head.seq == newest->seq)
		return memcmp(head.digest, newest->digest, sizeof(head.digest)) == 0
			       ? 0
			       : db_failf(d, -EBADMSG,
					  "the head file names another history: the database was replaced");
	if (r < 0 && r != -ENOENT && r != -EBADMSG)
		return db_failf(d, r, "head file: %s", strerror(-r));
	if (r < 0)
		log_error("head file %s: it was removed or damaged, and is written anew", d->head_path);
	r = head_write(d->head_path, newest, d->sync_full);
	return r < 0 ? db_failf(d, r, "head file: %s", strerror(-r)) : 0;
}

static int insert_batch(struct db *d, const struct batch *b)
{
	const struct {
		const uint8_t *data;
		int len;
	} blobs[] = {
		{ b->kept, sizeof(b->kept) },	  { b->baselines, sizeof(b->baselines) }, { b->prev, sizeof(b->prev) },
		{ b->digest, sizeof(b->digest) }, { b->signature, sizeof(b->signature) },
	};
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BATCH_ADD, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, b->seq);
	sqlite3_bind_int64(st, 2, b->first);
	sqlite3_bind_int64(st, 3, b->last);
	sqlite3_bind_int64(st, 4, (int64_t)b->time);
	sqlite3_bind_int64(st, 5, b->floor);
	for (size_t i = 0; i < ARRAY_SIZE(blobs); i++)
		sqlite3_bind_blob(st, 6 + (int)i, blobs[i].data, blobs[i].len, SQLITE_STATIC);
	return db_run(d, st);
}

int chain_seal(struct db *d, struct batch *ret, bool *ret_sealed)
{
	struct chain *c = &d->chain;
	uint8_t leaves[DIGEST_MAX];
	struct batch b;
	int r;

	*ret_sealed = false;
	if (!c->open || (c->next == c->prev.last + 1 && c->prev.seq > 0 && !c->baselines_changed))
		return 0;
	b = (struct batch){
		.seq = c->prev.seq + 1,
		.first = c->prev.last + 1,
		.last = c->next - 1,
		.time = clock_real_ns(),
		.floor = c->floor,
	};
	memcpy(b.kept, c->kept, sizeof(b.kept));
	memcpy(b.baselines, c->prev.baselines, sizeof(b.baselines));
	memcpy(b.prev, c->prev.digest, sizeof(b.prev));
	r = require_head(d, &c->prev);
	if (r == 0)
		r = digest_finish(c->leaves, leaves);
	if (r == 0 && (c->baselines_changed || c->prev.seq == 0))
		r = chain_baselines_digest(d, b.baselines);
	if (r == 0)
		r = chain_batch_digest(d, &b, leaves);
	if (r == 0)
		r = sign_make(d->key, b.digest, sizeof(b.digest), b.signature);
	if (r == 0)
		r = insert_batch(d, &b);
	if (r < 0)
		return r;
	*ret = b;
	*ret_sealed = true;
	return 0;
}

void chain_committed(struct db *d, const struct batch *b)
{
	int r = head_write(d->head_path, b, d->sync_full);

	/* The next batch is not sealed before this has worked. */
	if (r < 0)
		log_error("head file %s: %s", d->head_path, strerror(-r));
}
