/* lib/queue: order, bounds, close, deadlines, many threads. */
#include "tests/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/queue.h"

static void test_order(void **state _unused_)
{
	_cleanup_queue_ struct queue *q = NULL;
	int items[5];

	assert_int_equal(queue_new(0, &q), -EINVAL);
	assert_int_equal(queue_new(3, &q), 0);
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 3; i++)
			assert_int_equal(queue_try_push(q, &items[i]), 0);
		assert_int_equal(queue_try_push(q, &items[3]), -EAGAIN);
		assert_int_equal(queue_depth(q), 3);
		assert_ptr_equal(queue_pop(q), &items[0]);
		assert_int_equal(queue_push(q, &items[4]), 0);
		assert_ptr_equal(queue_pop(q), &items[1]);
		assert_ptr_equal(queue_pop(q), &items[2]);
		assert_ptr_equal(queue_pop(q), &items[4]);
	}
	assert_int_equal(queue_high_water(q), 3);
}

static size_t weight_of(const void *item)
{
	return *(const size_t *)item;
}

/* Full by what is in it, before its places are. One item always has room. */
static void test_weight(void **state _unused_)
{
	_cleanup_queue_ struct queue *q = NULL;
	size_t light = 1, heavy = 60, heavier = 1000;

	assert_int_equal(queue_new(5, &q), 0);
	queue_set_weight(q, 100, weight_of);
	assert_int_equal(queue_try_push(q, &heavier), 0);
	assert_int_equal(queue_try_push(q, &light), -EAGAIN);
	assert_ptr_equal(queue_pop(q), &heavier);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(queue_try_push(q, &heavy), 0);
		assert_int_equal(queue_try_push(q, &heavy), -EAGAIN);
		for (int i = 0; i < 4; i++)
			assert_int_equal(queue_try_push(q, &light), 0);
		assert_int_equal(queue_try_push(q, &light), -EAGAIN);
		assert_ptr_equal(queue_pop(q), &heavy);
		for (int i = 0; i < 4; i++)
			assert_ptr_equal(queue_pop(q), &light);
	}
}

static void *push_heavy(void *data)
{
	static size_t heavy = 60;
	struct queue *q = data;

	for (int i = 0; i < 1000; i++)
		assert_int_equal(queue_push(q, &heavy), 0);
	queue_close(q);
	return NULL;
}

/* Who waits for room by weight is woken. */
static void test_weight_wakes(void **state _unused_)
{
	_cleanup_queue_ struct queue *q = NULL;
	pthread_t thread;
	size_t n = 0;

	assert_int_equal(queue_new(16, &q), 0);
	queue_set_weight(q, 200, weight_of);
	assert_int_equal(pthread_create(&thread, NULL, push_heavy, q), 0);
	while (queue_pop(q))
		n++;
	pthread_join(thread, NULL);
	assert_int_equal(n, 1000);
	assert_int_equal(queue_high_water(q), 3);
}

static void test_close(void **state _unused_)
{
	_cleanup_queue_ struct queue *q = NULL;
	int item, timed_out = 7;

	assert_int_equal(queue_new(2, &q), 0);
	assert_int_equal(queue_push(q, &item), 0);
	queue_close(q);
	assert_int_equal(queue_push(q, &item), -EPIPE);
	assert_int_equal(queue_try_push(q, &item), -EPIPE);
	assert_ptr_equal(queue_pop(q), &item);
	assert_null(queue_pop(q));
	assert_null(queue_pop_until(q, 0, &timed_out));
	assert_int_equal(timed_out, 0);
}

static void test_deadline(void **state _unused_)
{
	_cleanup_queue_ struct queue *q = NULL;
	uint64_t from = clock_mono_ns();
	int item, timed_out = 0;

	assert_int_equal(queue_new(2, &q), 0);
	assert_null(queue_pop_until(q, from + 20 * NSEC_PER_MSEC, &timed_out));
	assert_int_equal(timed_out, 1);
	assert_true(clock_mono_ns() - from >= 20 * NSEC_PER_MSEC);
	assert_int_equal(queue_push(q, &item), 0);
	assert_ptr_equal(queue_pop_until(q, 0, &timed_out), &item); /* what is there comes, deadline past or not */
	assert_int_equal(timed_out, 0);
}

