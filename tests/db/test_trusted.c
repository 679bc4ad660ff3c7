/* Programs trusted by hand: kept with their history, and nothing that anybody else wrote is taken. */
#include "tests/db/store.h"

#include "db/trusted.h"

#define HOUR (3600 * NSEC_PER_SEC)

struct seen {
	size_t n;
	int64_t ids[16];
	struct trusted last;
};

static int see(const struct trusted *t, void *data)
{
	struct seen *s = data;

	s->ids[s->n++ % ARRAY_SIZE(s->ids)] = t->id;
	s->last = *t;
	return 0;
}

static size_t count(struct store *s, bool all, uint64_t now)
{
	struct seen seen = { 0 };
	int r = trusted_each(s->d, all, now, see, &seen);

	if (r < 0)
		fail_msg("%s", db_error(s->d));
	return seen.n;
}

static int add(struct store *s, const char *path, int digest, uint64_t now, uint64_t until, int64_t *ret_id)
{
	uint8_t bytes[TRUSTED_DIGEST_SIZE];
	const struct trusted t = { .kind = digest ? TRUSTED_DIGEST : TRUSTED_PATH,
				   .digest = digest ? bytes : NULL,
				   .path = path,
				   .reason = "CHG-1 \x1b[31m",
				   .added_by = "root",
				   .added = now,
				   .until = until };
	int r = db_begin(s->d), e;

	memset(bytes, digest, sizeof(bytes));
	assert_int_equal(r, 0);
	r = trusted_add(s->d, &t, ret_id);
	e = r < 0 ? 0 : db_commit(s->d);
	if (r < 0)
		db_rollback(s->d);
	return e < 0 ? e : r;
}

static int take_away(struct store *s, int64_t id, uint64_t now)
{
	int r = db_begin(s->d);

	assert_int_equal(r, 0);
	r = trusted_remove(s->d, id, "root", "left", now);
	if (r < 0) {
		db_rollback(s->d);
		return r;
	}
	return db_commit(s->d);
}

static void test_life(void **state _unused_)
{
	struct store s;
	int64_t a, b, c, again;

	store_new(&s);
	assert_int_equal(count(&s, true, HOUR), 0);
	assert_int_equal(add(&s, "/opt/a\n", 1, HOUR, 0, &a), 0);
	assert_int_equal(add(&s, "/opt/*", 0, HOUR, 0, &b), 0);
	assert_int_equal(add(&s, NULL, 2, HOUR, 2 * HOUR, &c), 0);
	assert_int_equal(add(&s, "/elsewhere", 1, HOUR, 0, &again), 1);
	assert_int_equal(again, a);
	assert_int_equal(count(&s, false, HOUR), 3);
	/* One ran out. */
	assert_int_equal(count(&s, false, 3 * HOUR), 2);
	assert_int_equal(count(&s, true, 3 * HOUR), 3);
	assert_int_equal(take_away(&s, c, 3 * HOUR), -ENOENT);
	assert_int_equal(take_away(&s, 12345, HOUR), -ENOENT);
	assert_int_equal(take_away(&s, a, 3 * HOUR), 0);
	assert_int_equal(count(&s, false, 3 * HOUR), 1);
	assert_int_equal(count(&s, true, 3 * HOUR), 3);
	/* Again after that is another entry. */
	assert_int_equal(add(&s, NULL, 1, 4 * HOUR, 0, &again), 0);
	assert_true(again > c);
	store_close(&s);
	store_open(&s, DB_WRITE);
	assert_int_equal(history_check_head(s.d, s.key, &s.err), 0);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	store_free(&s);
}

static void test_fields(void **state _unused_)
{
	struct seen seen = { 0 };
	struct store s;
	int64_t id;

	store_new(&s);
	assert_int_equal(add(&s, "/opt/\xff*", 0, HOUR, 9 * HOUR, &id), 0);
	assert_int_equal(trusted_each(s.d, false, HOUR, see, &seen), 0);
	assert_int_equal(seen.last.kind, TRUSTED_PATH);
	assert_int_equal(seen.last.until, 9 * HOUR);
	assert_int_equal(seen.last.removed, 0);
	assert_null(seen.last.digest);
	store_free(&s);
}

