/*
 * Taking a baseline: begin, add, finish or abort; and deleting one. Runs on the one thread that writes. A baseline shows
 * only when it is signed; until then its rows belong to a builder that may die at any time.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/baseline_store.h"
#include "db/history.h"
#include "lib/clock.h"
#include "lib/text.h"

/* Rows between two commits: bounds the WAL and how long another writer (the monitor) has to wait. */
#define ROWS_PER_COMMIT 20000
/* Nobody waits, and each commit waits for the disk twice: as many as fit into SQLite's cache. */
#define ROWS_PER_COMMIT_FIRST 60000

const char *const baseline_kind_names[] = { "host", "tree", "image" };

struct baseline_writer {
	struct db *d;
	struct chunk_writer *chunks;
	struct baseline_info info; /* strings in arena */
	struct arena arena;
	bool replace;
	bool first;    /* of its store: written without a WAL */
	unsigned rows; /* since the last commit */
};

bool baseline_name_valid(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= 200 && display_plain(name, len);
}

/* --- begin */

static int baseline_id_of(struct db *d, const char *name, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_BY_NAME, &st);

	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
	r = db_step(d, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return 0;
}

static int insert_building(struct baseline_writer *w, const struct baseline_info *info)
{
	_cleanup_buf_ struct buf builder = BUF_INIT;
	struct db *d = w->d;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_ADD, &st);

	if (r < 0)
		return r;
	baseline_builder((long)getpid(), &builder);
	if (builder.failed)
		return -ENOMEM;
	sqlite3_bind_text(st, 1, info->name, -1, SQLITE_STATIC);
	sqlite3_bind_int(st, 2, (int)info->kind);
	sqlite3_bind_blob64(st, 3, info->root, strlen(info->root), SQLITE_STATIC);
	display_bind(st, 4, info->root, strlen(info->root), &d->scratch);
	sqlite3_bind_text(st, 5, info->scope, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 6, info->image_ref, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 7, info->image_digest, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 8, (int64_t)info->created);
	sqlite3_bind_int(st, 9, (int)info->algo);
	sqlite3_bind_text(st, 10, builder.data, -1, SQLITE_STATIC);
	sqlite3_bind_text(st, 11, info->image_id, -1, SQLITE_STATIC);
	r = db_run(d, st);
	w->info.id = sqlite3_last_insert_rowid(d->h);
	return r;
}

/* The key is the byte that stands for the layer in column layers of chunk. */
static int insert_layers(struct baseline_writer *w, const struct baseline_info *info)
{
	struct db *d = w->d;
	int r = 0;

	for (uint32_t i = 0; i < info->n_layers && r == 0; i++) {
		const struct baseline_layer *l = &info->layers[i];
		uint8_t key = (uint8_t)(i + 1);
		sqlite3_stmt *st;

		r = db_stmt(d, STMT_LAYER_ADD, &st);
		if (r < 0)
			return r;
		sqlite3_bind_int64(st, 1, w->info.id);
		sqlite3_bind_blob(st, 2, &key, 1, SQLITE_TRANSIENT);
		sqlite3_bind_int64(st, 3, key);
		sqlite3_bind_text(st, 4, l->diff_id, -1, SQLITE_STATIC);
		sqlite3_bind_text(st, 5, l->digest, -1, SQLITE_STATIC);
		sqlite3_bind_text(st, 6, l->created_by, -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 7, (int64_t)l->size);
		r = db_run(d, st);
	}
	return r;
}

/* What the views show is what is signed: fit for a terminal. *ret is NULL for NULL. */
static int keep_text(struct arena *a, const char *s, const char **ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	*ret = NULL;
	if (!s)
		return 0;
	text_sanitize(&b, s, strlen(s)); /* an imported one may hold escaped parts */
	*ret = b.failed ? NULL : arena_strndup(a, b.data ? b.data : "", b.len);
	return *ret ? 0 : -ENOMEM;
}

