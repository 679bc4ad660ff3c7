/* Single rows of history. The caller's connection and thread; reads only. */
#include <errno.h>
#include <string.h>

#include "db/history.h"
#include "db/store.h"

static int take_row(struct event *e, void *data)
{
	*(struct event **)data = event_ref(e);
	return 1;
}

int history_get(struct db *d, int64_t id, struct event **ret)
{
	const struct history_filter filter = { .after_id = id - 1, .limit = 1, .oldest_first = true };
	struct event *found = NULL;
	int r = id > 0 ? history_each(d, &filter, take_row, &found) : 0;

	if (r < 0 || !found || found->id != id) {
		event_unref(found);
		return r < 0 ? r : -ENOENT;
	}
	*ret = found;
	return 0;
}

/* The newer of *id and what the statement finds. */
static int look(struct db *d, enum statement statement, int64_t baseline, const char *layer, const char *path,
		int64_t *id)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, statement, &st);

	if (r < 0)
		return r;
	if (baseline)
		sqlite3_bind_int64(st, 1, baseline);
	sqlite3_bind_blob64(st, 2, path, strlen(path), SQLITE_STATIC);
	if (layer)
		sqlite3_bind_blob64(st, 3, layer, strlen(layer), SQLITE_STATIC);
	r = db_step(d, st);
	if (r > 0 && sqlite3_column_int64(st, 0) > *id)
		*id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

/* 1: yes, or one has to look closer. */
static int may_be_excused(struct db *d, int64_t id, const char *path)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_EVENT_EXCUSED, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, id);
	sqlite3_bind_blob64(st, 2, path, strlen(path), SQLITE_STATIC);
	r = db_step(d, st);
	sqlite3_reset(st);
	return r;
}

int history_last_excused(struct db *d, int64_t baseline, const char *layer, const char *path, struct event **ret)
{
	_cleanup_event_ struct event *e = NULL;
	int64_t id = 0;
	int r = look(d, layer ? STMT_EVENT_LAST_LAYER_CHANGE : STMT_EVENT_LAST_CHANGE, baseline, layer, path, &id);

	if (r == 0)
		r = look(d, layer ? STMT_EVENT_LAST_LAYER_RENAME : STMT_EVENT_LAST_RENAME, baseline, layer, path, &id);
	if (r == 0)
		r = may_be_excused(d, id, path);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = history_get(d, id, &e);
	if (r == 0 && e->status != STATUS_EXCUSED)
		r = -ENOENT;
	if (r == 0)
		*ret = event_ref(e);
	return r;
}

int history_mounted(struct db *d, int64_t baseline, const char *container, const char *path, const char *cause,
		    struct event **ret)
{
	_cleanup_buf_ struct buf shown = BUF_INIT;
	int64_t id = 0;
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_EVENT_MOUNTED, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, baseline);
	sqlite3_bind_blob64(st, 2, path, strlen(path), SQLITE_STATIC);
	sqlite3_bind_text(st, 3, container, -1, SQLITE_STATIC);
	display_bind_text(st, 4, cause, &shown);
	r = db_step(d, st);
	if (r > 0)
		id = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	return ret ? history_get(d, id, ret) : 0;
}
