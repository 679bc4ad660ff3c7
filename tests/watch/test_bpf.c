/*
 * watch/bpf on the running kernel: what the programs tell of a start, from where it came and with what; forks, ends and
 * losses.
 */
#include "tests/watch/bpf.h"
#include "tests/watch/uring.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/clock.h"
#include "proc/read.h"
#include "watch/connector.h"

#define DEADLINE_NS (60 * NSEC_PER_SEC)

static void on_event(const struct bpf_proc_event *e, void *data)
{
	struct fixture *f = data;
	struct bpf_proc_event *keep = e->kind == BPF_RECORD_EXEC ? &f->exec : &f->fork;

	if (e->told.pid != f->pid)
		return;
	f->forks += e->kind == BPF_RECORD_FORK;
	f->execs += e->kind == BPF_RECORD_EXEC;
	f->exits += e->kind == BPF_RECORD_EXIT;
	if (e->kind == BPF_RECORD_EXIT)
		return;
	memcpy(keep, e, sizeof(*keep));
	if (e->kind == BPF_RECORD_FORK)
		return;
	keep->told.exe = e->told.exe ? arena_strdup(&f->arena, e->told.exe) : NULL;
	keep->told.cwd = e->told.cwd ? arena_strdup(&f->arena, e->told.cwd) : NULL;
	keep->told.cgroup = e->told.cgroup ? arena_strdup(&f->arena, e->told.cgroup) : NULL;
	keep->told.tty = e->told.tty ? arena_strdup(&f->arena, e->told.tty) : NULL;
	keep->told.cmdline = e->told.cmdline ? arena_dup(&f->arena, e->told.cmdline, e->told.cmdline_len) : NULL;
}

/* All that was told of the child, which has ended. */
static void collect(struct fixture *f, int32_t pid)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	f->pid = pid;
	f->forks = f->execs = f->exits = 0;
	while (!f->exits) {
		struct pollfd p = { .fd = bpf_procs_fd(f->b), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(bpf_procs_take(f->b, 100, on_event, f) >= 0);
		assert_true(clock_mono_ns() < deadline);
	}
}

static int32_t run(struct fixture *f, const char *path, char *const argv[], void (*before)(void *data), void *data)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (before)
			before(data);
		execve(path, argv, environ);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	collect(f, pid);
	return pid;
}

/* --- what a start is told with */

