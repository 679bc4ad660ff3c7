/* db/history: rows come back as the events they were, status and gaps, the last state of a path, and what verify finds.
 */
#include "tests/db/store.h"

#include <sys/wait.h>

#include "lib/clock.h"

static struct event *change(struct store *s _unused_, int64_t baseline, const char *path, enum change c)
{
	struct event *e = event_new(EVENT_CHANGE);

	e->time = 1700000000000000000u + 1000000u * (unsigned)c;
	e->boot_time = 55;
	e->path = arena_strdup(&e->arena, path);
	e->baseline = "host";
	e->baseline_id = baseline;
	e->change = c;
	e->has_before = c != CHANGE_ADDED;
	e->has_after = c != CHANGE_REMOVED;
	e->before = record_file(1);
	e->after = record_file(2);
	if (e->has_before && e->has_after)
		e->attributes = ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_SIZE);
	return e;
}

static int64_t add(struct store *s, struct event *e)
{
	int64_t id;
	int r = db_begin(s->d);

	if (r == 0)
		r = history_add(s->d, e);
	if (r == 0)
		r = db_commit(s->d);
	if (r < 0)
		fail_msg("history_add: %d %s", r, db_error(s->d));
	id = e->id;
	event_unref(e);
	return id;
}

static int64_t accept(struct store *s, int64_t baseline, const char *path, int64_t ref, uint64_t until)
{
	struct event *e = event_new(EVENT_ACCEPT);

	e->time = clock_real_ns();
	e->path = path;
	e->baseline = "host";
	e->baseline_id = baseline;
	e->status = STATUS_ACCEPTED;
	e->reason = "ticket 7\n\x1b[2J";
	e->user = "root";
	e->ref = ref;
	e->until = until;
	return add(s, e);
}

/* --- round trip */

static int copy_alert(struct event *e, void *data)
{
	*(struct event **)data = event_ref(e);
	return 0;
}

static void test_alert(void **state _unused_)
{
	struct history_filter filter = { .kinds = 1u << EVENT_ALERT };
	_cleanup_event_ struct event *cause = NULL, *back = NULL;
	struct event *e = event_new(EVENT_ALERT);
	struct store s;

	store_new(&s);
	cause = change(&s, 1, "/etc/passwd", CHANGE_CHANGED);
	add(&s, event_ref(cause));
	e->time = 1700000000000000000u;
	e->path = "/etc/passwd";
	e->reason = "A rule";
	e->text = "output";
	e->details = "{\"uuid\":\"u\",\"tags\":[\"a\"]}";
	e->priority = PRIORITY_NOTICE;
	e->repeated = true;
	e->count = 3;
	e->about = event_ref(cause);
	add(&s, e);
	assert_int_equal(history_each(s.d, &filter, copy_alert, &back), 0);
	assert_non_null(back);
	assert_int_equal(back->ref, cause->id);
	assert_string_equal(back->reason, "A rule");
	assert_string_equal(back->text, "output");
	assert_string_equal(back->details, "{\"uuid\":\"u\",\"tags\":[\"a\"]}");
	assert_int_equal(back->priority, PRIORITY_NOTICE);
	assert_true(back->repeated);
	assert_int_equal(back->count, 3);
	store_free(&s);
}

static struct process *some_process(int depth)
{
	static const char cmdline[] = "vim\0/etc/a b\0\x1b[31m";
	_cleanup_process_ struct process *parent = depth > 0 ? some_process(depth - 1) : NULL;
	struct process v = {
		.known = PROCESS_START | PROCESS_PPID | PROCESS_EXE | PROCESS_CMDLINE | PROCESS_CWD | PROCESS_IDS |
			 PROCESS_TTY | PROCESS_CGROUP | PROCESS_COMM | PROCESS_SESSION,
		.pid = 100 + depth,
		.ppid = 99 + depth,
		.start_ns = 5000 + (unsigned)depth,
		.exec_count = 2,
		.euid = 33,
		.session = 4,
		.comm = "vim",
		.exe = depth % 2 ? "/usr/bin/vim" : "/tmp/\xff\x1b",
		.cmdline = cmdline,
		.cmdline_len = sizeof(cmdline),
		.cwd = "/root",
		.tty = "pts/0",
		.cgroup = "/user.slice",
		.parent = parent,
		.depth = (unsigned)depth,
	};

	if (depth == 0)
		v.known &= ~(unsigned)(PROCESS_EXE | PROCESS_CMDLINE | PROCESS_IDS);
	return process_new(&v);
}

#define KEEP 64
struct keep {
	char *json[KEEP];
	int64_t ids[KEEP];
	enum deviation_status status[KEEP];
	size_t n;
};

static int keep(struct event *e, void *data)
{
	struct keep *k = data;
	json_t *json = event_json(e);

	assert_true(k->n < KEEP);
	k->json[k->n] = json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(1));
	k->ids[k->n] = e->id;
	k->status[k->n++] = e->status;
	json_decref(json);
	return 0;
}

