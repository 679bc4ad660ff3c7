/* The table of pending paths: when each is due. Time is given, nothing sleeps. */
#include "tests/test.h"

#include <errno.h>
#include <stdio.h>

#include "fim/settle.h"

#define MS	   NSEC_PER_MSEC
#define T0	   (1000 * NSEC_PER_SEC)
#define SETTLE	   (20 * MS)
#define SETTLE_MAX (1000 * MS)

static void note(struct settle *s, const char *path, uint32_t ops, uint64_t at)
{
	const struct fs_event e = { .ops = ops, .path = path, .boot_ns = at, .pid = 7 };

	assert_int_equal(settle_event(s, &e), 0);
}

static void note_rename(struct settle *s, const char *from, const char *to, uint64_t at)
{
	const struct fs_event a = { .ops = FS_RENAME_FROM, .path = from, .path2 = to, .boot_ns = at };
	const struct fs_event b = { .ops = FS_RENAME_TO, .path = to, .path2 = from, .boot_ns = at };

	assert_int_equal(settle_event(s, &a), 0);
	assert_int_equal(settle_event(s, &b), 0);
}

static void start(struct settle *s, size_t limit)
{
	assert_int_equal(settle_init(s, limit, SETTLE, SETTLE_MAX), 0);
}

static void test_due(void **state)
{
	static const struct {
		const char *name;
		const char *path;
		struct {
			uint32_t ops;
			uint64_t at; /* ms after T0 */
		} events[4];
		uint64_t due; /* ms after T0 */
	} cases[] = {
		{ "closed", "/f", { { FS_MODIFY | FS_CLOSE_WRITE, 0 } }, 20 },
		{ "closed later", "/f", { { FS_MODIFY, 0 }, { FS_CLOSE_WRITE, 300 } }, 320 },
		{ "kept open", "/f", { { FS_MODIFY, 0 }, { FS_MODIFY, 500 } }, 1000 },
		{ "attributes", "/f", { { FS_ATTRIB, 5 } }, 25 },
		{ "never quiet",
		  "/f",
		  { { FS_ATTRIB, 0 }, { FS_ATTRIB, 990 }, { FS_ATTRIB, 995 }, { FS_ATTRIB, 999 } },
		  1000 },
		{ "removed while open", "/f", { { FS_MODIFY, 0 }, { FS_DELETE, 10 } }, 30 },
		{ "file in the making", "/f.dpkg-new", { { FS_CREATE | FS_CLOSE_WRITE, 0 } }, 10000 },
		{ "made", "/f.dpkg-new", { { FS_CREATE | FS_CLOSE_WRITE, 0 }, { FS_RENAME_FROM, 50 } }, 70 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct settle s;

		start(&s, 16);
		for (size_t k = 0; k < 4 && cases[i].events[k].ops; k++)
			note(&s, cases[i].path, cases[i].events[k].ops, T0 + cases[i].events[k].at * MS);
		if (settle_next(&s) != T0 + cases[i].due * MS)
			fail_msg("%s: due after %llu ms", cases[i].name,
				 (unsigned long long)((settle_next(&s) - T0) / MS));
		assert_null(settle_take(&s, T0 + cases[i].due * MS - 1));
		assert_non_null(settle_take(&s, T0 + cases[i].due * MS));
		settle_free(&s);
	}
}

static void test_order(void **state)
{
	struct settle s;
	char path[32];

	(void)state;
	start(&s, 1000);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/f%u", i);
		note(&s, path, FS_ATTRIB, T0 + (i * 7919 % 1000) * MS);
	}
	assert_int_equal(settle_count(&s), 1000);
	for (uint64_t last = 0, n = 0; n < 1000; n++) {
		struct pending *p = settle_take(&s, UINT64_MAX - 1);

		assert_non_null(p);
		assert_true(p->due >= last);
		last = p->due;
		settle_done(&s, p, last, 0);
	}
	assert_int_equal(settle_count(&s), 0);
	settle_free(&s);
}