static void test_whole(void **state)
{
	struct fixture *f = *state;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct process self = { 0 };
	const struct process *p = &f->exec.told;
	char real[PATH_MAX], cwd[PATH_MAX];
	struct stat st;
	int32_t pid;

	NEED_BPF(f);
	assert_int_equal(proc_read("/proc", getpid(), &a, &self), 0);
	assert_non_null(realpath("/bin/true", real));
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	pid = run(f, real, ARGV((char *)"true", (char *)"one two", (char *)"", (char *)"\xff\n"), NULL, NULL);
	assert_int_equal(f->forks, 1);
	assert_int_equal(f->execs, 1);
	assert_int_equal(f->fork.maker, getpid());
	assert_int_equal(f->fork.told.ppid, getpid());
	assert_int_equal(p->pid, pid);
	assert_int_equal(p->ppid, getpid());
	assert_string_equal(p->exe, real);
	assert_string_equal(p->cwd, cwd);
	assert_int_equal(p->cmdline_len, sizeof("true\0one two\0\0\xff\n"));
	assert_memory_equal(p->cmdline, "true\0one two\0\0\xff\n", p->cmdline_len);
	assert_false(p->cmdline_cut);
	assert_string_equal(p->comm, "true");
	assert_int_equal(stat(real, &st), 0);
	assert_int_equal(f->exec.exe_ino, st.st_ino);
	assert_int_equal(f->exec.exe_dev, st.st_dev);
	assert_int_equal(f->exec.exe_size, st.st_size);
	assert_int_equal(f->exec.exe_ctime, (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec);
	/* What exec and fork leave as it is. */
	assert_int_equal(p->known & (PROCESS_IDS | PROCESS_LOGINUID | PROCESS_NO_LOGINUID | PROCESS_SESSION),
			 self.known & (PROCESS_IDS | PROCESS_LOGINUID | PROCESS_NO_LOGINUID | PROCESS_SESSION));
	assert_int_equal(p->uid, self.uid);
	assert_int_equal(p->egid, self.egid);
	assert_int_equal(p->loginuid, self.loginuid);
	assert_int_equal(p->session, self.session);
	assert_int_equal(p->sid, self.sid);
	assert_int_equal(p->known & (PROCESS_TTY | PROCESS_NO_TTY), self.known & (PROCESS_TTY | PROCESS_NO_TTY));
	if (p->known & PROCESS_TTY)
		assert_string_equal(p->tty, self.tty);
	if (p->known & PROCESS_CGROUP && f->exec.cgroup_sure)
		assert_string_equal(p->cgroup, self.cgroup);
	assert_true(p->start_ns >= self.start_ns);
	assert_true(clock_mono_ns() - f->exec.mono_ns < DEADLINE_NS);
}

static void set_environment(void *data)
{
	char name[16];

	clearenv();
	/* More than are looked at. */
	for (int i = 0; !data && i < BPF_ENV_MAX + 1; i++) {
		snprintf(name, sizeof(name), "V%d", i);
		setenv(name, "x", 1);
	}
	for (char *const *p = data; p && *p; p++)
		putenv(*p);
}

static void test_environment(void **state)
{
	static char shell[] = "SHELL=/bin/sh", loader[] = "LD_BIND_NOW=1", empty[] = "E=", like[] = "XLD_PRELOAD=x";
	static char *const cases[][4] = { { NULL }, { shell, empty, like }, { loader }, { shell, empty, loader } };
	static const bool plain[] = { true, true, false, false };
	struct fixture *f = *state;

	NEED_BPF(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run(f, "/bin/true", ARGV((char *)"true"), set_environment, (void *)cases[i]);
		assert_int_equal(f->exec.plain_environ, plain[i]);
	}
	run(f, "/bin/true", ARGV((char *)"true"), set_environment, NULL);
	assert_false(f->exec.plain_environ);
}

static void test_long_argv(void **state)
{
	struct fixture *f = *state;
	static char big[100000];

	NEED_BPF(f);
	memset(big, 'x', sizeof(big) - 1);
	run(f, "/bin/true", ARGV((char *)"true", big), NULL, NULL);
	assert_true(f->exec.told.cmdline_cut);
	assert_int_equal(f->exec.told.cmdline_len, PROCESS_ARGV_MAX);
	assert_int_equal(f->exec.told.cmdline[PROCESS_ARGV_MAX - 2], 'x');
	assert_int_equal(f->exec.told.cmdline[PROCESS_ARGV_MAX - 1], '\0');
	assert_non_null(f->exec.told.exe);
}

static void in_folder(void *data)
{
	if (chdir(data))
		_exit(98);
}

static void in_removed_folder(void *data)
{
	if (mkdir(data, 0700) || chdir(data) || rmdir(data))
		_exit(98);
}

static void other_ids(void *data)
{
	(void)data;
	if (setresgid(31, 32, 33) || setresuid(41, 42, 43))
		_exit(98);
}

static void test_where_and_who(void **state)
{
	struct fixture *f = *state;
	char gone[PATH_MAX], want[PATH_MAX + 16];

	NEED_BPF(f);
	run(f, "/bin/true", ARGV((char *)"true"), in_folder, f->dir);
	assert_string_equal(f->exec.told.cwd, f->dir);
	run(f, "/bin/true", ARGV((char *)"true"), in_folder, (void *)"/");
	assert_string_equal(f->exec.told.cwd, "/");
	run(f, "/bin/true", ARGV((char *)"true"), in_folder, (void *)"/proc/self/fd");
	assert_non_null(strstr(f->exec.told.cwd, "/proc/"));
	snprintf(gone, sizeof(gone), "%s/gone", f->dir);
	run(f, "/bin/true", ARGV((char *)"true"), in_removed_folder, gone);
	snprintf(want, sizeof(want), "%s (deleted)", gone);
	assert_string_equal(f->exec.told.cwd, want);
	run(f, "/bin/true", ARGV((char *)"true"), other_ids, NULL);
	assert_int_equal(f->exec.told.uid, 41);
	assert_int_equal(f->exec.told.euid, 42);
	assert_int_equal(f->exec.told.gid, 31);
	assert_int_equal(f->exec.told.egid, 32);
}

/* A file that has gone, and one that never had a folder. */
static void test_strange_files(void **state)
{
	struct fixture *f = *state;
	char want[PATH_MAX], path[64];
	int fd;

	NEED_BPF(f);
	fd = open(f->program, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_int_equal(copy_of("/bin/true", fd), 0);
	close(fd);
	fd = open(f->program, O_PATH | O_CLOEXEC);
	unlink(f->program);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	run(f, path, ARGV((char *)"gone"), NULL, NULL);
	snprintf(want, sizeof(want), "%s (deleted)", f->program);
	assert_string_equal(f->exec.told.exe, want);
	close(fd);

	fd = (int)syscall(SYS_memfd_create, "a name", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(copy_of("/bin/true", fd), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	run(f, path, ARGV((char *)"memory"), NULL, NULL);
	assert_string_equal(f->exec.told.exe, "/memfd:a name (deleted)");
	close(fd);
}

/* Names of the greatest length, deeper than any path that can be named at once. */
static void test_deep_folder(void **state)
{
	struct fixture *f = *state;
	char name[256], back[PATH_MAX];

	NEED_BPF(f);
	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_non_null(getcwd(back, sizeof(back)));
	assert_int_equal(chdir(f->dir), 0);
	for (int i = 0; i < 12; i++)
		assert_true(mkdir(name, 0700) == 0 && chdir(name) == 0);
	run(f, "/bin/true", ARGV((char *)"true"), NULL, NULL);
	assert_true(f->exec.told.known & PROCESS_CWD);
	assert_int_equal(strlen(f->exec.told.cwd), strlen(f->dir) + 12 * 256);
	for (int i = 0; i < 12; i++)
		assert_true(mkdir(name, 0700) == 0 && chdir(name) == 0);
	run(f, "/bin/true", ARGV((char *)"true"), NULL, NULL);
	/* Longer than is kept: unknown, not half of it. */
	assert_false(f->exec.told.known & PROCESS_CWD);
	assert_non_null(f->exec.told.exe);
	for (int i = 0; i < 24; i++)
		assert_true(chdir("..") == 0 && rmdir(name) == 0);
	assert_int_equal(chdir(back), 0);
}

/* The child of CLONE_PARENT is its maker's sibling. */
static void test_other_parent(void **state)
{
	struct fixture *f = *state;
	int32_t *inner;
	pid_t outer;
	int status;

	NEED_BPF(f);
	inner = mmap(NULL, sizeof(*inner), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	outer = fork();
	if (outer == 0) {
		pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);

		if (pid)
			*inner = pid;
		_exit(0);
	}
	assert_int_equal(waitpid(outer, &status, 0), outer);
	assert_int_equal(waitpid(*inner, &status, 0), *inner);
	collect(f, *inner);
	assert_int_equal(f->fork.maker, outer);
	assert_int_equal(f->fork.told.ppid, getpid());
	munmap(inner, sizeof(*inner));
}

/* --- the ring */

static uint64_t lost_so_far(const struct bpf_procs *b)
{
	uint64_t lost[BPF_RECORD_KINDS], n = 0;

	bpf_procs_lost(b, lost);
	for (size_t i = 0; i < BPF_RECORD_KINDS; i++)
		n += lost[i];
	return n;
}

/* False: what was told of it found no room, for all that others start meanwhile. */
static bool is_told(struct fixture *f, int32_t pid, uint64_t lost)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	f->pid = pid;
	f->execs = f->exits = 0;
	while (!f->exits) {
		assert_true(bpf_procs_take(f->b, 100, on_event, f) >= 0);
		if (lost_so_far(f->b) != lost)
			return false;
		assert_true(clock_mono_ns() < deadline);
	}
	return true;
}

/* Starts with long arguments, read one by one from a small ring: those that lie over its end are whole, too. */
static void test_over_the_end(void **state)
{
	enum { RING = 128 << 10, STARTS = 3 * RING / 3000, TRIES = 20 * STARTS };
	struct fixture *f = *state;
	_cleanup_buf_ struct buf err = BUF_INIT;
	unsigned int whole = 0;
	char arg[3001] = { 0 };

	NEED_BPF(f);
	bpf_procs_close(f->b);
	f->b = NULL;
	assert_int_equal(bpf_procs_open(RING, &f->b, &err), 0);
	for (unsigned int i = 0; i < TRIES && whole < STARTS; i++) {
		uint64_t lost = lost_so_far(f->b);
		pid_t pid;

		for (size_t k = 0; k < sizeof(arg) - 1; k++)
			arg[k] = (char)('A' + (i + k) % 53);
		pid = fork();
		if (pid == 0) {
			execve("/bin/true", ARGV((char *)"true", arg), environ);
			_exit(99);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (!is_told(f, pid, lost))
			continue;
		assert_int_equal(f->execs, 1);
		assert_int_equal(f->exec.told.cmdline_len, 5 + sizeof(arg));
		assert_memory_equal(f->exec.told.cmdline + 5, arg, sizeof(arg));
		assert_non_null(f->exec.told.exe);
		arena_reset(&f->arena);
		whole++;
	}
	assert_int_equal(whole, STARTS);
}

/* --- loss */

static void act_lost(uint64_t n, uint64_t since, void *data)
{
	assert_true(since > 0 && since <= clock_real_ns());
	atomic_fetch_add((atomic_ulong *)data, n);
}

/* A ring of one page: what finds no room is counted by kind, told, and healed by a scan. */
static void test_loss(void **state)
{
	struct fixture *f = *state;
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS, lost[BPF_RECORD_KINDS] = { 0 }, all = 0;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_procs *b;

	NEED_BPF(f);
	assert_int_equal(bpf_procs_open(1, &b, &err), 0);
	/* Nobody reads meanwhile. */
	for (int i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execve("/bin/true", ARGV((char *)"true"), environ);
			_exit(99);
		}
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	bpf_procs_lost(b, lost);
	for (size_t i = 0; i <= BPF_RECORD_EXIT; i++) {
		assert_true(lost[i] > 50);
		all += lost[i];
	}
	assert_true(all < 100000 && clock_mono_ns() < deadline);
	bpf_procs_close(b);
}

static void test_loss_is_healed(void **state)
{
	struct fixture *f = *state;
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct proc_table *t;
	struct connector *c;
	struct connector_stats stats = { 0 };
	atomic_ulong told = 0;

	NEED_BPF(f);
	assert_int_equal(proc_table_new("/proc", 32768, &t), 0);
	const struct connector_options o = {
		.procs = t, .source = CONNECTOR_BPF, .ring = 1, .lost = act_lost, .data = &told
	};
	assert_int_equal(connector_start(&o, &c, &err), 0);
	assert_int_equal(connector_source(c), CONNECTOR_BPF);
	while (stats.scans < 1 && clock_mono_ns() < deadline) {
		static char big[4000];

		memset(big, 'x', sizeof(big) - 1);
		for (int i = 0; i < 20; i++) {
			pid_t pid = fork();

			if (pid == 0) {
				execve("/bin/true", ARGV((char *)"true", big), environ);
				_exit(99);
			}
			assert_int_equal(waitpid(pid, NULL, 0), pid);
		}
		connector_get_stats(c, &stats);
	}
	assert_true(stats.scans >= 1);
	assert_true(stats.lost > 0 && atomic_load(&told) > 0);
	assert_true(stats.lost_kinds[BPF_RECORD_EXEC] > 0);
	connector_stop(c);
	proc_table_free(t);
}

/* --- where pids are others */

static void test_elsewhere(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;

	NEED_BPF(f);
	pid = fork();
	if (pid == 0) {
		_cleanup_buf_ struct buf err = BUF_INIT;
		struct bpf_procs *b;

		if (unshare(CLONE_NEWPID) < 0)
			_exit(77);
		pid = fork();
		if (pid == 0)
			_exit(bpf_procs_open(0, &b, &err) == -ENOTSUP && err.len ? 0 : 1);
		waitpid(pid, &status, 0);
		_exit(WEXITSTATUS(status));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a folder that is the root for this process alone, with a mount namespace of its own or not. */
static int open_in_chroot(const char *dir, bool namespace)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct bpf_procs *b;
	char proc[96];

	snprintf(proc, sizeof(proc), "%s/proc", dir);
	if (mkdir(proc, 0755) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", proc, "proc", 0, NULL) < 0 || chroot(dir) < 0 || (namespace && unshare(CLONE_NEWNS) < 0))
		return 77;
	return bpf_procs_open(0, &b, &err) == -ENOTSUP && strstr(err.data, "chroot") ? 0 : 1;
}

static void test_chroot(void **state)
{
	struct fixture *f = *state;
	char proc[96];
	int status;

	NEED_BPF(f);
	snprintf(proc, sizeof(proc), "%s/proc", f->dir);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(unshare(CLONE_NEWNS) < 0 ? 77 : open_in_chroot(f->dir, i));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		rmdir(proc);
		if (WEXITSTATUS(status) == 77)
			skip();
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* --- files through io_uring */

static void open_by_uring(void *data)
{
	struct io_uring_sqe nop = { .opcode = IORING_OP_NOP },
			    open = { .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)data };
	struct uring u;

	if (!uring_open(&u) || !uring_do(&u, data ? &open : &nop))
		_exit(77);
}

/* Who opened by it is known while it runs, and for what it was when it did. */
static void test_uring_files(void **state)
{
	struct fixture *f = *state;
	struct uring u;

	NEED_BPF(f);
	if (!uring_open(&u)) {
		print_message("skipped: no io_uring\n");
		skip();
	}
	close(u.fd);
	run(f, "/bin/true", ARGV((char *)"true"), open_by_uring, (char *)"/dev/null");
	assert_true(bpf_procs_uring_files(f->b, f->pid, f->exec.told.start_ns));
	assert_false(bpf_procs_uring_files(f->b, f->pid, f->exec.told.start_ns + NSEC_PER_SEC));
	run(f, "/bin/true", ARGV((char *)"true"), open_by_uring, NULL);
	assert_false(bpf_procs_uring_files(f->b, f->pid, f->exec.told.start_ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_argv, setup, teardown),
		cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_where_and_who, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_over_the_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loss_is_healed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chroot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uring_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
