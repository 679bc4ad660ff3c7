/* Rule files: definitions, append, override, exceptions, warnings; hostile ones; the published ones when they are
 * there. */
#include "tests/rules/rule.h"

#include <limits.h>
#include <unistd.h>

#include "lib/clock.h"

#define RULE(name, rest) "- rule: " name "\n  desc: d\n  output: o\n  priority: WARNING\n" rest
#define CONDITION(c)	 "  condition: " c "\n"
#define OPEN		 CONDITION("evt.type=open")

struct row {
	const char *text;
	const char *message; /* NULL: none, and no warning either */
};

static void check_rows(const struct row *rows, size_t n, int expected)
{
	for (size_t i = 0; i < n; i++) {
		struct rules_messages m = { 0 };
		struct rules *r = NULL;
		int got = load_text(rows[i].text, &r, &m);

		if (got != expected)
			fail_msg("%s\ngot %d: %s", rows[i].text, got, m.text.data ? m.text.data : "");
		if (!rows[i].message && m.text.len)
			fail_msg("%s\nsays %s", rows[i].text, m.text.data);
		if (rows[i].message && (!m.text.data || !strstr(m.text.data, rows[i].message)))
			fail_msg("%s\nsays %s\ninstead of %s", rows[i].text, m.text.data ? m.text.data : "nothing",
				 rows[i].message);
		if (r)
			rules_unref(r);
		buf_free(&m.text);
	}
}

