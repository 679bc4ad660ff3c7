/* The gate on a real file system of its own: verdicts, their reasons, and that nothing waits longer than it must. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "tests/exec/rig.h"
#include "tests/test.h"

static struct rig rig;
static const char *unable;
static const char *const good[] = { "good", "interpreter", "script", NULL };

static void start(const struct rig_options *o)
{
	struct rig_options with = *o;

	if (unable) {
		print_message("skipped: %s\n", unable);
		skip();
	}
	with.good = with.good ?: good;
	assert_int_equal(rig_start(&rig, &with), 0);
}

static int prepare(void **state _unused_)
{
	unable = rig_setup(&rig, "ext4");
	if (unable)
		return 0;
	rig_program(&rig, "good", 3, 1);
	rig_program(&rig, "bad", 4, 2);
	rig_program(&rig, "interpreter", 5, 3);
	char text[200];
	snprintf(text, sizeof(text), "#!%s\n", rig_path(&rig, "interpreter"));
	rig_file(&rig, "script", text, 0755);
	snprintf(text, sizeof(text), "#!%s\n# another\n", rig_path(&rig, "interpreter"));
	rig_file(&rig, "bad-script", text, 0755);
	usleep(30000); /* older than a clock tick: the cache takes them */
	return 0;
}

static int clean(void **state _unused_)
{
	static const char *const names[] = { "good",	   "bad",    "interpreter", "script",
					     "bad-script", "sh",     "argument",    "trusted-argument",
					     "first",	   "second", "third",	    "chain" };

	for (size_t i = 0; !unable && i < ARRAY_SIZE(names); i++)
		unlink(rig_path(&rig, names[i]));
	rig_teardown(&rig);
	return 0;
}

static int after(void **state _unused_)
{
	rig_kill(&rig);
	return 0;
}

static void test_allow_and_deny(void **state _unused_)
{
	const struct rig_seen *s;

	start(&(struct rig_options){ .enforce = true });
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_run(&rig, "good", NULL), 3);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(rig_run(&rig, "bad", NULL), -EPERM);
	s = rig_wait(&rig, "/good", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_ALLOWED);
	assert_string_equal(s->why, "baseline test");
	assert_true(s->leased && s->seen && s->has_digest);
	s = rig_wait(&rig, "/bad", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_DENIED);
	assert_int_equal(s->reason, GATE_NOT_TRUSTED);
	rig_stop(&rig);
	assert_int_equal(rig.shared->stats.denied, 1000);
	assert_true(rig.shared->stats.cached > 900);
	assert_int_equal(rig.shared->stats.lost, 0);
}

/*
 * A program that starts another at once, by itself: each is a start of its own, whether or not the kernel's word of the
 * first came before the file of the next.
 */
static void test_chain(void **state _unused_)
{
	static const char *const shells[] = { "good", "first", "second", "third", "chain", NULL };
	char text[1000];

	if (!unable) {
		rig_copy(&rig, "first", "/bin/sh");
		rig_copy(&rig, "second", "/bin/sh");
		rig_copy(&rig, "third", "/bin/sh");
		snprintf(text, sizeof(text), "#!%s\n", rig_path(&rig, "first"));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "exec %s -c 'exec ",
			 rig_path(&rig, "second"));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s -c \"exit 9\"'\n",
			 rig_path(&rig, "third"));
		rig_file(&rig, "chain", text, 0755);
	}
	for (int enforce = 0; enforce < 2; enforce++) {
		start(&(struct rig_options){ .enforce = enforce, .good = shells });
		for (int i = 0; i < 20; i++)
			assert_int_equal(rig_run(&rig, "chain", NULL), 9);
		rig_stop(&rig);
		assert_int_equal(rig_count(&rig, "/chain", GATE_MAIN), 20);
		assert_int_equal(rig_count(&rig, "/first", GATE_INTERPRETER), 20);
		assert_int_equal(rig_count(&rig, "/second", GATE_MAIN), 20);
		assert_int_equal(rig_count(&rig, "/third", GATE_MAIN), 20);
	}
}

