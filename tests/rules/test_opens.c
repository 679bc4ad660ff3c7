/* rules/opens: what is taken from a condition, what it means, and what the classification makes of it. */
#include "tests/rules/rule.h"

#include "rules/opens.h"

static void print_terms(struct buf *b, const struct rule_opens *o)
{
	static const char *const names[OPEN_WHATS] = { "path", "file", "comm", "below", "way", "each" };

	static const char *const classes[OPEN_CLASSES] = { "", "call ", "write ", "make ", "program ", "up " };

	buf_str(b, !o->asks ? "no" : !o->terms ? "all" : o->dirs ? "dirs" : "");
	for (uint32_t i = 0; o->asks && o->terms && i < o->n; i++) {
		const struct open_term *t = &o->terms[i];

		buf_printf(b, " %s%s:%.*s", classes[t->class], names[t->what], (int)t->len, t->s ?: "");
		if (t->what == OPEN_WAY)
			buf_printf(b, "+%.*s", (int)t->name_len, t->name);
	}
}

#define READ "evt.type in (open, openat) and evt.is_open_read=true and fd.typechar='f' and "

static const struct {
	const char *condition, *terms;
} conditions[] = {
	/* Who asks at all. */
	{ "evt.type = execve and fd.name = /etc/shadow", "no" },
	{ "fd.name = /etc/shadow", "no" },
	{ "evt.type = openat and evt.is_open_write = true and fd.name = /etc/shadow", "no" },
	{ "hf.change = removed and hf.path = /etc/shadow", "no" },
	{ READ "proc.pname = x", "all" },
	{ "evt.is_open_read = true", "all" },
	/* What bounds. */
	{ READ "fd.name = /etc/shadow", " path:/etc/shadow" },
	{ READ "fd.name in (/etc/shadow, /etc/sudoers)", " path:/etc/shadow path:/etc/sudoers" },
	{ READ "fd.name startswith /root/.ssh", " below:/root/.ssh" },
	{ READ "fd.name startswith /", "all" },
	{ READ "fd.name contains shadow", "all" },
	{ READ "fd.name != /etc/shadow", "all" },
	{ READ "fd.name endswith shadow", "all" },
	{ READ "fd.name endswith /.aws/credentials", " file:credentials" },
	{ READ "fd.name endswith /.aws/", "all" },
	{ READ "fd.directory in (/etc/pam.d, /etc/sudoers.d/)", " below:/etc/pam.d below:/etc/sudoers.d" },
	{ READ "fd.directory = /", "all" },
	{ READ "fd.filename in (.bashrc, .profile)", " file:.bashrc file:.profile" },
	{ READ "basename(fd.name) = id_rsa", " file:id_rsa" },
	{ READ "tolower(fd.name) = /etc/shadow", "all" },
	{ READ "fd.name = val(proc.exepath)", "all" },
	{ READ "proc.name = tar", " comm:tar" },
	{ READ "fd.name glob '/home/*/.ssh/*'", " way:/home/+.ssh" },
	{ READ "fd.name glob '/proc/*/environ'", " way:/proc/+environ" },
	{ READ "fd.name glob /etc/shadow", " path:/etc/shadow" },
	{ READ "fd.name glob '/etc/ssh/ssh_host_*_key'", " below:/etc/ssh/ssh_host_" },
	{ READ "fd.name glob '*shadow'", "all" },
	{ READ "fd.name glob '/a/[b/c]*/d'", " below:/a/" },
	{ READ "fd.name pmatch (/etc/ssl/private, '/home/*/.kube')", " below:/etc/ssl/private way:/home/+.kube" },
	{ "hf.kind = open and hf.path = /etc/shadow", " path:/etc/shadow" },
	/* Both names and parts. */
	{ READ "(fd.name = /a/b or fd.directory = /c/d)", " path:/a/b below:/c/d" },
	{ READ "(fd.name = /a/b or proc.pname = x)", "all" },
	{ READ "fd.name startswith /proc and proc.name = tar", " comm:tar" },
	{ READ "fd.name = /a/b and proc.name = tar", " path:/a/b" },
	{ READ "not (fd.name != /a/b or fd.name contains c)", "all" },
	{ READ "not (not fd.name = /a/b)", " path:/a/b" },
	{ "evt.type in (open, openat) and evt.is_open_read = true and fd.name = /a/b", "dirs path:/a/b" },
	{ "(evt.type = rename and fd.name = /c) or (evt.type = open and evt.is_open_read = true and fd.name = /a/b)",
	  "dirs path:/a/b" },
	{ "evt.type = open and (evt.is_open_read = true or evt.is_open_write = true) and fd.name = /a/b and "
	  "fd.typechar = d",
	  "dirs path:/a/b" },
};

