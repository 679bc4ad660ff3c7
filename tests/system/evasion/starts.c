/*
 * Starts of a program that nobody vouches for: a copy of this one with other bytes at its end. It says so with one byte
 * on its standard output, waits, and ends with PAYLOAD_RAN. Nothing else may be started: the session is judged.
 */
#include "tests/system/evasion/evasion.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static char *const args[] = { (char *)"x", (char *)"payload", NULL };
static char *const no_env[] = { NULL };
int early_fd = -1;

int payload(void)
{
	char byte;

	if (write(STDOUT_FILENO, "x", 1) != 1)
		return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 42;
}

/* --- bringing it there */

static int copy_fd(int out)
{
	int in = open("/usr/bin/evasion", O_RDONLY | O_CLOEXEC);
	char b[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		return -1;
	while ((n = read(in, b, sizeof(b))) > 0)
		if (write(out, b, (size_t)n) != n)
			return end_with(in, -1);
	return end_with(in, write(out, "evil", 4));
}

static int copy_to(const char *path)
{
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	return out < 0 ? -1 : end_with(out, copy_fd(out));
}

static int start_fd(int fd)
{
	return (int)syscall(SYS_execveat, fd, "", args, no_env, AT_EMPTY_PATH);
}

static int start(const char *path)
{
	return execve(path, args, no_env);
}

/* --- ways */

static int by_name(void)
{
	return copy_to("x") < 0 ? -1 : start("./x");
}

static int by_hard_link(void)
{
	return copy_to("x") < 0 || link("x", "../out/l") < 0 ? -1 : start("../out/l");
}

static int by_symlink(void)
{
	return copy_to("x") < 0 || symlink("x", "l") < 0 ? -1 : start("l");
}

static int by_proc(void)
{
	char path[40];
	int fd = copy_to("x") < 0 ? -1 : open("x", O_RDONLY);

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0 ? -1 : start(path);
}

static int by_o_path(void)
{
	int fd = copy_to("x") < 0 ? -1 : open("x", O_PATH | O_CLOEXEC);

	return fd < 0 ? -1 : start_fd(fd);
}

static int by_deleted(void)
{
	int fd = copy_to("x") < 0 ? -1 : open("x", O_RDONLY | O_CLOEXEC);

	return fd < 0 || unlink("x") < 0 ? -1 : start_fd(fd);
}

static int by_tmpfile(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0755), again;
	char path[40];

	if (fd < 0 || copy_fd(fd) < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return start_fd(again);
}

static int by_early_fd(void)
{
	return early_fd < 0 ? (errno = ENODATA, -1) : start_fd(early_fd);
}

static void *exec_in_thread(void *unused)
{
	(void)unused;
	start("./x");
	return NULL;
}

static int by_thread(void)
{
	pthread_t thread;

	if (copy_to("x") < 0 || pthread_create(&thread, NULL, exec_in_thread, NULL))
		return -1;
	pthread_join(thread, NULL);
	errno = EPERM;
	return -1;
}

static int by_chroot(void)
{
	/* The loader has another path then: what counts is the answer to the start. */
	return copy_to("x") < 0 || chroot(".") < 0 ? -1 : start("/x");
}

static int by_bind_mount(void)
{
	have_file("../out/file");
	if (copy_to("x") < 0 || private_mounts() < 0 || mount("x", "../out/file", NULL, MS_BIND, NULL) < 0)
		return -1;
	return start("../out/file");
}

static int by_noexec_remount(void)
{
	if (private_mounts() < 0 || mount(".", "../out", NULL, MS_BIND, NULL) < 0 ||
	    mount("none", "../out", NULL, MS_BIND | MS_REMOUNT | MS_NOSUID, NULL) < 0)
		return -1;
	return copy_to("../out/x") < 0 ? -1 : start("../out/x");
}

static int by_memfd(void)
{
	int fd = memfd_create("x", MFD_CLOEXEC);

	return fd < 0 || copy_fd(fd) < 0 ? -1 : start_fd(fd);
}

static int new_file_system(const char *type)
{
	if (mount("x", "../out", type, 0, NULL) < 0)
		return -1;
	return copy_to("../out/x") < 0 ? -1 : start("../out/x");
}

static int by_new_tmpfs(void)
{
	return private_mounts() < 0 ? -1 : new_file_system("tmpfs");
}

static int by_user_tmpfs(void)
{
	return enter_user_namespace() < 0 ? -1 : new_file_system("tmpfs");
}

static int by_ramfs(void)
{
	return private_mounts() < 0 ? -1 : new_file_system("ramfs");
}

static int by_shm(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/shm/evasion-%d", getpid());
	return copy_to(path) < 0 ? -1 : start(path);
}

static int mount_overlay(const char *at)
{
	char options[200];

	snprintf(options, sizeof(options), "userxattr,lowerdir=%s/l,upperdir=%s/u,workdir=%s/w", at, at, at);
	return mount("x", "../out/m", "overlay", 0, options);
}

static int make_layers(const char *at)
{
	char path[100];

	for (const char *sub = "luw"; *sub; sub++) {
		snprintf(path, sizeof(path), "%s/%c", at, *sub);
		if (mkdir(path, 0755) < 0)
			return -1;
	}
	snprintf(path, sizeof(path), "%s/l/x", at);
	return mkdir("../out/m", 0755) < 0 ? -1 : copy_to(path);
}

static int by_overlay(void)
{
	if (make_layers("../out") < 0 || enter_user_namespace() < 0 || mount_overlay("../out") < 0)
		return -1;
	return start("../out/m/x");
}

static int by_overlay_of_tmpfs(void)
{
	if (mkdir("../out/t", 0755) < 0 || enter_user_namespace() < 0 || mount("x", "../out/t", "tmpfs", 0, NULL) < 0 ||
	    make_layers("../out/t") < 0 || mount_overlay("../out/t") < 0)
		return -1;
	return start("../out/m/x");
}

/* A file system in a file, made by the test: /image. */
static int by_loop_image(void)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), image = open("/image", O_RDWR | O_CLOEXEC), loop;
	struct loop_config c = { .info = { .lo_flags = LO_FLAGS_AUTOCLEAR } };
	char path[40];

	if (control < 0 || image < 0 || private_mounts() < 0)
		return -1;
	c.fd = (uint32_t)image;
	for (int i = 0;; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(path, sizeof(path), "/dev/loop%d", n);
		if (access(path, F_OK) < 0 && mknod(path, S_IFBLK | 0600, (dev_t)(7 << 8 | n)) < 0)
			return -1;
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop >= 0 && ioctl(loop, LOOP_CONFIGURE, &c) == 0)
			break;
		if (i == 20)
			return -1;
		usleep(10000);
	}
	if (mount(path, "../out", "ext4", 0, NULL) < 0)
		return -1;
	close(loop);
	return start("../out/x");
}

