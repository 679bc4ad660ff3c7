/* event/event, event_json, event_line: names, counts, keys, lines. */
#include "tests/test.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "event/event.h"
#include "event/json.h"

#define NOON 1769860800123456789ULL /* 2026-01-31T12:00:00.123456789Z */

static void test_names(void **state _unused_)
{
	enum event_kind kind;

	for (unsigned i = 0; i < EVENT_KIND_COUNT; i++) {
		assert_int_equal(event_kind_by_name(event_kind_names[i], &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_int_equal(event_kind_by_name("nope", &kind), -EINVAL);
	for (unsigned i = 0; i < CHANGE_COUNT; i++)
		assert_non_null(change_names[i]);
	for (unsigned i = 0; i < STATUS_COUNT; i++)
		assert_non_null(status_names[i]);
	for (unsigned i = 0; i < GAP_REASON_COUNT; i++)
		assert_non_null(gap_reason_names[i]);
}

static struct process *vim(void)
{
	const struct process values = { .known = PROCESS_EXE | PROCESS_IDS | PROCESS_LOGINUID | PROCESS_TTY,
					.pid = 1234,
					.exe = "/usr/bin/vim",
					.uid = 0,
					.loginuid = 4000000000,
					.tty = "pts/0" };

	return process_new(&values);
}

static struct event *changed(void)
{
	struct event *e = event_new(EVENT_CHANGE);

	e->time = NOON;
	e->path = "/etc/passwd";
	e->change = CHANGE_CHANGED;
	e->attributes = ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
	e->has_before = e->has_after = true;
	e->before = (struct record){ .have = ATTR_ALL, .type = 'f', .size = 1, .digest_len = 2, .digest = { 1, 2 } };
	e->after = e->before;
	e->after.size = 2;
	e->after.digest[0] = 3;
	e->baseline = "host";
	e->id = 7;
	e->process = vim();
	return e;
}

static void assert_line(const struct event *e, bool colour, const char *want)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	event_line(&b, e, colour);
	assert_string_equal(b.data, want);
}

static void assert_json(const struct event *e, const char *want)
{
	json_t *o = event_json(e), *wanted = json_loads(want, 0, NULL);
	char *text = json_dumps(o, JSON_COMPACT);

	assert_non_null(wanted);
	if (!json_equal(o, wanted))
		fail_msg("%s, not %s", text, want);
	free(text);
	json_decref(wanted);
	json_decref(o);
}

static void test_change(void **state _unused_)
{
	_cleanup_event_ struct event *e = changed();

	assert_line(e, false,
		    "12:00:00.123  changed     /etc/passwd                   size 1 -> 2, digest  "
		    "by vim[1234] root (login uid 4000000000) on pts/0");
	assert_line(e, true,
		    "12:00:00.123  \x1b[33mchanged\x1b[0m     /etc/passwd                   size 1 -> 2, digest  "
		    "by vim[1234] root (login uid 4000000000) on pts/0");
	assert_json(e, "{\"time\":\"2026-01-31T12:00:00.123456789Z\",\"kind\":\"change\",\"id\":7,"
		       "\"path\":\"/etc/passwd\",\"change\":\"changed\",\"status\":\"open\","
		       "\"attributes\":[\"size\",\"digest\"],\"before\":{\"size\":1,\"digest\":\"0102\"},"
		       "\"after\":{\"size\":2,\"digest\":\"0302\"},\"digest\":\"0302\","
		       "\"process\":{\"pid\":1234,\"exe\":\"/usr/bin/vim\",\"uid\":0,\"gid\":0,\"user\":\"root\","
		       "\"loginuid\":4000000000,\"tty\":\"pts/0\"},\"baseline\":\"host\"}");
}

static void test_variants(void **state _unused_)
{
	_cleanup_event_ struct event *e = changed();

	process_unref(e->process);
	e->process = NULL;
	e->process_why = "found by rescan";
	e->path = "/a\n\x1b[31m\xe2\x80\xae";
	e->path2 = "/b";
	e->change = CHANGE_RENAMED;
	e->attributes = 0;
	e->status = STATUS_EXCUSED;
	e->cause = "package vim 9.1";
	e->count = 3;
	assert_line(e, false,
		    "12:00:00.123  renamed     /a\\n\\x1b[31m\\u{202e} -> /b    [excused]  x3  by ? (found by rescan)  "
		    "(package vim 9.1)");
	e->has_before = e->has_after = false;
	assert_json(e, "{\"time\":\"2026-01-31T12:00:00.123456789Z\",\"kind\":\"change\",\"id\":7,"
		       "\"path\":\"/a\\n\\u001b[31m\xe2\x80\xae\",\"path2\":\"/b\",\"change\":\"renamed\","
		       "\"status\":\"excused\",\"cause\":\"package vim 9.1\",\"count\":3,"
		       "\"process_unknown\":\"found by rescan\",\"baseline\":\"host\"}");
}

/* Added: the whole record. Not UTF-8: escaped and raw. */
static void test_added(void **state _unused_)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);

	e->time = NOON;
	e->path = "/x\xff";
	e->change = CHANGE_ADDED;
	e->has_after = true;
	e->after = (struct record){ .have = ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE), .type = 'f', .mode = 0600 };
	e->after.unread = EACCES;
	assert_line(e, false, "12:00:00.123  added       /x\\xff                        file 0600");
	assert_json(e, "{\"time\":\"2026-01-31T12:00:00.123456789Z\",\"kind\":\"change\",\"path\":\"/x\\\\xff\","
		       "\"path_raw\":\"2f78ff\",\"change\":\"added\",\"status\":\"open\","
		       "\"after\":{\"type\":\"file\",\"mode\":\"0600\",\"unread\":\"permission denied\"}}");
	e->attributes = ATTR_BIT(ATTR_DIGEST);
	assert_line(e, false,
		    "12:00:00.123  added       /x\\xff                        file 0600  (permission denied)");
}

