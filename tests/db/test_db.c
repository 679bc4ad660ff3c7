/* db/db, open, migrations: what is refused and with which words; transactions; steps of migration. */
#include "tests/db/store.h"

#include <fcntl.h>
#include <sys/wait.h>

static void damage_none(struct store *s _unused_)
{
}

static void damage_removed(struct store *s)
{
	assert_int_equal(unlink(s->path), 0);
}

static void damage_removed_both(struct store *s)
{
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(unlink(s->head), 0);
}

static void damage_text(struct store *s)
{
	FILE *f = fopen(s->path, "w");

	fputs("this is not a database, whatever its name says; it is long enough to be looked at, though\n", f);
	fclose(f);
}

static void damage_empty(struct store *s)
{
	assert_int_equal(truncate(s->path, 0), 0);
}

static void damage_cut(struct store *s)
{
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(truncate(s->path, 4096), 0);
}

static void damage_folder(struct store *s)
{
	damage_removed(s);
	assert_int_equal(mkdir(s->path, 0700), 0);
}

static void damage_fifo(struct store *s)
{
	damage_removed(s);
	assert_int_equal(mkfifo(s->path, 0600), 0);
}

static void damage_symlink(struct store *s)
{
	char other[128];

	snprintf(other, sizeof(other), "%s.real", s->path);
	assert_int_equal(rename(s->path, other), 0);
	assert_int_equal(symlink(other, s->path), 0);
}

static void damage_foreign(struct store *s)
{
	damage_removed(s);
	store_sql(s->path, "CREATE TABLE t (x); PRAGMA application_id = 77");
}

static void damage_newer(struct store *s)
{
	store_sql(s->path, "PRAGMA user_version = 1000");
}

static void damage_trigger(struct store *s)
{
	store_sql(s->path, "CREATE TRIGGER hide AFTER INSERT ON event BEGIN DELETE FROM event WHERE id = new.id; END");
}

static void damage_view(struct store *s)
{
	store_sql(s->path, "DROP VIEW alerts; CREATE VIEW alerts AS SELECT 1");
}

static void damage_table(struct store *s)
{
	store_sql(s->path, "CREATE TABLE extra (x)");
}

static void damage_index(struct store *s)
{
	store_sql(s->path, "DROP INDEX event_path");
}

static const struct damage {
	const char *name;
	void (*fn)(struct store *s);
	int read, write, create; /* results of db_open in each mode */
	const char *text;	 /* in the message of the first that fails */
} damages[] = {
	{ "none", damage_none, 0, 0, 0, "" },
	{ "removed", damage_removed, -ENOENT, -ENOENT, -ENOENT, "head file" },
	{ "removed with its head file", damage_removed_both, -ENOENT, -ENOENT, 0, "holdfast init" },
	{ "text", damage_text, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "not a holdfast database" },
	{ "empty", damage_empty, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "empty" },
	{ "cut short", damage_cut, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "corrupt or truncated" },
	{ "a folder", damage_folder, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "not a regular file" },
	{ "a fifo", damage_fifo, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "not a regular file" },
	{ "a symlink", damage_symlink, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "not a regular file" },
	{ "another program's", damage_foreign, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "another program" },
	{ "newer", damage_newer, -EPROTONOSUPPORT, -EPROTONOSUPPORT, -EPROTONOSUPPORT, "newer version" },
	{ "a trigger", damage_trigger, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "trigger hide was added" },
	{ "a view altered", damage_view, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "view alerts was altered" },
	{ "a table added", damage_table, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "table extra was added" },
	{ "an index dropped", damage_index, -EMEDIUMTYPE, -EMEDIUMTYPE, -EMEDIUMTYPE, "index event_path is missing" },
};

static void open_expecting(struct store *s, const struct damage *c, enum db_mode mode, int expected)
{
	struct db *d = NULL;
	int r;

	buf_reset(&s->err);
	buf_str(&s->err, "");
	r = db_open(&s->options, mode, &d, &s->err);
	if (r != expected)
		fail_msg("%s, mode %d: %d instead of %d: %s", c->name, mode, r, expected, s->err.data);
	if (r < 0 && !strstr(s->err.data, c->text))
		fail_msg("%s, mode %d: no \"%s\" in: %s", c->name, mode, c->text, s->err.data);
	if (d)
		db_close(d);
}

static void test_damages(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		struct store s;

		store_new(&s);
		store_small(&s, "host", false);
		store_close(&s);
		damages[i].fn(&s);
		open_expecting(&s, &damages[i], DB_READ, damages[i].read);
		open_expecting(&s, &damages[i], DB_WRITE, damages[i].write);
		if (!streq(damages[i].name, "removed with its head file"))
			open_expecting(&s, &damages[i], DB_CREATE, damages[i].create);
		store_free(&s);
	}
}

