/*
 * Puts chunks of records into the tables: the hot path of init. One insert a file with few values, numbers of rows
 * handed out here and not looked up, folders and xattr sets remembered in small caches. Runs on the thread of the
 * connection, in the caller's transaction.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/baseline_store.h"
#include "event/attr.h"
#include "lib/hash.h"

#define DIR_CACHE  1024 /* folders whose chunks may be interleaved */
#define XSET_CACHE 256
#define UID_CACHE  256

struct xset_slot {
	uint64_t hash;
	uint8_t *data;
	uint32_t len;
	int64_t id;
};

struct chunk_writer {
	struct db *d;
	int64_t baseline;
	int64_t next_base;
	uint32_t bound[FILE_ROWS]; /* optional columns of each row of the insert that are not NULL now */
	unsigned row;		   /* that is being bound */
	struct {
		uint64_t seq;
		int64_t id;
	} dirs[DIR_CACHE];
	struct xset_slot xsets[XSET_CACHE];
	struct {
		bool used;
		uint32_t uid;
	} uids[UID_CACHE];
	struct buf scratch;
};

int chunk_writer_new(struct db *d, int64_t baseline, struct chunk_writer **ret)
{
	struct chunk_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->d = d;
	w->baseline = baseline;
	*ret = w;
	return 0;
}

void chunk_writer_free(struct chunk_writer *w)
{
	for (size_t i = 0; i < XSET_CACHE; i++)
		free(w->xsets[i].data);
	buf_free(&w->scratch);
	free(w);
}

int chunk_writer_begin(struct chunk_writer *w)
{
	sqlite3_stmt *st;
	int r = db_stmt(w->d, STMT_FILE_MAX, &st);

	if (r == 0)
		r = db_step(w->d, st);
	if (r < 0)
		return r;
	w->next_base = (sqlite3_column_int64(st, 0) >> 6) + 1;
	sqlite3_reset(st);
	/* Another program may have removed what only a rolled back row of ours used. */
	for (size_t i = 0; i < XSET_CACHE; i++)
		w->xsets[i].len = 0;
	return 0;
}

/* --- folders */

int chunk_writer_dir(struct chunk_writer *w, const char *path, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(w->d, STMT_DIR_FIND, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, w->baseline);
	sqlite3_bind_blob64(st, 2, path, strlen(path), SQLITE_STATIC);
	r = db_step(w->d, st);
	if (r < 0)
		return r;
	if (r > 0) {
		*ret = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
		return 0;
	}
	r = db_stmt(w->d, STMT_DIR_ADD, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, w->baseline);
	sqlite3_bind_blob64(st, 2, path, strlen(path), SQLITE_STATIC);
	display_bind(st, 3, path, strlen(path), &w->scratch);
	r = db_run(w->d, st);
	if (r == 0)
		*ret = sqlite3_last_insert_rowid(w->d->h);
	return r;
}

static int dir_cached(struct chunk_writer *w, const struct chunk *c, int64_t *ret)
{
	size_t slot = c->dir_seq % DIR_CACHE;
	int r;

	if (c->dir_seq && w->dirs[slot].seq == c->dir_seq) {
		*ret = w->dirs[slot].id;
		return 0;
	}
	r = chunk_writer_dir(w, c->dir, ret);
	if (r == 0) {
		w->dirs[slot].seq = c->dir_seq;
		w->dirs[slot].id = *ret;
	}
	return r;
}

/* --- xattr sets */

static void bind_formatted(sqlite3_stmt *st, int col, enum attr attr, const struct record *r, struct buf *scratch)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	attr_table[attr].format(&b, r);
	display_bind_text(st, col, b.len > 0 && !b.failed ? b.data : NULL, scratch);
}

