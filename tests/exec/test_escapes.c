/*
 * Ways around a gate on file systems, each tried with a program that nobody vouches for, in enforce mode, with the proc
 * connector and without the BPF programs: what becomes of it is the table of holdfast(8), CAVEATS.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* Nothing may be started for this: the gate's process judges all that this session starts. */
static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		_exit(97);
	close(fd);
}

/* A user namespace in which the caller is root, and a mount namespace of it. */
static void enter_user_namespace(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		_exit(97);
	put("/proc/self/uid_map", "0 0 1");
	put("/proc/self/setgroups", "deny");
	put("/proc/self/gid_map", "0 0 1");
}

static void by_overlay(void)
{
	char options[400];

	enter_user_namespace();
	snprintf(options, sizeof(options), "userxattr,lowerdir=%s,upperdir=%s,workdir=%s", rig_path(&rig, "layer"),
		 rig_path(&rig, "upper"), rig_path(&rig, "work"));
	if (mount("x", rig_path(&rig, "folder"), "overlay", 0, options) < 0)
		_exit(97);
	execve(rig_path(&rig, "folder/x"), argv_hold, no_env);
}

/* Its layers are no file system that is gated. */
static void by_overlay_of_tmpfs(void)
{
	char options[400];

	enter_user_namespace();
	if (mount("x", rig_path(&rig, "layer"), "tmpfs", 0, NULL) < 0 || mkdir(rig_path(&rig, "layer/l"), 0755) < 0 ||
	    mkdir(rig_path(&rig, "layer/u"), 0755) < 0 || mkdir(rig_path(&rig, "layer/w"), 0755) < 0)
		_exit(97);
	copy_to(rig_path(&rig, "layer/l/x"));
	snprintf(options, sizeof(options), "userxattr,lowerdir=%s,upperdir=%s,workdir=%s", rig_path(&rig, "layer/l"),
		 rig_path(&rig, "layer/u"), rig_path(&rig, "layer/w"));
	if (mount("x", rig_path(&rig, "folder"), "overlay", 0, options) < 0)
		_exit(97);
	execve(rig_path(&rig, "folder/x"), argv_hold, no_env);
}

/* The image lies on the gated file system; what is in it does not. */
static void by_loop_image(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image, device;
	struct loop_config c = { .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
	char path[40];

	image = open(rig_path(&rig, "inner"), O_RDWR | O_CLOEXEC);
	if (control < 0 || image < 0 || unshare(CLONE_NEWNS) < 0)
		_exit(97);
	c.fd = (uint32_t)image;
	/* Somebody else may take it first. */
	for (int i = 0;; i++) {
		snprintf(path, sizeof(path), "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
		device = open(path, O_RDWR | O_CLOEXEC);
		if (device >= 0 && ioctl(device, LOOP_CONFIGURE, &c) == 0)
			break;
		if (i == 50)
			_exit(97);
		usleep(10000);
	}
	if (mount(path, rig_path(&rig, "folder"), "ext4", 0, NULL) < 0)
		_exit(97);
	close(device);
	execve(rig_path(&rig, "folder/x"), argv_hold, no_env);
}

static void by_fuse(void)
{
	if (access(rig_path(&rig, "served/x"), X_OK) < 0)
		_exit(97);
	execve(rig_path(&rig, "served/x"), argv_hold, no_env);
}

/*
 * A file that is trusted, run by a program that is not. Only where the table is the user namespace's own (Linux 6.7):
 * the machine's is none of ours.
 */
static void register_binary(const char *flags)
{
	char rule[300];
	struct stat machine, own;
	bool had = stat("/proc/sys/fs/binfmt_misc/register", &machine) == 0;

	enter_user_namespace();
	if (mount("x", rig_path(&rig, "folder"), "binfmt_misc", 0, NULL) < 0 ||
	    stat(rig_path(&rig, "folder/register"), &own) < 0 || (had && own.st_dev == machine.st_dev))
		_exit(97);
	snprintf(rule, sizeof(rule), ":holdfast-test:M::HOLDFAST-BINFMT::%s:%s", rig_path(&rig, "bad"), flags);
	int fd = open(rig_path(&rig, "folder/register"), O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		_exit(97);
	if (write(fd, rule, strlen(rule)) < 0)
		_exit(errno == EPERM ? 100 : 97);
	close(fd);
	execve(rig_path(&rig, "data"), argv_hold, no_env);
}

static void by_binfmt(void)
{
	register_binary("");
}

/* The interpreter is opened when it is registered. */
static void by_binfmt_fixed(void)
{
	register_binary("F");
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
	{ "overlay in a user namespace, layers gated", by_overlay, DENIED },
	{ "overlay in a user namespace, layers on tmpfs", by_overlay_of_tmpfs, KILLED },
	{ "image of a file system on a loop device", by_loop_image, KILLED },
	{ "file system that a process serves (FUSE)", by_fuse, RAN },
	{ "interpreter of binfmt_misc", by_binfmt, DENIED },
	{ "interpreter of binfmt_misc, flag F", by_binfmt_fixed, DENIED },
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
	static const char *const good[] = { "loader", "data", NULL };
	char path[64];
	int wrong = 0;

	if (unable) {
		print_message("skipped: %s\n", unable);
		skip();
	}
	assert_int_equal(rig_start(&rig, &(struct rig_options){ .enforce = true, .good = good }), 0);
	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		enum outcome o = try(&escapes[i]);

		print_message("%-46s %s\n", escapes[i].what, outcomes[o]);
		wrong += o != escapes[i].expected && o != OTHER;
	}
	snprintf(path, sizeof(path), "/dev/shm/holdfast-escape-%d", getpid());
	unlink(path);
	assert_int_equal(wrong, 0);
}

/* What needs programs of the host, before there is a gate. */
static void prepare_images(void)
{
	char text[600];

	rig_file(&rig, "data", "HOLDFAST-BINFMT and more\n", 0755);
	snprintf(text, sizeof(text),
		 "cd %s && mkdir layer upper work served && cp bad layer/x && truncate -s 4M inner && "
		 "mkfs.ext4 -q -F -d layer inner >/dev/null 2>&1 && "
		 "{ ! command -v fuse2fs >/dev/null || { cp inner fuse && fuse2fs -o ro,allow_other fuse served; } } "
		 ">/dev/null 2>&1",
		 rig.mnt);
	if (system(text) != 0)
		print_message("not all could be prepared\n");
}

static int prepare(void **state _unused_)
{
	unable = access(LOADER, R_OK) == 0 ? rig_setup(&rig, "ext4") : "no " LOADER;
	if (unable)
		return 0;
	rig_program(&rig, "bad", 4, 2);
	rig_file(&rig, "file", "", 0644);
	rig_copy(&rig, "loader", LOADER);
	prepare_images();
	return mkdir(rig_path(&rig, "folder"), 0755);
}

static int clean(void **state _unused_)
{
	if (!unable)
		umount2(rig_path(&rig, "served"), MNT_DETACH);
	rig_teardown(&rig);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_escapes) };

	alarm(120);
	return cmocka_run_group_tests(tests, prepare, clean);
}
