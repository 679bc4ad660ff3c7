/* Whole reads and writes of descriptors, messages with descriptors. No state; any thread. */
#include "lib/io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"

#define PIECE (16 * KIB)

int io_read_all(int fd, size_t max, struct buf *ret)
{
	size_t room = max + 1;

	while (room) {
		ssize_t n;

		if (!buf_reserve(ret, MIN(PIECE, room)))
			return -ENOMEM;
		n = read(fd, ret->data + ret->len, MIN(PIECE, room));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ret->len += (size_t)n;
		ret->data[ret->len] = '\0';
		room -= (size_t)n;
		if (!n)
			return 0;
	}
	return -EFBIG;
}

int io_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* --- descriptors that go along */

union control {
	struct cmsghdr header;
	char data[CMSG_SPACE(IO_FDS_MAX * sizeof(int))];
};

ssize_t io_send(int fd, const struct iovec *iov, size_t n, const int *fds, size_t n_fds, int flags)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	union control control = { .data = { 0 } };
	ssize_t r;

	if (n_fds > IO_FDS_MAX)
		return -EINVAL;
	if (n_fds) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
		m.msg_control = control.data;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	do
		r = sendmsg(fd, &m, flags | MSG_NOSIGNAL);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

/* At most `room` into fds; the others are closed. How many. */
static size_t take_fds(struct msghdr *m, int *fds, size_t room)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int all[IO_FDS_MAX];
	size_t n = 0;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		n = MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), (size_t)IO_FDS_MAX);
	if (!n)
		return 0;
	memcpy(all, CMSG_DATA(c), n * sizeof(int));
	for (size_t i = 0; i < n; i++) {
		if (i < room)
			fds[i] = all[i];
		else
			close(all[i]);
	}
	return MIN(n, room);
}

ssize_t io_receive(int fd, const struct iovec *iov, size_t n, int *fds, size_t *n_fds, int flags)
{
	struct msghdr m = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	size_t room = n_fds ? *n_fds : 0;
	union control control;
	ssize_t r;

	if (n_fds) {
		m.msg_control = control.data;
		m.msg_controllen = sizeof(control.data);
		*n_fds = 0;
	}
	do
		r = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (n_fds)
		*n_fds = take_fds(&m, fds, m.msg_flags & MSG_TRUNC ? 0 : room);
	return m.msg_flags & MSG_TRUNC ? -EMSGSIZE : r;
}
