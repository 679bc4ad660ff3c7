/*
 * The names that history tells of. A page at a time, each from the path behind the last one of the page before: along
 * the index of paths, so that neither a sort nor an open statement grows with history. Any thread, on its own
 * connection.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/history.h"
#include "db/store.h"

#define PAGE 256

/* Both are asked for by the same bounds; a bare column beside max() is of the row that has it. */
#define NAMES(path, of, rec)                                                                                           \
	"SELECT " path ", change, " rec ", max(id) FROM event WHERE kind = 0 AND baseline_name = ?1 AND " path         \
	" >= ?2 AND " path " < ?3" of " GROUP BY " path " ORDER BY " path " LIMIT ?4"

static const char *const queries[] = {
	/* What is at the old name of a renamed file is nothing any more. */
	NAMES("path", "", "CASE WHEN change <> 4 THEN after_rec END"),
	NAMES("path2", " AND change = 4", "after_rec"),
};
_Static_assert(CHANGE_RENAMED == 4, "the queries say so");

struct names {
	struct arena arena;
	struct history_name items[PAGE];
	size_t n;
};

static void names_free(struct names **n)
{
	if (*n)
		arena_free(&(*n)->arena);
	free(*n);
}

static int name_of_row(sqlite3_stmt *st, struct arena *a, struct history_name *ret)
{
	size_t len = (size_t)sqlite3_column_bytes(st, 2);
	void *rec = len ? arena_dup(a, sqlite3_column_blob(st, 2), len) : NULL;

	*ret = (struct history_name){ .change = (enum change)sqlite3_column_int(st, 1) };
	ret->path = arena_strndup(a, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	if (!ret->path || (len && !rec))
		return -ENOMEM;
	return len ? record_decode(rec, len, &ret->rec) : 0;
}

static int fill(struct db *d, sqlite3_stmt *st, struct names *page)
{
	int r = 0;

	arena_reset(&page->arena);
	page->n = 0;
	while (r == 0 && page->n < PAGE && (r = db_step(d, st)) > 0)
		r = name_of_row(st, &page->arena, &page->items[page->n++]);
	sqlite3_reset(st);
	return r;
}

/* "/a-b" lies between "/a" and what is below it. */
static bool is_below(const char *path, const char *below)
{
	size_t n = streq(below, "/") ? 0 : strlen(below);

	return strncmp(path, below, n) == 0 && (path[n] == '/' || !path[n]);
}

static int each_of(struct db *d, const char *query, const char *baseline, const char *below,
		   int (*fn)(const struct history_name *n, void *data), void *data)
{
	_cleanup_(names_free) struct names *page = calloc(1, sizeof(*page));
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	_cleanup_buf_ struct buf from = BUF_INIT, to = BUF_INIT;
	int r = page ? db_prepare(d, query, &st) : -ENOMEM;

	buf_str(&from, below);
	buf_printf(&to, "%s0", streq(below, "/") ? "" : below); /* '0' follows '/' */
	while (r == 0) {
		if (from.failed || to.failed)
			return -ENOMEM;
		sqlite3_bind_text(st, 1, baseline, -1, SQLITE_STATIC);
		sqlite3_bind_blob64(st, 2, from.data, from.len, SQLITE_STATIC);
		sqlite3_bind_blob64(st, 3, to.data, to.len, SQLITE_STATIC);
		sqlite3_bind_int(st, 4, PAGE);
		r = fill(d, st, page);
		for (size_t i = 0; r == 0 && i < page->n; i++)
			if (is_below(page->items[i].path, below))
				r = fn(&page->items[i], data);
		if (page->n < PAGE)
			break;
		/* The path behind the last one: that and a byte of zero. */
		buf_reset(&from);
		buf_add(&from, page->items[PAGE - 1].path, strlen(page->items[PAGE - 1].path) + 1);
	}
	return r;
}

int history_each_name(struct db *d, const char *baseline, const char *below,
		      int (*fn)(const struct history_name *n, void *data), void *data)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(queries) && r == 0; i++)
		r = each_of(d, queries[i], baseline, below, fn, data);
	return r;
}
