/*
 * Containers in the store: one row for each snapshot, referred to by the events that happened in it and covered by
 * their digests. Runs on the thread of the connection; struct container.row is written here alone.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/store.h"
#include "lib/text.h"

#define CACHE_SLOTS 64

/* --- writing */

/* Plain ASCII, as row_ascii wants it: JSON escapes every other byte but DEL. Takes over o. */
static void row_object(struct row *row, json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_SORT_KEYS) : NULL;

	json_decref(o);
	if (!text) {
		row_null(row);
		return;
	}
	for (char *p = text; *p; p++)
		if (*p == 0x7f)
			*p = '?';
	row_ascii(row, text);
	free(text);
}

static void fill_row(struct row *row, const struct container *c)
{
	row_text(row, c->runtime);
	row_text(row, c->id);
	row_text(row, c->name);
	row_text(row, c->image);
	row_text(row, c->image_digest);
	row_text(row, c->image_id);
	row_text(row, c->pod);
	row_text(row, c->namespace);
	row_object(row, container_labels_json(c));
	row_int(row, c->have_privileged, c->privileged);
	row_object(row, container_mounts_json(c));
	row_int(row, c->started != 0, (int64_t)c->started);
	row_text(row, c->unknown);
}

static int insert(struct db *d, struct container *c, uint8_t ret[DB_HASH_SIZE])
{
	_cleanup_buf_ struct buf hash = BUF_INIT;
	struct row row = { .d = d, .col = 1, .hash = &hash };
	int r = db_stmt(d, STMT_CONTAINER_ADD, &row.st);

	if (r < 0)
		return r;
	fill_row(&row, c);
	if (hash.failed || row.failed)
		return -ENOMEM;
	r = db_hash(d, hash.data, hash.len, ret);
	if (r < 0)
		return r;
	sqlite3_bind_blob(row.st, row.col, ret, DB_HASH_SIZE, SQLITE_STATIC);
	r = db_run(d, row.st);
	return r < 0 ? r : db_stored_container(d, c, sqlite3_last_insert_rowid(d->h));
}

/* 1 when the row is (still) there. */
static int stored(struct db *d, int64_t row, uint8_t ret_digest[DB_HASH_SIZE])
{
	sqlite3_stmt *st;
	int r = row ? db_stmt(d, STMT_CONTAINER_GET, &st) : 0;

	if (r < 0 || row == 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	if (r > 0 && sqlite3_column_bytes(st, STMT_CONTAINER_COLUMN_COUNT) == DB_HASH_SIZE)
		memcpy(ret_digest, sqlite3_column_blob(st, STMT_CONTAINER_COLUMN_COUNT), DB_HASH_SIZE);
	else if (r > 0)
		r = 0;
	sqlite3_reset(st);
	return r;
}

int container_store(struct db *d, struct container *c, int64_t *ret_row, uint8_t ret_digest[DB_HASH_SIZE])
{
	int r = stored(d, atomic_load(&c->row), ret_digest);

	if (r == 0)
		r = insert(d, c, ret_digest);
	if (r >= 0)
		*ret_row = atomic_load(&c->row);
	return r < 0 ? r : 0;
}

/* --- reading */

struct container_cache {
	struct container *slots[CACHE_SLOTS];
};

int container_cache_new(struct container_cache **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void container_cache_free(struct container_cache *c)
{
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		container_unref(c->slots[i]);
	free(c);
}

static const char *column(sqlite3_stmt *st, int col, struct container *c)
{
	const char *s = (const char *)sqlite3_column_text(st, col);

	return s ? arena_strdup(&c->arena, s) : NULL;
}

static void read_labels(struct container *c, const char *text)
{
	json_t *o = text ? json_loads(text, 0, NULL) : NULL, *value;
	const char *key;

	json_object_foreach(o, key, value)
	{
		struct container_label *l = &c->labels[c->n_labels];

		if (c->n_labels == CONTAINER_LABELS_MAX || !json_is_string(value))
			break;
		l->key = arena_strdup(&c->arena, key);
		l->value = arena_strdup(&c->arena, json_string_value(value));
		c->n_labels += l->key && l->value;
	}
	json_decref(o);
}

static void read_mounts(struct container *c, const char *text)
{
	json_t *list = text ? json_loads(text, 0, NULL) : NULL;
	size_t n = MIN(json_array_size(list), (size_t)CONTAINER_MOUNTS_MAX);
	struct container_mount *mounts = arena_zalloc(&c->arena, (n + 1) * sizeof(*mounts));

	c->have_mounts = json_is_array(list) && mounts;
	for (size_t i = 0; c->have_mounts && i < n; i++) {
		const char *s = json_string_value(json_array_get(list, i));

		mounts[c->n_mounts].dest = s ? arena_strdup(&c->arena, s) : NULL;
		c->n_mounts += mounts[c->n_mounts].dest != NULL;
	}
	c->mounts = mounts;
	json_decref(list);
}

static struct container *read_row(sqlite3_stmt *st)
{
	struct container *c = container_new();

	if (!c)
		return NULL;
	c->runtime = column(st, 0, c);
	c->id = column(st, 1, c);
	c->name = column(st, 2, c);
	c->image = column(st, 3, c);
	c->image_digest = column(st, 4, c);
	c->image_id = column(st, 5, c);
	c->pod = column(st, 6, c);
	c->namespace = column(st, 7, c);
	read_labels(c, (const char *)sqlite3_column_text(st, 8));
	c->have_privileged = sqlite3_column_type(st, 9) != SQLITE_NULL;
	c->privileged = sqlite3_column_int(st, 9) != 0;
	read_mounts(c, (const char *)sqlite3_column_text(st, 10));
	c->started = (uint64_t)sqlite3_column_int64(st, 11);
	c->unknown = column(st, 12, c);
	c->id = c->id ?: "";
	return c;
}

int container_load(struct db *d, struct container_cache *cache, int64_t row, struct container **ret)
{
	struct container **slot = &cache->slots[(uint64_t)row % CACHE_SLOTS];
	sqlite3_stmt *st;
	int r;

	*ret = NULL;
	if (*slot && atomic_load(&(*slot)->row) == row) {
		*ret = container_ref(*slot);
		return 0;
	}
	r = db_stmt(d, STMT_CONTAINER_GET, &st);
	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	if (r <= 0)
		return r;
	*ret = read_row(st);
	sqlite3_reset(st);
	if (!*ret)
		return -ENOMEM;
	atomic_store(&(*ret)->row, row);
	container_unref(*slot);
	*slot = container_ref(*ret);
	return 0;
}

int container_rehash(struct db *d, int64_t row, uint8_t ret[DB_HASH_SIZE])
{
	_cleanup_buf_ struct buf hash = BUF_INIT;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_CONTAINER_GET, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, row);
	r = db_step(d, st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	row_hash_columns(&hash, st, 0, STMT_CONTAINER_COLUMN_COUNT);
	sqlite3_reset(st);
	return hash.failed ? -ENOMEM : db_hash(d, hash.data, hash.len, ret);
}
