/*
 * watch/audit, utmp, sessions, session_proc: records as the kernel and PAM make them, a real one through the kernel,
 * files that grow and are replaced, notes of one deed, and users that change among processes.
 */
#include "tests/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmp.h>

#include "lib/clock.h"
#include "watch/audit.h"
#include "watch/session_proc.h"
#include "watch/utmp.h"

#define USER_LOGIN 1112

/* --- records of the audit */

#define HEAD   "audit(1795359799.342:42): "
#define SENDER "pid=321 uid=0 auid=4294967295 ses=4294967295 "
#define BY_PAM "grantors=pam_unix acct=\"daemon\" exe=\"/usr/bin/su\" hostname=? addr=? terminal=/dev/pts/4 "
#define REMOTE "exe=\"/usr/sbin/sshd\" hostname=? addr=10.0.0.9 terminal=ssh "

static const struct {
	const char *what;
	uint16_t type;
	const char *text;
	int result;
	enum session_op op;
	bool failed;
	int32_t pid;
	const char *account, *by, *tty, *remote, *program, *command;
} records[] = {
	{ "a login", 1112, HEAD SENDER "msg='op=login id=1 " REMOTE "res=success'", 1, SESSION_LOGIN, false, 321,
	  "daemon", "", "", "10.0.0.9", "/usr/sbin/sshd", "" },
	{ "one that failed", 1112, HEAD SENDER "msg='op=login acct=\"bob\" " REMOTE "res=failed'", 1, SESSION_LOGIN,
	  true, 321, "bob", "", "", "10.0.0.9", "/usr/sbin/sshd", "" },
	{ "of nobody known", 1112, HEAD SENDER "msg='op=login acct=\"(unknown)\" " REMOTE "res=failed'", 1,
	  SESSION_LOGIN, true, 321, "", "", "", "10.0.0.9", "/usr/sbin/sshd", "" },
	{ "su", 1105, HEAD "pid=7 uid=0 auid=1 ses=3 msg='op=PAM:session_open " BY_PAM "res=success'", 1, SESSION_SU,
	  false, 7, "daemon", "daemon", "pts/4", "", "/usr/bin/su", "" },
	{ "su refused", 1100,
	  HEAD "pid=7 uid=65534 auid=4294967295 ses=4294967295 msg='op=PAM:authentication " BY_PAM "res=failed'", 1,
	  SESSION_SU, true, 7, "daemon", "nobody", "pts/4", "", "/usr/bin/su", "" },
	{ "asked and granted: the session says it", 1100,
	  HEAD SENDER "msg='op=PAM:authentication " BY_PAM "res=success'", 0, .account = NULL },
	{ "the end of one", 1106, HEAD SENDER "msg='op=PAM:session_close " BY_PAM "res=success'", 1, SESSION_CLOSE,
	  false, 321, "daemon", "", "pts/4", "", "/usr/bin/su", "" },
	{ "sudo, in hex", 1123,
	  HEAD "pid=12 uid=1 auid=1 ses=2 msg='cwd=\"/\" cmd=6C73202D6C00202F exe=\"/usr/bin/sudo\" terminal=pts/0 "
	       "res=success'",
	  1, SESSION_SUDO, false, 12, "", "daemon", "pts/0", "", "/usr/bin/sudo", "ls -l  /" },
	{ "the kernel's own", 1006,
	  HEAD "pid=9 uid=0 old-auid=4294967295 auid=1 tty=(none) old-ses=4294967295 ses=163 res=1", 1, SESSION_OPEN,
	  false, 9, "daemon", "", "", "", "", "" },
	{ "a password", 1108,
	  HEAD "pid=9 uid=0 auid=1 ses=1 msg='op=change acct=\"bob\" exe=\"/usr/bin/passwd\" terminal=? res=success'",
	  1, SESSION_PASSWORD, false, 9, "bob", "daemon", "", "", "/usr/bin/passwd", "" },
	{ "a sender is not what the text says", 1112,
	  HEAD "pid=5 uid=0 auid=1 ses=1 msg='pid=1 auid=0 acct=\"x\" res=success'", 1, SESSION_LOGIN, false, 5, "x",
	  "", "", "", "", "" },
	{ "quotes in quotes", 1112, HEAD "pid=5 msg='acct=\"it's pid=6\" res=failed'", 1, SESSION_LOGIN, true, 5,
	  "it's pid=6", "", "", "", "", "" },
	{ "cut", 1112, HEAD "pid=5 uid=0 msg='acct=\"x", 1, SESSION_LOGIN, false, 5, "x", "", "", "", "", "" },
	{ "numbers that are none", 1112, HEAD "pid=-5 auid=99999999999999999999 ses=x msg='id=1x res=success'", 1,
	  SESSION_LOGIN, false, 0, "", "", "", "", "", "" },
	{ "another type", 1300, HEAD "arch=c000003e syscall=1", 0, .account = NULL },
	{ "no head", 1112, "pid=5", -EBADMSG, .account = NULL },
	{ "half a head", 1112, "audit(1795359799.342:4", -EBADMSG, .account = NULL },
};

