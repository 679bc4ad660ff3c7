/*
 * The views, through the real sqlite3 shell: values as people know them, nothing raw from hostile names, every column
 * in the manual, and every example of the manual.
 */
#include "tests/db/store.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "db/trusted.h"
#include "event/attr.h"
#include "lib/clock.h"
#include "lib/text.h"

#define MANUAL TOP_SRCDIR "/man/holdfast-db.5"

static const char *const views[] = { "baselines", "files",   "deviations", "execs",    "unexpected_binaries",
				     "opens",	  "alerts",  "actions",	   "gaps",     "history",
				     "layers",	  "trusted", "containers", "approvals", "connections", "sessions" };

static void need_shell(void)
{
	if (system("command -v sqlite3 >/dev/null 2>&1") != 0) {
		print_message("skipped: there is no sqlite3 shell\n");
		skip();
	}
}

static void add(struct store *s, struct event *e)
{
	int r = db_begin(s->d);

	if (r == 0)
		r = history_add(s->d, e);
	if (r == 0)
		r = db_commit(s->d);
	if (r < 0)
		fail_msg("%s", db_error(s->d));
	event_unref(e);
}

/* --- files */

static const struct file_case {
	const char *columns;
	const char *expected;
	uint32_t have;
	struct record rec;
} file_cases[] = {
	{ "type, mode", "file|4755", 0, { .type = 'f', .mode = 04755 } },
	{ "type, mode", "symlink|0777", 0, { .type = 'l', .mode = 0777 } },
	{ "type, mode", "pipe|0007", 0, { .type = 'p', .mode = 07 } },
	{ "mode IS NULL, uid IS NULL, size IS NULL, mtime IS NULL, dev IS NULL, digest IS NULL",
	  "1|1|1|1|1|1",
	  ATTR_BIT(ATTR_TYPE),
	  { .type = 'f' } },
	{ "uid, gid, user", "0|0|root", 0, { .type = 'f' } },
	{ "uid, user IS NULL", "4294967294|1", 0, { .type = 'f', .uid = 4294967294u } },
	{ "ino", "9223372036854775807", 0, { .type = 'f', .ino = INT64_MAX } },
	{ "ino", "9223372036854775808", 0, { .type = 'f', .ino = 1ull << 63 } },
	{ "ino", "18446744073709551615", 0, { .type = 'f', .ino = UINT64_MAX } },
	{ "ino", "12345678901234567890", 0, { .type = 'f', .ino = 12345678901234567890ull } },
	{ "dev", "253:1", 0, { .type = 'f', .dev = 0xfd01 } },
	{ "dev", "4660:1048575", 0, { .type = 'f' } }, /* its device is set below */
	{ "rdev", "8:17", ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_RDEV), { .type = 'b', .rdev = 0x811 } },
	{ "mtime, ctime",
	  "2023-11-14T22:13:20.123456789Z|2023-11-14T22:13:21.000000000Z",
	  0,
	  { .type = 'f', .mtime = 1700000000123456789, .ctime = 1700000001000000000 } },
	{ "mtime, ctime",
	  "1969-12-31T23:59:59.999999999Z|1970-01-01T00:00:00.000000000Z",
	  0,
	  { .type = 'f', .mtime = -1, .ctime = 0 } },
	{ "mtime, ctime",
	  "1677-09-21T00:12:43.145224192Z|2262-04-11T23:47:16.854775807Z",
	  0,
	  { .type = 'f', .mtime = INT64_MIN, .ctime = INT64_MAX } },
	{ "mtime, ctime",
	  "2262-04-11T23:47:16.854775807Z|1677-09-21T00:12:43.145224192Z",
	  0,
	  { .type = 'f', .mtime = INT64_MAX, .ctime = INT64_MIN } },
	{ "ctime", "1970-01-01T00:00:02.000000000Z", ATTR_BIT(ATTR_CTIME), { .ctime = 2000000000 } },
	{ "target",
	  "../x\\x1b[2J",
	  ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_TARGET),
	  { .type = 'l', .target = "../x\x1b[2J" } },
	{ "digest", "00ff10", ATTR_BIT(ATTR_DIGEST), { .digest = { 0, 0xff, 0x10 }, .digest_len = 3 } },
	{ "flags", "i", ATTR_BIT(ATTR_FLAGS), { .flags = 0x10 } },
	{ "flags = ''", "1", ATTR_BIT(ATTR_FLAGS), { .flags = 0 } },
	{ "mime", "text/plain", ATTR_BIT(ATTR_MIME), { .mime = "text/plain" } },
	{ "mime IS NULL", "1", ATTR_BIT(ATTR_MIME), { .mime = "a\x1b" } },
	{ "unread IS NOT NULL", "1", 0, { .type = 'f', .unread = RECORD_UNSTABLE } },
};

