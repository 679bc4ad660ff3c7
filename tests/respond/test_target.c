/* Processes by pidfd and start time, the never-touch list, and whole trees, on real processes. */
#include "tests/respond/proc.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "respond/never.h"
#include "respond/tree.h"

/* --- identity */

static void test_identity(void **state _unused_)
{
	_cleanup_target_ struct target t = TARGET_INIT, other = TARGET_INIT;
	pid_t pid = sleeper();

	assert_int_equal(target_open(procfs(), pid, 0, &t), 0);
	assert_true(t.start_ns > 0);
	/* The same pid with another start is another process. */
	assert_int_equal(target_open(procfs(), pid, t.start_ns + 10000000, &other), -ESRCH);
	assert_int_equal(other.pidfd, -1);
	assert_int_equal(target_open(procfs(), pid, t.start_ns, &other), 0);
	assert_int_equal(target_open(procfs(), 0, 0, &other), -EINVAL);
	assert_int_equal(target_open(procfs(), -1, 0, &other), -EINVAL);
	assert_int_equal(target_wait(&t, 0), -ETIMEDOUT);
	assert_int_equal(target_signal(&t, SIGKILL), 0);
	assert_int_equal(target_wait(&t, 30 * NSEC_PER_SEC), 0);
	/* Ended, not waited for yet: nobody to act upon. */
	_cleanup_target_ struct target late = TARGET_INIT;
	assert_int_equal(target_open(procfs(), pid, t.start_ns, &late), -ESRCH);
	waitpid(pid, NULL, 0);
	assert_int_equal(target_signal(&t, SIGKILL), -ESRCH);
}

/* A process that starts the moment another of its pid ends gets nothing of what was meant for that one. */
static void test_reuse(void **state _unused_)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	pid_t first = sleeper(), second;
	struct target held;
	FILE *f;

	assert_int_equal(target_open(procfs(), first, 0, &t), 0);
	held = t;
	reap(first);
	f = fopen("/proc/sys/kernel/ns_last_pid", "w");
	if (f) {
		fprintf(f, "%d", first - 1);
		fclose(f);
	}
	second = sleeper();
	if (second != first) {
		reap(second);
		print_message("skipped: the pid was not given again (no CAP_CHECKPOINT_RESTORE, or others fork)\n");
		skip();
	}
	assert_int_equal(target_signal(&held, SIGKILL), -ESRCH);
	assert_int_equal(kill(second, 0), 0);
	assert_true(state_of(second) != 'Z');
	reap(second);
}

static void test_read(void **state _unused_)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;
	bool cut = false;

	assert_int_equal(target_open(procfs(), getpid(), 0, &t), 0);
	assert_int_equal(target_read(&t, "status", 10, &b, &cut), 0);
	assert_int_equal(b.len, 10);
	assert_true(cut);
	assert_int_equal(target_read(&t, "nothing", 10, &b, &cut), -ESRCH);
}

/* --- never */

static const char *const patterns[] = { "/nowhere/*", "/usr/sbin/never-*" };
#define NEVER                                                                                                          \
	{                                                                                                              \
		procfs(), patterns, ARRAY_SIZE(patterns)                                                               \
	}

static bool never(const struct never *n, pid_t pid)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	_cleanup_buf_ struct buf why = BUF_INIT;
	bool is;

	assert_int_equal(target_open(procfs(), pid, 0, &t), 0);
	is = never_touch(n, &t, &why);
	assert_int_equal(is, why.len > 0);
	return is;
}

static void test_never(void **state _unused_)
{
	const struct never n = NEVER;
	char exe[] = "/tmp/holdfast-never-XXXXXX", path[64], *argv[] = { path, (char *)"60", NULL };
	const char *own[] = { path };
	const struct never named = { procfs(), own, 1 };
	pid_t pid = sleeper();

	assert_true(never(&n, 1));
	assert_true(never(&n, getpid()));
	assert_true(never(&n, getppid()));
	assert_true(never(&n, pid)); /* our own child */
	reap(pid);
	if (access("/proc/2/exe", F_OK) < 0 && access("/proc/2/stat", F_OK) == 0)
		assert_true(never(&n, 2));

	assert_non_null(mkdtemp(exe));
	snprintf(path, sizeof(path), "%s/sleep", exe);
	assert_int_equal(system("exec 2>/dev/null; true"), 0);
	{
		char command[256];

		snprintf(command, sizeof(command), "cp /bin/sleep %s", path);
		assert_int_equal(system(command), 0);
	}
	pid = orphan(NULL, NULL, argv);
	until(never(&named, pid));
	assert_false(never(&n, pid));
	/* Replaced by an upgrade while it runs: still the host's. */
	assert_int_equal(unlink(path), 0);
	assert_true(never(&named, pid));
	put(path, "another", 0755);
	assert_true(never(&named, pid));
	kill(pid, SIGKILL);
	assert_true(never_touch_file(&named, path));
	assert_true(never_touch_file(&n, "/proc/self/exe"));
	assert_false(never_touch_file(&n, path));
	remove_tree(exe);
}

