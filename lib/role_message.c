/* The messages of roles: one datagram each, at most one descriptor with it. No state. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/role.h"

const char *const role_holds_names[ROLE_HOLDS_COUNT] = {
	"no_new_privileges", "no_capabilities", "nobody", "no_files", "no_network", "seccomp", "limits",
};

union control {
	struct cmsghdr header;
	char data[CMSG_SPACE(sizeof(int))];
};

int role_send(int fd, uint32_t type, const void *data, size_t len, int passed)
{
	uint32_t head[] = { type, (uint32_t)len };
	struct iovec iov[] = { { head, sizeof(head) }, { (void *)(uintptr_t)data, len } };
	union control control = { .header = { 0 } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = len ? 2 : 1 };
	ssize_t n;

	if (len > ROLE_DATA_MAX)
		return -EMSGSIZE;
	if (passed >= 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(passed));
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
		m.msg_control = control.data;
		m.msg_controllen = sizeof(control.data);
	}
	do
		n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static int passed_take(struct msghdr *m)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int role_receive(int fd, int flags, struct role_message *ret, int *ret_passed)
{
	uint32_t head[2] = { 0 };
	struct iovec iov[] = { { head, sizeof(head) }, { ret->data, sizeof(ret->data) } };
	union control control;
	/* Without room for it the kernel drops what was passed. */
	struct msghdr m = { .msg_iov = iov,
			    .msg_iovlen = 2,
			    .msg_control = ret_passed ? control.data : NULL,
			    .msg_controllen = ret_passed ? sizeof(control.data) : 0 };
	_cleanup_close_ int passed = -1;
	ssize_t n;

	do
		n = recvmsg(fd, &m, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	passed = ret_passed ? passed_take(&m) : -1;
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || (size_t)n < sizeof(head) || head[1] != (size_t)n - sizeof(head))
		return -EBADMSG;
	ret->type = head[0];
	ret->len = head[1];
	if (ret_passed)
		*ret_passed = TAKE_FD(passed);
	return 0;
}

int role_body_new(const void *data, size_t len)
{
	_cleanup_close_ int fd = memfd_create("holdfast", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = io_write_all(fd, data, len);
	return r < 0 ? r : TAKE_FD(fd);
}

int role_body_read(int fd, struct buf *ret)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size > (off_t)ROLE_BODY_MAX)
		return -EFBIG;
	if (!buf_reserve(ret, (size_t)st.st_size))
		return -ENOMEM;
	while (ret->len < (size_t)st.st_size) {
		n = pread(fd, ret->data + ret->len, (size_t)st.st_size - ret->len, (off_t)ret->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		ret->len += (size_t)n;
	}
	if (ret->data)
		ret->data[ret->len] = '\0';
	return 0;
}
