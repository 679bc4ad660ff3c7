/* db/history: rows come back as the events they were, status and gaps, the last state of a path. */
#include "tests/db/events.h"

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

/* A run that ends before it has said since when there was none leaves that to the next. */
static void test_down(void **state _unused_)
{
	static const uint64_t hour = 3600000000000, day = 1800000000000000000;
	struct store s;
	struct event *e;
	uint64_t ns = 1;
	bool clean = true;

	store_new(&s);
	assert_int_equal(history_begin(s.d, 0, day), 0);
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_int_equal(ns, day);
	assert_int_equal(history_begin(s.d, ns, day + hour), 0);
	add(&s, change(&s, 1, "/x", CHANGE_ADDED));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(history_alive(s.d, day + 2 * hour, i), 0);
		assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
		assert_int_equal(ns, day);
		assert_int_equal(clean, i);
	}
	e = event_new(EVENT_GAP);
	e->time = day + 3 * hour;
	e->gap_reason = GAP_DOWN;
	e->gap_scope = "monitor";
	e->gap_from = day;
	e->gap_key = 1;
	add(&s, e);
	assert_int_equal(history_last_alive(s.d, &ns, &clean), 0);
	assert_int_equal(ns, day + 2 * hour);
	store_free(&s);
}

static struct process *process_of(struct process *parent, int32_t pid, uint32_t uid, int64_t login)
{
	struct process v = { .pid = pid, .uid = uid, .parent = parent, .known = PROCESS_IDS };

	if (login >= 0) {
		v.known |= PROCESS_LOGINUID;
		v.loginuid = (uint32_t)login;
	}
	return process_new(&v);
}

static int64_t done_by(struct store *s, struct process *p, const char *path)
{
	struct event *e = change(s, 1, path, CHANGE_CHANGED);

	e->process = process_ref(p);
	return add(s, e);
}

/* What one person did: by login user through su; without one by whom it descends from, but for what root starts. */
static void test_user(void **state _unused_)
{
	struct process *init = process_of(NULL, 1, 0, -1), *daemon = process_of(init, 2, 1, -1),
		       *shell = process_of(init, 3, 65534, -1), *su = process_of(shell, 4, 0, -1),
		       *login = process_of(init, 5, 1, 1), *sudo = process_of(login, 6, 0, 1);
	struct process *all[] = { init, daemon, shell, su, login, sudo };
	static const struct {
		const char *user;
		const char *expected; /* places in all, newest first; s: the session */
	} cases[] = { { "root", "30" },	   { "0", "30" },  { "daemon", "541" },	 { "1", "541" },
		      { "nobody", "s32" }, { "eve", "s" }, { "nobody else", "" } };
	struct keep k = { .n = 0 };
	struct event *e = event_new(EVENT_SESSION);
	int64_t ids[ARRAY_SIZE(all)], session;
	struct store s;

	store_new(&s);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		ids[i] = done_by(&s, all[i], "/etc/a");
	e->time = 1;
	e->session_op = SESSION_SU;
	e->session_failed = true;
	e->user = "nobody";
	e->details = "{\"result\":\"failed\",\"account\":\"eve\",\"session\":7,\"sources\":[\"audit\",\"x\"]}";
	session = add(&s, e);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		each(&s, &(struct history_filter){ .user = cases[i].user }, &k);
		if (k.n != strlen(cases[i].expected))
			fail_msg("%s: %zu rows", cases[i].user, k.n);
		for (size_t n = 0; n < k.n; n++)
			assert_int_equal(k.ids[n],
					 cases[i].expected[n] == 's' ? session : ids[cases[i].expected[n] - '0']);
	}
	e = NULL;
	assert_int_equal(history_get(s.d, session, &e), 0);
	assert_int_equal(e->session_op, SESSION_SU);
	assert_true(e->session_failed && e->session && e->session->failed && e->session->has_session);
	assert_string_equal(e->session->account, "eve");
	assert_int_equal(e->session->sources, SESSION_BY_AUDIT);
	event_unref(e);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		process_unref(all[i]);
	keep_free(&k);
	store_free(&s);
}

static struct event *mounted(struct store *s, int64_t baseline, struct container *c, enum change what,
			     const char *cause)
{
	struct event *e = change(s, baseline, "/etc/motd", what);

	e->container = container_ref(c);
	e->cause = cause;
	e->has_after = false;
	e->status = what == CHANGE_REVERTED ? STATUS_REVERTED : STATUS_OPEN;
	return e;
}

