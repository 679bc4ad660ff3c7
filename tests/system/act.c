/*
 * Does one thing at a time that rules are written for, or that a shell cannot do, under whatever name it was started:
 *   act spawn PROGRAM ARG...   a child, waited for          act late SECONDS FILE   reads FILE after so long
 *   act bare PROGRAM           exec with an empty argv      act memory PROGRAM      runs a copy from memory
 *   act as UID PROGRAM ARG...  exec as that user            act linger MS ARG...    stays for so long
 *   act forks N                so many children that end    act under PID PROGRAM ARG...  a child with that pid
 *   act halt TID               stops that one thread until its standard input ends
 *   act lease FILE             holds a write lease on it until its standard input ends; says so first
 *   act nobpf permitted|there PROGRAM ARG...   exec where bpf(2) is not: EPERM, ENOSYS
 *   act map FILE FILE          a child, once it is given a byte, maps one to run and makes another runnable; stays
 *   act setns | setuid | packet | traceme | attach | userfault | code | unshare | bpf | dup
 *                              that system call, in a child; whether it is
 * let or not
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execv(argv[0], argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int late(char **argv)
{
	char byte;
	int fd;

	sleep((unsigned)atoi(argv[0]));
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	return fd < 0 || read(fd, &byte, 1) < 0;
}

static int bare(char **argv)
{
	char *none[] = { NULL };

	execv(argv[0], none);
	return 127;
}

static int memory(char **argv)
{
	char *args[] = { (char *)"memory", (char *)"linger", (char *)"300", NULL };
	int from = open(argv[0], O_RDONLY | O_CLOEXEC), to = memfd_create("program", 0);
	struct stat st;

	if (from < 0 || to < 0 || fstat(from, &st) < 0 || sendfile(to, from, NULL, (size_t)st.st_size) != st.st_size)
		return 1;
	fexecve(to, args, environ);
	return 127;
}

static int lease(char **argv)
{
	int fd = open(argv[0], O_WRONLY | O_CLOEXEC);
	char byte;

	signal(SIGIO, SIG_IGN);
	if (fd < 0)
		return 1;
	/* The monitor may be reading it. */
	for (int tries = 1000; fcntl(fd, F_SETLEASE, F_WRLCK) < 0; tries--) {
		if (!tries || errno != EAGAIN)
			return 1;
		usleep(10000);
	}
	puts("held");
	fflush(stdout);
	return read(STDIN_FILENO, &byte, 1) != 0;
}

static int as(char **argv)
{
	if (setgid((gid_t)atoi(argv[0])) < 0 || setuid((uid_t)atoi(argv[0])) < 0)
		return 1;
	execv(argv[1], argv + 1);
	return 127;
}

/* As under a lockdown, or in a kernel that is built without; for all that the program starts, too. */
static int nobpf(char **argv)
{
	unsigned int error = strcmp(argv[0], "there") == 0 ? ENOSYS : EPERM;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		return 126;
	execv(argv[1], argv + 1);
	return 127;
}

static int linger(char **argv)
{
	usleep((useconds_t)atoi(argv[0]) * 1000);
	return 0;
}

/* A child that started nothing by itself maps the first file to run, and the second to read, then to run. */
static int map(char **argv)
{
	const int prot[] = { PROT_READ | PROT_EXEC, PROT_READ };
	pid_t pid = fork();
	char line;

	if (pid != 0)
		return waitpid(pid, NULL, 0) != pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(STDIN_FILENO, &line, 1) != 1)
		_exit(1);
	for (int i = 0; i < 2; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		void *at = mmap(NULL, 4096, prot[i], MAP_PRIVATE, fd, 0);

		if (at == MAP_FAILED || mprotect(at, 4096, PROT_READ | PROT_EXEC) < 0)
			_exit(1);
		close(fd);
	}
	pause();
	_exit(0);
}

static pid_t short_child(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static int forks(char **argv)
{
	for (int n = atoi(argv[0]); n > 0; n--) {
		pid_t pid = short_child();

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			return 1;
	}
	return 0;
}

static int under(char **argv)
{
	pid_t want = (pid_t)atoi(argv[0]);
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want, .set_tid_size = 1 };
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	int status;

	if (pid == 0) {
		execv(argv[1], argv + 1);
		_exit(127);
	}
	if (pid < 0)
		return 1;
	return waitpid((pid_t)pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Goes on by itself when this one ends, however. */
static int halt(char **argv)
{
	pid_t tid = (pid_t)atoi(argv[0]);
	char byte;
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ||
	    waitpid(tid, &status, __WALL) != tid)
		return 1;
	puts("halted");
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}

/* --- system calls that rules ask for, as event-generator makes them */

static void call_setns(void)
{
	setns(0, 0);
}

static void call_setuid(void)
{
	if (setuid(1) == 0 && setuid(0) == 0)
		_exit(1);
}

static void call_packet(void)
{
	socket(AF_PACKET, SOCK_RAW, 0);
}

static void call_traceme(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void call_attach(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	ptrace(PTRACE_ATTACH, pid, NULL, NULL);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, __WALL);
}

static void call_userfault(void)
{
	syscall(SYS_userfaultfd, O_CLOEXEC);
}

static void call_module(void)
{
	syscall(SYS_init_module, NULL, 0, "");
}

static void call_runtime(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/tmp/none/docker.sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		_exit(1);
}

/* Executable at once, and later. */
static void call_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *q = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || q == MAP_FAILED)
		_exit(1);
	mprotect(q, 4096, PROT_READ | PROT_EXEC);
	mprotect(q, 4096, PROT_READ);
	syscall(SYS_pkey_mprotect, q, 4096, PROT_EXEC, -1);
}

/* By one that may not have another namespace for the asking. */
static void call_unshare(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	if (syscall(SYS_capset, &head, none) < 0)
		_exit(1);
	unshare(CLONE_NEWUTS);
}

static void call_bpf(void)
{
	union bpf_attr attr = { 0 };

	syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void call_dup(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0)
		_exit(1);
}

static const struct {
	const char *name;
	void (*run)(void);
} calls[] = {
	{ "setns", call_setns },     { "setuid", call_setuid },	  { "packet", call_packet },
	{ "traceme", call_traceme }, { "attach", call_attach },	  { "userfault", call_userfault },
	{ "module", call_module },   { "runtime", call_runtime }, { "code", call_code },
	{ "unshare", call_unshare }, { "bpf", call_bpf },	  { "dup", call_dup },
};

/* Lives a little before and after, to be looked at. Ends at once: what is traced is not to be looked through for leaks.
 */
static int call(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(calls[i].name, name) != 0)
			continue;
		usleep(20000);
		calls[i].run();
		usleep(20000);
		_exit(0);
	}
	return -1;
}

static const struct {
	const char *name;
	int min;
	int (*run)(char **argv);
} verbs[] = {
	{ "spawn", 1, spawn }, { "late", 2, late }, { "bare", 1, bare },     { "memory", 1, memory },
	{ "nobpf", 2, nobpf }, { "as", 2, as },	    { "linger", 1, linger }, { "forks", 1, forks },
	{ "under", 2, under }, { "halt", 1, halt }, { "lease", 1, lease },   { "map", 2, map },
};

int main(int argc, char **argv)
{
	/* What it is started as by others is no verb: it lives long enough to be looked at. */
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0 && argc - 2 >= verbs[i].min)
			return verbs[i].run(argv + 2);
	}
	if (argc == 2 && call(argv[1]) == 0)
		return 0;
	usleep(20000);
	return 0;
}