static int by_loader(void)
{
	char *const with[] = { (char *)"ld.so", (char *)"./x", (char *)"payload", NULL };

	return copy_to("x") < 0 ? -1 : execve("/lib64/ld-linux-x86-64.so.2", with, no_env);
}

/* --- programs that are vouched for, changed: made before the baseline */

static void have_trusted(void)
{
	int in = open("/usr/bin/evasion", O_RDONLY | O_CLOEXEC), out;
	char b[65536];
	ssize_t n;

	out = open("x", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	while ((n = read(in, b, sizeof(b))) > 0)
		if (write(out, b, (size_t)n) != n)
			perror("x");
	close(in);
	close(out);
}

static int trusted_changed(void)
{
	int fd = open("x", O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, "evil", 4) != 4)
		return end_with(fd, -1);
	close(fd);
	return start("./x");
}

static int trusted_replaced(void)
{
	return copy_to("y") < 0 || rename("y", "x") < 0 ? -1 : start("./x");
}

/* Judged once with its good bytes, changed with its times put back. */
static int trusted_times_restored(void)
{
	struct stat st;
	int fd, status, in[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || stat("x", &st) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
		start("./x");
		_exit(1);
	}
	close(in[1]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 42)
		return (errno = ECHILD), -1;
	fd = open("x", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, "\0evil", 5, 9) != 5 || /* in the padding of the ELF header */
	    futimens(fd, (struct timespec[]){ st.st_atim, st.st_mtim }) < 0)
		return end_with(fd, -1);
	close(fd);
	return start("./x");
}