static void keep_free(struct keep *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->json[i]);
	k->n = 0;
}

static void each(struct store *s, const struct history_filter *f, struct keep *k)
{
	keep_free(k);
	if (history_each(s->d, f, keep, k) != 0)
		fail_msg("history_each: %s", db_error(s->d));
}

static void test_roundtrip(void **state _unused_)
{
	const struct history_filter all = { .oldest_first = true };
	struct keep before = { .n = 0 }, after = { .n = 0 };
	struct event *events[6];
	struct store s;
	int64_t base;

	store_new(&s);
	base = store_small(&s, "host", false);
	events[0] = change(&s, base, "/etc/a\x1b\n\xff", CHANGE_CHANGED);
	events[0]->process = some_process(5);
	events[0]->cause = "rescan after queue overflow";
	events[1] = change(&s, base, "/etc/new", CHANGE_ADDED);
	events[1]->process_why = "found by rescan";
	events[2] = change(&s, base, "/etc/b", CHANGE_RENAMED);
	events[2]->path2 = "/etc/\xc3\xa9";
	events[2]->process = process_ref(events[0]->process);
	events[3] = event_new(EVENT_OPEN);
	events[3]->time = 1;
	events[3]->path = "/etc/shadow";
	events[3]->count = 17;
	events[3]->process = process_ref(events[0]->process->parent);
	events[4] = event_new(EVENT_GAP);
	events[4]->time = events[4]->gap_from = 2;
	events[4]->gap_reason = GAP_QUEUE_OVERFLOW;
	events[4]->gap_scope = "/etc/\x07";
	events[4]->gap_lost = UINT32_MAX;
	events[5] = event_new(EVENT_NOTE);
	events[5]->time = 3;
	events[5]->text = "note";
	assert_int_equal(db_begin(s.d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		assert_int_equal(history_add(s.d, events[i]), 0);
	assert_int_equal(db_commit(s.d), 0);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		keep(events[i], &before);
		event_unref(events[i]);
	}
	each(&s, &all, &after);
	assert_int_equal(after.n, 1 + before.n); /* the note about the baseline comes first */
	for (size_t i = 0; i < before.n; i++)
		assert_string_equal(after.json[1 + i], before.json[i]);
	/* Parents were stored once: five ancestors and the process. */
	assert_string_equal((store_close(&s), store_shell(s.path, "SELECT count(*) FROM process")), "6");
	store_open(&s, DB_READ);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	keep_free(&before);
	keep_free(&after);
	store_free(&s);
}

static void test_filters(void **state _unused_)
{
	static const char *const paths[] = { "/etc/a", "/etc/a/x", "/etc/ab", "/usr/bin/x", "/etc/b" };
	static const struct {
		struct history_filter f;
		const char *expected; /* places in paths, in order */
	} cases[] = {
		{ { .kinds = 1 }, "43210" },
		{ { .kinds = 1, .oldest_first = true }, "01234" },
		{ { .kinds = 1, .limit = 2 }, "43" },
		{ { .kinds = 1, .limit = 2, .oldest_first = true }, "01" },
		{ { .path = "/etc/a" }, "10" },
		{ { .path = "/etc" }, "4210" },
		{ { .path = "/", .kinds = 1 }, "43210" },
		{ { .path = "/etc/*" }, "420" },
		{ { .path = "/**/x" }, "31" },
		{ { .path = "/nowhere" }, "" },
		{ { .since = 1003 }, "43" },
		{ { .until = 1002 }, "10" },
		{ { .since = 1001, .until = 1003 }, "21" },
		{ { .baseline = "host", .kinds = 1 }, "43210" },
		{ { .baseline = "none" }, "" },
		{ { .pid = 103 }, "3" },
		{ { .pid = 9999 }, "" },
		{ { .kinds = 1u << EVENT_GAP }, "" },
	};
	struct keep k = { .n = 0 };
	struct store s;
	int64_t ids[5];

	store_new(&s);
	for (int i = 0; i < 5; i++) {
		struct event *e = change(&s, 77, paths[i], CHANGE_CHANGED);

		e->time = 1000 + (unsigned)i;
		if (i == 3)
			e->process = some_process(3);
		ids[i] = add(&s, e);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct history_filter f = cases[i].f;

		each(&s, &f, &k);
		if (k.n != strlen(cases[i].expected))
			fail_msg("case %zu: %zu rows", i, k.n);
		for (size_t n = 0; n < k.n; n++)
			assert_int_equal(k.ids[n], ids[cases[i].expected[n] - '0']);
		f.after_id = ids[2];
		each(&s, &f, &k);
		for (size_t n = 0; n < k.n; n++)
			assert_true(k.ids[n] > ids[2]);
	}
	keep_free(&k);
	store_free(&s);
}

static int count_event(struct event *e _unused_, void *data)
{
	return ++*(int *)data == 700 ? 5 : 0;
}

/* More rows than a page, and a callback that ends the loop with its own result. */
static void test_pages(void **state _unused_)
{
	struct history_filter f = { .oldest_first = true };
	struct store s;
	int n = 0;

	store_new(&s);
	assert_int_equal(db_begin(s.d), 0);
	for (int i = 0; i < 1000; i++) {
		_cleanup_event_ struct event *e = change(&s, 1, "/x", CHANGE_CHANGED);

		assert_int_equal(history_add(s.d, e), 0);
	}
	assert_int_equal(db_commit(s.d), 0);
	assert_int_equal(history_each(s.d, &f, count_event, &n), 5);
	assert_int_equal(n, 700);
	n = 1000;
	f.oldest_first = false;
	assert_int_equal(history_each(s.d, &f, count_event, &n), 0);
	assert_int_equal(n, 2000);
	n = 0;
	f.limit = 600;
	assert_int_equal(history_each(s.d, &f, count_event, &n), 0);
	assert_int_equal(n, 600);
	store_free(&s);
}

/* --- status */

static enum deviation_status status_of(struct store *s, int64_t id)
{
	const struct history_filter f = { .after_id = id - 1, .oldest_first = true, .limit = 1 };
	struct keep k = { .n = 0 };
	enum deviation_status status;

	each(s, &f, &k);
	assert_int_equal(k.n, 1);
	assert_int_equal(k.ids[0], id);
	status = k.status[0];
	keep_free(&k);
	return status;
}

static size_t open_count(struct store *s)
{
	const struct history_filter f = { .open_only = true };
	struct keep k = { .n = 0 };
	size_t n;

	each(s, &f, &k);
	n = k.n;
	keep_free(&k);
	return n;
}

static void test_status(void **state _unused_)
{
	uint64_t now = clock_real_ns();
	struct store s;
	struct event *e;
	int64_t base, a1, a2, b, c, d, other;

	store_new(&s);
	base = store_small(&s, "host", false);
	a1 = add(&s, change(&s, base, "/etc/a", CHANGE_CHANGED));
	a2 = add(&s, change(&s, base, "/etc/a", CHANGE_ATTRIBUTES));
	b = add(&s, change(&s, base, "/etc/b", CHANGE_REMOVED));
	other = add(&s, change(&s, base + 1, "/etc/b", CHANGE_REMOVED));
	e = change(&s, base, "/etc/c", CHANGE_REPLACED);
	e->status = STATUS_EXCUSED;
	c = add(&s, e);
	assert_int_equal(open_count(&s), 4);
	assert_int_equal(status_of(&s, c), STATUS_EXCUSED);

	accept(&s, base, "/etc/a", a1, 0);
	assert_int_equal(status_of(&s, a1), STATUS_ACCEPTED);
	assert_int_equal(status_of(&s, a2), STATUS_OPEN);
	accept(&s, base, "/etc/a", 0, now - 50 * NSEC_PER_MSEC);
	assert_int_equal(status_of(&s, a2), STATUS_OPEN);
	accept(&s, base, "/etc/a", 0, now + 3600 * NSEC_PER_SEC);
	assert_int_equal(status_of(&s, a2), STATUS_ACCEPTED);

	add(&s, change(&s, base, "/etc/b", CHANGE_REVERTED));
	assert_int_equal(status_of(&s, b), STATUS_REVERTED);
	assert_int_equal(status_of(&s, other), STATUS_OPEN);
	d = add(&s, change(&s, base, "/etc/b", CHANGE_REMOVED));
	assert_int_equal(status_of(&s, d), STATUS_OPEN);
	assert_int_equal(open_count(&s), 2);

	/* A new baseline of that name ends what was open against the old one. */
	store_small(&s, "host", true);
	assert_int_equal(status_of(&s, d), STATUS_ACCEPTED);
	assert_int_equal(status_of(&s, other), STATUS_OPEN);
	assert_int_equal(history_verify(s.d, s.key, &s.err), 0);
	store_free(&s);
}

static void check_state(struct store *s, int64_t base, const char *path, int expected, bool exists)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct record r;
	bool got = !exists;
	int rc = history_last_state(s->d, base, path, &a, &got, &r);

	if (rc != expected)
		fail_msg("%s: %d", path, rc);
	if (rc == 0) {
		assert_int_equal(got, exists);
		if (exists)
			assert_int_equal(r.size, record_file(2).size);
	}
}

