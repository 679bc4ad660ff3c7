/*
 * Changing a baseline: entries are replaced, added or removed, the chunks concerned are sealed again and the whole is
 * signed again, in one transaction. Every chunk is verified before it is touched, so an edit never signs what somebody
 * else changed. Runs on the thread of the connection. Memory: one chunk or two at a time.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/baseline_store.h"

struct change {
	const char *dir; /* in arena */
	const char *name;
	const struct record *rec;
	size_t order; /* of two edits of one path the later wins */
};

struct edit {
	struct db *d;
	int64_t id;
	struct chunk_writer *chunks;
	struct baseline_reader *reader;
	struct digest *blake;
	struct buf scratch;
	struct arena arena;
	struct change *changes;
	size_t n;
	/* the folder at hand */
	const char *dir;
	int64_t dir_id;
	const char **first; /* of its chunks, as they were */
	size_t n_first;
	struct chunk old; /* loaded */
	/* the chunk that is being made; copies, since it may take from two old ones */
	struct entry out[CHUNK_MAX];
	uint32_t n_out, out_seq;
	struct arena out_arena;
};

/* --- the edits, sorted by folder and name */

static int compare_change(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	int c = strcmp(x->dir, y->dir);

	if (c == 0)
		c = strcmp(x->name, y->name);
	return c ? c : (x->order > y->order) - (x->order < y->order);
}

static int sort_changes(struct edit *e, const struct baseline_edit *edits, size_t n)
{
	e->changes = calloc(n ? n : 1, sizeof(*e->changes));
	if (!e->changes)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *path = edits[i].path, *slash = strrchr(path, '/');

		if (path[0] != '/')
			return db_failf(e->d, -EINVAL, "a path of a baseline begins with a slash");
		e->changes[i] = (struct change){
			.dir = arena_strndup(&e->arena, path, slash == path ? 1 : (size_t)(slash - path)),
			.name = slash + 1,
			.rec = edits[i].rec,
			.order = i,
		};
		if (!e->changes[i].dir)
			return -ENOMEM;
	}
	qsort(e->changes, n, sizeof(*e->changes), compare_change);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || !streq(e->changes[i].dir, e->changes[i + 1].dir) ||
		    !streq(e->changes[i].name, e->changes[i + 1].name))
			e->changes[e->n++] = e->changes[i];
	return 0;
}

/* --- one chunk */

static int store_chunk(struct edit *e, int64_t dir_id, uint32_t seq, struct entry *entries, uint32_t n)
{
	struct chunk c = { .dir = e->dir, .seq = seq, .n = n, .entries = entries };
	int r = chunk_seal(&c, e->blake, &e->scratch);

	return r < 0 ? r : chunk_writer_add(e->chunks, &c, dir_id);
}

