/*
 * A restart of the monitor in enforce mode, under a small stand-in for the service manager that keeps descriptors
 * (FDSTORE) and hands them to the next run: a start that nobody vouches for is refused before, during and after, and
 * nobody waits for ever when no next run comes. On a file system of the test's own, with the program itself on it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/test.h"

#define STORE_MAX 8

static char dir[64], mnt[96];
static const char *unable;

static _printf_(1, 2) int run(const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	status = system(text);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- the manager */

static struct manager {
	int socket;
	struct {
		char name[64];
		int fd;
	} store[STORE_MAX];
	size_t n;
	pid_t daemon;
} manager = { .socket = -1 };

static void store_drop(const char *name)
{
	for (size_t i = 0; i < manager.n; i++) {
		if (name && !streq(manager.store[i].name, name))
			continue;
		close(manager.store[i].fd);
		manager.store[i--] = manager.store[--manager.n];
	}
}

static void take_message(const char *text, int fd)
{
	const char *name = strstr(text, "FDNAME=");

	if (strstr(text, "FDSTOREREMOVE=1") && name) {
		store_drop(name + 7);
	} else if (strstr(text, "FDSTORE=1") && name && fd >= 0 && manager.n < STORE_MAX) {
		snprintf(manager.store[manager.n].name, sizeof(manager.store[0].name), "%s", name + 7);
		manager.store[manager.n++].fd = fd;
		return;
	}
	if (fd >= 0)
		close(fd);
}

static void receive_one(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char text[512];
	struct iovec data = { text, sizeof(text) - 1 };
	struct msghdr m = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
	};
	ssize_t n = recvmsg(manager.socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	int fd = -1;

	if (n < 0)
		return;
	text[n] = '\0';
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	take_message(text, fd);
}

/* Serves for ms, or until done says so (then true). */
static bool serve(unsigned ms, bool (*done)(void))
{
	uint64_t end = clock_mono_ns() + ms * NSEC_PER_MSEC;

	while (clock_mono_ns() < end) {
		struct pollfd p = { .fd = manager.socket, .events = POLLIN };

		if (done && done())
			return true;
		if (poll(&p, 1, 10) > 0)
			receive_one();
	}
	return done && done();
}

