/*
 * The one writer of the daemon: thread "db" takes events from a bounded queue, adds them to a transaction at once (so
 * that outputs can name their id) and commits by time and size. It owns its connection. It must not block anybody: what
 * cannot be stored is kept up to a bound, then dropped and counted, and the loss becomes a gap as soon as writing works
 * again.
 */
#include "db/writer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/sign.h"
#include "db/texts.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/queue.h"

#define PENDING_MAX 8192
#define COMMIT_ROWS 4096
/* After a commit the lock is free for this long, so that a command that accepts gets its turn under full load. */
#define WINDOW (5 * NSEC_PER_MSEC)
/* Under load it wakes this seldom: a thousand program starts a second come in bunches. */
#define PACE	   (4 * NSEC_PER_MSEC)
#define RETRY	   NSEC_PER_SEC
#define HEARTBEAT  (10 * NSEC_PER_SEC)
#define PRUNE	   (60 * NSEC_PER_SEC)
#define PRUNE_FULL (2 * NSEC_PER_SEC) /* while it is larger than it may be */

struct writer {
	struct db *d;
	struct sign_key *key;
	struct conf *conf;
	struct queue *queue;
	pthread_t thread;
	void (*stored)(struct event *e, void *data);
	void *data;

	/* any thread */
	atomic_uint_fast64_t n_stored, n_dropped, n_commits, n_failures, n_trimmed, db_size;
	atomic_uint_fast64_t overflow, overflow_since; /* dropped by writer_put since the last gap about it */
	atomic_bool failing;
	struct event token; /* in the queue: flush */
	pthread_mutex_t lock;
	pthread_cond_t flushed;
	uint64_t flush_wanted, flush_done;
	struct event change_token;   /* in the queue: change */
	pthread_mutex_t change_lock; /* one at a time */
	int (*change)(struct db *d, void *data);
	void *change_data;
	int change_result;
	pthread_mutex_t why_lock;
	uint64_t failing_since; /* real; the writer's thread alone changes these two */
	char why[160];

	/* the writer's thread */
	struct event *pending[PENDING_MAX];
	size_t n;	  /* pending */
	size_t added;	  /* of these, in the open transaction */
	size_t announced; /* of these, handed to stored() */
	bool open;
	uint64_t commit_at, begin_at, retry_at, heartbeat_at, prune_at; /* monotonic */
	uint64_t lost;							/* while failing */
	uint64_t down_since;						/* real; before this run */
	bool begun;
};

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

/* A flood writes more than the whole bound between two looks. */
static void watch_size(struct writer *w)
{
	uint64_t size = db_size(w->d);

	atomic_store(&w->db_size, size);
	if (w->conf->store.max_size && size > w->conf->store.max_size)
		w->prune_at = MIN(w->prune_at, clock_mono_ns() + PRUNE_FULL);
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

static void report_overflow(struct writer *w)
{
	uint64_t n = w->n < PENDING_MAX ? atomic_exchange(&w->overflow, 0) : 0;
	char text[96];

	if (n == 0)
		return;
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
	report_overflow(w);
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
	bool more = true;
	int r = 0;

	/* A few pieces at a time: events go on arriving. */
	for (int i = 0; i < 8 && more && r == 0; i++)
		r = history_prune(w->d, w->conf->store.max_size, w->conf->store.max_age, clock_real_ns(), &more);
	if (r < 0 && r != -EBUSY)
		log_warn("history could not be pruned: %s", db_error(w->d));
	w->prune_at = clock_mono_ns() + (more && r == 0 ? NSEC_PER_SEC : PRUNE);
	atomic_store(&w->db_size, db_size(w->d));
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
	return MIN(w->heartbeat_at, w->prune_at);
}

static void *writer_main(void *data)
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

/* --- outside */

static void writer_free(struct writer *w)
{
	if (w->d)
		db_close(w->d);
	if (w->key)
		sign_key_free(w->key);
	if (w->queue)
		queue_free(w->queue);
	if (w->conf)
		conf_unref(w->conf);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->change_lock);
	pthread_mutex_destroy(&w->why_lock);
	pthread_cond_destroy(&w->flushed);
	free(w);
}

static size_t weigh_event(const void *item)
{
	const struct event *e = item;

	return sizeof(*e) + e->arena.used;
}

