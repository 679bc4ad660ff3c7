/*
 * Processes in the store: one row for each snapshot, its strings interned, its parents by reference. Rows are hashed
 * with the digest of their parent, so an event's digest covers who did it up to the first ancestor. Runs on the thread
 * of the connection; struct process.row is written here alone.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/store.h"
#include "lib/text.h"

#define CACHE_SLOTS 512

/* --- interned strings */

static int str_id(struct db *d, const char *s, int64_t *ret)
{
	size_t len = strlen(s);
	uint8_t hash[DB_HASH_SIZE];
	int64_t key;
	sqlite3_stmt *st;
	int r;

	if (recent_str(d, s, len, ret))
		return 0;
	r = db_hash(d, s, len, hash);
	memcpy(&key, hash, sizeof(key));
	if (r == 0)
		r = db_stmt(d, STMT_STR_FIND, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, key);
	sqlite3_bind_blob64(st, 2, s, len, SQLITE_STATIC);
	r = db_step(d, st);
	if (r < 0)
		return r;
	if (r > 0) {
		*ret = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
		recent_put_str(d, s, len, *ret);
		return 0;
	}
	r = db_stmt(d, STMT_STR_ADD, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, key);
	sqlite3_bind_blob64(st, 2, s, len, SQLITE_STATIC);
	display_bind(st, 3, s, len, &d->scratch);
	r = db_run(d, st);
	if (r < 0)
		return r;
	*ret = sqlite3_last_insert_rowid(d->h);
	recent_put_str(d, s, len, *ret);
	return 0;
}

/* Hashes the string, binds its number. */
static int row_str(struct row *r, const char *s)
{
	int64_t id = 0;
	int rc;

	if (!s) {
		row_null(r);
		return 0;
	}
	rc = str_id(r->d, s, &id);
	buf_u8(r->hash, 'b');
	buf_bytes(r->hash, s, strlen(s));
	sqlite3_bind_int64(r->st, r->col++, id);
	return rc;
}

/* --- writing */

/* argv with blanks between, as --json has it. */
static void row_cmdline(struct row *r, const struct process *p)
{
	_cleanup_buf_ struct buf shown = BUF_INIT;
	size_t len = p->cmdline_len;

	if (!(p->known & PROCESS_CMDLINE) || !p->cmdline) {
		row_null(r);
		row_null(r);
		return;
	}
	row_blob(r, p->cmdline, len);
	while (len && !p->cmdline[len - 1])
		len--;
	buf_add(&shown, p->cmdline, len);
	for (size_t i = 0; i < shown.len && !shown.failed; i++)
		if (!shown.data[i])
			shown.data[i] = ' ';
	if (p->cmdline_cut)
		buf_str(&shown, " ...");
	row_text(r, shown.failed || shown.len == 0 ? "" : shown.data);
}

static int fill_row(struct row *r, const struct process *p, int64_t parent)
{
	unsigned known = p->known;
	int rc;

	row_int(r, true, p->pid);
	row_int(r, known & PROCESS_START, (int64_t)p->start_ns);
	row_int(r, true, p->exec_count);
	row_int(r, true, known);
	row_int(r, known & PROCESS_PPID, p->ppid);
	row_int(r, known & PROCESS_IDS, p->uid);
	row_int(r, known & PROCESS_IDS, p->gid);
	row_int(r, known & PROCESS_IDS, p->euid);
	row_int(r, known & PROCESS_IDS, p->egid);
	row_int(r, known & PROCESS_LOGINUID, p->loginuid);
	row_int(r, known & PROCESS_SESSION, p->session);
	row_int(r, known & PROCESS_SID, p->sid);
	row_bytes(r, known & PROCESS_COMM ? p->comm : NULL);
	rc = row_str(r, known & PROCESS_EXE ? p->exe : NULL);
	row_cmdline(r, p);
	row_int(r, p->cmdline_cut, 1);
	if (rc == 0)
		rc = row_str(r, known & PROCESS_CWD ? p->cwd : NULL);
	if (rc == 0)
		rc = row_str(r, known & PROCESS_TTY ? p->tty : NULL);
	if (rc == 0)
		rc = row_str(r, known & PROCESS_CGROUP ? p->cgroup : NULL);
	row_int(r, parent != 0, parent);
	row_text(r, known & PROCESS_IDS ? user_name(p->uid) : NULL);
	row_text(r, known & PROCESS_LOGINUID ? user_name(p->loginuid) : NULL);
	return rc;
}

