/* The chain of the history: what verify finds of rows, heads and baselines that were changed, and writers that are
 * killed. */
#include "tests/db/events.h"

#include <sys/wait.h>

static const struct tamper {
	const char *sql;
	int check_head; /* also found by the cheap check */
	const char *text;
} tampers[] = {
	{ "UPDATE event SET path = x'2f6f74686572' WHERE id = 3", 0, "row 3 of batch 3 was changed" },
	{ "UPDATE event SET path_show = 'x' WHERE id = 3", 0, "row 3 of batch 3 was changed" },
	{ "UPDATE event SET time = time + 1 WHERE id = 3", 0, "row 3 of batch 3 was changed" },
	{ "UPDATE event SET status = 1 WHERE id = 3", 0, "row 3 of batch 3 was changed" },
	{ "UPDATE event SET after_rec = before_rec WHERE id = 3", 0, "row 3 of batch 3 was changed" },
	{ "UPDATE event SET digest = zeroblob(32) WHERE id = 3", 0, "row 3 of batch 3 was changed" },
	{ "UPDATE event SET path = (SELECT path FROM event WHERE id = 4), digest = (SELECT digest FROM event WHERE id "
	  "= 4) WHERE "
	  "id = 3",
	  0, "row 3 of batch 3 was changed" },
	{ "DELETE FROM event WHERE id = 3", 0, "row 3 of batch 3 was removed" },
	{ "DELETE FROM event WHERE id = 6", 0, "row 6 of batch 6 was removed" },
	{ "UPDATE event SET id = 100 WHERE id = 3", 0, "row 3 of batch 3 was removed" },
	{ "INSERT INTO event (id, time, kind, digest) VALUES (100, 1, 7, zeroblob(32))", 0, "row 100 is in no batch" },
	{ "INSERT INTO event (id, time, kind, digest) VALUES (-1, 1, 7, zeroblob(32))", 0, "kept from a batch" },
	{ "DELETE FROM batch WHERE seq = 3", 0, "batch 3 is missing" },
	{ "DELETE FROM batch WHERE seq = 1", 0, "oldest batch is 2" },
	{ "UPDATE batch SET digest = zeroblob(32) WHERE seq = 3", 0, "batch 3 was changed" },
	{ "UPDATE batch SET time = 1 WHERE seq = 3", 0, "batch 3 was changed" },
	{ "UPDATE batch SET first = -9223372036854775808 WHERE seq = 3", 0, "batch 3" },
	{ "UPDATE batch SET signature = zeroblob(64) WHERE seq = 6", -EBADMSG, "not signed" },
	{ "UPDATE batch SET baselines = zeroblob(32) WHERE seq = 6", -EBADMSG, "baselines" },
	{ "DELETE FROM event WHERE id >= 5; DELETE FROM batch WHERE seq >= 5", -EBADMSG, "history ends at batch 4" },
	{ "DELETE FROM event; DELETE FROM batch", -EBADMSG, "history ends at batch 0" },
	{ "UPDATE process SET uid = 77", 0, "process row 1 was changed" },
	{ "UPDATE process SET parent = 2 WHERE id = 1", 0, "process row 1 was changed" },
	{ "DELETE FROM process WHERE id = 2", 0, "row 2 of batch 2 was changed" },
	{ "UPDATE str SET data = x'78'", 0, "process row 1 was changed" },
	{ "UPDATE baseline SET signature = zeroblob(64)", -EBADMSG, "baselines or trust entries were" },
	{ "UPDATE baseline SET name = 'x'", -EBADMSG, "baselines or trust entries were" },
	{ "UPDATE baseline SET state = 2", -EBADMSG, "baselines or trust entries were" },
};

static int64_t fill_chain(struct store *s)
{
	int64_t base = store_small(s, "host", false);
	struct event *e = change(s, base, "/etc/a", CHANGE_CHANGED);

	e->process = some_process(1);
	add(s, e);
	for (int i = 0; i < 4; i++)
		add(s, change(s, base, "/etc/b", CHANGE_CHANGED));
	return base;
}

static void expect_bad(struct store *s, const char *what, int r, const char *text)
{
	if (r != -EBADMSG || s->err.len == 0 || !strstr(s->err.data, text))
		fail_msg("%s: %d, no \"%s\" in: %s", what, r, text, s->err.len ? s->err.data : "");
	buf_reset(&s->err);
}

