/* The last state of a path that history knows. Any thread, on its own connection. */
#include <errno.h>

#include "db/history.h"
#include "db/store.h"

struct last {
	int64_t id;
	int change;
	bool onto; /* renamed onto this path */
	bool has_after;
};

struct last_key {
	int64_t baseline;
	const char *layer; /* of a container; NULL: the host's */
	const char *path;
};

/* Looks with one statement; keeps what is newer. The record goes into a. */
static int look(struct db *d, enum statement id, const struct last_key *key, bool onto, struct arena *a,
		struct last *last, struct record *ret)
{
	sqlite3_stmt *st;
	size_t len;
	void *copy;
	int r = db_stmt(d, id, &st);

	if (r < 0)
		return r;
	if (key->baseline)
		sqlite3_bind_int64(st, 1, key->baseline);
	sqlite3_bind_blob64(st, 2, key->path, strlen(key->path), SQLITE_STATIC);
	if (key->layer)
		sqlite3_bind_blob64(st, 3, key->layer, strlen(key->layer), SQLITE_STATIC);
	r = db_step(d, st);
	if (r <= 0)
		return r;
	if (sqlite3_column_int64(st, 0) > last->id) {
		*last = (struct last){ sqlite3_column_int64(st, 0), sqlite3_column_int(st, 1), onto, false };
		len = (size_t)sqlite3_column_bytes(st, 2);
		if (len > 0) {
			copy = arena_dup(a, sqlite3_column_blob(st, 2), len);
			r = copy ? record_decode(copy, len, ret) : -ENOMEM;
			last->has_after = r == 0;
		}
	}
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

static int accepted(struct db *d, int64_t baseline, const char *path, int64_t id)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_EVENT_ACCEPTED, &st);

	if (r < 0)
		return r;
	if (baseline)
		sqlite3_bind_int64(st, 1, baseline);
	sqlite3_bind_blob64(st, 2, path, strlen(path), SQLITE_STATIC);
	sqlite3_bind_int64(st, 3, id);
	r = db_step(d, st);
	sqlite3_reset(st);
	return r;
}

static int last_state(struct db *d, const struct last_key *key, struct arena *a, bool *ret_exists, struct record *ret)
{
	struct last last = { 0 };
	struct record rec = { 0 };
	int r = look(d, key->layer ? STMT_EVENT_LAST_LAYER_CHANGE : STMT_EVENT_LAST_CHANGE, key, false, a, &last, &rec);

	if (r == 0)
		r = look(d, key->layer ? STMT_EVENT_LAST_LAYER_RENAME : STMT_EVENT_LAST_RENAME, key, true, a, &last,
			 &rec);
	if (r < 0)
		return r;
	if (last.id == 0)
		return -ENOENT;
	r = accepted(d, key->baseline, key->path, last.id);
	if (r != 0)
		return r < 0 ? r : -ENOENT;
	if (last.change == CHANGE_REMOVED || (last.change == CHANGE_RENAMED && !last.onto)) {
		*ret_exists = false;
		return 0;
	}
	if (!last.has_after)
		return -ENOENT;
	*ret_exists = true;
	*ret = rec;
	return 0;
}

int history_last_state(struct db *d, int64_t baseline, const char *path, struct arena *a, bool *ret_exists,
		       struct record *ret)
{
	return last_state(d, &(struct last_key){ baseline, NULL, path }, a, ret_exists, ret);
}

int history_last_layer_state(struct db *d, int64_t baseline, const char *layer, const char *path, struct arena *a,
			     bool *ret_exists, struct record *ret)
{
	return last_state(d, &(struct last_key){ baseline, layer, path }, a, ret_exists, ret);
}
