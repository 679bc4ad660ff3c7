/*
 * Owns table trusted. Rows are added and marked as removed inside the caller's transaction, which seals the table as a
 * whole; a reader takes nothing for granted that stands in it. The thread of the connection.
 */
#include "db/trusted.h"

#include <errno.h>

#include "db/store.h"
#include "lib/text.h"

static const char each_sql[] = "SELECT id, kind, digest, path, reason, added, added_by, until, removed, removed_by, "
			       "removed_reason FROM trust_entry WHERE ?2 OR (" TRUSTED_IN_FORCE ") ORDER BY id";

/* --- reading */

static const char *text_or_null(sqlite3_stmt *st, int col)
{
	return (const char *)sqlite3_column_text(st, col);
}

/* Bytes that were stored as a blob, as a string: NULL when there is none or a NUL in it. */
static const char *string_of(sqlite3_stmt *st, int col, struct buf *b)
{
	const char *p = sqlite3_column_blob(st, col);
	size_t len = (size_t)sqlite3_column_bytes(st, col);

	if (!p || memchr(p, '\0', len))
		return NULL;
	buf_reset(b);
	buf_add(b, p, len);
	return b->failed ? NULL : b->data;
}

static int read_row(struct db *d, sqlite3_stmt *st, struct buf *path, struct trusted *ret)
{
	*ret = (struct trusted){
		.id = sqlite3_column_int64(st, 0),
		.kind = (enum trusted_kind)sqlite3_column_int(st, 1),
		.path = string_of(st, 3, path),
		.reason = text_or_null(st, 4),
		.added = (uint64_t)sqlite3_column_int64(st, 5),
		.added_by = text_or_null(st, 6),
		.until = (uint64_t)sqlite3_column_int64(st, 7),
		.removed = (uint64_t)sqlite3_column_int64(st, 8),
		.removed_by = text_or_null(st, 9),
		.removed_reason = text_or_null(st, 10),
	};
	if (sqlite3_column_bytes(st, 2) == TRUSTED_DIGEST_SIZE)
		ret->digest = sqlite3_column_blob(st, 2);
	if (((ret->kind == TRUSTED_DIGEST || ret->kind == TRUSTED_DENIED) && ret->digest) ||
	    (ret->kind == TRUSTED_PATH && ret->path && ret->path[0] == '/'))
		return 0;
	return db_failf(d, -EBADMSG, "trust entry %lld is neither a digest nor a path", (long long)ret->id);
}

int trusted_each(struct db *d, bool all, uint64_t now, int (*fn)(const struct trusted *t, void *data), void *data)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct trusted t;
	int r = db_prepare(d, each_sql, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)now);
	sqlite3_bind_int(st, 2, all);
	while ((r = db_step(d, st)) > 0) {
		r = read_row(d, st, &path, &t);
		if (r == 0)
			r = fn(&t, data);
		if (r)
			return r;
	}
	return r;
}

/* --- writing */

/* The entry that says the same and is in force: 0 none. */
static int find_same(struct db *d, const struct trusted *t, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_TRUSTED_FIND, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)t->added);
	sqlite3_bind_int(st, 2, (int)t->kind);
	if (t->kind != TRUSTED_PATH)
		sqlite3_bind_blob(st, 3, t->digest, TRUSTED_DIGEST_SIZE, SQLITE_STATIC);
	else
		sqlite3_bind_blob64(st, 3, t->path, strlen(t->path), SQLITE_STATIC);
	if (t->until)
		sqlite3_bind_int64(st, 4, (int64_t)t->until);
	r = db_step(d, st);
	*ret_id = r > 0 ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

static int bind_path(sqlite3_stmt *st, int col, const char *path, struct buf *scratch)
{
	if (!path)
		return SQLITE_OK;
	sqlite3_bind_blob64(st, col, path, strlen(path), SQLITE_STATIC);
	return display_bind(st, col + 1, path, strlen(path), scratch);
}

static int insert(struct db *d, const struct trusted *t, int64_t *ret_id)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_TRUSTED_ADD, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int(st, 1, (int)t->kind);
	if (t->digest)
		sqlite3_bind_blob(st, 2, t->digest, TRUSTED_DIGEST_SIZE, SQLITE_STATIC);
	if (bind_path(st, 3, t->path, &d->scratch) != SQLITE_OK ||
	    display_bind_text(st, 5, t->reason, &d->scratch) != SQLITE_OK ||
	    display_bind_text(st, 7, t->added_by, &d->scratch) != SQLITE_OK)
		return -ENOMEM;
	sqlite3_bind_int64(st, 6, (int64_t)t->added);
	if (t->until)
		sqlite3_bind_int64(st, 8, (int64_t)t->until);
	r = db_run(d, st);
	*ret_id = sqlite3_last_insert_rowid(d->h);
	return r;
}

int trusted_add(struct db *d, const struct trusted *t, int64_t *ret_id)
{
	int most = t->kind == TRUSTED_DENIED ? TRUSTED_DENIED_MAX : TRUSTED_MAX;
	sqlite3_stmt *st;
	int64_t n;
	int r = chain_change_baselines(d);

	if (r == 0)
		r = find_same(d, t, ret_id);
	if (r < 0 || *ret_id)
		return r < 0 ? r : 1;
	r = db_stmt(d, STMT_TRUSTED_COUNT, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)t->added);
	sqlite3_bind_int(st, 2, t->kind == TRUSTED_DENIED);
	r = db_step(d, st);
	n = r > 0 ? sqlite3_column_int64(st, 0) : 0;
	sqlite3_reset(st);
	if (r < 0)
		return r;
	if (n >= most)
		return db_failf(d, -E2BIG, "%d entries are in force, which is the limit", most);
	return insert(d, t, ret_id);
}

static int forget_oldest(struct db *d, uint64_t now)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_TRUSTED_FORGET, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)now);
	sqlite3_bind_int64(st, 2, TRUSTED_KEPT_MAX);
	return db_run(d, st);
}

int trusted_remove(struct db *d, int64_t id, const char *by, const char *reason, uint64_t now)
{
	sqlite3_stmt *st;
	int r = chain_change_baselines(d);

	if (r == 0)
		r = db_stmt(d, STMT_TRUSTED_REMOVE, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)now);
	sqlite3_bind_int64(st, 2, id);
	if (display_bind_text(st, 3, by, &d->scratch) != SQLITE_OK ||
	    display_bind_text(st, 4, reason, &d->scratch) != SQLITE_OK)
		return -ENOMEM;
	r = db_run(d, st);
	if (r == 0 && sqlite3_changes(d->h) == 0)
		return db_failf(d, -ENOENT, "there is no trust entry %lld in force", (long long)id);
	return r < 0 ? r : forget_oldest(d, now);
}
