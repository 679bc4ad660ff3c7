/* event/process: copies, counts, long chains, JSON with and without what is known. */
#include "tests/test.h"

#include "event/process.h"

static void assert_json(json_t *o, const char *want)
{
	char *text = json_dumps(o, JSON_COMPACT);

	assert_string_equal(text, want);
	free(text);
	json_decref(o);
}

static void test_copy(void **state _unused_)
{
	char exe[] = "/usr/bin/vim", argv[] = "vim\0a b";
	struct process values = { .known = PROCESS_EXE | PROCESS_CMDLINE,
				  .pid = 5,
				  .exe = exe,
				  .cmdline = argv,
				  .cmdline_len = sizeof(argv),
				  .row = 9 };
	_cleanup_process_ struct process *p = process_new(&values), *child = NULL;

	exe[0] = argv[0] = 'X';
	assert_int_equal(p->refs, 1);
	assert_int_equal(p->row, 0);
	assert_string_equal(p->exe, "/usr/bin/vim");
	assert_memory_equal(p->cmdline, "vim\0a b", 8);
	assert_null(p->cwd);
	assert_string_equal(process_name(p), "vim");
	values.parent = p;
	child = process_new(&values);
	assert_int_equal(p->refs, 2);
	assert_ptr_equal(process_ref(child), child);
	process_unref(child);
	process_unref(NULL);
}

static void test_name(void **state _unused_)
{
	static const struct {
		uint32_t known;
		const char *exe, *name;
	} cases[] = { { 0, NULL, NULL },
		      { PROCESS_COMM, NULL, "comm" },
		      { PROCESS_COMM | PROCESS_EXE, "/bin/x", "x" },
		      { PROCESS_EXE, "plain", "plain" },
		      { PROCESS_EXE, "/ends/", "/ends/" } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process p = { .known = cases[i].known, .comm = "comm", .exe = cases[i].exe };
		const char *name = process_name(&p);

		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
	}
}

/* Dropping the last of a long chain needs no stack for each. */
static void test_chain(void **state _unused_)
{
	struct process *last = NULL;

	for (int i = 0; i < 300000; i++) {
		struct process values = { .pid = i, .parent = last }, *p = process_new(&values);

		if (last)
			process_unref(last);
		last = p;
	}
	process_unref(last);
}

static void test_json(void **state _unused_)
{
	static const char argv[] = "vi\0/etc/a b\0";
	struct process init = { .known = PROCESS_EXE, .pid = 1, .exe = "/sbin/init" };
	struct process shell = { .known = PROCESS_COMM, .pid = 7, .comm = "sh", .parent = &init };
	struct process all = { .known = ~(uint32_t)(PROCESS_NO_LOGINUID | PROCESS_NO_TTY),
			       .pid = 9,
			       .ppid = 7,
			       .uid = 4000000000,
			       .gid = 2,
			       .euid = 0,
			       .egid = 2,
			       .loginuid = 0,
			       .session = 3,
			       .comm = "vi",
			       .exe = "/bin/\xff",
			       .cmdline = argv,
			       .cmdline_len = sizeof(argv) - 1,
			       .cmdline_cut = true,
			       .cwd = "/root",
			       .tty = "pts/0",
			       .cgroup = "/x",
			       .parent = &shell };
	struct process none = { .pid = 9, .loginuid = 5, .exe = "/never/shown" };

	assert_json(process_json(&none), "{\"pid\":9}");
	assert_json(process_json(&all),
		    "{\"pid\":9,\"ppid\":7,\"exe\":\"/bin/\\\\xff\",\"exe_raw\":\"2f62696e2fff\",\"comm\":\"vi\","
		    "\"cmdline\":\"vi /etc/a b ...\",\"cwd\":\"/root\",\"uid\":4000000000,\"gid\":2,\"euid\":0,"
		    "\"loginuid\":0,\"login_user\":\"root\",\"session\":3,\"tty\":\"pts/0\",\"cgroup\":\"/x\","
		    "\"ancestors\":[{\"pid\":7,\"comm\":\"sh\"},{\"pid\":1,\"exe\":\"/sbin/init\"}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_copy), cmocka_unit_test(test_name),
					    cmocka_unit_test(test_chain), cmocka_unit_test(test_json) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