/* For every attribute that has a text form of its own the view shows that form. */
static void compare_with_table(struct store *s, const char *name, const struct record *r)
{
	static const enum attr same[] = { ATTR_TYPE, ATTR_MODE,	  ATTR_DEV,   ATTR_INO,
					  ATTR_RDEV, ATTR_DIGEST, ATTR_FLAGS, ATTR_TARGET };

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		char sql[256];

		if (!(r->have & ATTR_BIT(same[i])))
			continue;
		buf_str(&b, "");
		attr_table[same[i]].format(&b, r);
		snprintf(sql, sizeof(sql), "SELECT %s FROM files WHERE path = '/x/%s'", attr_table[same[i]].name, name);
		if (!streq(store_shell(s->path, sql), b.data))
			fail_msg("%s of %s: %s, not %s", attr_table[same[i]].name, name, store_shell(s->path, sql),
				 b.data);
	}
}

static void test_files(void **state _unused_)
{
	struct entry entries[ARRAY_SIZE(file_cases) + 32];
	char names[ARRAY_SIZE(file_cases) + 32][16];
	size_t n = ARRAY_SIZE(file_cases);
	struct baseline_writer *w;
	struct store s;
	char sql[512];

	need_shell();
	store_new(&s);
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "case%03zu", i);
		entries[i] = (struct entry){ names[i], file_cases[i].rec };
		entries[i].rec.have = file_cases[i].have ? file_cases[i].have : RECORD_USUAL;
	}
	entries[11].rec.dev = makedev(4660, 1048575);
	/* Each inode flag by itself. */
	for (unsigned bit = 0; bit < 32; bit++, n++) {
		snprintf(names[n], sizeof(names[n]), "flag%02u", bit);
		entries[n] =
			(struct entry){ names[n],
					{ .have = ATTR_BIT(ATTR_FLAGS), .flags = 1u << bit | (bit % 2 ? 0x10 : 0) } };
	}
	w = store_begin(&s, "host", false);
	store_add(&s, w, "/x", entries, n);
	store_finish(&s, w);
	store_close(&s);
	for (size_t i = 0; i < ARRAY_SIZE(file_cases); i++) {
		snprintf(sql, sizeof(sql), "SELECT %s FROM files WHERE path = '/x/case%03zu'", file_cases[i].columns,
			 i);
		if (!streq(store_shell(s.path, sql), file_cases[i].expected))
			fail_msg("%s: %s", sql, store_shell(s.path, sql));
	}
	for (size_t i = 0; i < n; i++)
		compare_with_table(&s, entries[i].name, &entries[i].rec);
	store_free(&s);
}

/* --- names */

static struct event *named(enum event_kind kind, const char *path)
{
	struct event *e = event_new(kind);

	e->time = 1700000000000000000;
	e->path = path;
	e->baseline = "host";
	e->baseline_id = 1;
	return e;
}

/* Everything that a stranger can name, and what he could do with it on a terminal. */
static void trust_hostile(struct store *s, const char *bad, uint64_t n)
{
	char path[64];
	const struct trusted t = { .kind = TRUSTED_PATH, .path = path, .reason = bad, .added_by = bad, .added = n + 1 };
	int64_t id;

	snprintf(path, sizeof(path), "/trusted%s", bad);
	assert_int_equal(db_begin(s->d), 0);
	assert_int_equal(trusted_add(s->d, &t, &id), 0);
	assert_int_equal(trusted_remove(s->d, id, bad, bad, n + 2), 0);
	assert_int_equal(db_commit(s->d), 0);
}

