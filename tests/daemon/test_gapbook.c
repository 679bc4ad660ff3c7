/* The book of gaps: each interval is told once when it begins and once when it ends. */
#include "tests/test.h"

#include <stdio.h>
#include <string.h>

#include "daemon/gapbook.h"

#define TOLD_MAX 20000

struct told {
	size_t n;
	struct event *events[TOLD_MAX];
};

static void emit(struct event *e, void *data)
{
	struct told *t = data;

	assert_true(t->n < TOLD_MAX);
	t->events[t->n++] = e;
}

static void forget(struct told *t)
{
	while (t->n > 0)
		event_unref(t->events[--t->n]);
}

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct told));
	return 0;
}

static int teardown(void **state)
{
	forget(*state);
	free(*state);
	return 0;
}

static void test_open_close(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	uint64_t key;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	key = gapbook_open(b, GAP_DOWN, "monitor", "stopped", 0, 1000);
	assert_true(key != 0);
	assert_int_equal(gapbook_open(b, GAP_DOWN, "monitor", "again", 5, 0), key);
	assert_int_equal(t->n, 1);
	assert_int_equal(t->events[0]->gap_from, 1000);
	assert_int_equal(t->events[0]->gap_to, 0);
	assert_int_equal(gapbook_count(b), 1);
	gapbook_close(b, key, "3 changes found", 2000);
	gapbook_close(b, key, "twice", 3000);
	assert_int_equal(t->n, 2);
	assert_int_equal(t->events[1]->gap_key, key);
	assert_int_equal(t->events[1]->gap_to, 2000);
	assert_int_equal(t->events[1]->gap_lost, 5);
	assert_string_equal(t->events[1]->gap_healed, "3 changes found");
	assert_int_equal(gapbook_count(b), 0);
	gapbook_free(b);
}

/* What is lost while it is open adds up. */
static void test_lose(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	uint64_t key;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	key = gapbook_lose(b, GAP_PROC_LOST, "processes", "lost", 10, 500);
	assert_int_equal(gapbook_lose(b, GAP_PROC_LOST, "processes", "lost", 20, 700), key);
	gapbook_close(b, key, "read again", 0);
	assert_int_equal(t->n, 2);
	assert_int_equal(t->events[1]->gap_lost, 30);
	assert_int_equal(t->events[1]->gap_from, 500);
	gapbook_free(b);
}

/* What is over when it is found does not end another one of its scope. */
static void test_once(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	uint64_t key;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	key = gapbook_open(b, GAP_LIMIT, "policies", "not in force", 0, 0);
	gapbook_once(b, GAP_LIMIT, "policies", "lost", 4, "there is room again");
	assert_int_equal(t->n, 3);
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(t->events[i]->gap_key, t->events[1]->gap_key);
		assert_int_equal(t->events[i]->gap_lost, 4);
		assert_true(t->events[i]->gap_key != key && t->events[i]->gap_from != 0);
		assert_int_equal(t->events[i]->gap_to != 0, i == 2);
	}
	assert_int_equal(gapbook_count(b), 1);
	/* By its name, when there is one. */
	gapbook_end(b, GAP_WEAK_SENSOR, "policies", "now");
	gapbook_end(b, GAP_LIMIT, "policie", "now");
	assert_int_equal(t->n, 3);
	gapbook_end(b, GAP_LIMIT, "policies", "now");
	gapbook_end(b, GAP_LIMIT, "policies", "now");
	assert_int_equal(t->n, 4);
	assert_int_equal(t->events[3]->gap_key, key);
	assert_string_equal(t->events[3]->gap_healed, "now");
	assert_int_equal(gapbook_count(b), 0);
	gapbook_free(b);
}

static void test_sensor(void **state)
{
	struct told *t = *state;
	struct watch_gap g = { .reason = GAP_MARK_FAILED, .scope = "/mnt", .detail = "EXDEV", .key = 7 };
	struct gapbook *b;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	gapbook_sensor(b, &g);
	gapbook_sensor(b, &g);
	assert_int_equal(t->n, 1);
	g.closed = true;
	g.key = 8; /* another one */
	gapbook_sensor(b, &g);
	assert_int_equal(t->n, 1);
	g.key = 7;
	gapbook_sensor(b, &g);
	assert_int_equal(t->n, 2);
	gapbook_free(b);
}

