/*
 * Reading history: events with their process and its parents. Rows are fetched in pages and handed on with no statement
 * open, so a reader that pauses (a pager) holds up nobody. Any thread, on its own connection.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/history.h"
#include "db/store.h"
#include "lib/text.h"

#define PAGE 256

#define EVENT_SELECT                                                                                                   \
	"SELECT " STMT_EVENT_COLUMNS ", " STMT_EVENT_PLACE                                                             \
	", CASE WHEN kind = 0 AND change < 6 THEN (SELECT v.status FROM deviations v WHERE "                           \
	"v.id = event.id) END FROM event WHERE "

/* --- pages */

struct page {
	struct event *events[PAGE];
	int64_t processes[PAGE], containers[PAGE];
	size_t n;
};

static void page_free(struct page *p)
{
	for (size_t i = 0; i < p->n; i++)
		event_unref(p->events[i]);
	p->n = 0;
}

struct caches {
	struct process_cache *processes;
	struct container_cache *containers;
};

static void caches_free(struct caches *c)
{
	process_cache_free_p(&c->processes);
	container_cache_free_p(&c->containers);
}

static int page_fill(struct db *d, sqlite3_stmt *st, struct caches *cache, struct page *p)
{
	int r = 0;

	while (p->n < PAGE && (r = db_step(d, st)) > 0) {
		r = event_of_row(d, st, &p->events[p->n], &p->processes[p->n], &p->containers[p->n]);
		if (r < 0)
			break;
		p->n++;
	}
	sqlite3_reset(st);
	if (p->n == PAGE)
		r = 0;
	for (size_t i = 0; i < p->n && r >= 0; i++)
		if (p->processes[i])
			r = process_load(d, cache->processes, p->processes[i], &p->events[i]->process);
	for (size_t i = 0; i < p->n && r >= 0; i++)
		if (p->containers[i])
			r = container_load(d, cache->containers, p->containers[i], &p->events[i]->container);
	return r < 0 ? r : 0;
}

/* --- the filter as SQL; what SQL cannot say (globs) is left to matches() */

enum {
	BIND_SINCE = 1,
	BIND_UNTIL,
	BIND_PATH,
	BIND_LOW,
	BIND_HIGH,
	BIND_PID,
	BIND_AFTER,
	BIND_BASELINE,
	BIND_NEXT,
	BIND_CONTAINER,
	BIND_ANSWERS,
	BIND_RESPONSE,
	BIND_USER
};

static void add_kinds(struct buf *b, uint32_t kinds)
{
	const char *comma = "";

	buf_str(b, " AND kind IN (");
	for (unsigned k = 0; k < EVENT_KIND_COUNT; k++)
		if (kinds & (1u << k)) {
			buf_printf(b, "%s%u", comma, k);
			comma = ", ";
		}
	buf_str(b, ")");
}

/*
 * By login user where there is one: that outlasts su and sudo. Without one a process is whose it or an ancestor is;
 * what root starts as another account is that account's, though.
 */
static void add_user(struct buf *b)
{
	buf_str(b, " AND (process IN (WITH RECURSIVE own (id, uid) AS (SELECT id, uid FROM process WHERE CASE WHEN "
		   "loginuid IS "
		   "NOT NULL THEN login_user = ?13 OR CAST(loginuid AS TEXT) = ?13 ELSE user = ?13 OR CAST(uid AS "
		   "TEXT) = ?13 "
		   "END UNION SELECT p.id, own.uid FROM own JOIN process p ON p.parent = own.id WHERE own.uid <> 0 AND "
		   "p.loginuid IS NULL) SELECT id FROM own) OR (kind = 10 AND (user = ?13 OR json_extract(after, "
		   "'$.account') "
		   "= ?13)) OR (kind IN (4, 6, 7) AND user = ?13))");
}

static bool path_in_sql(const struct history_filter *f)
{
	return f->path && !text_is_glob(f->path) && !streq(f->path, "/");
}

