/*
 * Writing history: an event becomes one row of table event, hashed as it is bound and appended to the batch of the
 * transaction. Rows are never changed afterwards. Runs on the writer's thread, or in a command that accepts.
 */
#include "db/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "db/baseline_store.h"
#include "event/json.h"
#include "db/store.h"
#include "db/texts.h"
#include "lib/clock.h"
#include "lib/text.h"

void history_set_key(struct db *d, const struct sign_key *key)
{
	d->key = key;
}

/* --- a row */

static void make_json(const struct record *r, attr_mask mask, struct buf *ret)
{
	json_t *json = attr_json(r, mask);

	if (json)
		json_ascii(ret, json);
	json_decref(json);
}

/* {"mode":"0644"} in plain ASCII: the shell prints it as it is. */
static void row_json(struct row *row, const struct record *r, bool have, attr_mask mask)
{
	_cleanup_buf_ struct buf record = BUF_INIT, made = BUF_INIT;
	const char *known;

	if (!have) {
		row_null(row);
		return;
	}
	buf_u64(&record, mask);
	record_encode(&record, r);
	known = record.failed ? NULL : recent_json(row->d, &record);
	if (known) {
		row_ascii(row, known);
		return;
	}
	make_json(r, mask, &made);
	row->failed |= made.failed || record.failed;
	if (row->failed || !made.data) {
		row_null(row);
		return;
	}
	recent_put_json(row->d, &record, &made);
	row_ascii(row, made.data);
}

static void row_record(struct row *row, const struct record *r, bool have)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (!have) {
		row_null(row);
		return;
	}
	record_encode(&b, r);
	row->failed |= b.failed;
	row_blob(row, b.failed ? "" : b.data, b.len);
}

static void row_attributes(struct row *row, attr_mask mask)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	row_int(row, mask != 0, mask);
	if (mask & ATTR_ALL)
		attr_mask_text(&b, mask & ATTR_ALL);
	row->failed |= b.failed;
	row_text(row, b.len > 0 && !b.failed ? b.data : NULL);
}

/* What happened, what came of it, details as JSON. */
static void fill_details(struct row *row, const struct event *e, int64_t what, bool has_result, int64_t result)
{
	row_int(row, true, what);
	row_int(row, has_result, result);
	row_attributes(row, 0);
	row_null(row);
	if (e->details)
		row_ascii(row, e->details);
	else
		row_null(row);
	row_null(row);
	row_null(row);
	row_text(row, e->cause);
	row_int(row, e->count != 1, (int64_t)e->count);
}

/* Of an alert: priority, whether it was repeated. */
static void fill_alert(struct row *row, const struct event *e)
{
	fill_details(row, e, e->priority, true, e->repeated);
}

/* Of an action: what, and what came of it. */
static void fill_action(struct row *row, const struct event *e)
{
	row_int(row, true, e->action);
	row_int(row, true, e->result);
	row_attributes(row, 0);
	for (unsigned i = 0; i < 4; i++)
		row_null(row);
	row_text(row, e->cause);
	row_int(row, e->count != 1, (int64_t)e->count);
}

/* Of a connection: what was done. */
static void fill_connection(struct row *row, const struct event *e)
{
	fill_details(row, e, e->socket_op, false, 0);
}

/* Of a session: what was done, whether it failed. */
static void fill_session(struct row *row, const struct event *e)
{
	fill_details(row, e, e->session_op, true, e->session_failed);
}

/* Columns 12 to 20: what changed. Of a program start: verdict, type and what is known of the file. */
static void fill_change(struct row *row, const struct event *e)
{
	bool change = e->kind == EVENT_CHANGE, exec = e->kind == EVENT_EXEC;
	attr_mask shown =
		e->has_before && e->has_after && e->attributes & ATTR_ALL ? e->attributes & ATTR_ALL : ATTR_ALL;

	row_int(row, change || exec, exec ? (int64_t)e->verdict : (int64_t)e->change);
	row_int(row, change || exec || e->kind == EVENT_ACCEPT, exec ? (int64_t)e->exec_type : (int64_t)e->status);
	if (exec && e->entry != ENTRY_NONE) {
		row_int(row, true, e->entry);
		row_null(row);
	} else {
		row_attributes(row, change ? e->attributes : 0);
	}
	row_json(row, &e->before, change && e->has_before, shown);
	row_json(row, &e->after, (change || exec) && e->has_after, shown);
	row_record(row, &e->before, change && e->has_before);
	row_record(row, &e->after, (change || exec) && e->has_after);
	row_text(row, e->cause);
	row_int(row, e->count != 1, (int64_t)e->count);
}

