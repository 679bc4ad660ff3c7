/* watch/connector on the running kernel: ids, logins, threads, pid reuse, lost messages. */
#include "tests/watch/connector.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* --- where it cannot be had */

/* Exit status of a child that tried to start in new namespaces. */
static int start_elsewhere(int namespaces)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		_cleanup_buf_ struct buf err = BUF_INIT;
		struct connector *c = NULL;
		struct proc_table *t;
		pid_t inner;
		int r;

		if (unshare(namespaces) < 0)
			_exit(77);
		inner = fork();
		if (inner > 0) {
			if (waitpid(inner, &status, 0) < 0)
				_exit(78);
			_exit(WEXITSTATUS(status));
		}
		if (proc_table_new("/proc", 1000, &t) < 0)
			_exit(78);
		r = connector_start(&(struct connector_options){ .procs = t, .source = CONNECTOR_NETLINK }, &c, &err);
		_exit(r == -ENOTSUP && err.len ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_elsewhere(void **state)
{
	static const int namespaces[] = { CLONE_NEWNET, CLONE_NEWPID };
	struct fixture *f = *state;

	NEED_CONNECTOR(f);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		int r = start_elsewhere(namespaces[i]);

		if (r == 77)
			print_message("skipped: cannot make namespace %x\n", (unsigned int)namespaces[i]);
		else
			assert_int_equal(r, 0);
	}
}

/* --- one child after the other, step by step */

/* A child that does what it is told and then waits until it is killed. */
static pid_t child_do(void (*act)(void *data), void *data)
{
	int ready[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		act(data);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	/* One byte, or the end of file when act has started another program. */
	assert_true(read(ready[0], &c, 1) >= 0);
	close(ready[0]);
	return pid;
}

static void child_end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void act_nothing(void *data)
{
	(void)data;
}

static void act_ids(void *data)
{
	(void)data;
	setsid();
	if (setresgid(31, 32, 33) || setresuid(41, 42, 43))
		_exit(1);
}

static void act_login(void *data)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	*(atomic_int *)data = fd >= 0 && write(fd, "4242", 4) == 4 ? 1 : -1;
	close(fd);
	/* As pam does it: the login is written, then the session begins. */
	setsid();
}

static void act_cat(void *data)
{
	char *argv[] = { (char *)"cat", NULL };
	int fds[2];

	(void)data;
	/* Its input never ends. */
	if (pipe(fds) || dup2(fds[0], 0) < 0)
		_exit(1);
	execve("/bin/cat", argv, environ);
	_exit(1);
}

/* As act_cat, in calls of the kernel alone: it shares the thread-local state of who made it, a sanitizer's too. */
__attribute__((no_sanitize_thread)) static int cat_thread(void *data _unused_)
{
	char *argv[] = { (char *)"cat", NULL };
	int fds[2];

	if (syscall(SYS_pipe2, fds, 0) || syscall(SYS_dup3, fds[0], 0, 0) < 0)
		syscall(SYS_exit_group, 1);
	syscall(SYS_execve, "/bin/cat", argv, environ);
	syscall(SYS_exit_group, 1);
	return 0;
}

/* A bare thread: pthread_create allocates, and another of our threads may have held the lock of that at the fork. */
static void act_thread_cat(void *data)
{
	static _Alignas(16) char stack[1 << 16];
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	if (clone(cat_thread, stack + sizeof(stack), flags, data) < 0)
		_exit(1);
	for (;;)
		pause();
}

/* The exec's message comes a moment after its descriptors were closed. */
static struct process *await_exe(struct fixture *f, pid_t pid, const char *name)
{
	uint64_t deadline = clock_mono_ns() + SYNC_NS;

	for (;;) {
		_cleanup_process_ struct process *p = NULL;

		sync_now(f);
		p = proc_table_get(f->t, pid, false);
		if (p && p->known & PROCESS_EXE && strstr(p->exe, name) && p->exec_count)
			return TAKE_PTR(p);
		assert_true(clock_mono_ns() < deadline);
	}
}

static void test_ids(void **state)
{
	struct fixture *f = *state;
	_cleanup_process_ struct process *p = NULL;
	pid_t pid;

	NEED_CONNECTOR(f);
	pid = child_do(act_ids, NULL);
	sync_now(f);
	p = proc_table_get(f->t, pid, true);
	assert_int_equal(p->uid, 41);
	assert_int_equal(p->euid, 42);
	assert_int_equal(p->gid, 31);
	assert_int_equal(p->egid, 32);
	assert_int_equal(p->sid, pid);
	assert_true(p->known & PROCESS_NO_TTY);
	assert_int_equal(p->exec_count, 0);
	assert_string_equal(p->exe, f->self);
	child_end(pid);
}