static int keep_image(struct baseline_writer *w, const struct baseline_info *info)
{
	struct baseline_info *i = &w->info;
	struct baseline_layer *layers = arena_zalloc(&w->arena, (info->n_layers + 1) * sizeof(*layers));
	int r = layers ? keep_text(&w->arena, info->image_ref, &i->image_ref) : -ENOMEM;

	if (r == 0)
		r = keep_text(&w->arena, info->image_digest, &i->image_digest);
	if (r == 0)
		r = keep_text(&w->arena, info->image_id, &i->image_id);
	for (uint32_t n = 0; n < info->n_layers && r == 0; n++) {
		r = keep_text(&w->arena, info->layers[n].diff_id, &layers[n].diff_id);
		if (r == 0)
			r = keep_text(&w->arena, info->layers[n].digest, &layers[n].digest);
		if (r == 0)
			r = keep_text(&w->arena, info->layers[n].created_by, &layers[n].created_by);
		layers[n].size = info->layers[n].size;
	}
	i->layers = layers;
	return r;
}

static int keep_info(struct baseline_writer *w, const struct baseline_info *info)
{
	struct baseline_info *i = &w->info;

	*i = *info;
	i->name = arena_strdup(&w->arena, info->name);
	i->root = arena_strdup(&w->arena, info->root ? info->root : "/");
	i->scope = arena_strdup(&w->arena, info->scope ? info->scope : "{}");
	i->files = i->bytes = i->unread = 0;
	if (!i->created)
		i->created = clock_real_ns();
	return i->name && i->root && i->scope ? keep_image(w, info) : -ENOMEM;
}

static int begin_rows(struct baseline_writer *w)
{
	int r = db_begin(w->d);

	if (r < 0)
		return r;
	r = chunk_writer_begin(w->chunks);
	if (r < 0)
		db_rollback(w->d);
	return r;
}

static void writer_free(struct baseline_writer *w)
{
	if (w->first)
		db_set_journal(w->d, "WAL"); /* or whoever opens it to write, next time */
	if (w->chunks)
		chunk_writer_free(w->chunks);
	arena_free(&w->arena);
	free(w);
}

/*
 * In a store without any baseline there is nothing to go on reading meanwhile, and a WAL would write all of it twice.
 * Somebody may have it open all the same: then the WAL stays. Killed here, it is rolled back by whoever opens it next.
 */
static int begin_first(struct baseline_writer *w)
{
	int64_t any;
	int r = db_number(w->d, "SELECT EXISTS (SELECT 1 FROM baseline)", &any);

	if (r == 0 && !any)
		w->first = db_set_journal(w->d, "DELETE") == 0;
	return r;
}

static int begin(struct baseline_writer *w, const struct baseline_info *info)
{
	int64_t old;
	int r = keep_info(w, info);

	if (r == 0)
		r = baseline_id_of(w->d, info->name, &old);
	if (r == 0 && !w->replace)
		return db_failf(w->d, -EEXIST, "baseline %s exists", info->name);
	if (r < 0 && r != -ENOENT)
		return r;
	r = baseline_purge_leftovers(w->d);
	if (r == 0)
		r = begin_first(w);
	if (r == 0)
		r = db_begin(w->d);
	if (r < 0)
		return r;
	r = insert_building(w, &w->info);
	if (r == 0)
		r = insert_layers(w, &w->info);
	if (r < 0) {
		db_rollback(w->d);
		return r;
	}
	r = db_commit(w->d);
	if (r == 0)
		r = chunk_writer_new(w->d, w->info.id, &w->chunks);
	return r < 0 ? r : begin_rows(w);
}