static void test_loads(void **state)
{
	static const struct row rows[] = {
		{ "", NULL },
		{ "---\n", NULL },
		{ "[]", NULL },
		{ RULE("a", OPEN), NULL },
		{ RULE("a", OPEN) "---\n" RULE("b", OPEN), NULL },
		{ "- required_engine_version: 0.57.0\n" RULE("a", OPEN), NULL },
		{ "- required_engine_version: 11\n" RULE("a", OPEN), NULL },
		{ "- required_plugin_versions:\n  - {name: container, version: 0.4.0}\n", NULL },
		{ "- required_plugin_versions:\n  - {name: json, version: 0.4.0, alternatives: []}\n",
		  "no plugin 'json'" },
		{ "- list: l\n  items: [a, 1, '\"b c\"']\n" RULE("a", CONDITION("evt.type=open and proc.name in (l)")),
		  NULL },
		{ "- list: l\n  items: []\n" RULE("a", CONDITION("evt.type=open and proc.name in (l, x)")), NULL },
		{ "- list: l\n  items: [a]\n- list: k\n  items: [l]\n" RULE(
			  "a", CONDITION("evt.type=open and proc.name in (k)")),
		  NULL },
		{ "- list: l\n  items: [a]\n- list: l\n  items: [b]\n  override: {items: append}\n" RULE(
			  "a", CONDITION("evt.type=open and proc.name in (l)")),
		  NULL },
		{ "- list: l\n  items: [a]\n- list: l\n  items: [b]\n  append: true\n" RULE(
			  "a", CONDITION("evt.type=open and proc.name in (l)")),
		  "'append' is deprecated" },
		{ "- macro: m\n  condition: evt.type=open\n" RULE("a", CONDITION("m")), NULL },
		{ "- macro: m\n  condition: evt.type=open\n- macro: m\n  condition: or evt.type=creat\n"
		  "  override: {condition: append}\n" RULE("a", CONDITION("m")),
		  NULL },
		{ "- macro: m\n  condition: evt.type=open\n- macro: m\n  condition: evt.type=creat\n"
		  "  override: {condition: replace}\n" RULE("a", CONDITION("m")),
		  NULL },
		{ RULE("a", CONDITION("m")) "- macro: m\n  condition: evt.type=open\n", NULL },
		{ "- macro: k\n  condition: evt.type=open\n- macro: m\n  condition: k and fd.num=0\n" RULE(
			  "a", CONDITION("m and not k")),
		  NULL },
		{ RULE("a", OPEN "  tags: [x, y]\n  enabled: false\n  source: syscall\n"), NULL },
		{ RULE("a", OPEN) "- rule: a\n  enabled: false\n", "rule and enabled alone are deprecated" },
		{ RULE("a", OPEN) "- rule: a\n  enabled: false\n  override: {enabled: replace}\n", NULL },
		{ RULE("a", OPEN) "- rule: a\n  condition: and fd.num=0\n  append: true\n", "'append' is deprecated" },
		{ RULE("a", OPEN) "- rule: a\n  condition: and fd.num=0\n  output: more\n  desc: e\n  tags: [t]\n"
				  "  override: {condition: append, output: append, desc: replace, tags: append}\n",
		  NULL },
		{ RULE("a", OPEN) "- rule: a\n  priority: DEBUG\n  override: {priority: replace}\n", NULL },
		{ RULE("a", OPEN) RULE("a", OPEN), NULL },
		{ "- rule: a\n  desc: d\n  output: o\n  priority: info\n" OPEN, NULL },
		{ "- rule: a\n  desc: d\n  output: o\n  priority: eMeRgEnCy\n" OPEN, NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: [proc.name, fd.name], comps: [=, startswith],\n"
				 "     values: [[a, /x], [b, /y]]}\n"),
		  NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: [proc.name, fd.name], values: [[a, /x]]}\n"),
		  NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: [proc.name, fd.name], comps: [in, in],\n"
				 "     values: [[[a, b], [/x]]]}\n"),
		  NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: proc.name, values: [a, b]}\n"), NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: fd.name, comps: pmatch, values: [/a]}\n"),
		  NULL },
		{ RULE("a",
		       OPEN "  exceptions:\n  - {name: e, fields: fd.name, comps: startswith anyof, values: [/a]}\n"),
		  NULL },
		{ RULE("a",
		       OPEN "  exceptions:\n  - {name: e, fields: fd.name, comps: contains allof, values: [/a]}\n"),
		  NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: tolower(fd.name), values: [/a]}\n"), NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: [proc.name, fd.name]}\n"), NULL },
		{ RULE("a", OPEN "  exceptions:\n  - {name: e, fields: proc.name}\n  - {name: e, fields: fd.name}\n"),
		  "an exception of this name exists already" },
		{ RULE("a",
		       OPEN "  exceptions:\n  - {name: e, fields: proc.name}\n") "- rule: a\n  exceptions:\n  - {name: "
										 "e, values: [a]}\n  override: "
										 "{exceptions: append}\n",
		  NULL },
		{ RULE("a", OPEN
		       "  exceptions:\n  - {name: e, fields: proc.name}\n") "- rule: a\n  exceptions:\n  - {name: e}\n "
									    " override: {exceptions: append}\n",
		  "appends no values" },
		{ RULE("a", CONDITION("fd.nope=1") "  skip-if-unknown-filter: true\n"), "the rule is skipped" },
		{ RULE("a", CONDITION("fd.name=/x")), "no evt.type" },
		{ RULE("a", CONDITION("fd.name=/x") "  warn_evttypes: false\n"), NULL },
		{ RULE("a", OPEN "  colour: red\n"), "unknown key 'colour'" },
		{ RULE("a", OPEN "  prioritty: red\n"), "unknown key 'prioritty': did you mean 'priority'?" },
		{ RULE("a", OPEN "  source: k8s_audit\n"), "events of source 'k8s_audit' do not exist here" },
		{ "- nothing: 1\n", "ignored" },
		{ "- macro: m\n  condition: evt.type=open\n", "macro 'm' is not used" },
		{ "- list: l\n  items: [a]\n", "list 'l' is not used" },
		{ "- macro: a b\n  condition: evt.type=open\n", "cannot be named" },
		{ RULE("a", CONDITION("evt.type=open and proc.name=<NA>")), "comparing with <NA>" },
		{ RULE("a", OPEN "  capture: true\n  capture_duration: 5000\n"), NULL },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), 0);
}

