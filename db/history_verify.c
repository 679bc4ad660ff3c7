/*
 * Checking history: the head file, signatures, links, and every row worked out again. Reads one snapshot, so a monitor
 * that writes meanwhile disturbs nothing. Any thread, on its own connection.
 */
#include <errno.h>
#include <stdio.h>

#include "db/head.h"
#include "db/history.h"

struct verify {
	struct db *d;
	const struct sign_key *pub;
	struct buf *err;
	struct batch newest;
	struct digest *leaves;
	sqlite3_stmt *rows;
};

static int bad(struct buf *err, const char *fmt, ...) _printf_(2, 3);
static int bad(struct buf *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (err)
		buf_str(err, text);
	return -EBADMSG;
}

#define RESTORE                                                                                                        \
	"rows were removed or an older database was put in place. Restore the right one; only if it is lost, move "    \
	"the "                                                                                                         \
	"head file away and take a new baseline"

/* --- head file. Read before the snapshot (before) and after (after): writers commit first and write the head file
 * then. */

static int check_before(struct verify *v, const struct head *head, int r)
{
	const struct batch *n = &v->newest;
	struct batch named;
	sqlite3_stmt *st;

	if (r == -ENOENT && n->seq == 0)
		return 0;
	if (r == -ENOENT)
		return bad(v->err, "the head file %s is missing: it was removed, or the database was copied without it",
			   v->d->head_path);
	if (r == -EBADMSG)
		return bad(v->err, "the head file %s is damaged", v->d->head_path);
	if (r < 0)
		return bad(v->err, "the head file %s cannot be read: %s", v->d->head_path, strerror(-r));
	if (sign_check(v->pub, head->digest, sizeof(head->digest), head->signature) < 0)
		return bad(v->err, "the head file %s is not signed with this key", v->d->head_path);
	if (head->seq > n->seq)
		return bad(v->err, "history ends at batch %lld, the head file says %lld: " RESTORE, (long long)n->seq,
			   (long long)head->seq);
	r = db_stmt(v->d, STMT_BATCH_GET, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, head->seq);
	r = db_step(v->d, st);
	if (r > 0) {
		chain_batch_read(st, &named);
		r = memcmp(named.digest, head->digest, sizeof(named.digest)) == 0 ? 0 : -EBADMSG;
	}
	sqlite3_reset(st);
	return r == -EBADMSG ? bad(v->err, "batch %lld is not the one that the head file names: " RESTORE,
				   (long long)head->seq)
			     : r;
}

static int check_after(struct verify *v, const struct head *head, int r)
{
	if (v->newest.seq == 0 || (r == 0 && head->seq >= v->newest.seq - 1))
		return 0;
	return bad(v->err,
		   "history ends at batch %lld, the head file says %lld: the head file was put back to an older one",
		   (long long)v->newest.seq, r == 0 ? (long long)head->seq : 0);
}

static int check_newest(struct verify *v)
{
	uint8_t now[DB_HASH_SIZE];
	int r;

	if (v->newest.seq == 0)
		return 0;
	if (sign_check(v->pub, v->newest.digest, DB_HASH_SIZE, v->newest.signature) < 0)
		return bad(v->err, "batch %lld is not signed with this key", (long long)v->newest.seq);
	r = chain_baselines_digest(v->d, now);
	if (r == 0 && memcmp(now, v->newest.baselines, sizeof(now)) != 0)
		return bad(v->err, "baselines or trust entries were added, removed or changed, or older ones were put "
				   "in place, by something else than holdfast");
	return r;
}

/* Opens the snapshot, which the caller closes. */
static int check_head(struct verify *v)
{
	struct head before, after;
	int r_before = head_read(v->d->head_path, &before);
	int r = db_snapshot_begin(v->d);

	if (r == 0)
		r = chain_newest(v->d, &v->newest);
	if (r < 0)
		return r;
	r = check_before(v, &before, r_before);
	if (r < 0)
		return r;
	r = head_read(v->d->head_path, &after);
	r = check_after(v, &after, r);
	return r < 0 ? r : check_newest(v);
}

int history_check_head(struct db *d, const struct sign_key *pub, struct buf *err)
{
	struct verify v = { .d = d, .pub = pub, .err = err };
	int r = check_head(&v);

	db_snapshot_end(d);
	return r;
}

/* --- rows */

/* Columns of the query: those of event, its digest, the digest of its process, where it was. */
#define COL_DIGEST  STMT_EVENT_COLUMN_COUNT
#define COL_PROCESS (STMT_EVENT_COLUMN_COUNT + 1)
#define COL_PLACE   (STMT_EVENT_COLUMN_COUNT + 2) /* digest of the container, its row, the path on the host */
#define ROWS_SQL                                                                                                       \
	"SELECT " STMT_EVENT_COLUMNS                                                                                   \
	", digest, (SELECT p.digest FROM process p WHERE p.id = event.process), (SELECT c.digest FROM container c "    \
	"WHERE c.id = event.container), " STMT_EVENT_PLACE " FROM event "                                              \
	"WHERE id BETWEEN ?1 AND ?2 ORDER BY id"