static void test_records(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		struct session_note n;
		uint64_t serial = 0;
		int r = audit_decode(records[i].type, records[i].text, strlen(records[i].text), &n, &serial);

		if (r != records[i].result)
			fail_msg("%s: %d", records[i].what, r);
		if (r >= 0)
			assert_int_equal(serial, 42);
		if (r <= 0)
			continue;
		if (n.op != records[i].op || n.failed != records[i].failed || n.pid != records[i].pid ||
		    !streq(n.account, records[i].account) || !streq(n.by, records[i].by) ||
		    !streq(n.tty, records[i].tty) || !streq(n.remote, records[i].remote) ||
		    !streq(n.program, records[i].program) || !streq(n.command, records[i].command))
			fail_msg("%s: %s %d pid %d account '%s' by '%s' tty '%s' remote '%s' program '%s' command '%s'",
				 records[i].what, session_op_names[n.op], n.failed, n.pid, n.account, n.by, n.tty,
				 n.remote, n.program, n.command);
	}
}

/* Every beginning of a record is bytes too. */
static void test_cut_records(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		for (size_t len = 0; len < strlen(records[i].text); len++) {
			char *copy = malloc(len + 1);
			struct session_note n;
			uint64_t serial;

			memcpy(copy, records[i].text, len);
			audit_decode(records[i].type, copy, len, &n, &serial);
			free(copy);
		}
	}
}

/* --- a real one */

static void send_record(int fd, const char *text)
{
	struct {
		struct nlmsghdr h;
		char text[512];
	} m = { .h = { .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + strlen(text) + 1),
		       .nlmsg_type = USER_LOGIN,
		       .nlmsg_flags = NLM_F_REQUEST } };

	snprintf(m.text, sizeof(m.text), "%s", text);
	assert_true(send(fd, &m, m.h.nlmsg_len, 0) > 0);
}

static void on_real(const struct session_note *n, void *data)
{
	if (n->pid == getpid() && streq(n->remote, "192.0.2.77"))
		*(struct session_note *)data = *n;
}

static void test_kernel(void **state _unused_)
{
	_cleanup_(audit_close_p) struct audit_reader *a = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	uint64_t deadline = clock_mono_ns() + 30 * NSEC_PER_SEC;
	struct session_note n = { 0 };
	struct audit_stats stats;

	if (audit_open(true, &a, &err) < 0 || fd < 0 || audit_enabled(a) != 1) {
		print_message("skipped: %s\n", err.len ? err.data : "auditing is off and cannot be switched on");
		skip();
	}
	send_record(fd, "op=login acct=\"root\" exe=\"/x\" hostname=? addr=192.0.2.77 terminal=pts/9 res=failed");
	while (!n.pid && clock_mono_ns() < deadline) {
		struct pollfd p = { .fd = audit_fd(a), .events = POLLIN };

		poll(&p, 1, 100);
		audit_read(a, on_real, &n);
	}
	if (!n.pid) {
		print_message("skipped: the kernel does not hand on what this process may send\n");
		skip();
	}
	assert_int_equal(n.op, SESSION_LOGIN);
	assert_true(n.failed);
	assert_string_equal(n.account, "root");
	assert_string_equal(n.tty, "pts/9");
	audit_get_stats(a, &stats);
	assert_true(stats.told >= 1);
}