static void test_login(void **state)
{
	struct fixture *f = *state;
	_cleanup_process_ struct process *p = NULL;
	atomic_int *done;
	pid_t pid;

	NEED_CONNECTOR(f);
	done = calloc(1, sizeof(*done));
	pid = child_do(act_login, done);
	free(done);
	sync_now(f);
	p = proc_table_get(f->t, pid, false);
	if (!(p->known & PROCESS_LOGINUID) || p->loginuid != 4242) {
		_cleanup_arena_ struct arena a = ARENA_INIT;
		struct process now = { 0 };

		assert_int_equal(proc_read("/proc", pid, &a, &now), 0);
		child_end(pid);
		if (now.known & PROCESS_LOGINUID && now.loginuid == 4242)
			fail_msg("the login uid was written but not seen");
		print_message("skipped: this kernel or session lets no login uid be written\n");
		skip();
	}
	assert_false(p->known & PROCESS_NO_LOGINUID);
	child_end(pid);
}

static void test_thread_exec(void **state)
{
	struct fixture *f = *state;
	_cleanup_process_ struct process *p = NULL;
	pid_t pid;

	NEED_CONNECTOR(f);
	pid = child_do(act_thread_cat, NULL);
	p = await_exe(f, pid, "/cat");
	assert_int_equal(p->pid, pid);
	assert_int_equal(p->ppid, getpid());
	assert_int_equal(p->exec_count, 1);
	child_end(pid);
}

static pid_t fork_with_pid(pid_t want)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want, .set_tid_size = 1 };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