/* What only the call says: the call is asked for. */
#define OPEN "evt.type in (open, openat, openat2) and "

static const struct {
	const char *condition, *terms;
} calls[] = {
	{ "evt.type = open and evt.arg.flags contains O_CREAT and fd.directory = /dev", " make below:/dev" },
	{ OPEN "evt.is_open_write = true and evt.arg.flags contains O_TRUNC and (fd.directory in (/a, /b) or "
	       "fd.filename = c)",
	  " make file:c make below:/a make below:/b" },
	{ OPEN "evt.is_open_write = true and evt.arg.flags contains O_APPEND and fd.name = /a", " write path:/a" },
	{ OPEN "evt.arg.flags contains O_APPEND and fd.name = /a", " call path:/a" },
	{ OPEN "evt.arg.flags contains O_APPEND and fd.name contains /a", "no" },
	{ OPEN "evt.arg.flags contains O_CREAT and fd.name contains /a", " make each:" },
	{ OPEN "not evt.arg.flags contains O_CREAT and fd.name contains /a", "all" },
	{ OPEN "(evt.arg.flags contains O_CREAT or proc.name = x) and fd.name = /a", " call path:/a" },
	{ OPEN "evt.is_open_exec = true and evt.rawres >= 0", " program each:" },
	{ OPEN "evt.is_open_exec = false and evt.rawres >= 0", "all" },
	{ OPEN "fd.nameraw contains '../' and fd.nameraw glob '*../*../*'", " up each:" },
	{ OPEN "fd.nameraw glob '*[.][.]/*'", "all" },
	{ OPEN "fd.nameraw contains '../' and fd.name startswith /etc/", " up below:/etc/" },
	{ OPEN "fd.num = -1 and evt.res startswith E and fd.name startswith /etc/", " call below:/etc/" },
	{ OPEN "evt.is_open_write = true and (fd.name = /proc/self/exe or fd.name startswith /proc/self/fd/)",
	  " write path:/proc/self/exe write below:/proc/self/fd/" },
	{ OPEN "evt.arg.flags contains O_CREAT and fd.name = /a and hf.size > 1", "no" },
	{ "(evt.type = rename and evt.arg.newpath contains x) or (" OPEN
	  "evt.arg.flags contains O_TRUNC and fd.name = /a)",
	  " make path:/a" },
	{ "evt.type = connect and evt.res = EPERM and fd.name = /a", "no" },
	{ "evt.type = creat and evt.arg.mode contains S_IXUSR and fd.name = /a", " call path:/a" },
};

static void test_calls(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct rules_messages m = { 0 };
		struct rules *r;

		assert_int_equal(load_condition(calls[i].condition, &r, &m), 0);
		print_terms(&b, rule_opens(rules_get(r, 0)));
		if (!streq(b.data ?: "", calls[i].terms))
			fail_msg("%s: %s, not %s", calls[i].condition, b.data, calls[i].terms);
		rules_unref(r);
		buf_free(&m.text);
	}
}

/* A term is one for its class alone. */
static void test_classes(void **state _unused_)
{
	static const struct {
		enum open_class class;
		const char *path;
		bool meant;
	} cases[] = {
		{ OPEN_MAKE, "/a", true },    { OPEN_READ, "/a", false },   { OPEN_CALL, "/a", false },
		{ OPEN_READ, "/b", true },    { OPEN_MAKE, "/b", false },   { OPEN_PROGRAM, "/x", true },
		{ OPEN_PROGRAM, NULL, true }, { OPEN_UP, NULL, false },	    { OPEN_UP, "/x", false },
		{ OPEN_CALL, "/c/d", true },  { OPEN_READ, "/c/d", false },
	};
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct rules_messages m = { 0 };
	struct opens o;
	struct rules *r;

	buf_str(&b,
		"- rule: a\n  desc: d\n  output: o\n  priority: INFO\n  condition: " OPEN
		"evt.arg.flags contains O_CREAT and fd.name = /a\n"
		"- rule: b\n  desc: d\n  output: o\n  priority: INFO\n  condition: " OPEN
		"evt.is_open_read = true and fd.name = /b\n"
		"- rule: c\n  desc: d\n  output: o\n  priority: INFO\n  condition: " OPEN
		"evt.failed = true and fd.directory = /c\n"
		"- rule: x\n  desc: d\n  output: o\n  priority: INFO\n  condition: " OPEN "evt.is_open_exec = true\n");
	assert_int_equal(load_text(b.data, &r, &m), 0);
	assert_int_equal(rules_opens(r, &o), 0);
	assert_int_equal(o.classes,
			 OPEN_BIT(OPEN_MAKE) | OPEN_BIT(OPEN_READ) | OPEN_BIT(OPEN_CALL) | OPEN_BIT(OPEN_PROGRAM));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (opens_match(&o, OPEN_BIT(cases[i].class), cases[i].path, cases[i].path ? strlen(cases[i].path) : 0,
				"cat") != cases[i].meant)
			fail_msg("%zu: %s", i, cases[i].path ?: "none");
	opens_free(&o);
	rules_unref(r);
	buf_free(&m.text);
}

