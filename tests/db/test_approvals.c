/* Approvals: what they cover, adding, revoking, running out, and that pruning keeps those in force. */
#include "tests/db/store.h"

#include "db/approvals.h"
#include "lib/clock.h"

static const uint8_t right[32] = { 1 }, wrong[32] = { 2 };

static void test_covers(void **state _unused_)
{
	static const struct {
		const char *pattern, *path;
		bool digest; /* the approval names one */
		const uint8_t *is;
		uint64_t revoked, time;
		bool covered;
	} cases[] = {
		{ "/srv/app", "/srv/app", false, right, 0, 150, true },
		{ "/srv/app", "/srv/app/a/b", false, NULL, 0, 150, true },
		{ "/srv/app/", "/srv/app/a", false, NULL, 0, 150, true },
		{ "/srv/app", "/srv/apple", false, right, 0, 150, false },
		{ "/", "/etc/passwd", false, right, 0, 150, true },
		{ "/srv/*.conf", "/srv/a.conf", false, right, 0, 150, true },
		{ "/srv/*.conf", "/srv/a/b.conf", false, right, 0, 150, false },
		{ "/srv/**", "/srv/a/b.conf", false, right, 0, 150, true },
		{ "/srv/app", "/srv/app", true, right, 0, 150, true },
		{ "/srv/app", "/srv/app", true, wrong, 0, 150, false },
		{ "/srv/app", "/srv/app", true, NULL, 0, 150, false }, /* removed, or not read */
		{ "/srv/app", "/srv/app", false, right, 0, 99, false },
		{ "/srv/app", "/srv/app", false, right, 0, 100, true },
		{ "/srv/app", "/srv/app", false, right, 0, 199, true },
		{ "/srv/app", "/srv/app", false, right, 0, 200, false },
		{ "/srv/app", "/srv/app", false, right, 120, 119, true },
		{ "/srv/app", "/srv/app", false, right, 120, 120, false },
		{ "/srv/app", "/srv/app", false, right, 900, 200, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct approval a = { .path = cases[i].pattern,
				      .since = 100,
				      .until = 200,
				      .revoked = cases[i].revoked,
				      .digest_len = cases[i].digest ? sizeof(right) : 0 };

		memcpy(a.digest, right, sizeof(right));
		if (approval_covers(&a, cases[i].path, cases[i].time, cases[i].is, sizeof(right)) != cases[i].covered)
			fail_msg("case %zu: %s, %s", i, cases[i].pattern, cases[i].path);
	}
}

static int64_t add(struct store *s, const char *path, uint64_t until)
{
	struct approval a = { .path = path, .until = until, .user = "alice", .reason = "T-1", .digest_len = 32 };
	int64_t id = 0;
	int r = db_begin(s->d);

	memcpy(a.digest, right, sizeof(right));
	if (r == 0)
		r = approval_add(s->d, &a, NULL, &id);
	if (r == 0)
		r = db_commit(s->d);
	if (r < 0)
		fail_msg("%s", db_error(s->d));
	return id;
}

static int end_approval(struct store *s, int64_t id)
{
	int r;

	assert_int_equal(db_begin(s->d), 0);
	r = approval_revoke(s->d, id, "bob", NULL, NULL);
	if (r == 0)
		assert_int_equal(db_commit(s->d), 0);
	else
		db_rollback(s->d);
	return r;
}

struct seen {
	size_t n, revoked;
	int64_t last;
};

static int note(const struct approval *a, void *data)
{
	struct seen *seen = data;

	assert_string_equal(a->user, "alice");
	assert_string_equal(a->reason, "T-1");
	assert_int_equal(a->digest_len, 32);
	assert_memory_equal(a->digest, right, 32);
	seen->n++;
	seen->revoked += a->revoked != 0;
	seen->last = a->id;
	return 0;
}

static struct seen look(struct store *s, bool all, uint64_t now)
{
	struct seen seen = { 0 };

	assert_int_equal(approvals_each(s->d, all, now, note, &seen), 0);
	return seen;
}

static void test_life(void **state _unused_)
{
	uint64_t now = clock_real_ns(), hour = 3600 * NSEC_PER_SEC;
	struct store s;
	int64_t first, second;
	bool more = true;

	store_new(&s);
	first = add(&s, "/srv/app", now + hour);
	second = add(&s, "/srv/\x1b[31m", now + 2 * hour);
	assert_true(second > first);
	assert_int_equal(look(&s, false, now).n, 2);
	assert_int_equal(look(&s, false, now + hour).last, second);
	assert_int_equal(look(&s, false, now + 2 * hour).n, 0);
	assert_int_equal(end_approval(&s, second + 100), -ENOENT);
	assert_int_equal(end_approval(&s, second), 0);
	assert_int_equal(end_approval(&s, second), -ENOENT);
	assert_int_equal(look(&s, false, now).last, first);
	assert_int_equal(look(&s, true, now).n, 2);
	assert_int_equal(look(&s, true, now).revoked, 1);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);

	/* However old it is: what is in force stays, and so does that it is not. */
	while (more)
		assert_int_equal(history_prune(s.d, 0, 1, now + 30 * NSEC_PER_SEC, &more), 0);
	assert_int_equal(look(&s, false, now).last, first);
	assert_int_equal(look(&s, true, now).revoked, 1);
	store_free(&s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_covers),
		cmocka_unit_test(test_life),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
