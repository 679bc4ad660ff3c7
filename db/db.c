/*
 * The connection: statements, errors and transactions. (Opening and its checks are in open.c.) A struct db belongs to
 * the thread that uses it; nothing here is shared.
 */
#include "db/db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "db/store.h"

struct errno_row {
	int rc;
	int err;
	const char *hint;
};

/* Primary result codes; whatever is not here is -EIO. */
static const struct errno_row errno_table[] = {
	{ SQLITE_NOMEM, ENOMEM, NULL },
	{ SQLITE_BUSY, EBUSY, "another program holds the database" },
	{ SQLITE_LOCKED, EBUSY, "another program holds the database" },
	{ SQLITE_FULL, ENOSPC, "the disk is full" },
	{ SQLITE_CORRUPT, EMEDIUMTYPE, "the database is corrupt: restore it from a backup" },
	{ SQLITE_NOTADB, EMEDIUMTYPE, "the file is not a database" },
	{ SQLITE_FORMAT, EMEDIUMTYPE, "the file is not a database" },
	{ SQLITE_READONLY, EROFS, "the database cannot be written" },
	{ SQLITE_PERM, EACCES, NULL },
	{ SQLITE_AUTH, EACCES, NULL },
	{ SQLITE_CANTOPEN, EACCES, NULL },
	{ SQLITE_TOOBIG, E2BIG, NULL },
	{ SQLITE_INTERRUPT, EINTR, NULL },
	/* The schema was checked, so a constraint that fails means rows that contradict each other. */
	{ SQLITE_CONSTRAINT, EMEDIUMTYPE, "the database is corrupt: restore it from a backup" },
	{ SQLITE_MISMATCH, EMEDIUMTYPE, "the database is corrupt: restore it from a backup" },
	{ SQLITE_ERROR, EMEDIUMTYPE, NULL },
};

static const struct errno_row *errno_find(int rc)
{
	for (size_t i = 0; i < ARRAY_SIZE(errno_table); i++)
		if (errno_table[i].rc == (rc & 0xff))
			return &errno_table[i];
	return NULL;
}

int db_errno(sqlite3 *h, int rc)
{
	const struct errno_row *row = errno_find(rc);
	int system = h ? sqlite3_system_errno(h) : 0;

	if (row)
		return -row->err;
	return (rc & 0xff) == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT || system == EROFS) ? -system
													: -EIO;
}

int db_fail(struct db *d, int rc, const char *what)
{
	const struct errno_row *row = errno_find(rc);

	buf_reset(&d->error);
	buf_printf(&d->error, "%s: %s", what, sqlite3_errmsg(d->h));
	if (row && row->hint)
		buf_printf(&d->error, " (%s)", row->hint);
	return db_errno(d->h, rc);
}

int db_failf(struct db *d, int r, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_reset(&d->error);
	buf_str(&d->error, text);
	return r;
}

const char *db_error(struct db *d)
{
	return d->error.len > 0 && !d->error.failed ? d->error.data : "";
}

int db_exec(struct db *d, const char *sql)
{
	int rc = sqlite3_exec(d->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : db_fail(d, rc, "store");
}

int db_prepare(struct db *d, const char *sql, sqlite3_stmt **ret)
{
	int rc = sqlite3_prepare_v2(d->h, sql, -1, ret, NULL);

	return rc == SQLITE_OK ? 0 : db_fail(d, rc, "store");
}

int db_stmt(struct db *d, enum statement id, sqlite3_stmt **ret)
{
	sqlite3_stmt **st = &d->stmts[id];
	int rc;

	if (*st) {
		sqlite3_reset(*st);
		sqlite3_clear_bindings(*st);
	} else {
		rc = sqlite3_prepare_v3(d->h, statement_sql[id], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
		if (rc != SQLITE_OK)
			return db_fail(d, rc, "store");
	}
	*ret = *st;
	return 0;
}

int db_step(struct db *d, sqlite3_stmt *st)
{
	int rc = sqlite3_step(st);
	int r;

	if (rc == SQLITE_ROW)
		return 1;
	r = rc == SQLITE_DONE ? 0 : db_fail(d, rc, "store");
	sqlite3_reset(st);
	return r;
}

int db_run(struct db *d, sqlite3_stmt *st)
{
	int r = db_step(d, st);

	if (r > 0) {
		sqlite3_reset(st);
		r = 0;
	}
	return r;
}

int db_number(struct db *d, const char *sql, int64_t *ret)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(d, sql, &st);

	if (r == 0)
		r = db_step(d, st);
	if (r < 0)
		return r;
	*ret = r > 0 ? sqlite3_column_int64(st, 0) : 0;
	return 0;
}

int db_hash(struct db *d, const void *data, size_t len, uint8_t ret[DB_HASH_SIZE])
{
	uint8_t full[DIGEST_MAX];
	int r = digest_once(d->blake, data, len, full);

	if (r == 0)
		memcpy(ret, full, DB_HASH_SIZE);
	return r;
}

/* --- transactions */

static int run_stmt(struct db *d, enum statement id)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, id, &st);

	return r < 0 ? r : db_run(d, st);
}

