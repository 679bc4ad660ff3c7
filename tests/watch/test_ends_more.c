/*
 * watch/bpf_calls on the running kernel: ends of what is no plain TCP connection that was made since: UDP sockets, one
 * for each peer; connections that were there before; accepted through io_uring; over several ways (MPTCP).
 */
#include "tests/watch/sockets.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/io_uring.h>

#include "proc/sockets.h"

#define HF_MPTCP 262 /* IPPROTO_MPTCP */

static size_t ends(const struct fixture *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n; i++)
		n += f->told[i].socket.op == SOCKET_CLOSE ? f->told[i].count : 0;
	return n;
}

static void take_ends(struct fixture *f, size_t wanted)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;

	while (ends(f) < wanted && clock_mono_ns() < deadline) {
		struct pollfd p = { .fd = bpf_calls_fd(f->b), .events = POLLIN };

		poll(&p, 1, 10);
		bpf_calls_take(f->b, 100, on_call, f);
		bpf_calls_counted(f->b, on_call, f);
	}
	assert_int_equal(ends(f), wanted);
}

static void want(struct fixture *f, enum call_filter filter)
{
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] |= call_table[i].filter == filter;
	bpf_calls_want(f->b, &f->wants);
}

static void move(int from, int to, size_t len)
{
	static char data[4096];

	NEED(send(from, data, len, 0) == (ssize_t)len && recv(to, data, len, MSG_WAITALL) == (ssize_t)len);
}

static const struct event_socket *end_of(const struct fixture *f, uint16_t local_port, uint16_t remote_port)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct event_socket *s = &f->told[i].socket;

		if (s->op == SOCKET_CLOSE && s->local_port == local_port &&
		    (s->has_remote ? s->remote_port : 0) == remote_port)
			return s;
	}
	fail_msg("no end of %u to %u", local_port, remote_port);
	return NULL;
}

/* --- UDP */

#define PEERS 10 /* more than are counted each */

static uint16_t *ports; /* shared: of a server and its peers */

/* Each at an address of its own: those of one address are counted together. */
static uint16_t bound(int fd, size_t i)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)i);
	NEED(bind(fd, (struct sockaddr *)&a, len) == 0 && getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	return ntohs(a.sin_port);
}

/* Each peer sends, and gets, so many bytes, which the kernel lets wait. */
static void act_datagrams(void)
{
	int server = socket(AF_INET, SOCK_DGRAM, 0), fd;
	static char data[4096];

	ports[0] = bound(server, 0);
	for (size_t i = 1; i <= PEERS; i++) {
		struct sockaddr_in to = loopback(ports[0]), from;
		socklen_t len = sizeof(from);

		fd = socket(AF_INET, SOCK_DGRAM, 0);
		ports[i] = bound(fd, i);
		for (int k = 0; k < 3; k++)
			NEED(sendto(fd, data, 100 + i, 0, (struct sockaddr *)&to, sizeof(to)) > 0);
		for (int k = 0; k < 3; k++)
			NEED(recvfrom(server, data, sizeof(data), 0, (struct sockaddr *)&from, &len) > 0);
		NEED(sendto(server, data, 1000 + i, 0, (struct sockaddr *)&from, len) > 0);
		NEED(recv(fd, data, sizeof(data), 0) == (ssize_t)(1000 + i));
		close(fd);
	}
	close(server);
}

