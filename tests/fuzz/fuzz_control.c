/*
 * Fuzz target: what a client sends to the control socket, in one piece or (first byte odd) in pieces of that many bytes.
 * Every answer is a line of JSON that says whether it is ok; nobody is asked without a request, and the client is let go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct client {
	struct loop *loop;
	int fd;
	const uint8_t *data;
	size_t size, piece;
	unsigned asked, answered;
	struct buf in;
};

static void check(int good)
{
	if (!good)
		abort();
}

static json_t *answer(const char *request, json_t *body, void *data)
{
	struct client *c = data;

	check(json_is_object(body) && json_string_value(json_object_get(body, "request")) == request);
	c->asked++;
	return json_pack("{s:b, s:O}", "ok", 1, "body", body);
}

static void read_answers(struct client *c)
{
	const char *line = c->in.data, *end;

	for (size_t left = c->in.len; left; left -= (size_t)(end - line), line = end) {
		json_t *reply;

		end = memchr(line, '\n', left);
		check(end != NULL);
		end++;
		reply = json_loadb(line, (size_t)(end - line), 0, NULL);
		check(json_is_boolean(json_object_get(reply, "ok")));
		c->answered += json_is_true(json_object_get(reply, "ok"));
		json_decref(reply);
	}
}

static void send_piece(struct client *c)
{
	size_t len = c->piece && c->piece < c->size ? c->piece : c->size;
	ssize_t n = len ? send(c->fd, c->data, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n > 0) {
		c->data += n;
		c->size -= (size_t)n;
	}
	/* Sent away: what the server wrote before is still there to be read. */
	if (n < 0 && errno != EAGAIN)
		c->size = 0;
	if (!c->size)
		shutdown(c->fd, SHUT_WR);
}

static int on_client(struct loop_source *source, uint32_t events, void *data)
{
	struct client *c = data;
	char bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)source;
	if (n > 0)
		buf_add(&c->in, bytes, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		loop_stop(c->loop);
	if (c->size && events & EPOLLOUT)
		send_piece(c);
	return 0;
}

static int reach(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, strlen(path) + 1);
	check(fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct client c = { .fd = -1, .in = BUF_INIT };
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct loop_source *source;
	struct control *control = NULL;
	char dir[] = "/tmp/fuzz-control.XXXXXX", path[sizeof(dir) + 8];

	if (size < 2)
		return 0;
	c.piece = data[0] & 1 ? data[0] : 0;
	c.data = data + 1;
	c.size = size - 1;
	check(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/sock", dir);
	check(loop_new(&c.loop) == 0 && control_listen(c.loop, path, answer, &c, &control, &err) == 0);
	c.fd = reach(path);
	check(loop_add_fd(c.loop, c.fd, EPOLLIN | EPOLLOUT, on_client, &c, &source) == 0);
	check(loop_run(c.loop) == 0);
	read_answers(&c);
	check(c.answered <= c.asked);
	loop_remove(source);
	control_close(control);
	loop_free(c.loop);
	close(c.fd);
	buf_free(&c.in);
	check(rmdir(dir) == 0);
	return 0;
}