static void manager_open(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", dir);
	unlink(address.sun_path);
	manager.socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager.socket, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static void set_number(const char *name, long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	setenv(name, text, 1);
}

/* Descriptors 3 and up, as the protocol wants them. */
static void hand_over(void)
{
	char names[STORE_MAX * 64] = "";

	for (size_t i = 0; i < manager.n; i++) {
		int high = fcntl(manager.store[i].fd, F_DUPFD, 100);

		strcat(names, i ? ":" : "");
		strcat(names, manager.store[i].name);
		dup2(high, 3 + (int)i);
		close(high);
	}
	set_number("LISTEN_FDS", (long)manager.n);
	set_number("LISTEN_PID", getpid());
	setenv("LISTEN_FDNAMES", names, 1);
}

static void daemon_start(void)
{
	manager.daemon = fork();
	if (manager.daemon == 0) {
		char program[160], conf[160], log[160];

		snprintf(program, sizeof(program), "%s/holdfast", mnt);
		snprintf(conf, sizeof(conf), "%s/conf.yaml", dir);
		snprintf(log, sizeof(log), "%s/log", dir);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open(log, O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		hand_over();
		execl(program, "holdfast", "-c", conf, "watch", "--for", "2m", "--force", NULL);
		_exit(127);
	}
}

static void daemon_end(int signo)
{
	if (manager.daemon <= 0)
		return;
	kill(manager.daemon, signo);
	waitpid(manager.daemon, NULL, 0);
	manager.daemon = 0;
}

static bool is_stored(void)
{
	return manager.n == 1;
}

static bool is_dropped(void)
{
	return manager.n == 0;
}

/* --- starts */

static pid_t start(const char *name)
{
	pid_t pid = fork();

	if (pid == 0) {
		char path[160];

		/* Or it would keep the group that it waits in. */
		store_drop(NULL);
		snprintf(path, sizeof(path), "%s/%s", mnt, name);
		execl(path, name, NULL);
		_exit(errno == EPERM ? 100 : 101);
	}
	return pid;
}

static int ended(pid_t pid)
{
	int status;

	for (int i = 0; i < 1000; i++) {
		pid_t r = waitpid(pid, &status, WNOHANG);

		if (r == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
		serve(10, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	return -2;
}

static bool is_waiting(pid_t pid)
{
	serve(300, NULL);
	return waitpid(pid, NULL, WNOHANG) == 0;
}

#define GOOD	0
#define REFUSED 100

static void begin(const char *stall)
{
	if (unable) {
		print_message("skipped: %s\n", unable);
		skip();
	}
	assert_int_equal(run("printf 'paths: [%s]\\ncontrol: %s/control\\nstore: {path: %s/state/holdfast.db}\\n"
			     "exec: {mode: enforce, trust: [baselines], stall: %s}\\n' >%s/conf.yaml",
			     mnt, dir, dir, stall, dir),
			 0);
	manager_open();
	daemon_start();
	assert_true(serve(20000, is_stored));
	assert_int_equal(ended(start("good")), GOOD);
	assert_int_equal(ended(start("bad")), REFUSED);
}

static int after(void **state _unused_)
{
	daemon_end(SIGKILL);
	store_drop(NULL);
	if (manager.socket >= 0)
		close(manager.socket);
	manager.socket = -1;
	return 0;
}

/* Ended and started again, whichever way it ended: what is started in between waits, and is judged. */
static void restart(int signo)
{
	pid_t bad, good;

	/* Longer than any start on a busy machine takes: it is not what is tried here. */
	begin("60s");
	daemon_end(signo);
	serve(50, NULL);
	assert_int_equal(manager.n, 1);
	bad = start("bad");
	good = start("good");
	assert_true(is_waiting(bad));
	assert_true(is_waiting(good));
	/* The manager's own start is held up by nobody, though the program lies on the gated file system. */
	daemon_start();
	assert_int_equal(ended(bad), REFUSED);
	assert_int_equal(ended(good), GOOD);
	assert_true(serve(30000, is_stored));
	assert_int_equal(ended(start("bad")), REFUSED);
	assert_int_equal(ended(start("good")), GOOD);
}

static void test_restart(void **state _unused_)
{
	restart(SIGTERM);
}

static void test_crash(void **state _unused_)
{
	restart(SIGKILL);
}

/* No next run comes: the watchdog of the last one has the manager drop the group. */
static void test_no_next(void **state _unused_)
{
	pid_t bad;

	for (int orderly = 0; orderly < 2; orderly++) {
		begin("1s");
		daemon_end(orderly ? SIGTERM : SIGKILL);
		bad = start("bad");
		assert_true(is_waiting(bad));
		assert_true(serve(30000, is_dropped));
		assert_int_equal(ended(bad), 1);
		after(NULL);
	}
}

/* A service that is stopped for good: the manager drops what it kept. */
static void test_stopped(void **state _unused_)
{
	pid_t bad;

	begin("5s");
	daemon_end(SIGTERM);
	bad = start("bad");
	assert_true(is_waiting(bad));
	store_drop(NULL);
	assert_int_equal(ended(bad), 1);
}

/* Stalled: the watchdog has it dropped before it kills, so that nobody waits for the next run. */
static void test_stalled(void **state _unused_)
{
	pid_t bad;
	int status;

	begin("1s");
	kill(manager.daemon, SIGSTOP);
	assert_int_equal(waitpid(manager.daemon, &status, WUNTRACED), manager.daemon);
	assert_true(WIFSTOPPED(status));
	bad = start("bad");
	assert_true(is_waiting(bad));
	assert_int_equal(ended(bad), 1);
	assert_int_equal(manager.n, 0);
	waitpid(manager.daemon, NULL, 0);
	manager.daemon = 0;
}

/* A start that fails lets everybody go, and is not in the way of the next one. */
static void test_failing_start(void **state _unused_)
{
	pid_t bad;

	begin("5s");
	daemon_end(SIGKILL);
	bad = start("bad");
	assert_true(is_waiting(bad));
	assert_int_equal(run("mv %s/state %s/state.away", dir, dir), 0);
	daemon_start();
	assert_int_equal(ended(bad), 1);
	waitpid(manager.daemon, NULL, 0);
	assert_int_equal(manager.n, 0);
	assert_int_equal(run("rm -rf %s/state; mv %s/state.away %s/state", dir, dir, dir), 0);
	daemon_start();
	assert_true(serve(20000, is_stored));
	assert_int_equal(ended(start("bad")), REFUSED);
}

/* An upgrade in between: a new file that is vouched for is held up by nobody either. */
static void test_upgrade(void **state _unused_)
{
	begin("5s");
	assert_int_equal(run("cp %s/holdfast %s/holdfast.new && mv %s/holdfast.new %s/holdfast", mnt, mnt, mnt, mnt),
			 0);
	serve(3000, NULL);
	daemon_end(SIGTERM);
	assert_int_equal(manager.n, 1);
	daemon_start();
	assert_true(serve(30000, is_stored));
	assert_int_equal(ended(start("bad")), REFUSED);
}

/* One that is not: the group is not kept, or the next start would wait for itself. */
static void test_strange_program(void **state _unused_)
{
	begin("5s");
	assert_int_equal(run("(cat %s/holdfast; echo) >%s/holdfast.new && chmod 755 %s/holdfast.new && mv %s/holdfast "
			     "%s/holdfast.old && mv %s/holdfast.new %s/holdfast",
			     mnt, mnt, mnt, mnt, mnt, mnt, mnt),
			 0);
	assert_true(serve(30000, is_dropped));
	assert_int_equal(ended(start("bad")), REFUSED);
	assert_int_equal(run("mv %s/holdfast.old %s/holdfast", mnt, mnt), 0);
	assert_true(serve(30000, is_stored));
}

/* --- */

static const char *set_up(void)
{
	const char *program = getenv("HOLDFAST");

	if (geteuid() != 0)
		return "not root";
	if (getenv("HOLDFAST_NO_SYSTEM_TESTS"))
		return getenv("HOLDFAST_NO_SYSTEM_TESTS");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return "no mount namespace of its own";
	strcpy(dir, "/tmp/holdfast-restart-XXXXXX");
	if (!mkdtemp(dir))
		return "no work folder";
	snprintf(mnt, sizeof(mnt), "%s/mnt", dir);
	if (run("mkdir -m 700 %s/mnt %s/state && truncate -s 96M %s/image && mkfs.ext4 -q -F %s/image >/dev/null 2>&1 "
		"&& "
		"mount -o loop %s/image %s 2>/dev/null",
		dir, dir, dir, dir, dir, mnt) != 0)
		return "no loop image can be made and mounted";
	if (run("cp /bin/true %s/good && cp %s %s/holdfast", mnt, program ? program : "./holdfast", mnt) != 0)
		return "no program";
	if (run("printf 'paths: [%s]\\nstore: {path: %s/state/holdfast.db}\\n' >%s/conf.yaml && %s/holdfast -q -c "
		"%s/conf.yaml init",
		mnt, dir, dir, mnt, dir) != 0)
		return "no baseline can be taken here";
	run("cp /bin/false %s/bad", mnt);
	return NULL;
}

static int prepare(void **state _unused_)
{
	unable = set_up();
	return 0;
}

static int clean(void **state _unused_)
{
	if (*mnt)
		umount2(mnt, MNT_DETACH);
	return *dir ? run("rm -rf %s", dir) : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_restart, after), cmocka_unit_test_teardown(test_crash, after),
		cmocka_unit_test_teardown(test_no_next, after), cmocka_unit_test_teardown(test_stopped, after),
		cmocka_unit_test_teardown(test_stalled, after), cmocka_unit_test_teardown(test_failing_start, after),
		cmocka_unit_test_teardown(test_upgrade, after), cmocka_unit_test_teardown(test_strange_program, after),
	};

	alarm(500);
	return cmocka_run_group_tests(tests, prepare, clean);
}