static int xset_add(struct chunk_writer *w, const struct record *r, const uint8_t hash[DB_HASH_SIZE], int64_t *ret)
{
	sqlite3_stmt *st;
	int rc = db_stmt(w->d, STMT_XSET_ADD, &st);

	if (rc < 0)
		return rc;
	sqlite3_bind_blob(st, 1, hash, 16, SQLITE_STATIC);
	sqlite3_bind_blob(st, 2, r->xattrs, (int)r->xattrs_len, SQLITE_STATIC);
	bind_formatted(st, 3, ATTR_XATTRS, r, &w->scratch);
	bind_formatted(st, 4, ATTR_ACL, r, &w->scratch);
	bind_formatted(st, 5, ATTR_CAPS, r, &w->scratch);
	bind_formatted(st, 6, ATTR_SELINUX, r, &w->scratch);
	rc = db_run(w->d, st);
	if (rc == 0)
		*ret = sqlite3_last_insert_rowid(w->d->h);
	return rc;
}

static int xset_find(struct chunk_writer *w, const struct record *r, int64_t *ret)
{
	uint8_t hash[DB_HASH_SIZE];
	sqlite3_stmt *st;
	int rc = db_hash(w->d, r->xattrs, r->xattrs_len, hash);

	if (rc == 0)
		rc = db_stmt(w->d, STMT_XSET_FIND, &st);
	if (rc < 0)
		return rc;
	sqlite3_bind_blob(st, 1, hash, 16, SQLITE_STATIC);
	rc = db_step(w->d, st);
	if (rc <= 0)
		return rc < 0 ? rc : xset_add(w, r, hash, ret);
	*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

static int xset_cached(struct chunk_writer *w, const struct record *r, int64_t *ret)
{
	uint64_t hash = hash_bytes(0, r->xattrs, r->xattrs_len);
	struct xset_slot *slot = &w->xsets[hash % XSET_CACHE];
	uint8_t *copy;
	int rc;

	if (slot->len == r->xattrs_len && slot->hash == hash && memcmp(slot->data, r->xattrs, slot->len) == 0) {
		*ret = slot->id;
		return 0;
	}
	rc = xset_find(w, r, ret);
	if (rc < 0 || r->xattrs_len > 4096)
		return rc;
	copy = realloc(slot->data, r->xattrs_len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, r->xattrs, r->xattrs_len);
	*slot = (struct xset_slot){ hash, copy, r->xattrs_len, *ret };
	return 0;
}

/* --- rows */

/* Names of owners, for the view: those of this host at this time. */
static int note_account(struct chunk_writer *w, uint32_t uid)
{
	size_t slot = uid % UID_CACHE;
	const char *name;
	sqlite3_stmt *st;
	int r;

	if (w->uids[slot].used && w->uids[slot].uid == uid)
		return 0;
	w->uids[slot].used = true;
	w->uids[slot].uid = uid;
	name = user_name(uid);
	if (!name)
		return 0;
	r = db_stmt(w->d, STMT_ACCOUNT_ADD, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, uid);
	display_bind_text(st, 2, name, &w->scratch);
	return db_run(w->d, st);
}

static int note_unread(struct chunk_writer *w, unsigned code)
{
	const char *text = record_unread_text(code);
	sqlite3_stmt *st;
	int r;

	if (!text)
		return 0;
	r = db_stmt(w->d, STMT_UNREAD_ADD, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, code);
	display_bind_text(st, 2, text, &w->scratch);
	return db_run(w->d, st);
}

/* The number of a value in the statement. */
static int bind_at(const struct chunk_writer *w, enum file_column col)
{
	return (int)(w->row * FILE_COLUMNS + col);
}

static void bind_int(struct chunk_writer *w, sqlite3_stmt *st, enum file_column col, bool have, int64_t value)
{
	uint32_t *bound = &w->bound[w->row];

	if (have) {
		sqlite3_bind_int64(st, bind_at(w, col), value);
		*bound |= 1u << col;
	} else if (*bound & (1u << col)) {
		sqlite3_bind_null(st, bind_at(w, col));
		*bound &= ~(1u << col);
	}
}

static void bind_bytes(struct chunk_writer *w, sqlite3_stmt *st, enum file_column col, bool have, const void *data,
		       size_t len)
{
	if (!have) {
		bind_int(w, st, col, false, 0);
		return;
	}
	sqlite3_bind_blob(st, bind_at(w, col), data, (int)len, SQLITE_STATIC);
	w->bound[w->row] |= 1u << col;
}

static unsigned type_number(char type)
{
	const char *at = type ? strchr(&file_types[1], type) : NULL;

	return at ? (unsigned)(at - file_types) : 0;
}

static void bind_numbers(struct chunk_writer *w, sqlite3_stmt *st, const struct record *r)
{
	bool times = (r->have & ATTR_BIT(ATTR_MTIME)) != 0;
	uint64_t ctime = (uint64_t)r->ctime - (times ? (uint64_t)r->mtime : 0);
	unsigned mode = r->have & ATTR_BIT(ATTR_MODE) ? r->mode & 07777 : 0;

	bind_int(w, st, FILE_TM, true, mode * 8 + (r->have & ATTR_BIT(ATTR_TYPE) ? type_number(r->type) : 0));
	bind_int(w, st, FILE_UID, r->have & ATTR_BIT(ATTR_UID), r->uid);
	bind_int(w, st, FILE_GID, r->have & ATTR_BIT(ATTR_GID), r->gid);
	bind_int(w, st, FILE_SIZE, r->have & ATTR_BIT(ATTR_SIZE), (int64_t)r->size);
	bind_int(w, st, FILE_MTIME, times, r->mtime);
	bind_int(w, st, FILE_CTIME, r->have & ATTR_BIT(ATTR_CTIME), (int64_t)ctime);
	bind_int(w, st, FILE_INO, r->have & ATTR_BIT(ATTR_INO), (int64_t)r->ino);
	bind_int(w, st, FILE_NLINK, r->have & ATTR_BIT(ATTR_NLINK), r->nlink);
	bind_int(w, st, FILE_FLAGS, r->have & ATTR_BIT(ATTR_FLAGS), r->flags);
	bind_int(w, st, FILE_UNREAD, r->unread != 0, r->unread);
	bind_int(w, st, FILE_RDEV, r->have & ATTR_BIT(ATTR_RDEV), (int64_t)r->rdev);
}

static void bind_shown(struct chunk_writer *w, sqlite3_stmt *st, enum file_column col, const char *s, size_t len)
{
	display_bind(st, bind_at(w, col), s, len, &w->scratch);
	w->bound[w->row] |= 1u << col; /* cleared again before the next row if need be */
}

static void bind_rare(struct chunk_writer *w, sqlite3_stmt *st, const struct entry *e)
{
	const struct record *r = &e->rec;
	bool target = r->target && r->have & ATTR_BIT(ATTR_TARGET);
	bool mime = r->mime && r->have & ATTR_BIT(ATTR_MIME);

	bind_bytes(w, st, FILE_TARGET, target, r->target, target ? strlen(r->target) : 0);
	if (target)
		bind_shown(w, st, FILE_TARGET_SHOW, r->target, strlen(r->target));
	else
		bind_int(w, st, FILE_TARGET_SHOW, false, 0);
	bind_bytes(w, st, FILE_MIME, mime, r->mime, mime ? strlen(r->mime) : 0);
	/* Text is what the view shows; anything odd stays a blob. */
	if (mime && display_plain(r->mime, strlen(r->mime)))
		sqlite3_bind_text(st, bind_at(w, FILE_MIME), r->mime, -1, SQLITE_STATIC);
}

bool chunk_layers(const struct chunk *c, uint8_t ret[CHUNK_MAX])
{
	bool any = false;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct record *r = &c->entries[i].rec;

		ret[i] = r->have & ATTR_BIT(ATTR_LAYER) ? (uint8_t)r->layer : 0;
		any |= ret[i] != 0;
	}
	return any;
}