static void test_modes_and_owner(void **state _unused_)
{
	struct store s;
	struct stat st;
	struct db *d = NULL;

	store_new(&s);
	assert_int_equal(stat(s.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	store_close(&s);
	assert_int_equal(chmod(s.dir, 0777), 0);
	assert_int_equal(db_open(&s.options, DB_WRITE, &d, &s.err), -EPERM);
	assert_int_equal(chmod(s.dir, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(s.path, 1234, 0), 0);
		assert_int_equal(db_open(&s.options, DB_WRITE, &d, &s.err), -EPERM);
	}
	store_free(&s);
}

static void test_folder_made(void **state _unused_)
{
	struct store s;
	struct db_options o = { .path = NULL };
	struct db *d = NULL;
	struct stat st;
	char path[128];

	store_new(&s);
	snprintf(path, sizeof(path), "%s/sub/x.db", s.dir);
	o.path = path;
	assert_int_equal(db_open(&o, DB_CREATE, &d, &s.err), 0);
	db_close(d);
	snprintf(path, sizeof(path), "%s/sub", s.dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	store_free(&s);
}

static void test_locked(void **state _unused_)
{
	struct store s;
	struct db *d = NULL;
	sqlite3 *h;

	store_new(&s);
	store_close(&s);
	/* Exclusive locking mode keeps even readers of a WAL database out. */
	assert_int_equal(sqlite3_open(s.path, &h), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(h, "PRAGMA locking_mode=EXCLUSIVE; BEGIN IMMEDIATE; CREATE TABLE x (y)", NULL, NULL, NULL),
		SQLITE_OK);
	s.options.busy_ms = 50;
	assert_int_equal(db_open(&s.options, DB_WRITE, &d, &s.err), -EBUSY);
	assert_non_null(strstr(s.err.data, "locked by another program"));
	sqlite3_exec(h, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(h);

	/* A second writer waits its time and no longer. */
	store_open(&s, DB_WRITE);
	assert_int_equal(db_open(&s.options, DB_WRITE, &d, &s.err), 0);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_begin(d), -EBUSY);
	db_rollback(s.d);
	assert_int_equal(db_begin(d), 0);
	db_rollback(d);
	db_close(d);
	store_free(&s);
}

static int64_t meta_count(struct db *d)
{
	int64_t n = -1;

	assert_int_equal(db_number(d, "SELECT count(*) FROM meta", &n), 0);
	return n;
}

static void test_nesting(void **state _unused_)
{
	struct store s;

	store_new(&s);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_exec(s.d, "INSERT INTO meta VALUES ('a', 1)"), 0);
	assert_int_equal(db_commit(s.d), 0);
	db_rollback(s.d);
	assert_int_equal(meta_count(s.d), 0);

	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_exec(s.d, "INSERT INTO meta VALUES ('a', 1)"), 0);
	db_rollback(s.d);
	assert_int_equal(db_commit(s.d), -ECANCELED);
	assert_int_equal(meta_count(s.d), 0);

	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_exec(s.d, "INSERT INTO meta VALUES ('a', 1)"), 0);
	assert_int_equal(db_commit(s.d), 0);
	assert_int_equal(db_commit(s.d), 0);
	assert_int_equal(meta_count(s.d), 1);
	assert_int_equal(db_commit(s.d), -EINVAL);
	store_free(&s);
}

