/*
 * watch/bpf on the running kernel: programs that nobody can judge before they start are stopped before their first
 * instruction.
 */
#include "tests/watch/bpf.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/clock.h"

enum { TRIES = 300 };

/* A session of its own that runs a file again and again: nothing else on this machine is refused anything. */
struct session {
	int ran, killed, other;
	size_t said; /* bytes that the programs wrote */
};

static void session_once(struct session *s, const char *path)
{
	int out[2], status;
	char c[16];
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC))
		_exit(96);
	pid = fork();
	if (pid == 0) {
		if (dup2(out[1], STDOUT_FILENO) < 0)
			_exit(97);
		execve(path, ARGV((char *)"echo", (char *)"here"), environ);
		_exit(99);
	}
	close(out[1]);
	while ((n = read(out[0], c, sizeof(c))) > 0)
		s->said += (size_t)n;
	close(out[0]);
	if (waitpid(pid, &status, 0) != pid)
		_exit(98);
	s->ran += WIFEXITED(status) && WEXITSTATUS(status) == 0;
	s->killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	s->other += WIFEXITED(status) && WEXITSTATUS(status);
}

static void session_run(struct fixture *f, const char *path, int tries, struct session *ret)
{
	struct session *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int go[2], ready[2], status;
	pid_t runner;
	char c;

	assert_true(pipe2(go, O_CLOEXEC) == 0 && pipe2(ready, O_CLOEXEC) == 0);
	runner = fork();
	if (runner == 0) {
		if (setsid() < 0 || write(ready[1], "", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(95);
		for (int i = 0; i < tries; i++)
			session_once(shared, path);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(bpf_procs_refuse(f->b, true, runner), 0);
	assert_int_equal(write(go[1], "", 1), 1);
	assert_int_equal(waitpid(runner, &status, 0), runner);
	assert_int_equal(status, 0);
	assert_int_equal(bpf_procs_refuse(f->b, false, runner), 0);
	*ret = *shared;
	munmap(shared, sizeof(*shared));
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	close(ready[1]);
}

struct refusals {
	unsigned int n;
	enum bpf_refused kind;
	char exe[256];
};

static void on_refused(const struct bpf_proc_event *e, void *data)
{
	struct refusals *r = data;

	if (e->kind != BPF_RECORD_REFUSED)
		return;
	r->n++;
	r->kind = e->refused;
	snprintf(r->exe, sizeof(r->exe), "%s", e->told.exe ? e->told.exe : "");
}

static void refusals_take(struct fixture *f, struct refusals *ret)
{
	memset(ret, 0, sizeof(*ret));
	while (bpf_procs_take(f->b, 1000, on_refused, ret) > 0)
		;
}

/* A gate that holds nobody up: its marks are what is looked at. Its descriptor. */
static int make_gate(struct fixture *f)
{
	int group = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);

	assert_true(group >= 0);
	assert_int_equal(bpf_procs_gate(f->b, group), 0);
	return group;
}

static void mark(int group, unsigned int how, uint64_t what, const char *path)
{
	assert_int_equal(fanotify_mark(group, how | FAN_MARK_FILESYSTEM, what, AT_FDCWD, path), 0);
}

static void close_gate(struct fixture *f, int group)
{
	assert_int_equal(bpf_procs_gate(f->b, -1), 0);
	close(group);
}

#define NEED_REFUSALS(f)                                                                                               \
	do {                                                                                                           \
		NEED_BPF(f);                                                                                           \
		if (bpf_procs_refuse((f)->b, false, 1) < 0) {                                                          \
			print_message("skipped: no tracepoint before an exec on this kernel\n");                       \
			skip();                                                                                        \
		}                                                                                                      \
	} while (0)

/* Not one instruction of a memory file runs; what lies on a judged file system does, and what a known caller starts. */
static void test_refused_memory(void **state)
{
	struct fixture *f = *state;
	struct session s;
	struct refusals told;
	struct stat st;
	char path[64];
	int fd, group;

	NEED_REFUSALS(f);
	group = make_gate(f);
	fd = (int)syscall(SYS_memfd_create, "payload", MFD_CLOEXEC);
	assert_int_equal(copy_of("/bin/echo", fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, "/bin/echo");
	session_run(f, path, TRIES, &s);
	print_message("%d starts of a memory file: %d ran, %d killed\n", TRIES, s.ran, s.killed);
	assert_int_equal(s.killed, TRIES);
	assert_int_equal(s.said, 0);
	refusals_take(f, &told);
	assert_int_equal(told.n, TRIES);
	assert_int_equal(told.kind, BPF_REFUSED_MEMORY);
	assert_string_equal(told.exe, "/memfd:payload (deleted)");
	session_run(f, "/bin/echo", 20, &s);
	assert_int_equal(s.ran, 20);
	/* As runtimes do that run a copy of themselves. */
	assert_int_equal(stat("/proc/self/exe", &st), 0);
	assert_int_equal(bpf_procs_caller(f->b, st.st_dev, st.st_ino), 0);
	session_run(f, path, 20, &s);
	assert_int_equal(s.ran, 20);
	assert_int_equal(s.said, 20 * strlen("here\n"));
	close(fd);
	close_gate(f, group);
}

/* Another tmpfs with a copy of echo; false when there cannot be one. */
static bool mount_another(struct fixture *f, const char *path)
{
	int fd;

	if (mount("holdfast-test", f->dir, "tmpfs", 0, "size=4m") < 0) {
		print_message("skipped: mount: %s\n", strerror(errno));
		return false;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(copy_of("/bin/echo", fd), 0);
	close(fd);
	return true;
}

static dev_t dev_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_dev;
}

static void test_refused_mount(void **state)
{
	struct fixture *f = *state;
	struct session s;
	struct refusals told;
	char path[96];
	int group;

	NEED_REFUSALS(f);
	snprintf(path, sizeof(path), "%s/echo", f->dir);
	if (!mount_another(f, path))
		skip();
	group = make_gate(f);
	mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, "/bin/echo");
	session_run(f, path, 20, &s);
	assert_int_equal(s.killed, 20);
	assert_int_equal(s.said, 0);
	refusals_take(f, &told);
	assert_int_equal(told.n, 20);
	assert_int_equal(told.kind, BPF_REFUSED_UNGATED);
	assert_string_equal(told.exe, path);
	/* For something else. */
	mark(group, FAN_MARK_ADD, FAN_OPEN, path);
	session_run(f, path, 20, &s);
	assert_int_equal(s.killed, 20);
	/* Marked since. */
	mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, path);
	session_run(f, path, 20, &s);
	assert_int_equal(s.ran, 20);
	mark(group, FAN_MARK_REMOVE, FAN_OPEN_EXEC, path);
	session_run(f, path, 20, &s);
	assert_int_equal(s.killed, 20);
	umount2(f->dir, MNT_DETACH);
	close_gate(f, group);
}

/* By the group's mark, not by anybody's; of many. */
static void test_refused_others(void **state)
{
	struct fixture *f = *state;
	struct session s;
	char path[96];
	int group, others[20];

	NEED_REFUSALS(f);
	snprintf(path, sizeof(path), "%s/echo", f->dir);
	if (!mount_another(f, path))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY | O_CLOEXEC);
		mark(others[i], FAN_MARK_ADD, FAN_OPEN_EXEC, path);
	}
	group = make_gate(f);
	mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, "/bin/echo");
	session_run(f, path, 20, &s);
	assert_int_equal(s.killed, 20);
	mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, path);
	session_run(f, path, 20, &s);
	assert_int_equal(s.ran, 20);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		close(others[i]);
	umount2(f->dir, MNT_DETACH);
	close_gate(f, group);
	/* Where nobody's marks say so, nothing may be refused. */
	assert_int_equal(bpf_procs_refuse(f->b, true, 1), -ENOTSUP);
}

