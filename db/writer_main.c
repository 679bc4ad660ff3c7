/*
 * The one writer of the daemon: thread "db" takes events from a bounded queue, adds them to a transaction at once (so
 * that outputs can name their id) and commits by time and size. It owns the connection. It must not block anybody: what
 * cannot be stored is kept up to a bound, then dropped and counted, and the loss becomes a gap as soon as writing works
 * again.
 */
#include "db/writer-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/texts.h"
#include "lib/clock.h"
#include "lib/log.h"

#define COMMIT_ROWS 4096
/* After a commit the lock is free for this long, so that a command that accepts gets its turn under full load. */
#define WINDOW	   (5 * NSEC_PER_MSEC)
#define RETRY	   NSEC_PER_SEC
#define OVERFLOW_NS NSEC_PER_SEC /* between two gaps of a full queue */
#define HEARTBEAT  (10 * NSEC_PER_SEC)
#define PRUNE	   (60 * NSEC_PER_SEC)
#define PRUNE_FULL (2 * NSEC_PER_SEC) /* while it is larger than it may be */

/* --- announcing */

static void announce(struct writer *w, struct event *e)
{
	if (w->stored)
		w->stored(e, w->data);
}

static void announce_pending(struct writer *w, size_t up_to)
{
	while (w->announced < up_to)
		announce(w, w->pending[w->announced++]);
}

/* --- storing */

static void drop_pending(struct writer *w)
{
	for (size_t i = 0; i < w->n; i++)
		event_unref(w->pending[i]);
	w->n = w->added = w->announced = 0;
}

/* --- gaps of its own */

/* healed NULL: it begins. */
static struct event *gap(uint64_t from, uint64_t lost, const char *detail, const char *healed)
{
	struct event *e = event_new(EVENT_GAP);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->count = 1;
	e->gap_reason = GAP_STORE;
	e->gap_scope = "history";
	e->gap_detail = arena_strdup(&e->arena, detail);
	e->gap_from = from;
	e->gap_to = healed ? e->time : 0;
	e->gap_lost = lost;
	e->gap_healed = healed;
	return e;
}

static const char *healed(uint64_t lost)
{
	return lost ? "writing works again; what was lost is not in history" : "writing works again; nothing was lost";
}

/* It cannot be stored before it is over; outputs learn of it now. */
static void begin_failing(struct writer *w, int r)
{
	struct event *e;

	pthread_mutex_lock(&w->why_lock);
	w->failing_since = clock_real_ns();
	snprintf(w->why, sizeof(w->why), "%s", db_error(w->d)[0] ? db_error(w->d) : strerror(-r));
	pthread_mutex_unlock(&w->why_lock);
	log_error("history cannot be written: %s", w->why);
	e = gap(w->failing_since, 0, w->why, NULL);
	if (!e)
		return;
	announce(w, e);
	event_unref(e);
}

/* Nothing that is pending is in the database now. Outputs get what they have not seen, without an id. */
static void fail(struct writer *w, int r)
{
	if (!w->failing_since)
		begin_failing(w, r);
	db_rollback(w->d);
	w->open = false;
	w->added = 0;
	for (size_t i = w->announced; i < w->n; i++)
		w->pending[i]->id = 0;
	announce_pending(w, w->n);
	w->retry_at = clock_mono_ns() + RETRY;
	atomic_store(&w->failing, true);
	atomic_fetch_add(&w->n_failures, 1);
}

static void push(struct writer *w, struct event *e)
{
	if (e && w->n < PENDING_MAX)
		w->pending[w->n++] = e;
	else if (e)
		event_unref(e);
}

/* Content of files that history gave up to keep that of others. */
static void report_texts(struct writer *w)
{
	uint64_t n = texts_trimmed(w->d);
	struct event *e;
	char text[128];

	if (n == 0)
		return;
	atomic_fetch_add(&w->n_trimmed, n);
	snprintf(text, sizeof(text),
		 "diffs: more than %d MiB: of %llu files, those seen longest ago, no content is kept",
		 TEXTS_TOTAL_MAX >> 20, (unsigned long long)n);
	e = gap(clock_real_ns(), n, text, "their next change is told without its lines");
	if (!e)
		return;
	e->gap_reason = GAP_LIMIT;
	e->gap_scope = "diffs";
	push(w, e);
}