static void test_gap(void **state _unused_)
{
	_cleanup_event_ struct event *e = event_new(EVENT_GAP);

	e->time = e->gap_from = NOON;
	e->gap_reason = GAP_QUEUE_OVERFLOW;
	e->gap_scope = "/etc";
	e->gap_detail = "group N";
	assert_line(e, false, "12:00:00.123  gap         /etc                          queue-overflow  (group N)");
	e->gap_to = NOON + 65 * NSEC_PER_SEC;
	e->gap_lost = 12;
	e->gap_healed = "rescan: 3 changes found";
	assert_line(e, false,
		    "12:00:00.123  gap closed  /etc                          queue-overflow  (group N)  lost 12  "
		    "after 1m 5s  rescan: 3 changes found");
	assert_json(e, "{\"time\":\"2026-01-31T12:00:00.123456789Z\",\"kind\":\"gap\",\"reason\":\"queue-overflow\","
		       "\"scope\":\"/etc\",\"detail\":\"group N\",\"from\":\"2026-01-31T12:00:00.123456789Z\","
		       "\"to\":\"2026-01-31T12:01:05.123456789Z\",\"lost\":12,\"healed\":\"rescan: 3 changes found\"}");
}

static void test_other(void **state _unused_)
{
	static const struct {
		enum event_kind kind;
		const char *path, *text, *user, *reason, *line;
	} cases[] = {
		{ EVENT_OPEN, "/etc/shadow", NULL, NULL, NULL, "12:00:00.123  opened      /etc/shadow" },
		{ EVENT_ACCEPT, "/etc/passwd", NULL, "root", "new user",
		  "12:00:00.123  accepted    /etc/passwd                   by root  reason: new user" },
		{ EVENT_NOTE, NULL, "started", NULL, NULL, "12:00:00.123  note        started" },
		{ EVENT_ALERT, NULL, "a\nb", NULL, "Rule", "12:00:00.123  ALERT       Emergency  Rule: a\\nb" },
		{ EVENT_ACTION, NULL, "kill", NULL, NULL, "12:00:00.123  action      log done  kill" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_event_ struct event *e = event_new(cases[i].kind);
		json_t *o;

		e->time = NOON;
		e->path = cases[i].path;
		e->text = cases[i].text;
		e->user = cases[i].user;
		e->reason = cases[i].reason;
		assert_line(e, false, cases[i].line);
		o = event_json(e);
		assert_string_equal(json_string_value(json_object_get(o, "kind")), event_kind_names[cases[i].kind]);
		json_decref(o);
	}
}

static void test_json_line(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	json_t *o = json_pack("{s:s,s:i}", "k", "caf\xc3\xa9 \x7f \xc2\x9b \xe2\x80\xae \xf3\xa0\x81\x81", "n", 5),
	       *back;

	json_line(&b, o);
	assert_string_equal(b.data, "{\"k\":\"caf\xc3\xa9 \\u007f \\u009b \\u202e \\udb40\\udc41\",\"n\":5}");
	back = json_loads(b.data, 0, NULL);
	assert_true(json_equal(o, back));
	json_decref(back);
	json_decref(o);
}

static void test_refs(void **state _unused_)
{
	struct event *e = changed();

	assert_int_equal(e->count, 1);
	assert_non_null(arena_strdup(&e->arena, "owned"));
	event_ref(e);
	event_unref(e);
	event_unref(e);
	event_unref(NULL);
}

static void test_exec(void **state _unused_)
{
	_cleanup_event_ struct event *e = event_new(EVENT_EXEC);

	e->time = NOON;
	e->path = "/bin/a";
	e->verdict = EXEC_ALLOWED;
	e->cause = "baseline host";
	assert_line(e, false, "12:00:00.123  exec        /bin/a                        (baseline host)");
	e->verdict = EXEC_DENIED;
	e->cause = NULL;
	e->reason = "nobody knows it";
	e->exec_type = EXEC_TYPE_SCRIPT;
	e->exec_ns = 5000;
	e->has_after = true;
	e->after.have = ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_SIZE);
	e->after.type = 'f';
	e->after.size = 9;
	e->after.digest_len = 2;
	e->after.digest[0] = 0xab;
	assert_line(e, false, "12:00:00.123  denied      /bin/a                        nobody knows it");
	json_t *o = event_json(e);
	assert_string_equal(json_string_value(json_object_get(o, "verdict")), "denied");
	assert_string_equal(json_string_value(json_object_get(o, "digest")), "ab00");
	assert_string_equal(json_string_value(json_object_get(o, "type")), "script");
	assert_int_equal(json_integer_value(json_object_get(o, "duration_ns")), 5000);
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names), cmocka_unit_test(test_change),	cmocka_unit_test(test_variants),
		cmocka_unit_test(test_added), cmocka_unit_test(test_gap),	cmocka_unit_test(test_other),
		cmocka_unit_test(test_exec),  cmocka_unit_test(test_json_line), cmocka_unit_test(test_refs),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