int db_begin(struct db *d)
{
	int r = 0;

	if (d->depth == 0) {
		chain_reset(d);
		d->doomed = false;
		d->transaction++;
		r = run_stmt(d, STMT_BEGIN);
	}
	if (r == 0)
		d->depth++;
	return r;
}

static int remember(struct db *d, struct fresh f)
{
	if (d->n_fresh == d->room_fresh) {
		size_t room = d->room_fresh ? d->room_fresh * 2 : 64;
		struct fresh *grown = reallocarray(d->fresh, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		d->fresh = grown;
		d->room_fresh = room;
	}
	d->fresh[d->n_fresh++] = f;
	return 0;
}

int db_stored_process(struct db *d, struct process *p, int64_t row)
{
	int r = remember(d, (struct fresh){ .process = p });

	if (r == 0)
		atomic_store(&process_ref(p)->row, row);
	return r;
}

int db_stored_container(struct db *d, struct container *c, int64_t row)
{
	int r = remember(d, (struct fresh){ .container = c });

	if (r == 0)
		atomic_store(&container_ref(c)->row, row);
	return r;
}

static void forget_stored(struct db *d, bool committed)
{
	for (size_t i = 0; i < d->n_fresh; i++) {
		const struct fresh *f = &d->fresh[i];

		if (!committed)
			atomic_store(f->process ? &f->process->row : &f->container->row, 0);
		process_unref(f->process);
		container_unref(f->container);
	}
	d->n_fresh = 0;
}

static void rollback(struct db *d)
{
	/* SQLite may have rolled back by itself (full disk); then there is nothing left to do. */
	if (!sqlite3_get_autocommit(d->h))
		sqlite3_exec(d->h, "ROLLBACK", NULL, NULL, NULL);
	chain_reset(d);
	forget_stored(d, false);
	d->transaction++;
	d->texts.known = false;
}

void db_rollback(struct db *d)
{
	if (d->depth == 0)
		return;
	if (--d->depth == 0)
		rollback(d);
	else
		d->doomed = true;
}

int db_commit(struct db *d)
{
	struct batch batch;
	bool sealed = false;
	int r;

	if (d->depth == 0)
		return db_failf(d, -EINVAL, "commit without a transaction");
	if (--d->depth > 0)
		return d->doomed ? db_failf(d, -ECANCELED, "a part of this transaction failed") : 0;
	if (d->doomed || sqlite3_get_autocommit(d->h)) {
		rollback(d);
		return db_failf(d, -ECANCELED, "the transaction had failed");
	}
	r = chain_seal(d, &batch, &sealed);
	if (r == 0)
		r = run_stmt(d, STMT_COMMIT);
	if (r < 0) {
		rollback(d);
		return r;
	}
	if (sealed)
		chain_committed(d, &batch);
	chain_reset(d);
	forget_stored(d, true);
	return 0;
}

int db_set_journal(struct db *d, const char *mode)
{
	char sql[64];

	snprintf(sql, sizeof(sql), "PRAGMA journal_mode=%s", mode);
	return db_exec(d, sql);
}

int db_snapshot_begin(struct db *d)
{
	int64_t unused;
	int r = db_exec(d, "BEGIN");

	/* The snapshot is that of the first read. */
	return r < 0 ? r : db_number(d, "SELECT 1 FROM meta", &unused);
}

void db_snapshot_end(struct db *d)
{
	if (d->depth == 0 && !sqlite3_get_autocommit(d->h))
		sqlite3_exec(d->h, "COMMIT", NULL, NULL, NULL);
}

static uint64_t file_size(const char *path, const char *suffix)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct stat st;

	buf_printf(&b, "%s%s", path, suffix);
	return !b.failed && stat(b.data, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void db_rest(struct db *d)
{
	sqlite3_db_release_memory(d->h);
}

void db_checkpoint(struct db *d)
{
	sqlite3_wal_checkpoint_v2(d->h, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

int db_in_place(struct db *d)
{
	int moved = 0, rc = sqlite3_file_control(d->h, "main", SQLITE_FCNTL_HAS_MOVED, &moved);

	if (rc != SQLITE_OK)
		return db_fail(d, rc, "store");
	return moved ? db_failf(d, -ESTALE, "the database was moved, removed or replaced: put it back") : 0;
}

uint64_t db_size(struct db *d)
{
	return file_size(d->path, "") + file_size(d->path, "-wal");
}
