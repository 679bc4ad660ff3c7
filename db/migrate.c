/*
 * Brings a database from its version to this program's by the table of migrations (migrations.c), and says whether its
 * schema is the one they make. Runs on whatever thread opens a database. It keeps no state.
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

/* The name in "CREATE VIEW name AS..." or "DROP VIEW name", its length in *ret_len; NULL: another statement. */
static const char *view_name(const char *sql, const char *verb, size_t *ret_len)
{
	size_t len = strlen(verb);

	if (strncmp(sql, verb, len) != 0)
		return NULL;
	*ret_len = strcspn(sql + len, " ");
	return sql + len;
}

/* Whether a statement from first up to end (NULL: of the migration) does that to the view. */
static bool names_view(const char *const *first, const char *const *end, const char *verb, const char *name, size_t len)
{
	const char *other;
	size_t other_len;

	for (; *first && first != end; first++) {
		other = view_name(*first, verb, &other_len);
		if (other && other_len == len && memcmp(other, name, len) == 0)
			return true;
	}
	return false;
}

/* A view that a later version makes anew need not be made, nor dropped: of a new store, half of all statements. */
static bool is_superseded(const struct migration *table, size_t n, size_t from, size_t at, const char *const *sql)
{
	size_t len;
	const char *name = view_name(*sql, "CREATE VIEW ", &len);

	if (name) {
		bool dropped = names_view(sql, NULL, "DROP VIEW ", name, len);

		for (size_t i = at + 1; i < n && !dropped; i++)
			dropped = names_view(table[i].sql, NULL, "DROP VIEW ", name, len);
		return dropped;
	}
	name = view_name(*sql, "DROP VIEW ", &len);
	for (size_t i = from; name && i <= at; i++)
		if (names_view(table[i].sql, i == at ? sql : NULL, "CREATE VIEW ", name, len))
			return true;
	return false;
}

static int migrate_locked(sqlite3 *h, const struct migration *table, size_t n)
{
	char pragmas[96];
	size_t from = 0;
	int version = 0;
	int rc = user_version(h, &version);

	/* Somebody else may have done some between our look and our lock. */
	while (from < n && table[from].version <= version)
		from++;
	for (size_t i = from; i < n && rc == SQLITE_OK; i++) {
		for (const char *const *sql = table[i].sql; *sql && rc == SQLITE_OK; sql++)
			if (!is_superseded(table, n, from, i, sql))
				rc = sqlite3_exec(h, *sql, NULL, NULL, NULL);
		version = table[i].version;
	}
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id=%d; PRAGMA user_version=%d", DB_APPLICATION_ID,
		 version);
	return rc == SQLITE_OK && from < n ? sqlite3_exec(h, pragmas, NULL, NULL, NULL) : rc;
}

int db_migrate(sqlite3 *h, const struct migration *table, size_t n)
{
	int rc = sqlite3_exec(h, "BEGIN IMMEDIATE", NULL, NULL, NULL);

	if (rc == SQLITE_OK)
		rc = migrate_locked(h, table, n);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(h, "COMMIT", NULL, NULL, NULL);
	if (rc != SQLITE_OK && !sqlite3_get_autocommit(h))
		sqlite3_exec(h, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

/* ANALYZE may have been run by hand: its tables hold only statistics. */
#define SCHEMA_SQL                                                                                                     \
	"SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_stat%' "      \
	"ESCAPE '\\' "                                                                                                 \
	"ORDER BY type, name"

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

int db_check_schema(sqlite3 *h, const struct migration *table, size_t n, struct buf *ret_what)
{
	_cleanup_finalize_ sqlite3_stmt *have = NULL, *want = NULL;
	sqlite3 *model = NULL;
	int r = -ENOMEM;
	int rc = sqlite3_open_v2(":memory:", &model, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

	if (rc == SQLITE_OK)
		rc = db_migrate(model, table, n);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(model, SCHEMA_SQL, -1, &want, NULL);
	if (rc == SQLITE_OK) {
		rc = sqlite3_prepare_v2(h, SCHEMA_SQL, -1, &have, NULL);
		r = rc == SQLITE_OK ? schema_compare(have, want, ret_what) : db_errno(h, rc);
	}
	sqlite3_finalize(TAKE_PTR(want));
	sqlite3_close(model);
	return r;
}