static void test_last_state(void **state _unused_)
{
	struct store s;
	struct event *e;
	int64_t base, id;

	store_new(&s);
	base = store_small(&s, "host", false);
	check_state(&s, base, "/etc/a", -ENOENT, false);
	id = add(&s, change(&s, base, "/etc/a", CHANGE_CHANGED));
	check_state(&s, base, "/etc/a", 0, true);
	check_state(&s, base + 1, "/etc/a", -ENOENT, true);
	add(&s, change(&s, base, "/etc/a", CHANGE_REMOVED));
	check_state(&s, base, "/etc/a", 0, false);
	accept(&s, base, "/etc/a", id, 0);
	check_state(&s, base, "/etc/a", 0, false);
	accept(&s, base, "/etc/a", 0, UINT64_C(9000000000000000000));
	check_state(&s, base, "/etc/a", 0, false);
	accept(&s, base, "/etc/a", 0, 0);
	check_state(&s, base, "/etc/a", -ENOENT, false);
	add(&s, change(&s, base, "/etc/a", CHANGE_ADDED));
	check_state(&s, base, "/etc/a", 0, true);
	add(&s, change(&s, base, "/etc/a", CHANGE_TRANSIENT));
	check_state(&s, base, "/etc/a", 0, true);
	add(&s, change(&s, base, "/etc/a", CHANGE_REVERTED));
	check_state(&s, base, "/etc/a", 0, true);

	e = change(&s, base, "/etc/b", CHANGE_RENAMED);
	e->path2 = "/etc/z";
	add(&s, e);
	check_state(&s, base, "/etc/b", 0, false);
	check_state(&s, base, "/etc/z", 0, true);
	add(&s, change(&s, base, "/etc/z", CHANGE_REMOVED));
	check_state(&s, base, "/etc/z", 0, false);
	store_free(&s);
}