static void test_datagrams(void **state)
{
	/* Of the peers, which are alike for the kernel, and of the server. */
	uint64_t n[2] = { 0 }, sent[2] = { 0 }, received[2] = { 0 };
	const uint64_t small = 3 * (PEERS * 100 + PEERS * (PEERS + 1) / 2),
		       big = PEERS * 1000 + PEERS * (PEERS + 1) / 2;
	struct fixture *f = *state;

	NEED_CALLS(f);
	want(f, CALL_DATAGRAM_END);
	if (!bpf_calls_datagram_ends(f->b)) {
		print_message("skipped: ends of UDP sockets are not told here\n");
		skip();
	}
	ports = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	child(f, act_datagrams);
	/* The server's: one for each of so many peers, and one for the others. */
	take_ends(f, PEERS + BPF_DATAGRAM_PEERS + 1);
	for (size_t i = 0; i < f->n; i++) {
		const struct event_socket *s = &f->told[i].socket;

		if (s->op != SOCKET_CLOSE)
			continue;
		assert_string_equal(f->told[i].call, "udp_close");
		assert_string_equal(f->told[i].l4, "udp");
		assert_int_equal(s->accepted, s->local_port == ports[0]);
		assert_true(s->open_ns > 0 && s->open_ns < DEADLINE_NS);
		n[s->accepted] += f->told[i].count;
		sent[s->accepted] += s->sent;
		received[s->accepted] += s->received;
	}
	assert_int_equal(n[0], PEERS);
	assert_true(sent[0] == small && received[0] == big && sent[1] == big && received[1] == small);
	for (size_t i = 1; i <= BPF_DATAGRAM_PEERS; i++) {
		assert_int_equal(end_of(f, ports[0], ports[i])->sent, 1000 + i);
		assert_int_equal(end_of(f, ports[0], ports[i])->received, 3 * (100 + i));
	}
	/* The rest. */
	assert_false(end_of(f, ports[0], 0)->has_remote);
	munmap(ports, 4096);
}

/* --- there before */

static struct {
	int fd[3]; /* a listener, and both ends */
	uint16_t port, client;
} before;

static void open_before(void)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);

	before.fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	before.fd[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(before.fd[0], (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(before.fd[0], 1), 0);
	assert_int_equal(getsockname(before.fd[0], (struct sockaddr *)&a, &len), 0);
	before.port = ntohs(a.sin_port);
	assert_int_equal(connect(before.fd[1], (struct sockaddr *)&a, len), 0);
	before.fd[2] = accept4(before.fd[0], NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(getsockname(before.fd[1], (struct sockaddr *)&a, &len), 0);
	before.client = ntohs(a.sin_port);
}

static void on_found(int32_t pid, const struct event_socket *s, void *data)
{
	struct fixture *f = data;

	if (pid != getpid() || !s->connected || (s->local_port != before.port && s->local_port != before.client))
		return;
	assert_int_equal(s->accepted, s->local_port == before.port);
	assert_true(s->cookie != 0);
	/* Whose it is is said by user space: by this it is found again. */
	assert_int_equal(bpf_calls_adopt(f->b, s, f->pid, 1), 0);
}

static void *find_before(void *data)
{
	struct sockets_found found = { 0 };
	static atomic_bool stop;

	sockets_each("/proc", 0, &stop, on_found, data, &found);
	return NULL;
}

static int open_setup(void **state)
{
	open_before();
	return setup(state);
}

static void test_before(void **state)
{
	const struct event_socket *s;
	struct fixture *f = *state;
	pthread_t thread;

	NEED_CALLS(f);
	want(f, CALL_END);
	if (!bpf_calls_ends(f->b))
		skip();
	f->pid = 999999;
	assert_int_equal(pthread_create(&thread, NULL, find_before, f), 0);
	pthread_join(thread, NULL);
	move(before.fd[1], before.fd[2], 1234);
	for (int i = 0; i < 3; i++)
		close(before.fd[i]);
	take_ends(f, 2);
	s = end_of(f, before.client, before.port);
	assert_int_equal(s->sent, 1234);
	assert_false(s->accepted);
	assert_int_equal(s->open_ns, 0); /* unknown */
	s = end_of(f, before.port, before.client);
	assert_int_equal(s->received, 1234);
	assert_true(s->accepted);
}

/* --- io_uring */

/* The descriptor; negative: it failed. */
static int uring_accept(int server)
{
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p);
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	uint8_t *ring;

	if (fd < 0 || !(p.features & IORING_FEAT_SINGLE_MMAP))
		return -1;
	ring = mmap(NULL, p.sq_off.array + p.cq_off.cqes + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    IORING_OFF_SQ_RING);
	sqe = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	NEED(ring != MAP_FAILED && sqe != MAP_FAILED);
	*sqe = (struct io_uring_sqe){ .opcode = IORING_OP_ACCEPT, .fd = server };
	memset(ring + p.sq_off.array, 0, sizeof(uint32_t));
	atomic_store((_Atomic uint32_t *)(void *)(ring + p.sq_off.tail), 1);
	/* Somebody connects once it is asked for. */
	NEED(syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0) == 1);
	if (fork() == 0) {
		struct sockaddr_in a = loopback(port);
		int client = socket(AF_INET, SOCK_STREAM, 0);
		static char data[77];

		NEED(connect(client, (struct sockaddr *)&a, sizeof(a)) == 0 && send(client, data, 77, 0) == 77);
		_exit(0);
	}
	NEED(syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0);
	cqe = (void *)(ring + p.cq_off.cqes);
	return cqe->res;
}

