/* db/prune: bounds by age and size, what stays, and that the rest still verifies. */
#include "tests/db/store.h"

#include "lib/clock.h"

static void add_rows(struct store *s, int n, const char *path, enum event_kind kind)
{
	assert_int_equal(db_begin(s->d), 0);
	for (int i = 0; i < n; i++) {
		_cleanup_event_ struct event *e = event_new(kind);

		e->time = clock_real_ns();
		e->path = path;
		e->baseline = "host";
		e->baseline_id = 1;
		e->change = CHANGE_CHANGED;
		e->has_before = e->has_after = true;
		e->before = record_file(1);
		e->after = record_file(2);
		assert_int_equal(history_add(s->d, e), 0);
	}
	if (db_commit(s->d) < 0)
		fail_msg("%s", db_error(s->d));
}

static int64_t number(struct store *s, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(db_number(s->d, sql, &n), 0);
	return n;
}

static void verify(struct store *s)
{
	buf_reset(&s->err);
	if (history_verify(s->d, s->key, &s->err) != 0)
		fail_msg("verify: %s", s->err.len ? s->err.data : db_error(s->d));
}

static int prune_all(struct store *s, uint64_t max_size, uint64_t max_age, uint64_t now)
{
	bool more = true;
	int calls = 0;

	for (; more; calls++) {
		if (history_prune(s->d, max_size, max_age, now, &more) < 0)
			fail_msg("history_prune: %s", db_error(s->d));
		verify(s);
		assert_true(calls < 1000);
	}
	return calls;
}

static void test_by_age(void **state _unused_)
{
	uint64_t now = clock_real_ns();
	struct store s;

	store_new(&s);
	for (int i = 0; i < 20; i++)
		add_rows(&s, 100, "/x", EVENT_OPEN);
	prune_all(&s, 0, 3600 * NSEC_PER_SEC, now + NSEC_PER_SEC);
	assert_int_equal(number(&s, "SELECT count(*) FROM event"), 2000);
	/* An hour and a bit later everything but the newest batch is too old. */
	prune_all(&s, 0, 3600 * NSEC_PER_SEC, now + 3700 * NSEC_PER_SEC);
	assert_int_equal(number(&s, "SELECT count(*) FROM event"), 101);
	assert_int_equal(number(&s, "SELECT count(*) FROM event WHERE text LIKE 'pruned 1900 rows%'"), 1);
	/* Ids go on from where they were. */
	add_rows(&s, 1, "/x", EVENT_OPEN);
	assert_int_equal(number(&s, "SELECT max(id) FROM event"), 2002);
	verify(&s);
	assert_int_equal(history_check_head(s.d, s.key, &s.err), 0);
	store_free(&s);
}

