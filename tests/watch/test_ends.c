/* watch/bpf_calls on the running kernel: ends of connections, with what went through. */
#include "tests/watch/sockets.h"

#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

/* Takes what comes until that many ends of connections are told; they come on behalf of nobody. */
static void take_ends(struct fixture *f, uint64_t wanted)
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS, n = 0;

	while (n < wanted && clock_mono_ns() < deadline) {
		struct pollfd p = { .fd = bpf_calls_fd(f->b), .events = POLLIN };

		poll(&p, 1, 10);
		bpf_calls_take(f->b, 100, on_call, f);
		bpf_calls_counted(f->b, on_call, f);
		n = 0;
		for (size_t i = 0; i < f->n; i++)
			n += f->told[i].socket.op == SOCKET_CLOSE ? f->told[i].count : 0;
	}
	assert_int_equal(n, wanted);
}

static void want_ends(struct fixture *f)
{
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] |= call_table[i].filter == CALL_END;
	bpf_calls_want(f->b, &f->wants);
}

static void move(int from, int to, size_t len)
{
	static char data[4096];

	NEED(len <= sizeof(data));
	NEED(send(from, data, len, 0) == (ssize_t)len && recv(to, data, len, MSG_WAITALL) == (ssize_t)len);
}

static void act_ends(void)
{
	struct sockaddr_in a = loopback(port);
	int server = listener(), client = socket(AF_INET, SOCK_STREAM, 0), peer;
	char c;

	NEED(connect(client, (struct sockaddr *)&a, sizeof(a)) == 0);
	peer = accept(server, NULL, NULL);
	NEED(peer >= 0);
	move(client, peer, 1000);
	move(peer, client, 3000);
	close(client);
	NEED(recv(peer, &c, 1, 0) == 0);
	close(peer);
	/* What came to nothing has no end. */
	close(server);
	NEED(connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a)) < 0);
}

static void test_ends(void **state)
{
	struct fixture *f = *state;
	char ends[64];
	size_t n = 0;

	NEED_CALLS(f);
	want_ends(f);
	if (!bpf_calls_ends(f->b)) {
		print_message("skipped: ends of connections are not told here\n");
		skip();
	}
	port = free_port();
	child(f, act_ends);
	take_ends(f, 2);
	snprintf(ends, sizeof(ends), "127.0.0.1:%u->127.0.0.1:%u", find(f, "connect")->socket.local_port, port);
	for (size_t i = 0; i < f->n; i++) {
		const struct told *t = &f->told[i];

		if (t->socket.op != SOCKET_CLOSE)
			continue;
		n++;
		assert_string_equal(t->call, "tcp_close");
		assert_string_equal(t->tuple, ends);
		assert_string_equal(t->l4, "tcp");
		assert_int_equal(t->socket.sent, t->socket.accepted ? 3000 : 1000);
		assert_int_equal(t->socket.received, t->socket.accepted ? 1000 : 3000);
		assert_int_equal(t->socket.ino, find(f, t->socket.accepted ? "accept" : "connect")->socket.ino);
		assert_true(t->socket.open_ns > 0 && t->socket.open_ns < DEADLINE_NS);
	}
	assert_int_equal(n, 2);
}

static void test_ends_flood(void **state)
{
	uint64_t n[2] = { 0 }, bytes[2] = { 0 }, lost[BPF_CALL_PROGRAMS];
	struct fixture *f = *state;

	NEED_CALLS(f);
	want_ends(f);
	if (!bpf_calls_ends(f->b))
		skip();
	port = free_port();
	child(f, act_flood);
	take_ends(f, 2 * FLOOD);
	for (size_t i = 0; i < f->n; i++) {
		const struct event_socket *s = &f->told[i].socket;

		if (s->op != SOCKET_CLOSE)
			continue;
		n[s->accepted] += f->told[i].count;
		bytes[s->accepted] += s->accepted ? s->received : s->sent;
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(n[i], FLOOD);
		assert_int_equal(bytes[i], 3 * FLOOD);
	}
	assert_true(f->n < 30);
	bpf_calls_lost(f->b, lost);
	assert_int_equal(lost[BPF_PROGRAM_ENDS], 0);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_flood, setup, teardown),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