static void test_refused(void **state)
{
	static const struct row rows[] = {
		{ "a: b\n", "t.yaml:1:1: error: want a list of rules, macros and lists, not a mapping" },
		{ "- a\n", "t.yaml:1:3: error: want a mapping with 'rule'" },
		{ "- rule: a\n  - b\n", "t.yaml:2:" },
		{ "- rule: a\n", "a rule wants 'condition'" },
		{ "- rule: a\n", "a rule wants 'priority'" },
		{ "- rule: []\n", "'rule' wants a text, not a list" },
		{ RULE("a", ""), "a rule wants 'condition'" },
		{ RULE("a", "  condition: [x]\n"), "want a text" },
		{ RULE("a", CONDITION("")), "want a text" },
		{ "- rule: a\n  desc: d\n  output: o\n  priority: HIGH\n" OPEN,
		  "t.yaml:4:13: error: 'priority' wants" },
		{ RULE("a", OPEN "  enabled: maybe\n"), "'enabled' wants true or false" },
		{ RULE("a", OPEN "  tags: x\n"), "'tags' wants a list" },
		{ "- rule: a\n  desc: d\n  priority: info\n  output: '%fd.nmae'\n" OPEN,
		  "t.yaml:4:13: error: unknown field 'fd.nmae'" },
		{ "- rule: a\n  desc: d\n  priority: info\n  output: '%container.mount.dest'\n" OPEN,
		  "wants an argument" },
		{ "- list: l\n", "a list wants 'items'" },
		{ "- list: l\n  items: a\n", "a list wants 'items'" },
		{ "- list: l\n  items: [{a: b}]\n", "an item wants a text or a number, not a mapping" },
		{ "- macro: m\n", "'condition' is missing" },
		{ "- macro: m\n  condition: evt.type=\n", "the condition ends where a value should be" },
		{ "- list: l\n  items: [a]\n  override: {items: append}\n", "nothing of this name before" },
		{ "- list: l\n  items: [a]\n  append: true\n", "nothing of this name before" },
		{ "- macro: m\n  condition: and evt.type=open\n  append: true\n", "nothing of this name before" },
		{ "- list: l\n  items: [a]\n- list: l\n  items: [a]\n  override: {items: prepend}\n",
		  "append or replace" },
		{ "- list: l\n  items: [a]\n- list: l\n  items: [a]\n  append: true\n  override: {items: append}\n",
		  "cannot stand together" },
		{ "- rule: a\n  condition: and fd.num=0\n  append: true\n", "no rule of this name before" },
		{ "- rule: a\n  enabled: false\n", "no rule of this name before" },
		{ RULE("a", OPEN) "- rule: a\n  append: true\n  tags: [x]\n",
		  "an append wants 'condition' or 'exceptions'" },
		{ RULE("a",
		       OPEN) "- rule: a\n  condition: and fd.num=0\n  append: true\n  override: {condition: append}\n",
		  "cannot stand together" },
		{ RULE("a", OPEN) "- rule: a\n  priority: info\n  override: {priority: append}\n",
		  "can only be replaced" },
		{ RULE("a", OPEN) "- rule: a\n  priority: info\n  desc: x\n  override: {priority: replace}\n",
		  "'desc' is not named in 'override'" },
		{ RULE("a", OPEN) "- rule: a\n  desc: x\n  override: {priority: replace, desc: replace}\n",
		  "names a key that is not given" },
		{ RULE("a", OPEN) "- rule: a\n  condition: fd.num=0\n  override: {condition: append}\n",
		  "t.yaml:7:14: error: 'fd.num' where and, or, or the end should be" },
		{ "- required_engine_version: 0.99.0\n", "wants engine version 0.99" },
		{ "- required_engine_version: new\n", "wants a version" },
		{ "- required_plugin_versions: x\n", "wants a list" },
		{ "- required_plugin_versions: [{name: x}]\n", "'version' is missing" },
		{ RULE("a", OPEN "  exceptions: x\n"), "'exceptions' wants a list" },
		{ RULE("a", OPEN "  exceptions: [{fields: proc.name}]\n"), "'name' is missing" },
		{ RULE("a", OPEN "  exceptions: [{name: e, values: [a]}]\n"), "wants 'fields'" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: [proc.name], comps: [=, =]}]\n"),
		  "not of one length" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: [proc.name], comps: '='}]\n"),
		  "comps wants a list" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: proc.name, comps: [in]}]\n"), "comps wants a text" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: proc.name, comps: '='}]\n"),
		  "with one field comps is" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: proc.name, comps: like}]\n"), "unknown operator" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: proc.nam, values: [a]}]\n"),
		  "unknown field 'proc.nam'" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: [proc.name], values: [[a, b]]}]\n"),
		  "one value for each field" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: [proc.name], values: [a]}]\n"),
		  "one value for each field" },
		{ RULE("a", OPEN "  exceptions: [{name: e, fields: [proc.name], values: [[[a]]]}]\n"),
		  "wants an operator over lists" },
		{ RULE("a",
		       OPEN "  exceptions: [{name: e, fields: proc.name}]\n") "- rule: a\n  exceptions: [{name: e, "
									      "fields: fd.name, values: [a]}]\n  "
									      "override: {exceptions: append}\n",
		  "cannot be appended to" },
		{ "- list: l\n  items: [a, b]\n" RULE("a", CONDITION("evt.type=open and proc.name=l")),
		  "is a list of 2 items" },
		{ "- macro: k\n  condition: m\n- macro: m\n  condition: evt.type=open\n" RULE("a", CONDITION("k")),
		  "t.yaml:2:14: error: unknown macro 'm' (it is defined further down)" },
		{ "- macro: a\n  condition: evt.type=open\n- macro: b\n  condition: a\n- macro: a\n  condition: "
		  "b\n" RULE("r", CONDITION("a")),
		  "is used in itself" },
		{ "- list: a\n  items: [x]\n- list: b\n  items: [a]\n- list: a\n  items: [b]\n" RULE(
			  "r", CONDITION("evt.type=open and proc.name in (a)")),
		  "holds itself" },
		{ "- macro: m\n  condition: fd.nmae=x\n", "unknown field 'fd.nmae'" },
		{ "&a [*a]", "an alias inside what it stands for" },
		{ "- rule: a\n\tdesc: x\n", "a tab" },
		{ "\xff\xfe", "t.yaml:1:1: " },
	};

	(void)state;
	check_rows(rows, ARRAY_SIZE(rows), -EINVAL);
}

