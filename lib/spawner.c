/*
 * The helper process and how it is asked: one request at a time over a socket pair, the answer carries descriptors. The
 * helper has one thread, holds nothing but its end of the socket, and ends when the other end is closed.
 */
#include "lib/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "lib/util.h"

struct spawner {
	int fd;
	pthread_mutex_t lock; /* one request at a time */
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

static int answer(int fd, int result, const struct child *c)
{
	struct iovec iov = { &result, sizeof(result) };
	union {
		struct cmsghdr header;
		char data[CMSG_SPACE(2 * sizeof(int))];
	} control = { .header = { 0 } };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[] = { c->in[1], c->pidfd };
	ssize_t n;

	if (result == 0) {
		m.msg_control = control.data;
		m.msg_controllen = sizeof(control.data);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(fds));
		memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* Arguments, each with its NUL. */
static void serve(int fd, char *request, size_t len)
{
	struct child c = { { -1, -1 }, { -1, -1 }, -1 };
	char *argv[SPAWNER_ARGS_MAX + 1];
	size_t n = 0;
	int r;

	for (char *p = request; p < request + len && n < SPAWNER_ARGS_MAX; p += strlen(p) + 1)
		argv[n++] = p;
	argv[n] = NULL;
	r = n ? child_start(&c, argv) : -EINVAL;
	if (r == 0 && c.pidfd < 0)
		r = -EMFILE;
	answer(fd, r, &c);
	child_close(&c);
}

static _Noreturn void helper(int fd)
{
	static char request[SPAWNER_BYTES_MAX + 1];
	sigset_t all;
	ssize_t n;

	prctl(PR_SET_NAME, "holdfast-spawn");
	/* What whoever started us left open is nobody's business. */
	if (fd > 3)
		close_range(3, (unsigned)fd - 1, 0);
	close_range((unsigned)fd + 1, ~0U, 0);
	/* Ends with its parent, not by what a terminal sends to both. Children are reaped by the kernel. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		n = recv(fd, request, SPAWNER_BYTES_MAX, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		request[n] = '\0';
		serve(fd, request, (size_t)n);
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
	pthread_mutex_init(&s->lock, NULL);
	*ret = s;
	return 0;
}

void spawner_stop(struct spawner *s)
{
	close(s->fd);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int receive(int fd, int *ret_stdin, int *ret_pidfd)
{
	int result = -EPIPE, fds[2] = { -1, -1 };
	struct iovec iov = { &result, sizeof(result) };
	union {
		struct cmsghdr header;
		char data[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.data, .msg_controllen = sizeof(control.data)
	};
	ssize_t n;

	do
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(result))
		return n < 0 ? -errno : -EPIPE;
	if (result < 0)
		return result;
	if (!CMSG_FIRSTHDR(&m) || CMSG_FIRSTHDR(&m)->cmsg_len != CMSG_LEN(sizeof(fds)))
		return -EBADMSG;
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fds));
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	*ret_stdin = fds[0];
	*ret_pidfd = fds[1];
	return 0;
}

int spawner_run(struct spawner *s, const char *const *argv, size_t n, int *ret_stdin, int *ret_pidfd)
{
	char request[SPAWNER_BYTES_MAX];
	size_t len = 0;
	int r = 0;

	if (!n || n > SPAWNER_ARGS_MAX || argv[0][0] != '/')
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		size_t size = strlen(argv[i]) + 1;

		if (len + size > sizeof(request))
			return -E2BIG;
		memcpy(request + len, argv[i], size);
		len += size;
	}
	pthread_mutex_lock(&s->lock);
	if (send(s->fd, request, len, MSG_NOSIGNAL) < 0)
		r = -errno;
	if (r == 0)
		r = receive(s->fd, ret_stdin, ret_pidfd);
	pthread_mutex_unlock(&s->lock);
	return r;
}
