/*
 * Reading one baseline: folders, chunks (verified as they load), single entries, and names by inode. A reader has its
 * own statements and belongs to the thread of its connection. What it reads may have been edited by anybody: every
 * value is checked before it is used as a size or a string.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/baseline_store.h"

#define XSETS_KEPT 64

static const char load_sql[] = "SELECT name, tm, uid, gid, size, mtime, ctime, ino, nlink, digest, flags, xset, "
			       "unread, dev, have, target, rdev, mime, "
			       "id FROM file WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
#define CHUNK_SQL "SELECT seq, base, n, first, digest, dev, have, layers FROM chunk WHERE dir = ?1 "

enum load_column {
	LOAD_NAME,
	LOAD_TM,
	LOAD_UID,
	LOAD_GID,
	LOAD_SIZE,
	LOAD_MTIME,
	LOAD_CTIME,
	LOAD_INO,
	LOAD_NLINK,
	LOAD_DIGEST,
	LOAD_FLAGS,
	LOAD_XSET,
	LOAD_UNREAD,
	LOAD_DEV,
	LOAD_HAVE,
	LOAD_TARGET,
	LOAD_RDEV,
	LOAD_MIME,
	LOAD_ID,
};

struct baseline_reader {
	struct db *d;
	int64_t id;
	sqlite3_stmt *dir, *chunks, *chunk, *newest, *load, *xset;
	struct arena xset_arena; /* the few sets that most files share */
	struct {
		int64_t id;
		const uint8_t *data;
		uint32_t len;
	} xsets[XSETS_KEPT];
	size_t xset_bytes;
};

int baseline_reader_new(struct db *d, int64_t id, struct baseline_reader **ret)
{
	_cleanup_(baseline_reader_free_p) struct baseline_reader *r = calloc(1, sizeof(*r));
	const struct {
		sqlite3_stmt **st;
		const char *sql;
	} table[] = {
		{ &r->dir, "SELECT id FROM dir WHERE baseline = ?1 AND path = ?2" },
		{ &r->chunks, CHUNK_SQL "ORDER BY seq" },
		{ &r->chunk, CHUNK_SQL "AND seq = ?2" },
		{ &r->newest, CHUNK_SQL "ORDER BY seq DESC LIMIT 1" },
		{ &r->load, load_sql },
		{ &r->xset, "SELECT data FROM xset WHERE id = ?1" },
	};

	if (!r)
		return -ENOMEM;
	r->d = d;
	r->id = id;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		int rc = sqlite3_prepare_v3(d->h, table[i].sql, -1, SQLITE_PREPARE_PERSISTENT, table[i].st, NULL);

		if (rc != SQLITE_OK)
			return db_fail(d, rc, "store");
	}
	*ret = TAKE_PTR(r);
	return 0;
}

void baseline_reader_free(struct baseline_reader *r)
{
	sqlite3_stmt *all[] = { r->dir, r->chunks, r->chunk, r->newest, r->load, r->xset };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		sqlite3_finalize(all[i]);
	arena_free(&r->xset_arena);
	free(r);
}

int baseline_dir(struct baseline_reader *r, const char *dir, int64_t *ret_dir)
{
	int rc;

	sqlite3_bind_int64(r->dir, 1, r->id);
	sqlite3_bind_blob64(r->dir, 2, dir, strlen(dir), SQLITE_STATIC);
	rc = db_step(r->d, r->dir);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	*ret_dir = sqlite3_column_int64(r->dir, 0);
	sqlite3_reset(r->dir);
	return 0;
}

int chunk_row_read(struct db *d, sqlite3_stmt *st, struct chunk_row *ret)
{
	int64_t seq = sqlite3_column_int64(st, 0), base = sqlite3_column_int64(st, 1), n = sqlite3_column_int64(st, 2);
	int layers = sqlite3_column_bytes(st, 7);

	if (seq < 0 || seq > UINT32_MAX || base < 0 || base > INT64_MAX / CHUNK_MAX - 1 || n < 0 || n > CHUNK_MAX ||
	    sqlite3_column_bytes(st, 4) != DB_HASH_SIZE || (layers != 0 && layers != n))
		return db_failf(d, -EMEDIUMTYPE, "a chunk with values out of range");
	ret->seq = (uint32_t)seq;
	ret->base = base;
	ret->n = (uint32_t)n;
	memcpy(ret->digest, sqlite3_column_blob(st, 4), DB_HASH_SIZE);
	ret->has_dev = sqlite3_column_type(st, 5) != SQLITE_NULL;
	ret->dev = (uint64_t)sqlite3_column_int64(st, 5);
	ret->has_have = sqlite3_column_type(st, 6) != SQLITE_NULL;
	ret->have = (uint32_t)sqlite3_column_int64(st, 6);
	ret->first = sqlite3_column_blob(st, 3);
	ret->first_len = (size_t)sqlite3_column_bytes(st, 3);
	memset(ret->layers, 0, sizeof(ret->layers));
	if (layers > 0)
		memcpy(ret->layers, sqlite3_column_blob(st, 7), (size_t)layers);
	return 0;
}