static int add_pending(struct writer *w)
{
	int r = 0;

	if (!w->open && w->added < w->n) {
		r = db_in_place(w->d);
		if (r == 0)
			r = db_begin(w->d);
		if (r < 0)
			return r;
		w->open = true;
		w->commit_at = clock_mono_ns() + w->conf->store.commit_interval;
	}
	while (w->added < w->n && r == 0) {
		r = history_add(w->d, w->pending[w->added]);
		if (r < 0)
			break;
		w->added++;
		announce_pending(w, w->added);
	}
	return r;
}

/* A flood writes more than the whole bound between two looks: far above it the next piece goes at once. */
static void watch_size(struct writer *w)
{
	uint64_t size = db_size(w->d), max = w->conf->store.max_size;

	atomic_store(&w->db_size, size);
	if (max && size > max)
		w->prune_at = MIN(w->prune_at,
				  clock_mono_ns() + (size - max > max / 4 && !w->pruned_in_vain ? 0 : PRUNE_FULL));
}

static int commit(struct writer *w)
{
	int r = 0;

	if (w->open) {
		w->open = false;
		r = db_commit(w->d);
	}
	w->begin_at = clock_mono_ns() + WINDOW;
	if (r < 0)
		return r;
	if (w->added > 0)
		atomic_fetch_add(&w->n_commits, 1);
	atomic_fetch_add(&w->n_stored, w->added);
	drop_pending(w);
	report_texts(w);
	watch_size(w);
	return 0;
}

/* --- what was lost */

/* A flood may fill the queue again and again: what is lost within a second is one gap. */
static void report_overflow(struct writer *w, uint64_t now, bool at_once)
{
	bool due = w->n < PENDING_MAX && (at_once || now >= w->overflow_at);
	uint64_t n = due ? atomic_exchange(&w->overflow, 0) : 0;
	char text[96];

	if (n == 0)
		return;
	w->overflow_at = now + OVERFLOW_NS;
	snprintf(text, sizeof(text), "the queue to history was full (limits.queue): %llu events dropped",
		 (unsigned long long)n);
	push(w, gap(atomic_load(&w->overflow_since), n, text, healed(n)));
}

/* Tries everything again in one transaction, with the gap behind it. */
static void retry(struct writer *w)
{
	size_t kept = w->n;
	struct event *over;
	int r;

	if (w->n == PENDING_MAX)
		w->n--; /* room for the gap: the newest goes, and is counted below */
	if (w->n < kept) {
		event_unref(w->pending[w->n]);
		w->lost++;
		atomic_fetch_add(&w->n_dropped, 1);
		w->announced = MIN(w->announced, w->n);
	}
	over = gap(w->failing_since, w->lost, w->why, healed(w->lost));
	if (!over) {
		w->retry_at = clock_mono_ns() + RETRY;
		return;
	}
	push(w, event_ref(over));
	/* Told when it is true. */
	w->announced = w->n;
	r = add_pending(w);
	if (r == 0)
		r = commit(w);
	if (r < 0) {
		event_unref(w->pending[--w->n]);
		w->announced = MIN(w->announced, w->n);
		event_unref(over);
		fail(w, r);
		return;
	}
	announce(w, over);
	event_unref(over);
	log_info("history is written again; %llu events were lost", (unsigned long long)w->lost);
	pthread_mutex_lock(&w->why_lock);
	w->failing_since = 0;
	pthread_mutex_unlock(&w->why_lock);
	w->lost = 0;
	atomic_store(&w->failing, false);
}

/* --- the thread */

static bool is_failing(struct writer *w)
{
	return w->failing_since != 0;
}

static void take(struct writer *w, struct event *e)
{
	if (w->n < PENDING_MAX) {
		w->pending[w->n++] = e;
		if (is_failing(w))
			announce_pending(w, w->n);
		return;
	}
	announce(w, e);
	event_unref(e);
	w->lost++;
	atomic_fetch_add(&w->n_dropped, 1);
}