static void test_tampering(void **state _unused_)
{
	struct store s;
	char copy[128];

	store_new(&s);
	fill_chain(&s);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	assert_int_equal(history_check_head(s.d, s.key, &s.err), 0);
	store_close(&s);
	snprintf(copy, sizeof(copy), "%s.good", s.path);
	store_copy(s.path, copy);
	for (size_t i = 0; i < ARRAY_SIZE(tampers); i++) {
		int r;

		store_copy(copy, s.path);
		store_sql(s.path, tampers[i].sql);
		store_open(&s, DB_READ);
		r = history_check_head(s.d, s.key, &s.err);
		if (r != tampers[i].check_head)
			fail_msg("%s: head check gave %d", tampers[i].sql, r);
		buf_reset(&s.err);
		r = history_verify(s.d, s.key, &s.err);
		expect_bad(&s, tampers[i].sql, r, tampers[i].text);
		store_close(&s);
	}
	store_free(&s);
}

static void test_head_file(void **state _unused_)
{
	_cleanup_sign_key_ struct sign_key *other = NULL;
	struct store s;
	char old_db[128], old_head[128], new_head[128], path[128];
	int64_t base;
	struct event *e;

	store_new(&s);
	snprintf(old_db, sizeof(old_db), "%s.old", s.path);
	snprintf(old_head, sizeof(old_head), "%s.old", s.head);
	snprintf(new_head, sizeof(new_head), "%s.new2", s.head);
	snprintf(path, sizeof(path), "%s/other.key", s.dir);
	assert_int_equal(sign_key_load(path, 1, &other, &s.err), 0);
	base = fill_chain(&s);
	store_close(&s);
	store_copy(s.path, old_db);
	store_copy(s.head, old_head);
	store_open(&s, DB_WRITE);
	add(&s, change(&s, base, "/etc/c", CHANGE_CHANGED));
	store_copy(s.head, new_head);

	/* A kill between commit and head file: one behind is good, and the next batch catches up. */
	store_copy(old_head, s.head);
	assert_int_equal(history_check_head(s.d, s.key, &s.err), 0);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	add(&s, change(&s, base, "/etc/c", CHANGE_CHANGED));
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	/* Two behind is not. */
	store_copy(old_head, s.head);
	expect_bad(&s, "two behind", history_check_head(s.d, s.key, &s.err), "put back to an older one");
	store_copy(new_head, s.head);
	assert_int_equal(history_check_head(s.d, s.key, &s.err), 0);
	expect_bad(&s, "another key", history_check_head(s.d, other, &s.err), "not signed with this key");

	assert_int_equal(unlink(s.head), 0);
	expect_bad(&s, "head removed", history_check_head(s.d, s.key, &s.err), "missing");
	expect_bad(&s, "head removed", history_verify(s.d, s.key, &s.err), "missing");
	assert_int_equal(truncate(new_head, 50), 0);
	store_copy(new_head, s.head);
	expect_bad(&s, "head cut", history_check_head(s.d, s.key, &s.err), "damaged");
	assert_int_equal(unlink(s.head), 0);
	add(&s, change(&s, base, "/etc/c", CHANGE_CHANGED));
	assert_int_equal(history_check_head(s.d, s.key, &s.err), 0);

	/* The whole database put back to an older copy: nothing more is written on top of it. */
	store_close(&s);
	store_copy(old_db, s.path);
	store_open(&s, DB_WRITE);
	expect_bad(&s, "older database", history_check_head(s.d, s.key, &s.err), "older database was put in place");
	e = change(&s, base, "/etc/c", CHANGE_CHANGED);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(history_add(s.d, e), 0);
	assert_int_equal(db_commit(s.d), -EBADMSG);
	event_unref(e);
	store_free(&s);
}

/* An older, validly signed baseline put back by itself. */
static void test_older_baseline(void **state _unused_)
{
	struct baseline_info info = { .name = "third", .root = "/", .scope = "{}" };
	struct baseline_writer *w;
	struct store s;
	char sql[512], old[128];

	store_new(&s);
	snprintf(old, sizeof(old), "%s.old", s.path);
	store_small(&s, "host", false);
	store_close(&s);
	store_copy(s.path, old);
	store_open(&s, DB_WRITE);
	store_small(&s, "host", true);
	store_close(&s);
	snprintf(sql, sizeof(sql),
		 "ATTACH '%s' AS o; DELETE FROM baseline; DELETE FROM dir; DELETE FROM chunk; DELETE FROM file; INSERT "
		 "INTO baseline "
		 "SELECT * FROM o.baseline; INSERT INTO dir SELECT * FROM o.dir; INSERT INTO chunk SELECT * FROM "
		 "o.chunk; INSERT INTO "
		 "file SELECT * FROM o.file",
		 old);
	store_sql(s.path, sql);
	store_open(&s, DB_WRITE);
	assert_int_equal(baseline_verify(s.d, 1, s.key, &s.err), 0);
	expect_bad(&s, "older baseline", history_check_head(s.d, s.key, &s.err), "baselines or trust entries were");
	/* And it is not made good by the next change of baselines. */
	assert_int_equal(baseline_begin(s.d, &info, false, &w), 0);
	assert_int_equal(baseline_finish(w, s.key, NULL), -EBADMSG);
	store_free(&s);
}

