/* What conditions say of events: operators over fields set by hand, then whole events. */
#include "tests/rules/rule.h"

#define EVENT(fields) "{\"fields\":{\"evt.type\":\"open\"," fields "}}"

struct row {
	const char *check;
	int expected;
};

static void run_rows(const char *json, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;
		int got;

		buf_printf(&b, "evt.type=open and (%s)", rows[i].check);
		got = eval_condition(b.data, json);
		if (got != rows[i].expected)
			fail_msg("%s over %s: %d", rows[i].check, json, got);
	}
}
#define ROWS(json, ...)                                                                                                \
	do {                                                                                                           \
		static const struct row rows_[] = { __VA_ARGS__ };                                                     \
		run_rows(json, rows_, ARRAY_SIZE(rows_));                                                              \
	} while (0)

static void test_text(void **state)
{
	(void)state;
	ROWS(EVENT("\"proc.name\":\"myexe\",\"fd.name\":\"/home/Bob/.ssh/id_rsa\""), { "proc.name = myexe", 1 },
	     { "proc.name = my", 0 }, { "proc.name != my", 1 }, { "proc.name != myexe", 0 },
	     { "proc.name contains yex", 1 }, { "proc.name contains YEX", 0 }, { "proc.name icontains YEX", 1 },
	     { "proc.name contains ''", 1 }, { "proc.name startswith my", 1 }, { "proc.name startswith exe", 0 },
	     { "proc.name endswith exe", 1 }, { "proc.name endswith my", 0 }, { "proc.name endswith myexemyexe", 0 },
	     { "proc.name in (a, myexe)", 1 }, { "proc.name in (a, b)", 0 }, { "proc.name in ()", 0 },
	     { "not proc.name in ()", 1 }, { "proc.name in (a,b,c,d,e,f,g,myexe)", 1 },
	     { "proc.name in (a,b,c,d,e,f,g,h)", 0 }, { "proc.name glob my*", 1 }, { "proc.name glob 'm?e[wxy]e'", 1 },
	     { "proc.name glob 'm?e[!x]e'", 0 }, { "proc.name glob exe", 0 }, { "proc.name iglob MY*", 1 },
	     { "fd.name glob '/home/*/.ssh/*'", 1 }, { "fd.name glob '/home/*'", 1 }, { "fd.name glob '/home/?'", 0 },
	     { "fd.name regex '/home/[^/]*/.*rsa'", 1 }, { "fd.name regex 'home'", 0 },
	     { "fd.name regex '.*home.*'", 1 }, { "fd.name regex '/home/(alice|Bob)/\\.ssh/id_(rsa|dsa)'", 1 },
	     { "proc.name regex '[a-m]y(ex){1,2}e?'", 1 }, { "proc.name regex '(m|y|e|x){5}'", 1 },
	     { "proc.name regex '(m|y|e|x){6,}'", 0 }, { "proc.name startswith anyof (my, mye)", 1 },
	     { "proc.name startswith anyof (a, b)", 0 }, { "proc.name startswith oneof (my, bash)", 1 },
	     { "proc.name startswith oneof (my, mye)", 0 }, { "proc.name startswith allof (my, mye)", 1 },
	     { "proc.name startswith allof (my, bash)", 0 }, { "proc.name intersects (a, myexe)", 1 },
	     { "proc.name exists", 1 }, { "proc.cwd exists", 0 });
}

static void test_paths(void **state)
{
	(void)state;
	ROWS(EVENT("\"fd.name\":\"/etc/ssl/certs/a.pem\""), { "fd.name pmatch (/etc)", 1 },
	     { "fd.name pmatch (/etc/)", 1 }, { "fd.name pmatch (/et)", 0 },
	     { "fd.name pmatch (/etc/ssl/certs/a.pem)", 1 }, { "fd.name pmatch (/etc/ssl/certs/a.pem/b)", 0 },
	     { "fd.name pmatch (/etc/*/certs)", 1 }, { "fd.name pmatch (/etc/*/a.pem)", 0 },
	     { "fd.name pmatch (/usr, /lib, /etc/ssl)", 1 },
	     { "fd.name pmatch (/usr, /lib, /a, /b, /c, /d, /etc/ssl)", 1 },
	     { "fd.name pmatch (/usr, /lib, /a, /b, /c, /d, /etc/s?l)", 1 },
	     { "fd.name pmatch (/a, /b, /c, /d, /e, /f)", 0 }, { "fd.name pmatch (/)", 1 },
	     { "fd.name pmatch (/, /a, /b, /c, /d, /e)", 1 }, { "fd.name pmatch (etc)", 0 });
}