static void test_pid_reuse(void **state)
{
	struct fixture *f = *state;
	_cleanup_process_ struct process *old = NULL, *new = NULL;
	pid_t pid, again;

	NEED_CONNECTOR(f);
	pid = child_do(act_cat, NULL);
	process_unref(await_exe(f, pid, "/cat"));
	child_end(pid);
	again = fork_with_pid(pid);
	if (again == 0) {
		for (;;)
			pause();
	}
	if (again < 0) {
		print_message("skipped: clone3 with set_tid: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(again, pid);
	sync_now(f);
	old = proc_table_get(f->t, pid, true);
	new = proc_table_get(f->t, pid, false);
	assert_non_null(strstr(old->exe, "/cat"));
	assert_string_equal(new->exe, f->self);
	assert_true(new->start_ns >= old->start_ns);
	child_end(again);
}

struct ending {
	atomic_int pid;
	atomic_bool told;
};

static void note_exit(int32_t tgid, void *data)
{
	struct ending *e = data;

	if (tgid == atomic_load(&e->pid))
		atomic_store(&e->told, true);
}

static void test_sync(void **state)
{
	struct fixture *f = *state;
	struct ending ending = { 0 };
	uint64_t deadline;

	NEED_CONNECTOR(f);
	connector_set_hooks(f->c, &(struct connector_hooks){ .exit = note_exit, .data = &ending });
	deadline = clock_mono_ns() + 6 * SYNC_NS;
	for (int i = 0; i < 300; i++) {
		_cleanup_process_ struct process *p = NULL;
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				pause();
		atomic_store(&ending.told, false);
		atomic_store(&ending.pid, pid);
		sync_now(f);
		/* As ended: /proc is not asked, only what was told counts. */
		p = proc_table_get(f->t, pid, true);
		assert_non_null(p);
		assert_int_equal(p->ppid, getpid());
		child_end(pid);
		/* The kernel wakes the parent before it tells of the end. */
		do {
			sync_now(f);
			assert_true(clock_mono_ns() < deadline);
		} while (!atomic_load(&ending.told));
	}
	connector_set_hooks(f->c, NULL);
}

/* The thread is kept from its work for some ms. */
struct held {
	int go[2], ms;
	atomic_int pid;
	_Atomic uint64_t until;
};

static void hold_exec(int32_t tgid, uint64_t mono_ns _unused_, const struct bpf_proc_event *told _unused_, void *data)
{
	struct held *h = data;
	char c;

	if (tgid == atomic_load(&h->pid))
		assert_int_equal(read(h->go[0], &c, 1), 1);
}

static void *let_go(void *data)
{
	struct held *h = data;

	poll(NULL, 0, h->ms);
	atomic_store(&h->until, clock_mono_ns());
	assert_int_equal(write(h->go[1], "", 1), 1);
	return NULL;
}

/* Whoever asks meanwhile waits for the truth: not for ever, but longer than a busy machine takes; longer still who
 * knows when its event was. */
static void ask_held(struct fixture *f, bool at)
{
	_cleanup_process_ struct process *self = NULL;
	uint64_t begin;
	int tries = 0;

	sync_now(f);
	self = proc_table_get(f->t, getpid(), false);
	assert_non_null(self);
	do {
		char *argv[] = { (char *)"true", NULL };
		_cleanup_process_ struct process *p = NULL;
		struct held h = { .pid = -1, .ms = at ? 300 : 20 };
		pid_t first, second;
		pthread_t thread;
		bool released;

		assert_true(tries++ < 50);
		assert_int_equal(pipe2(h.go, O_CLOEXEC), 0);
		connector_set_hooks(f->c, &(struct connector_hooks){ .exec = hold_exec, .data = &h });
		first = fork();
		if (first == 0) {
			raise(SIGSTOP);
			execve("/bin/true", argv, environ);
			_exit(1);
		}
		assert_int_equal(waitpid(first, NULL, WUNTRACED), first);
		atomic_store(&h.pid, first);
		kill(first, SIGCONT);
		assert_int_equal(waitpid(first, NULL, 0), first);
		assert_int_equal(posix_spawn(&second, "/bin/true", NULL, NULL, argv, environ), 0);
		assert_int_equal(waitpid(second, NULL, 0), second);
		begin = clock_mono_ns();
		assert_int_equal(pthread_create(&thread, NULL, let_go, &h), 0);
		p = at ? proc_table_at(f->t, getpid(), self->start_ns, clock_boot_ns())
		       : proc_table_get(f->t, second, true);
		released = atomic_load(&h.until) != 0;
		assert_int_equal(pthread_join(thread, NULL), 0);
		connector_set_hooks(f->c, NULL);
		close(h.go[0]);
		close(h.go[1]);
		if (atomic_load(&h.until) > begin + (uint64_t)h.ms * NSEC_PER_MSEC + 30 * NSEC_PER_MSEC)
			continue; /* held for longer than was meant */
		if (!released)
			continue; /* the thread was late before, on a busy machine: then others wait for less */
		assert_non_null(p);
		if (at)
			assert_true(p->known & PROCESS_EXE);
		else
			assert_string_equal(process_name(p), "true");
		return;
	} while (true);
}

static void test_held(void **state)
{
	NEED_CONNECTOR((struct fixture *)*state);
	ask_held(*state, false);
	ask_held(*state, true);
}

/* The start that a message gave is that of /proc. */
static void test_start(void **state)
{
	struct fixture *f = *state;
	int same = 0;

	NEED_CONNECTOR(f);
	for (int i = 0; i < 100; i++) {
		_cleanup_process_ struct process *told = NULL, *settled = NULL;
		_cleanup_arena_ struct arena a = ARENA_INIT;
		struct process now = { 0 };
		pid_t pid = child_do(act_nothing, NULL);

		sync_now(f);
		told = proc_table_get(f->t, pid, true);
		settled = proc_table_get(f->t, pid, false);
		assert_int_equal(proc_read("/proc", pid, &a, &now), 0);
		assert_int_equal(settled->start_ns, now.start_ns);
		same += told->start_ns == now.start_ns;
		child_end(pid);
	}
	print_message("start of the message equal to that of /proc: %d of 100\n", same);
	assert_true(same > 50);
}

/* What one exec costs the thread, on a real process. */
static void test_cost(void **state)
{
	struct fixture *f = *state;
	struct proc_table *t;
	uint64_t best = UINT64_MAX, sum = 0;
	pid_t pid;

	NEED_CONNECTOR(f);
	pid = child_do(act_cat, NULL);
	process_unref(await_exe(f, pid, "/cat"));
	assert_int_equal(proc_table_new("/proc", 1000, &t), 0);
	proc_table_set_fed(t, true);
	process_unref(proc_table_get(t, pid, false));
	for (int i = 0; i < 20; i++) {
		uint64_t began = clock_mono_ns(), each;

		for (int j = 0; j < 100; j++) {
			proc_table_exec(t, pid, clock_boot_ns());
			while (proc_table_read_rest(t))
				;
		}
		each = (clock_mono_ns() - began) / 100;
		best = MIN(best, each);
		sum += each;
	}
	print_message("an exec read from /proc: %lu ns at best, %lu ns on average\n", (unsigned long)best,
		      (unsigned long)(sum / 20));
	assert_true(best < NSEC_PER_MSEC);
	proc_table_free(t);
	child_end(pid);
}

/* --- loss */

static void test_overflow(void **state)
{
	struct fixture *f = *state;
	uint64_t deadline = clock_mono_ns() + 60 * NSEC_PER_SEC, before = clock_real_ns();
	struct connector_stats stats = { 0 };
	_cleanup_process_ struct process *p = NULL;
	pid_t stayed[20], died[20];
	size_t rounds = 0;

	NEED_CONNECTOR(f);
	assert_int_equal(connector_set_buffer(f->c, 1), 0);
	while (!atomic_load(&f->lost_calls) && clock_mono_ns() < deadline) {
		pid_t runners[4];

		for (size_t i = 0; i < ARRAY_SIZE(runners); i++) {
			runners[i] = fork();
			if (runners[i])
				continue;
			for (int j = 0; j < 50; j++) {
				pid_t pid = vfork();

				if (pid == 0)
					_exit(0);
				waitpid(pid, NULL, 0);
			}
			_exit(0);
		}
		for (size_t i = 0; i < ARRAY_SIZE(runners); i++)
			waitpid(runners[i], NULL, 0);
		rounds++;
	}
	assert_true(atomic_load(&f->lost_calls) > 0);
	/* In the midst of it: some that stay, some that end. */
	for (size_t i = 0; i < ARRAY_SIZE(stayed); i++) {
		stayed[i] = child_do(act_cat, NULL);
		died[i] = child_do(act_nothing, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(died); i++)
		child_end(died[i]);
	assert_int_equal(connector_set_buffer(f->c, CONNECTOR_BUFFER), 0);
	do {
		struct pollfd none = { .fd = -1 };

		poll(&none, 1, 20);
		sync_now(f);
		connector_get_stats(f->c, &stats);
	} while (stats.scans < 1 && clock_mono_ns() < deadline);
	print_message("%zu rounds: %lu overflows, %lu messages lost, %lu scans\n", rounds,
		      (unsigned long)stats.overflows, (unsigned long)stats.lost, (unsigned long)stats.scans);
	assert_true(stats.overflows > 0);
	assert_true(stats.lost > 0);
	assert_true(stats.lost >= atomic_load(&f->lost_messages));
	/* Since when is known to the second. */
	assert_in_range(atomic_load(&f->lost_since), before - 10 * NSEC_PER_SEC, clock_real_ns());
	/* The last loss is healed within the second that lies between scans. */
	for (size_t i = 0; i < ARRAY_SIZE(stayed); i++) {
		for (;;) {
			_cleanup_process_ struct process *q = NULL;

			sync_now(f);
			q = proc_table_get(f->t, stayed[i], false);
			if (q && q->known & PROCESS_EXE && strstr(q->exe, "/cat"))
				break;
			assert_true(clock_mono_ns() < deadline);
			poll(NULL, 0, 20);
		}
		child_end(stayed[i]);
	}
	sync_now(f);
	for (size_t i = 0; i < ARRAY_SIZE(died); i++) {
		assert_int_equal(kill(died[i], 0), -1);
		p = proc_table_get(f->t, stayed[i], true);
		assert_non_null(p);
		process_unrefp(&p);
		p = NULL;
	}
}

int main(void)
{
	static enum connector_source netlink = CONNECTOR_NETLINK, bpf = CONNECTOR_BPF;
	const struct CMUnitTest tests[] = {
		TEST(test_elsewhere, &netlink),	  TEST(test_ids, &netlink),	  TEST(test_login, &netlink),
		TEST(test_thread_exec, &netlink), TEST(test_pid_reuse, &netlink), TEST(test_sync, &netlink),
		TEST(test_start, &netlink),	  TEST(test_cost, &netlink),	  TEST(test_overflow, &netlink),
	};
	const struct CMUnitTest with_bpf[] = {
		TEST(test_ids, &bpf),  TEST(test_login, &bpf), TEST(test_thread_exec, &bpf), TEST(test_pid_reuse, &bpf),
		TEST(test_sync, &bpf), TEST(test_start, &bpf), TEST(test_held, &bpf),
	};
	int failed = cmocka_run_group_tests_name("netlink", tests, NULL, NULL);

	return failed + cmocka_run_group_tests_name("BPF", with_bpf, NULL, NULL);
}
