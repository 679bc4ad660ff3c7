/*
 * watch/bpf_calls on the running kernel: calls on sockets, by whom, from where to where, and what came of it; what is
 * counted; what goes through io_uring; and the decoding.
 */
#include "tests/watch/sockets.h"
#include "tests/watch/uring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

/* --- TCP */

static void act_tcp(void)
{
	struct sockaddr_in a = loopback(port);
	int server = listener(), client = socket(AF_INET, SOCK_STREAM, 0), peer;

	NEED(connect(client, (struct sockaddr *)&a, sizeof(a)) == 0);
	peer = accept(server, NULL, NULL);
	NEED(peer >= 0);
	/* As a reverse shell does; nothing is written there. */
	NEED(dup2(client, 0) == 0);
	NEED(dup(client) > 2);
}

static void test_tcp(void **state)
{
	struct fixture *f = *state;
	const struct told *t;
	char ends[64];

	NEED_CALLS(f);
	port = free_port();
	child(f, act_tcp);
	t = find(f, "connect");
	assert_int_equal(t->result, 0);
	assert_string_equal(t->l4, "tcp");
	assert_int_equal(t->socket.family, AF_INET);
	assert_int_equal(t->socket.remote_port, port);
	assert_true(t->socket.local_port != 0 && t->socket.connected && t->socket.ino != 0);
	snprintf(ends, sizeof(ends), "127.0.0.1:%u->127.0.0.1:%u", t->socket.local_port, port);
	assert_string_equal(t->tuple, ends);
	t = find(f, "accept");
	assert_true(t->result > 2);
	assert_int_equal(t->socket.op, SOCKET_ACCEPT);
	/* The same two ends, client first. */
	assert_string_equal(t->tuple, ends);
	snprintf(ends, sizeof(ends), "127.0.0.1:%u", port);
	assert_string_equal(find(f, "bind")->tuple, ends);
	assert_string_equal(find(f, "listen")->tuple, ends);
#ifdef SYS_dup2
	t = find(f, "dup2");
	assert_int_equal(t->result, 0);
	assert_int_equal(t->socket.remote_port, port);
#endif
	for (size_t i = 0; i < f->n; i++)
		assert_string_not_equal(f->told[i].call, "dup");
}

static void act_refused(void)
{
	struct sockaddr_in a = loopback(port);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ECONNREFUSED);
	connect(fd, &none, sizeof(none));
	NEED(connect(-1, (struct sockaddr *)&a, sizeof(a)) < 0);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	char end[64];

	NEED_CALLS(f);
	port = free_port();
	child(f, act_refused);
	assert_int_equal(f->n, 2);
	assert_int_equal(f->told[0].result, -ECONNREFUSED);
	assert_int_equal(f->told[1].result, -EBADF);
	snprintf(end, sizeof(end), "127.0.0.1:%u", port);
	for (size_t i = 0; i < f->n; i++)
		assert_non_null(strstr(f->told[i].tuple, end));
}

static void act_six(void)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback };
	struct sockaddr_in6 mapped = a;
	int fd = socket(AF_INET6, SOCK_STREAM, 0), other = socket(AF_INET6, SOCK_STREAM, 0);

	NEED(connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	NEED(connect(other, (struct sockaddr *)&mapped, sizeof(mapped)) < 0);
}

static void test_six(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fixture *f = *state;

	NEED_CALLS(f);
	if (fd < 0)
		skip();
	close(fd);
	port = free_port();
	child(f, act_six);
	assert_int_equal(f->n, 2);
	assert_int_equal(f->told[0].socket.family, AF_INET6);
	assert_non_null(strstr(f->told[0].tuple, "[::1]:"));
	/* IPv4 through a socket of IPv6 is IPv4. */
	assert_int_equal(f->told[1].socket.family, AF_INET);
	assert_non_null(strstr(f->told[1].tuple, "127.0.0.1:"));
}

/* --- floods */

static void test_flood(void **state)
{
	struct fixture *f = *state;
	uint64_t connects = 0, accepts = 0;

	NEED_CALLS(f);
	port = free_port();
	child(f, act_flood);
	/* All of them, in a few events. */
	assert_true(f->n < 10);
	for (size_t i = 0; i < f->n; i++) {
		connects += streq(f->told[i].call, "connect") ? f->told[i].count : 0;
		accepts += streq(f->told[i].call, "accept") ? f->told[i].count : 0;
	}
	assert_int_equal(connects, FLOOD);
	assert_int_equal(accepts, FLOOD);
	/* Nothing is left to be told again. */
	f->counted = 0;
	bpf_calls_counted(f->b, on_call, f);
	assert_false(bpf_calls_counted(f->b, on_call, f));
	assert_int_equal(f->counted, 0);
}

