/*
 * What is asked of history at each start and while it is pruned takes steps in proportion to its rows, however many of
 * them are of one path: a program that writes one file all day must not make the next start take hours.
 */
#include "tests/db/events.h"

#define STEP 100

static int count_steps(void *data)
{
	++*(uint64_t *)data;
	return 0;
}

static void fill(struct store *s, unsigned rows)
{
	assert_int_equal(db_begin(s->d), 0);
	for (unsigned i = 0; i < rows; i++) {
		_cleanup_event_ struct event *e = change(s, 1, "/hot", CHANGE_CHANGED);

		assert_int_equal(history_add(s->d, e), 0);
	}
	assert_int_equal(db_commit(s->d), 0);
}

static int take_event(struct event *e _unused_, void *data _unused_)
{
	return 0;
}

static int take_name(const struct history_name *n _unused_, void *data _unused_)
{
	return 0;
}

static int ask_open(struct store *s)
{
	return history_each(s->d, &(struct history_filter){ .open_only = true, .kinds = 1u << EVENT_CHANGE },
			    take_event, NULL);
}

static int ask_names(struct store *s)
{
	return history_each_name(s->d, "host", "/", take_name, NULL);
}

static int ask_mounts(struct store *s)
{
	return history_open_mounts(s->d, take_event, NULL);
}

/* Everything is open and the bound is small: each row is asked about. */
static int ask_prune(struct store *s)
{
	bool more;

	return history_prune(s->d, 4096, 0, clock_real_ns(), &more);
}

static int ask_view(struct store *s)
{
	return sqlite3_exec(s->d->h, "SELECT count(*) FROM deviations WHERE status = 'open'", NULL, NULL, NULL);
}

static int ask_excused(struct store *s)
{
	struct event *e;

	return history_last_excused(s->d, 1, NULL, "/hot", &e) == -ENOENT ? 0 : -1;
}

static uint64_t steps_of(int (*ask)(struct store *s), unsigned rows)
{
	uint64_t steps = 0;
	struct store s;

	store_new(&s);
	fill(&s, rows);
	sqlite3_progress_handler(s.d->h, STEP, count_steps, &steps);
	if (ask(&s) != 0)
		fail_msg("%s", db_error(s.d));
	sqlite3_progress_handler(s.d->h, 0, NULL, NULL);
	store_free(&s);
	return steps;
}

/* Four times the rows: about four times the steps, where a walk over all rows of the path for each of them takes 16. */
static void test_one_path(void **state _unused_)
{
	static const struct {
		const char *what;
		int (*ask)(struct store *s);
	} asks[] = { { "open", ask_open },   { "names", ask_names }, { "mounts", ask_mounts },
		     { "prune", ask_prune }, { "view", ask_view },   { "excused", ask_excused } };

	for (size_t i = 0; i < ARRAY_SIZE(asks); i++) {
		uint64_t few = steps_of(asks[i].ask, 1000), many = steps_of(asks[i].ask, 4000);

		if (many > 6 * few + 100)
			fail_msg("%s: %llu steps of %d for 1000 rows, %llu for 4000", asks[i].what,
				 (unsigned long long)few, STEP, (unsigned long long)many);
	}
}

/* --- names */

struct taken {
	char text[1024];
	size_t n;
};

static int take(const struct history_name *name, void *data)
{
	struct taken *t = data;

	t->n++;
	if (t->n < 12)
		sprintf(t->text + strlen(t->text), "%s:%d%s ", name->path, name->change, name->rec.have ? "+" : "-");
	return t->n == 1000 ? 7 : 0;
}

static struct taken names(struct store *s, const char *below)
{
	struct taken t = { "", 0 };

	if (history_each_name(s->d, "host", below, take, &t) != 0)
		fail_msg("%s", db_error(s->d));
	return t;
}

static void test_names(void **state _unused_)
{
	struct event *e;
	struct store s;
	struct taken t;

	store_new(&s);
	add(&s, change(&s, 1, "/a/x", CHANGE_ADDED));
	add(&s, change(&s, 1, "/a/x", CHANGE_REMOVED));
	add(&s, change(&s, 1, "/a-b", CHANGE_CHANGED));
	add(&s, change(&s, 1, "/a", CHANGE_REVERTED));
	e = change(&s, 1, "/b", CHANGE_RENAMED);
	e->path2 = "/a/y";
	add(&s, e);
	e = change(&s, 1, "/other", CHANGE_ADDED);
	e->baseline = "another";
	add(&s, e);
	t = names(&s, "/");
	assert_string_equal(t.text, "/a:6+ /a-b:2+ /a/x:1- /b:4- /a/y:4+ ");
	t = names(&s, "/a");
	assert_string_equal(t.text, "/a:6+ /a/x:1- /a/y:4+ ");
	t = names(&s, "/a/x");
	assert_string_equal(t.text, "/a/x:1- ");
	t = names(&s, "/c");
	assert_int_equal(t.n, 0);
	store_free(&s);
}

/* Several pages, each path once, and names of any bytes; the callback's own result comes back. */
static void test_pages(void **state _unused_)
{
	struct taken t = { "", 0 };
	char path[32];
	struct store s;

	store_new(&s);
	assert_int_equal(db_begin(s.d), 0);
	for (unsigned i = 0; i < 1800; i++) {
		struct event *e;

		snprintf(path, sizeof(path), "/%c\xff%u", 1 + (int)(i % 900 / 8), i % 900);
		e = change(&s, 1, path, CHANGE_CHANGED);
		assert_int_equal(history_add(s.d, e), 0);
		event_unref(e);
	}
	assert_int_equal(db_commit(s.d), 0);
	t = names(&s, "/");
	assert_int_equal(t.n, 900);
	assert_int_equal(history_each_name(s.d, "host", "/", take, &t), 7);
	assert_int_equal(t.n, 1000);
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_one_path), cmocka_unit_test(test_names),
					    cmocka_unit_test(test_pages) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
