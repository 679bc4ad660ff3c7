/* Owns table text. The thread of the connection; a reader takes nothing for granted that stands in it. */
#include "db/texts.h"

#include <errno.h>
#include <string.h>

#include "db/store.h"

/* Goes with what is too much, so that not each text behind the bound has all of them looked at. */
#define TEXTS_SLACK (TEXTS_TOTAL_MAX / 16)

/* The first column of a statement's one row. */
static int number(struct db *d, enum statement id, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, id, &st);

	if (r == 0)
		r = db_step(d, st);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

/* Counted once; what others commit is counted again. Inside a transaction nobody else commits. */
static int take_total(struct db *d)
{
	int64_t version;
	int r = number(d, STMT_DATA_VERSION, &version);

	if (r < 0 || (d->texts.known && version == d->texts.version))
		return r;
	r = number(d, STMT_TEXT_TOTAL, &d->texts.size);
	d->texts.known = r == 0;
	d->texts.version = version;
	return r;
}

/* 1: it is there. */
static int note_seen(struct db *d, const uint8_t *digest, size_t digest_len, uint64_t now)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_TEXT_SEEN, &st);

	if (r < 0)
		return r;
	sqlite3_bind_blob(st, 1, digest, (int)digest_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)now);
	r = db_run(d, st);
	return r < 0 ? r : sqlite3_changes(d->h) > 0;
}

int texts_put(struct db *d, const uint8_t *digest, size_t digest_len, const void *data, size_t size, uint64_t now)
{
	sqlite3_stmt *st;
	int r = size > TEXTS_SIZE_MAX ? -EFBIG : take_total(d);

	if (r == 0)
		r = note_seen(d, digest, digest_len, now);
	if (r == 0)
		r = db_stmt(d, STMT_TEXT_ADD, &st);
	else
		return MIN(r, 0);
	if (r < 0)
		return r;
	sqlite3_bind_blob(st, 1, digest, (int)digest_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)now);
	sqlite3_bind_int64(st, 3, (int64_t)size);
	sqlite3_bind_blob(st, 4, size ? data : "", (int)size, SQLITE_STATIC);
	r = db_run(d, st);
	if (r == 0)
		d->texts.size += (int64_t)size;
	return r;
}

int texts_trim(struct db *d)
{
	sqlite3_stmt *st;
	int r = take_total(d), n;

	if (r < 0 || d->texts.size <= TEXTS_TOTAL_MAX)
		return r;
	r = db_stmt(d, STMT_TEXT_TRIM, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, TEXTS_TOTAL_MAX - TEXTS_SLACK);
	r = db_run(d, st);
	if (r < 0)
		return r;
	n = sqlite3_changes(d->h);
	d->texts.trimmed += (uint64_t)n;
	r = number(d, STMT_TEXT_TOTAL, &d->texts.size);
	return r < 0 ? r : n;
}

uint64_t texts_trimmed(struct db *d)
{
	uint64_t n = d->texts.trimmed;

	d->texts.trimmed = 0;
	return n;
}

int texts_get(struct db *d, enum digest_algo algo, const uint8_t *digest, struct buf *ret)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	_cleanup_digest_ struct digest *hash = NULL;
	uint8_t is[DIGEST_MAX];
	const void *data;
	size_t size;
	int r = db_prepare(d, "SELECT data FROM text WHERE digest = ?1 AND length(data) <= ?2", &st);

	if (r == 0)
		r = digest_new(algo, &hash);
	if (r < 0)
		return r;
	sqlite3_bind_blob(st, 1, digest, (int)digest_table[algo].size, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, TEXTS_SIZE_MAX);
	r = db_step(d, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	data = sqlite3_column_blob(st, 0);
	size = (size_t)sqlite3_column_bytes(st, 0);
	r = digest_once(hash, data ? data : "", size, is);
	if (r < 0 || memcmp(is, digest, digest_table[algo].size) != 0)
		return r < 0 ? r : -ENOENT;
	buf_reset(ret);
	buf_add(ret, data ? data : "", size);
	return ret->failed ? -ENOMEM : 0;
}