/* The leaf of the current row, worked out from what it holds: 1 when that is not what was signed. */
static int row_leaf(struct verify *v, uint8_t leaf[DB_HASH_SIZE])
{
	struct buf *b = &v->d->scratch;
	int r;

	buf_reset(b);
	row_hash_columns(b, v->rows, 0, STMT_EVENT_COLUMN_COUNT);
	if (sqlite3_column_type(v->rows, 8) != SQLITE_NULL)
		buf_add(b, sqlite3_column_blob(v->rows, COL_PROCESS),
			(size_t)sqlite3_column_bytes(v->rows, COL_PROCESS));
	if (sqlite3_column_type(v->rows, COL_PLACE + 1) != SQLITE_NULL) {
		buf_add(b, sqlite3_column_blob(v->rows, COL_PLACE), (size_t)sqlite3_column_bytes(v->rows, COL_PLACE));
		row_hash_columns(b, v->rows, COL_PLACE + 2, 2);
	}
	if (b->failed)
		return -ENOMEM;
	r = db_hash(v->d, b->data, b->len, leaf);
	if (r < 0)
		return r;
	return sqlite3_column_bytes(v->rows, COL_DIGEST) != DB_HASH_SIZE ||
	       memcmp(leaf, sqlite3_column_blob(v->rows, COL_DIGEST), DB_HASH_SIZE) != 0;
}

static int verify_batch_rows(struct verify *v, const struct batch *b)
{
	int64_t expected = b->first;
	uint8_t leaf[DB_HASH_SIZE];
	int r;

	sqlite3_bind_int64(v->rows, 1, b->first);
	sqlite3_bind_int64(v->rows, 2, b->last);
	while ((r = db_step(v->d, v->rows)) > 0) {
		int64_t id = sqlite3_column_int64(v->rows, 0);

		r = row_leaf(v, leaf);
		if (r == 0 && id != expected)
			r = 2;
		if (r == 0)
			r = digest_update(v->leaves, leaf, sizeof(leaf));
		if (r != 0)
			break;
		expected++;
	}
	sqlite3_reset(v->rows);
	if (r < 0)
		return r;
	if (r == 1)
		return bad(v->err, "row %lld of batch %lld was changed", (long long)expected, (long long)b->seq);
	if (r == 2 || expected != b->last + 1)
		return bad(v->err, "row %lld of batch %lld was removed", (long long)expected, (long long)b->seq);
	return 0;
}

static int verify_batch(struct verify *v, const struct batch *b, const struct batch *prev)
{
	struct batch again = *b;
	uint8_t leaves[DIGEST_MAX];
	int r = digest_start(v->leaves);

	if (prev && (b->seq != prev->seq + 1 || b->first != prev->last + 1))
		return bad(v->err, "batch %lld is missing", (long long)prev->seq + 1);
	if (b->last < b->first - 1)
		return bad(v->err, "batch %lld was changed", (long long)b->seq);
	if (sign_check(v->pub, b->digest, DB_HASH_SIZE, b->signature) < 0)
		return bad(v->err, "batch %lld was changed, or signed with another key", (long long)b->seq);
	if (r == 0)
		r = verify_batch_rows(v, b);
	if (r == 0)
		r = digest_finish(v->leaves, leaves);
	if (r == 0)
		r = chain_batch_digest(v->d, &again, leaves);
	if (r < 0)
		return r;
	if (memcmp(again.digest, b->digest, DB_HASH_SIZE) != 0)
		return bad(v->err, "batch %lld was changed", (long long)b->seq);
	if (prev && memcmp(b->prev, prev->digest, DB_HASH_SIZE) != 0)
		return bad(v->err, "batch %lld does not follow batch %lld", (long long)b->seq, (long long)prev->seq);
	return 0;
}

/* Those below `end`. *ret_first: id of the first row that a batch covers. */
static int verify_batches(struct verify *v, int64_t end, int64_t *ret_first)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	struct batch prev = { 0 }, b;
	int r = db_prepare(v->d,
			   "SELECT seq, first, last, time, floor, kept, baselines, prev, digest, signature FROM batch "
			   "ORDER BY seq",
			   &st);

	while (r >= 0 && (r = db_step(v->d, st)) > 0) {
		chain_batch_read(st, &b);
		if (prev.seq == 0 && b.seq != v->newest.floor)
			return bad(v->err, "the oldest batch is %lld where %lld should be", (long long)b.seq,
				   (long long)v->newest.floor);
		if (prev.seq == 0)
			*ret_first = b.first;
		if (b.seq >= end)
			return 0;
		r = verify_batch(v, &b, prev.seq ? &prev : NULL);
		prev = b;
	}
	return r;
}

