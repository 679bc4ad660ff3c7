/* Exceptions written from events: they silence that event, also with hostile bytes in it, and no other. */
#include "tests/test.h"

#include <errno.h>
#include <string.h>

#include "rules/narrow.h"
#include "rules/rules.h"

static struct process *process(const char *exe, struct process *parent)
{
	struct process v = { .known = PROCESS_EXE | PROCESS_IDS, .pid = 7, .exe = exe, .uid = 33, .parent = parent };

	return process_new(&v);
}

static struct event *event(const char *path, const char *exe, uint8_t digest)
{
	_cleanup_process_ struct process *parent = process("/bin/parent", NULL);
	struct event *e = event_new(digest ? EVENT_EXEC : EVENT_CHANGE);

	e->change = CHANGE_CHANGED;
	e->path = arena_strdup(&e->arena, path);
	e->process = process(exe, parent);
	e->has_after = digest;
	e->after.have = ATTR_BIT(ATTR_DIGEST);
	e->after.digest_len = digest ? 32 : 0;
	e->after.digest[0] = digest;
	return e;
}

static struct rules *load(const char *text)
{
	const struct rules_text t = { "t", text, strlen(text) };
	struct rules_messages m = { 0 };
	struct rules *r = NULL;

	if (rules_parse(&t, 1, &r, &m) < 0)
		fail_msg("%s\n%s", text, m.text.data);
	assert_int_equal(m.errors, 0);
	buf_free(&m.text);
	return r;
}

/* How many rules match the event. */
static size_t matches(struct rules *r, struct field_view *v, struct event *e)
{
	struct rules_state *s = rules_state_new(r);
	const struct rule *rules[4];
	size_t n;

	field_view_begin(v, e);
	n = rules_eval(s, v, false, rules, NULL, ARRAY_SIZE(rules));
	rules_state_free(s);
	return n;
}

static void test_silences(void **state _unused_)
{
	static const char *const names[] = {
		"/etc/passwd",
		"/",
		"relative",
		"with blank and, comma: [x] {y} #z",
		"'quoted'",
		"\"quoted\"",
		"back\\slash\\x41",
		"new\nline\ttab\r\x1b[31m\x07",
		"\xff\xfe\x80 no UTF-8",
		"\xe2\x80\xae right to left",
		"null",
		"~",
		"- rule: x",
		"%hf.path",
		"*",
		"()",
		"0",
		"$(id) `id`",
		" leading and trailing ",
	};
	struct field_view *v = field_view_new();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		for (int digest = 0; digest < 2; digest++) {
			_cleanup_buf_ struct buf items = BUF_INIT, probe = BUF_INIT, file = BUF_INIT;
			_cleanup_event_ struct event *e = event(names[i], "/bin/a", (uint8_t)digest),
						     *same = event(names[i], "/bin/a", (uint8_t)digest),
						     *path = event("/etc/other", "/bin/a", (uint8_t)digest),
						     *exe = event(names[i], "/bin/b", (uint8_t)digest),
						     *content = event(names[i], "/bin/a", digest ? 9 : 0);
			struct rules *r;

			field_view_begin(v, e);
			assert_int_equal(narrow_exception(v, "x", &items), 0);
			narrow_probe(items.data, &probe);
			r = load(probe.data);
			assert_int_equal(matches(r, v, e), 0);
			assert_int_equal(matches(r, v, same), 0);
			assert_int_equal(matches(r, v, path), 1);
			assert_int_equal(matches(r, v, exe), 1);
			assert_int_equal(matches(r, v, content), digest);
			rules_unref(r);

			/* Behind a rule's own file, whatever that is called. */
			buf_str(&file, "- rule: \"It's: a \\\"rule\\\"\"\n  desc: x\n  condition: hf.kind exists\n"
				       "  output: x\n  priority: debug\n");
			narrow_override("It's: a \"rule\"", items.data, &file);
			r = load(file.data);
			assert_int_equal(rules_count(r), 1);
			assert_int_equal(matches(r, v, e), 0);
			assert_int_equal(matches(r, v, path), 1);
			rules_unref(r);
		}
	}
	field_view_free(v);
}

static void test_unknown(void **state _unused_)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct field_view *v = field_view_new();

	field_view_begin(v, e);
	assert_int_equal(narrow_exception(v, "x", &b), -ENODATA);
	assert_int_equal(b.len, 0);
	field_view_free(v);
}

static void count_field(const struct field_ref *ref, void *data)
{
	size_t *n = data;

	(void)ref;
	(*n)++;
}

static void test_fields(void **state _unused_)
{
	struct rules *r =
		load("- macro: m\n  condition: proc.name = a and fd.name = val(proc.exepath)\n"
		     "- rule: one\n  desc: x\n  output: \"%user.uid\"\n  priority: debug\n"
		     "  condition: m and (tolower(proc.name) = b or not proc.aname[2] = c) and proc.aname[3] = c\n"
		     "- rule: two\n  desc: x\n  output: x\n  priority: debug\n  condition: user.uid = 1\n");
	size_t n = 0;

	rule_each_field(rules_get(r, 0), count_field, &n);
	assert_int_equal(n, 5);
	n = 0;
	rule_each_field(rules_get(r, 1), count_field, &n);
	assert_int_equal(n, 1);
	rules_unref(r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silences),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
