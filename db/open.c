/*
 * Opening a database: what the file is, who may touch it, that its schema is ours, and how it is set up. Whatever is
 * wrong becomes a text that says what to do next. Runs on the thread that will own the connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "db/store.h"
#include "lib/clock.h"
#include "lib/text.h"

#define DB_BUSY_MS 5000

/* --- names of the files */

static void path_beside(const char *path, const char *name, struct buf *ret)
{
	const char *slash = strrchr(path, '/');

	if (slash)
		buf_add(ret, path, (size_t)(slash - path) + 1);
	buf_str(ret, name);
}

int db_key_path(const struct db_options *o, struct buf *ret)
{
	if (o->key)
		buf_str(ret, o->key);
	else
		path_beside(o->path, "signing.key", ret);
	return ret->failed ? -ENOMEM : 0;
}

int db_head_path(const struct db_options *o, struct buf *ret)
{
	if (o->head)
		buf_str(ret, o->head);
	else
		path_beside(o->path, "holdfast.head", ret);
	return ret->failed ? -ENOMEM : 0;
}

/* --- texts */

static int complain(struct buf *err, const char *path, int r, const char *text)
{
	if (err) {
		buf_str(err, "database ");
		text_escape(err, path, strlen(path));
		buf_printf(err, ": %s", text);
	}
	return r;
}

static int complain_errno(struct buf *err, const char *path, int r)
{
	return complain(err, path, r, strerror(-r));
}

/* What a failure of SQLite means for whoever tried to open. */
static int complain_sqlite(struct buf *err, const struct db *d, int rc)
{
	int r = db_errno(d->h, rc);

	switch (r) {
	case -EBUSY:
		return complain(err, d->path, r,
				"is locked by another program; see who holds it with fuser, or try again");
	case -EMEDIUMTYPE:
		return complain(err, d->path, r,
				"is not a holdfast database, or is corrupt or truncated: restore it from a "
				"backup, or move it and its head file away and take a new baseline");
	case -EROFS:
		return complain(err, d->path, r, "cannot be written: the file system or the file is read-only");
	case -EACCES:
		return complain(err, d->path, r,
				"may not be opened: run as root, or ask for read permission on it and its "
				"folder");
	case -ENOSPC:
		return complain(err, d->path, r, "the disk is full: make room and try again");
	default:
		return complain(err, d->path, r, sqlite3_errmsg(d->h));
	}
}

/* --- the file */

static int make_file(const char *path, struct buf *err)
{
	_cleanup_buf_ struct buf dir = BUF_INIT;
	_cleanup_close_ int fd = -1;

	path_beside(path, "", &dir);
	if (dir.failed)
		return -ENOMEM;
	if (dir.len > 1 && mkdir(dir.data, 0700) < 0 && errno != EEXIST)
		return complain_errno(err, path, -errno);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno != EEXIST)
		return complain_errno(err, path, -errno);
	return 0;
}

/* Whoever may put another file in its place owns the history. */
static int check_folder(const char *path, struct buf *err)
{
	_cleanup_buf_ struct buf dir = BUF_INIT;
	struct stat st;

	path_beside(path, ".", &dir);
	if (dir.failed)
		return -ENOMEM;
	if (stat(dir.data, &st) < 0)
		return complain_errno(err, path, -errno);
	if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & S_IWOTH))
		return complain(
			err, path, -EPERM,
			"lies in a folder that others may write: chown it to root and chmod 0700 it, or use another");
	return 0;
}

/* The head file is there and what it is the head of is not. */
static int complain_headless(const struct db *d, bool absent, struct buf *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	buf_printf(
		&text,
		"is %s, but the head file %s says that a store was here: restore it from a backup, or move that file away and take a "
		"new baseline with holdfast init. A second store wants a folder of its own",
		absent ? "missing" : "empty", d->head_path);
	return complain(err, d->path, absent ? -ENOENT : -EMEDIUMTYPE, text.failed ? strerror(ENOMEM) : text.data);
}

static int check_file(struct db *d, enum db_mode mode, struct buf *err)
{
	struct stat st;
	bool absent = lstat(d->path, &st) < 0;

	if (absent && errno != ENOENT)
		return complain_errno(err, d->path, -errno);
	if (!absent && !S_ISREG(st.st_mode))
		return complain(err, d->path, -EMEDIUMTYPE, "is not a regular file");
	/* SQLite takes a file of one byte for an empty one. */
	if ((absent || st.st_size <= 1) && access(d->head_path, F_OK) == 0)
		return complain_headless(d, absent, err);
	if (absent && mode != DB_CREATE)
		return complain(err, d->path, -ENOENT, "does not exist: take a baseline with holdfast init first");
	if (absent)
		return make_file(d->path, err);
	if (st.st_size <= 1 && mode != DB_CREATE)
		return complain(err, d->path, -EMEDIUMTYPE,
				"is empty: restore it from a backup, or remove it and take a new "
				"baseline with holdfast init");
	if (mode != DB_READ && st.st_uid != 0 && st.st_uid != geteuid())
		return complain(err, d->path, -EPERM, "belongs to another user: chown it to root");
	return 0;
}

