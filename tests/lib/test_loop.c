/* lib/loop: descriptors, timers, signals, wake-ups from threads, removal inside callbacks. */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>

#include "lib/clock.h"
#include "lib/loop.h"

#define _cleanup_loop_ _cleanup_(loop_free_p)

struct seen {
	struct loop *loop;
	struct loop_source *source, *other;
	int calls;
	int result;
	int stop_at;
};

static int on_event(struct loop_source *source, uint32_t epoll_events _unused_, void *data)
{
	struct seen *s = data;

	assert_ptr_equal(source, s->source);
	if (++s->calls == s->stop_at)
		loop_stop(s->loop);
	return s->result;
}

static void test_timer(void **state _unused_)
{
	_cleanup_loop_ struct loop *l = NULL;
	struct seen once = { 0 }, again = { .stop_at = 3 }, never = { 0 };
	uint64_t from = clock_mono_ns();

	assert_int_equal(loop_new(&l), 0);
	once.loop = again.loop = l;
	assert_int_equal(loop_add_timer(l, 0, 0, on_event, &never, &never.source), 0);
	assert_int_equal(loop_add_timer(l, NSEC_PER_MSEC, 0, on_event, &once, &once.source), 0);
	assert_int_equal(loop_add_timer(l, 0, 5 * NSEC_PER_MSEC, on_event, &again, &again.source), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(once.calls, 1);
	assert_int_equal(again.calls, 3);
	assert_int_equal(never.calls, 0);
	assert_true(clock_mono_ns() - from >= 10 * NSEC_PER_MSEC);
	/* Set anew, and disarmed. */
	loop_remove(again.source);
	once.calls = 0;
	once.stop_at = 1;
	assert_int_equal(loop_set_timer(once.source, 1, 0), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(once.calls, 1);
}

static void test_error(void **state _unused_)
{
	_cleanup_loop_ struct loop *l = NULL;
	struct seen s = { .result = -EPROTO };

	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(loop_add_timer(l, 1, 0, on_event, &s, &s.source), 0);
	assert_int_equal(loop_run(l), -EPROTO);
	loop_stop(l);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(s.calls, 1);
}

static int on_readable(struct loop_source *source, uint32_t epoll_events, void *data)
{
	struct seen *s = data;
	char c;

	assert_int_equal(epoll_events, EPOLLIN);
	assert_int_equal(read(loop_source_fd(source), &c, 1), 1);
	s->calls++;
	loop_stop(s->loop);
	return 1; /* positive is no error */
}

static void test_fd(void **state _unused_)
{
	_cleanup_loop_ struct loop *l = NULL;
	struct seen s = { 0 };
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(loop_new(&l), 0);
	s.loop = l;
	assert_int_equal(loop_add_fd(l, fds[0], EPOLLIN, on_readable, &s, &s.source), 0);
	assert_int_equal(loop_add_fd(l, fds[0], EPOLLIN, on_readable, &s, NULL), -EEXIST);
	assert_int_equal(loop_add_fd(l, -1, EPOLLIN, on_readable, &s, NULL), -EBADF);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(s.calls, 1);
	loop_remove(s.source);
	assert_int_equal(write(fds[1], "x", 1), 1); /* still open: the caller's */
	close(fds[0]);
	close(fds[1]);
}

static void test_signal(void **state _unused_)
{
	_cleanup_loop_ struct loop *l = NULL;
	struct seen s = { .stop_at = 1 };
	uint32_t uid = 1;

	assert_int_equal(loop_new(&l), 0);
	s.loop = l;
	assert_int_equal(loop_add_signal(l, SIGUSR1, on_event, &s, &s.source), 0);
	assert_int_equal(loop_add_signal(l, 9999, on_event, &s, NULL), -EINVAL);
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(loop_signal_sender(s.source, &uid), getpid());
	assert_int_equal(uid, getuid());
}

static void *waker(void *data)
{
	struct seen *s = data;

	for (int i = 0; i < 1000; i++)
		loop_wake(s->source);
	loop_wake(s->other);
	return NULL;
}

static int on_last(struct loop_source *source _unused_, uint32_t epoll_events _unused_, void *data)
{
	loop_stop(data);
	return 0;
}

static void test_wake(void **state _unused_)
{
	_cleanup_loop_ struct loop *l = NULL;
	struct seen s = { 0 };
	pthread_t thread;

	assert_int_equal(loop_new(&l), 0);
	s.loop = l;
	assert_int_equal(loop_add_wake(l, on_event, &s, &s.source), 0);
	assert_int_equal(loop_add_wake(l, on_last, l, &s.other), 0);
	assert_int_equal(pthread_create(&thread, NULL, waker, &s), 0);
	assert_int_equal(loop_run(l), 0);
	pthread_join(thread, NULL);
	assert_in_range(s.calls, 0, 1000);
}

/* Two sources ready in one batch, each removes both: exactly one is called. */
static int on_remove(struct loop_source *source, uint32_t epoll_events _unused_, void *data)
{
	struct seen *s = data;

	s->calls++;
	loop_remove(s->source);
	loop_remove(s->other);
	assert_true(source == s->source || source == s->other);
	loop_stop(s->loop);
	return 0;
}

static void test_remove(void **state _unused_)
{
	_cleanup_loop_ struct loop *l = NULL;
	struct seen s = { 0 };

	assert_int_equal(loop_new(&l), 0);
	s.loop = l;
	assert_int_equal(loop_add_wake(l, on_remove, &s, &s.source), 0);
	assert_int_equal(loop_add_wake(l, on_remove, &s, &s.other), 0);
	loop_wake(s.source);
	loop_wake(s.other);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(s.calls, 1);
	loop_remove(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timer),  cmocka_unit_test(test_error), cmocka_unit_test(test_fd),
		cmocka_unit_test(test_signal), cmocka_unit_test(test_wake),  cmocka_unit_test(test_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