/* Columns 22 to 31. */
static void fill_gap(struct row *row, const struct event *e)
{
	bool gap = e->kind == EVENT_GAP;

	row_int(row, gap, e->gap_reason);
	row_shown(row, gap ? e->gap_scope : NULL);
	row_text(row, gap ? e->gap_detail : NULL);
	row_int(row, gap, (int64_t)(e->gap_from ? e->gap_from : e->time));
	row_int(row, gap && e->gap_to, (int64_t)e->gap_to);
	row_int(row, gap && e->gap_lost, (int64_t)e->gap_lost);
	row_text(row, gap ? e->gap_healed : NULL);
	row_int(row, gap && e->gap_key, (int64_t)e->gap_key);
	row_int(row, e->ref != 0, e->ref);
}

/* What became of a file: lines that are escaped each for itself already, as far as anybody can rely on that. */
static void row_lines(struct row *row, const char *s)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (!s || !*s) {
		row_text(row, NULL);
		return;
	}
	for (; *s; s += *s == '\n') {
		size_t len = strcspn(s, "\n");

		text_sanitize(&b, s, len);
		s += len;
		if (*s)
			buf_char(&b, '\n');
	}
	row->failed |= b.failed;
	row_ascii(row, b.failed ? "" : b.data);
}

static void fill_row(struct row *row, const struct event *e, int64_t id, int64_t process)
{
	row_int(row, true, id);
	row_int(row, true, (int64_t)e->time);
	row_int(row, e->boot_time != 0, (int64_t)e->boot_time);
	row_int(row, true, e->kind);
	row_shown(row, e->path);
	row_shown(row, e->path2);
	row_int(row, process != 0, process);
	row_text(row, e->process_why);
	row_int(row, e->baseline_id != 0, e->baseline_id);
	row_text(row, e->baseline);
	(e->kind == EVENT_ALERT	       ? fill_alert
	 : e->kind == EVENT_ACTION     ? fill_action
	 : e->kind == EVENT_CONNECTION ? fill_connection
	 : e->kind == EVENT_SESSION    ? fill_session
				       : fill_change)(row, e);
	fill_gap(row, e);
	if (e->kind == EVENT_EXEC)
		row_int(row, e->exec_ns != 0, (int64_t)e->exec_ns);
	else if (e->kind == EVENT_ACTION)
		row_int(row, e->response != 0, (int64_t)e->response);
	else
		row_int(row, e->until != 0, (int64_t)e->until);
	row_text(row, e->reason);
	row_text(row, e->user);
	(e->kind == EVENT_CHANGE ? row_lines : row_text)(row, e->text);
}

/* In which container; rows without one are hashed without this. */
static void fill_place(struct row *row, const struct event *e, int64_t container, const uint8_t digest[DB_HASH_SIZE])
{
	sqlite3_bind_int64(row->st, row->col++, container);
	buf_add(row->hash, digest, DB_HASH_SIZE);
	row_shown(row, e->host_path);
}

/* --- gaps: a closing row refers to the one that opened it */

static int find_gap(struct db *d, enum statement id, const struct event *e, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, id, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)e->gap_key);
	if (id == STMT_EVENT_GAP_OPEN)
		sqlite3_bind_int64(st, 2, (int64_t)e->gap_from);
	r = db_step(d, st);
	if (r > 0) {
		*ret = sqlite3_column_int64(st, 0);
		sqlite3_reset(st);
	}
	return r;
}

static int refer_to_opening(struct db *d, struct event *e)
{
	int r;

	if (e->kind != EVENT_GAP || !e->gap_to || e->ref || !e->gap_key)
		return 0;
	/* Keys start anew with each run: the start tells apart. */
	r = find_gap(d, STMT_EVENT_GAP_OPEN, e, &e->ref);
	if (r == 0)
		r = find_gap(d, STMT_EVENT_GAP_OPEN_ANY, e, &e->ref);
	return r < 0 ? r : 0;
}

/* For the difference that the next change makes. */
static int keep_content(struct db *d, const struct event *e)
{
	int r = texts_put(d, e->after.digest, e->after.digest_len, e->content, e->content_len, e->time);

	if (r == 0)
		r = texts_trim(d);
	return MIN(r, 0);
}

/* Since when there was no monitor, as long as no row says so. */
#define META_DOWN "down"

static int meta_set(struct db *d, const char *key, int64_t value)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_META_SET, &st);

	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, value);
	return db_run(d, st);
}

static int meta_get(struct db *d, const char *key, int64_t *ret)
{
	sqlite3_stmt *st;
	int r = db_stmt(d, STMT_META_GET, &st);

	*ret = 0;
	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, key, -1, SQLITE_STATIC);
	r = db_step(d, st);
	if (r > 0)
		*ret = sqlite3_column_int64(st, 0);
	sqlite3_reset(st);
	return r < 0 ? r : 0;
}

