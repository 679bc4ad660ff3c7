/*
 * Keeping history within its bounds: whole batches go, oldest first. Rows that are still open (deviations, gaps) stay;
 * the newest batch covers them by a digest of their own (batch.kept) and says from which batch on (batch.floor) the
 * chain has to be whole, so what remains verifies. Runs on the writer's thread, outside a transaction.
 */
#include <errno.h>
#include <stdio.h>

#include "db/history.h"
#include "db/store.h"
#include "lib/clock.h"
#include "lib/text.h"

#define ROWS_PER_CALL 5000
/* However large the baselines are, this much history stays. */
#define ROWS_ALWAYS 1000

/* Open by the view's own word. */
#define STILL_OPEN                                                                                                     \
	"((kind = 7 AND until > CAST((julianday('now') - 2440587.5)*86400000 AS INTEGER)*1000000) OR (kind = 7 AND "   \
	"ref IS NOT NULL AND EXISTS (SELECT 1 FROM event k WHERE k.id = event.ref AND k.until > "                      \
	"CAST((julianday('now') - 2440587.5)*86400000 AS INTEGER)*1000000)) OR (kind = 0 AND change < 6 AND (SELECT v.status FROM deviations v WHERE v.id = event.id) = 'open') OR (kind "  \
	"= 5 "                                                                                                         \
	"AND gap_to IS NULL AND ref IS NULL AND NOT EXISTS (SELECT 1 FROM event k WHERE k.ref = event.id AND k.kind "  \
	"= 5)))"

struct prune {
	struct db *d;
	int64_t floor, first; /* of the oldest batch that stays, and its first row */
	int64_t removed, open;
	uint64_t oldest, newest; /* time of what went */
	bool more;
	bool open_too; /* only open rows are left to remove, and the file is still too large */
};

static int count_below(struct db *d, const char *sql, int64_t value, int64_t *ret)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(d, sql, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, value);
	r = db_step(d, st);
	if (r > 0)
		*ret = sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}

/* The batch up to which to remove in this call: p->floor stays 0 when there is nothing to do. */
static int choose(struct prune *p, uint64_t before, bool too_large)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	struct batch newest;
	int64_t rows = 0;
	int r = chain_newest(p->d, &newest);

	if (r == 0)
		r = db_prepare(p->d, "SELECT seq, first, last, time FROM batch ORDER BY seq", &st);
	while (r >= 0 && (r = db_step(p->d, st)) > 0) {
		int64_t seq = sqlite3_column_int64(st, 0), first = sqlite3_column_int64(st, 1),
			last = sqlite3_column_int64(st, 2);
		bool goes = (uint64_t)sqlite3_column_int64(st, 3) < before ||
			    (too_large && last + ROWS_ALWAYS < newest.last);

		/* The batch that stays first; the newest always does. */
		p->floor = seq;
		p->first = first;
		if (!goes || seq == newest.seq || rows >= ROWS_PER_CALL) {
			p->more = goes && seq != newest.seq;
			break;
		}
		rows += last - first + 1;
	}
	if (r < 0)
		return r;
	if (p->floor != newest.floor)
		return 0;
	/* No batch may go: what pruning kept so far is next, when the bound leaves no choice. */
	r = count_below(p->d, "SELECT count(*) FROM event WHERE id < ?1", p->first, &rows);
	p->open_too = r == 0 && too_large && rows > 0;
	if (!p->open_too)
		p->floor = 0;
	return r;
}

static int run(struct prune *p, const char *sql, int64_t *ret_changes)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(p->d, sql, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, p->first);
	sqlite3_bind_int64(st, 2, p->floor);
	r = db_run(p->d, st);
	if (r == 0 && ret_changes)
		*ret_changes += sqlite3_changes(p->d->h);
	return r;
}

static int span(struct prune *p)
{
	_cleanup_finalize_ sqlite3_stmt *st = NULL;
	int r = db_prepare(p->d, "SELECT min(time), max(time), count(*) FROM event WHERE id < ?1", &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, p->first);
	r = db_step(p->d, st);
	if (r > 0) {
		p->oldest = (uint64_t)sqlite3_column_int64(st, 0);
		p->newest = (uint64_t)sqlite3_column_int64(st, 1);
		p->open = sqlite3_column_int64(st, 2);
	}
	return r < 0 ? r : 0;
}

