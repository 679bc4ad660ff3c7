/*
 * Approvals in history: a note with an end holds pattern (path), digest (cause, as hex), who and why; a note that
 * refers to it revokes it. Runs on the thread of its connection.
 */
#include "db/approvals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db/history.h"
#include "db/store.h"
#include "lib/clock.h"
#include "lib/text.h"

enum { COL_ID, COL_TIME, COL_PATH, COL_DIGEST, COL_UNTIL, COL_USER, COL_REASON, COL_REVOKED, COL_BY, COL_WHY };

/* Rows that no batch covers yet are not ours: every commit seals what it adds. */
#define APPROVAL_SELECT                                                                                                \
	"SELECT e.id, e.time, e.path, e.cause, e.until, e.user, e.reason, r.time, r.user, r.reason FROM event e LEFT " \
	"JOIN event r ON r.ref = e.id AND r.kind = 7 WHERE e.kind = 7 AND e.until IS NOT NULL AND e.id <= (SELECT "    \
	"max(last) FROM batch)"

static const char *approval_column(sqlite3_stmt *st, int col, size_t *ret_len)
{
	const char *s = (const char *)sqlite3_column_blob(st, col);

	if (ret_len)
		*ret_len = (size_t)sqlite3_column_bytes(st, col);
	return s;
}

static char *approval_string(struct arena *a, sqlite3_stmt *st, int col)
{
	size_t len;
	const char *s = approval_column(st, col, &len);

	return s ? arena_strndup(a, s, len) : NULL;
}

static int approval_read(struct arena *arena, sqlite3_stmt *st, struct approval *a)
{
	size_t len;
	const char *hex = approval_column(st, COL_DIGEST, &len);

	*a = (struct approval){ .id = sqlite3_column_int64(st, COL_ID),
				.since = (uint64_t)sqlite3_column_int64(st, COL_TIME),
				.until = (uint64_t)sqlite3_column_int64(st, COL_UNTIL),
				.revoked = (uint64_t)sqlite3_column_int64(st, COL_REVOKED) };
	a->path = approval_string(arena, st, COL_PATH);
	a->user = approval_string(arena, st, COL_USER);
	a->reason = approval_string(arena, st, COL_REASON);
	a->revoked_by = approval_string(arena, st, COL_BY);
	a->revoked_reason = approval_string(arena, st, COL_WHY);
	/* What cannot be one of ours approves nothing. */
	if (!a->path || !a->user || !a->reason || (hex && text_parse_hex(hex, len, a->digest, sizeof(a->digest)) < 0))
		return -EBADMSG;
	a->digest_len = hex ? len / 2 : 0;
	return 0;
}

int approvals_each(struct db *d, bool all, uint64_t now, int (*fn)(const struct approval *a, void *data), void *data)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(d,
			   all ? APPROVAL_SELECT " ORDER BY e.id"
			       : APPROVAL_SELECT " AND e.until > ?1 AND r.id IS "
						 "NULL ORDER BY e.id",
			   &st);

	if (r == 0 && !all)
		sqlite3_bind_int64(st, 1, (int64_t)now);
	while (r == 0 && (r = db_step(d, st)) > 0) {
		_cleanup_arena_ struct arena arena = ARENA_INIT;
		struct approval a;

		r = approval_read(&arena, st, &a);
		if (r == -EBADMSG)
			return db_failf(d, r, "row %lld of history is no approval: see holdfast baseline verify",
					(long long)sqlite3_column_int64(st, COL_ID));
		r = r ? r : fn(&a, data);
	}
	return r;
}

static int approval_count(const struct approval *a, void *data)
{
	(void)a;
	++*(size_t *)data;
	return 0;
}

static struct event *approval_note(struct process *process, const char *user, const char *reason)
{
	struct event *e = event_new(EVENT_NOTE);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->count = 1;
	e->process = process ? process_ref(process) : NULL;
	e->user = arena_strdup(&e->arena, user);
	e->reason = arena_strdup(&e->arena, reason);
	return e;
}

int approval_add(struct db *d, const struct approval *a, struct process *process, int64_t *ret_id)
{
	_cleanup_event_ struct event *e = approval_note(process, a->user, a->reason);
	_cleanup_buf_ struct buf text = BUF_INIT, hex = BUF_INIT;
	char until[TEXT_TIME_MAX];
	size_t n = 0;
	int r = e ? approvals_each(d, false, clock_real_ns(), approval_count, &n) : -ENOMEM;

	if (r < 0)
		return r;
	if (n >= APPROVALS_MAX)
		return -E2BIG;
	text_time(until, a->until, 0);
	buf_printf(&text, "changes approved until %s", until);
	buf_hex(&hex, a->digest, a->digest_len);
	e->path = arena_strdup(&e->arena, a->path);
	e->text = text.failed ? NULL : arena_strdup(&e->arena, text.data);
	e->cause = a->digest_len && !hex.failed ? arena_strdup(&e->arena, hex.data) : NULL;
	e->until = a->until;
	if (!e->path || !e->user || !e->reason || !e->text || (a->digest_len && !e->cause))
		return -ENOMEM;
	r = history_add(d, e);
	*ret_id = e->id;
	return r;
}

struct approval_wanted {
	int64_t id;
	bool found;
};

static int approval_look(const struct approval *a, void *data)
{
	struct approval_wanted *w = data;

	w->found |= a->id == w->id;
	return 0;
}

int approval_revoke(struct db *d, int64_t id, const char *user, const char *reason, struct process *process)
{
	_cleanup_event_ struct event *e = approval_note(process, user, reason ? reason : "");
	struct approval_wanted w = { .id = id };
	int r = e ? approvals_each(d, false, clock_real_ns(), approval_look, &w) : -ENOMEM;

	if (r < 0)
		return r;
	if (!w.found)
		return -ENOENT;
	e->text = "approval revoked";
	e->ref = id;
	return e->user && e->reason ? history_add(d, e) : -ENOMEM;
}

static bool approval_path(const char *pattern, const char *path)
{
	size_t len = strlen(pattern);

	if (text_is_glob(pattern))
		return text_glob(pattern, path);
	while (len > 1 && pattern[len - 1] == '/')
		len--;
	return strncmp(pattern, path, len) == 0 && (path[len] == '\0' || path[len] == '/' || len == 1);
}

bool approval_covers(const struct approval *a, const char *path, uint64_t time, const uint8_t *digest, size_t len)
{
	uint64_t until = a->revoked ? MIN(a->revoked, a->until) : a->until;

	if (time < a->since || time >= until || !approval_path(a->path, path))
		return false;
	return !a->digest_len || (digest && len == a->digest_len && memcmp(digest, a->digest, len) == 0);
}

void approval_cause(const struct approval *a, struct buf *b)
{
	char until[TEXT_TIME_MAX];

	text_time(until, a->until, 0);
	buf_printf(b, "approval %lld by %s until %s: %s", (long long)a->id, a->user, until, a->reason);
}
