/* fim/states: last known states, and that names which come and go do not fill memory. */
#include "fim/states.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/db/store.h"

#define MANY 100000

static struct states *open_states(struct store *s)
{
	struct states *states = NULL;

	store_small(s, "host", false);
	if (states_open(&s->options, "host", NULL, NULL, NULL, &states, &s->err) < 0)
		fail_msg("%s", s->err.data);
	return states;
}

static void check_last(struct states *states, const char *path, bool exists)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct side last;

	assert_int_equal(states_last(states, &a, path, &last), 0);
	assert_int_equal(last.exists, exists);
}

static void test_last(void **state _unused_)
{
	const struct side there = { .exists = true, .rec = record_file(7) }, gone = { .exists = false };
	struct states *states;
	struct store s;

	store_new(&s);
	states = open_states(&s);
	check_last(states, "/etc/a", true);
	check_last(states, "/etc/new", false);
	assert_false(states_know(states, "/etc/new"));
	states_set(states, "/etc/new", &there, false);
	check_last(states, "/etc/new", true);
	states_set(states, "/etc/new", &gone, false);
	check_last(states, "/etc/new", false);
	assert_false(states_know(states, "/etc/new"));
	states_set(states, "/etc/new", &there, false);
	check_last(states, "/etc/new", true);
	/* The baseline's is gone, and remembered. */
	states_set(states, "/etc/a", &gone, true);
	check_last(states, "/etc/a", false);
	assert_true(states_know(states, "/etc/a"));
	/* Named by a scan: the store is asked, and has nothing of it. */
	states_hear(states, "/etc/heard");
	assert_true(states_know(states, "/etc/heard"));
	check_last(states, "/etc/heard", false);
	states_close(states);
	store_free(&s);
}

static void test_come_and_go(void **state _unused_)
{
	const struct side there = { .exists = true, .rec = record_file(7) }, gone = { .exists = false };
	struct states *states;
	struct store s;
	char path[64];
	size_t before;

	store_new(&s);
	states = open_states(&s);
	before = states_names(states);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/etc/%d", i);
		states_set(states, path, &there, false);
		/* Every tenth stays a while, so that there are many at a time. */
		if (i % 10)
			states_set(states, path, &gone, false);
	}
	assert_int_equal(states_names(states), before + MANY / 10);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/etc/%d", i);
		assert_int_equal(states_know(states, path), i % 10 == 0);
		if (i % 20 == 0)
			states_set(states, path, &gone, false);
	}
	/* None of the others is lost with those that were taken away. */
	for (int i = 0; i < MANY; i += 10) {
		snprintf(path, sizeof(path), "/etc/%d", i);
		assert_int_equal(states_know(states, path), i % 20 != 0);
	}
	assert_int_equal(states_names(states), before + MANY / 20);
	assert_true(states_know(states, "/etc/d/f129"));
	states_close(states);
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_last), cmocka_unit_test(test_come_and_go) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