static void test_by_size(void **state _unused_)
{
	struct store s;
	struct stat st;

	store_new(&s);
	for (int i = 0; i < 40; i++)
		add_rows(&s, 500, "/some/path/that/takes/room", EVENT_OPEN);
	sqlite3_wal_checkpoint_v2(s.d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	assert_int_equal(stat(s.path, &st), 0);
	assert_true(st.st_size > 2 * (off_t)MIB);
	assert_true(prune_all(&s, MIB, 0, clock_real_ns()) > 1);
	assert_true(number(&s, "SELECT count(*) FROM event") >= 1000);
	sqlite3_wal_checkpoint_v2(s.d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	assert_int_equal(stat(s.path, &st), 0);
	assert_true(st.st_size < (off_t)MIB);
	/* And again as it grows. */
	for (int i = 0; i < 20; i++) {
		bool more = true;

		add_rows(&s, 1000, "/some/path/that/takes/room", EVENT_OPEN);
		while (more)
			assert_int_equal(history_prune(s.d, MIB, 0, clock_real_ns(), &more), 0);
	}
	verify(&s);
	sqlite3_wal_checkpoint_v2(s.d->h, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	assert_int_equal(stat(s.path, &st), 0);
	assert_true(st.st_size < (off_t)(MIB + MIB / 4));
	store_free(&s);
}

/* Open deviations and gaps stay until they are closed; closed, they go with the next call. */
static void test_open_rows_stay(void **state _unused_)
{
	uint64_t later = clock_real_ns() + 7200 * NSEC_PER_SEC;
	struct store s;
	struct event *e;

	store_new(&s);
	add_rows(&s, 10, "/x", EVENT_OPEN);
	add_rows(&s, 3, "/etc/open", EVENT_CHANGE);
	add_rows(&s, 2, "/etc/reverted", EVENT_CHANGE);
	assert_int_equal(db_begin(s.d), 0);
	e = event_new(EVENT_GAP);
	e->time = e->gap_from = clock_real_ns();
	e->gap_reason = GAP_FS_SKIPPED;
	assert_int_equal(history_add(s.d, e), 0);
	event_unref(e);
	e = event_new(EVENT_CHANGE);
	e->time = clock_real_ns();
	e->path = "/etc/reverted";
	e->baseline_id = 1;
	e->change = CHANGE_REVERTED;
	assert_int_equal(history_add(s.d, e), 0);
	event_unref(e);
	assert_int_equal(db_commit(s.d), 0);
	add_rows(&s, 10, "/x", EVENT_OPEN);
	prune_all(&s, 0, NSEC_PER_SEC, later);
	assert_int_equal(number(&s, "SELECT count(*) FROM event WHERE kind = 0"), 3);
	assert_int_equal(number(&s, "SELECT count(*) FROM event WHERE kind = 5"), 1);
	assert_int_equal(number(&s, "SELECT count(*) FROM event WHERE kind = 1"), 10);

	assert_int_equal(db_begin(s.d), 0);
	e = event_new(EVENT_ACCEPT);
	e->time = clock_real_ns();
	e->path = "/etc/open";
	e->baseline_id = 1;
	assert_int_equal(history_add(s.d, e), 0);
	event_unref(e);
	assert_int_equal(db_commit(s.d), 0);
	add_rows(&s, 1, "/x", EVENT_OPEN);
	prune_all(&s, 0, NSEC_PER_SEC, later);
	assert_int_equal(number(&s, "SELECT count(*) FROM event WHERE kind = 0"), 0);
	assert_int_equal(number(&s, "SELECT count(*) FROM event WHERE kind = 5"), 1);
	store_free(&s);
}

/* When open rows alone are too many for the bound, the oldest go too, and that is said. */
static void test_too_many_open(void **state _unused_)
{
	struct store s;

	store_new(&s);
	for (int i = 0; i < 12; i++)
		add_rows(&s, 500, "/etc/open", EVENT_CHANGE);
	prune_all(&s, MIB, 0, clock_real_ns());
	assert_true(number(&s, "SELECT count(*) FROM event WHERE kind = 0") < 5000);
	assert_int_equal(number(&s, "SELECT count(*) > 0 FROM event WHERE text LIKE 'pruned % open rows%'"), 1);
	store_free(&s);
}

static const struct tamper {
	const char *sql;
	bool refused; /* pruning does not sign it again */
} tampers[] = {
	{ "UPDATE event SET path = x'2f' WHERE path = x'2f6574632f6f70656e' AND id = (SELECT min(id) FROM event)",
	  true },
	{ "DELETE FROM event WHERE id = (SELECT min(id) FROM event)", true },
	{ "UPDATE event SET path = x'2f' WHERE path = x'2f7a'", true },
	{ "UPDATE batch SET floor = floor + 1 WHERE seq = (SELECT max(seq) FROM batch)", false },
	{ "DELETE FROM batch WHERE seq = (SELECT min(seq) FROM batch)", true },
};

static void test_tampering(void **state _unused_)
{
	uint64_t later = clock_real_ns() + 7200 * NSEC_PER_SEC;
	struct store s;
	char copy[128], head[128];
	bool more;

	store_new(&s);
	add_rows(&s, 3, "/etc/open", EVENT_CHANGE);
	add_rows(&s, 10, "/x", EVENT_OPEN);
	add_rows(&s, 10, "/y", EVENT_OPEN);
	prune_all(&s, 0, NSEC_PER_SEC, later);
	add_rows(&s, 10, "/z", EVENT_OPEN);
	add_rows(&s, 10, "/z", EVENT_OPEN);
	store_close(&s);
	snprintf(copy, sizeof(copy), "%s.good", s.path);
	snprintf(head, sizeof(head), "%s.good", s.head);
	store_copy(s.path, copy);
	store_copy(s.head, head);
	for (size_t i = 0; i < ARRAY_SIZE(tampers); i++) {
		store_copy(copy, s.path);
		store_copy(head, s.head);
		store_sql(s.path, tampers[i].sql);
		store_open(&s, DB_WRITE);
		if (history_verify(s.d, s.key, &s.err) != -EBADMSG)
			fail_msg("%s: not found", tampers[i].sql);
		if (tampers[i].refused && history_prune(s.d, 0, NSEC_PER_SEC, later, &more) != -EBADMSG)
			fail_msg("%s: pruned over it", tampers[i].sql);
		if (history_verify(s.d, s.key, &s.err) != -EBADMSG)
			fail_msg("%s: made good by pruning", tampers[i].sql);
		store_close(&s);
	}
	store_free(&s);
}

static void test_processes_swept(void **state _unused_)
{
	struct process v = { .known = PROCESS_EXE, .pid = 1, .exe = "/sbin/init" };
	_cleanup_process_ struct process *parent = process_new(&v);
	_cleanup_process_ struct process *child = NULL;
	struct event *e;
	struct store s;

	v.pid = 2;
	v.exe = "/bin/sh";
	v.parent = parent;
	child = process_new(&v);
	store_new(&s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_begin(s.d), 0);
		e = event_new(EVENT_OPEN);
		e->time = 1;
		e->path = "/x";
		e->process = process_ref(child);
		assert_int_equal(history_add(s.d, e), 0);
		event_unref(e);
		assert_int_equal(db_commit(s.d), 0);
		assert_int_equal(number(&s, "SELECT count(*) FROM process"), 2);
		add_rows(&s, 1, "/y", EVENT_OPEN);
		verify(&s);
		prune_all(&s, 0, NSEC_PER_SEC, clock_real_ns() + 7200 * NSEC_PER_SEC);
		/* Swept although the processes still remember their rows; they are stored anew in the second round. */
		assert_int_equal(number(&s, "SELECT count(*) FROM process"), 0);
		assert_int_equal(number(&s, "SELECT count(*) FROM str"), 0);
	}
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_age),	       cmocka_unit_test(test_by_size),
		cmocka_unit_test(test_open_rows_stay), cmocka_unit_test(test_too_many_open),
		cmocka_unit_test(test_tampering),      cmocka_unit_test(test_processes_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
