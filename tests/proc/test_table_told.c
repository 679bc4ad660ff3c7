/* proc/table: execs that a sensor told of with all that they are, and looking back at what a process was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/proc/table_fixture.h"

/* What a sensor saw of a process is believed: nothing is read, and older messages change nothing of it. */
static void test_told(void **state)
{
	const struct process forked = { .pid = 200,
					.ppid = 1,
					.start_ns = tick(6000),
					.uid = 5,
					.euid = 6,
					.known = PROCESS_START | PROCESS_PPID | PROCESS_IDS };
	struct process execed = forked;
	_cleanup_process_ struct process *p = NULL, *q = NULL, *r = NULL, *s = NULL;
	struct proc_stats before, after;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_get_stats(f.t, &before);
	proc_table_forked(f.t, 100, &forked);
	p = get(&f, 200);
	assert_int_equal(p->ppid, 1);
	assert_int_equal(p->parent->pid, 1);
	assert_string_equal(p->exe, "/bin/bash");
	assert_int_equal(p->uid, 5);
	execed.exe = "/bin/short";
	execed.cmdline = "short\0-x";
	execed.cmdline_len = 9;
	execed.cwd = "/tmp";
	execed.uid = execed.euid = 0;
	execed.known |= PROCESS_EXE | PROCESS_CMDLINE | PROCESS_CWD;
	proc_table_execed(f.t, &execed, 0, tick(6001));
	/* Of the time before. */
	proc_table_ids(f.t, 200, false, 77, 77, tick(6000));
	proc_table_exit(f.t, 200, tick(6002));
	q = get(&f, 200);
	assert_string_equal(q->exe, "/bin/short");
	assert_memory_equal(q->cmdline, "short\0-x", 9);
	assert_string_equal(q->cwd, "/tmp");
	assert_int_equal(q->uid, 0);
	assert_int_equal(q->exec_count, 1);
	assert_int_equal(q->parent->pid, 1);
	proc_table_get_stats(f.t, &after);
	assert_int_equal(after.reads, before.reads + 1); /* the last get, which found nobody */
	assert_int_equal(after.missed, before.missed);
	/* A start of a process whose fork was lost, under a pid that another has. */
	execed.start_ns = tick(7000);
	execed.pid = 100;
	proc_table_execed(f.t, &execed, 0, tick(7001));
	r = get(&f, 100);
	assert_string_equal(r->exe, "/bin/short");
	assert_int_equal(r->start_ns, tick(7000));
	s = proc_table_get(f.t, 100, true);
	assert_string_equal(s->exe, "/bin/bash");
	end(&f);
}

static void exec_in(struct fixture *f, int pid, const char *exe, uint64_t cgroups, unsigned long long at)
{
	struct process told = { .pid = pid,
				.ppid = 100,
				.start_ns = tick(6000),
				.exe = exe,
				.cmdline = "x",
				.cmdline_len = 2,
				.known = PROCESS_START | PROCESS_PPID | PROCESS_EXE | PROCESS_CMDLINE };

	proc_table_execed(f->t, &told, cgroups, tick(at));
}

static void exec_as(struct fixture *f, int pid, const char *exe, unsigned long long at)
{
	exec_in(f, pid, exe, 0, at);
}

/* It was asked for before its fork was told, and had just ended: /proc then knows no parent. */
static void test_told_late(void **state)
{
	const struct process forked = {
		.pid = 200, .ppid = 100, .start_ns = tick(6000), .known = PROCESS_START | PROCESS_PPID
	};
	_cleanup_process_ struct process *p = NULL, *q = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	tree_process(&f.tree, 200, 0, "/bin/short", 6000);
	p = get(&f, 200);
	assert_int_equal(p->ppid, 0);
	proc_table_forked(f.t, 100, &forked);
	q = get(&f, 200);
	assert_int_equal(q->ppid, 100);
	assert_non_null(q->parent);
	assert_int_equal(q->parent->pid, 100);
	assert_string_equal(q->exe, "/bin/short");
	end(&f);
}