/* A writer, or a mapping that can be written through, held over the start. */
static int trusted_while_open(void)
{
	int fd = open("x", O_RDWR);

	return fd < 0 ? -1 : start("./x");
}

static int trusted_while_mapped(void)
{
	int fd = open("x", O_RDWR | O_CLOEXEC), hold[2];
	char byte;

	if (fd < 0 || pipe2(hold, O_CLOEXEC) < 0)
		return -1;
	if (fork() == 0) {
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		close(fd);
		if (write(hold[1], "m", 1) != 1 || p == MAP_FAILED)
			_exit(1);
		close(hold[1]);
		/* Until the test is over: its own end of standard input. */
		alarm(20);
		while (read(STDIN_FILENO, &byte, 1) > 0)
			;
		_exit(0);
	}
	if (read(hold[0], &byte, 1) != 1)
		return -1;
	close(fd);
	return start("./x");
}

/* --- scripts */

static int put_script(const char *path, mode_t mode)
{
	/* What the payload does, by a shell. */
	static const char text[] = "#!/usr/bin/sh\necho x; read -r x; exit 42\n";
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	return fd < 0 ? -1 : end_with(fd, write(fd, text, sizeof(text) - 1));
}

static int by_script(void)
{
	return put_script("s", 0755) < 0 ? -1 : start("./s");
}

static int run_shell(char *const argv[])
{
	return execve("/usr/bin/sh", argv, no_env);
}

static int by_script_of_shell(void)
{
	return put_script("s", 0644) < 0 ? -1 : run_shell((char *[]){ (char *)"sh", (char *)"./s", NULL });
}

/* A shell that is trusted by its content, under another name. */
static int by_script_of_copy(void)
{
	char *const argv[] = { (char *)"sh", (char *)"./s", NULL };

	return put_script("s", 0644) < 0 ? -1 : execve("/usr/bin/tool", argv, no_env);
}

static int by_shell_text(void)
{
	return run_shell((char *[]){ (char *)"sh", (char *)"-c", (char *)"echo x; read -r x; exit 42", NULL });
}

static int by_shell_source(void)
{
	return put_script("s", 0644) < 0 ? -1
					 : run_shell((char *[]){ (char *)"sh", (char *)"-c", (char *)". ./s", NULL });
}

/* --- code in a process that was let run */

static int map_foreign_code(void)
{
	int fd = copy_to("x") < 0 ? -1 : open("x", O_RDONLY | O_CLOEXEC);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);

	if (fd < 0 || p == MAP_FAILED)
		return -1;
	exit(payload());
}

static int anonymous_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	exit(payload());
}

static int preload(void)
{
	char *const env[] = { (char *)"LD_PRELOAD=./x", NULL };

	/* No library: the loader says so, and has mapped it. */
	return copy_to("x") < 0 ? -1 : execve("/usr/bin/evasion", args, env);
}

static int into_another(void)
{
	char bytes[] = "evil", *at = bytes;
	struct iovec iov = { bytes, 4 };
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (process_vm_writev(pid, &iov, 1, &(struct iovec){ at, 4 }, 1, 0) != 4)
		return -1;
	kill(pid, 9);
	waitpid(pid, &status, 0);
	exit(payload());
}

#define PLAIN_CODE "what a program that was let run does with its own memory is not judged; rules see it (mmap, mprotect)"
#define FOREIGN_CODE "memory is not judged; rules see it (process_vm_writev, ptrace)"

