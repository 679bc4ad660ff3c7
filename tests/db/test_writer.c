/* db/writer: order, flush, loss that is counted and becomes a gap, a full disk, a held lock, a clean end. */
#include "tests/db/events.h"

#include <pthread.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "db/texts.h"
#include "db/writer.h"
#include "lib/clock.h"

static struct conf *some_conf(void)
{
	struct conf *c = NULL;

	assert_int_equal(conf_default(&c), 0);
	return c;
}

static struct event *note(const char *text)
{
	struct event *e = event_new(EVENT_NOTE);

	e->time = clock_real_ns();
	e->text = arena_strdup(&e->arena, text);
	return e;
}

struct seen {
	size_t n;
	size_t without_id;
	int64_t last;
	bool out_of_order;
};

static void stored(struct event *e, void *data)
{
	struct seen *s = data;

	s->n++;
	s->without_id += e->id == 0;
	s->out_of_order |= e->id != 0 && e->id <= s->last;
	s->last = e->id;
}

static void start(struct store *s, struct conf *c, struct seen *seen, struct writer **ret)
{
	if (writer_start(&s->options, c, stored, seen, ret, &s->err) < 0)
		fail_msg("writer_start: %s", s->err.data);
}

static void test_order_and_flush(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	struct writer *w;
	struct store s;
	int64_t n = 0;
	uint64_t ns;
	bool clean;

	store_new(&s);
	start(&s, c, &seen, &w);
	for (int i = 0; i < 1000; i++)
		writer_put(w, note("x"));
	writer_flush(w);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event", &n), 0);
	assert_int_equal(n, 1000);
	writer_get_stats(w, &stats);
	assert_int_equal(stats.stored, 1000);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(stats.failures, 0);
	assert_int_equal(stats.depth, 0);
	assert_true(stats.db_size > 0);
	assert_int_equal(seen.n, 1000);
	assert_int_equal(seen.without_id, 0);
	assert_false(seen.out_of_order);
	for (int i = 0; i < 10; i++)
		writer_put(w, note("y"));
	writer_stop(w);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event", &n), 0);
	assert_int_equal(n, 1010);
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_true(clean);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	conf_unref(c);
	store_free(&s);
}

/* Committed within the interval without anybody asking, and visible to others. */
static void test_commits_by_time(void **state _unused_)
{
	uint64_t deadline = clock_mono_ns() + 20 * NSEC_PER_SEC;
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer *w;
	struct store s;
	int64_t n = 0;

	store_new(&s);
	start(&s, c, &seen, &w);
	writer_put(w, note("x"));
	while (n == 0) {
		assert_true(clock_mono_ns() < deadline);
		usleep(1000);
		assert_int_equal(db_number(s.d, "SELECT count(*) FROM event", &n), 0);
	}
	writer_stop(w);
	conf_unref(c);
	store_free(&s);
}

static void flood(struct store *s, struct writer *w, int64_t bound)
{
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	char text[512];
	int64_t used;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 5000; i++) {
		writer_put(w, note(text));
		if (i % 500 == 499)
			writer_flush(w);
	}
	do {
		int64_t pages = 0, unused = 0;

		assert_true(clock_mono_ns() < deadline);
		usleep(10000);
		writer_put(w, note("x"));
		assert_int_equal(db_number(s->d, "PRAGMA page_count", &pages), 0);
		assert_int_equal(db_number(s->d, "PRAGMA freelist_count", &unused), 0);
		used = (pages - unused) * 4096;
	} while (used > bound);
}

/* It is pruned when it is too large, not a minute later. */
static void test_bound(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer *w;
	struct store s;

	c->store.max_size = MIB;
	store_new(&s);
	start(&s, c, &seen, &w);
	flood(&s, w, MIB);
	flood(&s, w, MIB);
	writer_stop(w);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	conf_unref(c);
	store_free(&s);
}

static void test_refuses(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer *w = NULL;
	struct store s;

	store_new(&s);
	store_close(&s);
	assert_int_equal(unlink(s.key_path), 0);
	assert_int_equal(writer_start(&s.options, c, stored, &seen, &w, &s.err), -ENOENT);
	assert_true(s.err.len > 0);
	conf_unref(c);
	store_free(&s);
}