static void build_sql(struct buf *b, const struct history_filter *f)
{
	buf_str(b, EVENT_SELECT);
	buf_str(b, f->oldest_first ? "id > ?9" : "id < ?9");
	if (f->since)
		buf_str(b, " AND time >= ?1");
	if (f->until)
		buf_str(b, " AND time < ?2");
	if (path_in_sql(f))
		buf_str(b,
			" AND (path = ?3 OR (path > ?4 AND path < ?5) OR path2 = ?3 OR (path2 > ?4 AND path2 < ?5))");
	if (f->pid)
		buf_str(b, " AND process IN (SELECT id FROM process WHERE pid = ?6)");
	if (f->after_id)
		buf_str(b, " AND id > ?7");
	if (f->baseline)
		buf_str(b, " AND baseline_name = ?8");
	if (f->container)
		buf_str(b,
			" AND container IN (SELECT id FROM container WHERE name = ?10 OR cid = ?10 OR pod = ?10 OR "
			"namespace || '/' || pod = ?10 OR (length(?10) >= 12 AND substr(cid, 1, length(?10)) = ?10))");
	if (f->user)
		add_user(b);
	if (f->kinds)
		add_kinds(b, f->kinds);
	if (f->open_only)
		buf_str(b, " AND kind = 0 AND change < 6 AND (SELECT v.status FROM deviations v WHERE v.id = event.id) "
			   "= 'open'");
	if (f->answers)
		buf_str(b, " AND kind = 4 AND (ref = ?11 OR until IN (SELECT f.until FROM event f WHERE f.kind = 4 AND "
			   "f.ref = ?11))");
	if (f->response)
		buf_str(b, " AND kind = 4 AND until = ?12");
	/* Where SQL says all there is to say, no more is read than is wanted. */
	buf_printf(b, " ORDER BY id %s LIMIT %u", f->oldest_first ? "ASC" : "DESC",
		   f->limit && !(f->path && text_is_glob(f->path)) ? (unsigned)MIN(f->limit, (uint64_t)PAGE) : PAGE);
}

static int bind_filter(sqlite3_stmt *st, const struct history_filter *f)
{
	_cleanup_buf_ struct buf low = BUF_INIT, high = BUF_INIT;

	sqlite3_bind_int64(st, BIND_SINCE, (int64_t)f->since);
	sqlite3_bind_int64(st, BIND_UNTIL, (int64_t)f->until);
	sqlite3_bind_int(st, BIND_PID, f->pid);
	sqlite3_bind_int64(st, BIND_AFTER, f->after_id);
	sqlite3_bind_int64(st, BIND_ANSWERS, f->answers);
	sqlite3_bind_int64(st, BIND_RESPONSE, (int64_t)f->response);
	if (f->baseline)
		sqlite3_bind_text(st, BIND_BASELINE, f->baseline, -1, SQLITE_TRANSIENT);
	if (f->container)
		sqlite3_bind_text(st, BIND_CONTAINER, f->container, -1, SQLITE_TRANSIENT);
	if (f->user)
		sqlite3_bind_text(st, BIND_USER, f->user, -1, SQLITE_TRANSIENT);
	if (!path_in_sql(f))
		return 0;
	buf_printf(&low, "%s/", f->path);
	buf_printf(&high, "%s0", f->path); /* '0' follows '/' */
	if (low.failed || high.failed)
		return -ENOMEM;
	sqlite3_bind_blob64(st, BIND_PATH, f->path, strlen(f->path), SQLITE_TRANSIENT);
	sqlite3_bind_blob64(st, BIND_LOW, low.data, low.len, SQLITE_TRANSIENT);
	sqlite3_bind_blob64(st, BIND_HIGH, high.data, high.len, SQLITE_TRANSIENT);
	return 0;
}

static bool matches(const struct history_filter *f, const struct event *e)
{
	if (!f->path || !text_is_glob(f->path))
		return true;
	return (e->path && text_glob(f->path, e->path)) || (e->path2 && text_glob(f->path, e->path2));
}