static void test_missing(void **state)
{
	(void)state;
	/* A field without a value fails every check, != too. */
	ROWS(EVENT("\"proc.name\":null"), { "proc.name = x", 0 }, { "proc.name != x", 0 }, { "not proc.name = x", 1 },
	     { "proc.name in (x)", 0 }, { "not proc.name in ('<NA>', 'N/A')", 1 }, { "proc.name exists", 0 },
	     { "not proc.name exists", 1 }, { "proc.name contains ''", 0 }, { "proc.pid >= 0", 0 },
	     { "proc.name = val(proc.cwd)", 0 }, { "proc.cwd != val(proc.name)", 0 });
}

static void test_numbers(void **state)
{
	(void)state;
	ROWS(EVENT("\"fd.num\":3,\"evt.rawres\":-2,\"user.loginuid\":-1,\"container.privileged\":true,"
		   "\"proc.duration\":5000000000"),
	     { "fd.num = 3", 1 }, { "fd.num = 0x3", 1 }, { "fd.num != 3", 0 }, { "fd.num > 2", 1 }, { "fd.num > 3", 0 },
	     { "fd.num >= 3", 1 }, { "fd.num < 4", 1 }, { "fd.num <= 2", 0 }, { "fd.num in (1,2,3)", 1 },
	     { "fd.num in (1,2,4,5,6,7,8)", 0 }, { "fd.num in (1,2,4,5,6,7,3)", 1 }, { "evt.rawres < 0", 1 },
	     { "evt.rawres = -2", 1 }, { "user.loginuid != -1", 0 }, { "container.privileged = true", 1 },
	     { "container.privileged = false", 0 }, { "proc.duration <= 5000000000", 1 }, { "evt.num=0", 0 },
	     { "evt.num>=0", 1 }, { "evt.num>0", 1 });
}

static void test_network(void **state)
{
	(void)state;
	ROWS(EVENT("\"fd.sip\":\"10.1.2.3\",\"fd.ip\":[\"10.1.2.3\",\"8.8.8.8\"],\"fd.net\":[\"10.1.2.3\",\"8.8.8.8\"],"
		   "\"fd.snet\":\"10.1.2.3\",\"fd.cip\":\"fe80::1\",\"fd.cnet\":\"fe80::1\",\"fd.port\":[22, 40000]"),
	     { "fd.sip = 10.1.2.3", 1 }, { "fd.sip = 10.1.2.4", 0 }, { "fd.ip = 8.8.8.8", 1 },
	     { "fd.ip != 8.8.8.8", 0 }, { "fd.ip != 1.1.1.1", 1 }, { "fd.ip in (1.1.1.1, 10.1.2.3)", 1 },
	     { "fd.net = 10.0.0.0/8", 1 }, { "fd.net != 10.0.0.0/8", 0 }, { "fd.net = 172.16.0.0/12", 0 },
	     { "fd.net != 172.16.0.0/12", 1 }, { "fd.snet in ('10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16')", 1 },
	     { "fd.snet in (11.0.0.0/8)", 0 }, { "fd.snet = 10.1.2.0/23", 1 }, { "fd.snet = 10.1.0.0/23", 0 },
	     { "fd.snet = 0.0.0.0/0", 1 }, { "fd.cip = fe80::1", 1 }, { "fd.cnet = 'fe80::/10'", 1 },
	     { "fd.cnet = 'fec0::/10'", 0 }, { "fd.port = 22", 1 }, { "fd.port != 22", 0 },
	     { "fd.port in (53, 40000)", 1 }, { "fd.port > 39999", 1 },
	     { "fd.sip = 10.1.2.3 and fd.cip = 10.1.2.3", 0 });
}