/* Layers are columns of the chunk: what the rows say they have leaves them out. */
static uint32_t row_have(const struct record *r)
{
	return r->have & ~ATTR_BIT(ATTR_LAYER);
}

static int bind_row(struct chunk_writer *w, sqlite3_stmt *st, int64_t id, const struct entry *e,
		    const struct record *usual)
{
	const struct record *r = &e->rec;
	bool dev = r->have & ATTR_BIT(ATTR_DEV) && !(usual->have & ATTR_BIT(ATTR_DEV) && usual->dev == r->dev);
	size_t len = strlen(e->name);
	int64_t xset = 0;
	int rc = 0;

	if (r->xattrs_len)
		rc = xset_cached(w, r, &xset);
	if (rc == 0 && r->have & ATTR_BIT(ATTR_UID))
		rc = note_account(w, r->uid);
	if (rc == 0 && r->unread)
		rc = note_unread(w, r->unread);
	if (rc < 0)
		return rc;
	sqlite3_bind_int64(st, bind_at(w, FILE_ID), id);
	sqlite3_bind_blob(st, bind_at(w, FILE_NAME), e->name, (int)len, SQLITE_STATIC);
	bind_shown(w, st, FILE_SHOW, e->name, len);
	bind_numbers(w, st, r);
	bind_bytes(w, st, FILE_DIGEST, r->digest_len && r->have & ATTR_BIT(ATTR_DIGEST), r->digest, r->digest_len);
	bind_int(w, st, FILE_XSET, xset != 0, xset);
	bind_int(w, st, FILE_DEV, dev, (int64_t)r->dev);
	bind_int(w, st, FILE_HAVE, row_have(r) != row_have(usual), row_have(r));
	bind_rare(w, st, e);
	return 0;
}