struct loop {
	const struct history_filter *f;
	int (*fn)(struct event *e, void *data);
	void *data;
	uint64_t left; /* of the limit */
};

/* 1: the limit is reached. */
static int hand_on(struct loop *l, struct page *p)
{
	for (size_t i = 0; i < p->n; i++) {
		int r;

		if (!matches(l->f, p->events[i]))
			continue;
		r = l->fn(p->events[i], l->data);
		if (r != 0)
			return r < 0 ? r : r + 1;
		if (l->left > 0 && --l->left == 0)
			return 1;
	}
	return 0;
}

static int each_page(struct db *d, sqlite3_stmt *st, struct loop *l)
{
	_cleanup_(caches_free) struct caches cache = { NULL, NULL };
	struct page *page = calloc(1, sizeof(*page));
	int64_t next = l->f->oldest_first ? l->f->after_id : INT64_MAX;
	int r = page ? process_cache_new(&cache.processes) : -ENOMEM;
	bool more = true;

	if (r == 0)
		r = container_cache_new(&cache.containers);
	while (r == 0 && more) {
		sqlite3_bind_int64(st, BIND_NEXT, next);
		r = page_fill(d, st, &cache, page);
		more = page->n == PAGE;
		if (page->n > 0)
			next = page->events[page->n - 1]->id;
		if (r == 0)
			r = hand_on(l, page);
		page_free(page);
	}
	if (page)
		page_free(page);
	free(page);
	return r;
}

int history_each(struct db *d, const struct history_filter *f, int (*fn)(struct event *e, void *data), void *data)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	_cleanup_buf_ struct buf sql = BUF_INIT;
	struct loop l = { f, fn, data, f->limit };
	int r;

	build_sql(&sql, f);
	if (sql.failed)
		return -ENOMEM;
	r = db_prepare(d, sql.data, &st);
	if (r == 0)
		r = bind_filter(st, f);
	if (r == 0)
		r = each_page(d, st, &l);
	/* fn's own positive results came back one higher, to tell them from the limit. */
	return r > 0 ? r - 1 : r;
}

int history_open_gaps(struct db *d, int (*fn)(struct event *e, void *data), void *data)
{
	static const struct history_filter f = { .oldest_first = true };
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	struct loop l = { &f, fn, data, 0 };
	int r = db_prepare(
		d,
		EVENT_SELECT
		"id > ?9 AND kind = 5 AND gap_to IS NULL AND ref IS NULL AND NOT EXISTS (SELECT 1 FROM event k "
		"WHERE k.ref = event.id AND k.kind = 5) ORDER BY id LIMIT 256",
		&st);

	if (r == 0)
		r = each_page(d, st, &l);
	return r > 0 ? r - 1 : r;
}

int history_open_mounts(struct db *d, int (*fn)(struct event *e, void *data), void *data)
{
	static const struct history_filter f = { .oldest_first = true };
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	struct loop l = { &f, fn, data, 0 };
	int r = db_prepare(
		d,
		EVENT_SELECT
		"id > ?9 AND kind = 0 AND host_path IS NULL AND container IS NOT NULL AND change < 6 AND baseline IN "
		"(SELECT b.id FROM baseline b WHERE b.kind = 2) AND NOT EXISTS (SELECT 1 FROM event k WHERE k.path = "
		"event.path AND k.id > event.id AND " DB_MAY_CLOSE("k.") " AND k.kind = 0 AND k.host_path IS NULL AND "
		"k.baseline IS event.baseline AND (SELECT c.cid FROM container c WHERE c.id = k.container) = (SELECT "
		"c.cid FROM container "
		"c WHERE c.id = event.container)) ORDER BY id LIMIT 256",
		&st);

	if (r == 0)
		r = each_page(d, st, &l);
	return r > 0 ? r - 1 : r;
}