/*
 * What is read late of an exec, when the process runs the next program already, is not of its image: neither by the
 * thread that applies messages nor by whoever asks first, whether a sensor told of it or netlink.
 */
static void test_rest_of_next(void **state)
{
	static const struct {
		bool told, asked;
		const char *comm; /* NULL: unknown */
	} cases[] = {
		{ true, false, "unshare" }, { true, true, "unshare" }, { false, false, NULL }, { false, true, NULL }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process told = { .pid = 200,
					.ppid = 100,
					.start_ns = tick(6000),
					.exe = "/bin/unshare",
					.cmdline = "unshare",
					.cmdline_len = 8,
					.comm = "unshare",
					.known = PROCESS_START | PROCESS_PPID | PROCESS_EXE | PROCESS_CMDLINE |
						 PROCESS_COMM | PROCESS_IDS };
		const struct process forked = {
			.pid = 200, .ppid = 100, .start_ns = tick(6000), .known = PROCESS_START | PROCESS_PPID
		};
		_cleanup_process_ struct process *p = NULL;
		struct fixture f;

		begin(&f, 100);
		proc_table_forked(f.t, 100, &forked);
		tree_process(&f.tree, 200, 100, "/bin/unshare", 6000);
		if (cases[i].told)
			proc_table_execed(f.t, &told, 1, tick(6010));
		else
			proc_table_exec(f.t, 200, tick(6010));
		/* Its message waits. */
		tree_process(&f.tree, 200, 100, "/bin/true", 6000);
		if (!cases[i].asked)
			assert_true(proc_table_read_rest(f.t));
		p = get(&f, 200);
		assert_string_equal(p->exe, "/bin/unshare");
		assert_string_equal(p->tty, "pts/3");
		assert_int_equal(!!(p->known & PROCESS_COMM), cases[i].comm != NULL);
		if (cases[i].comm)
			assert_string_equal(p->comm, cases[i].comm);
		end(&f);
	}
}

/* Where a sensor is not sure of the cgroup, what /proc said twice of others in the same ones is believed for a second.
 */
static void test_grouped(void **state)
{
	static const struct {
		uint64_t cgroups;
		const char *told, *proc;
		unsigned long long at;
		const char *expected;
	} cases[] = {
		{ 7, "/memory", "/a", 6010, "/a" }, /* read */
		{ 7, "/memory", "/b", 6011, "/b" }, /* read again, and another: one of them was on its way */
		{ 7, "/memory", "/b", 6012, "/b" },  { 7, "/memory", "/c", 6013, "/b" }, /* believed */
		{ 9, "/memory", "/c", 6014, "/c" },  { 7, "/other", "/c", 6015, "/c" },	 { 7, NULL, "/c", 6016, "/c" },
		{ 0, "/sure", "/c", 6017, "/sure" }, { 7, "/memory", "/d", 6300, "/d" },
	};
	struct fixture f;

	(void)state;
	begin(&f, 100);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const int32_t pid = 200 + (int32_t)i;
		struct process told = { .pid = pid,
					.ppid = 100,
					.start_ns = tick(6000),
					.exe = "/bin/short",
					.cmdline = "short",
					.cmdline_len = 6,
					.cwd = "/",
					.cgroup = cases[i].told,
					.known = PROCESS_START | PROCESS_PPID | PROCESS_EXE | PROCESS_CMDLINE |
						 PROCESS_COMM | PROCESS_IDS | PROCESS_CWD };
		_cleanup_process_ struct process *p = NULL;
		char line[64];

		told.known |= cases[i].told ? PROCESS_CGROUP : 0U;
		snprintf(line, sizeof(line), "0::%s\n", cases[i].proc);
		tree_process(&f.tree, pid, 100, "/bin/short", 6000);
		tree_text(&f.tree, pid, "cgroup", line);
		proc_table_execed(f.t, &told, cases[i].cgroups, tick(cases[i].at));
		while (proc_table_read_rest(f.t))
			;
		p = get(&f, pid);
		assert_true(p->known & PROCESS_CGROUP);
		assert_string_equal(p->cgroup, cases[i].expected);
	}
	end(&f);
}

