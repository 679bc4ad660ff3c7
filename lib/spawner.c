/*
 * The helper process and how it is asked: one request at a time over a socket pair, the answer carries descriptors. The
 * helper has one thread, holds nothing but its end of the socket, and ends when the other end is closed.
 */
#include "lib/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/clock.h"
#include "lib/io.h"
#include "lib/util.h"

struct spawner {
	int fd;
	pid_t pid;
	pthread_mutex_t lock; /* one request at a time */
	uint32_t serial;      /* of the last request: an answer that comes too late is known by it */
};

/* In front of a request: arguments, each with its NUL, or the name of a role, whose standard input is passed along. */
struct request {
	uint32_t serial;
	bool role;
};

struct answer {
	uint32_t serial;
	int32_t result, pid;
};

/* --- the helper */

struct child {
	int in[2];     /* its standard input */
	int failed[2]; /* errno of an exec that failed; closed by one that did not */
	int pidfd;
};

static _Noreturn void child_run(struct child *c, char *const *argv)
{
	sigset_t none;
	int err;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (dup2(c->in[0], STDIN_FILENO) >= 0)
		execv(argv[0], argv);
	err = errno;
	while (write(c->failed[1], &err, sizeof(err)) < 0 && errno == EINTR)
		;
	_exit(127);
}

static int child_wait(struct child *c)
{
	int err = 0;
	ssize_t n;

	do
		n = read(c->failed[0], &err, sizeof(err));
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(err) ? -err : 0;
}