static int set_up(struct writer *w, const struct db_options *o, const struct conf *conf, struct buf *err)
{
	_cleanup_buf_ struct buf key_path = BUF_INIT;
	int r = db_key_path(o, &key_path);
	bool clean;

	w->conf = conf_ref((struct conf *)conf);
	if (r == 0)
		r = sign_key_load(key_path.data, 0, &w->key, err);
	if (r == 0)
		r = db_open(o, DB_WRITE, &w->d, err);
	if (r == 0)
		r = queue_new(MAX(conf->limits.queue, 64u), &w->queue);
	if (r < 0)
		return r;
	r = history_last_alive(w->d, &w->down_since, &clean);
	if (r < 0)
		return r;
	queue_set_pace(w->queue, PACE);
	queue_set_weight(w->queue, CONF_QUEUE_BYTES, weigh_event);
	history_set_key(w->d, w->key);
	atomic_store(&w->db_size, db_size(w->d));
	w->prune_at = clock_mono_ns() + NSEC_PER_SEC;
	return 0;
}

int writer_start(const struct db_options *o, const struct conf *conf, void (*stored)(struct event *e, void *data),
		 void *data, struct writer **ret, struct buf *err)
{
	struct writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->change_lock, NULL);
	pthread_mutex_init(&w->why_lock, NULL);
	pthread_cond_init(&w->flushed, NULL);
	w->stored = stored;
	w->data = data;
	r = set_up(w, o, conf, err);
	if (r == 0)
		r = -pthread_create(&w->thread, NULL, writer_main, w);
	if (r < 0) {
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void writer_put(struct writer *w, struct event *e)
{
	if (queue_try_push(w->queue, e) == 0)
		return;
	event_unref(e);
	atomic_fetch_add(&w->n_dropped, 1);
	if (atomic_fetch_add(&w->overflow, 1) == 0)
		atomic_store(&w->overflow_since, clock_real_ns());
}

/* until: in real time; NULL: for as long as it takes. */
static int flush_with(struct writer *w, struct event *token, const struct timespec *until)
{
	uint64_t mine;
	/* Who holds it may wait for room in the queue. */
	int r = until ? -pthread_mutex_timedlock(&w->lock, until) : -pthread_mutex_lock(&w->lock);

	if (r < 0)
		return r;
	mine = ++w->flush_wanted;
	/* Under the lock, so that tokens and numbers are in the same order. */
	r = until ? queue_try_push(w->queue, token) : queue_push(w->queue, token);
	if (r < 0)
		w->flush_wanted--;
	while (r == 0 && w->flush_done < mine)
		r = until ? -pthread_cond_timedwait(&w->flushed, &w->lock, until)
			  : -pthread_cond_wait(&w->flushed, &w->lock);
	pthread_mutex_unlock(&w->lock);
	return r;
}

void writer_flush(struct writer *w)
{
	flush_with(w, &w->token, NULL);
}

int writer_flush_within(struct writer *w, uint64_t ns)
{
	uint64_t until = clock_real_ns() + ns;

	return flush_with(w, &w->token,
			  &(struct timespec){ (time_t)(until / NSEC_PER_SEC), (long)(until % NSEC_PER_SEC) });
}

int writer_change(struct writer *w, int (*fn)(struct db *d, void *data), void *data)
{
	int r;

	pthread_mutex_lock(&w->change_lock);
	w->change = fn;
	w->change_data = data;
	r = flush_with(w, &w->change_token, NULL) < 0 ? -EAGAIN : w->change_result;
	pthread_mutex_unlock(&w->change_lock);
	return r;
}

void writer_stop(struct writer *w)
{
	queue_close(w->queue);
	pthread_join(w->thread, NULL);
	writer_free(w);
}

void writer_get_stats(struct writer *w, struct writer_stats *ret)
{
	*ret = (struct writer_stats){
		.stored = atomic_load(&w->n_stored),
		.dropped = atomic_load(&w->n_dropped),
		.commits = atomic_load(&w->n_commits),
		.failures = atomic_load(&w->n_failures),
		.texts_trimmed = atomic_load(&w->n_trimmed),
		.depth = queue_depth(w->queue),
		.db_size = atomic_load(&w->db_size),
		.failing = atomic_load(&w->failing),
	};
	pthread_mutex_lock(&w->why_lock);
	ret->failing_since = w->failing_since;
	memcpy(ret->why, w->why, sizeof(ret->why));
	pthread_mutex_unlock(&w->why_lock);
}
