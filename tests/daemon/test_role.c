/* daemon/role, lib/role: what a role cannot do, seen from outside and tried from inside; its death, stall and nonsense.
 */
#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/role.h"
#include "fim/mime.h"
#include "lib/clock.h"

#define WAIT_NS (30 * NSEC_PER_SEC)

/* --- inside: a role that tries what it is told to, and says errno */

static int try_open(const char *path, int flags)
{
	_cleanup_close_ int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 ? errno : 0;
}

static int try_read_passwd(void)
{
	return try_open("/etc/passwd", O_RDONLY);
}

static int try_write_tmp(void)
{
	return try_open("/tmp/holdfast-role-was-here", O_WRONLY | O_CREAT);
}

static int try_list_root(void)
{
	_cleanup_closedir_ DIR *d = opendir("/");
	const struct dirent *e;

	if (!d)
		return errno;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			return 0;
	return ENOENT;
}

static int try_hosts(void)
{
	return try_open("/etc/hosts", O_RDONLY);
}

static int try_connect(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int try_socket(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? errno : 0;
}

static int try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? errno : 0;
}

static int try_exec(void)
{
	char *argv[] = { (char *)(uintptr_t) "true", NULL };

	execv("/bin/true", argv);
	return errno;
}

static int try_setuid(void)
{
	return setresuid(0, 0, 0) < 0 ? errno : 0;
}

static int try_mount(void)
{
	return mount("none", "/", "tmpfs", 0, NULL) < 0 ? errno : 0;
}

static int try_kill(void)
{
	return kill(1, 0) < 0 ? errno : 0;
}

static int try_chroot(void)
{
	return chroot("/..") < 0 ? errno : 0;
}

static int try_certificates(void)
{
	return try_open("/etc/ssl/certs/ca-certificates.crt", O_RDONLY);
}

static int try_resolve(void)
{
	struct addrinfo *list = NULL;

	if (getaddrinfo("localhost", NULL, NULL, &list) != 0)
		return EHOSTUNREACH;
	freeaddrinfo(list);
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(void);
	bool inspect, sink; /* works there, if it does at all */
} tries[] = {
	{ "read /etc/passwd", try_read_passwd, false, false },
	{ "write below /tmp", try_write_tmp, false, false },
	{ "list /", try_list_root, false, false },
	{ "read /etc/hosts", try_hosts, false, true },
	{ "connect", try_connect, false, false },
	{ "socket", try_socket, false, true },
	{ "fork", try_fork, false, true },
	{ "exec", try_exec, false, false },
	{ "become root", try_setuid, false, false },
	{ "mount", try_mount, false, false },
	{ "signal init", try_kill, false, false },
	{ "chroot", try_chroot, false, false },
	{ "read certificates", try_certificates, false, true },
	{ "resolve localhost", try_resolve, false, true },
};

static int probe_answer(const struct role_message *m, int body _unused_, struct role_message *ret)
{
	if (m->len != 1)
		return -EBADMSG;
	ret->type = ROLE_TYPE_IS;
	ret->len = 1;
	if (m->data[0] < ARRAY_SIZE(tries))
		ret->data[0] = (uint8_t)tries[m->data[0]].fn();
	else
		/* What was not asked for. */
		ret->type = ROLE_POSTED;
	return 0;
}

/* --- outside */

static struct spawner *spawner;

struct rig {
	struct role *role;
	unsigned begun, ended;
};

static void told(const char *name _unused_, bool failing, const char *why _unused_, void *data)
{
	struct rig *r = data;

	if (failing)
		r->begun++;
	else
		r->ended++;
}

static struct rig *rig_new(const char *name)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct role_options o = { name, spawner, told, r };

	assert_non_null(r);
	assert_int_equal(role_new(&o, &r->role), 0);
	return r;
}

static void rig_free(struct rig *r)
{
	role_free(r->role);
	free(r);
}

