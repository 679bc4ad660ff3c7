/* What the tests of proc/table share: a table over a recorded tree with two processes in it. */
#ifndef TESTS_PROC_TABLE_FIXTURE_H
#define TESTS_PROC_TABLE_FIXTURE_H

#include "lib/util.h"
#include "proc/table.h"
#include "tests/proc/tree.h"

struct fixture {
	struct tree tree;
	struct proc_table *t;
};

static inline uint64_t tick(unsigned long long n)
{
	return n * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

static inline void begin(struct fixture *f, size_t max)
{
	tree_make(&f->tree);
	tree_process(&f->tree, 1, 0, "/sbin/init", 10);
	tree_process(&f->tree, 100, 1, "/bin/bash", 5000);
	assert_int_equal(proc_table_new(f->tree.root, max, &f->t), 0);
	proc_table_set_fed(f->t, true);
	assert_int_equal(proc_table_scan(f->t), 0);
}

static inline void end(struct fixture *f)
{
	proc_table_free(f->t);
	tree_remove(&f->tree);
}

static inline struct process *get(struct fixture *f, int pid)
{
	return proc_table_get(f->t, pid, false);
}

#endif
