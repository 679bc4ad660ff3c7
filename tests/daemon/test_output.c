/* Standard output: what is read, what is not read, and a reader that goes away. */
#include "tests/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/output.h"
#include "daemon/output_alike.h"
#include "lib/clock.h"

static struct event *make(enum event_kind kind, unsigned i)
{
	struct event *e = event_new(kind);
	char path[64];

	snprintf(path, sizeof(path), "/etc/f%u", i);
	e->path = arena_strdup(&e->arena, path);
	e->count = 1;
	if (kind == EVENT_NOTE)
		e->text = "summary";
	if (kind == EVENT_GAP)
		e->gap_reason = GAP_LIMIT;
	return e;
}

static void put(struct output *o, enum event_kind kind, unsigned i)
{
	struct event *e = make(kind, i);

	output_put(o, e);
	event_unref(e);
}

static size_t read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	return len;
}

static void test_lines(void **state)
{
	char text[4096];
	struct output *o;
	int p[2];

	(void)state;
	for (int json = 0; json < 2; json++) {
		const struct output_options options = { .json = json };
		struct output_options with = options;

		assert_int_equal(pipe(p), 0);
		with.fd = p[1];
		assert_int_equal(output_start(&with, &o), 0);
		put(o, EVENT_GAP, 0); /* stands at the start: only in JSON */
		put(o, EVENT_CHANGE, 1);
		put(o, EVENT_NOTE, 2);
		put(o, EVENT_GAP, 3);
		output_stop(o);
		close(p[1]);
		read_all(p[0], text, sizeof(text));
		close(p[0]);
		unsigned lines = 0;
		for (const char *s = text; *s; s++)
			lines += *s == '\n';
		assert_int_equal(lines, json ? 4 : 3);
		assert_non_null(strstr(text, "/etc/f1"));
	}
}

/* --- starts alike */

static struct event *make_start(unsigned i, enum exec_verdict verdict)
{
	struct event *e = make(EVENT_EXEC, i);

	e->verdict = verdict;
	e->reason = "no trust source vouches for it";
	return e;
}

static void put_start(struct output *o, unsigned i, enum exec_verdict verdict)
{
	struct event *e = make_start(i, verdict);

	output_put(o, e);
	event_unref(e);
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *s = text; (s = strstr(s, what)); s++)
		n++;
	return n;
}

/* For people the first of starts alike, and how many followed; as JSON, and what was denied, each. */
static void test_starts_alike(void **state)
{
	(void)state;
	for (int json = 0; json < 2; json++) {
		struct output_options options = { .json = json };
		char text[65536];
		struct output *o;
		int p[2];

		assert_int_equal(pipe(p), 0);
		options.fd = p[1];
		assert_int_equal(output_start(&options, &o), 0);
		for (int i = 0; i < 5; i++) {
			put_start(o, 1, EXEC_UNEXPECTED);
			put_start(o, 2, EXEC_DENIED);
		}
		put_start(o, 3, EXEC_UNEXPECTED);
		output_stop(o);
		close(p[1]);
		read_all(p[0], text, sizeof(text));
		close(p[0]);
		assert_int_equal(count(text, "/etc/f1"), json ? 5 : 2);
		assert_int_equal(count(text, "(4 more since)"), json ? 0 : 1);
		assert_int_equal(count(text, "/etc/f2"), 5);
		assert_int_equal(count(text, "/etc/f3"), 1);
	}
}

static uint64_t told_more;
static unsigned told;

static void note_told(const struct event *e, uint64_t more, void *data)
{
	(void)e;
	(void)data;
	told++;
	told_more += more;
}

static bool take(struct alikes *a, unsigned i, uint64_t now)
{
	struct event *e = make_start(i, EXEC_UNEXPECTED);
	bool taken = alikes_take(a, e, now);

	event_unref(e);
	return taken;
}

static void test_alikes(void **state)
{
	struct alikes a = { .tell = note_told };

	(void)state;
	told = 0;
	told_more = 0;
	assert_true(alikes_tick(&a, 1) == UINT64_MAX);
	assert_false(take(&a, 0, 1));
	assert_true(take(&a, 0, 2));
	assert_true(take(&a, 0, 3));
	assert_true(alikes_tick(&a, 4) == 1 + 10 * NSEC_PER_SEC);
	assert_int_equal(told, 0);
	/* It is told, and waited for more. */
	assert_true(alikes_tick(&a, 1 + 10 * NSEC_PER_SEC) == 1 + 20 * NSEC_PER_SEC);
	assert_int_equal(told, 1);
	assert_int_equal(told_more, 2);
	/* None came: the next is a first one again. */
	assert_true(alikes_tick(&a, 1 + 20 * NSEC_PER_SEC) == UINT64_MAX);
	assert_false(take(&a, 0, 1 + 20 * NSEC_PER_SEC));
	assert_int_equal(told, 1);
	/* More of them than there is room for: the oldest are told, and nothing is lost. */
	assert_true(take(&a, 0, 2 + 20 * NSEC_PER_SEC));
	for (unsigned i = 1; i <= 2 * ALIKE_MAX; i++) {
		assert_false(take(&a, i, i + 30 * NSEC_PER_SEC));
		assert_true(take(&a, i, i + 30 * NSEC_PER_SEC));
	}
	alikes_end(&a);
	assert_int_equal(told, 1 + 1 + 2 * ALIKE_MAX);
	assert_int_equal(told_more, 2 + 1 + 2 * ALIKE_MAX);
}

static _Atomic unsigned blocked_calls, unblocked_calls;

static void blocked(bool is, uint64_t dropped, void *data)
{
	(void)data;
	(void)dropped;
	if (is)
		blocked_calls++;
	else
		unblocked_calls++;
}

/* Nobody reads: putting never blocks, losses are counted and told once, and stopping takes no time. */
static void test_blocked(void **state)
{
	struct output_options options = { .blocked = blocked };
	struct output_stats stats;
	struct output *o;
	uint64_t start;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	options.fd = p[1];
	assert_int_equal(output_start(&options, &o), 0);
	start = clock_mono_ns();
	for (unsigned i = 0; i < 40000; i++)
		put(o, EVENT_CHANGE, i);
	assert_true(clock_mono_ns() - start < 30 * NSEC_PER_SEC);
	output_get_stats(o, &stats);
	assert_true(stats.dropped > 0);
	assert_int_equal(blocked_calls, 1);
	start = clock_mono_ns();
	output_stop(o);
	assert_true(clock_mono_ns() - start < 20 * NSEC_PER_SEC);
	close(p[0]);
	close(p[1]);
}

static void test_closed(void **state)
{
	struct output_options options = { 0 };
	struct output_stats stats = { 0 };
	struct output *o;
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	close(p[0]);
	options.fd = p[1];
	assert_int_equal(output_start(&options, &o), 0);
	while (!stats.closed && clock_mono_ns() < deadline) {
		put(o, EVENT_CHANGE, 1);
		output_get_stats(o, &stats);
	}
	assert_true(stats.closed);
	output_stop(o);
	close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	cmocka_unit_test(test_starts_alike), cmocka_unit_test(test_alikes),
		cmocka_unit_test(test_blocked), cmocka_unit_test(test_closed),
	};

	/* As the program has it: a pipe whose reader is gone is an error, in test_blocked too. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