/* Another user reads: with the writer's files there, and without them in a folder that he may not write. */
static void read_as_other(struct store *s)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct db *d = NULL;
		struct buf err = BUF_INIT;
		int64_t n = 0;
		int r;

		if (setgid(4321) < 0 || setuid(4321) < 0)
			_exit(9);
		r = db_open(&s->options, DB_READ, &d, &err);
		if (r < 0)
			dprintf(2, "%s\n", err.data);
		if (r == 0)
			r = db_number(d, "SELECT count(*) FROM file", &n);
		_exit(r < 0 ? 1 : n == 135 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_group_reader(void **state _unused_)
{
	char command[512];
	struct store s;

	if (geteuid() != 0) {
		print_message("skipped: needs root to become another user\n");
		skip();
	}
	store_new(&s);
	store_small(&s, "host", false);
	snprintf(command, sizeof(command), "chgrp -R 4321 %s && chmod 0750 %s && chmod 0640 %s*", s.dir, s.dir, s.path);
	assert_int_equal(system(command), 0);
	read_as_other(&s);
	store_close(&s);
	read_as_other(&s);
	store_free(&s);
}

/* --- migrations */

static const char *const step_1[] = { "CREATE TABLE a (x)", "INSERT INTO a VALUES (1)", NULL };
static const char *const step_2[] = { "ALTER TABLE a ADD COLUMN y", NULL };
static const char *const step_3[] = { "INSERT INTO a VALUES (2, 3)", "SELECT fails FROM nowhere", NULL };
static const struct migration steps[] = { { 1, step_1 }, { 2, step_2 }, { 5, step_3 } };
static const char *const no_views[] = { NULL };
static const char *const views[] = { "CREATE VIEW v AS SELECT x, y FROM a", NULL };
static const struct schema first = { steps, 1, no_views }, second = { steps, 2, views }, failing = { steps, 3, views };

static int count_rows(sqlite3 *h, const char *sql)
{
	sqlite3_stmt *st;
	int n = -1;

	assert_int_equal(sqlite3_prepare_v2(h, sql, -1, &st, NULL), SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return n;
}

static void test_migrations(void **state _unused_)
{
	_cleanup_buf_ struct buf what = BUF_INIT;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(":memory:", &h), SQLITE_OK);
	assert_int_equal(db_migrate(h, &first), SQLITE_OK);
	assert_int_equal(count_rows(h, "PRAGMA user_version"), 1);
	assert_int_equal(db_check_schema(h, &first, 1, &what), 0);
	assert_int_equal(db_check_schema(h, &second, 2, &what), -EMEDIUMTYPE);
	assert_int_equal(db_migrate(h, &second), SQLITE_OK);
	assert_int_equal(db_migrate(h, &second), SQLITE_OK);
	assert_int_equal(count_rows(h, "PRAGMA user_version"), 2);
	assert_int_equal(count_rows(h, "SELECT count(*) FROM v"), 1);
	assert_int_equal(db_check_schema(h, &second, 2, &what), 0);
	/* A step that fails leaves nothing of itself. */
	assert_int_equal(db_migrate(h, &failing), SQLITE_ERROR);
	assert_int_equal(count_rows(h, "PRAGMA user_version"), 2);
	assert_int_equal(count_rows(h, "SELECT count(*) FROM v"), 1);
	sqlite3_close(h);
	for (size_t i = 1; i < db_schema.n; i++)
		assert_true(db_schema.steps[i].version > db_schema.steps[i - 1].version);
}

/* A store that was brought up version by version is what a new one is. */
static void test_migrations_slowly(void **state _unused_)
{
	_cleanup_buf_ struct buf what = BUF_INIT;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(":memory:", &h), SQLITE_OK);
	for (size_t i = 1; i <= db_schema.n; i++) {
		struct schema upto = { db_schema.steps, i, i == db_schema.n ? db_views : no_views };

		assert_int_equal(db_migrate(h, &upto), SQLITE_OK);
		assert_int_equal(count_rows(h, "PRAGMA user_version"), db_schema.steps[i - 1].version);
		assert_int_equal(db_check_schema(h, &db_schema, i, &what), 0);
	}
	sqlite3_close(h);
}

/* Views of before, whoever made them, do not last, and are no reason to refuse a store that is older. */
static void test_views_made_anew(void **state _unused_)
{
	_cleanup_buf_ struct buf what = BUF_INIT;
	sqlite3 *h;

	assert_int_equal(sqlite3_open(":memory:", &h), SQLITE_OK);
	assert_int_equal(db_migrate(h, &first), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(h,
			     "CREATE VIEW v AS SELECT 'forged' AS x; CREATE VIEW \"; \"\"x' DROP\" AS SELECT 1; "
			     "CREATE VIEW broken AS SELECT * FROM nowhere",
			     NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(db_check_schema(h, &second, 1, &what), 0);
	assert_int_equal(db_migrate(h, &second), SQLITE_OK);
	assert_int_equal(db_check_schema(h, &second, 2, &what), 0);
	assert_int_equal(count_rows(h, "SELECT count(*) FROM sqlite_master WHERE type = 'view'"), 1);
	assert_int_equal(count_rows(h, "SELECT count(y) FROM v"), 0);
	/* Of the newest they are looked at. */
	assert_int_equal(sqlite3_exec(h, "DROP VIEW v; CREATE VIEW v AS SELECT 1 AS x", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(db_check_schema(h, &second, 2, &what), -EMEDIUMTYPE);
	sqlite3_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damages),		cmocka_unit_test(test_modes_and_owner),
		cmocka_unit_test(test_folder_made),	cmocka_unit_test(test_locked),
		cmocka_unit_test(test_nesting),		cmocka_unit_test(test_group_reader),
		cmocka_unit_test(test_migrations),	cmocka_unit_test(test_migrations_slowly),
		cmocka_unit_test(test_views_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