static int insert_process(struct db *d, struct process *p, int64_t parent, const uint8_t *parent_digest,
			  uint8_t ret[DB_HASH_SIZE])
{
	_cleanup_buf_ struct buf hash = BUF_INIT;
	struct row row = { .d = d, .col = 1, .hash = &hash };
	int r = db_stmt(d, STMT_PROCESS_ADD, &row.st);

	if (r == 0)
		r = fill_row(&row, p, parent);
	if (r < 0)
		return r;
	if (parent)
		buf_add(&hash, parent_digest, DB_HASH_SIZE);
	if (hash.failed || row.failed)
		return -ENOMEM;
	r = db_hash(d, hash.data, hash.len, ret);
	if (r < 0)
		return r;
	sqlite3_bind_blob(row.st, row.col, ret, DB_HASH_SIZE, SQLITE_STATIC);
	r = db_run(d, row.st);
	if (r < 0)
		return r;
	recent_put_digest(d, sqlite3_last_insert_rowid(d->h), ret);
	return db_stored_process(d, p, sqlite3_last_insert_rowid(d->h));
}

/* 1 when p has a row that is (still: pruning may have taken it) there. */
static int stored_row(struct db *d, struct process *p, int64_t *ret_row, uint8_t ret_digest[DB_HASH_SIZE])
{
	int64_t row = atomic_load(&p->row);
	sqlite3_stmt *st;
	int r;

	if (row == 0)
		return 0;
	if (recent_digest(d, row, ret_digest)) {
		*ret_row = row;
		return 1;
	}
	r = db_stmt(d, STMT_PROCESS_DIGEST, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	if (r > 0 && sqlite3_column_bytes(st, 0) == DB_HASH_SIZE) {
		memcpy(ret_digest, sqlite3_column_blob(st, 0), DB_HASH_SIZE);
		recent_put_digest(d, row, ret_digest);
		*ret_row = row;
	} else if (r > 0) {
		r = 0;
	}
	sqlite3_reset(st);
	return r;
}

int process_store(struct db *d, struct process *p, int64_t *ret_row, uint8_t ret_digest[DB_HASH_SIZE])
{
	struct process *line[PROCESS_DEPTH_MAX + 1];
	uint8_t digest[DB_HASH_SIZE];
	int64_t parent = 0;
	size_t n = 0;
	int r = 0;

	/* Up to the first ancestor that has a row, then down again. */
	for (struct process *a = p; a && n < ARRAY_SIZE(line); a = a->parent) {
		r = stored_row(d, a, &parent, digest);
		if (r != 0)
			break;
		line[n++] = a;
	}
	while (n > 0 && r >= 0) {
		n--;
		r = insert_process(d, line[n], parent, digest, digest);
		parent = atomic_load(&line[n]->row);
	}
	if (r < 0)
		return r;
	*ret_row = parent;
	memcpy(ret_digest, digest, sizeof(digest));
	return 0;
}

/* --- reading */

struct process_cache {
	struct {
		int64_t row;
		struct process *process;
	} slots[CACHE_SLOTS];
};

int process_cache_new(struct process_cache **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void process_cache_free(struct process_cache *c)
{
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		process_unref(c->slots[i].process);
	free(c);
}

/* Column as a string in a; anything behind a NUL is not shown. */
static const char *column_bytes(sqlite3_stmt *st, int col, struct arena *a)
{
	const void *p = sqlite3_column_blob(st, col);

	return p ? arena_strndup(a, p, (size_t)sqlite3_column_bytes(st, col)) : NULL;
}

static void read_values(sqlite3_stmt *st, struct arena *a, struct process *v, int64_t *ret_parent)
{
	const char *comm = column_bytes(st, 12, a);

	*v = (struct process){
		.pid = sqlite3_column_int(st, 0),
		.start_ns = (uint64_t)sqlite3_column_int64(st, 1),
		.exec_count = (uint32_t)sqlite3_column_int64(st, 2),
		.known = (uint32_t)sqlite3_column_int64(st, 3),
		.ppid = sqlite3_column_int(st, 4),
		.uid = (uint32_t)sqlite3_column_int64(st, 5),
		.gid = (uint32_t)sqlite3_column_int64(st, 6),
		.euid = (uint32_t)sqlite3_column_int64(st, 7),
		.egid = (uint32_t)sqlite3_column_int64(st, 8),
		.loginuid = (uint32_t)sqlite3_column_int64(st, 9),
		.session = (uint32_t)sqlite3_column_int64(st, 10),
		.sid = sqlite3_column_int(st, 11),
		.exe = column_bytes(st, 13, a),
		.cmdline = column_bytes(st, 14, a),
		.cmdline_len = (uint32_t)sqlite3_column_bytes(st, 14),
		.cmdline_cut = sqlite3_column_int(st, 16) != 0,
		.cwd = column_bytes(st, 17, a),
		.tty = column_bytes(st, 18, a),
		.cgroup = column_bytes(st, 19, a),
	};
	if (comm)
		memcpy(v->comm, comm, MIN(strlen(comm), sizeof(v->comm) - 1));
	*ret_parent = sqlite3_column_int64(st, 20);
}

static int load(struct db *d, struct process_cache *cache, int64_t row, unsigned depth, struct process **ret)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_process_ struct process *parent = NULL;
	size_t slot = (uint64_t)row % CACHE_SLOTS;
	struct process values;
	int64_t parent_row;
	sqlite3_stmt *st;
	int r;

	if (cache->slots[slot].process && cache->slots[slot].row == row) {
		*ret = process_ref(cache->slots[slot].process);
		return 0;
	}
	r = db_stmt(d, STMT_PROCESS_GET, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	if (r <= 0)
		return r;
	read_values(st, &a, &values, &parent_row);
	sqlite3_reset(st);
	/* Parents are stored first: a larger number was put there by somebody else and might go round. */
	if (depth > 0 && parent_row > 0 && parent_row < row) {
		r = load(d, cache, parent_row, depth - 1, &parent);
		if (r < 0)
			return r;
	}
	values.parent = parent;
	values.depth = parent ? parent->depth + 1 : 0;
	*ret = process_new(&values);
	if (!*ret)
		return -ENOMEM;
	atomic_store(&(*ret)->row, row);
	process_unref(cache->slots[slot].process);
	cache->slots[slot].process = process_ref(*ret);
	cache->slots[slot].row = row;
	return 0;
}

int process_load(struct db *d, struct process_cache *cache, int64_t row, struct process **ret)
{
	*ret = NULL;
	return load(d, cache, row, PROCESS_DEPTH_MAX, ret);
}

static int read_digest(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE])
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_PROCESS_DIGEST, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	memset(ret, 0, DB_HASH_SIZE);
	if (r > 0 && sqlite3_column_bytes(st, 0) == DB_HASH_SIZE)
		memcpy(ret, sqlite3_column_blob(st, 0), DB_HASH_SIZE);
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

int process_rehash(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE])
{
	_cleanup_buf_ struct buf hash = BUF_INIT;
	uint8_t parent_digest[DB_HASH_SIZE];
	int64_t parent;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_PROCESS_GET, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	row_hash_columns(&hash, st, 0, STMT_PROCESS_COLUMN_COUNT);
	parent = sqlite3_column_int64(st, 20);
	sqlite3_reset(st);
	if (parent != 0) {
		r = read_digest(d, parent, parent_digest);
		if (r < 0)
			return r;
		buf_add(&hash, parent_digest, sizeof(parent_digest));
	}
	return hash.failed ? -ENOMEM : db_hash(d, hash.data, hash.len, ret);
}