static void test_terms(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditions); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		struct rules_messages m = { 0 };
		struct rules *r;

		if (load_condition(conditions[i].condition, &r, &m) < 0)
			fail_msg("%s: %s", conditions[i].condition, m.text.data);
		print_terms(&b, rule_opens(rules_get(r, 0)));
		if (!streq(b.data, conditions[i].terms))
			fail_msg("%s: %s", conditions[i].condition, b.data);
		rules_unref(r);
		buf_free(&m.text);
	}
}

#define MANY                                                                                                           \
	READ "(fd.name in (/a/b, /a/c, /b, /etc/x) or fd.name pmatch (/etc/ssl, /etc/ssh, '/home/*/.kube', '*/x/*', "  \
	     "/f/g, /er) or fd.filename in (k, l) or proc.name in (tar, unattended-upgrades))"

static const struct {
	const char *condition, *path, *comm;
	bool meant;
} meant[] = {
	{ MANY, "/a/b", "cat", true },
	{ MANY, "/a/c", "cat", true },
	{ MANY, "/a/d", "cat", false },
	{ MANY, "/a", "cat", false },
	{ MANY, "/", "cat", false },
	{ MANY, "", "cat", false },
	{ MANY, "/", "tar", true },
	{ MANY, "/a/d", "unattended-upgr", true },
	{ MANY, "/a/d", "unattended-upg", false },
	{ MANY, "/etc/ssh/y", "cat", true },
	{ MANY, "/etc/ssl", "cat", true },
	{ MANY, "/etc/sss", "cat", false },
	{ MANY, "/er/k2", "cat", true },
	{ MANY, "/es", "cat", false },
	{ MANY, "/zz/x/a", "cat", true },
	{ MANY, "/zz/xx/l", "cat", true },
	{ MANY, "/zz/l/a", "cat", false },
	{ MANY, "/home/u/.kube/a", "cat", true },
	{ MANY, "/homf/u/.kube/a", "cat", false },
	{ MANY, "/f/g", "cat", true },
	{ MANY, "/f", "cat", false },
	{ READ "fd.name = /etc/shadow", "/etc/shadow", "cat", true },
	{ READ "fd.name = /etc/shadow", "/etc/shadow-", "cat", false },
	{ READ "fd.name = /etc/shadow", "/etc/shado", "cat", false },
	{ READ "fd.name startswith /root/.ssh", "/root/.ssh2/x", "cat", true },
	{ READ "fd.name startswith /root/.ssh", "/x/root/.ssh/x", "cat", false },
	{ READ "fd.filename = shadow", "/a/shadow", "cat", true },
	{ READ "fd.filename = shadow", "/a/xshadow", "cat", false },
	{ READ "fd.filename = shadow", "/shadow/a", "cat", false },
	{ READ "fd.name glob '/home/*/.ssh/*'", "/home/a/b/.ssh/c/d", "cat", true },
	{ READ "fd.name glob '/home/*/.ssh/*'", "/home/a/b.ssh/c", "cat", false },
	{ READ "fd.name glob '/proc/*/environ'", "/proc/1/environ", "cat", true },
	{ READ "fd.name glob '/proc/*/environ'", "/proc/1/environs", "cat", false },
	{ READ "proc.name = tar", "/a", "tar", true },
	{ READ "proc.name = tar", "/a", "tarx", false },
	{ READ "proc.name = tar", "/a", NULL, true },
	{ READ "proc.name = unattended-upgrades", "/a", "unattended-upgr", true },
	{ READ "proc.pname = tar", "/a", "tar", false },
};

static void test_match(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(meant); i++) {
		struct rules_messages m = { 0 };
		struct opens o;
		struct rules *r;

		assert_int_equal(load_condition(meant[i].condition, &r, &m), 0);
		assert_int_equal(rules_opens(r, &o), 0);
		if (opens_match(&o, OPEN_BIT(OPEN_READ), meant[i].path, strlen(meant[i].path), meant[i].comm) !=
		    meant[i].meant)
			fail_msg("%s: %s by %s", meant[i].condition, meant[i].path, meant[i].comm);
		opens_free(&o);
		rules_unref(r);
		buf_free(&m.text);
	}
}