/* Events hold files; who was waited for may hold one for a moment yet. */
static void unmount(struct fixture *f, int group)
{
	uint64_t deadline = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct fanotify_event_metadata e;

	while (umount2(f->dir, 0) < 0) {
		assert_int_equal(errno, EBUSY);
		assert_true(clock_mono_ns() < deadline);
		while (read(group, &e, sizeof(e)) == sizeof(e))
			close(e.fd);
		sched_yield();
	}
}

/* A device number that had the mark says nothing: the next file system with it has none. */
static void test_refused_number(void **state)
{
	struct fixture *f = *state;
	struct session s;
	char path[96];
	dev_t dev = 0;
	int group, same = 0;

	NEED_REFUSALS(f);
	snprintf(path, sizeof(path), "%s/echo", f->dir);
	if (!mount_another(f, path))
		skip();
	group = make_gate(f);
	mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, "/bin/echo");
	/* Others on this machine take numbers too. */
	for (int i = 0; i < 100 && same < 5; i++) {
		mark(group, FAN_MARK_ADD, FAN_OPEN_EXEC, path);
		session_run(f, path, 1, &s);
		assert_int_equal(s.ran, 1);
		dev = dev_of(path);
		unmount(f, group);
		assert_true(mount_another(f, path));
		same += dev_of(path) == dev;
		session_run(f, path, 1, &s);
		assert_int_equal(s.killed, 1);
		assert_int_equal(s.said, 0);
	}
	print_message("%d file systems took the number of one that was gated\n", same);
	umount2(f->dir, MNT_DETACH);
	close_gate(f, group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_number, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
