/* Conditions: what is accepted, what is refused, where, and in which words. */
#include "tests/rules/rule.h"

static void test_accepted(void **state)
{
	static const char *const conditions[] = {
		"evt.type=open",
		"evt.type = open",
		"evt.type==open",
		"evt.type in (open,openat)",
		"evt.type in ( open , openat )",
		"evt.type in ()",
		"(evt.type=open)",
		"((evt.type=open))",
		"not evt.type=open",
		"not not evt.type=open",
		"not(evt.type=open)",
		"evt.type=open and evt.type=open or evt.type=open",
		"evt.type=open and (fd.name=/a or fd.name=/b)",
		"evt.type=open\nand\tfd.name=/a",
		"evt.type=open and proc.pname exists",
		"evt.type=open and not proc.pname exists",
		"evt.type=open and fd.num>=0 and fd.num<10 and fd.num>-1 and fd.num<=5 and fd.num!=7",
		"evt.type=open and fd.name contains /etc",
		"evt.type=open and fd.name contains 'a b'",
		"evt.type=open and fd.name contains \"a b\"",
		"evt.type=open and fd.name contains \"a \\\" b\"",
		"evt.type=open and fd.name contains '\\x41'",
		"evt.type=open and fd.name in ('a', \"b\", c)",
		"evt.type=open and proc.name in (runc:[0:PARENT], runc:[1:CHILD])",
		"evt.type=open and proc.name = runc:[0:PARENT]",
		"evt.type=open and proc.args endswith \\",
		"evt.type=open and proc.args contains -s",
		"evt.type=open and proc.args = ''",
		"evt.type=open and proc.name != <NA>",
		"evt.type=open and proc.aname[2]=sh",
		"evt.type=open and proc.aname=sh",
		"evt.type=open and proc.env[HOME]=/root",
		"evt.type=open and proc.env['A B']=x",
		"evt.type=execve and container.mount.dest[/var/run/docker.sock] exists",
		"evt.type=execve and container.mount.dest[/proc*] in (a)",
		"evt.type=open and evt.arg.flags contains O_CREAT",
		"evt.type=open and evt.arg[flags] contains O_CREAT",
		"evt.type=open and evt.arg.whatever contains x",
		"evt.type=open and tolower(proc.name) = sh",
		"evt.type=open and toupper(tolower(proc.name)) = SH",
		"evt.type=open and basename(proc.exepath) = proc",
		"evt.type=open and basename(proc.exepath) = val(proc.name)",
		"evt.type=open and proc.exepath = basename(proc.name)",
		"evt.type=open and len(proc.name) > 3",
		"evt.type=open and b64(proc.args) contains sh",
		"evt.type=open and proc.name startswith anyof (a, b)",
		"evt.type=open and proc.name startswith oneof (a, b)",
		"evt.type=open and proc.name contains allof (a, b)",
		"evt.type=open and proc.name = anyof",
		"evt.type=open and fd.name pmatch (/etc, /usr/*/bin)",
		"evt.type=open and fd.name glob '/home/*/.ssh/*'",
		"evt.type=open and fd.name iglob *PASS*",
		"evt.type=open and fd.name regex '^/etc/(passwd|shadow)$'",
		"evt.type=open and proc.args intersects (-a, -b)",
		"evt.type=recvfrom and evt.buffer bcontains cafebabe",
		"evt.type=recvfrom and evt.buffer bstartswith 7f454c46",
		"evt.type=connect and fd.sip = 1.2.3.4",
		"evt.type=connect and fd.sip = \"::1\"",
		"evt.type=connect and fd.snet in (10.0.0.0/8, \"fe80::/10\")",
		"evt.type=connect and fd.net = 127.0.0.0/8",
		"evt.type=connect and fd.sport in (22, 80, 0x1bb)",
		"evt.type=open and container.privileged=true",
		"evt.type=open and user.loginuid = -1",
		"hf.change in (added, changed) and hf.trusted=false",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		struct rules_messages m = { 0 };
		struct rules *r = NULL;

		if (load_condition(conditions[i], &r, &m) < 0)
			fail_msg("%s: %s", conditions[i], m.text.data);
		rules_unref(r);
		buf_free(&m.text);
	}
}