/* Removes the chunk with this number and its rows; -ENOENT when there is none. */
static int remove_chunk(struct edit *e, uint32_t seq)
{
	sqlite3_stmt *st;
	int64_t base;
	int r = db_stmt(e->d, STMT_CHUNK_BASE, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, e->dir_id);
	sqlite3_bind_int64(st, 2, seq);
	r = db_step(e->d, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	base = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	r = chunk_remove_files(e->d, base);
	if (r == 0)
		r = db_stmt(e->d, STMT_CHUNK_REMOVE, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, e->dir_id);
	sqlite3_bind_int64(st, 2, seq);
	return db_run(e->d, st);
}

/* Loads and verifies. */
static int load(struct edit *e, uint32_t seq)
{
	return baseline_load_chunk(e->reader, e->dir_id, e->dir, seq, &e->old, e->blake, &e->scratch);
}

/* Merges e->old with changes [at, to) and hands each entry of the result on. */
static int merge(struct edit *e, const struct change *at, const struct change *to,
		 int (*emit)(struct edit *e, const char *name, const struct record *rec))
{
	uint32_t i = 0;
	int r = 0;

	while (r == 0 && (at < to || i < e->old.n)) {
		const struct entry *old = i < e->old.n ? &e->old.entries[i] : NULL;
		int order = !old ? -1 : at == to ? 1 : strcmp(at->name, old->name);

		if (order > 0)
			r = emit(e, old->name, &old->rec);
		else if (at->rec)
			r = emit(e, at->name, at->rec);
		i += order >= 0;
		at += order <= 0;
	}
	return r;
}

/* --- a change that leaves the number of chunks as it is: the chunk is written in its place */

static int count_entry(struct edit *e, const char *name _unused_, const struct record *rec _unused_)
{
	e->n_out++;
	return 0;
}

static int borrow_entry(struct edit *e, const char *name, const struct record *rec)
{
	e->out[e->n_out].name = name;
	e->out[e->n_out++].rec = *rec;
	return 0;
}

static int change_in_place(struct edit *e, uint32_t seq, const struct change *at, const struct change *to)
{
	int r;

	e->n_out = 0;
	r = merge(e, at, to, borrow_entry);
	if (r == 0)
		r = remove_chunk(e, seq);
	if (r == 0)
		r = store_chunk(e, e->dir_id, seq, e->out, e->n_out);
	return r;
}

/* --- otherwise the folder is written anew from that chunk on, under a number of its own until it is done */

static int flush(struct edit *e)
{
	int r = store_chunk(e, -e->dir_id, e->out_seq, e->out, e->n_out);

	e->out_seq++;
	e->n_out = 0;
	arena_reset(&e->out_arena);
	return r;
}

static int copy_entry(struct edit *e, const char *name, const struct record *rec)
{
	struct entry *o = &e->out[e->n_out];

	o->name = arena_strdup(&e->out_arena, name);
	if (!o->name || !record_dup(&e->out_arena, rec, &o->rec))
		return -ENOMEM;
	return ++e->n_out == CHUNK_MAX ? flush(e) : 0;
}

/* The changes from `at` on that belong to chunk seq: before the first name of the next one. */
static const struct change *end_of_chunk(const struct edit *e, uint32_t seq, const struct change *at,
					 const struct change *to)
{
	while (at < to && (seq + 1 >= e->n_first || strcmp(at->name, e->first[seq + 1]) < 0))
		at++;
	return at;
}

static int rewrite_from(struct edit *e, uint32_t from, const struct change *at, const struct change *to)
{
	sqlite3_stmt *st;
	int r = 0;

	e->n_out = 0;
	e->out_seq = from;
	for (uint32_t seq = from; r == 0 && seq < e->n_first; seq++) {
		const struct change *end = end_of_chunk(e, seq, at, to);

		r = load(e, seq);
		if (r == 0)
			r = merge(e, at, end, copy_entry);
		if (r == 0)
			r = remove_chunk(e, seq);
		at = end;
	}
	/* A new folder has no chunk to merge with. */
	e->old.n = 0;
	if (r == 0)
		r = merge(e, at, to, copy_entry);
	if (r == 0 && e->n_out > 0)
		r = flush(e);
	if (r == 0)
		r = db_stmt(e->d, STMT_CHUNK_MOVE_DIR, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, -e->dir_id);
	sqlite3_bind_int64(st, 2, e->dir_id);
	return db_run(e->d, st);
}

/* --- folders */

static int change_chunks(struct edit *e, const struct change *at, const struct change *to)
{
	int r = 0;

	while (r == 0 && at < to) {
		const struct change *end;
		uint32_t seq = 0;

		if (e->n_first == 0)
			return rewrite_from(e, 0, at, to);
		while (seq + 1 < e->n_first && strcmp(at->name, e->first[seq + 1]) >= 0)
			seq++;
		end = end_of_chunk(e, seq, at, to);
		r = load(e, seq);
		e->n_out = 0;
		if (r == 0)
			r = merge(e, at, end, count_entry);
		if (r < 0)
			return r;
		if (e->n_out == 0 || e->n_out > CHUNK_MAX)
			return rewrite_from(e, seq, at, to);
		r = change_in_place(e, seq, at, end);
		at = end;
	}
	return r;
}

/* A folder without entries has no row: an empty folder is an entry of the one above it. */
static int remove_if_empty(struct edit *e)
{
	sqlite3_stmt *st;
	int r = db_stmt(e->d, STMT_CHUNK_OF_DIR, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, e->dir_id);
	r = db_step(e->d, st);
	sqlite3_reset(st);
	if (r != 0)
		return r < 0 ? r : 0;
	r = db_stmt(e->d, STMT_DIR_REMOVE, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, e->dir_id);
	return db_run(e->d, st);
}

static int change_dir(struct edit *e, const struct change *at, const struct change *to)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	int r;

	e->dir = at->dir;
	r = chunk_writer_dir(e->chunks, e->dir, &e->dir_id);
	if (r == 0)
		r = baseline_dir_chunks(e->reader, e->dir_id, &a, &e->first, &e->n_first);
	if (r == 0)
		r = change_chunks(e, at, to);
	return r < 0 ? r : remove_if_empty(e);
}