static void flush_done(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->flush_done++;
	pthread_cond_broadcast(&w->flushed);
	pthread_mutex_unlock(&w->lock);
}

static void work(struct writer *w, bool commit_now)
{
	uint64_t now = clock_mono_ns();
	int r = 0;

	if (is_failing(w)) {
		if (commit_now || now >= w->retry_at)
			retry(w);
		return;
	}
	report_overflow(w, now, commit_now);
	if (w->open || commit_now || now >= w->begin_at)
		r = add_pending(w);
	if (r == 0 && w->open && (commit_now || now >= w->commit_at || w->added >= COMMIT_ROWS))
		r = commit(w);
	if (r < 0)
		fail(w, r);
}

static void heartbeat(struct writer *w, bool clean)
{
	int r = db_in_place(w->d);

	if (r == 0)
		r = clean || w->begun ? history_alive(w->d, clock_real_ns(), clean)
				      : history_begin(w->d, w->down_since, clock_real_ns());
	w->begun |= r == 0;
	if (r < 0 && r != -EBUSY)
		fail(w, r);
}

static void prune(struct writer *w)
{
	uint64_t before = db_size(w->d);
	bool more = true;
	int r = 0;

	/* A few pieces at a time: events go on arriving. */
	for (int i = 0; i < 8 && more && r == 0; i++)
		r = history_prune(w->d, w->conf->store.max_size, w->conf->store.max_age, clock_real_ns(), &more);
	if (r < 0 && r != -EBUSY)
		log_warn("history could not be pruned: %s", db_error(w->d));
	w->prune_at = clock_mono_ns() + (more && r == 0 ? NSEC_PER_SEC : PRUNE);
	/* The file gets no smaller before that, and when the flood is over nobody writes enough for it. */
	if (w->conf->store.max_size && before > w->conf->store.max_size)
		db_checkpoint(w->d);
	atomic_store(&w->db_size, db_size(w->d));
	w->pruned_in_vain = w->db_size >= before;
}

static void keep_house(struct writer *w)
{
	uint64_t now = clock_mono_ns();

	if (w->open || is_failing(w))
		return;
	if (now >= w->heartbeat_at) {
		w->heartbeat_at = now + HEARTBEAT;
		heartbeat(w, false);
		db_rest(w->d);
	}
	if (now >= w->prune_at && !is_failing(w))
		prune(w);
}

/* After a flush: nothing is pending unless writing fails. */
static void change(struct writer *w)
{
	int r = is_failing(w) || db_in_place(w->d) < 0 ? -EAGAIN : db_begin(w->d);

	if (r == 0) {
		r = w->change(w->d, w->change_data);
		if (r >= 0) {
			int e = db_commit(w->d);

			r = e < 0 ? e : r;
		}
		if (r < 0)
			db_rollback(w->d);
	}
	w->change_result = r;
}

static uint64_t wake_at(const struct writer *w)
{
	if (w->failing_since)
		return w->retry_at;
	if (w->open)
		return w->commit_at;
	if (w->n > 0)
		return w->begin_at;
	return MIN(MIN(w->heartbeat_at, w->prune_at), atomic_load(&w->overflow) ? w->overflow_at : UINT64_MAX);
}

void *writer_main(void *data)
{
	struct writer *w = data;

	pthread_setname_np(pthread_self(), "db");
	/* Before anything else: a monitor that is killed at once did run, and did not end clean. */
	keep_house(w);
	for (;;) {
		int timed_out = 0;
		struct event *e = queue_pop_until(w->queue, wake_at(w), &timed_out);
		bool changes = e == &w->change_token, flush = e == &w->token || changes;

		if (!e && !timed_out)
			break;
		if (e && !flush)
			take(w, e);
		work(w, flush);
		if (changes)
			change(w);
		if (flush)
			flush_done(w);
		keep_house(w);
	}
	work(w, true);
	/* What that has told. */
	if (w->n > 0 && !is_failing(w))
		work(w, true);
	if (!is_failing(w))
		heartbeat(w, true);
	if (w->n > 0)
		log_error("history: %zu events could not be written", w->n);
	atomic_fetch_add(&w->n_dropped, w->n);
	drop_pending(w);
	return NULL;
}