static int32_t rig_pid(struct rig *r)
{
	struct role_stats s;

	role_get_stats(r->role, &s);
	return s.pid;
}

/* Asks until there is an answer: a process that failed is not started again at once. */
static int ask_until(struct rig *r, uint8_t what)
{
	uint64_t until = clock_mono_ns() + WAIT_NS;
	struct role_message m;
	int e;

	do {
		e = role_ask(r->role, ROLE_TYPE_OF, &what, 1, -1, clock_mono_ns() + WAIT_NS, ROLE_TYPE_IS, &m);
		if (e == 0)
			return m.len == 1 ? m.data[0] : -EBADMSG;
		usleep(10000);
	} while (clock_mono_ns() < until);
	return e;
}

static void status_field(int32_t pid, const char *key, char ret[256])
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	assert_non_null(f);
	*ret = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) != 0 || line[strlen(key)] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, 256, "%s", line + strlen(key) + 1 + strspn(line + strlen(key) + 1, "\t "));
	}
}

static void assert_field(int32_t pid, const char *key, const char *want)
{
	char value[256];

	status_field(pid, key, value);
	if (!streq(value, want))
		fail_msg("%s: %s, not %s", key, value, want);
}

static unsigned count_descriptors(int32_t pid)
{
	_cleanup_closedir_ DIR *d = NULL;
	const struct dirent *e;
	char path[64];
	unsigned n = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	return n;
}

static void net_of(int32_t pid, char ret[64])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	n = readlink(path, ret, 63);
	assert_true(n > 0);
	ret[n] = '\0';
}

/* All that this build and kernel have. */
static uint32_t expected(bool sink)
{
	uint32_t all = (1u << ROLE_HOLDS_COUNT) - 1;

#ifndef WITH_SECCOMP
	all &= ~ROLE_HOLDS_CALLS;
#endif
	if (sink)
		all &= ~ROLE_HOLDS_NETWORK;
	/* Others have a second way to be without files. */
	if (sink && syscall(SYS_landlock_create_ruleset, NULL, 0, 1) < 1)
		all &= ~ROLE_HOLDS_FILES;
	return all;
}

static bool need_root(void)
{
	if (geteuid() == 0)
		return true;
	print_message("needs root: somebody else gives up less\n");
	return false;
}

static void test_from_outside(void **state _unused_)
{
	static const char *const names[] = { "probe-inspect", "probe-unpack", "probe-sink" };

	if (!need_root())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct rig *r = rig_new(names[i]);
		bool sink = streq(names[i], "probe-sink");
		char ours[64], its[64];
		struct role_stats s;
		int32_t pid;

		assert_int_not_equal(ask_until(r, 0), 0);
		pid = rig_pid(r);
		role_get_stats(r->role, &s);
		assert_int_equal(s.holds, expected(sink));
		assert_field(pid, "Uid", "65534\t65534\t65534\t65534");
		assert_field(pid, "Gid", "65534\t65534\t65534\t65534");
		assert_field(pid, "Groups", "");
		assert_field(pid, "CapInh", "0000000000000000");
		assert_field(pid, "CapPrm", "0000000000000000");
		assert_field(pid, "CapEff", "0000000000000000");
		assert_field(pid, "CapAmb", "0000000000000000");
		assert_field(pid, "NoNewPrivs", "1");
#ifdef WITH_SECCOMP
		assert_field(pid, "Seccomp", "2");
#endif
		assert_field(pid, "Threads", "1");
		assert_int_equal(count_descriptors(pid), 3);
		net_of(getpid(), ours);
		net_of(pid, its);
		assert_int_equal(streq(ours, its), sink);
		rig_free(r);
	}
}