/* --- the connection */

static const struct {
	int option;
	int value;
} db_config[] = {
	{ SQLITE_DBCONFIG_DEFENSIVE, 1 },      { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
	{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 }, { SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
	{ SQLITE_DBCONFIG_DQS_DDL, 0 },	       { SQLITE_DBCONFIG_DQS_DML, 0 },
};

/* No mmap: a file cut short under a mapping would be SIGBUS instead of an error. */
static const char *const pragmas_always = "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;";
/* Readers go through a baseline in order, or look up single rows: what is kept longer only takes memory. */
static const char *const pragma_cache[] = { "PRAGMA cache_size=-8192", "PRAGMA cache_size=-1024" };
/* The WAL grows to about 16 MiB in a bulk load, and is cut back to 4 after it. */
static const char *const pragmas_write = "PRAGMA wal_autocheckpoint=4096; PRAGMA journal_size_limit=4194304;";

/*
 * Looks every 2 ms: the monitor leaves the lock free for 5 between two commits, which SQLite's own handler, with pauses
 * of up to 100, could miss for long.
 */
static int wait_for_writer(void *data, int count)
{
	struct db *d = data;

	if (count == 0)
		d->busy_since = clock_mono_ns();
	if (clock_mono_ns() - d->busy_since >= d->busy_ms * NSEC_PER_MSEC)
		return 0;
	usleep(2000);
	return 1;
}

/* SQLite would count every allocation, under one lock for all connections; nobody asks. */
static void count_no_memory(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int open_handle(struct db *d, const char *name, int flags)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rc;

	pthread_once(&once, count_no_memory);
	sqlite3_close(d->h);
	d->h = NULL;
	rc = sqlite3_open_v2(name, &d->h,
			     flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(db_config) && rc == SQLITE_OK; i++)
		rc = sqlite3_db_config(d->h, db_config[i].option, db_config[i].value, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_busy_handler(d->h, wait_for_writer, d);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->h, pragmas_always, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->h, pragma_cache[!!(flags & SQLITE_OPEN_READONLY)], NULL, NULL, NULL);
	/* The first look at the file itself. */
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->h, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
	return rc;
}

static bool has_beside(const struct db *d, const char *suffix)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct stat st;

	buf_printf(&path, "%s%s", d->path, suffix);
	return path.failed || (stat(path.data, &st) == 0 && st.st_size > 0);
}

/*
 * A reader that may not write in the folder needs the -shm file of a running writer. When nobody runs there is none,
 * and, without a -wal, nothing that is not in the file: it can be read as it lies.
 */
static int open_immutable(struct db *d, int rc)
{
	_cleanup_buf_ struct buf uri = BUF_INIT;

	if (has_beside(d, "-wal") || has_beside(d, "-journal"))
		return rc;
	buf_str(&uri, "file:");
	for (const char *p = d->path; *p; p++)
		if (strchr("/-_.", *p) || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
		    (*p >= 'A' && *p <= 'Z'))
			buf_char(&uri, *p);
		else
			buf_printf(&uri, "%%%02x", (unsigned char)*p);
	buf_str(&uri, "?immutable=1");
	if (uri.failed)
		return SQLITE_NOMEM;
	return open_handle(d, uri.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI);
}

static int open_file(struct db *d, enum db_mode mode)
{
	int rc = open_handle(d, d->path, mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	int primary;

	/* The first init was killed: what it left is rolled back by a look from a connection that may write. */
	if (rc == SQLITE_READONLY_ROLLBACK) {
		rc = open_handle(d, d->path, SQLITE_OPEN_READWRITE);
		if (rc == SQLITE_OK)
			rc = open_handle(d, d->path, SQLITE_OPEN_READONLY);
	}
	primary = rc & 0xff;
	if (mode == DB_READ && (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY))
		rc = open_immutable(d, rc);
	return rc;
}

static int pragma_number(struct db *d, const char *sql, int64_t *ret, struct buf *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(d->h, sql, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int64(st, 0);
	rc = rc == SQLITE_ROW ? sqlite3_finalize(st) : (sqlite3_finalize(st), rc);
	return rc == SQLITE_OK ? 0 : complain_sqlite(err, d, rc);
}

/* *ret_steps is how many of the migrations the database has seen. */
static int check_version(struct db *d, enum db_mode mode, size_t *ret_steps, struct buf *err)
{
	int64_t newest = db_schema.steps[db_schema.n - 1].version;
	int64_t id = 0, version = 0, tables = 0;
	size_t steps = 0;
	int r = pragma_number(d, "PRAGMA application_id", &id, err);

	if (r == 0)
		r = pragma_number(d, "PRAGMA user_version", &version, err);
	if (r == 0)
		r = pragma_number(d, "SELECT count(*) FROM sqlite_master", &tables, err);
	if (r < 0)
		return r;
	if (mode == DB_CREATE && id == 0 && version == 0 && tables == 0) {
		*ret_steps = 0;
		return 0;
	}
	if (id != DB_APPLICATION_ID)
		return complain(err, d->path, -EMEDIUMTYPE, "is a database of another program");
	if (version > newest)
		return complain(err, d->path, -EPROTONOSUPPORT,
				"was made by a newer version of holdfast: use that one, or another database");
	if (version < newest && mode == DB_READ)
		return complain(err, d->path, -EPROTONOSUPPORT,
				"was made by an older version of holdfast: start the monitor or run holdfast init once "
				"as root to "
				"bring it up to date");
	while (steps < db_schema.n && db_schema.steps[steps].version <= version)
		steps++;
	*ret_steps = steps;
	return 0;
}

static int check_tables(struct db *d, size_t steps, struct buf *err)
{
	_cleanup_buf_ struct buf what = BUF_INIT;
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r = db_check_schema(d->h, &db_schema, steps, &what);

	if (r == 0 || what.len == 0)
		return r == 0 ? 0 : complain_errno(err, d->path, r);
	buf_printf(&text, "was tampered with: %s. Restore it from a backup", what.data);
	return complain(err, d->path, r, text.failed ? "was tampered with" : text.data);
}

static int set_up(struct db *d, enum db_mode mode, bool checked, struct buf *err)
{
	size_t steps = 0;
	int r = check_version(d, mode, &steps, err);
	int rc = SQLITE_OK;

	if (r == 0 && !checked)
		r = check_tables(d, steps, err);
	if (r < 0 || mode == DB_READ)
		return r;
	if (steps < db_schema.n) {
		/* Pages freed by pruning go back to the file system. Has no effect once there are tables. */
		rc = sqlite3_exec(d->h, "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL", NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			rc = db_migrate(d->h, &db_schema);
	}
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->h, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->h, pragmas_write, NULL, NULL, NULL);
	/* The files beside it stay: on a full disk none could be made anew, and nobody could even read. */
	if (rc == SQLITE_OK)
		rc = sqlite3_file_control(d->h, "main", SQLITE_FCNTL_PERSIST_WAL, &(int){ 1 });
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(d->h, d->sync_full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", NULL,
				  NULL, NULL);
	return rc == SQLITE_OK ? 0 : complain_sqlite(err, d, rc);
}

static int fill_paths(struct db *d, const struct db_options *o)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_buf_ struct buf head = BUF_INIT, key = BUF_INIT;

	/* Never a name that SQLite takes for something else (":memory:", ""). */
	buf_printf(&path, "%s%s", o->path[0] == '/' ? "" : "./", o->path);
	if (db_head_path(o, &head) < 0 || db_key_path(o, &key) < 0 || path.failed)
		return -ENOMEM;
	d->path = strdup(path.data);
	d->head_path = strdup(head.data);
	d->key_path = strdup(key.data);
	return d->path && d->head_path && d->key_path ? 0 : -ENOMEM;
}

/* SQLite's own count of memory costs a lock for each allocation, and nobody reads it. */
static void configure_sqlite(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int db_open(const struct db_options *o, enum db_mode mode, struct db **ret, struct buf *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_db_ struct db *d = calloc(1, sizeof(*d));
	int r, rc;

	pthread_once(&once, configure_sqlite);
	if (!d)
		return -ENOMEM;
	d->mode = mode;
	d->sync_full = o->sync_full;
	d->busy_ms = o->busy_ms ? o->busy_ms : DB_BUSY_MS;
	r = fill_paths(d, o);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &d->blake);
	if (r == 0)
		r = digest_new(DIGEST_BLAKE2B512, &d->chain.leaves);
	if (r < 0)
		return complain_errno(err, o->path, r);
	r = check_file(d, mode, err);
	if (r == 0 && mode != DB_READ)
		r = check_folder(d->path, err);
	if (r < 0)
		return r;
	rc = open_file(d, mode);
	if (rc != SQLITE_OK)
		return complain_sqlite(err, d, rc);
	r = set_up(d, mode, o->checked, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

void db_close(struct db *d)
{
	while (d->depth > 0)
		db_rollback(d);
	for (size_t i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(d->stmts[i]);
	sqlite3_close(d->h);
	digest_free(d->blake);
	digest_free(d->chain.leaves);
	buf_free(&d->error);
	buf_free(&d->scratch);
	free(d->fresh);
	recent_free(d->recent);
	free(d->path);
	free(d->head_path);
	free(d->key_path);
	free(d);
}
