/* The asking side of the control socket: one request, one reply, with a deadline. Any thread; no state. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/control.h"
#include "lib/clock.h"

/* 0 when fd is ready. */
static int client_wait(int fd, short events, uint64_t deadline)
{
	for (;;) {
		uint64_t now = clock_mono_ns();
		struct pollfd p = { .fd = fd, .events = events };
		int r;

		if (now >= deadline)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((deadline - now) / NSEC_PER_MSEC) + 1);
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int client_connect(const char *path, uint64_t deadline, int *ret)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (fd < 0)
		return -errno;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	while (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		if (errno != EAGAIN)
			return -errno;
		if (clock_mono_ns() > deadline)
			return -ETIMEDOUT;
		poll(NULL, 0, 10); /* the listener's backlog is full */
	}
	*ret = TAKE_FD(fd);
	return 0;
}

static int client_send(int fd, const struct buf *text, uint64_t deadline)
{
	for (size_t sent = 0; sent < text->len;) {
		ssize_t n = send(fd, text->data + sent, text->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		r = client_wait(fd, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

static int client_receive(int fd, struct buf *text, uint64_t deadline)
{
	while (!text->len || text->data[text->len - 1] != '\n') {
		char bytes[4096];
		ssize_t n;
		int r = client_wait(fd, POLLIN, deadline);

		if (r < 0)
			return r;
		n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 || text->len > 2 * CONTROL_REPLY_MAX)
			return -EPROTO;
		buf_add(text, bytes, (size_t)n);
		if (text->failed)
			return -ENOMEM;
	}
	return 0;
}

static int client_ask(const char *path, const struct buf *request, uint64_t deadline, json_t **ret)
{
	_cleanup_close_ int fd = -1;
	_cleanup_buf_ struct buf reply = BUF_INIT;
	int r = client_connect(path, deadline, &fd);

	if (r == 0)
		r = client_send(fd, request, deadline);
	if (r == 0 || r == -EPIPE)
		r = client_receive(fd, &reply, deadline);
	if (r < 0)
		return r;
	*ret = json_loadb(reply.data, reply.len, 0, NULL);
	return *ret ? 0 : -EPROTO;
}

int control_call(const char *path, json_t *request, uint64_t timeout_ns, json_t **ret, struct buf *err)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char *dump = json_dumps(request, JSON_COMPACT | JSON_ENSURE_ASCII);
	int r;

	if (dump)
		buf_str(&text, dump);
	free(dump);
	buf_char(&text, '\n');
	if (text.failed || text.len < 2)
		return -ENOMEM;
	r = client_ask(path, &text, clock_mono_ns() + timeout_ns, ret);
	if (r == -ENOENT || r == -ECONNREFUSED)
		buf_printf(err, "no monitor is running (nobody listens on %s)", path);
	else if (r == -EACCES || r == -EPERM)
		buf_printf(err, "control socket %s: not allowed: root and members of group %s may ask", path,
			   CONTROL_GROUP);
	else if (r == -ETIMEDOUT)
		buf_printf(err, "the monitor did not answer on %s", path);
	else if (r < 0)
		buf_printf(err, "control socket %s: %s", path, strerror(-r));
	return r;
}
