/* alert/repeat: the first goes out, the rest is counted; nothing is missing from history. */
#include "tests/alert/rig.h"

#include "alert/repeat.h"

#define WINDOW (60 * NSEC_PER_SEC)

struct seen {
	uint64_t sums, suppressed, rows, told;
	char last[128];
};

static void on_sum(struct alert *a, void *data)
{
	struct seen *s = data;

	s->sums++;
	s->suppressed += a->suppressed;
	snprintf(s->last, sizeof(s->last), "%s", a->rule);
}

static void on_told(struct alert *a, uint64_t count, void *data)
{
	struct seen *s = data;

	if (a->answered && !a->row)
		a->row = event_new(EVENT_ALERT);
	s->rows++;
	s->told += count;
}

static struct repeat *make(struct seen *s, uint64_t window, uint64_t burst)
{
	const struct repeat_options o = { .window = window, .burst = burst, .sum = on_sum, .told = on_told, .data = s };
	struct repeat *r;

	assert_int_equal(repeat_new(&o, &r), 0);
	return r;
}

static bool take(struct repeat *r, const char *rule, const char *path, const char *exe, uint64_t now)
{
	_cleanup_alert_ struct alert *a = rig_alert(rule, PRIORITY_WARNING, path, exe);
	bool sent = repeat_take(r, a, now);

	assert_int_equal(a->repeated, !sent);
	return sent;
}

static void test_first_and_sum(void **state _unused_)
{
	struct seen s = { 0 };
	struct repeat *r = make(&s, WINDOW, 0);
	uint64_t now = NSEC_PER_SEC;

	assert_true(take(r, "one", "/a", "/bin/vi", now));
	for (int i = 0; i < 10; i++)
		assert_false(take(r, "one", "/b", "/bin/vi", now));
	assert_true(take(r, "one", "/a", "/bin/ed", now)); /* another program */
	assert_true(take(r, "two", "/a", "/bin/vi", now)); /* another rule */
	repeat_tick(r, now + WINDOW - 1);
	assert_int_equal(s.sums, 0);
	repeat_tick(r, now + WINDOW);
	assert_int_equal(s.sums, 1);
	assert_int_equal(s.suppressed, 10);
	assert_string_equal(s.last, "one");
	assert_int_equal(s.told, 13);
	/* It went on: the window began anew. The others are forgotten, and sent at once. */
	assert_false(take(r, "one", "/b", "/bin/vi", now + WINDOW + 1));
	assert_true(take(r, "two", "/a", "/bin/vi", now + WINDOW + 1));
	repeat_tick(r, now + 3 * WINDOW);
	assert_int_equal(s.sums, 2);
	repeat_tick(r, now + 5 * WINDOW);
	assert_true(take(r, "one", "/b", "/bin/vi", now + 5 * WINDOW));
	repeat_free(r);
	assert_int_equal(s.told, 16);
	assert_int_equal(s.suppressed, 11);
}

/* History: one row for ones alike within a second, each of the others at once. */
static void test_history(void **state _unused_)
{
	_cleanup_alert_ struct alert *a = rig_alert("one", PRIORITY_ERROR, "/a", "/bin/vi");
	struct seen s = { 0 };
	struct repeat *r = make(&s, WINDOW, 0);
	uint64_t now = NSEC_PER_SEC, next;

	assert_true(repeat_take(r, a, now));
	assert_int_equal(s.rows, 1);
	for (int i = 0; i < 1000; i++)
		assert_false(repeat_take(r, a, now));
	assert_int_equal(s.rows, 1);
	next = repeat_tick(r, now);
	assert_int_equal(next, now + REPEAT_MERGE_NS);
	repeat_tick(r, next);
	assert_int_equal(s.rows, 2);
	assert_int_equal(s.told, 1001);
	assert_false(repeat_take(r, a, now));
	repeat_free(r);
	assert_int_equal(s.told, 1002);
	assert_int_equal(s.suppressed, 1001);
}

/* What is answered has its row at once, or that of the last one like it; no row of one of those before it. */
static void test_answered(void **state _unused_)
{
	struct seen s = { 0 };
	struct repeat *r = make(&s, WINDOW, 0);
	struct alert *a[6];

	for (unsigned i = 0; i < ARRAY_SIZE(a); i++) {
		a[i] = rig_alert("one", PRIORITY_ERROR, i < 3 ? "/a" : "/b", "/bin/vi");
		/* All of one process. */
		if (i) {
			process_unref(a[i]->event->process);
			a[i]->event->process = process_ref(a[0]->event->process);
		}
		a[i]->answered = i > 0;
		assert_int_equal(repeat_take(r, a[i], NSEC_PER_SEC), i == 0);
	}
	assert_null(a[0]->row);
	assert_non_null(a[1]->row);
	assert_ptr_equal(a[2]->row, a[1]->row);
	assert_non_null(a[3]->row);
	assert_ptr_not_equal(a[3]->row, a[1]->row);
	assert_ptr_equal(a[5]->row, a[3]->row);
	assert_int_equal(s.rows, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(a); i++)
		alert_unref(a[i]);
	repeat_free(r);
	assert_int_equal(s.told, 6);
}

static void test_burst(void **state _unused_)
{
	struct seen s = { 0 };
	struct repeat *r = make(&s, WINDOW, 5);
	uint64_t now = NSEC_PER_SEC;
	int sent = 0;

	for (int i = 0; i < 20; i++) {
		char exe[32];

		snprintf(exe, sizeof(exe), "/bin/%d", i);
		sent += take(r, "one", "/a", exe, now);
	}
	assert_int_equal(sent, 5);
	assert_true(take(r, "two", "/a", "/bin/1", now));
	repeat_tick(r, now + WINDOW);
	assert_int_equal(s.suppressed, 15);
	assert_int_equal(s.told, 21);
	repeat_free(r);
}

/* The table is bounded: the oldest is summed up early. Window 0: everything is sent. */
static void test_bounds(void **state _unused_)
{
	struct seen s = { 0 };
	struct repeat *r = make(&s, WINDOW, 0);

	assert_true(take(r, "one", "/a", "/bin/first", 1));
	assert_false(take(r, "one", "/a", "/bin/first", 1));
	for (int i = 0; i < REPEAT_MAX; i++) {
		char exe[32];

		snprintf(exe, sizeof(exe), "/bin/%d", i);
		assert_true(take(r, "one", "/a", exe, 2));
	}
	assert_int_equal(s.sums, 1);
	repeat_free(r);
	r = make(&s, 0, 3);
	for (int i = 0; i < 10; i++)
		assert_true(take(r, "one", "/a", "/bin/x", 1));
	assert_int_equal(repeat_tick(r, 1), UINT64_MAX);
	repeat_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_and_sum), cmocka_unit_test(test_history), cmocka_unit_test(test_answered),
		cmocka_unit_test(test_burst),	      cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