int chain_kept_digest(struct db *d, int64_t below, uint8_t ret[DB_HASH_SIZE])
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	_cleanup_digest_ struct digest *digest = NULL;
	uint8_t full[DIGEST_MAX];
	bool any = false;
	int r = db_prepare(d, "SELECT id, digest FROM event WHERE id < ?1 ORDER BY id", &st);

	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &digest);
	if (r == 0)
		r = digest_start(digest);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, below);
	while (r >= 0 && (r = db_step(d, st)) > 0) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		buf_u64(&b, (uint64_t)sqlite3_column_int64(st, 0));
		buf_bytes(&b, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
		r = b.failed ? -ENOMEM : digest_update(digest, b.data, b.len);
		any = true;
	}
	if (r == 0)
		r = digest_finish(digest, full);
	if (r < 0)
		return r;
	memset(ret, 0, DB_HASH_SIZE);
	if (any)
		memcpy(ret, full, DB_HASH_SIZE);
	return 0;
}

/* Rows that pruning kept: older than every batch. */
static int verify_kept(struct verify *v, int64_t first)
{
	uint8_t leaf[DB_HASH_SIZE], now[DB_HASH_SIZE];
	int64_t id = 0;
	int r;

	sqlite3_bind_int64(v->rows, 1, INT64_MIN);
	sqlite3_bind_int64(v->rows, 2, first - 1);
	while ((r = db_step(v->d, v->rows)) > 0) {
		id = sqlite3_column_int64(v->rows, 0);
		r = row_leaf(v, leaf);
		if (r != 0)
			break;
	}
	sqlite3_reset(v->rows);
	if (r > 0)
		return bad(v->err, "row %lld, kept from a batch that was pruned, was changed", (long long)id);
	if (r == 0)
		r = chain_kept_digest(v->d, first, now);
	if (r == 0 && memcmp(now, v->newest.kept, sizeof(now)) != 0)
		return bad(v->err, "rows kept from batches that were pruned were removed or added");
	return r;
}

/* Tables that rows refer to. */
static const struct referred {
	const char *what, *sql;
	int (*rehash)(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE]);
} referred[] = {
	{ "process", "SELECT id, digest FROM process", process_rehash },
	{ "container", "SELECT id, digest FROM container", container_rehash },
};

static int verify_referred(struct verify *v, const struct referred *t)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	uint8_t now[DB_HASH_SIZE];
	int r = db_prepare(v->d, t->sql, &st);

	while (r >= 0 && (r = db_step(v->d, st)) > 0) {
		int64_t id = sqlite3_column_int64(st, 0);

		r = t->rehash(v->d, id, now);
		if (r == 0 && (sqlite3_column_bytes(st, 1) != DB_HASH_SIZE ||
			       memcmp(sqlite3_column_blob(st, 1), now, sizeof(now)) != 0))
			return bad(v->err, "%s row %lld was changed", t->what, (long long)id);
	}
	return r;
}

static int verify_rest(struct verify *v)
{
	int64_t last = 0;
	int r = db_number(v->d, "SELECT max(id) FROM event", &last);

	if (r == 0 && last > v->newest.last)
		return bad(v->err, "row %lld is in no batch: it was added by something else than holdfast",
			   (long long)last);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(referred); i++)
		r = verify_referred(v, &referred[i]);
	return r;
}

static int verify_all(struct verify *v)
{
	int64_t first = 1;
	int r = check_head(v);

	if (r == 0)
		r = db_prepare(v->d, ROWS_SQL, &v->rows);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &v->leaves);
	if (r == 0)
		r = verify_batches(v, INT64_MAX, &first);
	if (r == 0)
		r = verify_kept(v, first);
	return r == 0 ? verify_rest(v) : r;
}

int history_verify(struct db *d, const struct sign_key *pub, struct buf *err)
{
	struct verify v = { .d = d, .pub = pub, .err = err };
	int r = verify_all(&v);

	sqlite3_finalize(v.rows);
	digest_free(v.leaves);
	db_snapshot_end(d);
	return r;
}

int history_verify_below(struct db *d, int64_t floor)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct verify v = { .d = d, .pub = d->key, .err = &err };
	int64_t first = 1;
	int r = chain_newest(d, &v.newest);

	if (r == 0)
		r = db_prepare(d, ROWS_SQL, &v.rows);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &v.leaves);
	if (r == 0)
		r = verify_batches(&v, floor, &first);
	if (r == 0)
		r = verify_kept(&v, first);
	sqlite3_finalize(v.rows);
	digest_free(v.leaves);
	return r == -EBADMSG ? db_failf(d, r, "history is not pruned: %s", err.len > 0 ? err.data : "") : r;
}