/* --- gaps */

static int64_t gap(struct store *s, uint64_t key, uint64_t from, uint64_t to, const char *healed)
{
	struct event *e = event_new(EVENT_GAP);

	e->time = to ? to : from;
	e->gap_reason = GAP_QUEUE_OVERFLOW;
	e->gap_scope = "/etc";
	e->gap_from = from;
	e->gap_to = to;
	e->gap_key = key;
	e->gap_healed = healed;
	return add(s, e);
}

static int count_gap(struct event *e, void *data)
{
	assert_int_equal(e->kind, EVENT_GAP);
	++*(int *)data;
	return 0;
}

static void test_gaps(void **state _unused_)
{
	struct store s;
	int n = 0;

	store_new(&s);
	gap(&s, 1, 1000000000, 0, NULL);
	gap(&s, 2, 2000000000, 0, NULL);
	gap(&s, 1, 3000000000, 0, NULL); /* a later run with the same key */
	gap(&s, 1, 1000000000, 5000000000, "rescan: 3 changes found");
	gap(&s, 0, 6000000000, 7000000000, "stands alone");
	assert_int_equal(history_open_gaps(s.d, count_gap, &n), 0);
	assert_int_equal(n, 2);
	store_close(&s);
	assert_string_equal(
		store_shell(
			s.path,
			"SELECT started, ended, duration_ms, reason, scope, healed_by, state FROM gaps ORDER BY id"),
		"1970-01-01T00:00:01.000Z|1970-01-01T00:00:05.000Z|4000|queue-overflow|/etc|rescan: 3 changes "
		"found|closed\n"
		"1970-01-01T00:00:02.000Z|||queue-overflow|/etc||open\n"
		"1970-01-01T00:00:03.000Z|||queue-overflow|/etc||open\n"
		"1970-01-01T00:00:06.000Z|1970-01-01T00:00:07.000Z|1000|queue-overflow|/etc|stands alone|closed");
	store_free(&s);
}

static void test_alive(void **state _unused_)
{
	struct store s;
	uint64_t ns = 1;
	bool clean = true;

	store_new(&s);
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_int_equal(ns, 0);
	assert_int_equal(history_alive(s.d, 500, false), 0);
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_int_equal(ns, 500);
	assert_false(clean);
	add(&s, change(&s, 1, "/x", CHANGE_ADDED));
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_int_equal(ns, 1700000000000000000);
	assert_int_equal(history_alive(s.d, 1800000000000000000, true), 0);
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_int_equal(ns, 1800000000000000000);
	assert_true(clean);
	store_free(&s);
}

/* --- the chain */

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
		cmocka_unit_test(test_alert),	       cmocka_unit_test(test_roundtrip),
		cmocka_unit_test(test_filters),	       cmocka_unit_test(test_pages),
		cmocka_unit_test(test_status),	       cmocka_unit_test(test_last_state),
		cmocka_unit_test(test_gaps),	       cmocka_unit_test(test_alive),
		cmocka_unit_test(test_tampering),      cmocka_unit_test(test_head_file),
		cmocka_unit_test(test_older_baseline), cmocka_unit_test(test_no_key_and_rollback),
		cmocka_unit_test(test_killed_writers), cmocka_unit_test(test_verify_beside_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