/* --- datagrams */

static void act_udp(void)
{
	struct sockaddr_in to = loopback(port), other = loopback(port ^ 1);
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct iovec data = { (char *)"x", 1 };
	struct msghdr m = { .msg_name = &other, .msg_namelen = sizeof(other), .msg_iov = &data, .msg_iovlen = 1 };
	int server = socket(AF_INET, SOCK_DGRAM, 0), fd = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	NEED(bind(server, (struct sockaddr *)&to, sizeof(to)) == 0);
	/* Ten to one peer are one event; then another peer, and the first again. */
	for (int i = 0; i < 10; i++)
		NEED(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
	NEED(sendmsg(fd, &m, 0) == 1);
	for (int i = 0; i < 10; i++)
		NEED(recvfrom(server, &c, 1, 0, (struct sockaddr *)&from, &len) == 1);
	/* Of those without an address the connection tells. */
	NEED(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	NEED(send(fd, "x", 1, 0) == 1);
}

static void test_udp(void **state)
{
	struct fixture *f = *state;
	const struct told *t;
	char end[64];

	NEED_CALLS(f);
	port = free_port();
	child(f, act_udp);
	snprintf(end, sizeof(end), "->127.0.0.1:%u", port);
	t = find(f, "sendto");
	assert_string_equal(t->l4, "udp");
	assert_true(t->socket.new_peer && !t->socket.connected);
	assert_int_equal(t->socket.remote_port, port);
	assert_non_null(strstr(t->tuple, end));
	assert_int_equal(find(f, "sendmsg")->socket.remote_port, port ^ 1);
	t = find(f, "recvfrom");
	assert_int_equal(t->socket.local_port, port);
	assert_true(t->socket.has_remote);
	assert_int_equal(find(f, "connect")->socket.remote_port, port);
	/* bind, sendto, sendmsg, recvfrom, connect */
	assert_int_equal(f->n, 5);
}

/* --- unix sockets */

static void act_unix(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0holdfast test" },
			   gone = { AF_UNIX, "/nonexistent/x" };
	socklen_t len = offsetof(struct sockaddr_un, sun_path) + sizeof("\0holdfast test") - 1;
	int server = socket(AF_UNIX, SOCK_STREAM, 0), fd = socket(AF_UNIX, SOCK_STREAM, 0);

	NEED(bind(server, (struct sockaddr *)&a, len) == 0 && listen(server, 1) == 0);
	NEED(connect(fd, (struct sockaddr *)&a, len) == 0);
	NEED(accept(server, NULL, NULL) >= 0);
	NEED(connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&gone, sizeof(gone)) < 0);
}

static void test_unix(void **state)
{
	struct fixture *f = *state;

	NEED_CALLS(f);
	child(f, act_unix);
	assert_int_equal(f->n, 5);
	assert_string_equal(find(f, "bind")->tuple, "@holdfast test");
	assert_string_equal(find(f, "listen")->tuple, "@holdfast test");
	assert_string_equal(find(f, "connect")->tuple, "@holdfast test");
	assert_string_equal(find(f, "accept")->tuple, "@holdfast test");
	assert_string_equal(f->told[4].tuple, "/nonexistent/x");
	assert_int_equal(f->told[4].result, -ENOENT);
	/* Not asked for. */
	f->wants.unix_too = false;
	bpf_calls_want(f->b, &f->wants);
	child(f, act_unix);
	assert_int_equal(f->n, 0);
}

/* --- io_uring */

static void act_uring(void)
{
	struct sockaddr_in a = loopback(port);
	struct iovec data = { (char *)"x", 1 };
	struct msghdr m = { .msg_name = &a, .msg_namelen = sizeof(a), .msg_iov = &data, .msg_iovlen = 1 };
	int fd = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	struct io_uring_sqe connect = { .opcode = IORING_OP_CONNECT,
					.fd = fd,
					.addr = (uintptr_t)&a,
					.off = sizeof(a) },
			    /* Which does not even leave a completion. */
		send = { .opcode = IORING_OP_SENDMSG, .fd = udp, .addr = (uintptr_t)&m, .len = 1 };
	struct uring u;

	NEED(uring_open(&u));
	NEED(uring_do(&u, &connect));
	NEED(uring_do(&u, &send));
}

static void test_uring(void **state)
{
	struct fixture *f = *state;
	struct uring u;
	const struct told *t;

	NEED_CALLS(f);
	if (!bpf_calls_uring(f->b) || !uring_open(&u)) {
		print_message("skipped: no io_uring, or no tracepoint for it\n");
		skip();
	}
	close(u.fd);
	port = free_port();
	child(f, act_uring);
	t = find(f, "connect");
	assert_true(t->socket.uring);
	assert_int_equal(t->result, -EINPROGRESS);
	assert_string_equal(t->l4, "tcp");
	assert_int_equal(t->socket.remote_port, port);
	assert_non_null(strstr(t->tuple, "->127.0.0.1:"));
	t = find(f, "sendmsg");
	assert_true(t->socket.uring && t->socket.new_peer);
	assert_string_equal(t->l4, "udp");
	assert_int_equal(t->socket.remote_port, port);
}

/* --- as 32-bit programs call */

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

/* Pointers have 32 bits. */
static void act_compat(void)
{
	struct {
		struct sockaddr_in address;
		uint32_t args[3];
	} *low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);

	NEED(low != MAP_FAILED);
	low->address = loopback(port);
	/* connect, and the same through socketcall */
	call_32(362, fd, (long)&low->address, sizeof(low->address));
	low->args[0] = (uint32_t)other;
	low->args[1] = (uint32_t)(uintptr_t)&low->address;
	low->args[2] = sizeof(low->address);
	call_32(102, 3, (long)low->args, 0);
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
	child(f, act_compat);
	/* The second is the same again, and counted. */
	assert_int_equal(f->counted, 2);
	assert_string_equal(f->told[0].call, "connect");
	assert_int_equal(f->told[0].result, -ECONNREFUSED);
	assert_int_equal(f->told[0].socket.remote_port, port);
}
#endif