/* --- files of utmp(5) */

struct notes {
	size_t n;
	struct session_note last;
};

static void on_note(const struct session_note *n, void *data)
{
	struct notes *notes = data;

	notes->n++;
	notes->last = *n;
}

static void append(const char *path, short type, int pid, const char *line, const char *user, const char *host,
		   int32_t when)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	struct utmp r = { .ut_type = type, .ut_pid = pid };

	r.ut_tv.tv_sec = when;
	strncpy(r.ut_line, line, sizeof(r.ut_line) - 1);
	strncpy(r.ut_user, user, sizeof(r.ut_user) - 1);
	strncpy(r.ut_host, host, sizeof(r.ut_host) - 1);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &r, sizeof(r)), (ssize_t)sizeof(r));
}

static void expect(struct utmp_file *u, size_t n, enum session_op op, const char *account, bool failed)
{
	struct notes notes = { 0 };

	assert_int_equal(utmp_read(u, on_note, &notes), 0);
	if (notes.n != n)
		fail_msg("%s: %zu notes, not %zu", utmp_path(u), notes.n, n);
	if (!n)
		return;
	assert_int_equal(notes.last.op, op);
	assert_string_equal(notes.last.account, account);
	assert_int_equal(notes.last.failed, failed);
}

static void test_logs(void **state _unused_)
{
	char folder[] = "/tmp/holdfast-utmp.XXXXXX", wtmp[64], btmp[64], old[80];
	_cleanup_(utmp_close_p) struct utmp_file *w = NULL, *b = NULL, *late = NULL;
	_cleanup_close_ int fd = -1;

	assert_non_null(mkdtemp(folder));
	snprintf(wtmp, sizeof(wtmp), "%s/wtmp", folder);
	snprintf(btmp, sizeof(btmp), "%s/btmp.x", folder);
	snprintf(old, sizeof(old), "%s/wtmp.1", folder);
	append(wtmp, USER_PROCESS, 10, "pts/0", "before", "", 1000);
	assert_int_equal(utmp_open(wtmp, 0, &w), 0);
	assert_int_equal(utmp_open(btmp, 0, &b), 0);
	expect(w, 0, 0, NULL, false); /* what was there is no news */
	assert_int_equal(utmp_read(b, on_note, NULL), -ENOENT);
	append(wtmp, USER_PROCESS, 11, "pts/1", "bob", "10.0.0.1", 2000);
	append(btmp, LOGIN_PROCESS, 12, "ssh:notty", "eve", "10.0.0.2", 2000);
	expect(w, 1, SESSION_LOGIN, "bob", false);
	expect(b, 1, SESSION_LOGIN, "eve", true);
	expect(w, 0, 0, NULL, false);
	append(wtmp, DEAD_PROCESS, 11, "pts/1", "", "", 2001);
	expect(w, 1, SESSION_LOGOUT, "bob", false);
	append(wtmp, DEAD_PROCESS, 10, "pts/0", "", "", 2001);
	expect(w, 1, SESSION_LOGOUT, "before", false);
	append(wtmp, BOOT_TIME, 0, "~", "reboot", "6.1", 2001);
	expect(w, 0, 0, NULL, false);
	/* Half of a record waits for the other. */
	fd = open(wtmp, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "xx", 2), 2);
	expect(w, 0, 0, NULL, false);
	/* Rotated. */
	assert_int_equal(rename(wtmp, old), 0);
	append(wtmp, USER_PROCESS, 13, "pts/3", "carol", "", 3000);
	expect(w, 1, SESSION_LOGIN, "carol", false);
	/* Of the time when nobody looked. */
	assert_int_equal(utmp_open(wtmp, 2500 * NSEC_PER_SEC, &late), 0);
	expect(late, 1, SESSION_LOGIN, "carol", false);
	/* No file at all. */
	unlink(wtmp);
	assert_int_equal(mkfifo(wtmp, 0600), 0);
	assert_int_equal(utmp_read(w, on_note, NULL), -EINVAL);
	unlink(wtmp);
	unlink(btmp);
	unlink(old);
	rmdir(folder);
}

