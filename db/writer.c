/* What others call of the writer: its start and end, its queue, and waiting until it has done what was handed over. */
#include "db/writer-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"

/* Under load it wakes this seldom: a thousand program starts a second come in bunches. */
#define PACE (4 * NSEC_PER_MSEC)

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
	clock_cond_init(&w->flushed);
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

/* With the lock held. until: monotonic; NULL: for as long as it takes. */
static int wait_for_writer(struct writer *w, const struct timespec *until)
{
	return until ? -pthread_cond_timedwait(&w->flushed, &w->lock, until)
		     : -pthread_cond_wait(&w->flushed, &w->lock);
}

static int flush_with(struct writer *w, struct event *token, const struct timespec *until)
{
	uint64_t mine = 0;
	int r = 0;

	pthread_mutex_lock(&w->lock);
	while (r == 0 && w->pushing)
		r = wait_for_writer(w, until);
	if (r == 0) {
		/* One at a time, so that tokens and numbers are in the same order. */
		w->pushing = true;
		mine = w->flush_wanted + 1;
		pthread_mutex_unlock(&w->lock);
		r = until ? queue_try_push(w->queue, token) : queue_push(w->queue, token);
		pthread_mutex_lock(&w->lock);
		w->pushing = false;
		if (r == 0)
			w->flush_wanted = mine;
		pthread_cond_broadcast(&w->flushed);
	}
	while (r == 0 && w->flush_done < mine)
		r = wait_for_writer(w, until);
	pthread_mutex_unlock(&w->lock);
	return r;
}

void writer_flush(struct writer *w)
{
	flush_with(w, &w->token, NULL);
}

int writer_flush_within(struct writer *w, uint64_t ns)
{
	struct timespec until = clock_timespec(clock_mono_ns() + ns);

	return flush_with(w, &w->token, &until);
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