static int child_start(struct child *c, char *const *argv)
{
	pid_t pid;

	if (pipe2(c->in, O_CLOEXEC) < 0 || pipe2(c->failed, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child_run(c, argv);
	c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* Held here, its end of the pipe would keep our writes from failing when it is gone. */
	close(TAKE_FD(c->in[0]));
	close(TAKE_FD(c->failed[1]));
	return child_wait(c);
}

static void child_close(struct child *c)
{
	const int fds[] = { c->in[0], c->in[1], c->failed[0], c->failed[1], c->pidfd };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static void answer(int fd, const struct answer *a, const int *fds, size_t n_fds)
{
	const struct iovec iov = { (void *)(uintptr_t)a, sizeof(*a) };

	io_send(fd, &iov, 1, fds, a->result == 0 ? n_fds : 0, 0);
}

static void serve_program(int fd, struct answer *a, char *request, size_t len)
{
	struct child c = { { -1, -1 }, { -1, -1 }, -1 };
	char *argv[SPAWNER_ARGS_MAX + 1];
	size_t n = 0;

	for (char *p = request; p < request + len && n < SPAWNER_ARGS_MAX; p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	a->result = n ? child_start(&c, argv) : -EINVAL;
	if (a->result == 0 && c.pidfd < 0)
		a->result = -EMFILE;
	answer(fd, a, (const int[]){ c.in[1], c.pidfd }, 2);
	child_close(&c);
}

/* What a proxy, a sanitizer or a library's data is named by; nothing else of whoever started us is a role's business.
 */
static const char *const role_environment[] = {
	"http_proxy=",	  "https_proxy=",  "HTTPS_PROXY=",  "all_proxy=",     "ALL_PROXY=",    "no_proxy=", "NO_PROXY=",
	"SSL_CERT_FILE=", "SSL_CERT_DIR=", "ASAN_OPTIONS=", "UBSAN_OPTIONS=", "TSAN_OPTIONS=", "MAGIC=",
};

static _Noreturn void role_run(const char *name, int fd)
{
	char title[64], option[64], *argv[] = { title, option, NULL }, *envp[ARRAY_SIZE(role_environment) + 1];
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	size_t n = 0;

	snprintf(title, sizeof(title), "holdfast: %.32s", name);
	snprintf(option, sizeof(option), "--role=%.32s", name);
	for (size_t i = 0; i < ARRAY_SIZE(role_environment); i++) {
		for (char **e = environ; *e && n < ARRAY_SIZE(role_environment); e++)
			if (!strncmp(*e, role_environment[i], strlen(role_environment[i])))
				envp[n++] = *e;
	}
	envp[n] = NULL;
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(fd, STDIN_FILENO) < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
		_exit(127);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* who report there */
	if (dup2(null, STDERR_FILENO) < 0)
		_exit(127);
#endif
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execve("/proc/self/exe", argv, envp);
	_exit(127);
}

static void serve_role(int fd, struct answer *a, const char *name, int in)
{
	_cleanup_close_ int pidfd = -1;
	pid_t pid = fork();

	if (pid == 0)
		role_run(name, in);
	a->result = pid < 0 ? -errno : 0;
	a->pid = pid;
	if (pid > 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pid > 0 && pidfd < 0)
		a->result = -errno;
	answer(fd, a, &pidfd, 1);
}

static void serve(int fd, char *data, size_t len, int in)
{
	struct request q;
	struct answer a = { .result = -EINVAL };

	if (len < sizeof(q))
		return;
	memcpy(&q, data, sizeof(q));
	a.serial = q.serial;
	if (!q.role)
		serve_program(fd, &a, data + sizeof(q), len - sizeof(q));
	else if (in >= 0)
		serve_role(fd, &a, data + sizeof(q), in);
	else
		answer(fd, &a, NULL, 0);
}

static _Noreturn void helper(int fd)
{
	static char request[sizeof(struct request) + SPAWNER_BYTES_MAX + 1];
	sigset_t all;

	prctl(PR_SET_NAME, "holdfast-spawn");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* What whoever started us left open is nobody's business. */
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
	/* Ends with its parent, not by what a terminal sends to both. Children are reaped by the kernel. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		const struct iovec iov = { request, sizeof(request) - 1 };
		size_t n_in = 1;
		int in = -1;
		ssize_t n = io_receive(fd, &iov, 1, &in, &n_in, 0);

		if (n <= 0)
			_exit(0);
		request[n] = '\0';
		serve(fd, request, (size_t)n, in);
		cleanup_close(&in);
	}
}

/* --- us */

int spawner_start(struct spawner **ret)
{
	struct spawner *s = calloc(1, sizeof(*s));
	int fds[2];
	pid_t pid;

	if (!s)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		free(s);
		return -errno;
	}
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		helper(fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		free(s);
		return -errno;
	}
	s->fd = fds[0];
	s->pid = pid;
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void spawner_stop(struct spawner *s)
{
	close(s->fd);
	/* What it may be in the middle of nobody waits for any more; roles end with it. */
	kill(s->pid, SIGKILL);
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* An answer to this request; others, which nobody waits for any more, are thrown away with what they brought. */
static int receive(struct spawner *s, size_t want, struct answer *ret, int fds[2])
{
	uint64_t deadline = clock_mono_ns() + SPAWNER_WAIT_NS;

	for (;;) {
		const struct iovec iov = { ret, sizeof(*ret) };
		struct pollfd p = { .fd = s->fd, .events = POLLIN };
		uint64_t now = clock_mono_ns();
		size_t n_fds = want;
		ssize_t n;

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)((deadline - now) / NSEC_PER_MSEC) + 1) <= 0)
			continue;
		n = io_receive(s->fd, &iov, 1, fds, &n_fds, MSG_DONTWAIT);
		if (n == -EAGAIN)
			continue;
		if (n != (ssize_t)sizeof(*ret))
			return n < 0 ? (int)n : -EPIPE;
		if (ret->serial == s->serial && (ret->result < 0 || n_fds == want))
			return ret->result;
		while (n_fds)
			close(fds[--n_fds]);
		if (ret->serial == s->serial)
			return -EBADMSG;
	}
}

/* fd: passed along for a role; -1: a program. */
static int request(struct spawner *s, const char *data, size_t len, int fd, struct answer *ret, int fds[2])
{
	struct request q = { .role = fd >= 0 };
	const struct iovec iov[] = { { &q, sizeof(q) }, { (void *)(uintptr_t)data, len } };
	ssize_t n;
	int r;

	pthread_mutex_lock(&s->lock);
	q.serial = ++s->serial;
	/* One request at a time: what waits there is left by a helper that is stuck. */
	n = io_send(s->fd, iov, 2, &fd, fd >= 0, MSG_DONTWAIT);
	r = n < 0 ? (int)n : 0;
	if (r == 0)
		r = receive(s, fd >= 0 ? 1 : 2, ret, fds);
	pthread_mutex_unlock(&s->lock);
	return r;
}

int spawner_run(struct spawner *s, const char *const *argv, size_t n, int *ret_stdin, int *ret_pidfd)
{
	char arguments[SPAWNER_BYTES_MAX];
	struct answer a;
	size_t len = 0;
	int fds[2], r;

	if (!n || n > SPAWNER_ARGS_MAX || argv[0][0] != '/')
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		size_t size = strlen(argv[i]) + 1;

		if (len + size > sizeof(arguments))
			return -E2BIG;
		memcpy(arguments + len, argv[i], size);
		len += size;
	}
	r = request(s, arguments, len, -1, &a, fds);
	if (r < 0)
		return r;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*ret_stdin = fds[0];
	*ret_pidfd = fds[1];
	return 0;
}

int spawner_role(struct spawner *s, const char *name, int fd, pid_t *ret_pid, int *ret_pidfd)
{
	struct answer a;
	int fds[2], r = request(s, name, strlen(name), fd, &a, fds);

	if (r < 0)
		return r;
	*ret_pid = a.pid;
	*ret_pidfd = fds[0];
	return 0;
}