static void test_utmp(void **state _unused_)
{
	char folder[] = "/tmp/holdfast-utmp.XXXXXX", path[64];
	_cleanup_(utmp_close_p) struct utmp_file *u = NULL;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/utmp", folder);
	append(path, USER_PROCESS, 10, "pts/0", "old", "", 1000);
	assert_int_equal(utmp_open(path, 1, &u), 0);
	expect(u, 0, 0, NULL, false);
	append(path, USER_PROCESS, 11, "pts/1", "bob", "", 2000);
	expect(u, 1, SESSION_LOGIN, "bob", false);
	expect(u, 0, 0, NULL, false);
	/* The whole file anew, as it is when somebody leaves. */
	unlink(path);
	append(path, USER_PROCESS, 10, "pts/0", "old", "", 1000);
	append(path, DEAD_PROCESS, 11, "pts/1", "", "", 2001);
	expect(u, 1, SESSION_LOGOUT, "bob", false);
	unlink(path);
	rmdir(folder);
}

/* n records of one minute, each on a terminal of its own when lines. */
static void append_many(const char *path, int n, bool lines)
{
	struct utmp *all = calloc((size_t)n, sizeof(*all));
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(all && fd >= 0);
	for (int i = 0; i < n; i++) {
		all[i].ut_type = USER_PROCESS;
		all[i].ut_pid = i + 1;
		all[i].ut_tv.tv_sec = 2000;
		snprintf(all[i].ut_line, sizeof(all[i].ut_line), "pts/%d", lines ? i : 0);
		snprintf(all[i].ut_user, sizeof(all[i].ut_user), "u%d", i);
	}
	assert_int_equal(write(fd, all, (size_t)n * sizeof(*all)), n * (ssize_t)sizeof(*all));
	free(all);
}

/* More than fits: what is passed over is counted, and the rest is told once. */
static void test_crowded(void **state _unused_)
{
	char folder[] = "/tmp/holdfast-utmp.XXXXXX", utmp[64], wtmp[64];
	_cleanup_(utmp_close_p) struct utmp_file *u = NULL, *w = NULL, *before = NULL, *after = NULL;
	struct notes notes = { 0 };

	assert_non_null(mkdtemp(folder));
	snprintf(utmp, sizeof(utmp), "%s/utmp", folder);
	snprintf(wtmp, sizeof(wtmp), "%s/wtmp", folder);
	assert_int_equal(utmp_open(utmp, 0, &u), 0);
	assert_int_equal(utmp_open(wtmp, 0, &w), 0);
	assert_int_equal(utmp_read(u, on_note, NULL), -ENOENT);
	assert_int_equal(utmp_read(w, on_note, NULL), -ENOENT);
	/* Behind what was read at once before. */
	append_many(utmp, UTMP_LINES_MAX, true);
	append(utmp, DEAD_PROCESS, 1, "pts/0", "", "", 2001);
	append(utmp, USER_PROCESS, 9000, "pts/9000", "last", "", 2001);
	assert_int_equal(utmp_read(u, on_note, &notes), 0);
	assert_int_equal(notes.n, UTMP_LINES_MAX + 2);
	assert_string_equal(notes.last.account, "last");
	append(utmp, USER_PROCESS, 9001, "pts/9001", "none", "", 2001);
	notes.n = 0;
	for (int i = 0; i < 2; i++)
		assert_true(utmp_read(u, on_note, &notes) > 0);
	append_many(wtmp, UTMP_RECORDS_MAX + 7, false);
	notes.n = 0;
	assert_int_equal(utmp_read(w, on_note, &notes), 7);
	assert_int_equal(notes.n, UTMP_RECORDS_MAX);
	assert_int_equal(notes.last.pid, UTMP_RECORDS_MAX + 7);
	expect(w, 0, 0, NULL, false);
	/* The first read: what was passed over counts when it may be of the time asked for. */
	assert_int_equal(utmp_open(wtmp, 1500 * NSEC_PER_SEC, &before), 0);
	assert_int_equal(utmp_read(before, on_note, &notes), 7);
	assert_int_equal(utmp_open(wtmp, 2500 * NSEC_PER_SEC, &after), 0);
	assert_int_equal(utmp_read(after, on_note, &notes), 0);
	unlink(utmp);
	unlink(wtmp);
	rmdir(folder);
}

