/* lib/urgent: fair while it runs at once, real-time while it is kept waiting, and fair again. On the real scheduler. */
#include "tests/test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/urgent.h"

#define LIMIT_NS (60 * NSEC_PER_SEC)

static void pause_ns(uint64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

/* On this processor, before every fair thread for 20 of 40 milliseconds. */
static pid_t start_bully(void)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 }) < 0)
		_exit(77);
	for (;;) {
		uint64_t end = clock_mono_ns() + 20 * NSEC_PER_MSEC;

		while (clock_mono_ns() < end)
			;
		pause_ns(20 * NSEC_PER_MSEC);
	}
}

/* Wants the processor again and again, as one that gets events. */
static bool becomes(struct urgent *u, int policy, uint64_t skip_ns)
{
	uint64_t end = clock_mono_ns() + LIMIT_NS;

	while (sched_getscheduler(0) != policy && clock_mono_ns() < end) {
		for (int i = 0; i < 20; i++)
			pause_ns(NSEC_PER_MSEC);
		urgent_look(u, clock_mono_ns() + skip_ns);
	}
	return sched_getscheduler(0) == policy && u->realtime == (policy == SCHED_RR);
}

static void test_waits(void **state _unused_)
{
	struct urgent u;
	cpu_set_t one;
	pid_t bully;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	urgent_begin(&u);
	if (u.stat < 0) {
		urgent_end(&u);
		print_message("SKIP: the kernel does not count how long a thread waits (CONFIG_SCHED_INFO)\n");
		skip();
	}
	if (getpriority(PRIO_PROCESS, 0) != -20) {
		urgent_end(&u);
		print_message("SKIP: priorities cannot be set here (CAP_SYS_NICE)\n");
		skip();
	}
	assert_int_equal(sched_getscheduler(0), SCHED_OTHER);

	bully = start_bully();
	assert_true(bully > 0);
	assert_true(becomes(&u, SCHED_RR, 0));
	/* It is not given up before its time. */
	urgent_look(&u, u.look_ns);
	assert_true(u.realtime);
	kill(bully, SIGKILL);
	waitpid(bully, NULL, 0);

	assert_true(becomes(&u, SCHED_OTHER, URGENT_HOLD_NS));
	assert_int_equal(getpriority(PRIO_PROCESS, 0), -20);
	urgent_end(&u);
	assert_int_equal(u.stat, -1);
}

/* Between two looks nothing is asked of the kernel. */
static void test_looks_rarely(void **state _unused_)
{
	struct urgent u = { .stat = -1, .look_ns = 5 };

	urgent_look(&u, 10);
	assert_int_equal(u.look_ns, 5);
	urgent_begin(&u);
	urgent_look(&u, 1000);
	if (u.stat >= 0) {
		uint64_t turns = u.turns;

		assert_int_equal(u.look_ns, 1000 + URGENT_LOOK_NS);
		pause_ns(NSEC_PER_MSEC);
		urgent_look(&u, 1000 + URGENT_LOOK_NS - 1);
		assert_int_equal(u.turns, turns);
		urgent_look(&u, 1000 + URGENT_LOOK_NS);
		assert_true(u.turns > turns);
	}
	urgent_end(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_waits), cmocka_unit_test(test_looks_rarely) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
