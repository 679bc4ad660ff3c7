/* fim/jobs: what workers take, in which order, and when it is over. */
#include "tests/test.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "fim/jobs.h"
#include "lib/clock.h"
#include "lib/util.h"

static struct jobs *new_jobs(void)
{
	struct jobs *q = NULL;

	alarm(60);
	assert_int_equal(jobs_new(&q), 0);
	return q;
}

static void test_order(void **state _unused_)
{
	struct job range[2] = { 0 }, large[3] = { { .size = 5 }, { .size = 9 }, { .size = 5 } };
	struct job *const want[] = { &large[1], &large[0], &large[2], &range[0], &range[1] };
	struct jobs *q = new_jobs();

	for (size_t i = 0; i < ARRAY_SIZE(range); i++)
		assert_int_equal(jobs_push(q, &range[i]), 0);
	for (size_t i = 0; i < ARRAY_SIZE(large); i++)
		assert_int_equal(jobs_push_large(q, &large[i]), 0);
	jobs_close(q);
	assert_int_equal(jobs_push(q, &range[0]), -EPIPE);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_ptr_equal(jobs_take(q), want[i]);
		jobs_done(q);
	}
	assert_null(jobs_take(q));
	jobs_free(q);
}

/* A worker is told that there is no room, it does not wait for it. */
static void test_bound(void **state _unused_)
{
	static struct job large[10000];
	struct jobs *q = new_jobs();
	size_t n = 0;

	while (n < ARRAY_SIZE(large) && jobs_push_large(q, &large[n]) == 0)
		n++;
	assert_true(n >= 64 && n < ARRAY_SIZE(large));
	assert_int_equal(jobs_push_large(q, &large[n]), -EAGAIN);
	jobs_close(q);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(jobs_take(q));
		jobs_done(q);
	}
	assert_null(jobs_take(q));
	jobs_free(q);
}

struct taker {
	struct jobs *q;
	atomic_uint taken, ended;
};

static void *take_all(void *data)
{
	struct taker *t = data;

	while (jobs_take(t->q)) {
		atomic_fetch_add(&t->taken, 1);
		jobs_done(t->q);
	}
	atomic_fetch_add(&t->ended, 1);
	return NULL;
}

/* Closed is not the end while somebody at work may still find a large file. */
static void test_end_waits_for_who_is_at_work(void **state _unused_)
{
	struct job range = { 0 }, large = { .size = 1 };
	struct taker t = { .q = new_jobs() };
	pthread_t threads[3];

	assert_int_equal(jobs_push(t.q, &range), 0);
	assert_ptr_equal(jobs_take(t.q), &range);
	jobs_close(t.q);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_all, &t), 0);
	assert_int_equal(jobs_push_large(t.q, &large), 0);
	while (!atomic_load(&t.taken))
		sched_yield();
	assert_int_equal(atomic_load(&t.ended), 0);
	jobs_done(t.q);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(t.taken, 1);
	jobs_free(t.q);
}

/* The walker waits for room and is let go of by whoever takes, or by the end. */
static void *push_many(void *data)
{
	static struct job ranges[1000];
	struct taker *t = data;

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		assert_int_equal(jobs_push(t->q, &ranges[i]), 0);
	jobs_close(t->q);
	return NULL;
}

static void test_walker_waits(void **state _unused_)
{
	struct taker t = { .q = new_jobs() };
	pthread_t walker, threads[2];

	assert_int_equal(pthread_create(&walker, NULL, push_many, &t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_all, &t), 0);
	pthread_join(walker, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(t.taken, 1000);
	jobs_free(t.q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_end_waits_for_who_is_at_work),
		cmocka_unit_test(test_walker_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
