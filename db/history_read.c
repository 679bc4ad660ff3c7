/*
 * Reading history: rows become events again, with their process and its parents. Rows are fetched in pages and handed
 * on with no statement open, so a reader that pauses (a pager) holds up nobody. Any thread, on its own connection.
 */
#include <errno.h>
#include <stdlib.h>

#include "db/history.h"
#include "db/store.h"
#include "lib/text.h"

#define PAGE 256

/* Columns as STMT_EVENT_COLUMNS has them. */
enum event_column {
	COL_ID,
	COL_TIME,
	COL_BOOT,
	COL_KIND,
	COL_PATH,
	COL_PATH2 = 6,
	COL_PROCESS = 8,
	COL_PROCESS_WHY,
	COL_BASELINE,
	COL_BASELINE_NAME,
	COL_CHANGE,
	COL_STATUS,
	COL_ATTRIBUTES,
	COL_DETAILS = 17, /* after, of an alert, a connection or a session */
	COL_BEFORE_REC,
	COL_AFTER_REC,
	COL_CAUSE,
	COL_COUNT,
	COL_GAP_REASON,
	COL_GAP_SCOPE,
	COL_GAP_DETAIL = 25,
	COL_GAP_FROM,
	COL_GAP_TO,
	COL_GAP_LOST,
	COL_GAP_HEALED,
	COL_GAP_KEY,
	COL_REF,
	COL_UNTIL,
	COL_REASON,
	COL_USER,
	COL_TEXT,
	COL_CONTAINER,
	COL_HOST_PATH,
	COL_SHOWN_STATUS = 39,
};

#define EVENT_SELECT                                                                                                   \
	"SELECT " STMT_EVENT_COLUMNS ", " STMT_EVENT_PLACE                                                             \
	", CASE WHEN kind = 0 AND change < 6 THEN (SELECT v.status FROM deviations v WHERE "                           \
	"v.id = event.id) END FROM event WHERE "

/* --- a row into an event */

static int read_string(sqlite3_stmt *st, enum event_column col, struct event *e, const char **ret)
{
	const void *p;

	if (sqlite3_column_type(st, (int)col) == SQLITE_NULL)
		return 0;
	p = sqlite3_column_blob(st, (int)col);
	*ret = arena_strndup(&e->arena, p ? p : "", (size_t)sqlite3_column_bytes(st, (int)col));
	return *ret ? 0 : -ENOMEM;
}