static struct container *hostile_container(const char *bad)
{
	struct container *c = container_new();
	struct container_mount *mount = arena_zalloc(&c->arena, sizeof(*mount));

	mount->dest = bad;
	c->id = c->name = c->image = c->image_digest = c->image_id = c->pod = c->namespace = c->unknown = c->runtime =
		bad;
	c->labels[0] = (struct container_label){ bad, bad };
	c->n_labels = 1;
	c->mounts = mount;
	c->n_mounts = 1;
	c->have_mounts = true;
	return c;
}

static void fill_hostile(struct store *s)
{
	static const char *const bad[] = { "\x1b[2J", "\n", "\xff\xfe", "\xe2\x80\xae", "\xc2\x9b", "\x7f",
					   "\\",      "\r", "|" };
	static const uint8_t xattrs[] = "\x06\0\0\0user.\x1b\x03\0\0\0a\x1b\x7f";
	struct baseline_writer *w = store_begin(s, "host", false);
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct process v = { .known = 0xfff & ~(unsigned)PROCESS_LOGINUID,
				     .pid = 7,
				     .comm = "\x1b",
				     .tty = bad[i],
				     .cwd = bad[i] };
		_cleanup_process_ struct process *p = NULL;
		struct entry e = { bad[i], record_file(i) };
		struct event *ev;

		snprintf(path, sizeof(path), "/folder%s", bad[i]);
		e.rec.type = 'l';
		e.rec.target = bad[i];
		e.rec.mime = bad[i];
		e.rec.xattrs = xattrs;
		e.rec.xattrs_len = sizeof(xattrs) - 1;
		e.rec.have |= ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_MIME) | ATTR_BIT(ATTR_XATTRS);
		store_add(s, w, path, &e, 1);
		/* The baseline's own transaction is open: rows of history go with it. */
		v.exe = v.cgroup = path;
		v.cmdline = path;
		v.cmdline_len = (uint32_t)strlen(path) + 1;
		p = process_new(&v);
		for (unsigned k = 0; k < EVENT_KIND_COUNT; k++) {
			ev = named((enum event_kind)k, path);
			ev->path2 = ev->cause = ev->gap_scope = ev->gap_detail = ev->gap_healed = path;
			ev->reason = ev->user = ev->text = ev->process_why = path;
			ev->process = process_ref(p);
			ev->container = hostile_container(bad[i]);
			ev->until = k == EVENT_NOTE; /* an approval */
			ev->change = CHANGE_RENAMED;
			ev->has_before = ev->has_after = true;
			ev->before = ev->after = e.rec;
			ev->attributes = ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_XATTRS);
			assert_int_equal(history_add(s->d, ev), 0);
			event_unref(ev);
		}
	}
	store_finish(s, w);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		trust_hostile(s, bad[i], i);
}

/* bad: what an image says of itself. */
static void fill_image(struct store *s, const char *name, const char *bad)
{
	const struct baseline_layer layer = { bad, bad, bad, 512 };
	const struct baseline_info info = { .name = name,
					    .image_ref = bad,
					    .image_digest = bad,
					    .image_id = bad,
					    .kind = BASELINE_IMAGE,
					    .root = "/",
					    .scope = "{\"paths\":[]}",
					    .layers = &layer,
					    .n_layers = 1 };
	struct entry entry = { "etc", record_file(1) };
	struct baseline_writer *w;

	entry.rec.layer = 1;
	entry.rec.have |= ATTR_BIT(ATTR_LAYER);
	assert_int_equal(baseline_begin(s->d, &info, false, &w), 0);
	store_add(s, w, "/", &entry, 1);
	store_finish(s, w);
}