/* --- one deed is told once */

struct told {
	size_t n;
	struct session_note notes[SESSIONS_MAX * 3];
	uint32_t failures;
};

static void on_told(const struct session_note *n, uint32_t failures, void *data)
{
	struct told *t = data;

	if (t->n < ARRAY_SIZE(t->notes))
		t->notes[t->n] = *n;
	t->n++;
	t->failures = failures;
}

static struct session_note note(enum session_op op, unsigned source, uint32_t record, int32_t pid, const char *account)
{
	struct session_note n = { .op = op, .source = source, .record = record, .pid = pid };

	snprintf(n.account, sizeof(n.account), "%s", account);
	return n;
}

static void test_login_once(void **state _unused_)
{
	static struct told t;
	const struct sessions_options o = { on_told, &t };
	_cleanup_(sessions_free_p) struct sessions *s = sessions_new(&o);
	struct session_note open = note(SESSION_OPEN, SESSION_BY_AUDIT, 1, 50, "bob"),
			    login = note(SESSION_LOGIN, SESSION_BY_AUDIT, 2, 50, "bob"),
			    wtmp = note(SESSION_LOGIN, SESSION_BY_UTMP, SESSION_RECORD_WTMP, 50, "bob"),
			    shell = note(SESSION_OPEN, SESSION_BY_PROC, SESSION_RECORD_PROC, 52, "bob"),
			    other = note(SESSION_LOGIN, SESSION_BY_AUDIT, 2, 60, "eve");

	memset(&t, 0, sizeof(t));
	open.has_session = shell.has_session = true;
	open.session = shell.session = 4;
	snprintf(login.remote, sizeof(login.remote), "10.0.0.1");
	snprintf(wtmp.tty, sizeof(wtmp.tty), "pts/1");
	sessions_note(s, &open, 1);
	sessions_note(s, &login, 2);
	sessions_note(s, &other, 2);
	sessions_note(s, &wtmp, 3);
	sessions_note(s, &shell, 4);
	assert_int_equal(t.n, 0);
	assert_true(sessions_tick(s, 10) < SESSIONS_WINDOW_NS);
	assert_int_equal(sessions_tick(s, SESSIONS_WINDOW_NS + 5), UINT64_MAX);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.notes[0].op, SESSION_LOGIN);
	assert_int_equal(t.notes[0].source, SESSION_BY_AUDIT | SESSION_BY_UTMP | SESSION_BY_PROC);
	assert_string_equal(t.notes[0].remote, "10.0.0.1");
	assert_string_equal(t.notes[0].tty, "pts/1");
	assert_true(t.notes[0].has_session);
	assert_string_equal(t.notes[1].account, "eve");
	/* One that comes late. */
	wtmp.record = SESSION_RECORD_UTMP;
	sessions_note(s, &wtmp, SESSIONS_WINDOW_NS + 10);
	sessions_flush(s);
	assert_int_equal(t.n, 2);
	/* And again later: another login. */
	sessions_note(s, &login, 3 * SESSIONS_WINDOW_NS);
	sessions_flush(s);
	assert_int_equal(t.n, 3);
}