static void test_from_inside(void **state _unused_)
{
	static const char *const names[] = { "probe-inspect", "probe-unpack", "probe-sink" };

	if (!need_root())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct rig *r = rig_new(names[i]);
		bool sink = streq(names[i], "probe-sink");
		struct role_stats s;

		for (size_t t = 0; t < ARRAY_SIZE(tries); t++) {
			bool works = sink ? tries[t].sink : tries[t].inspect;
			int e = ask_until(r, (uint8_t)t);

			/* What this machine does not have. */
			if (works && e > 0 && (tries[t].fn == try_certificates || tries[t].fn == try_resolve) &&
			    tries[t].fn() != 0)
				continue;

			role_get_stats(r->role, &s);
			/* A kernel without Landlock leaves names to those who need some; no filter, calls. */
			if (e == 0 && ((sink && !(s.holds & ROLE_HOLDS_FILES)) || !(s.holds & ROLE_HOLDS_CALLS)))
				continue;
			if (e < 0 || (e == 0) != works)
				fail_msg("%s: %s: %s", names[i], tries[t].name, e < 0 ? "no answer" : strerror(e));
		}
		assert_int_equal(s.failures, 0);
		rig_free(r);
	}
	assert_int_not_equal(access("/tmp/holdfast-role-was-here", F_OK), 0);
}

static void test_killed(void **state _unused_)
{
	struct rig *r = rig_new("probe-inspect");
	struct role_stats s;
	int32_t first;

	assert_true(ask_until(r, 0) >= 0);
	first = rig_pid(r);
	assert_int_equal(kill(first, SIGKILL), 0);
	assert_true(ask_until(r, 0) >= 0);
	role_get_stats(r->role, &s);
	assert_true(s.pid > 0 && s.pid != first);
	assert_int_equal(s.starts, 2);
	assert_true(s.failures >= 1);
	assert_int_equal(r->begun, 1);
	assert_int_equal(r->ended, 1);
	assert_false(s.failing);
	rig_free(r);
}

static bool is_gone(int32_t pid)
{
	uint64_t until = clock_mono_ns() + WAIT_NS;

	while (kill(pid, 0) == 0 && clock_mono_ns() < until)
		usleep(1000);
	return kill(pid, 0) < 0;
}

static void test_stalled(void **state _unused_)
{
	struct rig *r = rig_new("probe-inspect");
	const uint8_t what = 0;
	struct role_message m;
	uint64_t begin;
	int32_t first;

	assert_true(ask_until(r, 0) >= 0);
	first = rig_pid(r);
	assert_int_equal(kill(first, SIGSTOP), 0);
	begin = clock_mono_ns();
	assert_int_equal(role_ask(r->role, ROLE_TYPE_OF, &what, 1, -1, begin + 200 * NSEC_PER_MSEC, ROLE_TYPE_IS, &m),
			 -ETIMEDOUT);
	assert_true(clock_mono_ns() - begin >= 200 * NSEC_PER_MSEC);
	/* Not asked again at once, and not waited for. */
	assert_int_equal(role_ask(r->role, ROLE_TYPE_OF, &what, 1, -1, clock_mono_ns(), ROLE_TYPE_IS, &m), -EHOSTDOWN);
	assert_true(is_gone(first));
	assert_true(ask_until(r, 0) >= 0);
	assert_int_equal(r->begun, 1);
	assert_int_equal(r->ended, 1);
	rig_free(r);
}

static void test_nonsense(void **state _unused_)
{
	struct rig *r = rig_new("probe-inspect");
	const uint8_t what = 255;
	struct role_message m;

	assert_true(ask_until(r, 0) >= 0);
	assert_int_equal(role_ask(r->role, ROLE_TYPE_OF, &what, 1, -1, clock_mono_ns() + WAIT_NS, ROLE_TYPE_IS, &m),
			 -EBADMSG);
	assert_int_equal(rig_pid(r), 0);
	assert_int_equal(role_put(r->role, ROLE_TYPE_OF, &what, 1, -1), -EPIPE);
	rig_free(r);
	/* Nobody of that name. */
	r = rig_new("nobody");
	assert_true(role_ask(r->role, ROLE_TYPE_OF, &what, 1, -1, clock_mono_ns() + WAIT_NS, ROLE_TYPE_IS, &m) < 0);
	assert_int_equal(r->begun, 1);
	rig_free(r);
}

