/* proc/table: messages, lineage and look-up on recorded trees. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/proc/table_fixture.h"

static void test_new(void **state)
{
	struct proc_table *t;

	(void)state;
	assert_int_equal(proc_table_new("/nonexistent", 10, &t), -ENOENT);
}

/* A shell runs a program that is gone before anything could be read. */
static void test_gone(void **state)
{
	_cleanup_process_ struct process *p = NULL;
	struct proc_stats stats;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_fork(f.t, 100, 200, tick(6000) + 1234567);
	proc_table_exec(f.t, 200, tick(6001));
	proc_table_exit(f.t, 200, tick(6002));
	p = get(&f, 200);
	assert_non_null(p);
	assert_int_equal(p->start_ns, tick(6000));
	assert_int_equal(p->ppid, 100);
	assert_int_equal(p->exec_count, 1);
	assert_false(p->known & (PROCESS_EXE | PROCESS_CMDLINE | PROCESS_COMM));
	assert_null(p->exe);
	assert_null(p->cmdline);
	/* What exec keeps is known of the parent. */
	assert_int_equal(p->uid, 1000);
	assert_int_equal(p->loginuid, 1000);
	assert_int_equal(p->session, 3);
	assert_string_equal(p->tty, "pts/3");
	assert_string_equal(p->cwd, "/srv");
	assert_string_equal(p->cgroup, "/user.slice");
	assert_int_equal(p->depth, 2);
	assert_string_equal(p->parent->exe, "/bin/bash");
	assert_string_equal(p->parent->parent->exe, "/sbin/init");
	/* The file event tells what it was. */
	proc_table_opened_exec(f.t, 200, "/lib64/ld-linux-x86-64.so.2");
	proc_table_opened_exec(f.t, 200, "/bin/true");
	proc_table_opened_exec(f.t, 200, "/bin/other");
	process_unrefp(&p);
	p = proc_table_get(f.t, 200, true);
	assert_string_equal(p->exe, "/bin/true");
	proc_table_get_stats(f.t, &stats);
	assert_int_equal(stats.missed, 1);
	assert_int_equal(stats.live, 2);
	assert_int_equal(stats.ended, 1);
	end(&f);
}