/* Somebody asks late what a process was before it ran other programs. */
static void test_at(void **state)
{
	static const struct {
		unsigned long long at;
		const char *exe;
	} cases[] = {
		{ 6000, "/bin/bash" }, { 6009, "/bin/bash" }, { 6010, "/bin/one" },
		{ 6019, "/bin/one" },  { 6020, "/bin/two" },  { 9000, "/bin/two" },
	};
	const struct process forked = {
		.pid = 200, .ppid = 100, .start_ns = tick(6000), .known = PROCESS_START | PROCESS_PPID
	};
	_cleanup_process_ struct process *p = NULL, *q = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_forked(f.t, 100, &forked);
	exec_as(&f, 200, "/bin/one", 6010);
	exec_as(&f, 200, "/bin/two", 6020);
	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const size_t k = i % ARRAY_SIZE(cases);

		p = proc_table_at(f.t, 200, tick(6000), tick(cases[k].at));
		assert_non_null(p);
		assert_string_equal(p->exe, cases[k].exe);
		process_unrefp(&p);
		/* Once more when it is gone. */
		if (i + 1 == ARRAY_SIZE(cases))
			proc_table_exit(f.t, 200, tick(9000));
	}
	/* Another's pid; one never heard of before its exec. */
	assert_null(proc_table_at(f.t, 200, tick(6001), tick(6001)));
	exec_as(&f, 300, "/bin/one", 6010);
	p = proc_table_at(f.t, 300, tick(6000), tick(6009));
	assert_int_equal(p->pid, 300);
	assert_false(p->known & (PROCESS_EXE | PROCESS_CMDLINE | PROCESS_COMM));
	/* What was forgotten is unknown, and never one of the images since. */
	for (unsigned int i = 0; i < PROC_IMAGES_MAX - 1; i++)
		exec_as(&f, 300, "/bin/one", 7000 + i);
	q = proc_table_at(f.t, 200, tick(6000), tick(6009));
	assert_int_equal(q->pid, 200);
	assert_int_equal(q->ppid, 100);
	assert_null(q->exe);
	process_unrefp(&q);
	q = proc_table_at(f.t, 200, tick(6000), tick(6019));
	assert_string_equal(q->exe, "/bin/one");
	end(&f);
}

/* The next program's start is told while somebody waits for what was not read yet of this one. */
static int sync_next(uint64_t boot_ns, void *data)
{
	struct fixture *f = data;

	(void)boot_ns;
	tree_process(&f->tree, 200, 100, "/bin/next", 6000);
	exec_as(f, 200, "/bin/next", 6020);
	return 0;
}

static void test_told_next(void **state)
{
	const struct process forked = {
		.pid = 200, .ppid = 100, .start_ns = tick(6000), .known = PROCESS_START | PROCESS_PPID
	};
	_cleanup_process_ struct process *p = NULL, *q = NULL, *r = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	tree_process(&f.tree, 200, 100, "/bin/sh", 6000);
	proc_table_forked(f.t, 100, &forked);
	/* Its cgroup is to be read. */
	exec_in(&f, 200, "/bin/sh", 1, 6010);
	proc_table_set_sync(f.t, sync_next, &f);
	p = proc_table_told(f.t, 200, tick(6010));
	assert_non_null(p);
	assert_string_equal(p->exe, "/bin/sh");
	proc_table_set_sync(f.t, NULL, NULL);
	q = proc_table_told(f.t, 200, 0);
	assert_string_equal(q->exe, "/bin/next");
	/* What it was is forgotten: it is not taken for what it became. */
	for (unsigned int i = 0; i < PROC_IMAGES_MAX + 1; i++)
		exec_as(&f, 300, "/bin/one", 7000 + i);
	r = proc_table_told(f.t, 200, tick(6010));
	assert_int_equal(r->pid, 200);
	assert_null(r->exe);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_told), cmocka_unit_test(test_told_late), cmocka_unit_test(test_rest_of_next),
		cmocka_unit_test(test_at),   cmocka_unit_test(test_grouped),   cmocka_unit_test(test_told_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