static void act_uring(void)
{
	int server = listener(), status, peer;
	char data[78];

	peer = uring_accept(server);
	if (peer < 0)
		return;
	NEED(recv(peer, data, sizeof(data), MSG_WAITALL) == 77);
	NEED(wait(&status) > 0 && status == 0);
	close(peer);
}

static void test_uring(void **state)
{
	struct fixture *f = *state;
	bool any = false;

	NEED_CALLS(f);
	want(f, CALL_END);
	if (!bpf_calls_ends(f->b) || !bpf_calls_uring(f->b)) {
		print_message("skipped: io_uring is not told here\n");
		skip();
	}
	port = free_port();
	child(f, act_uring);
	for (size_t i = 0; i < f->n; i++)
		any |= f->told[i].socket.uring;
	if (!any) {
		print_message("skipped: no io_uring\n");
		skip();
	}
	take_ends(f, 1);
	for (size_t i = 0; i < f->n; i++) {
		const struct event_socket *s = &f->told[i].socket;

		if (s->op != SOCKET_CLOSE)
			continue;
		assert_true(s->accepted && s->local_port == port);
		assert_int_equal(s->received, 77);
		assert_true(s->open_ns > 0);
	}
}

/* --- several ways */

static void act_mptcp(void)
{
	struct sockaddr_in a = loopback(port);
	int server = socket(AF_INET, SOCK_STREAM, HF_MPTCP), client = socket(AF_INET, SOCK_STREAM, HF_MPTCP), peer;

	NEED(bind(server, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(server, 1) == 0);
	NEED(connect(client, (struct sockaddr *)&a, sizeof(a)) == 0);
	peer = accept(server, NULL, NULL);
	move(client, peer, 500);
	move(peer, client, 700);
	close(client);
	close(peer);
	close(server);
}

static void test_mptcp(void **state)
{
	struct fixture *f = *state;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, HF_MPTCP);

	NEED_CALLS(f);
	want(f, CALL_END);
	if (fd < 0 || !bpf_calls_ends(f->b)) {
		print_message("skipped: no MPTCP, or its ends are not told\n");
		skip();
	}
	close(fd);
	port = free_port();
	child(f, act_mptcp);
	take_ends(f, 2);
	for (size_t i = 0; i < f->n; i++) {
		const struct event_socket *s = &f->told[i].socket;

		if (s->op != SOCKET_CLOSE)
			continue;
		assert_int_equal(s->sent, s->accepted ? 700 : 500);
		assert_int_equal(s->received, s->accepted ? 500 : 700);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_datagrams, setup, teardown),
		cmocka_unit_test_setup_teardown(test_before, open_setup, teardown),
		cmocka_unit_test_setup_teardown(test_uring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mptcp, setup, teardown),
	};

	alarm(240);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