static void test_rest(void **state _unused_)
{
	struct rig *r = rig_new("probe-inspect");
	struct role_stats s;
	uint64_t until;
	int32_t first;

	assert_true(ask_until(r, 0) >= 0);
	first = rig_pid(r);
	role_rest(r->role, WAIT_NS);
	assert_int_equal(rig_pid(r), first);
	role_rest(r->role, 0);
	assert_int_equal(rig_pid(r), 0);
	assert_true(is_gone(first));
	assert_true(ask_until(r, 0) >= 0);
	role_get_stats(r->role, &s);
	assert_int_equal(s.failures, 0);
	assert_int_equal(s.starts, 2);
	/* One that died is noticed without being asked. */
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	until = clock_mono_ns() + WAIT_NS;
	while (!r->begun && clock_mono_ns() < until) {
		usleep(1000);
		role_rest(r->role, WAIT_NS);
	}
	assert_int_equal(r->begun, 1);
	assert_int_equal(rig_pid(r), 0);
	rig_free(r);
}

/* The real one. */
static void test_types(void **state _unused_)
{
	static const struct {
		const char *head;
		size_t len;
		const char *type;
	} cases[] = {
		{ "#!/bin/sh\nexit 0\n", 17, "text/x-shellscript" },
		{ "\211PNG\r\n\032\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\10\2\0\0\0", 29, "image/png" },
		{ "plain words\n", 12, "text/plain" },
	};
	const struct role_options o = { .name = "inspect", .spawner = spawner };
	_cleanup_(mime_free_p) struct mime *m = NULL, *own = NULL;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct role_stats s;
	struct role *role;

	assert_int_equal(mime_new(&own), 0);
	if (!mime_type(own, &a, cases[0].head, cases[0].len))
		skip(); /* no magic database */
	assert_false(mime_get_role(own, &s));
	assert_int_equal(role_new(&o, &role), 0);
	assert_int_equal(mime_new_role(role, &m), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t until = clock_mono_ns() + WAIT_NS;
		const char *type;

		while (!(type = mime_type(m, &a, cases[i].head, cases[i].len)) && clock_mono_ns() < until)
			usleep(10000);
		assert_non_null(type);
		assert_string_equal(type, cases[i].type);
	}
	assert_true(mime_get_role(m, &s));
	assert_true(s.pid > 0);
	assert_int_equal(kill(s.pid, SIGKILL), 0);
	/* Unknown, not waited for; what was answered before is still known. */
	assert_null(mime_type(m, &a, "other words\n", 12));
	assert_string_equal(mime_type(m, &a, cases[0].head, cases[0].len), cases[0].type);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_outside), cmocka_unit_test(test_from_inside), cmocka_unit_test(test_killed),
		cmocka_unit_test(test_stalled),	     cmocka_unit_test(test_nonsense),	 cmocka_unit_test(test_rest),
		cmocka_unit_test(test_types),
	};
	struct role_row probe_inspect = role_inspect, probe_sink = role_sink, probe_unpack = role_unpack;
	const struct role_row *const rows[] = { &probe_inspect, &probe_sink, &probe_unpack, &role_inspect };
	int failed;

	probe_inspect.name = "probe-inspect";
	probe_sink.name = "probe-sink";
	probe_unpack.name = "probe-unpack";
	probe_inspect.answer = probe_sink.answer = probe_unpack.answer = probe_answer;
	if (role_main_of(rows, ARRAY_SIZE(rows), argc, argv, &failed))
		return failed;
	signal(SIGPIPE, SIG_IGN);
	if (spawner_start(&spawner) < 0)
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	spawner_stop(spawner);
	return failed;
}