const struct attack start_attacks[] = {
	{ "start of an unknown program", ON_ALL, NULL, by_name, .worst = PREVENTED },
	{ "start by a hard link", ON_ALL, NULL, by_hard_link, .worst = PREVENTED },
	{ "start by a symbolic link", ON_ALL, NULL, by_symlink, .worst = PREVENTED },
	{ "start by /proc/self/fd", ON_ALL, NULL, by_proc, .worst = PREVENTED },
	{ "start by O_PATH", ON_ALL, NULL, by_o_path, .worst = PREVENTED },
	{ "start of a deleted file", ON_ALL, NULL, by_deleted, .worst = PREVENTED },
	{ "start of a file without a name (O_TMPFILE)", ON_ALL, NULL, by_tmpfile, .worst = PREVENTED },
	{ "start by a descriptor older than the monitor", ON_ONE, NULL, by_early_fd, .worst = PREVENTED },
	{ "start by a thread", ON_ALL, NULL, by_thread, .worst = PREVENTED },
	{ "start in a chroot", ON_ALL, NULL, by_chroot, .worst = PREVENTED },
	{ "start by a bind mount of its own", ON_ALL, NULL, by_bind_mount, .worst = PREVENTED },
	{ "start by a mount with other flags", ON_ALL, NULL, by_noexec_remount, .worst = PREVENTED },
	{ "start of a memory file (memfd)", ON_ONE, NULL, by_memfd, .worst = PREVENTED },
	{ "start on a new tmpfs", ON_ONE, NULL, by_new_tmpfs, .worst = PREVENTED },
	{ "start on a new tmpfs, user namespace", ON_ONE, NULL, by_user_tmpfs, .worst = PREVENTED },
	{ "start on a new ramfs", ON_ONE, NULL, by_ramfs, .worst = PREVENTED },
	{ "start on /dev/shm", ON_ONE, NULL, by_shm, .worst = PREVENTED },
	{ "start by an overlay, user namespace", ON_EXT4 | ON_XFS | ON_BTRFS | ON_TMPFS, NULL, by_overlay,
	  .worst = PREVENTED },
	{ "start by an overlay of a new tmpfs", ON_ONE, NULL, by_overlay_of_tmpfs, .worst = KILLED },
	{ "start from an image on a loop device", ON_ONE, NULL, by_loop_image, .worst = PREVENTED },
	{ "start by the loader (ld.so x)", ON_ALL, NULL, by_loader, .worst = KILLED },
	{ "trusted program, appended to", ON_ALL, have_trusted, trusted_changed, .worst = PREVENTED },
	{ "trusted program, replaced", ON_ALL, have_trusted, trusted_replaced, .worst = PREVENTED },
	{ "trusted program, judged, changed, times put back", ON_ALL, have_trusted, trusted_times_restored,
	  .worst = PREVENTED },
	{ "trusted program, open for writing", ON_ALL, have_trusted, trusted_while_open, .worst = PREVENTED },
	{ "trusted program, mapped for writing", ON_ALL, have_trusted, trusted_while_mapped, .worst = PREVENTED },
	{ "script (#!)", ON_ALL, NULL, by_script, .worst = PREVENTED },
	{ "script given to a shell (sh x)", ON_ALL, NULL, by_script_of_shell, .worst = KILLED },
	{ "script read by a shell (. x)", ON_ALL, NULL, by_shell_source, .worst = LIMIT,
	  .why = "only what an interpreter is given on its command line is judged" },
	{ "script given to a shell of another name", ON_ALL, NULL, by_script_of_copy, .worst = KILLED },
	{ "text given to a shell (sh -c)", ON_ONE, NULL, by_shell_text, .worst = LIMIT,
	  .why = "there is no file to judge; rules see the command line" },
	{ "library preloaded (LD_PRELOAD)", ON_ALL, NULL, preload, .worst = LIMIT,
	  .why = "it runs; told when it is still mapped a moment later (exec.libraries)" },
	{ "file mapped as code later", ON_ALL, NULL, map_foreign_code, .worst = LIMIT,
	  .why = "it runs; told when it is still mapped a moment later (exec.libraries: all)" },
	{ "anonymous memory mapped as code", ON_ONE, NULL, anonymous_code, .worst = LIMIT, .why = PLAIN_CODE },
	{ "written into another process", ON_ONE, NULL, into_another, .worst = LIMIT, .why = FOREIGN_CODE },
};
const size_t start_attack_count = sizeof(start_attacks) / sizeof(start_attacks[0]);