static void test_several(void **state)
{
	(void)state;
	ROWS(EVENT("\"proc.aname\":[\"bash\",\"sshd\",\"systemd\"],\"proc.aname[2]\":\"sshd\","
		   "\"container.mounts\":[\"/a\",\"/b\"]"),
	     { "proc.aname = sshd", 1 }, { "proc.aname = cron", 0 }, { "proc.aname != cron", 1 },
	     { "proc.aname != sshd", 0 }, { "proc.aname in (cron, sshd)", 1 }, { "proc.aname startswith sys", 1 },
	     { "proc.aname[2] = sshd", 1 }, { "proc.aname[3] = sshd", 0 },
	     /* in over a list wants all of it, intersects some */
	     { "container.mounts in (/a, /b, /c)", 1 }, { "container.mounts in (/a, /c)", 0 },
	     { "container.mounts intersects (/a, /c)", 1 }, { "container.mounts intersects (/c)", 0 });
}

static void test_transforms(void **state)
{
	(void)state;
	ROWS(EVENT("\"proc.name\":\"Curl\",\"proc.exepath\":\"/usr/bin/Curl\",\"proc.args\":\"aGVsbG8=\","
		   "\"fd.num\":1,\"proc.pid\":1"),
	     { "tolower(proc.name) = curl", 1 }, { "toupper(proc.name) = CURL", 1 }, { "proc.name = curl", 0 },
	     { "basename(proc.exepath) = Curl", 1 }, { "basename(proc.exepath) = val(proc.name)", 1 },
	     { "proc.exepath = val(proc.name)", 0 }, { "proc.exepath != val(proc.name)", 1 },
	     { "tolower(basename(proc.exepath)) in (curl, wget)", 1 }, { "len(proc.name) = 4", 1 },
	     { "len(proc.name) > 4", 0 }, { "b64(proc.args) = hello", 1 }, { "proc.name in (x, val(proc.name))", 1 },
	     { "fd.num = val(proc.pid)", 1 }, { "proc.exepath endswith val(proc.name)", 1 },
	     { "proc.name = basename(proc.exepath)", 1 });
}

static void test_escapes(void **state)
{
	(void)state;
	ROWS(EVENT("\"proc.args\":\"a\\\"b\\\\c\\td e\\n\""), { "proc.args contains 'a\"b'", 1 },
	     { "proc.args contains \"a\\\"b\"", 1 }, { "proc.args contains '\\\\c'", 1 },
	     { "proc.args contains 'c\\td'", 1 }, { "proc.args contains '\\x64\\x20e'", 1 },
	     { "proc.args endswith '\\n'", 1 },
	     { "proc.args contains '\\c'", 1 } /* an unknown escape is what it is */);
	ROWS(EVENT("\"proc.args\":\"x \\\\\""), { "proc.args endswith \\", 1 });
	ROWS(EVENT("\"proc.args\":\"\",\"proc.name\":\"runc:[0:PARENT]\""), { "proc.args = ''", 1 },
	     { "proc.args = \"\"", 1 }, { "proc.args exists", 1 }, { "proc.name in (a, runc:[0:PARENT])", 1 },
	     { "proc.name startswith \"runc:\"", 1 });
	ROWS(EVENT("\"evt.arg.flags\":\"O_CREAT|O_WRONLY\""), { "evt.arg.flags contains O_CREAT", 1 },
	     { "evt.arg.flags contains O_CRE", 0 }, { "evt.arg.flags contains \"O_WRONLY\"", 1 });
}

static void test_logic(void **state)
{
	(void)state;
	ROWS(EVENT("\"proc.name\":\"a\",\"fd.name\":\"/b\""), { "proc.name=a or fd.name=x and fd.name=y", 1 },
	     { "(proc.name=a or fd.name=x) and fd.name=y", 0 }, { "not proc.name=a or fd.name=/b", 1 },
	     { "not (proc.name=a or fd.name=/b)", 0 }, { "not (proc.name=x or not fd.name=/b)", 1 },
	     { "not not proc.name=a", 1 }, { "proc.name=a and not fd.name=x and not fd.name=y", 1 },
	     { "proc.name=a and (fd.name=x or (fd.name=/b and not (proc.name=q or proc.name=z)))", 1 });
}