/* What somebody writes into the table is found, whichever way. */
static void test_tampering(void **state _unused_)
{
	static const char *const edits[] = {
		"INSERT INTO trust_entry (kind, digest, added) VALUES (0, zeroblob(32), 1)",
		"DELETE FROM trust_entry WHERE id = 1",
		"DELETE FROM trust_entry",
		"UPDATE trust_entry SET digest = zeroblob(32) WHERE id = 1",
		"UPDATE trust_entry SET until = NULL",
		"UPDATE trust_entry SET removed = NULL",
		"UPDATE trust_entry SET reason = 'other'",
	};

	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		struct store s;
		int64_t id;

		store_new(&s);
		assert_int_equal(add(&s, NULL, 1, HOUR, 2 * HOUR, &id), 0);
		assert_int_equal(add(&s, "/x", 0, HOUR, 2 * HOUR, &id), 0);
		assert_int_equal(take_away(&s, id, HOUR), 0);
		store_close(&s);
		store_sql(s.path, edits[i]);
		store_open(&s, DB_WRITE);
		assert_int_equal(history_check_head(s.d, s.key, &s.err), -EBADMSG);
		/* And nothing is sealed on top of it. */
		assert_int_equal(add(&s, NULL, 3, HOUR, 0, &id), -EBADMSG);
		assert_int_equal(take_away(&s, 1, HOUR), -EBADMSG);
		store_free(&s);
	}
}

static void test_absurd_rows(void **state _unused_)
{
	static const char *const edits[] = {
		"INSERT INTO trust_entry (kind, digest, added) VALUES (0, zeroblob(31), 1)",
		"INSERT INTO trust_entry (kind, digest, added) VALUES (0, NULL, 1)",
		"INSERT INTO trust_entry (kind, path, added) VALUES (1, CAST('relative' AS BLOB), 1)",
		"INSERT INTO trust_entry (kind, path, added) VALUES (1, x'2f610062', 1)",
		"INSERT INTO trust_entry (kind, path, added) VALUES (7, CAST('/x' AS BLOB), 1)",
	};

	for (size_t i = 0; i < ARRAY_SIZE(edits); i++) {
		struct seen seen = { 0 };
		struct store s;

		store_new(&s);
		store_close(&s);
		store_sql(s.path, edits[i]);
		store_open(&s, DB_WRITE);
		assert_int_equal(trusted_each(s.d, true, HOUR, see, &seen), -EBADMSG);
		store_free(&s);
	}
}

/* A denial stands beside what trusts the same program, is the same once it is there, and ends as others do. */
static void test_denied(void **state _unused_)
{
	const uint8_t bytes[TRUSTED_DIGEST_SIZE] = { 1 };
	struct trusted t = {
		.kind = TRUSTED_DIGEST, .digest = bytes, .reason = "r", .added_by = "root", .added = HOUR
	};
	struct seen seen = { 0 };
	int64_t trusts = 0, denies = 0, again = 0, n = 0;
	struct store s;

	store_new(&s);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(trusted_add(s.d, &t, &trusts), 0);
	t.kind = TRUSTED_DENIED;
	t.path = "/tmp/dropped";
	assert_int_equal(trusted_add(s.d, &t, &denies), 0);
	assert_int_equal(trusted_add(s.d, &t, &again), 1);
	assert_int_equal(db_commit(s.d), 0);
	assert_true(denies != trusts && again == denies);
	assert_int_equal(trusted_each(s.d, false, HOUR, see, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM trusted WHERE state = 'denied' AND kind = 'digest'", &n),
			 0);
	assert_int_equal(n, 1);
	assert_int_equal(take_away(&s, denies, 2 * HOUR), 0);
	assert_int_equal(count(&s, false, 2 * HOUR), 1);
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),	  cmocka_unit_test(test_denied),      cmocka_unit_test(test_fields),
		cmocka_unit_test(test_tampering), cmocka_unit_test(test_absurd_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