int baseline_begin(struct db *d, const struct baseline_info *info, bool replace, struct baseline_writer **ret)
{
	struct baseline_writer *w;
	int r;

	if (!info->name || !baseline_name_valid(info->name))
		return db_failf(d, -EINVAL, "not a name for a baseline: 1 to 200 printable bytes are");
	if (info->n_layers > BASELINE_LAYERS_MAX)
		return db_failf(d, -E2BIG, "an image of more than %d layers", BASELINE_LAYERS_MAX);
	if (d->depth > 0)
		return db_failf(d, -EINVAL, "a baseline begins outside a transaction");
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->d = d;
	w->replace = replace;
	r = begin(w, info);
	if (r < 0) {
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

/* --- add */

/* Somebody else's begin may have taken this for a leftover (another pid namespace, say). */
static int still_there(struct baseline_writer *w)
{
	sqlite3_stmt *st;
	int r = db_stmt(w->d, STMT_BASELINE_ALIVE, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, w->info.id);
	r = db_step(w->d, st);
	sqlite3_reset(st);
	return r > 0 ? 0 : r < 0 ? r : db_failf(w->d, -ECANCELED, "another program removed this unfinished baseline");
}

static void count(struct baseline_info *info, const struct chunk *c)
{
	info->files += c->n;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct record *r = &c->entries[i].rec;

		if (r->digest_len > 0)
			info->bytes += r->size;
		if (r->unread)
			info->unread++;
	}
}

int baseline_add(struct baseline_writer *w, const struct chunk *c)
{
	int r = chunk_writer_add(w->chunks, c, 0);

	if (r < 0)
		return r;
	count(&w->info, c);
	w->rows += c->n + 1;
	if (w->rows < (w->first ? ROWS_PER_COMMIT_FIRST : ROWS_PER_COMMIT))
		return 0;
	w->rows = 0;
	r = db_commit(w->d);
	if (r == 0)
		r = begin_rows(w);
	return r < 0 ? r : still_there(w);
}

/* --- finish */

static int set_state(struct db *d, int64_t id, enum baseline_state state)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_BASELINE_STATE, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_int(st, 2, (int)state);
	return db_run(d, st);
}

/* In the transaction: *ret_old is the baseline that was replaced, or 0. */
static int finish(struct baseline_writer *w, const struct sign_key *key, int64_t *ret_old)
{
	int64_t old = 0;
	int r = still_there(w);

	if (r == 0)
		r = chain_change_baselines(w->d);
	if (r < 0)
		return r;
	r = baseline_id_of(w->d, w->info.name, &old);
	if (r == 0 && !w->replace)
		return db_failf(w->d, -EEXIST, "baseline %s exists", w->info.name);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0)
		r = set_state(w->d, old, BASELINE_DELETING);
	else
		r = 0;
	if (r == 0 && old)
		r = baseline_note_end(w->d, old, w->info.name, "replaced by a new baseline of that name");
	if (r == 0)
		r = baseline_sign(w->d, &w->info, key);
	if (r == 0)
		r = baseline_note(w->d, &w->info, old ? "taken again" : "taken");
	*ret_old = old;
	return r;
}

int baseline_finish(struct baseline_writer *w, const struct sign_key *key, int64_t *ret_id)
{
	const struct sign_key *outer = w->d->key;
	struct db *d = w->d;
	int64_t old = 0;
	int r;

	d->key = key;
	if (d->depth == 0)
		r = begin_rows(w);
	else
		r = 0;
	if (r == 0)
		r = finish(w, key, &old);
	if (r == 0)
		r = db_commit(d);
	d->key = outer;
	if (r < 0) {
		baseline_abort(w);
		return r;
	}
	if (ret_id)
		*ret_id = w->info.id;
	writer_free(w);
	/* What fails from here on is picked up by the next begin. */
	if (old)
		baseline_purge(d, old);
	sqlite3_wal_checkpoint_v2(d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	return 0;
}

void baseline_abort(struct baseline_writer *w)
{
	if (w->d->depth > 0)
		db_rollback(w->d);
	baseline_purge(w->d, w->info.id);
	writer_free(w);
}

/* --- delete */

int baseline_delete(struct db *d, int64_t id, struct buf *err)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct baseline_info info;
	int r = baseline_find_id(d, id, &a, &info);

	if (r == 0)
		r = db_begin(d);
	if (r == 0) {
		r = chain_change_baselines(d);
		if (r == 0)
			r = set_state(d, id, BASELINE_DELETING);
		if (r == 0)
			r = baseline_note_end(d, id, info.name, "baseline deleted");
		if (r < 0)
			db_rollback(d);
		else
			r = db_commit(d);
	}
	if (r < 0) {
		if (err)
			buf_printf(err, "%s", r == -ENOENT ? "no such baseline" : db_error(d));
		return r;
	}
	return baseline_purge(d, id);
}