/* Of containers there are none here: what runs from a file system of layers is nobody's business. */
static void test_layers(void **state _unused_)
{
	start(&(struct rig_options){
		.enforce = true, .fail_closed = true, .layers = true, .scripts = GATE_SCRIPTS_ENFORCE });
	for (int i = 0; i < 20; i++) {
		assert_int_equal(rig_run(&rig, "bad", NULL), 4);
		assert_int_equal(rig_run(&rig, "good", NULL), 3);
		assert_int_equal(rig_run(&rig, "bad-script", NULL), 5);
		assert_int_equal(rig_run(&rig, "interpreter", rig_path(&rig, "bad-script")), 5);
	}
	rig_stop(&rig);
	assert_true(rig.shared->stats.events >= 100);
	assert_int_equal(rig.shared->stats.denied + rig.shared->stats.killed, 0);
	assert_int_equal(rig.shared->stats.hashed + rig.shared->stats.in_flight, 0);
	for (unsigned i = 0; i < rig.shared->n; i++)
		assert_null(strstr(rig.shared->seen[i].path, "bad"));
}

static void test_observe(void **state _unused_)
{
	uint64_t until = clock_mono_ns() + 30 * NSEC_PER_SEC;
	const struct rig_seen *s;

	start(&(struct rig_options){ .enforce = false });
	/* On a very busy machine the exec may come later than a lease is held. */
	do {
		assert_int_equal(rig_run(&rig, "bad", NULL), 4);
		s = rig_wait(&rig, "/bad", GATE_MAIN, 3000);
		assert_non_null(s);
		assert_int_equal(s->verdict, EXEC_UNEXPECTED);
	} while (!s->seen && clock_mono_ns() < until);
	assert_true(s->seen);
	assert_true(s->leased);
	assert_true(s->has_digest);
	assert_true(s->type == EXEC_TYPE_STATIC || s->type == EXEC_TYPE_DYNAMIC);
}

/* What was started while it could not look, and before it was told to end: where nobody waits, nothing of it is lost. */
static void test_end(void **state _unused_)
{
	start(&(struct rig_options){ .enforce = false, .at_once = true });
	kill(rig.gate, SIGSTOP);
	for (int i = 0; i < 300; i++)
		assert_int_equal(rig_run(&rig, i % 3 ? "good" : "bad", NULL), i % 3 ? 3 : 4);
	kill(rig.gate, SIGCONT);
	rig_stop(&rig);
	assert_int_equal(rig_count(&rig, "/bad", GATE_MAIN), 100);
	assert_int_equal(rig_count(&rig, "/good", GATE_MAIN), 200);
}

/* Starts a program that waits for input that never comes: the signal by which it ends, 0: it did not. */
static int hold_until_killed(const char *name)
{
	uint64_t until = clock_mono_ns() + 30 * NSEC_PER_SEC;
	int ends[2], status = 0;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		dup2(ends[0], STDIN_FILENO);
		execl(rig_path(&rig, name), name, "hold", NULL);
		_exit(99);
	}
	while (waitpid(pid, &status, WNOHANG) == 0 && clock_mono_ns() < until)
		usleep(1000);
	close(ends[0]);
	close(ends[1]); /* ends it, should nobody else have */
	if (clock_mono_ns() >= until)
		waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* On the list of denied programs: refused though a baseline has it, and killed where nothing is held up. */
static void test_listed(void **state _unused_)
{
	static const char *const listed[] = { "good", NULL };
	const struct rig_seen *s;

	start(&(struct rig_options){ .enforce = true, .listed = listed });
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_run(&rig, "good", NULL), -EPERM);
	assert_int_equal(rig_run(&rig, "script", NULL), 5);
	s = rig_wait(&rig, "/good", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_DENIED);
	assert_int_equal(s->reason, GATE_LISTED);
	rig_stop(&rig);

	start(&(struct rig_options){ .enforce = false, .listed = listed });
	for (int i = 0; i < 3; i++)
		assert_int_equal(hold_until_killed("good"), SIGKILL);
	s = rig_wait(&rig, "/good", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_KILLED);
	assert_int_equal(s->reason, GATE_LISTED);
	assert_int_equal(rig_run(&rig, "bad", NULL), 4);
	rig_stop(&rig);
}

static void test_scripts(void **state _unused_)
{
	const struct rig_seen *s;

	start(&(struct rig_options){ .enforce = true });
	assert_int_equal(rig_run(&rig, "script", NULL), 5);
	assert_int_equal(rig_run(&rig, "bad-script", NULL), -EPERM);
	s = rig_wait(&rig, "/script", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->type, EXEC_TYPE_SCRIPT);
	s = rig_wait(&rig, "/interpreter", GATE_INTERPRETER, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_ALLOWED);
}

