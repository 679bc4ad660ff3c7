/* A row of history becomes an event again. Whose it is and where it was is left to the caller. */
#include <errno.h>

#include "db/history.h"
#include "db/store.h"
#include "lib/text.h"

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
	e->entry = e->attributes <= ENTRY_NAMESPACES ? (enum container_entry)e->attributes : ENTRY_NONE;
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

int event_of_row(struct db *d, sqlite3_stmt *st, struct event **ret, int64_t *ret_process, int64_t *ret_container)
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
	if (r < 0)
		return r;
	*ret_process = sqlite3_column_int64(st, COL_PROCESS);
	*ret_container = sqlite3_column_int64(st, COL_CONTAINER);
	*ret = TAKE_PTR(e);
	return 0;
}