/* The file events of an exec come before, between and after its messages. */
static void test_opened_orders(void **state)
{
	static const struct {
		const char *before_fork[3], *before_exec[3], *after_exec[3];
		const char *exe;
	} cases[] = {
		{ { "/a" }, { NULL }, { NULL }, "/a" },
		{ { "/a", "/b" }, { "/c" }, { NULL }, "/a" },
		{ { NULL }, { "/a", "/lib/ld-musl-x86_64.so.1" }, { NULL }, "/a" },
		{ { NULL }, { "/a.sh", "/bin/dash" }, { "/lib64/ld-linux-x86-64.so.2" }, "/a.sh" },
		{ { NULL }, { NULL }, { "/a", "/lib64/ld-linux-x86-64.so.2" }, "/a" },
		{ { NULL }, { "/lib64/ld-linux-x86-64.so.2" }, { NULL }, NULL },
		{ { NULL }, { NULL }, { NULL }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_process_ struct process *p = NULL;
		struct fixture f;

		begin(&f, 100);
		for (size_t j = 0; cases[i].before_fork[j]; j++)
			proc_table_opened_exec(f.t, 200, cases[i].before_fork[j]);
		proc_table_fork(f.t, 100, 200, tick(6000));
		for (size_t j = 0; cases[i].before_exec[j]; j++)
			proc_table_opened_exec(f.t, 200, cases[i].before_exec[j]);
		proc_table_exec(f.t, 200, tick(6001));
		for (size_t j = 0; cases[i].after_exec[j]; j++)
			proc_table_opened_exec(f.t, 200, cases[i].after_exec[j]);
		p = get(&f, 200);
		assert_int_equal(!!(p->known & PROCESS_EXE), !!cases[i].exe);
		if (cases[i].exe)
			assert_string_equal(p->exe, cases[i].exe);
		/* What /proc says is better than what was opened; nothing of this exec is left for the next. */
		tree_process(&f.tree, 200, 100, "/bin/second", 6000);
		proc_table_exec(f.t, 200, tick(6003));
		process_unrefp(&p);
		p = get(&f, 200);
		assert_string_equal(p->exe, "/bin/second");
		assert_int_equal(p->exec_count, 2);
		tree_drop(&f.tree, 200);
		proc_table_exec(f.t, 200, tick(6004));
		process_unrefp(&p);
		p = get(&f, 200);
		assert_false(p->known & PROCESS_EXE);
		end(&f);
	}
}

static void test_exec(void **state)
{
	_cleanup_process_ struct process *before = NULL, *after = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_fork(f.t, 100, 200, tick(6000) + 5);
	tree_process(&f.tree, 200, 100, "/bin/bash", 6000);
	before = get(&f, 200);
	assert_string_equal(before->exe, "/bin/bash");
	assert_int_equal(before->exec_count, 0);
	tree_process(&f.tree, 200, 1, "/usr/bin/vim", 6000);
	tree_text(&f.tree, 200, "loginuid", "1001");
	tree_text(&f.tree, 200, "cgroup", "0::/other\n");
	proc_table_exec(f.t, 200, tick(6050));
	after = get(&f, 200);
	/* The old snapshot is as it was. */
	assert_string_equal(before->exe, "/bin/bash");
	assert_int_equal(before->loginuid, 1000);
	assert_string_equal(after->exe, "/usr/bin/vim");
	assert_int_equal(after->start_ns, before->start_ns);
	assert_int_equal(after->exec_count, 1);
	assert_int_equal(after->loginuid, 1001);
	assert_string_equal(after->cgroup, "/other");
	/* Given to init meanwhile, it is still the shell's child. */
	assert_int_equal(after->ppid, 100);
	assert_int_equal(after->parent->pid, 100);
	end(&f);
}

/* The tick ended between the start and the message: the exact start is read, once, and then stays. */
static void test_start_settled(void **state)
{
	_cleanup_process_ struct process *p = NULL, *child = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	tree_process(&f.tree, 200, 100, "/bin/bash", 5999);
	proc_table_fork(f.t, 100, 200, tick(6000) + 5);
	proc_table_fork(f.t, 200, 201, tick(6001));
	child = get(&f, 201);
	assert_int_equal(child->parent->start_ns, tick(5999));
	p = get(&f, 200);
	assert_int_equal(p->start_ns, tick(5999));
	assert_ptr_equal(p, child->parent);
	/* 201 was gone when asked for: the message's time is kept for good, whatever comes under its pid. */
	tree_process(&f.tree, 201, 100, "/bin/bash", 6000);
	proc_table_exec(f.t, 201, tick(6001) + 1);
	process_unrefp(&child);
	child = get(&f, 201);
	assert_int_equal(child->exec_count, 0);
	end(&f);
}

/* CLONE_PARENT: the message names the caller's parent, but the caller's image is what runs. */
static void test_clone_parent(void **state)
{
	_cleanup_process_ struct process *p = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	tree_process(&f.tree, 200, 100, "/tmp/evil", 6000);
	proc_table_fork(f.t, 100, 200, tick(6000));
	p = get(&f, 200);
	assert_string_equal(p->exe, "/tmp/evil");
	assert_string_equal(p->cmdline, "/tmp/evil");
	assert_int_equal(p->parent->pid, 100);
	end(&f);
}

static void test_pid_reuse(void **state)
{
	_cleanup_process_ struct process *old = NULL, *new = NULL, *parent = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_fork(f.t, 100, 200, tick(6000));
	tree_process(&f.tree, 200, 100, "/bin/first", 6000);
	proc_table_exec(f.t, 200, tick(6001));
	proc_table_exit(f.t, 200, tick(6002));
	tree_process(&f.tree, 200, 1, "/bin/second", 6003);
	/* Its fork is not told yet: an event of the one that ended, and one of the one that lives. */
	old = proc_table_get(f.t, 200, true);
	new = proc_table_get(f.t, 200, false);
	assert_string_equal(old->exe, "/bin/first");
	assert_string_equal(new->exe, "/bin/second");
	assert_int_equal(new->parent->pid, 1);
	/* Its fork is told late: nothing changes. */
	proc_table_fork(f.t, 1, 200, tick(6003));
	parent = proc_table_get(f.t, 200, false);
	assert_ptr_equal(new, parent);
	/* An exec message of a process whose pid was given away before /proc was read takes nothing of the new one. */
	proc_table_exit(f.t, 200, tick(6004));
	proc_table_fork(f.t, 100, 300, tick(6100));
	tree_process(&f.tree, 300, 1, "/bin/stranger", 6105);
	proc_table_exec(f.t, 300, tick(6101));
	while (proc_table_read_rest(f.t))
		;
	process_unrefp(&old);
	proc_table_exit(f.t, 300, tick(6102));
	old = proc_table_get(f.t, 300, true);
	assert_false(old->known & PROCESS_EXE);
	assert_int_equal(old->start_ns, tick(6100));
	/* A lost exit and fork: the exec is of the new one. */
	proc_table_fork(f.t, 100, 400, tick(6200));
	tree_process(&f.tree, 400, 1, "/bin/later", 6300);
	proc_table_exec(f.t, 400, tick(6301));
	process_unrefp(&new);
	new = proc_table_get(f.t, 400, false);
	assert_string_equal(new->exe, "/bin/later");
	assert_int_equal(new->start_ns, tick(6300));
	end(&f);
}

/* The leader's exit is told first when another thread execs; and a leader may leave while its threads go on. */
static void test_leader_gone(void **state)
{
	_cleanup_process_ struct process *p = NULL, *q = NULL;
	struct proc_stats stats;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_exit(f.t, 100, tick(6000));
	p = get(&f, 100);
	assert_string_equal(p->exe, "/bin/bash");
	proc_table_get_stats(f.t, &stats);
	assert_int_equal(stats.ended, 1);
	tree_process(&f.tree, 100, 1, "/bin/new", 5000);
	proc_table_exec(f.t, 100, tick(6001));
	q = get(&f, 100);
	assert_string_equal(q->exe, "/bin/new");
	assert_int_equal(q->exec_count, 1);
	proc_table_get_stats(f.t, &stats);
	assert_int_equal(stats.ended, 0);
	assert_int_equal(stats.live, 2);
	end(&f);
}

static void test_ids(void **state)
{
	_cleanup_process_ struct process *p = NULL, *q = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	p = get(&f, 100);
	proc_table_ids(f.t, 100, false, 33, 34, tick(9000));
	proc_table_ids(f.t, 100, true, 43, 44, tick(9000));
	q = get(&f, 100);
	assert_int_equal(q->uid, 33);
	assert_int_equal(q->euid, 34);
	assert_int_equal(q->gid, 43);
	assert_int_equal(q->egid, 44);
	assert_int_equal(q->loginuid, 1000);
	assert_int_equal(q->exec_count, p->exec_count);
	/* pam wrote the login uid before. */
	tree_text(&f.tree, 100, "loginuid", "4294967295");
	proc_table_ids(f.t, 100, false, 33, 33, tick(9000));
	process_unrefp(&p);
	p = get(&f, 100);
	assert_true(p->known & PROCESS_NO_LOGINUID);
	assert_false(p->known & PROCESS_LOGINUID);
	tree_text(&f.tree, 100, "loginuid", "5");
	proc_table_sid(f.t, 100, tick(9000));
	process_unrefp(&q);
	q = get(&f, 100);
	assert_int_equal(q->loginuid, 5);
	assert_true(q->known & PROCESS_NO_TTY);
	assert_false(q->known & PROCESS_TTY);
	assert_null(q->tty);
	assert_int_equal(q->sid, 100);
	/* Nothing new: the same snapshot. */
	proc_table_ids(f.t, 100, false, 33, 33, tick(9000));
	process_unrefp(&p);
	p = get(&f, 100);
	assert_ptr_equal(p, q);
	/* Of processes nobody knows. */
	proc_table_ids(f.t, 9999, false, 1, 1, tick(9000));
	proc_table_sid(f.t, 9999, tick(9000));
	proc_table_exit(f.t, 9999, 0);
	assert_null(get(&f, 9999));
	assert_null(get(&f, 0));
	assert_null(get(&f, -1));
	end(&f);
}

static void test_scan(void **state)
{
	_cleanup_process_ struct process *p = NULL;
	struct proc_stats stats;
	struct fixture f;

	(void)state;
	begin(&f, 1000);
	/* Children before parents in the folder, an orphan of a parent that is gone, a parent younger than its child,
	 * odd names. */
	tree_process(&f.tree, 20, 300, "/bin/child", 7000);
	tree_process(&f.tree, 300, 100, "/bin/parent", 6500);
	tree_process(&f.tree, 40, 77, "/bin/orphan", 6500);
	tree_process(&f.tree, 41, 42, "/bin/older", 6500);
	tree_process(&f.tree, 42, 1, "/bin/younger", 6501);
	tree_text(&f.tree, 43, "cmdline", "no stat");
	assert_int_equal(proc_table_scan(f.t), 0);
	proc_table_get_stats(f.t, &stats);
	assert_int_equal(stats.live, 7);
	p = get(&f, 20);
	assert_int_equal(p->depth, 3);
	assert_int_equal(p->parent->pid, 300);
	process_unrefp(&p);
	p = get(&f, 40);
	assert_null(p->parent);
	assert_int_equal(p->ppid, 77);
	process_unrefp(&p);
	p = get(&f, 41);
	assert_null(p->parent);
	/* Messages were lost: an exec, an exit, a fork, a pid given away. */
	tree_process(&f.tree, 300, 100, "/bin/other", 6500);
	tree_drop(&f.tree, 40);
	tree_process(&f.tree, 50, 300, "/bin/late", 8000);
	tree_process(&f.tree, 42, 1, "/bin/reused", 8001);
	assert_int_equal(proc_table_scan(f.t), 0);
	process_unrefp(&p);
	p = get(&f, 300);
	assert_string_equal(p->exe, "/bin/other");
	assert_int_equal(p->exec_count, 1);
	assert_int_equal(p->parent->pid, 100);
	process_unrefp(&p);
	p = proc_table_get(f.t, 42, true);
	assert_string_equal(p->exe, "/bin/younger");
	process_unrefp(&p);
	p = get(&f, 42);
	assert_string_equal(p->exe, "/bin/reused");
	process_unrefp(&p);
	p = get(&f, 50);
	assert_string_equal(p->parent->exe, "/bin/other");
	proc_table_get_stats(f.t, &stats);
	assert_int_equal(stats.live, 7);
	assert_int_equal(stats.ended, 2);
	end(&f);
}

/* A process heard of for the first time brings its ancestors; a circle of parents ends. */
static void test_learn(void **state)
{
	_cleanup_process_ struct process *p = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	for (int i = 0; i < PROCESS_DEPTH_MAX * 2; i++)
		tree_process(&f.tree, 500 + i, i ? 500 + i - 1 : 100, "/bin/deep", 9000);
	tree_process(&f.tree, 700, 701, "/bin/circle", 9000);
	tree_process(&f.tree, 701, 700, "/bin/circle", 9000);
	p = get(&f, 500 + PROCESS_DEPTH_MAX * 2 - 1);
	assert_int_equal(p->depth, PROCESS_DEPTH_MAX - 1);
	process_unrefp(&p);
	p = get(&f, 700);
	assert_non_null(p);
	assert_true(p->depth <= PROCESS_DEPTH_MAX);
	assert_int_equal(proc_table_scan(f.t), 0);
	end(&f);
}

/* Without messages nothing held is believed. */
static void test_unfed(void **state)
{
	_cleanup_process_ struct process *p = NULL, *q = NULL;
	struct fixture f;

	(void)state;
	begin(&f, 100);
	proc_table_set_fed(f.t, false);
	p = get(&f, 100);
	q = get(&f, 100);
	assert_ptr_equal(p, q);
	tree_process(&f.tree, 100, 1, "/bin/changed", 5000);
	process_unrefp(&q);
	q = get(&f, 100);
	assert_string_equal(q->exe, "/bin/changed");
	assert_int_equal(q->exec_count, 1);
	tree_process(&f.tree, 100, 1, "/bin/reused", 5050);
	process_unrefp(&q);
	q = get(&f, 100);
	assert_string_equal(q->exe, "/bin/reused");
	assert_int_equal(q->start_ns, tick(5050));
	tree_drop(&f.tree, 100);
	process_unrefp(&q);
	q = proc_table_get(f.t, 100, true);
	assert_string_equal(q->exe, "/bin/reused");
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),	      cmocka_unit_test(test_gone),
		cmocka_unit_test(test_opened_orders), cmocka_unit_test(test_exec),
		cmocka_unit_test(test_start_settled), cmocka_unit_test(test_clone_parent),
		cmocka_unit_test(test_pid_reuse),     cmocka_unit_test(test_leader_gone),
		cmocka_unit_test(test_ids),	      cmocka_unit_test(test_scan),
		cmocka_unit_test(test_learn),	      cmocka_unit_test(test_unfed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