/* --- data */

static void act_receive(void)
{
	int pair[2];
	struct sockaddr_in a = loopback(port);
	char text[300] = "\xca\xfe\xba\xbe and more";

	pair[0] = listener();
	pair[1] = socket(AF_INET, SOCK_STREAM, 0);
	NEED(connect(pair[1], (struct sockaddr *)&a, sizeof(a)) == 0);
	pair[0] = accept(pair[0], NULL, NULL);
	NEED(send(pair[1], text, sizeof(text), 0) == sizeof(text));
	NEED(recv(pair[0], text, sizeof(text), MSG_WAITALL) == sizeof(text));
}

static void test_data(void **state)
{
	struct fixture *f = *state;
	const struct told *t;

	NEED_CALLS(f);
	port = free_port();
	child(f, act_receive);
	for (size_t i = 0; i < f->n; i++)
		assert_string_not_equal(f->told[i].call, "recvfrom");
	f->wants.data = true;
	bpf_calls_want(f->b, &f->wants);
	port = free_port();
	child(f, act_receive);
	t = find(f, "recvfrom");
	assert_int_equal(t->result, 300);
	assert_int_equal(t->socket.data_len, BPF_SOCKET_DATA - 1);
}

/* --- decoding */

static void test_decode(void **state)
{
	const struct call_info *info = call_by_name("connect", 7);
	struct bpf_socket_call c = { .head = { .id = (uint32_t)(info - call_table) + 1, .tgid = 5 } };
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct bpf_call_event e;

	(void)state;
	/* Lengths that nobody wrote. */
	memset(&c.socket, 0xff, sizeof(c.socket));
	memset(c.data, 'd', sizeof(c.data));
	c.socket.name[0] = '\0';
	assert_int_equal(bpf_decode_call(&c, sizeof(c), &a, &e), 0);
	assert_int_equal(strlen(e.socket.name), BPF_SOCKET_NAME);
	assert_int_equal(e.socket.data_len, BPF_SOCKET_DATA);
	assert_null(socket_family(&e.socket));
	assert_null(socket_l4(&e.socket));
	assert_int_equal(bpf_decode_call(&c, sizeof(c) - 1, &a, &e), -EBADMSG);
	assert_int_equal(bpf_decode_call(&c, sizeof(c.head) - 1, &a, &e), -EBADMSG);
	c.socket.name_len = 3;
	memset(c.socket.name, 0, sizeof(c.socket.name));
	assert_int_equal(bpf_decode_call(&c, sizeof(c), &a, &e), 0);
	assert_null(e.socket.name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode),
		cmocka_unit_test_setup_teardown(test_tcp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_six, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_udp, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_uring, setup, teardown),
#if defined(__x86_64__)
		cmocka_unit_test_setup_teardown(test_compat, setup, teardown),
#endif
		cmocka_unit_test_setup_teardown(test_data, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