/* --- what the definitions come to */

static void test_meaning(void **state)
{
	static const struct {
		const char *text, *json;
		int expected;
	} rows[] = {
#define BY(name, path) "{\"fields\":{\"evt.type\":\"open\",\"proc.name\":\"" name "\",\"fd.name\":\"" path "\"}}"
		{ "- list: l\n  items: [a]\n- list: k\n  items: [l, b]\n" RULE(
			  "r", CONDITION("evt.type=open and proc.name in (k)")),
		  BY("a", "/"), 1 },
		{ "- list: l\n  items: [a]\n- list: l\n  items: [b]\n  override: {items: append}\n" RULE(
			  "r", CONDITION("evt.type=open and proc.name in (l)")),
		  BY("b", "/"), 1 },
		{ "- list: l\n  items: [a]\n- list: l\n  items: [b]\n" RULE(
			  "r", CONDITION("evt.type=open and proc.name in (l)")),
		  BY("a", "/"), 0 },
		/* a list that comes later is a word for a macro, a list for a rule */
		{ "- macro: m\n  condition: evt.type=open and proc.name in (l)\n- list: l\n  items: [a]\n" RULE(
			  "r", CONDITION("m")),
		  BY("a", "/"), 0 },
		{ RULE("r", CONDITION("evt.type=open and proc.name in (l)")) "- list: l\n  items: [a]\n", BY("a", "/"),
		  1 },
		{ "- list: l\n  items: [a]\n" RULE("r", CONDITION("evt.type=open and proc.name = l")), BY("a", "/"),
		  1 },
		{ "- list: l\n  items: [a]\n" RULE("r", CONDITION("evt.type=open and proc.name in ('l')")),
		  BY("a", "/"), 0 },
		{ "- macro: m\n  condition: proc.name=a\n- macro: m\n  condition: or proc.name=b\n"
		  "  override: {condition: append}\n" RULE("r", CONDITION("evt.type=open and m")),
		  BY("b", "/"), 1 },
		{ "- macro: m\n  condition: proc.name=a or proc.name=b\n" RULE("r",
									       CONDITION("evt.type=open and not m")),
		  BY("b", "/"), 0 },
		{ RULE("r", CONDITION("evt.type=open")) "- rule: r\n  condition: and proc.name=a\n"
							"  override: {condition: append}\n",
		  BY("b", "/"), 0 },
		{ RULE("r", CONDITION("evt.type=open")) "- rule: r\n  enabled: false\n  override: {enabled: replace}\n",
		  BY("b", "/"), 0 },
		{ RULE("r", CONDITION("evt.type=open") "  exceptions:\n  - {name: e, fields: [proc.name, fd.name],"
						       " comps: [=, startswith], values: [[a, /x], [b, /y]]}\n"),
		  BY("a", "/xx"), 0 },
		{ RULE("r", CONDITION("evt.type=open") "  exceptions:\n  - {name: e, fields: [proc.name, fd.name],"
						       " comps: [=, startswith], values: [[a, /x], [b, /y]]}\n"),
		  BY("a", "/y"), 1 },
		{ RULE("r",
		       CONDITION(
			       "evt.type=open") "  exceptions:\n  - {name: e, fields: proc.name, values: [a, [b]]}\n"),
		  BY("b", "/y"), 0 },
		{ RULE("r", CONDITION("evt.type=creat or evt.type=open") "  exceptions:\n"
									 "  - {name: e, fields: fd.name, comps: "
									 "pmatch, values: [/y]}\n"),
		  BY("b", "/y/z"), 0 },
		{ RULE("r",
		       CONDITION(
			       "evt.type=open") "  exceptions:\n  - {name: e, fields: proc.name}\n") "- rule: r\n  "
												     "exceptions: "
												     "[{name: e, "
												     "values: [b]}]\n  "
												     "override: "
												     "{exceptions: "
												     "append}\n",
		  BY("b", "/"), 0 },
		{ "- list: l\n  items: [b]\n" RULE(
			  "r",
			  CONDITION("evt.type=open") "  exceptions:\n  - {name: e, fields: proc.name, values: [l]}\n"),
		  BY("b", "/"), 0 },
		{ RULE("r", CONDITION("evt.type=open") "  exceptions:\n"
						       "  - {name: e, fields: proc.name, comps: startswith anyof, "
						       "values: [x, b]}\n"),
		  BY("bc", "/"), 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rules_messages m = { 0 };
		const struct rule *rule;
		struct rules *r = NULL;

		if (load_text(rows[i].text, &r, &m) < 0)
			fail_msg("%s: %s", rows[i].text, m.text.data);
		if ((int)count_matches(r, rows[i].json, &rule, 1) != rows[i].expected)
			fail_msg("%s over %s", rows[i].text, rows[i].json);
		rules_unref(r);
		buf_free(&m.text);
	}
}

/* Every operator that goes with a modifier, behind each of them, in an exception; and what does not. */
static void test_modifiers(void **state)
{
	static const struct {
		const char *operator, * value;
	} ops[] = {
		{ "contains", "a" },   { "icontains", "A" }, { "startswith", "/" },
		{ "endswith", "z" },   { "glob", "'/a*'" },  { "iglob", "'/A*'" },
		{ "regex", "'/a.*'" }, { "=", "/a" },	     { "!=", "/a" },
	};
	static const char *const modifiers[] = { "oneof", "anyof", "allof" };
	size_t taken = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(modifiers); k++) {
			_cleanup_buf_ struct buf b = BUF_INIT;
			struct rules_messages m = { 0 };
			struct rules *r = NULL;
			/* Not to be one of several is what not is for. */
			int expected = streq(ops[i].operator, "!=") ? -EINVAL : 0, got;

			buf_printf(
				&b,
				RULE("a", OPEN
				     "  exceptions:\n  - {name: e, fields: fd.name, comps: %s %s, values: [%s, /b]}\n"),
				ops[i].operator, modifiers[k], ops[i].value);
			got = load_text(b.data, &r, &m);
			if (got != expected)
				fail_msg("%s %s: %d %s", ops[i].operator, modifiers[k], got,
					 m.text.data ? m.text.data : "");
			taken += got == 0;
			if (r)
				rules_unref(r);
			buf_free(&m.text);
		}
	}
	assert_int_equal(taken, 24);
}