static void test_full(void **state)
{
	const struct fs_event third = { .ops = FS_ATTRIB, .path = "/c", .boot_ns = T0 };
	struct settle s;
	struct pending *p;

	(void)state;
	start(&s, 2);
	note(&s, "/a", FS_ATTRIB, T0);
	note(&s, "/b", FS_ATTRIB, T0);
	assert_int_equal(settle_event(&s, &third), -ENOSPC);
	note(&s, "/a", FS_MODIFY, T0); /* what is there takes more */
	assert_int_equal(settle_candidate(&s, "/c", NULL, T0, &p), -ENOSPC);
	assert_int_equal(settle_candidate(&s, "/b", NULL, T0, &p), 0);
	settle_free(&s);
}

/* Events that come while it is judged are judged again. */
static void test_rearm(void **state)
{
	struct settle s;
	struct pending *p;

	(void)state;
	start(&s, 16);
	note(&s, "/f", FS_MODIFY | FS_CLOSE_WRITE, T0);
	p = settle_take(&s, T0 + SETTLE);
	assert_int_equal(p->taken.ops, FS_MODIFY | FS_CLOSE_WRITE);
	note(&s, "/f", FS_ATTRIB, T0 + 30 * MS);
	assert_null(settle_take(&s, UINT64_MAX - 1)); /* one look at a time */
	settle_done(&s, p, T0 + 40 * MS, 0);
	p = settle_take(&s, T0 + 50 * MS);
	assert_non_null(p);
	assert_int_equal(p->taken.ops, FS_ATTRIB);
	settle_done(&s, p, T0 + 50 * MS, 0);
	assert_int_equal(settle_count(&s), 0);
	settle_free(&s);
}

/* A log that is always open: looked at after 1, 2, 4 ... 60 seconds, and at once when it is closed. */
static void test_patience(void **state)
{
	struct settle s;
	uint64_t now = T0, looks = 0;

	(void)state;
	start(&s, 16);
	for (; now < T0 + 600 * NSEC_PER_SEC; now += 100 * MS) {
		struct pending *p;

		note(&s, "/log", FS_MODIFY, now);
		while ((p = settle_take(&s, now))) {
			looks++;
			settle_done(&s, p, now, 0);
		}
	}
	assert_in_range(looks, 10, 20);
	note(&s, "/log", FS_CLOSE_WRITE, now);
	assert_non_null(settle_take(&s, now + SETTLE));
	settle_free(&s);
}

/* What took long to read is left alone for a while; what rested without news is forgotten. */
static void test_cost(void **state)
{
	struct settle s;
	struct pending *p;

	(void)state;
	start(&s, 16);
	note(&s, "/big", FS_CLOSE_WRITE, T0);
	p = settle_take(&s, T0 + SETTLE);
	settle_done(&s, p, T0 + 1000 * MS, 500 * MS);
	note(&s, "/big", FS_CLOSE_WRITE, T0 + 1100 * MS);
	assert_int_equal(settle_next(&s), T0 + 11000 * MS);
	p = settle_take(&s, T0 + 11000 * MS);
	settle_done(&s, p, T0 + 11500 * MS, 500 * MS);
	assert_null(settle_take(&s, T0 + 100 * NSEC_PER_SEC));
	assert_int_equal(settle_count(&s), 0);
	settle_free(&s);
}

static void test_rename(void **state)
{
	struct settle s;
	struct pending *p;

	(void)state;
	start(&s, 16);
	note(&s, "/d/tmp", FS_CREATE | FS_MODIFY | FS_CLOSE_WRITE, T0);
	note_rename(&s, "/d/tmp", "/d/f", T0 + 1 * MS);
	p = settle_find(&s, "/d/tmp");
	assert_string_equal(p->facts.to, "/d/f");
	p = settle_find(&s, "/d/f");
	assert_string_equal(p->facts.from, "/d/tmp");
	p = settle_take(&s, T0 + 21 * MS);
	/* Put back: everything is still known, with what came meanwhile. */
	note(&s, p->node.path, FS_ATTRIB, T0 + 22 * MS);
	settle_put_back(&s, p, T0 + 30 * MS);
	assert_true(p->facts.ops & FS_ATTRIB);
	assert_true(p->facts.from || p->facts.to);
	assert_null(p->taken.from);
	settle_free(&s);
}

