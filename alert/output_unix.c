/* Output unix: lines to a stream socket at a path; and what other outputs need of such sockets. On the output's thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "alert/output.h"
#include "lib/util.h"

#define LINES_MAX 64

int output_connect_path(struct output *o, const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return output_fail(o, -errno, "socket");
	if (strlen(path) >= sizeof(address.sun_path))
		return output_fail(o, -ENAMETOOLONG, path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	/* A listener whose backlog is full says EAGAIN: it is asked again later. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return output_fail(o, -errno, path);
	return TAKE_FD(fd);
}

static int unix_open(struct output *o)
{
	o->fd = output_connect_path(o, o->c->path, SOCK_STREAM);
	return o->fd < 0 ? o->fd : 0;
}

/* One that went away since the last delivery would take bytes that nobody reads. */
static bool is_hung_up(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char byte;

	return poll(&p, 1, 0) > 0 &&
	       (p.revents & (POLLHUP | POLLERR) || recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0);
}

static int unix_send(struct output *o, const struct buf *b, size_t n)
{
	return is_hung_up(o->fd) ? output_fail(o, -EPIPE, o->c->path) : output_send_read(o, b, n, TIOCOUTQ);
}

const struct output_type output_unix = {
	.name = "unix",
	.on_disk = true,
	.batch_max = LINES_MAX,
	.open = unix_open,
	.send = unix_send,
	.close = output_close_fd,
};