/* --- whole events */

#define BY_CAT                                                                                                         \
	"\"process\":{\"pid\":7,\"exe\":\"/usr/bin/cat\",\"comm\":\"cat\",\"argv\":[\"cat\",\"-n\",\"x "               \
	"y\"],\"uid\":0,\"gid\":0,"                                                                                    \
	"\"tty\":\"pts/3\",\"loginuid\":1000,\"cgroup\":\"/user.slice\","                                              \
	"\"ancestors\":[{\"pid\":6,\"comm\":\"bash\",\"argv\":[\"-bash\"]},{\"pid\":5,\"comm\":\"sshd\"}]}"
#define CHANGE(change, path, rest)                                                                                     \
	"{\"kind\":\"change\",\"change\":\"" change "\",\"path\":\"" path "\"," rest BY_CAT "}"
#define IN_DOCKER                                                                                                      \
	"\"process\":{\"pid\":7,\"comm\":\"sh\",\"cgroup\":\"/system.slice/docker-"                                    \
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope\"}"

static void test_events(void **state)
{
	static const struct {
		const char *condition, *json;
		int expected;
	} rows[] = {
#define OPEN_WRITE "evt.type in (open,openat,openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0"
#define OPEN_READ  "evt.type in (open,openat,openat2) and evt.is_open_read=true and fd.typechar='f' and fd.num>=0"
		{ OPEN_WRITE, CHANGE("changed", "/etc/a", ""), 1 },
		{ OPEN_WRITE, CHANGE("replaced", "/etc/a", ""), 1 },
		{ OPEN_WRITE, CHANGE("added", "/etc/a", ""), 1 },
		{ OPEN_WRITE, CHANGE("added", "/etc/a", "\"after\":{\"type\":\"directory\"},"), 0 },
		{ OPEN_WRITE, CHANGE("removed", "/etc/a", ""), 0 },
		{ OPEN_WRITE, "{\"kind\":\"open\",\"path\":\"/etc/shadow\"}", 0 },
		{ OPEN_READ, "{\"kind\":\"open\",\"path\":\"/etc/shadow\"}", 1 },
		{ OPEN_READ, CHANGE("changed", "/etc/a", ""), 0 },
		{ OPEN_WRITE " and fd.name startswith /etc", CHANGE("changed", "/etc/a", ""), 1 },
		{ OPEN_WRITE " and fd.directory = /etc", CHANGE("changed", "/etc/a", ""), 1 },
		{ OPEN_WRITE " and fd.directory = /", CHANGE("changed", "/a", ""), 1 },
		{ OPEN_WRITE " and fd.filename = a", CHANGE("changed", "/etc/a", ""), 1 },
		{ "evt.type=creat", CHANGE("added", "/a", ""), 1 },
		{ "evt.type=creat", CHANGE("changed", "/a", ""), 0 },
		{ "evt.type=open and evt.arg.flags contains O_CREAT", CHANGE("added", "/a", ""), 1 },
		{ "evt.type=open and evt.arg.flags contains O_TRUNC",
		  CHANGE("changed", "/a", "\"before\":{\"size\":10},\"after\":{\"size\":0},"), 1 },
		{ "evt.type=open and evt.arg.flags contains O_TRUNC",
		  CHANGE("changed", "/a", "\"before\":{\"size\":10},\"after\":{\"size\":20},"), 0 },
		{ "evt.type=mkdir and evt.arg.path startswith /bin/",
		  CHANGE("added", "/bin/x", "\"after\":{\"type\":\"directory\"},"), 1 },
		{ "evt.type in (symlink, symlinkat) and evt.arg.target in (/etc/shadow)",
		  CHANGE("added", "/tmp/x", "\"after\":{\"type\":\"symlink\",\"target\":\"/etc/shadow\"},"), 1 },
		{ "evt.type in (link, linkat)", CHANGE("added", "/tmp/x", "\"after\":{\"type\":\"file\",\"nlink\":2},"),
		  1 },
		{ "evt.type in (unlink, unlinkat) and evt.arg.name = /a", CHANGE("removed", "/a", ""), 1 },
		{ "evt.type = rmdir", CHANGE("removed", "/a", "\"before\":{\"type\":\"directory\"},"), 1 },
		{ "evt.type = rmdir", CHANGE("removed", "/a", ""), 0 },
		{ "evt.type = rename and evt.arg.oldpath=/a and evt.arg.newpath=/b",
		  CHANGE("renamed", "/a", "\"path2\":\"/b\","), 1 },
		{ "evt.type = rename and evt.arg.newpath=/a", CHANGE("replaced", "/a", ""), 1 },
		{ "evt.type=chmod and evt.arg.mode contains S_ISUID",
		  CHANGE("attributes", "/a",
			 "\"attributes\":[\"mode\"],\"after\":{\"type\":\"file\",\"mode\":\"4755\"},"),
		  1 },
		{ "evt.type=chmod and evt.arg.mode contains S_ISGID",
		  CHANGE("attributes", "/a",
			 "\"attributes\":[\"mode\"],\"after\":{\"type\":\"file\",\"mode\":\"4755\"},"),
		  0 },
		{ "evt.type=chmod", CHANGE("attributes", "/a", "\"attributes\":[\"uid\"],"), 0 },
		{ "evt.type=chown", CHANGE("attributes", "/a", "\"attributes\":[\"uid\"],"), 1 },
		{ "evt.type in (execve, execveat) and proc.name=cat",
		  "{\"kind\":\"exec\",\"path\":\"/usr/bin/cat\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.args = \"-n x y\"", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.args[1] = \"x y\"", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.cmdline = \"cat -n x y\"", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.exe=cat and proc.pexe=-bash", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.pname=bash and proc.aname[2]=sshd", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.aname=sshd and not proc.aname=cat", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and proc.tty != 0 and proc.tty = 34819", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and user.uid=0 and user.loginuid=1000", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and container.id = host", "{\"kind\":\"exec\"," BY_CAT "}", 1 },
		{ "evt.type=execve and container.id = 0123456789ab", "{\"kind\":\"exec\"," IN_DOCKER "}", 1 },
		{ "evt.type=execve and container.id != host", "{\"kind\":\"exec\"," IN_DOCKER "}", 1 },
		{ "evt.type=execve and proc.is_exe_from_memfd=true",
		  "{\"kind\":\"exec\",\"process\":{\"pid\":1,\"exe\":\"/memfd:x (deleted)\"}}", 1 },
		{ "evt.type=execve and proc.is_exe_from_memfd=true", "{\"kind\":\"exec\"," BY_CAT "}", 0 },
		{ "hf.change=replaced", CHANGE("replaced", "/a", ""), 1 },
		{ "hf.attribute=digest", CHANGE("changed", "/a", "\"attributes\":[\"size\",\"digest\"],"), 1 },
		{ "hf.attribute in (uid, gid)", CHANGE("changed", "/a", "\"attributes\":[\"size\",\"digest\"],"), 0 },
		{ "hf.digest=00ff", CHANGE("changed", "/a", "\"after\":{\"digest\":\"00ff\"},"), 1 },
		{ "hf.setuid=true", CHANGE("added", "/a", "\"after\":{\"type\":\"file\",\"mode\":\"4755\"},"), 1 },
		{ "hf.kind=exec and hf.trusted=false", "{\"kind\":\"exec\",\"verdict\":\"unexpected\"}", 1 },
		{ "hf.kind=exec and hf.trusted=false", "{\"kind\":\"exec\",\"verdict\":\"allowed\"}", 0 },
		{ "hf.kind=exec and hf.trusted=false", "{\"kind\":\"exec\"}", 0 },
		{ "hf.verdict=denied", "{\"kind\":\"exec\",\"verdict\":\"denied\"}", 1 },
		{ "evt.type=execve", "{\"kind\":\"exec\",\"verdict\":\"denied\"}", 0 },
		{ "evt.type=execve", "{\"kind\":\"exec\",\"verdict\":\"unexpected\"}", 1 },
		{ "basename(hf.path) in (x, b)", CHANGE("renamed", "/a", "\"path2\":\"/c/b\","), 1 },
		{ "hf.kind=gap", "{\"kind\":\"gap\",\"reason\":\"down\"}", 1 },
		{ "hf.kind=note", CHANGE("added", "/a", ""), 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int got = eval_condition(rows[i].condition, rows[i].json);

		if (got != rows[i].expected)
			fail_msg("%s over %s: %d", rows[i].condition, rows[i].json, got);
	}
}

/* One match a rule, however many calls the event stands for; in the order of the file. */
static void test_order(void **state)
{
	static const char text[] =
		"- {rule: b, desc: d, output: o, priority: info, condition: hf.change=replaced}\n"
		"- {rule: off, desc: d, output: o, priority: info, condition: hf.change=replaced, enabled: false}\n"
		"- {rule: a, desc: d, output: o, priority: info, condition: hf.path=/a}\n";
	struct rules_messages m = { 0 };
	const struct rule *found[4];
	struct rules *r = NULL;

	(void)state;
	assert_int_equal(load_text(text, &r, &m), 0);
	assert_int_equal(count_matches(r, CHANGE("replaced", "/a", ""), found, 4), 2);
	assert_string_equal(found[0]->name, "b");
	assert_string_equal(found[1]->name, "a");
	rules_unref(r);
	buf_free(&m.text);
}

static void test_output(void **state)
{
	static const char text[] =
		"- rule: r\n  desc: d\n  priority: info\n  condition: evt.type=open and fd.directory=/etc and "
		"proc.name=cat\n"
		"  output: '*%proc.name wrote %fd.name (%proc.aname[2], %proc.cwd) 100% %evt.type.'\n";
	_cleanup_(field_view_free_p) struct field_view *v = field_view_new();
	_cleanup_sample_ struct sample sample = { 0 };
	_cleanup_buf_ struct buf b = BUF_INIT;
	static const char json[] = CHANGE("changed", "/etc/\\u001bx", "");
	struct rules_messages m = { 0 };
	const struct rule *rule;
	struct rules_state *s;
	struct rules *r = NULL;
	enum face face;
	json_t *fields, *looked_at;

	(void)state;
	assert_int_equal(load_text(text, &r, &m), 0);
	s = rules_state_new(r);
	assert_int_equal(sample_parse(json, strlen(json), &sample, &b), 0);
	sample_begin(&sample, v);
	assert_int_equal(rules_eval(s, v, true, &rule, &face, 1), 1);
	rule_output(s, v, face, rule, &b);
	assert_string_equal(b.data, "cat wrote /etc/\\x1bx (sshd, <NA>) 100% openat.");
	looked_at = rule_condition_fields(s, v, face, rule);
	fields = rule_output_fields(s, v, face, rule);
	assert_string_equal(json_string_value(json_object_get(fields, "proc.aname[2]")), "sshd");
	assert_true(json_is_null(json_object_get(fields, "proc.cwd")));
	json_decref(fields);
	/* What the process is stands elsewhere. */
	assert_string_equal(json_string_value(json_object_get(looked_at, "evt.type")), "openat");
	assert_string_equal(json_string_value(json_object_get(looked_at, "fd.directory")), "/etc");
	assert_int_equal(json_object_size(looked_at), 2);
	json_decref(looked_at);
	rules_state_free(s);
	rules_unref(r);
	buf_free(&m.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),	   cmocka_unit_test(test_paths),   cmocka_unit_test(test_missing),
		cmocka_unit_test(test_numbers),	   cmocka_unit_test(test_network), cmocka_unit_test(test_several),
		cmocka_unit_test(test_transforms), cmocka_unit_test(test_escapes), cmocka_unit_test(test_logic),
		cmocka_unit_test(test_events),	   cmocka_unit_test(test_order),   cmocka_unit_test(test_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
