/* proc/read: parsers on odd input, and the reader on recorded trees and on ourselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "lib/util.h"
#include "proc/parse.h"
#include "proc/read.h"
#include "tests/proc/tree.h"

static void test_stat(void **state)
{
	static const struct {
		const char *line, *comm;
		int result, ppid, sid;
		uint32_t tty;
		uint64_t start_ticks;
		bool has_mm;
	} cases[] = {
		{ "7 (init) S 1 7 7 34816 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 250 4096 0\n", "init", 0, 1, 7, 34816, 250,
		  true },
		{ "7 (a) R 1 (b) S 2 7 9 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 1\n", "a) R 1 (b", 0, 2, 9, 0, 9, true },
		{ "7 (x\ny) S 2 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0\n", "x\ny", 0, 2, 7, 0, 9, false },
		{ "7 () Z 2 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0\n", "", 0, 2, 7, 0, 9, false },
		{ "7 (kworker/0:1-events_long) I 2 0 0 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0\n", "kworker/0:1-eve", 0, 2,
		  0, 0, 9, false },
		/* Ticks beyond 32 bits: 1.4 years at 100 Hz. */
		{ "7 (a) S 2 7 7 0 -1 0 0 0 0 0 0 0 0 -20 20 0 1 0 4294967301 1\n", "a", 0, 2, 7, 0, 4294967301ULL,
		  true },
		{ "7 (a) S 2 7 7 -2147450880 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 1\n", "a", 0, 2, 7, 0x80008000, 9, true },
		{ "", NULL, -EBADMSG, 0, 0, 0, 0, false },
		{ "7 a S 2", NULL, -EBADMSG, 0, 0, 0, 0, false },
		{ "7 )a( S 2 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 1\n", NULL, -EBADMSG, 0, 0, 0, 0, false },
		{ "7 (a)", NULL, -EBADMSG, 0, 0, 0, 0, false },
		{ "7 (a) S 2 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0\n", NULL, -EBADMSG, 0, 0, 0, 0, false },
		{ "7 (a) S x 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 1\n", NULL, -EBADMSG, 0, 0, 0, 0, false },
		{ "7 (a) S 2 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 99999999999999999999 1\n", NULL, -EBADMSG, 0, 0, 0, 0,
		  false },
	};
	uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct proc_stat st;

		assert_int_equal(proc_parse_stat(cases[i].line, strlen(cases[i].line), &st), cases[i].result);
		if (cases[i].result)
			continue;
		assert_string_equal(st.comm, cases[i].comm);
		assert_int_equal(st.ppid, cases[i].ppid);
		assert_int_equal(st.sid, cases[i].sid);
		assert_int_equal(st.tty_nr, cases[i].tty);
		assert_int_equal(st.start_ns, cases[i].start_ticks * tick);
		assert_int_equal(st.has_mm, cases[i].has_mm);
	}
}

static void test_tty(void **state)
{
	static const struct {
		uint32_t nr;
		const char *name;
	} cases[] = {
		{ 0x8800, "pts/0" },   { 0x8803, "pts/3" },   { 0x1088ff, "pts/511" }, { 0x0401, "tty1" },
		{ 0x0440, "ttyS0" },   { 0x0501, "console" }, { 0x0500, "tty" },       { 0xe500, "hvc0" },
		{ 0xcc40, "ttyAMA0" }, { 0xbc02, "ttyUSB2" }, { 0xfe07, "254:7" },
	};
	char name[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(proc_tty_name(cases[i].nr, name, sizeof(name)), 0);
		assert_string_equal(name, cases[i].name);
	}
	assert_int_equal(proc_tty_name(0, name, sizeof(name)), -ENOTTY);
}

