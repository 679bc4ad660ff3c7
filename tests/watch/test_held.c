/* watch/bpf/held.h on the running kernel: connections that come to another program with their descriptor. */
#include "tests/watch/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define HF_PIDFD_GETFD 438 /* Linux 5.6 */
#define MANY	       253 /* SCM_MAX_FD */

static uint16_t udp_port;

static int setup_held(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	f->wants.calls = calloc(call_count, sizeof(bool));
	f->wants.unix_too = true;
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] = call_table[i].filter == CALL_INHERIT || streq(call_table[i].name, "delete_module");
	are_loaded(bpf_calls_open(&f->exits, &f->wants, 0, &f->b, &err), &err);
	*state = f;
	return 0;
}

/* A connection to the server at port. */
static int connected(int flags)
{
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	NEED(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static int udp_connected(void)
{
	struct sockaddr_in a = loopback(udp_port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	NEED(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
	return fd;
}

static const struct told *told_of(const struct fixture *f, const char *l4)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->told[i].l4 && streq(f->told[i].l4, l4))
			return &f->told[i];
	return NULL;
}

static void check_told(const struct fixture *f, uint64_t tcp, uint64_t udp)
{
	uint64_t n[2] = { 0 };

	for (size_t i = 0; i < f->n; i++) {
		const struct told *t = &f->told[i];
		bool is_tcp = streq(t->l4, "tcp");

		assert_string_equal(t->call, "socket_inherit");
		assert_int_equal(t->socket.op, SOCKET_INHERIT);
		assert_int_equal(t->socket.remote_port, is_tcp ? port : udp_port);
		assert_int_equal(t->result, 0);
		n[is_tcp ? 0 : 1] += t->count;
	}
	assert_int_equal(n[0], tcp);
	assert_int_equal(n[1], udp);
}

/* --- over the start of a program */

static void act_start(void)
{
	char *argv[] = { (char *)"/proc/self/exe", (char *)"end", NULL };
	int pair[2];

	listener();
	connected(0);
	connected(SOCK_CLOEXEC); /* not there any more */
	NEED(dup2(connected(SOCK_CLOEXEC), 200) == 200);
	udp_connected();
	/* No connections: a server, one that is not connected, ends of this machine. */
	NEED(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	execv(argv[0], argv);
	_exit(98);
}

static void test_start(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	port = free_port();
	udp_port = free_port();
	child(f, act_start);
	check_told(f, 2, 1);
	assert_true(told_of(f, "tcp")->socket.connected);
}

/* --- from another process */

/* In a process of its own: what it makes is handed on, then it waits. */
static void hand_on(int to, const int *fds, size_t n, unsigned int messages)
{
	char control[CMSG_SPACE(sizeof(int) * MANY)], byte = 'x';
	struct iovec iov = { &byte, 1 };

	for (unsigned int i = 0; i < messages; i++) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
		struct cmsghdr *c = (struct cmsghdr *)control;

		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		memset(control, 0, sizeof(control));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
		NEED(sendmsg(to, &m, 0) == 1);
	}
	pause();
}

static pid_t maker(int to, bool many, unsigned int messages)
{
	pid_t pid = fork();
	int fds[MANY];

	if (pid != 0)
		return pid;
	listener();
	fds[0] = connected(0);
	fds[1] = udp_connected();
	fds[2] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (size_t i = 3; i < MANY; i++)
		fds[i] = fds[0];
	hand_on(to, fds, many ? MANY : 3, messages);
	_exit(0);
}

static void end_maker(pid_t pid)
{
	NEED(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void receive(bool many)
{
	static char control[CMSG_SPACE(sizeof(int) * MANY)];
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	int pair[2];
	pid_t pid;

	NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	pid = maker(pair[1], many, 1);
	NEED(recvmsg(pair[0], &m, 0) == 1 && m.msg_controllen > 0);
	end_maker(pid);
}

static void act_message(void)
{
	receive(false);
}

static void act_many(void)
{
	receive(true);
}

static void test_message(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	port = free_port();
	udp_port = free_port();
	child(f, act_message);
	check_told(f, 1, 1);
	child(f, act_many);
	check_told(f, MANY - 2, 1);
}

static void act_messages(void)
{
	char control[2][256], byte;
	struct iovec iov = { &byte, 1 };
	struct mmsghdr m[2] = { 0 };
	int pair[2];
	pid_t pid;

	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof(control[i])
		};
	NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	pid = maker(pair[1], false, 2);
	NEED(recvmmsg(pair[0], m, 2, 0, NULL) == 2);
	end_maker(pid);
}

static void test_messages(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	port = free_port();
	udp_port = free_port();
	child(f, act_messages);
	check_told(f, 2, 2);
}

static void act_take(void)
{
	int pair[2], pidfd, fd;
	pid_t pid;

	NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	pid = fork();
	if (pid == 0) {
		listener();
		fd = connected(0);
		NEED(write(pair[1], &fd, sizeof(fd)) == sizeof(fd));
		pause();
	}
	NEED(read(pair[0], &fd, sizeof(fd)) == sizeof(fd));
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	NEED(pidfd >= 0 && syscall(HF_PIDFD_GETFD, pidfd, fd, 0) >= 0);
	end_maker(pid);
}

static void test_take(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	port = free_port();
	udp_port = free_port();
	child(f, act_take);
	check_told(f, 1, 0);
}

#if defined(__x86_64__)
static long call_32(long number, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "r8", "r9", "r10", "r11", "memory");
	return r;
}

#define RECVMSG_32 372

/* Pointers have 32 bits, and so has the length of control data. */
static void act_compat(void)
{
	struct {
		char byte, control[256];
		uint32_t iov[2];
		uint32_t message[7]; /* name, its length, iov, number of them, control, its length, flags */
	} *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int pair[2];
	pid_t pid;

	NEED(low != MAP_FAILED && socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	low->iov[0] = (uint32_t)(uintptr_t)&low->byte;
	low->iov[1] = 1;
	low->message[2] = (uint32_t)(uintptr_t)low->iov;
	low->message[3] = 1;
	low->message[4] = (uint32_t)(uintptr_t)low->control;
	low->message[5] = sizeof(low->control);
	pid = maker(pair[1], false, 1);
	NEED(call_32(RECVMSG_32, pair[0], (long)low->message, 0) == 1 && low->message[5] > 0);
	end_maker(pid);
}

static void test_compat(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	NEED_CALLS(f);
	pid = fork();
	if (pid == 0)
		_exit(call_32(20, 0, 0, 0) == getpid() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status) {
		print_message("skipped: the kernel takes no calls of 32-bit programs\n");
		skip();
	}
	port = free_port();
	udp_port = free_port();
	child(f, act_compat);
	check_told(f, 1, 1);
}
#endif

/* Control data that says what is not so. */
static void act_hostile(void)
{
	/* struct cmsghdr, and what is behind it */
	struct {
		size_t len;
		int level, type, fds[2];
	} lies[] = {
		{ SIZE_MAX, SOL_SOCKET, SCM_RIGHTS, { 0, 1 } },
		{ 0, SOL_SOCKET, SCM_RIGHTS, { 0, 1 } },
		{ sizeof(lies[0]), SOL_SOCKET, SCM_RIGHTS, { -1, 0x7fffffff } },
	};
	char byte = 'x', *end = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec iov = { &byte, 1 };
	int pair[2];

	NEED(end != MAP_FAILED && munmap(end + 4096, 4096) == 0);
	NEED(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &lies[i], .msg_controllen = sizeof(lies[i]) };

		/* The kernel says that it put nothing there. */
		NEED(send(pair[1], &byte, 1, 0) == 1 && recvmsg(pair[0], &m, 0) == 1);
	}
	/* A message at the end of what is mapped. */
	NEED(send(pair[1], &byte, 1, 0) == 1);
	NEED(syscall(SYS_recvmsg, pair[0], end + 4096 - 8, 0) < 0 && errno == EFAULT);
}

static void test_hostile(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	child(f, act_hostile);
	assert_int_equal(f->n, 0);
}

/* Nobody asks any more. */
static void test_unasked(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] = streq(call_table[i].name, "delete_module");
	bpf_calls_want(f->b, &f->wants);
	port = free_port();
	udp_port = free_port();
	child(f, act_start);
	assert_int_equal(f->n, 0);
	child(f, act_message);
	assert_int_equal(f->n, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_start, setup_held, teardown),
		cmocka_unit_test_setup_teardown(test_message, setup_held, teardown),
		cmocka_unit_test_setup_teardown(test_messages, setup_held, teardown),
		cmocka_unit_test_setup_teardown(test_take, setup_held, teardown),
#if defined(__x86_64__)
		cmocka_unit_test_setup_teardown(test_compat, setup_held, teardown),
#endif
		cmocka_unit_test_setup_teardown(test_hostile, setup_held, teardown),
		cmocka_unit_test_setup_teardown(test_unasked, setup_held, teardown),
	};

	/* The program that is started: the call that ends what the child does. */
	if (argc == 2 && streq(argv[1], "end")) {
		syscall(SYS_delete_module, "holdfast-no-such-module", 0);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