/* What a look over everything does not find again is over; gaps that events told of are not concerned. */
static void test_round(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	uint64_t round;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	gapbook_open(b, GAP_STORE, "history", "disk full", 0, 0);
	gapbook_note(b, GAP_NO_PATH, "/a", NULL);
	round = gapbook_round_begin(b);
	gapbook_note(b, GAP_NO_PATH, "/a", NULL);
	gapbook_note(b, GAP_NO_PATH, "/b", NULL);
	gapbook_round_end(b, round);
	assert_int_equal(gapbook_count(b), 3);
	round = gapbook_round_begin(b);
	gapbook_note(b, GAP_NO_PATH, "/b", NULL);
	gapbook_round_end(b, round);
	assert_int_equal(gapbook_count(b), 2);
	assert_string_equal(t->events[t->n - 1]->gap_scope, "/a");
	assert_true(t->events[t->n - 1]->gap_to != 0);
	gapbook_free(b);
}

/* A look at one folder ends what it would have found there, and nothing else. */
static void test_round_below(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	uint64_t round;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	gapbook_note(b, GAP_FS_SKIPPED, "/mnt", "nfs4");
	gapbook_note(b, GAP_UNREADABLE, "/mnt/a", NULL);
	gapbook_note(b, GAP_FS_SKIPPED, "/mnt/still", "proc");
	gapbook_note(b, GAP_NO_PATH, "/mnt/path", NULL);
	gapbook_note(b, GAP_FS_SKIPPED, "/mnt2", "nfs4");
	gapbook_open(b, GAP_UNREADABLE, "/mnt/event", NULL, 0, 0);
	round = gapbook_round_begin(b);
	gapbook_note(b, GAP_FS_SKIPPED, "/mnt/still", "proc");
	gapbook_round_end_below(b, round, "/mnt");
	assert_int_equal(gapbook_count(b), 4);
	for (size_t i = t->n - 2; i < t->n; i++)
		assert_true(streq(t->events[i]->gap_scope, "/mnt") || streq(t->events[i]->gap_scope, "/mnt/a"));
	gapbook_free(b);
}

/* A second round is asked for while the first is on its way: the first closes nothing that it found itself. */
static void test_rounds_overlap(void **state)
{
	struct told *t = *state;
	uint64_t first, second;
	struct gapbook *b;

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	gapbook_note(b, GAP_NO_PATH, "/old", NULL);
	first = gapbook_round_begin(b);
	gapbook_note(b, GAP_NO_PATH, "/early", NULL);
	second = gapbook_round_begin(b);
	gapbook_note(b, GAP_NO_PATH, "/late", NULL);
	gapbook_round_end(b, first);
	assert_int_equal(gapbook_count(b), 2);
	assert_string_equal(t->events[t->n - 1]->gap_scope, "/old");
	gapbook_note(b, GAP_NO_PATH, "/late", NULL);
	gapbook_round_end(b, second);
	assert_int_equal(gapbook_count(b), 1);
	assert_string_equal(t->events[t->n - 1]->gap_scope, "/early");
	gapbook_free(b);
}

static void test_bound(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	char scope[32];

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	for (unsigned i = 0; i < GAPBOOK_MAX + 100; i++) {
		snprintf(scope, sizeof(scope), "/f%u", i);
		gapbook_open(b, GAP_UNREADABLE, scope, "EIO", 0, 0);
	}
	assert_int_equal(gapbook_count(b), GAPBOOK_MAX + 1);
	assert_int_equal(t->n, GAPBOOK_MAX + 1);
	assert_int_equal(t->events[t->n - 1]->gap_reason, GAP_LIMIT);
	gapbook_free(b);
}

static void test_keys(void **state)
{
	struct told *t = *state;
	struct gapbook *b;
	uint64_t keys[4];

	assert_int_equal(gapbook_new(emit, t, &b), 0);
	gapbook_open(b, GAP_CANARY, "/a", NULL, 0, 0);
	gapbook_open(b, GAP_CANARY, "/b", NULL, 0, 0);
	gapbook_open(b, GAP_LIMIT, "/a", NULL, 0, 0);
	assert_int_equal(gapbook_keys(b, GAP_CANARY, NULL, keys, 4), 2);
	assert_int_equal(gapbook_keys(b, GAP_CANARY, "/a", keys, 4), 1);
	assert_int_equal(gapbook_keys(b, GAP_DOWN, NULL, keys, 4), 0);
	gapbook_free(b);
}

int main(void)
{
#define BOOK(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		BOOK(test_open_close),	   BOOK(test_lose),  BOOK(test_once),
		BOOK(test_sensor),	   BOOK(test_round), BOOK(test_round_below),
		BOOK(test_rounds_overlap), BOOK(test_bound), BOOK(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