#define ID64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_cgroup(void **state)
{
	static const struct {
		const char *file, *path;
	} cases[] = {
		/* Unified. */
		{ "0::/\n", "/" },
		{ "0::/user.slice/user-0.slice/session-1.scope\n", "/user.slice/user-0.slice/session-1.scope" },
		{ "0::/system.slice/docker-" ID64 ".scope\n", "/system.slice/docker-" ID64 ".scope" },
		{ "0::/../../kubepods/pod1/" ID64 "\n", "/../../kubepods/pod1/" ID64 },
		/* Legacy: docker with cgroupfs. */
		{ "3:cpu,cpuacct:/docker/" ID64 "\n2:memory:/docker/" ID64 "\n1:name=systemd:/docker/" ID64 "\n",
		  "/docker/" ID64 },
		/* Hybrid: the unified line may name the runtime's own unit. */
		{ "5:pids:/kubepods/pod1/" ID64 "\n1:name=systemd:/kubepods/pod1/" ID64
		  "\n0::/system.slice/containerd.service\n",
		  "/kubepods/pod1/" ID64 },
		{ "1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n", "/system.slice/b.service" },
		{ "5:pids:/x\n1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service" },
		{ "9:name=systemd:/\n8:pids:/\n4:memory:/api/abc\n3:cpu:/a\n0::/\n", "/api/abc" },
		{ "2:name=other:/zzzzzzzzzzzzzzz\n1:name=systemd:/a\n", "/a" },
		/* A machine has no id: its slice and scope say what it is. */
		{ "4:memory:/m/long/path\n1:name=systemd:/machine.slice/machine-a.scope\n0::/payload\n",
		  "/machine.slice/machine-a.scope" },
		{ "1:name=systemd:/machine.slice/systemd-nspawn@a.service/x\n0::/x\n",
		  "/machine.slice/systemd-nspawn@a.service/x" },
		{ "1:name=systemd:/machine-a.scope\n0::/x\n", "/x" },
		{ "1:name=systemd:/machine.slice/machine-qemu-1.scope\n0::/x\n", "/x" },
		/* Odd names. */
		{ "0::/a:b c\x1b[m\xff (deleted)\n", "/a:b c\x1b[m\xff" },
		{ "0::/no newline", "/no newline" },
		{ "junk\n0:\n::\n0::relative\n0::/good\n", "/good" },
		{ "", NULL },
		{ "junk\n", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *path = NULL;
		size_t len = 0;
		int r = proc_parse_cgroup(cases[i].file, strlen(cases[i].file), &path, &len);

		assert_int_equal(r, cases[i].path ? 0 : -EBADMSG);
		if (!cases[i].path)
			continue;
		assert_int_equal(len, strlen(cases[i].path));
		assert_memory_equal(path, cases[i].path, len);
	}
}

static void test_ids(void **state)
{
	static const struct {
		const char *file;
		int result;
		uint32_t uid, euid, gid, egid;
	} cases[] = {
		{ "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n", 0, 1, 2, 5, 6 },
		{ "Uid:\t4294967294\t0\t0\t0\nGid:\t0\t0\t0\t0\n", 0, 4294967294, 0, 0, 0 },
		{ "Name:\tUid:\t9\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8", 0, 1, 2, 5, 6 },
		{ "Uid:\t1\t2\n", -EBADMSG, 0, 0, 0, 0 },
		{ "Uid:\t4294967296\t2\nGid:\t1\t1\n", -EBADMSG, 0, 0, 0, 0 },
		{ "Uid:", -EBADMSG, 0, 0, 0, 0 },
		{ "", -EBADMSG, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process p = { 0 };

		assert_int_equal(proc_parse_ids(cases[i].file, strlen(cases[i].file), &p), cases[i].result);
		assert_int_equal(p.known, cases[i].result ? 0 : PROCESS_IDS);
		assert_int_equal(p.uid, cases[i].uid);
		assert_int_equal(p.euid, cases[i].euid);
		assert_int_equal(p.gid, cases[i].gid);
		assert_int_equal(p.egid, cases[i].egid);
	}
}

static void test_standing(void **state)
{
	static const char caps[] = "CapInh:\t0000000000000001\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000200000\n";
	static const struct {
		const char *pids;
		int result;
		int32_t vpid, vpgid;
	} cases[] = {
		{ "Name:\ta\nNSpid:\t77\t5\nNSpgid:\t70\t3\n", 0, 5, 3 },
		{ "NSpid:\t77\nNSpgid:\t0\n", 0, 77, 0 },
		{ "NSpid:\t0\nNSpgid:\t1\n", -EBADMSG, 0, 0 },
		{ "NSpid:\t99999999999\nNSpgid:\t1\n", -EBADMSG, 0, 0 },
		{ "NSpid:\t7\t\nNSpgid:\t1\n", -EBADMSG, 0, 0 },
		{ "NSpid:\t7x\nNSpgid:\t1\n", -EBADMSG, 0, 0 },
		{ "NSpid:77\nNSpgid:\t1\n", -EBADMSG, 0, 0 },
		{ "NSpid:\t7\n", -EBADMSG, 0, 0 },
		{ "", -EBADMSG, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct process p = { 0 };
		char text[512];
		int len = snprintf(text, sizeof(text), "%s%s", cases[i].pids, caps);

		assert_int_equal(proc_parse_standing(text, (size_t)len, &p), cases[i].result);
		assert_int_equal(p.known, cases[i].result ? 0 : PROCESS_STANDING);
		assert_int_equal(p.vpid, cases[i].vpid);
		assert_int_equal(p.vpgid, cases[i].vpgid);
		assert_int_equal(p.cap_effective, cases[i].result ? 0 : 0x200000);
		/* Cut anywhere it is nothing. */
		for (int cut = 0; cut < len; cut++)
			assert_int_equal(proc_parse_standing(text, (size_t)cut, &(struct process){ 0 }), -EBADMSG);
	}
}

static void test_tree(void **state)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct process p;
	struct tree t;

	(void)state;
	tree_make(&t);
	tree_process(&t, 12, 3, "/opt/\x1b[31m\xff\n (deleted)", 4294967301ULL);
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_int_equal(p.known, PROCESS_START | PROCESS_PPID | PROCESS_EXE | PROCESS_CMDLINE | PROCESS_CWD |
					  PROCESS_IDS | PROCESS_LOGINUID | PROCESS_SESSION | PROCESS_SID | PROCESS_TTY |
					  PROCESS_CGROUP | PROCESS_COMM);
	assert_int_equal(p.pid, 12);
	assert_int_equal(p.ppid, 3);
	assert_string_equal(p.exe, "/opt/\x1b[31m\xff\n (deleted)");
	assert_string_equal(p.cwd, "/srv");
	assert_string_equal(p.tty, "pts/3");
	assert_string_equal(p.cgroup, "/user.slice");
	assert_int_equal(p.loginuid, 1000);
	assert_int_equal(p.session, 3);
	assert_int_equal(p.uid, 1000);
	assert_int_equal(p.euid, 0);
	assert_int_equal(p.cmdline_len, strlen(p.exe) + 1 + strlen("--flag") + 1);
	assert_false(p.cmdline_cut);
	assert_int_equal(proc_read(t.root, 13, &a, &p), -ESRCH);
	assert_int_equal(proc_read("/nonexistent", 13, &a, &p), -ENOENT);
	tree_remove(&t);
}

static void test_missing(void **state)
{
	static const char *const files[] = { "exe",    "cwd",	   "cmdline",	"stat",
					     "status", "loginuid", "sessionid", "cgroup" };
	static const uint32_t bits[] = {
		PROCESS_EXE,	 PROCESS_CWD,
		PROCESS_CMDLINE, PROCESS_START | PROCESS_PPID | PROCESS_COMM | PROCESS_SID | PROCESS_TTY,
		PROCESS_IDS,	 PROCESS_LOGINUID,
		PROCESS_SESSION, PROCESS_CGROUP
	};
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct process whole, p;
	struct tree t;

	(void)state;
	tree_make(&t);
	tree_process(&t, 12, 3, "/bin/x", 5);
	assert_int_equal(proc_read(t.root, 12, &a, &whole), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/12/%s", t.root, files[i]);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
		assert_int_equal(p.known, whole.known & ~bits[i]);
		tree_process(&t, 12, 3, "/bin/x", 5);
	}
	tree_drop(&t, 12);
	tree_text(&t, 12, "other", "");
	assert_int_equal(proc_read(t.root, 12, &a, &p), -ESRCH);
	tree_remove(&t);
}

static void test_argv_and_exit(void **state)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	char big[PROCESS_ARGV_MAX * 3];
	struct process p;
	struct tree t;

	(void)state;
	tree_make(&t);
	tree_process(&t, 12, 3, "/bin/x", 5);
	memset(big, 'A', sizeof(big));
	tree_file(&t, 12, "cmdline", big, sizeof(big));
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_int_equal(p.cmdline_len, PROCESS_ARGV_MAX);
	assert_true(p.cmdline_cut);
	assert_int_equal(p.cmdline[PROCESS_ARGV_MAX - 1], 0);
	/* Exactly full. */
	big[PROCESS_ARGV_MAX - 1] = '\0';
	tree_file(&t, 12, "cmdline", big, PROCESS_ARGV_MAX);
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_int_equal(p.cmdline_len, PROCESS_ARGV_MAX);
	assert_false(p.cmdline_cut);
	/* A title without a NUL, any bytes. */
	tree_text(&t, 12, "cmdline", "nginx: \xff\n\x1b");
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_int_equal(p.cmdline_len, strlen("nginx: \xff\n\x1b") + 1);
	assert_string_equal(p.cmdline, "nginx: \xff\n\x1b");
	/* Empty arguments: known to be empty while there is an image, not known after it. */
	tree_text(&t, 12, "cmdline", "");
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_true(p.known & PROCESS_CMDLINE);
	assert_int_equal(p.cmdline_len, 0);
	tree_text(&t, 12, "stat", "12 (x) Z 2 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9 0\n");
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_false(p.known & PROCESS_CMDLINE);
	assert_true(p.known & PROCESS_NO_TTY);
	/* The root cgroup of what is on its way out says nothing; any other is its own. */
	tree_text(&t, 12, "cgroup", "1:name=systemd:/\n0::/\n");
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_true(p.known & PROCESS_CGROUP);
	tree_text(&t, 12, "stat", "12 (x) R 2 7 7 0 -1 4194308 0 0 0 0 0 0 0 0 20 0 1 0 9 4096\n");
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_false(p.known & PROCESS_CGROUP);
	tree_text(&t, 12, "cgroup", "1:name=systemd:/\n0::/user.slice\n");
	assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
	assert_true(p.known & PROCESS_CGROUP);
	tree_remove(&t);
}

static void test_login(void **state)
{
	static const struct {
		const char *loginuid, *sessionid;
		uint32_t known, value;
	} cases[] = {
		{ "4294967295", "4294967295", PROCESS_NO_LOGINUID, 0 },
		{ "0", "1", PROCESS_LOGINUID | PROCESS_SESSION, 0 },
		{ "1000\n", "7\n", PROCESS_LOGINUID | PROCESS_SESSION, 1000 },
		{ "", "", 0, 0 },
		{ "-1", "x", 0, 0 },
		{ "4294967296", "12x", 0, 0 },
	};
	const uint32_t mask = PROCESS_LOGINUID | PROCESS_NO_LOGINUID | PROCESS_SESSION;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct process p;
	struct tree t;

	(void)state;
	tree_make(&t);
	tree_process(&t, 12, 3, "/bin/x", 5);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		tree_text(&t, 12, "loginuid", cases[i].loginuid);
		tree_text(&t, 12, "sessionid", cases[i].sessionid);
		assert_int_equal(proc_read(t.root, 12, &a, &p), 0);
		assert_int_equal(p.known & mask, cases[i].known);
		if (p.known & PROCESS_LOGINUID)
			assert_int_equal(p.loginuid, cases[i].value);
	}
	tree_remove(&t);
}

static void test_self(void **state)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	char exe[PATH_MAX] = "", cwd[PATH_MAX];
	struct process p;

	(void)state;
	assert_int_equal(proc_read("/proc", getpid(), &a, &p), 0);
	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	assert_string_equal(p.exe, exe);
	assert_string_equal(p.cwd, getcwd(cwd, sizeof(cwd)));
	assert_int_equal(p.ppid, getppid());
	assert_int_equal(p.sid, getsid(0));
	assert_int_equal(p.uid, getuid());
	assert_int_equal(p.egid, getegid());
	assert_true(p.known & PROCESS_CMDLINE && p.cmdline_len > 0);
	assert_true(p.known & PROCESS_CGROUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),	cmocka_unit_test(test_tty),	      cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_ids),	cmocka_unit_test(test_standing),      cmocka_unit_test(test_tree),
		cmocka_unit_test(test_missing), cmocka_unit_test(test_argv_and_exit), cmocka_unit_test(test_login),
		cmocka_unit_test(test_self),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