static void test_nothing_raw(void **state _unused_)
{
	struct store s;

	need_shell();
	store_new(&s);
	fill_hostile(&s);
	fill_image(&s, "image", "\x1b[2J\n\xff\xe2\x80\xae\\");
	store_close(&s);
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		char sql[128];
		const char *out;

		snprintf(sql, sizeof(sql), "SELECT * FROM %s", views[i]);
		out = store_shell(s.path, sql);
		if (!text_utf8_valid(out, strlen(out)))
			fail_msg("%s: invalid UTF-8", views[i]);
		for (const char *p = out; *p; p++)
			if ((*p != '\n' && (unsigned char)*p < 0x20) || *p == 0x7f ||
			    strncmp(p, "\xe2\x80\xae", 3) == 0 || strncmp(p, "\xc2\x9b", 2) == 0)
				fail_msg("%s: control byte %02x before: %.60s", views[i], (unsigned char)*p, p + 1);
		/* One line for each row: no newline came through, but those between the lines of a difference. */
		if (!streq(views[i], "execs") && !streq(views[i], "unexpected_binaries")) {
			size_t lines = *out ? 1 : 0;

			for (const char *p = out; *p; p++)
				lines += *p == '\n';
			snprintf(sql, sizeof(sql),
				 streq(views[i], "deviations") ? "SELECT count(*) + total(length(diff) - "
								 "length(replace(diff, char(10), ''))) FROM %s"
							       : "SELECT count(*) FROM %s",
				 views[i]);
			assert_int_equal(lines, strtoul(store_shell(s.path, sql), NULL, 10));
			assert_true(lines > 0);
		}
	}
	assert_string_equal(store_shell(s.path, "SELECT path FROM files WHERE path LIKE '%xff%'"),
			    "/folder\\xff\\xfe/\\xff\\xfe");
	assert_string_equal(store_shell(s.path, "SELECT path FROM files WHERE target = '|'"), "/folder|/|");
	store_free(&s);
}

/* --- actions lead to the alert that they answer, and back */

static struct event *answer(struct event *about, uint64_t response)
{
	struct event *e = named(EVENT_ACTION, "/a");

	e->about = about ? event_ref(about) : NULL;
	e->response = response;
	return e;
}

static int take_ids(struct event *e, void *data)
{
	char *text = data;

	sprintf(text + strlen(text), "%lld ", (long long)e->id);
	return 0;
}

static void test_answers(void **state _unused_)
{
	_cleanup_event_ struct event *cause = named(EVENT_CHANGE, "/a"), *alert = named(EVENT_ALERT, "/a"), *got = NULL;
	struct history_filter filter = { .oldest_first = true };
	char found[64] = "";
	struct store s;

	need_shell();
	store_new(&s);
	add(&s, event_ref(cause));
	alert->about = event_ref(cause);
	alert->reason = "Rule";
	add(&s, event_ref(alert));
	add(&s, answer(alert, 7)); /* as it is told */
	add(&s, answer(NULL, 7));  /* after a restart: only the number of the response is known */
	add(&s, answer(cause, 8)); /* of an older version */
	add(&s, answer(NULL, 9));  /* nothing is known */
	filter.answers = alert->id;
	assert_int_equal(history_each(s.d, &filter, take_ids, found), 0);
	filter.answers = 0;
	filter.response = 8;
	assert_int_equal(history_each(s.d, &filter, take_ids, found), 0);
	assert_int_equal(history_get(s.d, alert->id, &got), 0);
	assert_string_equal(got->reason, "Rule");
	assert_int_equal(history_get(s.d, 1000, &got), -ENOENT);
	assert_int_equal(history_get(s.d, 0, &got), -ENOENT);
	store_close(&s);
	assert_string_equal(found, "3 4 5 ");
	assert_string_equal(store_shell(s.path,
					"SELECT response, coalesce(alert, '-'), coalesce(event, '-') FROM actions "
					"ORDER BY id"),
			    "7|2|1\n7|2|1\n8|-|1\n9|-|-");
	assert_string_equal(store_shell(s.path, "SELECT actions FROM alerts"), "3 log done");
	store_free(&s);
}

/* --- words: the numbers in the tables and the words of the C tables */