static void test_failures(void **state _unused_)
{
	static struct told t;
	const struct sessions_options o = { on_told, &t };
	_cleanup_(sessions_free_p) struct sessions *s = sessions_new(&o);
	uint64_t now = 0;

	memset(&t, 0, sizeof(t));
	/* Each attempt is two records. */
	for (int i = 0; i < 5; i++, now += NSEC_PER_MSEC) {
		struct session_note a = note(SESSION_LOGIN, SESSION_BY_AUDIT, 1, 50, "bob"),
				    b = note(SESSION_LOGIN, SESSION_BY_UTMP, SESSION_RECORD_WTMP, 50, "bob");

		a.failed = b.failed = true;
		snprintf(a.remote, sizeof(a.remote), "10.0.0.1");
		sessions_note(s, &a, now);
		sessions_note(s, &b, now);
	}
	sessions_tick(s, now + SESSIONS_WINDOW_NS);
	assert_int_equal(t.n, 5);
	assert_int_equal(t.failures, 5);
	/* A minute later they are forgotten. */
	struct session_note a = note(SESSION_LOGIN, SESSION_BY_AUDIT, 1, 50, "bob");

	a.failed = true;
	snprintf(a.remote, sizeof(a.remote), "10.0.0.1");
	sessions_note(s, &a, now + 2 * SESSIONS_MINUTE_NS);
	sessions_tick(s, now + 3 * SESSIONS_MINUTE_NS);
	assert_int_equal(t.failures, 1);
}

static void test_su_once(void **state _unused_)
{
	static struct told t;
	const struct sessions_options o = { on_told, &t };
	_cleanup_(sessions_free_p) struct sessions *s = sessions_new(&o);
	struct session_note pam = note(SESSION_SU, SESSION_BY_AUDIT, 1, 70, "root"),
			    shell = note(SESSION_BECOME, SESSION_BY_PROC, SESSION_RECORD_PROC, 71, "root"),
			    end = note(SESSION_CLOSE, SESSION_BY_AUDIT, 2, 70, "root");

	memset(&t, 0, sizeof(t));
	shell.maker = 70;
	sessions_note(s, &pam, 1);
	sessions_note(s, &end, 2);
	sessions_note(s, &shell, 3);
	sessions_flush(s);
	assert_int_equal(t.n, 2);
	assert_int_equal(t.notes[0].op, SESSION_SU);
	assert_int_equal(t.notes[0].pid, 71);
	assert_int_equal(t.notes[1].op, SESSION_CLOSE);
}

/* More than there is room for: the oldest is told at once, none is lost. */
static void test_many(void **state _unused_)
{
	static struct told t;
	const struct sessions_options o = { on_told, &t };
	_cleanup_(sessions_free_p) struct sessions *s = sessions_new(&o);

	memset(&t, 0, sizeof(t));
	for (int i = 0; i < 2 * SESSIONS_MAX; i++) {
		struct session_note n = note(SESSION_OPEN, SESSION_BY_AUDIT, 1, 100 + i, "x");

		sessions_note(s, &n, 1);
	}
	assert_int_equal(t.n, SESSIONS_MAX);
	sessions_flush(s);
	assert_int_equal(t.n, 2 * SESSIONS_MAX);
}

/* --- the process table */

static struct process *made(struct process *parent, int32_t pid, const char *exe, uint32_t uid, uint32_t euid)
{
	struct process v = { .pid = pid,
			     .start_ns = (uint64_t)pid,
			     .exe = exe,
			     .uid = uid,
			     .euid = euid,
			     .parent = parent,
			     .known = PROCESS_START | PROCESS_EXE | PROCESS_IDS };

