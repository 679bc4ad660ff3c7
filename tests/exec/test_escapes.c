/*
 * Ways around a gate on file systems, each tried with a program that nobody vouches for, in enforce mode, with the proc
 * connector and without the BPF programs: what becomes of it is the table of holdfast(8), CAVEATS.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/exec/rig.h"
#include "tests/test.h"

#define LOADER "/lib64/ld-linux-x86-64.so.2"

static struct rig rig;
static const char *unable;

enum outcome { DENIED, KILLED, RAN, OTHER };
static const char *const outcomes[] = { "denied", "killed", "ran", "not tried here" };

static char *const argv_hold[] = { (char *)"x", (char *)"hold", NULL };
static char *const no_env[] = { NULL };

static void copy(int in, int out)
{
	char b[65536];
	ssize_t n;

	while ((n = read(in, b, sizeof(b))) > 0)
		if (write(out, b, (size_t)n) != n)
			_exit(98);
}

static void copy_to(const char *path)
{
	int in = open(rig_path(&rig, "bad"), O_RDONLY | O_CLOEXEC), out;

	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (in < 0 || out < 0)
		_exit(98);
	copy(in, out);
	close(out);
}

/* Each runs in a child of its own and does not come back when it works. */
static void by_memfd(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	copy(open(rig_path(&rig, "bad"), O_RDONLY | O_CLOEXEC), fd);
	syscall(SYS_execveat, fd, "", argv_hold, no_env, AT_EMPTY_PATH);
}

static void by_tmpfile(void)
{
	int fd = open(rig.mnt, O_TMPFILE | O_RDWR | O_CLOEXEC, 0755), again;
	char path[40];

	copy(open(rig_path(&rig, "bad"), O_RDONLY | O_CLOEXEC), fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	syscall(SYS_execveat, again, "", argv_hold, no_env, AT_EMPTY_PATH);
}

static void by_deleted(void)
{
	int fd;

	copy_to(rig_path(&rig, "deleted"));
	fd = open(rig_path(&rig, "deleted"), O_RDONLY | O_CLOEXEC);
	unlink(rig_path(&rig, "deleted"));
	syscall(SYS_execveat, fd, "", argv_hold, no_env, AT_EMPTY_PATH);
}

static void by_o_path(void)
{
	int fd = open(rig_path(&rig, "bad"), O_PATH | O_CLOEXEC);

	syscall(SYS_execveat, fd, "", argv_hold, no_env, AT_EMPTY_PATH);
}

static void by_new_tmpfs(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("x", rig_path(&rig, "folder"), "tmpfs", 0, NULL) < 0)
		_exit(97);
	copy_to(rig_path(&rig, "folder/x"));
	execve(rig_path(&rig, "folder/x"), argv_hold, no_env);
}

static void by_bind_mount(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(rig_path(&rig, "bad"), rig_path(&rig, "file"), NULL, MS_BIND, NULL) < 0)
		_exit(97);
	execve(rig_path(&rig, "file"), argv_hold, no_env);
}

static void by_shm(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/shm/holdfast-escape-%d", getppid());
	copy_to(path);
	execve(path, argv_hold, no_env);
}

static void by_hard_link(void)
{
	if (link(rig_path(&rig, "bad"), rig_path(&rig, "link")) < 0)
		_exit(97);
	execve(rig_path(&rig, "link"), argv_hold, no_env);
}

static void by_proc(void)
{
	int fd = open(rig_path(&rig, "bad"), O_RDONLY);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	execve(path, argv_hold, no_env);
}

/* The loader is trusted, as on every host. */
static void by_loader(void)
{
	char *const argv[] = { (char *)"ld.so", (char *)rig_path(&rig, "bad"), (char *)"hold", NULL };

	execve(rig_path(&rig, "loader"), argv, no_env);
}

static const struct escape {
	const char *what;
	void (*how)(void);
	enum outcome expected;
} escapes[] = {
	{ "memory file (memfd)", by_memfd, KILLED },
	{ "file without a name (O_TMPFILE)", by_tmpfile, DENIED },
	{ "deleted file", by_deleted, DENIED },
	{ "descriptor opened with O_PATH", by_o_path, DENIED },
	{ "tmpfs in a mount namespace of its own", by_new_tmpfs, KILLED },
	{ "bind mount in a mount namespace of its own", by_bind_mount, DENIED },
	{ "tmpfs that is not gated", by_shm, KILLED },
	{ "hard link", by_hard_link, DENIED },
	{ "/proc/self/fd", by_proc, DENIED },
	{ "loader run directly (ld.so program)", by_loader, RAN },
};

static enum outcome try(const struct escape *e)
{
	int hold[2], status;
	pid_t pid;

	if (pipe(hold) < 0)
		return OTHER;
	pid = fork();
	if (pid == 0) {
		dup2(hold[0], STDIN_FILENO); /* the writing end stays open in itself: it waits for ever */
		alarm(3);
		e->how();
		_exit(errno == EPERM ? 100 : 99);
	}
	close(hold[0]);
	close(hold[1]);
	if (waitpid(pid, &status, 0) != pid)
		return OTHER;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? KILLED : WTERMSIG(status) == SIGALRM ? RAN : OTHER;
	return WEXITSTATUS(status) == 100 ? DENIED : OTHER;
}

static void test_escapes(void **state _unused_)
{
	static const char *const good[] = { "loader", NULL };
	char path[64];
	int wrong = 0;

	if (unable) {
		print_message("skipped: %s\n", unable);
		skip();
	}
	assert_int_equal(rig_start(&rig, &(struct rig_options){ .enforce = true, .good = good }), 0);
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		enum outcome o = try(&escapes[i]);

		print_message("%-45s %s\n", escapes[i].what, outcomes[o]);
		wrong += o != escapes[i].expected && o != OTHER;
	}
	snprintf(path, sizeof(path), "/dev/shm/holdfast-escape-%d", getpid());
	unlink(path);
	assert_int_equal(wrong, 0);
}

static int prepare(void **state _unused_)
{
	unable = access(LOADER, R_OK) == 0 ? rig_setup(&rig, "ext4") : "no " LOADER;
	if (unable)
		return 0;
	rig_program(&rig, "bad", 4, 2);
	rig_file(&rig, "file", "", 0644);
	rig_copy(&rig, "loader", LOADER);
	return mkdir(rig_path(&rig, "folder"), 0755);
}

static int clean(void **state _unused_)
{
	rig_teardown(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_escapes) };

	alarm(120);
	return cmocka_run_group_tests(tests, prepare, clean);
}