struct standing {
	int64_t ids[8];
	char ends[8]; /* of the containers' ids */
	size_t n;
};

static int take_standing(struct event *e, void *data)
{
	struct standing *k = data;

	assert_true(k->n < ARRAY_SIZE(k->ids));
	assert_non_null(e->container);
	k->ends[k->n] = *e->container->id;
	k->ids[k->n++] = e->id;
	return 0;
}

static size_t count_standing(struct store *s, struct standing *k)
{
	k->n = 0;
	assert_int_equal(history_open_mounts(s->d, take_standing, k), 0);
	return k->n;
}

/* What is mounted in containers of one image: each its own, until it is over. */
static void test_mounted(void **state _unused_)
{
	static const char tmpfs[] = "mounted over it: tmpfs", odd[] = "mounted over it: tmpfs, /a\\x1b";
	const struct baseline_info info = { .name = "image", .kind = BASELINE_IMAGE, .root = "/", .scope = "{}" };
	_cleanup_container_ struct container *a = container_new(), *b = container_new();
	_cleanup_event_ struct event *found = NULL;
	struct standing standing;
	struct baseline_writer *w;
	int64_t image, first, second, third;
	struct store s;

	store_new(&s);
	assert_int_equal(baseline_begin(s.d, &info, false, &w), 0);
	image = store_finish(&s, w);
	a->id = "aaaa";
	b->id = "bbbb";
	assert_int_equal(history_mounted(s.d, image, "aaaa", "/etc/motd", tmpfs, NULL), -ENOENT);
	first = add(&s, mounted(&s, image, a, CHANGE_REPLACED, tmpfs));
	second = add(&s, mounted(&s, image, b, CHANGE_REPLACED, "mounted over it: tmpfs; by somebody"));
	third = add(&s, mounted(&s, image, b, CHANGE_REPLACED, odd));
	assert_int_equal(history_mounted(s.d, image, "aaaa", "/etc/motd", tmpfs, &found), 0);
	assert_int_equal(found->id, first);
	assert_int_equal(history_mounted(s.d, image, "bbbb", "/etc/motd", tmpfs, NULL), 0);
	assert_int_equal(history_mounted(s.d, image, "bbbb", "/etc/motd", odd, NULL), 0);
	assert_int_equal(history_mounted(s.d, image, "aaaa", "/etc/motd", odd, NULL), -ENOENT);
	assert_int_equal(history_mounted(s.d, image, "aaaa", "/etc/passwd", tmpfs, NULL), -ENOENT);
	assert_int_equal(history_mounted(s.d, image, "aaaa", "/etc/motd", "mounted over it: tmp", NULL), -ENOENT);
	assert_int_equal(history_mounted(s.d, image + 1, "aaaa", "/etc/motd", tmpfs, NULL), -ENOENT);
	assert_int_equal(count_standing(&s, &standing), 3);
	assert_int_equal(standing.ids[0], first);
	assert_memory_equal(standing.ends, "abb", 3);
	add(&s, mounted(&s, image, b, CHANGE_REVERTED, "gone"));
	assert_int_equal(count_standing(&s, &standing), 1);
	assert_int_equal(standing.ids[0], first);
	assert_int_equal(status_of(&s, first), STATUS_OPEN);
	assert_int_equal(status_of(&s, second), STATUS_REVERTED);
	assert_int_equal(status_of(&s, third), STATUS_REVERTED);
	assert_int_equal(history_mounted(s.d, image, "aaaa", "/etc/motd", tmpfs, NULL), 0);
	assert_int_equal(history_mounted(s.d, image, "bbbb", "/etc/motd", tmpfs, NULL), -ENOENT);
	add(&s, mounted(&s, image, a, CHANGE_REVERTED, "gone"));
	assert_int_equal(status_of(&s, first), STATUS_REVERTED);
	assert_int_equal(count_standing(&s, &standing), 0);
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alert), cmocka_unit_test(test_roundtrip), cmocka_unit_test(test_filters),
		cmocka_unit_test(test_pages), cmocka_unit_test(test_status),	cmocka_unit_test(test_last_state),
		cmocka_unit_test(test_gaps),  cmocka_unit_test(test_alive),	cmocka_unit_test(test_down),
		cmocka_unit_test(test_user),  cmocka_unit_test(test_mounted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