static void test_words(void **state _unused_)
{
	struct store s;
	char expected[1024] = "", actions[8192] = "";

	need_shell();
	store_new(&s);
	for (unsigned i = 0; i < EVENT_KIND_COUNT; i++)
		add(&s, named((enum event_kind)i, "/kind"));
	for (unsigned i = 0; i < CHANGE_COUNT; i++) {
		struct event *e = named(EVENT_CHANGE, "/change");

		e->change = (enum change)i;
		e->baseline_id = 2;
		add(&s, e);
	}
	for (unsigned i = 0; i < GAP_REASON_COUNT; i++) {
		struct event *e = named(EVENT_GAP, "/gap");

		e->gap_reason = (enum gap_reason)i;
		add(&s, e);
	}
	for (unsigned i = 0; i < STATUS_COUNT; i++) {
		struct event *e = named(EVENT_CHANGE, "/status");

		e->status = (enum deviation_status)i;
		add(&s, e);
	}
	/* A library is no start, and not in that view. */
	for (unsigned i = 0; i < EXEC_VERDICT_COUNT * EXEC_TYPE_LIBRARY; i++) {
		struct event *e = named(EVENT_EXEC, "/exec");

		e->verdict = (enum exec_verdict)(i / EXEC_TYPE_LIBRARY);
		e->exec_type = (enum exec_type)(i % EXEC_TYPE_LIBRARY);
		e->exec_ns = i * 1000;
		add(&s, e);
	}
	for (unsigned i = 0; i < ACTION_COUNT * RESULT_COUNT; i++) {
		struct event *e = named(EVENT_ACTION, "/action");

		e->action = (enum action_kind)(i / RESULT_COUNT);
		e->result = (enum action_result)(i % RESULT_COUNT);
		e->response = i + 1;
		add(&s, e);
	}
	store_close(&s);
	for (unsigned i = 0; i < ACTION_COUNT * RESULT_COUNT; i++)
		sprintf(actions + strlen(actions), "%s%s|%s|%u|%s", i ? "\n" : "", action_names[i / RESULT_COUNT],
			action_result_names[i % RESULT_COUNT], i + 1, action_names[i / RESULT_COUNT]);
	assert_string_equal(store_shell(s.path,
					"SELECT a.action, a.result, a.response, h.what FROM actions a JOIN history h "
					"USING (id) WHERE a.path = '/action' ORDER BY id"),
			    actions);
	for (unsigned i = 0; i < EXEC_VERDICT_COUNT * EXEC_TYPE_LIBRARY; i++)
		sprintf(expected + strlen(expected), "%s%s|%s|%u", i ? "\n" : "",
			exec_verdict_names[i / EXEC_TYPE_LIBRARY], exec_type_names[i % EXEC_TYPE_LIBRARY], i);
	assert_string_equal(store_shell(s.path, "SELECT verdict, type, coalesce(duration_us, 0) FROM execs WHERE path "
						"= '/exec' ORDER BY id"),
			    expected);
	expected[0] = '\0';
	for (unsigned i = 0; i < EVENT_KIND_COUNT; i++)
		sprintf(expected + strlen(expected), "%s%s", i ? "\n" : "", event_kind_names[i]);
	assert_string_equal(store_shell(s.path, "SELECT kind FROM history WHERE path = '/kind' ORDER BY id"), expected);
	expected[0] = '\0';
	for (unsigned i = 0; i < CHANGE_COUNT; i++)
		sprintf(expected + strlen(expected), "%s%s", i ? "\n" : "", change_names[i]);
	assert_string_equal(store_shell(s.path, "SELECT what FROM history WHERE path = '/change' ORDER BY id"),
			    expected);
	expected[0] = '\0';
	for (unsigned i = 0; i < STATUS_COUNT; i++)
		sprintf(expected + strlen(expected), "%s%s", i ? "\n" : "", status_names[i]);
	assert_string_equal(store_shell(s.path, "SELECT status FROM deviations WHERE path = '/status' ORDER BY id"),
			    expected);
	expected[0] = '\0';
	for (unsigned i = 0; i < GAP_REASON_COUNT; i++)
		sprintf(expected + strlen(expected), "%s%s", i ? "\n" : "", gap_reason_names[i]);
	assert_string_equal(store_shell(s.path, "SELECT reason FROM gaps WHERE id > 8 ORDER BY id"), expected);
	for (unsigned i = 0; i < DIGEST_ALGO_COUNT; i++) {
		struct baseline_info info = {
			.name = digest_table[i].name, .root = "/", .scope = "{}", .algo = (enum digest_algo)i
		};
		struct baseline_writer *w;

		store_open(&s, DB_WRITE);
		info.kind = (enum baseline_kind)(i % 3);
		assert_int_equal(baseline_begin(s.d, &info, false, &w), 0);
		store_finish(&s, w);
		store_close(&s);
	}
	assert_string_equal(store_shell(s.path, "SELECT count(*) FROM baselines WHERE algorithm = name"), "4");
	assert_string_equal(store_shell(s.path, "SELECT group_concat(kind) FROM baselines"), "host,tree,image,host");
	store_free(&s);
}