	return process_new(&v);
}

static const struct {
	const char *what;
	struct {
		const char *exe;
		uint32_t uid, euid;
	} line[4]; /* the eldest first */
	int n;	   /* notes */
	enum session_op op;
	const char *account, *by;
} transitions[] = {
	{ "su", { { "/bin/sh", 1, 1 }, { "/bin/su", 1, 0 }, { "/bin/sh", 0, 0 } }, 1, SESSION_SU, "root", "daemon" },
	{ "su to another",
	  { { "/bin/sh", 0, 0 }, { "/bin/su", 0, 0 }, { "/bin/sh", 1, 1 } },
	  1,
	  SESSION_SU,
	  "daemon",
	  "root" },
	{ "sudo that became root itself",
	  { { "/bin/sh", 1, 1 }, { "/usr/bin/sudo", 0, 0 }, { "/bin/id", 0, 0 } },
	  1,
	  SESSION_SUDO,
	  "root",
	  "daemon" },
	{ "sudo su",
	  { { "/bin/sh", 1, 1 }, { "/usr/bin/sudo", 0, 0 }, { "/bin/su", 0, 0 }, { "/bin/sh", 0, 0 } },
	  1,
	  SESSION_SU,
	  "root",
	  "daemon" },
	{ "a program with the set-uid bit",
	  { { "/bin/sh", 1, 1 }, { "/opt/x", 1, 0 }, { "/bin/sh", 0, 0 } },
	  1,
	  SESSION_BECOME,
	  "root",
	  "daemon" },
	{ "su in place of itself", { { "/bin/sh", 1, 1 }, { "/bin/sh", 0, 0 } }, 1, SESSION_BECOME, "root", "daemon" },
	{ "su to oneself", { { "/bin/sh", 1, 1 }, { "/bin/su", 1, 0 }, { "/bin/sh", 1, 1 } }, 0, .account = NULL },
	{ "a program with rights of root, at work",
	  { { "/bin/sh", 1, 1 }, { "/bin/ping", 1, 0 } },
	  0,
	  .account = NULL },
	{ "a daemon", { { "/sbin/init", 0, 0 }, { "/usr/sbin/cron", 0, 0 }, { "/bin/sh", 1, 1 } }, 0, .account = NULL },
	{ "a child", { { "/bin/sh", 1, 1 }, { "/bin/ls", 1, 1 } }, 0, .account = NULL },
	{ "a user namespace", { { "/bin/sh", 1, 1 }, { "/bin/sh", 100500, 100500 } }, 0, .account = NULL },
};

static void test_transitions(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(transitions); i++) {
		_cleanup_(session_proc_free_p) struct session_proc *s = session_proc_new(0);
		struct process *p = NULL;
		struct notes notes = { 0 };

		for (int k = 0; k < 4 && transitions[i].line[k].exe; k++) {
			struct process *child = made(p, 100 + k, transitions[i].line[k].exe, transitions[i].line[k].uid,
						     transitions[i].line[k].euid);

			process_unref(p);
			p = child;
		}
		session_proc_exec(s, p, on_note, &notes);
		session_proc_exec(s, p, on_note, &notes); /* its next program is no news */
		process_unref(p);
		if ((int)notes.n != transitions[i].n)
			fail_msg("%s: %zu notes", transitions[i].what, notes.n);
		if (!notes.n)
			continue;
		if (notes.last.op != transitions[i].op || !streq(notes.last.account, transitions[i].account) ||
		    !streq(notes.last.by, transitions[i].by))
			fail_msg("%s: %s '%s' by '%s'", transitions[i].what, session_op_names[notes.last.op],
				 notes.last.account, notes.last.by);
	}
}