/* The condition begins in line 6, column 5. */
static void test_refused(void **state)
{
	static const struct {
		const char *condition, *message;
	} rows[] = {
		{ "evt.type", "6:13: error: the condition ends where an operator should be" },
		{ "evt.type=", ": error: the condition ends where a value should be" },
		{ "evt.type=open and", ": error: the condition ends where a check, a macro, not or ( should be" },
		{ "evt.type=open evt.type=open", "6:19: error: 'evt.type' where and, or, or the end should be" },
		{ "(evt.type=open", ": error: the condition ends where and, or, ) should be" },
		{ "evt.type=open)", "6:18: error: ')' where and, or, or the end should be" },
		{ "evt.type in open, close", "6:21: error: ',' where" },
		{ "evt.type in (open close)", "6:23: error: 'close' where , or ) should be" },
		{ "evt.type in (open,,close)", "6:23: error: ',' where a value should be" },
		{ "evt.type in (open", ": error: the condition ends where , or ) should be" },
		{ "evt.type = (open)", "6:16: error: '(' where one value should be" },
		{ "and evt.type=open", "6:5: error: 'and' where" },
		{ "evt.type=open and or evt.type=open", "6:23: error: 'or' where" },
		{ "evt.type=open and not", ": error: the condition ends where" },
		{ "evt.type='open", "6:14: error: a quoted text without its end" },
		{ "evt.type='\\xZZ'", "error: \\x wants two hex digits" },
		{ "evt.tpye=open", "6:5: error: unknown field 'evt.tpye': did you mean 'evt.type'?" },
		{ "evt.type=open and fd.nmae contains x", "6:23: error: unknown field 'fd.nmae': did you mean" },
		{ "foo=open", "6:5: error: unknown field 'foo'" },
		{ "evt.type=open and foo", "6:23: error: unknown macro 'foo'" },
		{ "evt.type containss open", "6:14: error: unknown operator 'containss': did you mean 'contains'?" },
		{ "evt.type is open", "6:14: error: unknown operator 'is'" },
		{ "evt.type=open and fd.num=abc", "6:30: error: 'abc': fd.num wants a number" },
		{ "evt.type=open and fd.num=1.5", "6:30: error: '1.5': fd.num wants a number" },
		{ "evt.type=open and fd.num=99999999999999999999", "wants a number, of 64 bits" },
		{ "evt.type=open and fd.num contains 3",
		  "6:30: error: 'contains' does not go with fd.num, which is a number" },
		{ "evt.type=open and fd.name > 3", "error: '>' does not go with fd.name, which is a text" },
		{ "evt.type=open and evt.is_open_read=maybe", "wants true or false" },
		{ "evt.type=open and evt.is_open_read startswith t", "does not go with evt.is_open_read" },
		{ "evt.type=connect and fd.sip=300.1.1.1", "wants an address" },
		{ "evt.type=connect and fd.sip=10.0.0.0/8", "wants an address, not a network" },
		{ "evt.type=connect and fd.snet=10.0.0.0/33", "wants a network" },
		{ "evt.type=open and fd.name regex '(a'", "the regular expression: a ( without its )" },
		{ "evt.type=open and fd.name regex '*a'", "the regular expression: nothing to repeat" },
		{ "evt.type=open and evt.buffer bcontains xyz", "wants bytes, as hex digits" },
		{ "evt.type=open and evt.buffer bcontains abc", "wants bytes, as pairs of hex digits" },
		{ "evt.type=open and fd.name[3]=x", "fd.name takes no argument" },
		{ "evt.type=open and proc.aname[x]=y", "the argument of proc.aname is a number" },
		{ "evt.type=open and container.mount.dest=y", "container.mount.dest wants an argument" },
		{ "evt.type=open and tolower(fd.num)=3", "tolower() wants a text: fd.num is a number" },
		{ "evt.type=open and tolower fd.name=3", "error: 'fd.name' where ( should be" },
		{ "evt.type=open and fd.name=val(fd.num)", "fd.name is a text, fd.num is a number" },
		{ "evt.type=open and fd.name regex val(proc.name)", "regex wants a constant" },
		{ "evt.type=open and proc.name startswith anyof a", "error: 'a' where and, or, or the end should be" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct rules_messages m = { 0 };
		struct rules *r = NULL;

		if (load_condition(rows[i].condition, &r, &m) != -EINVAL)
			fail_msg("accepted: %s", rows[i].condition);
		if (!strstr(m.text.data, rows[i].message))
			fail_msg("%s: %s instead of %s", rows[i].condition, m.text.data, rows[i].message);
		assert_non_null(strstr(m.text.data, "t.yaml:"));
		buf_free(&m.text);
	}
}

/* Places inside folded scalars, and in what was appended by another file. */
static void test_places(void **state)
{
	static const char first[] = "- rule: r\n  desc: d\n  output: o\n  priority: info\n"
				    "  condition: >\n    evt.type = open and\n      fd.nome = x\n";
	static const char second[] =
		"- rule: s\n  desc: d\n  output: \"a %fd.name and %fd.nothing\"\n  priority: info\n"
		"  condition: evt.type = open\n"
		"- rule: s\n  condition: and fd.size = 3\n  override: {condition: append}\n";
	struct rules_text texts[] = { { "one.yaml", first, strlen(first) }, { "two.yaml", second, strlen(second) } };
	struct rules_messages m = { 0 };
	struct rules *r = NULL;

	(void)state;
	assert_int_equal(rules_parse(texts, 2, &r, &m), -EINVAL);
	assert_non_null(strstr(m.text.data, "one.yaml:7:7: error: unknown field 'fd.nome'"));
	assert_non_null(strstr(m.text.data, "two.yaml:3:28: error: unknown field 'fd.nothing'"));
	assert_non_null(strstr(m.text.data, "two.yaml:7:18: error: unknown field 'fd.size'"));
	assert_int_equal(m.errors, 3);
	buf_free(&m.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