/* The name alone does not protect: in another mount namespace another file stands there. */
static void test_never_by_file(void **state _unused_)
{
	char dir[] = "/tmp/holdfast-never-XXXXXX", path[64], command[512], text[32] = "";
	const char *own[] = { path };
	const struct never named = { procfs(), own, 1 };
	FILE *f;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sshd", dir);
	put(path, "#!/bin/sh\n", 0755);
	snprintf(command, sizeof(command),
		 "unshare -m sh -c 'mount --make-rprivate / && mount -t tmpfs t %s && cp /bin/sleep %s && "
		 "exec setsid %s 60' </dev/null >/dev/null 2>&1 & echo $! >%s.pid",
		 dir, path, path, dir);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "%s.pid", dir);
	f = fopen(command, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	unlink(command);
	pid = atoi(text);
	snprintf(command, sizeof(command), "/proc/%d/exe", pid);
	for (unsigned i = 0; i < 500; i++) {
		char link[256];
		ssize_t n = readlink(command, link, sizeof(link) - 1);

		link[n > 0 ? n : 0] = '\0';
		if (streq(link, path))
			break;
		nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
		if (n <= 0 || i == 499) {
			remove_tree(dir);
			print_message("skipped: no mount namespace of our own\n");
			skip();
		}
	}
	assert_false(never(&named, pid));
	kill(pid, SIGKILL);
	remove_tree(dir);
}

/* --- trees */

struct board {
	_Atomic unsigned n;
	pid_t pid[4096];
};

static struct board *board_new(void)
{
	struct board *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(b != MAP_FAILED);
	return b;
}

static void note(struct board *b)
{
	unsigned i = atomic_fetch_add(&b->n, 1);

	if (i < ARRAY_SIZE(b->pid))
		b->pid[i] = getpid();
}

static unsigned alive(const struct board *b)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MIN(atomic_load(&b->n), ARRAY_SIZE(b->pid)); i++) {
		char state = b->pid[i] ? state_of(b->pid[i]) : 0;

		n += state && state != 'Z' && state != 'X';
	}
	return n;
}

static void grow(struct board *b, unsigned depth, unsigned width)
{
	unsigned left = width;

	note(b);
	while (depth && left--) {
		if (fork() != 0)
			continue;
		note(b);
		depth--;
		left = width;
	}
	for (;;)
		pause();
}

#define FLEE_MAX 700 /* more than there are descriptors for */
#if SANITIZED
#define FLEE_ROUNDS 2
#else
#define FLEE_ROUNDS 4
#endif

/* Each forks again and again while it is looked for. */
static void flee(struct board *b)
{
	uint64_t end = clock_mono_ns() + 20 * NSEC_PER_SEC;

	note(b);
	while (clock_mono_ns() < end) {
		if (atomic_load(&b->n) < FLEE_MAX && fork() == 0)
			note(b);
		nanosleep(&(struct timespec){ 0, 4000000 }, NULL);
	}
	_exit(0);
}

static void test_tree(void **state _unused_)
{
	const struct never n = NEVER;
	_cleanup_target_ struct target t = TARGET_INIT;
	struct board *b = board_new();
	struct tree_result result;
	pid_t pid = fork();

	if (pid == 0)
		grow(b, 3, 3);
	until(alive(b) == 40);
	assert_int_equal(target_open(procfs(), pid, 0, &t), 0);
	assert_int_equal(tree_kill(&n, &t, 30 * NSEC_PER_SEC, &result), 0);
	assert_int_equal(result.killed, 40);
	assert_int_equal(result.spared, 0);
	assert_false(result.cut);
	assert_int_equal(alive(b), 0);
	waitpid(pid, NULL, 0);
	munmap(b, sizeof(*b));
}

/* Forks all the while it is killed. */
static void test_tree_forks(void **state _unused_)
{
	const struct never n = NEVER;
	struct board *b = board_new();

	for (unsigned round = 0; round < FLEE_ROUNDS; round++) {
		_cleanup_target_ struct target t = TARGET_INIT;
		struct tree_result result;
		pid_t pid;

		memset(b, 0, sizeof(*b));
		pid = fork();
		if (pid == 0)
			flee(b);
		/* While it grows, and when there are too many to be held open. */
		until(atomic_load(&b->n) >= (round % 2 ? FLEE_MAX : 8));
		assert_int_equal(target_open(procfs(), pid, 0, &t), 0);
		assert_int_equal(tree_kill(&n, &t, 30 * NSEC_PER_SEC, &result), 0);
		/* One that noted itself and was stopped before its parent could wait is among them too. Killed is not
		 * gone: on a busy machine that takes a while. */
		until(alive(b) == 0);
		waitpid(pid, NULL, 0);
	}
	munmap(b, sizeof(*b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),   cmocka_unit_test(test_reuse),	 cmocka_unit_test(test_read),
		cmocka_unit_test(test_never),	   cmocka_unit_test(test_never_by_file), cmocka_unit_test(test_tree),
		cmocka_unit_test(test_tree_forks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