/* --- hostile files: refused or loaded, with a message, soon */

static void check_hostile(struct buf *b, int expected, const char *message)
{
	uint64_t start = clock_mono_ns();
	struct rules_messages m = { 0 };
	struct rules *r = NULL;
	int got = load_text(b->data, &r, &m);

	if (got != expected || (message && (!m.text.data || !strstr(m.text.data, message))))
		fail_msg("%d: %.300s instead of %s", got, m.text.data ? m.text.data : "nothing", message);
	assert_true(clock_mono_ns() - start < (SANITIZED ? 200 : 20) * NSEC_PER_SEC);
	if (r)
		rules_unref(r);
	buf_free(&m.text);
	buf_free(b);
}

static void repeat(struct buf *b, const char *s, size_t n)
{
	while (n--)
		buf_str(b, s);
}

static void test_hostile(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_str(&b, RULE("r", "  condition: evt.type=open and "));
	repeat(&b, "(", 1000);
	buf_str(&b, "fd.num=0");
	repeat(&b, ")", 1000);
	check_hostile(&b, -EINVAL, "nested deeper than 100 levels");

	b = (struct buf)BUF_INIT;
	buf_str(&b, RULE("r", "  condition: evt.type=open and "));
	repeat(&b, "not ", 100000 / 4);
	buf_str(&b, "fd.num=0\n");
	check_hostile(&b, -EINVAL, "nested deeper than 100 levels");

	b = (struct buf)BUF_INIT;
	buf_str(&b, "- list: l\n  items: [");
	for (unsigned i = 0; i < 10000; i++)
		buf_printf(&b, "item%u, ", i);
	buf_str(&b, "last]\n" RULE("r", CONDITION("evt.type=open and proc.name in (l)")));
	check_hostile(&b, 0, NULL);

	/* each list is twice the one before */
	b = (struct buf)BUF_INIT;
	buf_str(&b, "- list: l0\n  items: [a, b]\n");
	for (unsigned i = 1; i < 60; i++)
		buf_printf(&b, "- list: l%u\n  items: [l%u, l%u]\n", i, i - 1, i - 1);
	buf_str(&b, RULE("r", CONDITION("evt.type=open and proc.name in (l59)")));
	check_hostile(&b, -EINVAL, "holds more than 100000 items");

	/* and each macro */
	b = (struct buf)BUF_INIT;
	buf_str(&b, "- macro: m0\n  condition: (evt.type=open and fd.name=/x)\n");
	for (unsigned i = 1; i < 60; i++)
		buf_printf(&b, "- macro: m%u\n  condition: (m%u or m%u)\n", i, i - 1, i - 1);
	buf_str(&b, RULE("r", CONDITION("m59")));
	check_hostile(&b, -EINVAL, "too many checks");

	b = (struct buf)BUF_INIT;
	buf_str(&b, "- macro: m0\n  condition: evt.type=open\n");
	for (unsigned i = 1; i < 5000; i++)
		buf_printf(&b, "- macro: m%u\n  condition: m%u\n", i, i - 1);
	buf_str(&b, RULE("r", CONDITION("m4999")));
	check_hostile(&b, -EINVAL, "nested too deep");

	b = (struct buf)BUF_INIT;
	buf_str(&b, "- list: l0\n  items: [a]\n");
	for (unsigned i = 1; i < 5000; i++)
		buf_printf(&b, "- list: l%u\n  items: [l%u]\n", i, i - 1);
	buf_str(&b, RULE("r", CONDITION("evt.type=open and proc.name in (l4999)")));
	check_hostile(&b, -EINVAL, "nested deeper than 100 lists");

	b = (struct buf)BUF_INIT;
	buf_str(&b, "- &a [x, x, x, x, x, x, x, x, x, x]\n");
	for (char c = 'b'; c < 'k'; c++)
		buf_printf(&b, "- &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c - 1, c - 1, c - 1, c - 1, c - 1,
			   c - 1, c - 1, c - 1);
	check_hostile(&b, -EINVAL, "more than 100000 nodes");

	b = (struct buf)BUF_INIT;
	buf_str(&b, RULE("r", "  condition: evt.type=open and fd.name regex '"));
	repeat(&b, "(a{200}){200}", 100);
	buf_str(&b, "'\n");
	check_hostile(&b, -EINVAL, "the pattern is too large");

	b = (struct buf)BUF_INIT;
	buf_str(&b, RULE("r", "  condition: evt.type=open"));
	repeat(&b, " and fd.name=/x", 15000);
	buf_str(&b, "\n");
	check_hostile(&b, 0, NULL);
}