static void test_deviation_row(void **state _unused_)
{
	struct process v = { .known = PROCESS_EXE | PROCESS_CMDLINE | PROCESS_IDS | PROCESS_PPID | PROCESS_LOGINUID,
			     .pid = 12,
			     .ppid = 3,
			     .exe = "/usr/bin/vim",
			     .cmdline = "vim\0/etc/passwd",
			     .cmdline_len = 16 };
	struct event *e = named(EVENT_CHANGE, "/etc/passwd");
	struct store s;

	need_shell();
	store_new(&s);
	e->change = CHANGE_CHANGED;
	e->attributes = ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_SIZE);
	e->has_before = e->has_after = true;
	e->before = record_file(1);
	e->after = record_file(2);
	e->after.mode = 04755;
	e->process = process_new(&v);
	add(&s, e);
	store_close(&s);
	assert_string_equal(
		store_shell(s.path, "SELECT time, baseline, path, change, attributes, json_extract(before, '$.mode'), "
				    "json_extract(after, '$.mode'), json_extract(after, '$.size'), pid, ppid, exe, "
				    "cmdline, uid, user, "
				    "login_user, status FROM deviations"),
		"2023-11-14T22:13:20.000Z|host|/etc/passwd|changed|mode,size|0644|4755|102|12|3|/usr/bin/vim|vim "
		"/etc/passwd|0|root|root|open");
	store_free(&s);
}

/* --- the manual */

static char *read_manual(void)
{
	FILE *f = fopen(MANUAL, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(f);
	assert_true(fread(text, 1, (1 << 20) - 1, f) > 1000);
	fclose(f);
	return text;
}

/* Columns that the manual gives a view, as ",a,b,". */
static void manual_columns(const char *manual, const char *view, struct buf *ret)
{
	char start[64];
	const char *p, *end;

	snprintf(start, sizeof(start), "\n.Ss %s\n", view);
	p = strstr(manual, start);
	if (!p)
		fail_msg("the manual has no view %s", view);
	p += strlen(start);
	end = strstr(p, "\n.El");
	buf_char(ret, ',');
	while ((p = strstr(p, "\n.It Va ")) && p < end) {
		const char *line_end = strchr(p + 1, '\n');

		for (p += strlen("\n.It Va "); p < line_end; p++)
			if (*p != ' ')
				buf_char(ret, *p);
		buf_char(ret, ',');
	}
}

static void test_manual_columns(void **state _unused_)
{
	char *manual = read_manual();
	struct store s;

	need_shell();
	store_new(&s);
	store_close(&s);
	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		_cleanup_buf_ struct buf documented = BUF_INIT;
		char sql[128], *name, *save = NULL;
		size_t n = 0, commas = 0;

		manual_columns(manual, views[i], &documented);
		snprintf(sql, sizeof(sql), "SELECT name FROM pragma_table_info('%s')", views[i]);
		for (name = strtok_r((char *)store_shell(s.path, sql), "\n", &save); name;
		     name = strtok_r(NULL, "\n", &save), n++) {
			char word[80];

			snprintf(word, sizeof(word), ",%s,", name);
			if (!strstr(documented.data, word))
				fail_msg("%s.%s is not in the manual", views[i], name);
		}
		for (const char *p = documented.data; *p; p++)
			commas += *p == ',';
		if (commas != n + 1)
			fail_msg("the manual has columns that %s has not: %s", views[i], documented.data);
	}
	free(manual);
	store_free(&s);
}