int history_add(struct db *d, struct event *e)
{
	uint8_t process_digest[DB_HASH_SIZE], container_digest[DB_HASH_SIZE], leaf[DB_HASH_SIZE];
	struct row row = { .d = d, .col = 1, .hash = &d->scratch };
	int64_t process = 0, container = 0, id;
	int r = chain_open(d);

	/* What it was raised for was stored before it, by this thread. */
	if (e->about && !e->ref)
		e->ref = e->about->id;
	if (r == 0 && e->process)
		r = process_store(d, e->process, &process, process_digest);
	if (r == 0)
		r = refer_to_opening(d, e);
	if (r == 0 && e->container)
		r = container_store(d, e->container, &container, container_digest);
	if (r == 0)
		r = db_stmt(d, STMT_EVENT_ADD, &row.st);
	if (r < 0)
		return r;
	id = chain_next_id(d);
	buf_reset(row.hash);
	fill_row(&row, e, id, process);
	if (process)
		buf_add(row.hash, process_digest, sizeof(process_digest));
	row.col++; /* the digest */
	if (container)
		fill_place(&row, e, container, container_digest);
	if (row.failed || row.hash->failed)
		return -ENOMEM;
	r = db_hash(d, row.hash->data, row.hash->len, leaf);
	if (r < 0)
		return r;
	sqlite3_bind_blob(row.st, STMT_EVENT_COLUMN_COUNT + 1, leaf, sizeof(leaf), SQLITE_STATIC);
	r = db_run(d, row.st);
	if (r == 0)
		r = chain_append(d, leaf);
	if (r == 0 && e->content)
		r = keep_content(d, e);
	if (r == 0 && e->kind == EVENT_GAP && e->gap_reason == GAP_DOWN)
		r = meta_set(d, META_DOWN, 0);
	if (r == 0)
		e->id = id;
	return r;
}

/* --- rows about baselines */

static struct event *new_event(enum event_kind kind, const char *baseline, int64_t id)
{
	const char *user = user_name(getuid());
	struct event *e = event_new(kind);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->baseline = baseline ? arena_strdup(&e->arena, baseline) : NULL;
	e->baseline_id = id;
	e->user = user ? arena_strdup(&e->arena, user) : NULL;
	return e;
}

int baseline_note(struct db *d, const struct baseline_info *info, const char *what)
{
	_cleanup_event_ struct event *e = new_event(EVENT_NOTE, info->name, info->id);
	char text[160];

	snprintf(text, sizeof(text), "baseline %s: %llu entries, %llu bytes read", what,
		 (unsigned long long)info->files, (unsigned long long)info->bytes);
	if (e)
		e->text = arena_strdup(&e->arena, text);
	return e && e->text ? history_add(d, e) : -ENOMEM;
}

int baseline_note_end(struct db *d, int64_t id, const char *name, const char *why)
{
	_cleanup_event_ struct event *e = new_event(EVENT_ACCEPT, name, id);

	if (!e)
		return -ENOMEM;
	e->status = STATUS_ACCEPTED;
	e->reason = why;
	return history_add(d, e);
}

/* --- heartbeat */

static int beat(struct db *d, uint64_t now_ns, bool clean_exit, const uint64_t *down_since)
{
	int r = db_begin(d);

	if (r < 0)
		return r;
	r = down_since ? meta_set(d, META_DOWN, (int64_t)*down_since) : 0;
	if (r == 0)
		r = meta_set(d, "alive", (int64_t)now_ns);
	if (r == 0)
		r = meta_set(d, "clean", clean_exit);
	if (r == 0)
		return db_commit(d);
	db_rollback(d);
	return r;
}

int history_alive(struct db *d, uint64_t now_ns, bool clean_exit)
{
	return beat(d, now_ns, clean_exit, NULL);
}

int history_begin(struct db *d, uint64_t down_since, uint64_t now_ns)
{
	return beat(d, now_ns, false, &down_since);
}

int history_last_alive(struct db *d, uint64_t *ret_ns, bool *ret_clean)
{
	int64_t alive = 0, clean = 0, last = 0, down = 0;
	int r = meta_get(d, "alive", &alive);

	if (r == 0)
		r = meta_get(d, "clean", &clean);
	if (r == 0)
		r = meta_get(d, META_DOWN, &down);
	/* Only what the monitor wrote after its last heartbeat counts: commands write history too. */
	if (r == 0 && alive && !clean)
		r = db_number(d, "SELECT max(time) FROM event WHERE kind IN (0, 1, 2, 3, 4)", &last);
	if (r < 0)
		return r;
	*ret_ns = (uint64_t)(down ?: MAX(alive, alive ? last : 0));
	*ret_clean = clean != 0;
	return 0;
}