static int read_strings(sqlite3_stmt *st, struct event *e)
{
	const struct {
		enum event_column col;
		const char **ret;
	} strings[] = {
		{ COL_PATH, &e->path },
		{ COL_PATH2, &e->path2 },
		{ COL_PROCESS_WHY, &e->process_why },
		{ COL_BASELINE_NAME, &e->baseline },
		{ COL_CAUSE, &e->cause },
		{ COL_GAP_SCOPE, &e->gap_scope },
		{ COL_GAP_DETAIL, &e->gap_detail },
		{ COL_GAP_HEALED, &e->gap_healed },
		{ COL_REASON, &e->reason },
		{ COL_USER, &e->user },
		{ COL_TEXT, &e->text },
		{ COL_HOST_PATH, &e->host_path },
	};

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		int r = read_string(st, strings[i].col, e, strings[i].ret);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_record(sqlite3_stmt *st, enum event_column col, struct event *e, bool *ret_has, struct record *ret)
{
	size_t len = (size_t)sqlite3_column_bytes(st, (int)col);
	void *copy;
	int r;

	if (sqlite3_column_type(st, (int)col) == SQLITE_NULL)
		return 0;
	copy = arena_dup(&e->arena, len ? sqlite3_column_blob(st, (int)col) : "", len);
	if (!copy)
		return -ENOMEM;
	r = record_decode(copy, len, ret);
	*ret_has = r == 0;
	return r;
}

static void read_numbers(sqlite3_stmt *st, struct event *e)
{
	bool counted = sqlite3_column_type(st, COL_COUNT) != SQLITE_NULL;

	e->id = sqlite3_column_int64(st, COL_ID);
	e->time = (uint64_t)sqlite3_column_int64(st, COL_TIME);
	e->boot_time = (uint64_t)sqlite3_column_int64(st, COL_BOOT);
	e->baseline_id = sqlite3_column_int64(st, COL_BASELINE);
	e->change = (enum change)sqlite3_column_int(st, COL_CHANGE);
	e->status = (enum deviation_status)sqlite3_column_int(st, COL_STATUS);
	e->attributes = (attr_mask)sqlite3_column_int64(st, COL_ATTRIBUTES);
	e->count = counted ? (uint64_t)sqlite3_column_int64(st, COL_COUNT) : 1;
	e->gap_reason = (enum gap_reason)sqlite3_column_int(st, COL_GAP_REASON);
	e->gap_from = (uint64_t)sqlite3_column_int64(st, COL_GAP_FROM);
	e->gap_to = (uint64_t)sqlite3_column_int64(st, COL_GAP_TO);
	e->gap_lost = (uint64_t)sqlite3_column_int64(st, COL_GAP_LOST);
	e->gap_key = (uint64_t)sqlite3_column_int64(st, COL_GAP_KEY);
	e->ref = sqlite3_column_int64(st, COL_REF);
	e->until = (uint64_t)sqlite3_column_int64(st, COL_UNTIL);
}

/* A program start has its own meaning of these: see fill_change. */
static void read_exec(struct event *e)
{
	if (e->kind != EVENT_EXEC)
		return;
	e->verdict = (enum exec_verdict)e->change;
	e->exec_type = (enum exec_type)e->status;
	e->exec_ns = e->until;
	e->container_exec = e->attributes == 1;
	e->attributes = 0;
	e->change = CHANGE_ADDED;
	e->status = STATUS_OPEN;
	e->until = 0;
}

/* So has an alert: see fill_alert. */
static int read_alert(sqlite3_stmt *st, struct event *e)
{
	if (e->kind != EVENT_ALERT)
		return 0;
	e->priority = (enum priority)e->change;
	e->repeated = e->status != STATUS_OPEN;
	e->change = CHANGE_ADDED;
	e->status = STATUS_OPEN;
	return read_string(st, COL_DETAILS, e, &e->details);
}

/* And an action: see fill_action. */
static void read_action(struct event *e)
{
	if (e->kind != EVENT_ACTION)
		return;
	e->action = (enum action_kind)e->change;
	e->result = (enum action_result)e->status;
	e->response = e->until;
	e->change = CHANGE_ADDED;
	e->status = STATUS_OPEN;
	e->until = 0;
}

/* And a connection: see fill_connection. */
static int read_connection(sqlite3_stmt *st, struct event *e)
{
	if (e->kind != EVENT_CONNECTION)
		return 0;
	e->socket_op = (enum socket_op)e->change;
	e->change = CHANGE_ADDED;
	return read_string(st, COL_DETAILS, e, &e->details);
}

/* And a session: see fill_session. */
static int read_session(sqlite3_stmt *st, struct event *e)
{
	int r;

	if (e->kind != EVENT_SESSION)
		return 0;
	e->session_op = (enum session_op)e->change;
	e->session_failed = e->status != STATUS_OPEN;
	e->change = CHANGE_ADDED;
	e->status = STATUS_OPEN;
	r = read_string(st, COL_DETAILS, e, &e->details);
	if (r == 0 && e->details)
		e->session = session_parse(&e->arena, e->details, e->session_op, e->session_failed);
	return r;
}

static bool in_range(const struct event *e)
{
	return (unsigned)e->action < ACTION_COUNT && (unsigned)e->result < RESULT_COUNT &&
	       (unsigned)e->priority < PRIORITY_COUNT && (unsigned)e->kind < EVENT_KIND_COUNT &&
	       (unsigned)e->verdict < EXEC_VERDICT_COUNT && (unsigned)e->exec_type < EXEC_TYPE_COUNT &&
	       (unsigned)e->change < CHANGE_COUNT && (unsigned)e->status < STATUS_COUNT &&
	       (unsigned)e->gap_reason < GAP_REASON_COUNT && (unsigned)e->socket_op < SOCKET_OP_COUNT &&
	       (unsigned)e->session_op < SESSION_OP_COUNT;
}

/* "open" and the like, as the view worked it out; NULL where there is none. */
static void read_status(sqlite3_stmt *st, struct event *e)
{
	const char *name = (const char *)sqlite3_column_text(st, COL_SHOWN_STATUS);

	for (unsigned i = 0; name && i < STATUS_COUNT; i++)
		if (streq(name, status_names[i]))
			e->status = (enum deviation_status)i;
}

static int read_event(struct db *d, sqlite3_stmt *st, struct event **ret)
{
	_cleanup_event_ struct event *e = event_new((enum event_kind)sqlite3_column_int(st, COL_KIND));
	int r;

	if (!e)
		return -ENOMEM;
	read_numbers(st, e);
	read_status(st, e);
	read_exec(e);
	read_action(e);
	r = read_alert(st, e);
	if (r == 0)
		r = read_connection(st, e);
	if (r == 0)
		r = read_session(st, e);
	if (r == 0)
		r = in_range(e) ? read_strings(st, e) : -EBADMSG;
	if (r == 0)
		r = read_record(st, COL_BEFORE_REC, e, &e->has_before, &e->before);
	if (r == 0)
		r = read_record(st, COL_AFTER_REC, e, &e->has_after, &e->after);
	if (r == -EBADMSG)
		return db_failf(d, -EBADMSG,
				"row %lld of history holds what nobody wrote: see holdfast baseline verify",
				(long long)sqlite3_column_int64(st, COL_ID));
	if (r == 0)
		*ret = TAKE_PTR(e);
	return r;
}

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
		r = read_event(d, st, &p->events[p->n]);
		if (r < 0)
			break;
		p->containers[p->n] = sqlite3_column_int64(st, COL_CONTAINER);
		p->processes[p->n++] = sqlite3_column_int64(st, COL_PROCESS);
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
 * By login user where there is one: that outlasts su and sudo. Without one a process is whose it or an ancestor is; what
 * root starts as another account is that account's, though.
 */
static void add_user(struct buf *b)
{
	buf_str(b,
		" AND (process IN (WITH RECURSIVE own (id, uid) AS (SELECT id, uid FROM process WHERE CASE WHEN loginuid IS "
		"NOT NULL THEN login_user = ?13 OR CAST(loginuid AS TEXT) = ?13 ELSE user = ?13 OR CAST(uid AS TEXT) = ?13 "
		"END UNION SELECT p.id, own.uid FROM own JOIN process p ON p.parent = own.id WHERE own.uid <> 0 AND "
		"p.loginuid IS NULL) SELECT id FROM own) OR (kind = 10 AND (user = ?13 OR json_extract(after, '$.account') "
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
		"event.path AND k.id > event.id AND k.kind = 0 AND k.change = 6 AND k.host_path IS NULL AND k.baseline IS "
		"event.baseline AND (SELECT c.cid FROM container c WHERE c.id = k.container) = (SELECT c.cid FROM container "
		"c WHERE c.id = event.container)) ORDER BY id LIMIT 256",
		&st);

	if (r == 0)
		r = each_page(d, st, &l);
	return r > 0 ? r - 1 : r;
}