static void fill_examples(struct store *s)
{
	struct process v = { .known = PROCESS_EXE | PROCESS_IDS | PROCESS_LOGINUID,
			     .pid = 12,
			     .exe = "/usr/bin/vim",
			     .loginuid = 1000 };
	struct event *e;

	store_small(s, "host", false);
	fill_image(s, "tiny", "COPY etc");
	e = named(EVENT_CHANGE, "/etc/passwd");
	e->time = 1769860800000000000; /* 2026-01-31T12:00 */
	e->change = CHANGE_CHANGED;
	e->attributes = ATTR_BIT(ATTR_DIGEST);
	e->has_before = e->has_after = true;
	e->before = record_file(1);
	e->after = record_file(2);
	e->process = process_new(&v);
	add(s, e);
	e = named(EVENT_CHANGE, "/etc/motd");
	e->status = STATUS_EXCUSED;
	e->cause = "approval 1 by alice until 2026-02-01T00:00:00Z: ticket 8";
	add(s, e);
	e = named(EVENT_OPEN, "/etc/shadow");
	e->process = process_new(&v);
	add(s, e);
	e = named(EVENT_GAP, NULL);
	e->gap_from = e->time;
	add(s, e);
	e = named(EVENT_ACCEPT, "/etc/other");
	e->reason = "ticket 7";
	e->user = "root";
	add(s, e);
}

/* Each block behind a line '.\" query', through the shell, on a database that has something of everything. */
static void test_manual_queries(void **state _unused_)
{
	static const char *const empty_ok[] = { "caps IS NOT NULL", "unread IS NOT NULL", "copies > 1" };
	char *manual = read_manual(), *p = manual;
	struct store s;
	size_t n = 0;

	need_shell();
	store_new(&s);
	fill_examples(&s);
	store_close(&s);
	while ((p = strstr(p, "\n.\\\" query\n.Bd "))) {
		char *query = strchr(p + strlen("\n.\\\" query\n"), '\n') + 1;
		char *end = strstr(query, "\n.Ed");
		char path[128], command[512], out[4096];
		bool may_be_empty = false;
		size_t got;
		FILE *f;

		assert_non_null(end);
		*end = '\0';
		snprintf(path, sizeof(path), "%s/query.sql", s.dir);
		f = fopen(path, "w");
		fputs(query, f);
		fclose(f);
		snprintf(command, sizeof(command), "sqlite3 -batch -bail -readonly %s < %s 2>&1", s.path, path);
		f = popen(command, "r");
		got = fread(out, 1, sizeof(out) - 1, f);
		out[got] = '\0';
		if (pclose(f) != 0)
			fail_msg("%s\n%s", query, out);
		for (size_t i = 0; i < ARRAY_SIZE(empty_ok); i++)
			may_be_empty |= strstr(query, empty_ok[i]) != NULL;
		if (!may_be_empty && got == 0)
			fail_msg("no row: %s", query);
		p = end + 1;
		n++;
	}
	assert_true(n >= 10);
	free(manual);
	store_free(&s);
}

/* The shell reads while the monitor writes. */
static void test_beside_writer(void **state _unused_)
{
	struct store s;

	need_shell();
	store_new(&s);
	store_small(&s, "host", false);
	assert_int_equal(db_begin(s.d), 0);
	assert_int_equal(db_exec(s.d, "INSERT INTO meta VALUES ('x', 1)"), 0);
	assert_string_equal(store_shell(s.path, "SELECT count(*) FROM files"), "135");
	assert_int_equal(db_commit(s.d), 0);
	assert_string_equal(store_shell(s.path, "SELECT name, kind, root, state, files FROM baselines"),
			    "host|host|/|signed|135");
	store_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	       cmocka_unit_test(test_nothing_raw),
		cmocka_unit_test(test_answers),	       cmocka_unit_test(test_words),
		cmocka_unit_test(test_deviation_row),  cmocka_unit_test(test_manual_columns),
		cmocka_unit_test(test_manual_queries), cmocka_unit_test(test_beside_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