/* A string of a folder without NUL; NULL when it holds one or out of memory. */
static const char *copy_string(struct arena *a, const void *data, size_t len)
{
	if (len > 0 && (!data || memchr(data, 0, len)))
		return NULL;
	return arena_strndup(a, data ? data : "", len);
}

int baseline_dir_chunks(struct baseline_reader *r, int64_t dir, struct arena *a, const char ***ret_first, size_t *ret_n)
{
	const char **first = NULL;
	size_t n = 0, room = 0;
	int rc;

	sqlite3_bind_int64(r->chunks, 1, dir);
	while ((rc = db_step(r->d, r->chunks)) > 0) {
		struct chunk_row row;
		const char **grown;

		rc = chunk_row_read(r->d, r->chunks, &row);
		if (rc == 0 && row.seq != n)
			rc = db_failf(r->d, -EBADMSG, "chunk %zu of a folder is missing", n);
		if (rc < 0)
			break;
		if (n == room) {
			room = room ? room * 2 : 8;
			grown = arena_alloc(a, room * sizeof(*grown));
			if (!grown) {
				rc = -ENOMEM;
				break;
			}
			if (n > 0)
				memcpy(grown, first, n * sizeof(*grown));
			first = grown;
		}
		first[n] = copy_string(a, row.first, row.first_len);
		if (!first[n++]) {
			rc = -EBADMSG;
			break;
		}
	}
	sqlite3_reset(r->chunks);
	if (rc < 0)
		return rc;
	*ret_first = first;
	*ret_n = n;
	return 0;
}

/* --- rows into records */

static int read_xset(struct baseline_reader *r, int64_t id, struct arena *a, struct record *rec)
{
	size_t slot = (uint64_t)id % XSETS_KEPT;
	const void *data;
	size_t len;
	int rc;

	if (r->xsets[slot].id == id && r->xsets[slot].data) {
		rec->xattrs_len = r->xsets[slot].len;
		rec->xattrs = arena_dup(a, r->xsets[slot].data, rec->xattrs_len);
		return rec->xattrs ? 0 : -ENOMEM;
	}
	sqlite3_bind_int64(r->xset, 1, id);
	rc = db_step(r->d, r->xset);
	if (rc <= 0)
		return rc < 0 ? rc : -EBADMSG;
	data = sqlite3_column_blob(r->xset, 0);
	len = (size_t)sqlite3_column_bytes(r->xset, 0);
	if (!data || len > UINT32_MAX) {
		sqlite3_reset(r->xset);
		return -EBADMSG;
	}
	rec->xattrs = arena_dup(a, data, len);
	rec->xattrs_len = (uint32_t)len;
	if (rec->xattrs && len <= 4096 && r->xset_bytes < MIB) {
		r->xsets[slot].data = arena_dup(&r->xset_arena, data, len);
		r->xsets[slot].len = (uint32_t)len;
		r->xsets[slot].id = id;
		r->xset_bytes += len;
	}
	sqlite3_reset(r->xset);
	return rec->xattrs ? 0 : -ENOMEM;
}

static int read_string(sqlite3_stmt *st, int col, struct arena *a, const char **ret)
{
	if (sqlite3_column_type(st, col) == SQLITE_NULL)
		return 0;
	*ret = copy_string(a, sqlite3_column_blob(st, col), (size_t)sqlite3_column_bytes(st, col));
	return *ret ? 0 : -EBADMSG;
}

