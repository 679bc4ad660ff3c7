/* Owns table text. The thread of the connection; a reader takes nothing for granted that stands in it. */
#include "db/texts.h"

#include <errno.h>
#include <string.h>

#include "db/store.h"

int texts_put(struct db *d, const uint8_t *digest, size_t digest_len, const void *data, size_t size, uint64_t now)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = size > TEXTS_SIZE_MAX ? -EFBIG : 0;

	if (r == 0)
		r = db_prepare(
			d,
			"INSERT INTO text (digest, seen, size, data) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (digest) "
			"DO UPDATE SET seen = excluded.seen",
			&st);
	if (r < 0)
		return r;
	sqlite3_bind_blob(st, 1, digest, (int)digest_len, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)now);
	sqlite3_bind_int64(st, 3, (int64_t)size);
	sqlite3_bind_blob(st, 4, size ? data : "", (int)size, SQLITE_STATIC);
	r = db_step(d, st);
	return r < 0 ? r : 0;
}

int texts_trim(struct db *d)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(
		d,
		"DELETE FROM text WHERE digest IN (SELECT digest FROM (SELECT digest, sum(size) OVER (ORDER BY "
		"seen DESC, digest) AS upto FROM text) WHERE upto > ?1)",
		&st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, TEXTS_TOTAL_MAX);
	r = db_step(d, st);
	return r < 0 ? r : sqlite3_changes(sqlite3_db_handle(st));
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