#define PER_THREAD 20000
#define THREADS	   3

struct crowd {
	struct queue *q;
	atomic_ulong sum, taken;
	int values[PER_THREAD];
};

static void *produce(void *data)
{
	struct crowd *c = data;

	for (int i = 0; i < PER_THREAD; i++) {
		if (queue_push(c->q, &c->values[i]) < 0)
			return c;
	}
	return NULL;
}

static void *consume(void *data)
{
	struct crowd *c = data;
	int *value;

	while ((value = queue_pop(c->q))) {
		atomic_fetch_add(&c->sum, (unsigned long)*value);
		atomic_fetch_add(&c->taken, 1);
	}
	return NULL;
}

static void test_threads(void **state _unused_)
{
	static struct crowd c;
	pthread_t producers[THREADS], consumers[THREADS];
	void *failed;

	for (int i = 0; i < PER_THREAD; i++)
		c.values[i] = i;
	assert_int_equal(queue_new(16, &c.q), 0);
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_create(&consumers[i], NULL, consume, &c), 0);
		assert_int_equal(pthread_create(&producers[i], NULL, produce, &c), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(producers[i], &failed);
		assert_null(failed);
	}
	queue_close(c.q);
	for (int i = 0; i < THREADS; i++)
		pthread_join(consumers[i], NULL);
	assert_int_equal(c.taken, THREADS * PER_THREAD);
	assert_int_equal(c.sum, (unsigned long)THREADS * PER_THREAD * (PER_THREAD - 1) / 2);
	assert_int_equal(queue_depth(c.q), 0);
	assert_true(queue_high_water(c.q) <= 16);
	queue_free(c.q);
}

/* A producer blocked on a full queue leaves with -EPIPE when it closes. */
static void test_close_wakes(void **state _unused_)
{
	static struct crowd c;
	pthread_t producer;
	void *failed = NULL;

	assert_int_equal(queue_new(1, &c.q), 0);
	assert_int_equal(pthread_create(&producer, NULL, produce, &c), 0);
	while (queue_depth(c.q) < 1)
		;
	queue_close(c.q);
	pthread_join(producer, &failed);
	assert_ptr_equal(failed, &c);
	queue_free(c.q);
}

#define PACED_ITEMS 200

static void *push_slowly(void *data)
{
	static int item;

	for (int i = 0; i < PACED_ITEMS; i++) {
		assert_int_equal(queue_push(data, &item), 0);
		usleep(100);
	}
	queue_close(data);
	return NULL;
}

/* What comes in quick succession is taken in bunches, what comes alone at once; nothing is left lying. */
static void test_pace(void **state _unused_)
{
	_cleanup_queue_ struct queue *q = NULL;
	int item, timed_out = 0, n = 0;
	uint64_t from = clock_mono_ns();
	pthread_t thread;

	assert_int_equal(queue_new(PACED_ITEMS / 2, &q), 0);
	queue_set_pace(q, 3600 * NSEC_PER_SEC);
	assert_int_equal(queue_try_push(q, &item), 0);
	assert_ptr_equal(queue_pop(q), &item);
	assert_null(queue_pop_until(q, from + 20 * NSEC_PER_MSEC, &timed_out));
	assert_int_equal(timed_out, 1);
	/* Half full, then closed: neither waits for an hour. */
	assert_int_equal(pthread_create(&thread, NULL, push_slowly, q), 0);
	while (queue_pop(q))
		n++;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(n, PACED_ITEMS);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_order),	 cmocka_unit_test(test_weight),
					    cmocka_unit_test(test_weight_wakes), cmocka_unit_test(test_close),
					    cmocka_unit_test(test_deadline),	 cmocka_unit_test(test_threads),
					    cmocka_unit_test(test_close_wakes),	 cmocka_unit_test(test_pace) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