/* Entries from, from + 1, ... as far as statements of n rows go; *from is what is left. */
static int add_rows(struct chunk_writer *w, const struct chunk *c, const struct record *usual, enum statement id,
		    unsigned n, uint32_t *from)
{
	sqlite3_stmt *st;
	int r = 0, rc;

	if (*from + n > c->n)
		return 0;
	r = db_stmt(w->d, id, &st);
	memset(w->bound, 0, sizeof(w->bound));
	for (; r == 0 && *from + n <= c->n; *from += n) {
		for (w->row = 0; w->row < n && r == 0; w->row++)
			r = bind_row(w, st, w->next_base * CHUNK_MAX + *from + w->row, &c->entries[*from + w->row],
				     usual);
		if (r < 0)
			break;
		rc = sqlite3_step(st);
		sqlite3_reset(st);
		r = rc == SQLITE_DONE ? 0 : db_fail(w->d, rc, "store");
	}
	return r;
}

static int add_chunk_row(struct chunk_writer *w, const struct chunk *c, int64_t dir_id, const struct record *usual)
{
	const char *first = c->n > 0 ? c->entries[0].name : "";
	uint8_t layers[CHUNK_MAX];
	sqlite3_stmt *st;
	int r = db_stmt(w->d, STMT_CHUNK_ADD, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, dir_id);
	sqlite3_bind_int64(st, 2, c->seq);
	sqlite3_bind_int64(st, 3, w->next_base);
	sqlite3_bind_int64(st, 4, c->n);
	sqlite3_bind_blob64(st, 5, first, strlen(first), SQLITE_STATIC);
	sqlite3_bind_blob(st, 6, c->digest, DB_HASH_SIZE, SQLITE_STATIC);
	if (c->n > 0 && usual->have & ATTR_BIT(ATTR_DEV))
		sqlite3_bind_int64(st, 7, (int64_t)usual->dev);
	if (c->n > 0)
		sqlite3_bind_int64(st, 8, row_have(usual));
	if (chunk_layers(c, layers))
		sqlite3_bind_blob(st, 9, layers, (int)c->n, SQLITE_TRANSIENT);
	return db_run(w->d, st);
}

int chunk_writer_add(struct chunk_writer *w, const struct chunk *c, int64_t dir_id)
{
	static const struct record none;
	const struct record *usual = c->n > 0 ? &c->entries[0].rec : &none;
	uint32_t done = 0;
	int r = 0;

	if (c->n > CHUNK_MAX)
		return -EINVAL;
	if (dir_id == 0)
		r = dir_cached(w, c, &dir_id);
	if (r == 0)
		r = add_chunk_row(w, c, dir_id, usual);
	if (r == 0)
		r = add_rows(w, c, usual, STMT_FILE_ADD_ROWS, FILE_ROWS, &done);
	if (r == 0)
		r = add_rows(w, c, usual, STMT_FILE_ADD, 1, &done);
	w->next_base++;
	return r;
}

int chunk_remove_files(struct db *d, int64_t base)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_FILE_REMOVE, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, base * CHUNK_MAX);
	sqlite3_bind_int64(st, 2, base * CHUNK_MAX + CHUNK_MAX - 1);
	return db_run(d, st);
}
