/*
 * Bounded queue: a ring under one mutex and two conditions. Owns the ring, not the items. Made for producers and
 * consumers that do work in the order of microseconds and more for each item.
 */
#include "lib/queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/util.h"

struct queue {
	pthread_mutex_t lock;
	pthread_cond_t not_empty;
	pthread_cond_t not_full;
	pthread_cond_t crowded; /* ends a nap */
	size_t capacity;
	size_t head; /* of the oldest item */
	size_t count;
	size_t high_water;
	unsigned poppers; /* waiting, so that a push wakes nobody for nothing */
	unsigned pushers;
	bool closed;
	uint64_t pace;			   /* 0: none */
	uint64_t woken;			   /* monotonic: when the consumer was last; only with a pace */
	bool paced;			   /* it looks by itself */
	bool napping;			   /* right now: nobody wakes it before the queue is half full */
	size_t (*weigh)(const void *item); /* NULL: the number alone counts */
	size_t weight, weight_max;
	void *items[];
};

int queue_new(size_t capacity, struct queue **ret)
{
	struct queue *q;

	if (!capacity || capacity > SIZE_MAX / sizeof(void *) / 2)
		return -EINVAL;
	q = calloc(1, sizeof(*q) + capacity * sizeof(void *));
	if (!q)
		return -ENOMEM;
	q->capacity = capacity;
	pthread_mutex_init(&q->lock, NULL);
	clock_cond_init(&q->not_empty);
	clock_cond_init(&q->not_full);
	clock_cond_init(&q->crowded);
	*ret = q;
	return 0;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->crowded);
	pthread_cond_destroy(&q->not_full);
	pthread_cond_destroy(&q->not_empty);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static bool queue_is_full(const struct queue *q, const void *item)
{
	return q->count == q->capacity || (q->weigh && q->count && q->weight + q->weigh(item) > q->weight_max);
}

static bool queue_is_half_full(const struct queue *q)
{
	return q->count >= q->capacity / 2 || (q->weigh && q->weight >= q->weight_max / 2);
}

/* Locked, not full. Whom to tell once the lock is free, or who is told would wait for it again; NULL: nobody. */
static pthread_cond_t *queue_put(struct queue *q, void *item)
{
	size_t tail = q->head + q->count;

	q->weight += q->weigh ? q->weigh(item) : 0;
	q->items[tail < q->capacity ? tail : tail - q->capacity] = item;
	q->count++;
	q->high_water = MAX(q->high_water, q->count);
	if (q->napping)
		return queue_is_half_full(q) ? &q->crowded : NULL;
	return q->poppers ? &q->not_empty : NULL;
}

static void queue_tell(pthread_cond_t *whom)
{
	if (whom)
		pthread_cond_signal(whom);
}

/* Locked, not empty. */
static void *queue_take(struct queue *q)
{
	void *item = q->items[q->head];

	q->head = q->head + 1 < q->capacity ? q->head + 1 : 0;
	q->count--;
	q->weight -= q->weigh ? q->weigh(item) : 0;
	/* At half, not at the first free place: else a fast producer and its consumers hand the processor over for
	 * every item. */
	if (q->pushers && (!q->count || (q->count <= q->capacity / 2 && q->weight <= q->weight_max / 2)))
		pthread_cond_broadcast(&q->not_full);
	return item;
}

int queue_push(struct queue *q, void *item)
{
	pthread_cond_t *wake = NULL;
	int r = -EPIPE;

	pthread_mutex_lock(&q->lock);
	while (!q->closed && queue_is_full(q, item)) {
		q->pushers++;
		pthread_cond_wait(&q->not_full, &q->lock);
		q->pushers--;
	}
	if (!q->closed) {
		wake = queue_put(q, item);
		r = 0;
	}
	pthread_mutex_unlock(&q->lock);
	queue_tell(wake);
	return r;
}

int queue_try_push(struct queue *q, void *item)
{
	pthread_cond_t *wake = NULL;
	int r = 0;

	pthread_mutex_lock(&q->lock);
	if (q->closed)
		r = -EPIPE;
	else if (queue_is_full(q, item))
		r = -EAGAIN;
	else
		wake = queue_put(q, item);
	pthread_mutex_unlock(&q->lock);
	queue_tell(wake);
	return r;
}

static int queue_wait(struct queue *q, const struct timespec *deadline)
{
	int r;

	q->poppers++;
	r = deadline ? pthread_cond_timedwait(&q->not_empty, &q->lock, deadline)
		     : pthread_cond_wait(&q->not_empty, &q->lock);
	q->poppers--;
	return r;
}

static bool earlier(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Sleeps for what is left of the pace. */
static void queue_nap(struct queue *q, const struct timespec *deadline)
{
	uint64_t until = q->woken + q->pace;
	struct timespec ts = clock_timespec(until);

	if (deadline && earlier(deadline, &ts))
		ts = *deadline;
	q->napping = true;
	while (!q->closed && !queue_is_half_full(q) && pthread_cond_timedwait(&q->crowded, &q->lock, &ts) != ETIMEDOUT)
		;
	q->napping = false;
}

/* As queue_wait. While items come in quick succession the consumer naps; a nap that brought nothing ends that. */
static int queue_wait_paced(struct queue *q, const struct timespec *deadline)
{
	uint64_t now;
	int r = 0;

	if (q->paced) {
		queue_nap(q, deadline);
		q->paced = q->count > 0;
	} else {
		r = queue_wait(q, deadline);
	}
	now = clock_mono_ns();
	q->paced = q->paced || (q->count > 0 && now < q->woken + 2 * q->pace);
	q->woken = now;
	return r;
}

static void *queue_get(struct queue *q, const struct timespec *deadline, int *ret_timed_out)
{
	void *item = NULL;
	int timed_out = 0;

	pthread_mutex_lock(&q->lock);
	while (!q->count && !q->closed && !timed_out)
		timed_out = (q->pace ? queue_wait_paced(q, deadline) : queue_wait(q, deadline)) == ETIMEDOUT;
	if (q->count) {
		item = queue_take(q);
		timed_out = 0;
	} else if (q->closed) {
		timed_out = 0;
	}
	pthread_mutex_unlock(&q->lock);
	*ret_timed_out = timed_out;
	return item;
}

void *queue_pop(struct queue *q)
{
	int timed_out;

	return queue_get(q, NULL, &timed_out);
}

void *queue_pop_until(struct queue *q, uint64_t deadline_ns, int *ret_timed_out)
{
	struct timespec ts = clock_timespec(deadline_ns);

	return queue_get(q, &ts, ret_timed_out);
}

void queue_set_pace(struct queue *q, uint64_t pace_ns)
{
	q->pace = pace_ns;
}

void queue_set_weight(struct queue *q, size_t max, size_t (*weigh)(const void *item))
{
	q->weigh = weigh;
	q->weight_max = max;
}

void queue_close(struct queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->not_empty);
	pthread_cond_broadcast(&q->not_full);
	pthread_cond_broadcast(&q->crowded);
	pthread_mutex_unlock(&q->lock);
}

size_t queue_depth(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->count;
	pthread_mutex_unlock(&q->lock);
	return n;
}

size_t queue_high_water(struct queue *q)
{
	size_t n;

	pthread_mutex_lock(&q->lock);
	n = q->high_water;
	pthread_mutex_unlock(&q->lock);
	return n;
}