/* Another program holds the lock for longer than the writer waits: events are kept, and the time is a gap. */
static void test_held_lock(void **state _unused_)
{
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	struct writer *w;
	struct store s;
	int64_t n = 0;

	store_new(&s);
	s.options.busy_ms = 20;
	start(&s, c, &seen, &w);
	writer_put(w, note("before"));
	writer_flush(w);
	assert_int_equal(db_begin(s.d), 0);
	for (int i = 0; i < 100; i++)
		writer_put(w, note("during"));
	do {
		assert_true(clock_mono_ns() < deadline);
		usleep(1000);
		writer_get_stats(w, &stats);
	} while (!stats.failing || stats.depth > 0);
	db_rollback(s.d);
	writer_flush(w);
	writer_get_stats(w, &stats);
	assert_false(stats.failing);
	assert_int_equal(stats.dropped, 0);
	assert_int_equal(stats.stored, 102);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event WHERE kind = 7", &n), 0);
	assert_int_equal(n, 101);
	assert_int_equal(
		db_number(s.d, "SELECT count(*) FROM event WHERE kind = 5 AND gap_reason = 8 AND gap_to >= gap_from",
			  &n),
		0);
	assert_int_equal(n, 1);
	/* Told when it began and when it was over. */
	assert_int_equal(seen.n, 103);
	writer_stop(w);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	conf_unref(c);
	store_free(&s);
}

/* Who must not wait for a store that takes long does not, and what was asked for happens all the same. */
static void test_slow(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	struct writer *w;
	struct store s;

	store_new(&s);
	s.options.busy_ms = 20000;
	start(&s, c, &seen, &w);
	assert_int_equal(db_begin(s.d), 0);
	writer_put(w, note("during"));
	assert_int_equal(writer_flush_within(w, 50 * NSEC_PER_MSEC), -ETIMEDOUT);
	db_rollback(s.d);
	assert_int_equal(writer_flush_within(w, 30 * NSEC_PER_SEC), 0);
	writer_get_stats(w, &stats);
	assert_int_equal(stats.stored, 1);
	writer_stop(w);
	conf_unref(c);
	store_free(&s);
}

static void *wait_for_store(void *data)
{
	writer_flush(data);
	return NULL;
}

/* The same while somebody waits for room in a queue that is full. */
static void test_slow_and_full(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	uint64_t deadline;
	struct writer *w;
	struct store s;
	pthread_t waits;
	int r;

	store_new(&s);
	s.options.busy_ms = 20000;
	c->limits.queue = 64;
	start(&s, c, &seen, &w);
	assert_int_equal(db_begin(s.d), 0);
	do {
		writer_put(w, note("during"));
		writer_get_stats(w, &stats);
	} while (!stats.dropped);
	assert_int_equal(pthread_create(&waits, NULL, wait_for_store, w), 0);
	deadline = clock_mono_ns() + 5 * NSEC_PER_SEC;
	/* Who spins here keeps the other from its lock. */
	while ((r = writer_flush_within(w, 50 * NSEC_PER_MSEC)) == -EAGAIN && clock_mono_ns() < deadline)
		usleep(1000);
	/* The store still waits for its turn. */
	writer_get_stats(w, &stats);
	db_rollback(s.d);
	pthread_join(waits, NULL);
	writer_stop(w);
	/* The other's wish may be in the queue by then, which is full again behind it. */
	assert_true(r == -ETIMEDOUT || r == -EAGAIN);
	assert_false(stats.failing);
	conf_unref(c);
	store_free(&s);
}

/* A command that writes gets its turn although the monitor writes without end. */
static void test_turns(void **state _unused_)
{
	uint64_t end = clock_mono_ns() + NSEC_PER_SEC;
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer *w;
	struct store s;
	int turns = 0;

	store_new(&s);
	c->store.commit_interval = 50 * NSEC_PER_MSEC;
	start(&s, c, &seen, &w);
	while (clock_mono_ns() < end) {
		for (int i = 0; i < 200; i++)
			writer_put(w, note("load"));
		if (db_begin(s.d) == 0) {
			_cleanup_event_ struct event *e = note("turn");

			assert_int_equal(history_add(s.d, e), 0);
			assert_int_equal(db_commit(s.d), 0);
			turns++;
		}
	}
	writer_stop(w);
	assert_true(turns >= 3);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	conf_unref(c);
	store_free(&s);
}