/* Whoever logged in stays the same through su, and a session is told when it is new. */
static void test_sessions(void **state _unused_)
{
	_cleanup_(session_proc_free_p) struct session_proc *s = session_proc_new(50);
	struct process *sshd = made(NULL, 10, "/usr/sbin/sshd", 0, 0), *sh, *su, *root;
	struct process v = { .pid = 100, .start_ns = 100, .exe = "/bin/sh", .uid = 1, .euid = 1, .parent = sshd };
	struct notes notes = { 0 };

	v.known = PROCESS_START | PROCESS_EXE | PROCESS_IDS | PROCESS_SESSION | PROCESS_LOGINUID;
	v.session = 3;
	v.loginuid = 1;
	sh = process_new(&v);
	session_proc_exec(s, sh, on_note, &notes);
	session_proc_exec(s, sh, on_note, &notes);
	assert_int_equal(notes.n, 1);
	assert_string_equal(notes.last.account, "daemon");
	v = (struct process){ .pid = 101,
			      .start_ns = 101,
			      .exe = "/bin/su",
			      .uid = 1,
			      .parent = sh,
			      .known = v.known,
			      .session = 3,
			      .loginuid = 1 };
	su = process_new(&v);
	v = (struct process){ .pid = 102,
			      .start_ns = 102,
			      .exe = "/bin/sh",
			      .parent = su,
			      .known = v.known,
			      .session = 3,
			      .loginuid = 1 };
	root = process_new(&v);
	session_proc_exec(s, root, on_note, &notes);
	assert_int_equal(notes.n, 2);
	assert_int_equal(notes.last.op, SESSION_SU);
	assert_string_equal(notes.last.by, "daemon");
	/* One from before the monitor's start. */
	v.session = 9;
	v.parent = NULL;
	v.pid = 40;
	v.start_ns = 40;
	process_unref(sh);
	sh = process_new(&v);
	session_proc_exec(s, sh, on_note, &notes);
	assert_int_equal(notes.n, 2);
	process_unref(sh);
	process_unref(su);
	process_unref(root);
	process_unref(sshd);
}

static const struct {
	const char *exe;
	uint32_t uid, euid;
	enum session_op op;
	const char *by;
} refusals[] = {
	{ "/usr/bin/su", 1, 0, SESSION_SU, "daemon" },
	{ "/usr/bin/sudo", 1, 0, SESSION_SUDO, "daemon" },
	{ "/usr/bin/doas", 1, 0, SESSION_BECOME, "daemon" },
	{ "/usr/bin/login", 0, 0, SESSION_LOGIN, "" },
	{ "/usr/bin/passwd", 1, 0, SESSION_LOGIN, "" },
	{ "/usr/bin/su/sh", 1, 1, SESSION_LOGIN, "" },
	{ NULL, 1, 0, SESSION_LOGIN, "" },
};

static void test_refused(void **state _unused_)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const char *exe = refusals[i].exe;
		_cleanup_process_ struct process *p = made(NULL, 7, exe ?: "", refusals[i].uid, refusals[i].euid);
		struct session_note n = note(SESSION_LOGIN, SESSION_BY_UTMP, SESSION_RECORD_WTMP, 7, "root");

		if (!exe)
			p->known &= ~(uint32_t)PROCESS_EXE;
		n.failed = true;
		session_proc_refused(&n, p);
		assert_int_equal(n.op, refusals[i].op);
		assert_string_equal(n.by, refusals[i].by);
		assert_string_equal(n.account, "root");
		assert_string_equal(n.program, n.op == SESSION_LOGIN ? "" : exe);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),	   cmocka_unit_test(test_cut_records), cmocka_unit_test(test_kernel),
		cmocka_unit_test(test_logs),	   cmocka_unit_test(test_crowded),     cmocka_unit_test(test_utmp),
		cmocka_unit_test(test_login_once), cmocka_unit_test(test_failures),    cmocka_unit_test(test_su_once),
		cmocka_unit_test(test_many),	   cmocka_unit_test(test_transitions), cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