static int note(struct prune *p)
{
	_cleanup_event_ struct event *e = event_new(EVENT_NOTE);
	char from[TEXT_TIME_MAX], to[TEXT_TIME_MAX], text[256];

	if (!e)
		return -ENOMEM;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	text_time(from, p->oldest, 0);
	text_time(to, p->newest, 0);
	snprintf(text, sizeof(text), "pruned %lld %srows of history of %s to %s; %lld that are still open were kept",
		 (long long)p->removed, p->open_too ? "open " : "", from, to, (long long)(p->open - p->removed));
	e->text = text;
	return history_add(p->d, e);
}

/* Processes, containers and strings that nothing refers to any more. */
static int sweep(struct prune *p)
{
	int r = run(p,
		    "DELETE FROM process WHERE id NOT IN (WITH RECURSIVE used (id) AS (SELECT process FROM event WHERE "
		    "process IS NOT "
		    "NULL UNION SELECT q.parent FROM process q JOIN used u ON q.id = u.id WHERE q.parent IS NOT NULL) "
		    "SELECT id FROM "
		    "used)",
		    NULL);

	if (r == 0)
		r = run(p,
			"DELETE FROM container WHERE id NOT IN (SELECT container FROM event WHERE container IS NOT NULL)",
			NULL);
	if (r == 0)
		r = run(p,
			"DELETE FROM str WHERE id NOT IN (SELECT exe FROM process WHERE exe IS NOT NULL UNION SELECT "
			"cwd FROM process "
			"WHERE cwd IS NOT NULL UNION SELECT tty FROM process WHERE tty IS NOT NULL UNION SELECT cgroup "
			"FROM process "
			"WHERE cgroup IS NOT NULL)",
			NULL);
	return r;
}

static int prune(struct prune *p)
{
	int r = chain_open(p->d);

	/* What goes has to be what was written: nothing is signed again that somebody changed. */
	if (r == 0)
		r = history_verify_below(p->d, p->floor);
	if (r == 0)
		r = span(p);
	/* All of them, not only this call's: some that an earlier call kept are closed by now. */
	if (r == 0 && !p->open_too)
		r = run(p, "DELETE FROM event WHERE id < ?1 AND NOT " STILL_OPEN, &p->removed);
	if (r == 0 && p->open_too)
		r = run(p, "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE id < ?1 ORDER BY id LIMIT 5000)",
			&p->removed);
	if (r == 0)
		r = run(p, "DELETE FROM batch WHERE seq < ?2", NULL);
	if (r == 0)
		r = chain_kept_digest(p->d, p->first, p->d->chain.kept);
	if (r == 0) {
		p->d->chain.floor = p->floor;
		r = note(p);
	}
	if (r == 0 && !p->more)
		r = sweep(p);
	return r;
}

/* Bytes in use: pages on the free list do not count, they are given back or used again. */
static int used_bytes(struct db *d, uint64_t *ret)
{
	int64_t pages = 0, unused = 0, size = 0;
	int r = db_number(d, "PRAGMA page_count", &pages);

	if (r == 0)
		r = db_number(d, "PRAGMA freelist_count", &unused);
	if (r == 0)
		r = db_number(d, "PRAGMA page_size", &size);
	*ret = (uint64_t)((pages - unused) * size);
	return r;
}

int history_prune(struct db *d, uint64_t max_size, uint64_t max_age, uint64_t now_ns, bool *ret_more)
{
	struct prune p = { .d = d };
	uint64_t used = 0;
	bool too_large = false;
	int r;

	*ret_more = false;
	r = db_begin(d);
	if (r < 0)
		return r;
	r = used_bytes(d, &used);
	/* Some room below the bound, so that not every call has something to do. */
	too_large = r == 0 && max_size && used > max_size - max_size / 16;
	if (r == 0)
		r = choose(&p, max_age && max_age < now_ns ? now_ns - max_age : 0, too_large);
	if (r == 0 && p.floor > 0)
		r = prune(&p);
	if (r < 0) {
		db_rollback(d);
		return r;
	}
	r = db_commit(d);
	if (r == 0 && p.floor > 0) {
		*ret_more = p.more || too_large; /* the next call sees whether that was enough */
		db_exec(d, "PRAGMA incremental_vacuum(2000)");
	}
	return r;
}