static void fill_disk(const char *path)
{
	static char block[4096];
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	setvbuf(f, NULL, _IONBF, 0);
	memset(block, 'x', sizeof(block));
	while (fwrite(block, 1, sizeof(block), f) == sizeof(block))
		;
	for (size_t i = sizeof(block); i > 0; i /= 2)
		fwrite(block, 1, i, f);
	fclose(f);
}

static int change_rows(struct db *d, void *data)
{
	int64_t *seen = data;
	int r = db_number(d, "SELECT count(*) FROM event", seen);

	return r < 0 ? r : *seen == 10 ? -EDOM : 7;
}

/* On the writer's connection, behind what was put before; what fails is undone. */
static void test_change(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	int64_t rows = 0;
	struct writer *w;
	struct store s;

	store_new(&s);
	start(&s, c, &seen, &w);
	for (int i = 0; i < 9; i++)
		writer_put(w, note("before"));
	assert_int_equal(writer_change(w, change_rows, &rows), 7);
	assert_int_equal(rows, 9);
	writer_put(w, note("one more"));
	assert_int_equal(writer_change(w, change_rows, &rows), -EDOM);
	writer_put(w, note("after"));
	writer_flush(w);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event", &rows), 0);
	assert_int_equal(rows, 11);
	writer_stop(w);
	conf_unref(c);
	store_free(&s);
}

static void test_full_disk(void **state _unused_)
{
	uint64_t deadline = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	struct writer *w;
	struct store s;
	char path[128], other[80];
	uint64_t put = 0;
	int64_t n = 0, lost = 0;

	store_new(&s);
	store_close(&s);
	/* The key stays outside; the store lies on 16 MiB. */
	snprintf(other, sizeof(other), "%s/small", s.dir);
	assert_int_equal(mkdir(other, 0700), 0);
	if (mount("tmpfs", other, "tmpfs", 0, "size=16m,mode=700") < 0) {
		print_message("skipped: cannot mount tmpfs: %s\n", strerror(errno));
		store_free(&s);
		skip();
	}
	snprintf(s.path, sizeof(s.path), "%s/holdfast.db", other);
	s.options.key = s.key_path;
	store_open(&s, DB_CREATE);
	start(&s, c, &seen, &w);
	for (int i = 0; i < 50; i++, put++)
		writer_put(w, note("before"));
	writer_flush(w);
	snprintf(path, sizeof(path), "%s/filler", other);
	fill_disk(path);
	do {
		assert_true(clock_mono_ns() < deadline);
		for (int i = 0; i < 100; i++, put++)
			writer_put(
				w,
				note("while the disk is full: a row of some length, so that it does not fit for long"));
		usleep(1000);
		writer_get_stats(w, &stats);
	} while (!stats.failing || stats.dropped == 0);
	/* What is there can still be read and is whole. */
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event", &n), 0);
	assert_true(n >= 50);
	assert_int_equal(unlink(path), 0);
	while (stats.failing) {
		assert_true(clock_mono_ns() < deadline);
		usleep(1000);
		writer_get_stats(w, &stats);
	}
	for (int i = 0; i < 50; i++, put++)
		writer_put(w, note("after"));
	writer_flush(w);
	writer_get_stats(w, &stats);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event WHERE kind = 7", &n), 0);
	assert_int_equal(db_number(s.d, "SELECT sum(gap_lost) FROM event WHERE kind = 5 AND gap_reason = 8", &lost), 0);
	assert_true(lost > 0);
	assert_int_equal((uint64_t)(n + lost), put);
	assert_int_equal(stats.dropped, lost);
	writer_stop(w);
	if (history_verify(s.d, s.key, &s.err) != 0)
		fail_msg("%s", s.err.data);
	store_close(&s);
	assert_int_equal(umount(other), 0);
	conf_unref(c);
	store_free(&s);
}