/* --- calls that are seen as changes of a file too */

static void test_by_call(void **state)
{
	static const struct {
		const char *condition;
		bool asks, exact;
	} cases[] = {
		{ "evt.type in (chmod, fchmod) and evt.arg.mode contains S_ISUID", true, true },
		{ "evt.type=chmod and evt.arg.filename startswith ../", true, true },
		{ "evt.type=chmod and evt.failed=true", true, true },
		{ "evt.type=fchmod and proc.name=x", false, false },
		{ "evt.type=chmod and evt.arg.mode contains S_ISUID and fd.name startswith /etc", true, true },
		{ "evt.type=chmod and evt.arg.mode contains S_ISUID and fd.ino=1", false, false },
		{ "evt.type in (symlink, symlinkat) and evt.arg.target=/etc", true, true },
		{ "evt.type in (symlink, symlinkat) and evt.arg.target=/etc and fd.name startswith /tmp", false,
		  false },
		{ "evt.type in (link, linkat) and evt.arg.oldpath=/etc/shadow", true, true },
		{ "evt.type=chmod and hf.setuid=true and evt.res=SUCCESS", false, false },
		{ "evt.type=openat and evt.arg.mode contains S_ISUID", false, false },
	};
	const struct call_info *calls[] = { call_by_name("chmod", 5), call_by_name("fchmod", 6),
					    call_by_name("symlinkat", 9), call_by_name("linkat", 6) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf text = BUF_INIT;
		struct rules_messages m = { 0 };
		struct rules *r = NULL;
		bool asks = false;

		buf_printf(&text, "- rule: r\n  desc: d\n  condition: %s\n  output: o\n  priority: NOTICE\n",
			   cases[i].condition);
		assert_int_equal(rules_parse(&(struct rules_text){ "t", text.data, text.len }, 1, &r, &m), 0);
		for (size_t k = 0; k < ARRAY_SIZE(calls); k++)
			asks |= calls[k] && rules_ask_call(r, calls[k]);
		assert_int_equal(asks, cases[i].asks);
		assert_int_equal(rule_quality(rules_get(r, 0), SENSOR_BIT(SENSOR_COUNT) - 1, NULL) == QUALITY_EXACT,
				 cases[i].exact);
		/* Without calls it is asked about what came of them. */
		assert_int_not_equal(rule_quality(rules_get(r, 0), SENSOR_BIT(SENSOR_CHANGES), NULL), QUALITY_EXACT);
		rules_unref(r);
		buf_free(&m.text);
	}
}

