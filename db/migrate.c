/*
 * Brings a database from its version to this program's by the table of migrations (migrations.c) and the list of views
 * (views.c), and says whether its schema is the one they make. Runs on whatever thread opens a database. It keeps no
 * state.
 */
#include <errno.h>
#include <stdio.h>

#include "db/store.h"

static int user_version(sqlite3 *h, int *ret)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(h, "PRAGMA user_version", -1, &st, NULL);

	if (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
		*ret = sqlite3_column_int(st, 0);
	return rc == SQLITE_OK ? sqlite3_finalize(st) : rc;
}

/* Whatever they are called: somebody may have made some of his own. */
static int drop_views(sqlite3 *h)
{
	sqlite3_stmt *st = NULL;
	char *sql;
	int rc = sqlite3_prepare_v2(h, "SELECT name FROM sqlite_master WHERE type = 'view' LIMIT 1", -1, &st, NULL);

	while (rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
		sql = sqlite3_mprintf("DROP VIEW \"%w\"", sqlite3_column_text(st, 0));
		sqlite3_reset(st);
		rc = sql ? sqlite3_exec(h, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
		sqlite3_free(sql);
	}
	return rc == SQLITE_OK ? sqlite3_finalize(st) : (sqlite3_finalize(st), rc);
}

static int run_all(sqlite3 *h, const char *const *sql)
{
	int rc = SQLITE_OK;

	for (; *sql && rc == SQLITE_OK; sql++)
		rc = sqlite3_exec(h, *sql, NULL, NULL, NULL);
	return rc;
}

static int migrate_locked(sqlite3 *h, const struct schema *schema)
{
	char pragmas[96];
	size_t from = 0;
	int version = 0;
	int rc = user_version(h, &version);

	/* Somebody else may have done some between our look and our lock. */
	while (from < schema->n && schema->steps[from].version <= version)
		from++;
	if (rc != SQLITE_OK || from == schema->n)
		return rc;
	rc = drop_views(h);
	for (size_t i = from; i < schema->n && rc == SQLITE_OK; i++)
		rc = run_all(h, schema->steps[i].sql);
	if (rc == SQLITE_OK)
		rc = run_all(h, schema->views);
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=%d", DB_APPLICATION_ID,
		 schema->steps[schema->n - 1].version);
	return rc == SQLITE_OK ? sqlite3_exec(h, pragmas, NULL, NULL, NULL) : rc;
}

int db_migrate(sqlite3 *h, const struct schema *schema)
{
	int rc = sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = migrate_locked(h, schema);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(h, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(h))
		sqlite3_exec(h, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* ANALYZE may have been run by hand: its tables hold only statistics. */
#define SCHEMA_SQL                                                                                                     \
	"SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_stat%' "      \
	"ESCAPE '\\' AND (type <> 'view' OR ?1) ORDER BY type, name"

static const char *column(sqlite3_stmt *st, int i)
{
	const char *s = (const char *)sqlite3_column_text(st, i);

	return s ? s : "";
}

static void schema_note(struct buf *b, sqlite3_stmt *st, const char *how)
{
	buf_printf(b, "%s ", column(st, 0));
	display_escape(b, column(st, 1));
	buf_printf(b, " %s", how);
}

static int schema_compare(sqlite3_stmt *have, sqlite3_stmt *want, struct buf *ret_what)
{
	for (;;) {
		int rh = sqlite3_step(have);
		int rw = sqlite3_step(want);
		int c = 0;

		if (rw != SQLITE_ROW && rh == SQLITE_DONE)
			return 0;
		if (rh != SQLITE_ROW && rh != SQLITE_DONE) {
			buf_str(ret_what, "its table of contents cannot be read");
			return -EMEDIUMTYPE;
		}
		if (rh == SQLITE_ROW && rw == SQLITE_ROW)
			for (int i = 0; i < 2 && c == 0; i++)
				c = strcmp(column(have, i), column(want, i));
		if (rw != SQLITE_ROW || c < 0)
			schema_note(ret_what, have, "was added");
		else if (rh != SQLITE_ROW || c > 0)
			schema_note(ret_what, want, "is missing");
		else if (!streq(column(have, 2), column(want, 2)) || !streq(column(have, 3), column(want, 3)))
			schema_note(ret_what, have, "was altered");
		else
			continue;
		return -EMEDIUMTYPE;
	}
}

int db_check_schema(sqlite3 *h, const struct schema *schema, size_t steps, struct buf *ret_what)
{
	static const char *const no_views[] = { NULL };
	bool newest = steps == schema->n;
	struct schema then = { schema->steps, steps, newest ? schema->views : no_views };
	_cleanup_finalize_ sqlite3_stmt *have = NULL, *want = NULL;
	sqlite3 *model = NULL;
	int r = -ENOMEM;
	int rc = sqlite3_open_v2(":memory:", &model, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK)
		rc = db_migrate(model, &then);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(model, SCHEMA_SQL, -1, &want, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_prepare_v2(h, SCHEMA_SQL, -1, &have, NULL);
		sqlite3_bind_int(want, 1, newest);
		sqlite3_bind_int(have, 1, newest);
		r = rc == SQLITE_OK ? schema_compare(have, want, ret_what) : db_errno(h, rc);
	}
	sqlite3_finalize(TAKE_PTR(want));
	sqlite3_close(model);
	return r;
}