static void read_numbers(sqlite3_stmt *st, const struct chunk_row *row, struct record *rec)
{
	uint64_t tm = (uint64_t)sqlite3_column_int64(st, LOAD_TM);
	bool own_have = sqlite3_column_type(st, LOAD_HAVE) != SQLITE_NULL;
	bool own_dev = sqlite3_column_type(st, LOAD_DEV) != SQLITE_NULL;

	rec->have = own_have ? (uint32_t)sqlite3_column_int64(st, LOAD_HAVE) : row->have;
	rec->type = tm & 7 ? file_types[tm & 7] : 0;
	rec->mode = (tm >> 3) & 07777;
	rec->uid = (uint32_t)sqlite3_column_int64(st, LOAD_UID);
	rec->gid = (uint32_t)sqlite3_column_int64(st, LOAD_GID);
	rec->size = (uint64_t)sqlite3_column_int64(st, LOAD_SIZE);
	rec->mtime = sqlite3_column_int64(st, LOAD_MTIME);
	rec->ctime = (int64_t)((uint64_t)rec->mtime + (uint64_t)sqlite3_column_int64(st, LOAD_CTIME));
	rec->ino = (uint64_t)sqlite3_column_int64(st, LOAD_INO);
	rec->nlink = (uint32_t)sqlite3_column_int64(st, LOAD_NLINK);
	rec->flags = (uint32_t)sqlite3_column_int64(st, LOAD_FLAGS);
	rec->unread = (uint16_t)sqlite3_column_int64(st, LOAD_UNREAD);
	rec->rdev = (uint64_t)sqlite3_column_int64(st, LOAD_RDEV);
	/* The rows were asked for by the numbers of this chunk. */
	rec->layer = row->layers[sqlite3_column_int64(st, LOAD_ID) - row->base * CHUNK_MAX];
	rec->have &= ~ATTR_BIT(ATTR_LAYER);
	rec->have |= rec->layer ? ATTR_BIT(ATTR_LAYER) : 0;
	if (rec->have & ATTR_BIT(ATTR_DEV))
		rec->dev = own_dev ? (uint64_t)sqlite3_column_int64(st, LOAD_DEV) : row->dev;
}

static int read_record(struct baseline_reader *r, const struct chunk_row *row, struct arena *a, struct record *rec)
{
	sqlite3_stmt *st = r->load;
	int len = sqlite3_column_bytes(st, LOAD_DIGEST);
	int64_t xset;
	int rc;

	memset(rec, 0, sizeof(*rec));
	read_numbers(st, row, rec);
	if (len > DIGEST_MAX)
		return -EBADMSG;
	if (len > 0)
		memcpy(rec->digest, sqlite3_column_blob(st, LOAD_DIGEST), (size_t)len);
	rec->digest_len = (uint8_t)len;
	rc = read_string(st, LOAD_TARGET, a, &rec->target);
	if (rc == 0)
		rc = read_string(st, LOAD_MIME, a, &rec->mime);
	xset = sqlite3_column_int64(st, LOAD_XSET);
	if (rc == 0 && xset != 0)
		rc = read_xset(r, xset, a, rec);
	return rc;
}

static int load_rows(struct baseline_reader *r, const struct chunk_row *row, struct chunk *c)
{
	int rc;

	c->entries = arena_alloc(&c->arena, (row->n ? row->n : 1) * sizeof(*c->entries));
	if (!c->entries)
		return -ENOMEM;
	c->n = 0;
	sqlite3_bind_int64(r->load, 1, row->base * CHUNK_MAX);
	sqlite3_bind_int64(r->load, 2, row->base * CHUNK_MAX + CHUNK_MAX - 1);
	while ((rc = db_step(r->d, r->load)) > 0) {
		struct entry *e = &c->entries[c->n];

		if (c->n == row->n) {
			rc = -EBADMSG;
			break;
		}
		e->name = copy_string(&c->arena, sqlite3_column_blob(r->load, LOAD_NAME),
				      (size_t)sqlite3_column_bytes(r->load, LOAD_NAME));
		rc = e->name ? read_record(r, row, &c->arena, &e->rec) : -EBADMSG;
		if (rc < 0)
			break;
		c->n++;
	}
	sqlite3_reset(r->load);
	return rc == 0 && c->n != row->n ? -EBADMSG : rc;
}