static void add_rule(struct buf *b, const char *name, const char *condition)
{
	buf_printf(b, "- rule: %s\n  desc: d\n  output: o\n  priority: INFO\n  condition: |\n    %s\n", name,
		   condition);
}

/* Rules that are off ask for nothing; one that would take all the room is left out, the others are not. */
static void test_together(void **state _unused_)
{
	_cleanup_buf_ struct buf b = BUF_INIT, many = BUF_INIT, err = BUF_INIT;
	const char *off = "three";
	struct rules_messages m = { 0 };
	struct opens o, again;
	struct rules *r;

	add_rule(&b, "one", READ "fd.name in (/a, /b)");
	add_rule(&b, "two", "evt.is_open_read = true and fd.name in (/b, /c)");
	add_rule(&b, "three", READ "fd.name = /d");
	for (int k = 0; k < 5; k++) {
		char name[16];

		buf_reset(&many);
		buf_str(&many, READ "fd.name in (/x");
		for (int i = 0; i < 1000; i++)
			buf_printf(&many, ", /%d/%d", k, i);
		buf_char(&many, ')');
		snprintf(name, sizeof(name), "many%d", k);
		add_rule(&b, name, many.data);
	}
	assert_int_equal(load_text(b.data, &r, &m), 0);
	assert_int_equal(
		rules_select(r, &(struct rules_selection){ .disable = &off, .n_disable = 1, .minimum = 7 }, &err), 0);
	assert_int_equal(rules_opens(r, &o), 0);
	assert_int_equal(o.n, 3 + 4 * 1000 + 1);
	assert_int_equal(o.rules, 6);
	assert_int_equal(o.left_out, 1);
	assert_true(o.dirs);
	assert_false(opens_match(&o, OPEN_BIT(OPEN_READ), "/d", 2, NULL));
	assert_int_equal(rules_opens(r, &again), 0);
	assert_true(opens_equal(&o, &again));
	again.n--;
	assert_false(opens_equal(&o, &again));
	opens_free(&again);
	opens_free(&o);
	rules_unref(r);
	buf_free(&m.text);
}

static const struct {
	const char *condition;
	sensor_mask sensors;
	enum quality quality;
	const char *why; /* part of it */
} qualities[] = {
	{ READ "fd.name = /a", SENSOR_BIT(SENSOR_OPENS_RULES), QUALITY_EXACT, "" },
	{ READ "fd.name = /a", SENSOR_BIT(SENSOR_OPENS), QUALITY_EXACT, "" },
	{ READ "fd.name = /a", SENSOR_BIT(SENSOR_OPENS_SENSITIVE), QUALITY_APPROXIMATE, "`sensitive` only" },
	{ READ "fd.name = /a", 0, QUALITY_BLIND, "no sensor for opens" },
	{ READ "fd.name contains a", SENSOR_BIT(SENSOR_OPENS_RULES) | SENSOR_BIT(SENSOR_OPENS_SENSITIVE),
	  QUALITY_APPROXIMATE, "no path, name or program" },
	{ READ "fd.name contains a", SENSOR_BIT(SENSOR_OPENS_RULES) | SENSOR_BIT(SENSOR_OPENS), QUALITY_EXACT, "" },
	{ OPEN "evt.arg.flags contains O_TRUNC", SENSOR_BIT(SENSOR_OPENS_RULES), QUALITY_EXACT, "" },
	{ OPEN "evt.is_open_write = true and evt.arg.flags contains O_TRUNC", 0, QUALITY_APPROXIMATE,
	  "from the effect" },
	{ OPEN "fd.nameraw contains ..", SENSOR_BIT(SENSOR_OPENS_RULES), QUALITY_EXACT, "" },
	{ OPEN "fd.nameraw contains ..", SENSOR_BIT(SENSOR_OPENS), QUALITY_BLIND, "fd.nameraw" },
};

static void test_quality(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(qualities); i++) {
		_cleanup_buf_ struct buf why = BUF_INIT;
		struct rules_messages m = { 0 };
		enum quality quality;
		struct rules *r;

		assert_int_equal(load_condition(qualities[i].condition, &r, &m), 0);
		quality = rule_quality(rules_get(r, 0), qualities[i].sensors | SENSOR_BIT(SENSOR_CHANGES), &why);
		if (quality != qualities[i].quality || !strstr(why.data ?: "", qualities[i].why))
			fail_msg("%zu: %s: %s", i, quality_names[quality], why.data ?: "");
		rules_unref(r);
		buf_free(&m.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_terms), cmocka_unit_test(test_calls),    cmocka_unit_test(test_classes),
		cmocka_unit_test(test_match), cmocka_unit_test(test_together), cmocka_unit_test(test_quality),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