/* More than it can take: all that is lost is in gaps, one for each second, not one each time that the queue was full. */
static void test_flood(void **state _unused_)
{
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	uint64_t began, took;
	int64_t lost, gaps;
	struct writer *w;
	struct store s;

	store_new(&s);
	c->limits.queue = 64;
	start(&s, c, &seen, &w);
	began = clock_mono_ns();
	do {
		for (int i = 0; i < 1000; i++)
			writer_put(w, note("a flood"));
		writer_get_stats(w, &stats);
	} while (clock_mono_ns() - began < NSEC_PER_SEC || !stats.dropped);
	writer_get_stats(w, &stats);
	writer_stop(w);
	took = clock_mono_ns() - began;
	assert_int_equal(db_number(s.d, "SELECT sum(gap_lost) FROM event WHERE kind = 5 AND gap_reason = 8", &lost), 0);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM event WHERE kind = 5 AND gap_reason = 8", &gaps), 0);
	assert_int_equal(lost, stats.dropped);
	assert_true((uint64_t)gaps <= took / NSEC_PER_SEC + 2);
	conf_unref(c);
	store_free(&s);
}

/* Killed at any moment: what was committed is there, and the next start knows since when nothing was written. */
static struct event *kept(struct store *s, int i, const char *content, size_t len)
{
	struct event *e = change(s, 1, "/etc/hosts", CHANGE_CHANGED);

	memcpy(e->after.digest, &i, sizeof(i));
	e->content = content;
	e->content_len = len;
	return e;
}

/* Content of files beyond the bound goes, as much at once as not to do it again for the next; what went is a gap. */
static void test_texts(void **state _unused_)
{
	enum { ALL = TEXTS_TOTAL_MAX / TEXTS_SIZE_MAX };
	char *content = calloc(1, TEXTS_SIZE_MAX);
	struct conf *c = some_conf();
	struct seen seen = { 0 };
	struct writer_stats stats;
	struct writer *w;
	struct store s;
	int64_t n = 0;

	store_new(&s);
	start(&s, c, &seen, &w);
	for (int i = 0; i < ALL; i++)
		writer_put(w, kept(&s, i, content, TEXTS_SIZE_MAX));
	/* Seen again is not kept twice. */
	writer_put(w, kept(&s, 0, content, TEXTS_SIZE_MAX));
	writer_flush(w);
	writer_get_stats(w, &stats);
	assert_int_equal(stats.texts_trimmed, 0);
	writer_put(w, kept(&s, ALL, content, TEXTS_SIZE_MAX));
	writer_flush(w);
	writer_get_stats(w, &stats);
	assert_int_equal(stats.texts_trimmed, ALL / 16 + 1);
	writer_stop(w);
	assert_int_equal(db_number(s.d, "SELECT count(*) FROM text", &n), 0);
	assert_int_equal(n, ALL - ALL / 16);
	assert_int_equal(db_number(s.d, "SELECT lost FROM gaps WHERE scope = 'diffs' AND reason = 'limit'", &n), 0);
	assert_int_equal(n, ALL / 16 + 1);
	conf_unref(c);
	store_free(&s);
	free(content);
}

static void test_killed(void **state _unused_)
{
	struct store s;

	store_new(&s);
	store_close(&s);
	for (int round = 0; round < 5; round++) {
		int pipes[2], status;
		char byte;
		uint64_t ns = 0;
		bool clean = true;
		pid_t pid;

		assert_int_equal(pipe(pipes), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			struct seen seen = { 0 };
			struct writer *w;

			start(&s, some_conf(), &seen, &w);
			writer_put(w, note("first"));
			writer_flush(w);
			if (write(pipes[1], "x", 1) != 1)
				_exit(1);
			for (;;)
				writer_put(w, note("more"));
		}
		assert_int_equal(read(pipes[0], &byte, 1), 1);
		usleep((unsigned)round * 7000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		close(pipes[0]);
		close(pipes[1]);
		store_open(&s, DB_WRITE);
		if (history_verify(s.d, s.key, &s.err) != 0)
			fail_msg("round %d: %s", round, s.err.data);
		assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
		assert_true(ns > 0);
		assert_false(clean);
		store_close(&s);
	}
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_and_flush), cmocka_unit_test(test_commits_by_time),
		cmocka_unit_test(test_bound),		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_held_lock),	cmocka_unit_test(test_slow),
		cmocka_unit_test(test_slow_and_full),	cmocka_unit_test(test_turns),
		cmocka_unit_test(test_full_disk),	cmocka_unit_test(test_killed),
		cmocka_unit_test(test_change),		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