static void test_no_key_and_rollback(void **state _unused_)
{
	struct store s;
	struct event *e;

	store_new(&s);
	e = change(&s, 1, "/x", CHANGE_CHANGED);
	e->process = some_process(2);
	assert_int_equal(history_add(s.d, e), -EINVAL);
	assert_int_equal(db_begin(s.d), 0);
	history_set_key(s.d, NULL);
	assert_int_equal(history_add(s.d, e), -ENOKEY);
	history_set_key(s.d, s.key);
	assert_int_equal(history_add(s.d, e), 0);
	db_rollback(s.d);
	/* Rows that a process got in a failed transaction are forgotten. */
	assert_int_equal(atomic_load(&e->process->row), 0);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(history_add(s.d, e), 0);
	assert_int_equal(db_commit(s.d), 0);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	event_unref(e);
	store_free(&s);
}

/* --- kill -9 in the middle of commits, two programs at once */

static void writer_child(struct store *s)
{
	s->d = NULL;
	store_open(s, DB_WRITE);
	for (int n = 0;; n++) {
		int r = db_begin(s->d);

		for (int i = 0; i < 5 && r == 0; i++) {
			_cleanup_event_ struct event *e = change(s, 1, "/etc/a", CHANGE_CHANGED);

			e->process = some_process(n % 7);
			r = history_add(s->d, e);
		}
		if (r == 0)
			r = db_commit(s->d);
		if (r < 0) {
			dprintf(2, "child: %d %s\n", r, db_error(s->d));
			_exit(1);
		}
	}
}

/* Until there are ten more than *batches; a deadline in case the writers died. */
static void wait_for_batches(struct store *s, int64_t *batches)
{
	uint64_t deadline = clock_mono_ns() + 20 * NSEC_PER_SEC;
	int64_t now = 0;

	store_open(s, DB_READ);
	while (now < *batches + 10) {
		assert_true(clock_mono_ns() < deadline);
		usleep(1000);
		assert_int_equal(db_number(s->d, "SELECT coalesce(max(seq), 0) FROM batch", &now), 0);
	}
	*batches = now;
	store_close(s);
}

static void test_killed_writers(void **state _unused_)
{
	struct store s;
	int64_t rows = 0, batches = 0;

	store_new(&s);
	store_close(&s);
	for (int round = 0; round < 25; round++) {
		pid_t pids[2];
		int status;

		for (int i = 0; i < 2; i++) {
			pids[i] = fork();
			assert_true(pids[i] >= 0);
			if (pids[i] == 0)
				writer_child(&s);
		}
		wait_for_batches(&s, &batches);
		usleep((unsigned)round * 1700);
		for (int i = 0; i < 2; i++)
			kill(pids[i], SIGKILL);
		for (int i = 0; i < 2; i++) {
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
			assert_true(WIFSIGNALED(status));
		}
		store_open(&s, round % 2 ? DB_READ : DB_WRITE);
		if (history_verify(s.d, s.key, &s.err) != 0)
			fail_msg("round %d: %s", round, s.err.data);
		assert_int_equal(db_number(s.d, "SELECT count(*) FROM event", &rows), 0);
		store_close(&s);
	}
	assert_true(rows >= 25 * 10 * 5);
	store_free(&s);
}

/* Verifying while another program writes finds nothing wrong. */
static void test_verify_beside_writer(void **state _unused_)
{
	struct store s;
	int status;
	pid_t pid;

	store_new(&s);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		writer_child(&s);
	for (int i = 0; i < 60; i++) {
		int r = i % 3 ? history_check_head(s.d, s.key, &s.err) : history_verify(s.d, s.key, &s.err);

		if (r != 0)
			fail_msg("%d: %s", r, s.err.len ? s.err.data : db_error(s.d));
	}
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tampering),      cmocka_unit_test(test_head_file),
		cmocka_unit_test(test_older_baseline), cmocka_unit_test(test_no_key_and_rollback),
		cmocka_unit_test(test_killed_writers), cmocka_unit_test(test_verify_beside_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