static void test_candidate(void **state)
{
	struct settle s;
	struct pending *p;

	(void)state;
	start(&s, 16);
	assert_int_equal(settle_candidate(&s, "/new/x", "/old/x", T0, &p), 0);
	assert_string_equal(p->facts.from, "/old/x");
	p = settle_take(&s, T0 + SETTLE_CANDIDATE);
	assert_non_null(p);
	assert_true(p->taken.candidate);
	/* Named again while it is looked at: once more. */
	assert_int_equal(settle_candidate(&s, "/new/x", NULL, T0 + 1, &p), 0);
	settle_done(&s, p, T0 + 2, 0);
	assert_non_null(settle_take(&s, T0 + 1 + SETTLE_CANDIDATE));
	settle_free(&s);
}

/* Gone, and no event has told so: not believed before the sensor has come that far. */
static void test_gone(void **state)
{
	const uint64_t looked = T0 + SETTLE_MAX;
	struct settle s;
	struct pending *p;

	(void)state;
	start(&s, 16);
	note(&s, "/a", FS_CLOSE_WRITE, T0);
	p = settle_take(&s, looked);
	assert_true(settle_doubts(&s, p, looked, looked - 1, looked));
	assert_null(settle_take(&s, looked + SETTLE_GONE_STEP - 1));
	p = settle_take(&s, looked + SETTLE_GONE_STEP);
	assert_non_null(p);
	/* Asked about the first look, not about this one. */
	assert_true(settle_doubts(&s, p, looked + SETTLE_GONE_STEP, looked - 1, looked + SETTLE_GONE_STEP));
	p = settle_take(&s, UINT64_MAX);
	assert_false(settle_doubts(&s, p, looked + NSEC_PER_SEC, looked, looked + NSEC_PER_SEC));
	settle_done(&s, p, looked + NSEC_PER_SEC, 0);
	/* What an event told is so. */
	note(&s, "/b", FS_RENAME_FROM, T0);
	note(&s, "/c", FS_DELETE, T0);
	while ((p = settle_take(&s, looked))) {
		assert_false(settle_doubts(&s, p, looked, 0, looked));
		settle_done(&s, p, looked, 0);
	}
	/* One that never comes that far is not waited for any longer. */
	note(&s, "/a", FS_CLOSE_WRITE, T0);
	p = settle_take(&s, looked);
	assert_true(settle_doubts(&s, p, looked, 0, looked));
	p = settle_take(&s, UINT64_MAX);
	assert_true(settle_doubts(&s, p, looked, 0, looked + SETTLE_GONE_MAX));
	p = settle_take(&s, UINT64_MAX);
	assert_false(settle_doubts(&s, p, looked, 0, looked + SETTLE_GONE_MAX + 1));
	settle_done(&s, p, looked, 0);
	settle_free(&s);
}

/* Long names fill it before their number does, and what is done gives its share back. */
static void test_full_by_bytes(void **state)
{
	enum { LIMIT = 64, LONG = 3000 };
	char path[LONG + 16];
	struct pending *p;
	struct settle s;
	int n = 0, r = 0;

	(void)state;
	start(&s, LIMIT);
	memset(path, 'l', sizeof(path));
	while (n < LIMIT && !r) {
		const struct fs_event e = { .ops = FS_DELETE, .path = path, .boot_ns = T0 };

		snprintf(path, sizeof(path), "/%0*d", LONG, n);
		r = settle_event(&s, &e);
		n += !r;
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(n > 1 && n < LIMIT / 2);
	assert_true(s.bytes <= LIMIT * SETTLE_BYTES);
	while ((p = settle_take(&s, T0 + SETTLE_MAX)))
		settle_done(&s, p, T0 + SETTLE_MAX, 0);
	assert_int_equal(settle_count(&s), 0);
	assert_int_equal(s.bytes, 0);
	note(&s, path, FS_DELETE, T0);
	settle_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_by_bytes), cmocka_unit_test(test_due),    cmocka_unit_test(test_order),
		cmocka_unit_test(test_full),	      cmocka_unit_test(test_rearm),  cmocka_unit_test(test_patience),
		cmocka_unit_test(test_cost),	      cmocka_unit_test(test_rename), cmocka_unit_test(test_candidate),
		cmocka_unit_test(test_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