static int change_all(struct edit *e)
{
	int r = 0;

	for (size_t i = 0, k; i < e->n && r == 0; i = k) {
		for (k = i; k < e->n && streq(e->changes[k].dir, e->changes[i].dir);)
			k++;
		r = change_dir(e, e->changes + i, e->changes + k);
	}
	return r;
}

/* Counts are worked out anew: an entry that was replaced may have been read, unread or larger. */
static int count_again(struct edit *e, struct baseline_info *info)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(e->d,
			   "SELECT count(*), coalesce(sum(CASE WHEN f.digest IS NOT NULL THEN f.size END), 0), "
			   "count(f.unread) FROM dir d CROSS JOIN chunk c ON c.dir = d.id CROSS JOIN file f ON f.id "
			   "BETWEEN c.base*64 "
			   "AND c.base*64+63 WHERE d.baseline = ?1",
			   &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, e->id);
	r = db_step(e->d, st);
	if (r <= 0)
		return r < 0 ? r : -EIO;
	info->files = (uint64_t)sqlite3_column_int64(st, 0);
	info->bytes = (uint64_t)sqlite3_column_int64(st, 1);
	info->unread = (uint64_t)sqlite3_column_int64(st, 2);
	return 0;
}

/* In the transaction. */
static int apply(struct edit *e, const struct sign_key *key)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct baseline_info info;
	int r = chain_change_baselines(e->d);

	/* Nothing that was changed behind our back is signed again. */
	if (r == 0)
		r = baseline_check_signature(e->d, e->id, key, &err);
	if (r == -EBADMSG)
		return db_failf(e->d, r, "%s", err.data);
	if (r == 0)
		r = baseline_find_id(e->d, e->id, &e->arena, &info);
	if (r == 0)
		r = chunk_writer_begin(e->chunks);
	if (r == 0)
		r = change_all(e);
	if (r == 0)
		r = count_again(e, &info);
	if (r == 0)
		r = baseline_sign(e->d, &info, key);
	return r;
}

static void edit_free(struct edit *e)
{
	if (e->chunks)
		chunk_writer_free(e->chunks);
	if (e->reader)
		baseline_reader_free(e->reader);
	digest_free(e->blake);
	buf_free(&e->scratch);
	arena_free(&e->arena);
	arena_free(&e->old.arena);
	arena_free(&e->out_arena);
	free(e->changes);
	free(e);
}

static int set_up(struct edit *e, const struct baseline_edit *edits, size_t n)
{
	int r = sort_changes(e, edits, n);

	if (r == 0)
		r = chunk_writer_new(e->d, e->id, &e->chunks);
	if (r == 0)
		r = baseline_reader_new(e->d, e->id, &e->reader);
	return r < 0 ? r : digest_new(DIGEST_BLAKE2B512, &e->blake);
}

int baseline_apply(struct db *d, int64_t id, const struct baseline_edit *edits, size_t n, const struct sign_key *key)
{
	const struct sign_key *outer = d->key;
	struct edit *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->d = d;
	e->id = id;
	d->key = key;
	r = set_up(e, edits, n);
	if (r == 0)
		r = db_begin(d);
	if (r == 0) {
		r = apply(e, key);
		if (r == 0)
			r = db_commit(d);
		else
			db_rollback(d);
	}
	/* A transaction around this one seals with the key too. */
	if (outer)
		d->key = outer;
	edit_free(e);
	return r;
}
