/* What the tests of the connector share: one that runs, and the table it feeds. */
#ifndef TESTS_WATCH_CONNECTOR_H
#define TESTS_WATCH_CONNECTOR_H

#include "tests/test.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watch/connector.h"

#define SYNC_NS (10 * NSEC_PER_SEC)

struct fixture {
	struct proc_table *t;
	struct connector *c;
	atomic_ulong lost_calls, lost_messages;
	_Atomic uint64_t lost_since;
	char self[4096];
};

static inline void count_lost(uint64_t n, uint64_t since, void *data)
{
	struct fixture *f = data;

	if (!atomic_fetch_add(&f->lost_calls, 1))
		atomic_store(&f->lost_since, since);
	atomic_fetch_add(&f->lost_messages, n);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct connector_options o = { .source = *(enum connector_source *)*state, .lost = count_lost, .data = f };
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	*state = f;
	if (readlink("/proc/self/exe", f->self, sizeof(f->self) - 1) < 0)
		return -1;
	if (proc_table_new("/proc", 32768, &f->t) < 0)
		return -1;
	o.procs = f->t;
	r = connector_start(&o, &f->c, &err);
	if (r < 0)
		print_message("skipped: %s\n", err.data ? err.data : strerror(-r));
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	connector_stop(f->c);
	proc_table_free(f->t);
	free(f);
	return 0;
}

#define NEED_CONNECTOR(f)                                                                                              \
	do {                                                                                                           \
		if (!(f)->c)                                                                                           \
			skip();                                                                                        \
	} while (0)

static inline void sync_now(struct fixture *f)
{
	assert_int_equal(connector_sync(f->c, SYNC_NS), 0);
}

#define TEST(fn, source) cmocka_unit_test_prestate_setup_teardown(fn, setup, teardown, source)

#endif
