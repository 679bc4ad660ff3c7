/* proc/table: millions of messages stay in bounded memory, and several threads ask at once. */
#include "tests/test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/proc/table_fixture.h"

static void check_line(const struct process *p)
{
	for (uint32_t depth = p->depth; p; p = p->parent, depth--) {
		assert_true(depth <= PROCESS_DEPTH_MAX);
		assert_int_equal(p->depth, depth);
		if (p->parent)
			assert_int_equal(p->ppid, p->parent->pid);
	}
}

static long resident_kib(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size = 0, resident = 0;

	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		abort();
	fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

#if SANITIZED
enum { GENERATIONS = 100000 };
#else
enum { GENERATIONS = 1000000 };
#endif

/* Each process forks a child and ends, a million times: ancestors are cut, the table stays within its bound. */
static void test_chain(void **state)
{
	enum { MAX_ENTRIES = 2000, FIRST = 1000, COUNT = GENERATIONS };
	struct proc_stats stats;
	struct fixture f;
	long before = 0, after;

	(void)state;
	begin(&f, MAX_ENTRIES);
	for (int i = 0; i < COUNT; i++) {
		int pid = FIRST + i, parent = i ? pid - 1 : 100;

		proc_table_fork(f.t, parent, pid, tick(6000) + (uint64_t)i * 1000);
		proc_table_exit(f.t, parent, tick(6000) + (uint64_t)i * 1000 + 500);
		if (i == COUNT / 10)
			before = resident_kib();
		if (i % 9999 == 0) {
			_cleanup_process_ struct process *p = proc_table_get(f.t, pid, true);

			check_line(p);
			assert_true(p->depth >= MIN((uint32_t)i, PROCESS_DEPTH_MAX / 2U));
			assert_string_equal(p->exe, "/bin/bash");
		}
	}
	after = resident_kib();
	proc_table_get_stats(f.t, &stats);
	assert_true(stats.live + stats.ended <= MAX_ENTRIES);
	assert_true(stats.evicted > 0);
	print_message("resident after a tenth: %ld KiB, at the end: %ld KiB\n", before, after);
#if SANITIZED
	(void)after; /* freed memory is kept aside; the leak check at the end says what is left */
#else
	assert_true(after < before + 2048);
#endif
	end(&f);
}

/* A deep process forks many children: they share the cut line. */
static void test_deep_fan(void **state)
{
	_cleanup_process_ struct process *a = NULL, *b = NULL;
	struct fixture f;
	int pid = 1000;

	(void)state;
	begin(&f, 10000);
	for (; pid < 1000 + PROCESS_DEPTH_MAX - 1; pid++)
		proc_table_fork(f.t, pid == 1000 ? 100 : pid - 1, pid, tick(6000));
	for (int i = 0; i < 100; i++)
		proc_table_fork(f.t, pid - 1, 2000 + i, tick(6000));
	a = get(&f, 2000);
	b = get(&f, 2099);
	check_line(a);
	assert_ptr_equal(a->parent, b->parent);
	end(&f);
}

static void test_bound(void **state)
{
	_cleanup_process_ struct process *p = NULL;
	struct proc_stats stats;
	struct fixture f;

	(void)state;
	begin(&f, 10);
	/* Ended ones go first, oldest first. */
	for (int i = 0; i < 8; i++) {
		proc_table_fork(f.t, 100, 200 + i, tick(6000));
		if (i < 4)
			proc_table_exit(f.t, 200 + i, tick(6001));
	}
	for (int i = 0; i < 2; i++)
		proc_table_fork(f.t, 100, 300 + i, tick(6000));
	assert_null(proc_table_get(f.t, 200, true));
	assert_null(proc_table_get(f.t, 201, true));
	p = proc_table_get(f.t, 202, true);
	assert_non_null(p);
	/* Then those that nobody asked for: init goes, the shell that forks them stays. */
	for (int i = 0; i < 20; i++)
		proc_table_fork(f.t, 100, 400 + i, tick(6000));
	proc_table_get_stats(f.t, &stats);
	assert_int_equal(stats.live, 10);
	assert_int_equal(stats.ended, 0);
	assert_int_equal(stats.evicted, 22);
	process_unrefp(&p);
	p = proc_table_get(f.t, 100, true);
	assert_non_null(p);
	end(&f);
	begin(&f, 0);
	proc_table_fork(f.t, 100, 200, tick(6000));
	proc_table_exec(f.t, 200, tick(6000));
	proc_table_scan(f.t);
	end(&f);
}

/* Long command lines fill it before the number of processes does. */
static void test_bound_by_bytes(void **state)
{
	enum { MAX = 40 };
	_cleanup_process_ struct process *p = NULL;
	char cmdline[4000];
	struct proc_stats stats;
	struct fixture f;

	(void)state;
	begin(&f, MAX);
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[sizeof(cmdline) - 1] = '\0';
	tree_file(&f.tree, 100, "cmdline", cmdline, sizeof(cmdline));
	proc_table_exec(f.t, 100, tick(6000));
	for (int i = 0; i < 2 * MAX; i++)
		proc_table_fork(f.t, 100, 200 + i, tick(6001));
	proc_table_get_stats(f.t, &stats);
	assert_true(stats.live > 2 && stats.live <= MAX * PROC_BYTES / sizeof(cmdline) + 1);
	p = proc_table_get(f.t, 200 + 2 * MAX - 1, true);
	assert_non_null(p);
	assert_int_equal(p->cmdline_len, sizeof(cmdline));
	/* Room is given back. */
	for (int i = 0; i < 2 * MAX; i++)
		proc_table_exit(f.t, 200 + i, tick(6002));
	tree_file(&f.tree, 100, "cmdline", "x", 2);
	proc_table_exec(f.t, 100, tick(6003));
	for (int i = 0; i < MAX / 2; i++)
		proc_table_fork(f.t, 100, 400 + i, tick(6004));
	proc_table_get_stats(f.t, &stats);
	assert_true(stats.live >= MAX / 2);
	end(&f);
}

struct asker {
	struct fixture *f;
	atomic_bool stop;
	atomic_uint asked;
};

static void *ask(void *data)
{
	struct asker *a = data;

	for (unsigned int i = 0; !atomic_load(&a->stop); i++, atomic_fetch_add(&a->asked, 1)) {
		_cleanup_process_ struct process *p = proc_table_get(a->f->t, 200 + (int)(i % 50), i % 3 == 0);

		if (p && (p->pid < 200 || p->depth > PROCESS_DEPTH_MAX || (p->known & PROCESS_EXE && !*p->exe)))
			abort();
		proc_table_opened_exec(a->f->t, 200 + (int)(i % 50), "/bin/opened");
	}
	return NULL;
}

/* Look-ups and scans while messages come in (for the sanitizers). */
static void test_threads(void **state)
{
	struct fixture f;
	struct asker a = { .f = &f };
	pthread_t thread;

	(void)state;
	begin(&f, 60);
	assert_int_equal(pthread_create(&thread, NULL, ask, &a), 0);
	/* At least once beside the other, however late that comes to run. */
	for (int i = 0; i < 20000 || !atomic_load(&a.asked); i++) {
		int pid = 200 + i % 50;

		proc_table_fork(f.t, i % 2 ? 100 : 200 + (i + 7) % 50, pid, tick(6000 + i));
		if (i % 3)
			proc_table_exec(f.t, pid, tick(6000 + i));
		if (i % 5)
			proc_table_exit(f.t, pid, tick(6001 + i));
		if (i % 1000 == 0)
			proc_table_scan(f.t);
	}
	atomic_store(&a.stop, true);
	pthread_join(thread, NULL);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),	       cmocka_unit_test(test_deep_fan), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_bound_by_bytes), cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