/* The content counts, not the name: a copy, a hard link, a descriptor, a file that has no name any more. */
static void test_ways(void **state _unused_)
{
	char *argv[] = { (char *)"x", NULL }, *envp[] = { NULL };
	int status;

	start(&(struct rig_options){ .enforce = true });
	for (int way = 0; way < 4; way++) {
		for (int bad = 0; bad < 2; bad++) {
			pid_t pid;

			rig_program(&rig, "temporary", bad ? 4 : 3, bad ? 2 : 1);
			pid = fork();
			if (pid == 0) {
				int fd = open(rig_path(&rig, "temporary"), (way & 1 ? O_PATH : O_RDONLY) | O_CLOEXEC);

				if (way & 2)
					unlink(rig_path(&rig, "temporary"));
				syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
				_exit(errno == EPERM ? 100 : 101);
			}
			assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
			assert_int_equal(WEXITSTATUS(status), bad ? 100 : 3);
			unlink(rig_path(&rig, "temporary"));
		}
	}
}

static void test_writer(void **state _unused_)
{
	int fd;

	start(&(struct rig_options){ .enforce = true });
	fd = open(rig_path(&rig, "good"), O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	int r = rig_run(&rig, "good", NULL);
	close(fd);
	assert_true(r == -ETXTBSY || r == -EPERM);
	assert_int_equal(rig_run(&rig, "good", NULL), 3);
	const struct rig_seen *s = rig_wait(&rig, "/good", GATE_MAIN, 3000);
	assert_non_null(s);
	rig_stop(&rig);
	assert_true(rig.shared->stats.writers >= 1);
}

/* A writer waits no longer than until the exec was seen, and a write changes the verdict. */
static void test_written_between(void **state _unused_)
{
	start(&(struct rig_options){ .enforce = true });
	rig_program(&rig, "temporary", 3, 1);
	usleep(30000);
	assert_int_equal(rig_run(&rig, "temporary", NULL), 3);
	assert_int_equal(rig_run(&rig, "temporary", NULL), 3);
	uint64_t before = clock_mono_ns();
	rig_program(&rig, "temporary", 4, 2);
	assert_true(clock_mono_ns() - before < 900 * NSEC_PER_MSEC);
	assert_int_equal(rig_run(&rig, "temporary", NULL), -EPERM);
	rig_program(&rig, "temporary", 3, 1);
	assert_int_equal(rig_run(&rig, "temporary", NULL), 3);
	unlink(rig_path(&rig, "temporary"));
}

/* Somebody with a write lease on the program: the kernel refuses by itself, and nobody waits for 45 seconds. */
static void test_foreign_lease(void **state _unused_)
{
	uint64_t before;
	int fd;

	start(&(struct rig_options){ .enforce = true });
	signal(SIGIO, SIG_IGN);
	fd = open(rig_path(&rig, "good"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	before = clock_mono_ns();
	int r = rig_run(&rig, "good", NULL);
	int other = rig_run(&rig, "interpreter", NULL);
	assert_true(clock_mono_ns() - before < 30 * NSEC_PER_SEC);
	close(fd);
	assert_true(r < 0);
	assert_int_equal(other, 5);
	rig_stop(&rig);
	assert_true(rig.shared->stats.kernel + rig.shared->stats.writers >= 1);
}

static void test_trusted_path(void **state _unused_)
{
	const char *const paths[] = { "bad", NULL };

	start(&(struct rig_options){ .enforce = true, .good_path = paths });
	assert_int_equal(rig_run(&rig, "bad", NULL), 4);
	rename(rig_path(&rig, "bad"), rig_path(&rig, "bad2"));
	int r = rig_run(&rig, "bad2", NULL);
	rename(rig_path(&rig, "bad2"), rig_path(&rig, "bad"));
	assert_int_equal(r, -EPERM);
}

static void test_too_large(void **state _unused_)
{
	start(&(struct rig_options){ .enforce = true, .max_size = 100, .fail_closed = true });
	assert_int_equal(rig_run(&rig, "good", NULL), -EPERM);
	rig_stop(&rig);
	start(&(struct rig_options){ .enforce = true, .max_size = 100 });
	assert_int_equal(rig_run(&rig, "bad", NULL), 4);
	const struct rig_seen *s = rig_wait(&rig, "/bad", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_UNJUDGED);
	assert_int_equal(s->reason, GATE_TOO_LARGE);
}

/* A sparse file of 40 GB would take minutes to read. */
static void test_deadline(void **state _unused_)
{
	uint64_t before;

	for (int closed = 0; closed < 2; closed++) {
		start(&(struct rig_options){ .enforce = true,
					     .fail_closed = closed,
					     .deadline = 100 * NSEC_PER_MSEC,
					     .max_size = 1ULL << 40 });
		rig_program(&rig, "huge", 6, 9);
		assert_int_equal(truncate(rig_path(&rig, "huge"), 4LL << 30), 0);
		before = clock_mono_ns();
		int r = rig_run(&rig, "huge", NULL);
		uint64_t took = clock_mono_ns() - before;
		assert_int_equal(r, closed ? -EPERM : 6);
		assert_true(took >= 90 * NSEC_PER_MSEC && took < 20 * NSEC_PER_SEC);
		assert_int_equal(rig_run(&rig, "good", NULL), 3);
		rig_kill(&rig);
		unlink(rig_path(&rig, "huge"));
	}
}

static void stop_gate(void)
{
	int status;

	kill(rig.gate, SIGSTOP);
	assert_int_equal(waitpid(rig.gate, &status, WUNTRACED), rig.gate);
	assert_true(WIFSTOPPED(status));
}

static void expect_released(bool stopped)
{
	uint64_t before = clock_mono_ns();
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execl(rig_path(&rig, "good"), "good", NULL);
		_exit(99);
	}
	if (!stopped) {
		usleep(100000);
		assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
		kill(rig.gate, SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_true(clock_mono_ns() - before < 30 * NSEC_PER_SEC);
}

static void test_watchdog(void **state _unused_)
{
	start(&(struct rig_options){ .enforce = true, .watch = true, .stall = 1 * NSEC_PER_SEC });
	assert_int_equal(rig_run(&rig, "good", NULL), 3);
	stop_gate();
	expect_released(true);
	int status;
	assert_int_equal(waitpid(rig.gate, &status, 0), rig.gate);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	rig.gate = 0;
	assert_int_equal(rig_run(&rig, "bad", NULL), 4);
}

static void test_killed(void **state _unused_)
{
	start(&(struct rig_options){ .enforce = true });
	stop_gate();
	expect_released(false);
}

static void test_few_descriptors(void **state _unused_)
{
	pid_t pids[100];
	int failed = 0, status;

	start(&(struct rig_options){ .enforce = true, .files = 64, .no_connector = true });
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			execl(rig_path(&rig, "good"), "good", NULL);
			_exit(99);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		waitpid(pids[i], &status, 0);
		failed += WEXITSTATUS(status) != 3;
	}
	assert_int_equal(failed, 0);
	rig_stop(&rig);
	assert_int_equal(rig.shared->stats.kernel, 0);
}

/* Many at once, and nobody takes the results: no start waits for that, and what was lost is counted. */
static void test_flood(void **state _unused_)
{
	enum { STARTERS = 8, EACH = 250 };
	pid_t pids[STARTERS];
	uint64_t before = clock_mono_ns();
	int status, failed = 0;

	start(&(struct rig_options){ .enforce = true, .slots = 64 });
	atomic_store(&rig.shared->slow, true);
	for (int i = 0; i < STARTERS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			for (int k = 0; k < EACH; k++)
				if (rig_run(&rig, "good", NULL) != 3)
					_exit(1);
			_exit(0);
		}
	}
	for (int i = 0; i < STARTERS; i++) {
		waitpid(pids[i], &status, 0);
		failed += status != 0;
	}
	assert_int_equal(failed, 0);
	assert_true(clock_mono_ns() - before < 60 * NSEC_PER_SEC);
	atomic_store(&rig.shared->slow, false);
	rig_stop(&rig);
	assert_true(rig.shared->stats.events >= STARTERS * EACH);
	assert_true(rig.shared->stats.lost > 0);
}

static int run_memfd(const char *from)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char *argv[] = { (char *)"x", (char *)"hold", NULL }, *envp[] = { NULL };
		int in = open(from, O_RDONLY | O_CLOEXEC), fd = memfd_create("x", MFD_CLOEXEC), hold[2];
		static char b[1 << 22];
		ssize_t n = read(in, b, sizeof(b));

		if (n <= 0 || write(fd, b, (size_t)n) != n || pipe(hold) < 0)
			_exit(98);
		dup2(hold[0], STDIN_FILENO); /* the writing end stays open in itself: it waits for ever */
		alarm(5);
		syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
}

/* No permission event comes for it: found by the connector, judged by its digest, killed late. */
static void test_memory_file(void **state _unused_)
{
	start(&(struct rig_options){ .enforce = true });
	assert_int_equal(run_memfd(rig_path(&rig, "bad")), SIGKILL);
	const struct rig_seen *s = rig_wait(&rig, "memfd:x (deleted)", GATE_MAIN, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_KILLED);
	assert_int_equal(s->reason, GATE_UNGATED);
	/* A trusted program's copy in memory (as runc makes one of itself) is none of our business. */
	assert_int_equal(run_memfd(rig_path(&rig, "good")), SIGALRM);
}

/* What reads standard input waits. */
static void hold_stdin(void)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	dup2(ends[0], STDIN_FILENO);
	close(ends[0]);
}

