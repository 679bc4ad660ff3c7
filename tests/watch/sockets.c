#include "tests/watch/sockets.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	_cleanup_buf_ struct buf err = BUF_INIT;

	f->wants.calls = calloc(call_count, sizeof(bool));
	f->wants.unix_too = true;
	for (size_t i = 0; i < call_count; i++)
		f->wants.calls[i] = (call_has_socket(&call_table[i]) && call_table[i].filter < CALL_END) ||
				    streq(call_table[i].name, "delete_module");
	are_loaded(bpf_calls_open(&f->exits, &f->wants, 0, &f->b, &err), &err);
	*state = f;
	return 0;
}

int teardown(void **state)
{
	struct fixture *f = *state;

	bpf_calls_close(f->b);
	free(f->wants.calls);
	free(f);
	return 0;
}

void on_call(const struct bpf_call_event *e, void *data)
{
	_cleanup_buf_ struct buf tuple = BUF_INIT;
	struct fixture *f = data;
	struct told *t = &f->told[f->n];

	if (e->tgid != f->pid)
		return;
	if (!e->of_socket) {
		f->end = true;
		return;
	}
	f->counted += e->count;
	if (f->n == TOLD_MAX)
		return;
	socket_tuple(&tuple, &e->socket);
	*t = (struct told){ .call = e->info->name, .result = e->result, .count = e->count, .socket = e->socket };
	t->l4 = socket_l4(&e->socket);
	t->socket.name = NULL;
	t->socket.data = NULL;
	snprintf(t->tuple, sizeof(t->tuple), "%s", tuple.data ?: "");
	f->n++;
}

void child(struct fixture *f, void (*act)(void))
{
	uint64_t deadline = clock_mono_ns() + DEADLINE_NS;
	int status;

	f->n = 0;
	f->counted = 0;
	f->end = false;
	f->pid = fork();
	if (f->pid == 0) {
		act();
		syscall(SYS_delete_module, "holdfast-no-such-module", 0);
		_exit(0);
	}
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	while (!f->end) {
		struct pollfd p = { .fd = bpf_calls_fd(f->b), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(bpf_calls_take(f->b, 100, on_call, f) >= 0);
		assert_true(clock_mono_ns() < deadline);
	}
	bpf_calls_counted(f->b, on_call, f);
	bpf_calls_counted(f->b, on_call, f);
}

const struct told *find(const struct fixture *f, const char *call)
{
	for (size_t i = 0; i < f->n; i++)
		if (streq(f->told[i].call, call))
			return &f->told[i];
	print_message("no %s among %zu\n", call, f->n);
	assert_true(false);
	return NULL;
}

uint16_t port;

struct sockaddr_in loopback(uint16_t at)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(at),
				     .sin_addr = { htonl(INADDR_LOOPBACK) } };
}

uint16_t free_port(void)
{
	struct sockaddr_in a = loopback(0);
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

int listener(void)
{
	struct sockaddr_in a = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	NEED(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0);
	NEED(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 16) == 0);
	return fd;
}

void act_flood(void)
{
	struct sockaddr_in a = loopback(port);
	int server = listener();

	for (int i = 0; i < FLOOD; i++) {
		struct linger now = { 1, 0 };
		int fd = socket(AF_INET, SOCK_STREAM, 0), peer;

		NEED(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
		peer = accept(server, NULL, NULL);
		NEED(send(fd, "abc", 3, 0) == 3);
		NEED(peer >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
		close(fd);
		close(peer);
	}
}