/* Byte order of a name against the first name of a chunk. */
static int compare_first(const char *name, const struct chunk_row *row)
{
	size_t len = strlen(name);
	int c = memcmp(name, row->first_len ? row->first : "", MIN(len, row->first_len));

	return c ? c : (len > row->first_len) - (len < row->first_len);
}

int baseline_load_chunk(struct baseline_reader *r, int64_t dir, const char *dir_path, uint32_t seq, struct chunk *c,
			struct digest *blake, struct buf *scratch)
{
	uint8_t first_digest[DB_HASH_SIZE];
	struct chunk_row row;
	bool first_matches;
	int rc;

	arena_reset(&c->arena);
	c->n = 0;
	c->seq = seq;
	c->dir_seq = 0;
	c->dir = arena_strdup(&c->arena, dir_path);
	if (!c->dir)
		return -ENOMEM;
	sqlite3_bind_int64(r->chunk, 1, dir);
	sqlite3_bind_int64(r->chunk, 2, seq);
	rc = db_step(r->d, r->chunk);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	rc = chunk_row_read(r->d, r->chunk, &row);
	if (rc == 0)
		rc = load_rows(r, &row, c);
	first_matches = rc == 0 && (c->n == 0 || compare_first(c->entries[0].name, &row) == 0);
	memcpy(first_digest, row.digest, sizeof(first_digest));
	sqlite3_reset(r->chunk);
	if (rc < 0)
		return rc;
	rc = chunk_seal(c, blake, scratch);
	if (rc < 0)
		return rc;
	if (!first_matches || memcmp(c->digest, first_digest, sizeof(first_digest)) != 0)
		return db_failf(r->d, -EBADMSG, "rows of a folder do not match its digest");
	return 0;
}

/* --- single entries and folders */

/* "/etc/passwd" is "passwd" in "/etc"; "/etc" is "etc" in "/"; "/" is "" in "/". */
static int split(const char *path, struct buf *ret_dir, const char **ret_name)
{
	const char *slash = strrchr(path, '/');

	if (path[0] != '/' || !slash)
		return -EINVAL;
	buf_add(ret_dir, path, slash == path ? 1 : (size_t)(slash - path));
	*ret_name = slash + 1;
	return ret_dir->failed ? -ENOMEM : 0;
}

static int find_row(struct baseline_reader *r, const struct chunk_row *row, const char *name, struct arena *a,
		    struct record *ret)
{
	size_t len = strlen(name);
	int rc;

	sqlite3_bind_int64(r->load, 1, row->base * CHUNK_MAX);
	sqlite3_bind_int64(r->load, 2, row->base * CHUNK_MAX + CHUNK_MAX - 1);
	while ((rc = db_step(r->d, r->load)) > 0) {
		if ((size_t)sqlite3_column_bytes(r->load, LOAD_NAME) != len ||
		    (len > 0 && memcmp(sqlite3_column_blob(r->load, LOAD_NAME), name, len) != 0))
			continue;
		rc = read_record(r, row, a, ret);
		sqlite3_reset(r->load);
		return rc;
	}
	return rc < 0 ? rc : -ENOENT;
}

static int get_row(struct baseline_reader *r, sqlite3_stmt *st, int64_t dir, int64_t seq, struct chunk_row *ret)
{
	int rc;

	sqlite3_bind_int64(st, 1, dir);
	if (seq >= 0)
		sqlite3_bind_int64(st, 2, seq);
	rc = db_step(r->d, st);
	if (rc <= 0)
		return rc < 0 ? rc : -ENOENT;
	return chunk_row_read(r->d, st, ret);
}

/* The chunk that holds name if the folder has it. First names rise with seq: a folder of a million is 14 looks. */
static int find_chunk(struct baseline_reader *r, int64_t dir, const char *name, struct chunk_row *ret)
{
	int64_t low = 0, high;
	int rc = get_row(r, r->newest, dir, -1, ret);

	if (rc < 0 || ret->seq == 0 || compare_first(name, ret) >= 0)
		return rc;
	high = ret->seq - 1;
	while (low < high) {
		int64_t middle = (low + high + 1) / 2;

		sqlite3_reset(r->chunk);
		rc = get_row(r, r->chunk, dir, middle, ret);
		if (rc < 0)
			return rc;
		if (compare_first(name, ret) >= 0)
			low = middle;
		else
			high = middle - 1;
	}
	sqlite3_reset(r->chunk);
	return get_row(r, r->chunk, dir, low, ret);
}