/* Nothing that comes from the kernel is waited for where the mark is gone, whatever the device number says. */
static void test_unmarked(void **state _unused_)
{
	const struct rig_seen *s;

	start(&(struct rig_options){ .unmarked = true });
	pid_t pid = fork();
	if (pid == 0) {
		hold_stdin();
		execl(rig_path(&rig, "bad"), "bad", "hold", NULL);
		_exit(99);
	}
	s = rig_wait(&rig, "/bad", GATE_MAIN, 30000);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (!rig.shared->bpf)
		skip();
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_UNEXPECTED);
	assert_int_equal(s->reason, GATE_UNGATED);
}

/* By a process that has started nothing itself; two files whose inodes are neighbours. */
static void test_mapped(void **state _unused_)
{
	static const char *const names[] = { "first.so", "second.so" };
	const struct rig_seen *s;
	pid_t pid;

	for (unsigned i = 0; i < 2; i++)
		rig_program(&rig, names[i], 4, 100 + i);
	start(&(struct rig_options){ .mapped = true });
	if (!rig.shared->mapped) {
		print_message("skipped: no perf events\n");
		skip();
	}
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < 2; i++) {
			int fd = open(rig_path(&rig, names[i]), O_RDONLY | O_CLOEXEC);

			if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED)
				_exit(99);
			close(fd);
		}
		alarm(100);
		pause();
		_exit(0);
	}
	for (unsigned i = 0; i < 2; i++) {
		s = rig_wait(&rig, names[i], GATE_LIBRARY, 30000);
		assert_non_null(s);
		assert_int_equal(s->verdict, EXEC_UNEXPECTED);
		assert_int_equal(s->pid, pid);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int run_shell(const char *script)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		alarm(5);
		execl(rig_path(&rig, "sh"), "sh", "-e", script, NULL);
		_exit(99);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_script_argument(void **state _unused_)
{
	static const char *const trusted[] = { "sh", "trusted-argument", NULL };
	const struct rig_seen *s;

	rig_copy(&rig, "sh", "/bin/sh");
	rig_file(&rig, "argument", "for i in 1 2 3; do read line || :; done; exit 9\n", 0644);
	rig_file(&rig, "trusted-argument", "read line || :; exit 8\n", 0644);
	hold_stdin();
	start(&(struct rig_options){ .scripts = GATE_SCRIPTS_REPORT, .good = trusted });
	assert_int_equal(run_shell(rig_path(&rig, "argument")), SIGALRM);
	s = rig_wait(&rig, "/argument", GATE_SCRIPT, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_UNEXPECTED);
	assert_int_equal(s->reason, GATE_ARGUMENT);
	rig_stop(&rig);
	start(&(struct rig_options){ .enforce = true, .scripts = GATE_SCRIPTS_ENFORCE, .good = trusted });
	assert_int_equal(run_shell(rig_path(&rig, "argument")), SIGKILL);
	assert_int_equal(run_shell(rig_path(&rig, "trusted-argument")), SIGALRM);
	s = rig_wait(&rig, "/trusted-argument", GATE_SCRIPT, 3000);
	assert_non_null(s);
	assert_int_equal(s->verdict, EXEC_ALLOWED);
}

/* Headers that no linker makes, names of any bytes, two megabytes of arguments: judged like everything else. */
static void test_absurd_programs(void **state _unused_)
{
	static const char *const names[] = { "\xff\xfe", "a\nb", "\x1b[31m", "%s%n", " " };
	static const unsigned char heads[][64] = {
		{ 0x7f, 'E',  'L',  'F',  2,	1,    1,    0,	       [16] = 2,    [18] = 62, [32] = 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [54] = 56, [56] = 0xff, 0xff },
		{ 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, [16] = 3, [32] = 64, [54] = 0xff, 0xff, [56] = 0xff, 0xff },
		{ 0x7f, 'E', 'L', 'F', 9, 9, 9, 9 },
		{ '#', '!', 0 },
	};
	char path[64];
	int fd, r;

	start(&(struct rig_options){ .enforce = true });
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		fd = open(rig_path(&rig, "absurd"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
		assert_int_equal(write(fd, heads[i], sizeof(heads[i])), sizeof(heads[i]));
		close(fd);
		assert_int_equal(rig_run(&rig, "absurd", NULL), -EPERM);
	}
	unlink(rig_path(&rig, "absurd"));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s", names[i]);
		rig_program(&rig, path, 4, 2);
		assert_int_equal(rig_run(&rig, path, NULL), -EPERM);
		rig_program(&rig, path, 3, 1);
		assert_int_equal(rig_run(&rig, path, NULL), 3);
		unlink(rig_path(&rig, path));
	}
	/* One argument holds 128 KiB at most (MAX_ARG_STRLEN). */
	pid_t pid = fork();
	if (pid == 0) {
		static char argument[131000], *argv[18];

		memset(argument, 'x', sizeof(argument) - 1);
		for (int i = 0; i < 15; i++)
			argv[i] = argument;
		execv(rig_path(&rig, "good"), argv);
		_exit(99);
	}
	assert_true(waitpid(pid, &r, 0) == pid && WIFEXITED(r));
	assert_int_equal(WEXITSTATUS(r), 3);
}

/* A debugger that holds every thread of the gate is a stall as any other. */
static void test_traced(void **state _unused_)
{
	uint64_t before;

	start(&(struct rig_options){ .enforce = true, .watch = true, .stall = NSEC_PER_SEC });
	assert_int_equal(rig_run(&rig, "good", NULL), 3);
	if (ptrace(PTRACE_SEIZE, rig.gate, NULL, NULL) < 0)
		skip();
	kill(rig.gate, SIGSTOP);
	before = clock_mono_ns();
	int r = rig_run(&rig, "bad", NULL);
	assert_true(clock_mono_ns() - before < 30 * NSEC_PER_SEC);
	assert_true(r == 4 || r == -EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_allow_and_deny, after),
		cmocka_unit_test_teardown(test_chain, after),
		cmocka_unit_test_teardown(test_layers, after),
		cmocka_unit_test_teardown(test_observe, after),
		cmocka_unit_test_teardown(test_end, after),
		cmocka_unit_test_teardown(test_listed, after),
		cmocka_unit_test_teardown(test_scripts, after),
		cmocka_unit_test_teardown(test_ways, after),
		cmocka_unit_test_teardown(test_writer, after),
		cmocka_unit_test_teardown(test_written_between, after),
		cmocka_unit_test_teardown(test_foreign_lease, after),
		cmocka_unit_test_teardown(test_trusted_path, after),
		cmocka_unit_test_teardown(test_too_large, after),
		cmocka_unit_test_teardown(test_deadline, after),
		cmocka_unit_test_teardown(test_watchdog, after),
		cmocka_unit_test_teardown(test_killed, after),
		cmocka_unit_test_teardown(test_few_descriptors, after),
		cmocka_unit_test_teardown(test_flood, after),
		cmocka_unit_test_teardown(test_absurd_programs, after),
		cmocka_unit_test_teardown(test_traced, after),
		cmocka_unit_test_teardown(test_memory_file, after),
		cmocka_unit_test_teardown(test_unmarked, after),
		cmocka_unit_test_teardown(test_mapped, after),
		cmocka_unit_test_teardown(test_script_argument, after),
	};

	alarm(170);
	return cmocka_run_group_tests(tests, prepare, clean);
}