/* --- the published files: FALCO_RULES names their folder */

static void test_published(void **state)
{
	static const struct {
		const char *name;
		size_t exact, approximate, blind;
	} rows[] = {
		{ "falco_rules.yaml", 14, 3, 8 },
		{ "falco-incubating_rules.yaml", 19, 3, 9 },
		{ "falco-sandbox_rules.yaml", 26, 4, 7 },
	};
	const sensor_mask today =
		(SENSOR_BIT(SENSOR_COUNT) - 1) & ~SENSOR_BIT(SENSOR_SYSCALL) & ~SENSOR_BIT(SENSOR_NETWORK);

	const char *folder = getenv("FALCO_RULES");

	(void)state;
	if (!folder || access(folder, R_OK) < 0) {
		print_message("FALCO_RULES names no folder with the published rule files: not tried\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rules_messages m = { 0 };
		struct rules *r = NULL;
		size_t n[QUALITY_COUNT] = { 0 };
		char path[PATH_MAX];
		const char *paths[] = { path };

		snprintf(path, sizeof(path), "%s/%s", folder, rows[i].name);
		assert_int_equal(rules_load(paths, 1, &r, &m), 0);
		assert_int_equal(m.errors, 0);
		for (size_t k = 0; k < rules_count(r); k++) {
			_cleanup_buf_ struct buf why = BUF_INIT;
			enum quality q = rule_quality(rules_get(r, k), today, &why);

			n[q]++;
			assert_true((q == QUALITY_EXACT) == (why.len == 0));
		}
		assert_int_equal(n[QUALITY_EXACT], rows[i].exact);
		assert_int_equal(n[QUALITY_APPROXIMATE], rows[i].approximate);
		assert_int_equal(n[QUALITY_BLIND], rows[i].blind);
		rules_unref(r);
		buf_free(&m.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads),	cmocka_unit_test(test_refused),	  cmocka_unit_test(test_meaning),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_modifiers), cmocka_unit_test(test_published),
		cmocka_unit_test(test_by_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