int baseline_lookup(struct baseline_reader *r, const char *path, struct arena *a, struct record *ret)
{
	_cleanup_buf_ struct buf dir = BUF_INIT;
	struct chunk_row row;
	const char *name;
	int64_t id;
	int rc = split(path, &dir, &name);

	if (rc == 0)
		rc = baseline_dir(r, dir.data, &id);
	if (rc < 0)
		return rc;
	rc = find_chunk(r, id, name, &row);
	sqlite3_reset(r->newest);
	sqlite3_reset(r->chunk);
	return rc < 0 ? rc : find_row(r, &row, name, a, ret);
}

int baseline_each_dir(struct baseline_reader *r, const char *prefix,
		      int (*fn)(int64_t id, const char *path, void *data), void *data)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	_cleanup_buf_ struct buf low = BUF_INIT, high = BUF_INIT;
	bool all = !prefix || streq(prefix, "/");
	int rc = db_prepare(r->d,
			    "SELECT id, path FROM dir WHERE baseline = ?1 AND (?2 IS NULL OR path = ?2 OR (path > ?3 "
			    "AND path < ?4)) "
			    "ORDER BY path",
			    &st);

	if (rc < 0)
		return rc;
	sqlite3_bind_int64(st, 1, r->id);
	if (!all) {
		buf_printf(&low, "%s/", prefix);
		buf_printf(&high, "%s0", prefix); /* '0' follows '/' */
		if (low.failed || high.failed)
			return -ENOMEM;
		sqlite3_bind_blob64(st, 2, prefix, strlen(prefix), SQLITE_STATIC);
		sqlite3_bind_blob64(st, 3, low.data, low.len, SQLITE_STATIC);
		sqlite3_bind_blob64(st, 4, high.data, high.len, SQLITE_STATIC);
	}
	while ((rc = db_step(r->d, st)) > 0) {
		_cleanup_arena_ struct arena a = ARENA_INIT;
		const char *path = copy_string(&a, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));

		rc = path ? fn(sqlite3_column_int64(st, 0), path, data) : -EBADMSG;
		if (rc != 0)
			return rc;
	}
	return rc;
}

/* --- by inode */

static int bind_numbers(sqlite3_stmt *st, int at, const uint64_t *numbers, size_t n)
{
	_cleanup_buf_ struct buf json = BUF_INIT;

	for (size_t i = 0; i < n; i++)
		buf_printf(&json, "%c%lld", i ? ',' : '[', (long long)numbers[i]); /* signed, as the store has them */
	buf_str(&json, n ? "]" : "[]");
	if (json.failed)
		return -ENOMEM;
	return sqlite3_bind_text64(st, at, json.data, json.len, SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK ? 0
													    : -ENOMEM;
}

static int inode_row(sqlite3_stmt *st, int (*fn)(const char *path, uint64_t ino, void *data), void *data)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_buf_ struct buf path = BUF_INIT;
	const char *dir = copy_string(&a, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	const char *name = copy_string(&a, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));

	if (!dir || !name)
		return -EBADMSG;
	buf_printf(&path, "%s/%s", streq(dir, "/") ? "" : dir, name);
	return path.failed ? -ENOMEM : fn(path.data, (uint64_t)sqlite3_column_int64(st, 2), data);
}

int baseline_each_inode(struct baseline_reader *r, const uint64_t *inos, size_t n,
			int (*fn)(const char *path, uint64_t ino, void *data), void *data)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int rc = db_prepare(
		r->d,
		"SELECT d.path, f.name, f.ino FROM dir d CROSS JOIN chunk c ON c.dir = d.id CROSS JOIN file f "
		"ON f.id BETWEEN c.base * 64 AND c.base * 64 + c.n - 1 WHERE d.baseline = ?1 AND f.ino IN "
		"(SELECT value FROM json_each(?2)) AND f.tm & 7 = 1",
		&st);

	_Static_assert(CHUNK_MAX == 64, "the statement has it");
	if (rc == 0)
		rc = bind_numbers(st, 2, inos, n);
	if (rc < 0)
		return rc;
	sqlite3_bind_int64(st, 1, r->id);
	while ((rc = db_step(r->d, st)) > 0) {
		rc = inode_row(st, fn, data);
		if (rc != 0)
			return rc;
	}
	return rc;
}
