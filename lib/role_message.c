/* The messages of roles: one datagram each, at most one descriptor with it. No state. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/io.h"
#include "lib/role.h"
#include "lib/util.h"

const char *const role_holds_names[ROLE_HOLDS_COUNT] = {
	"no_new_privileges", "no_capabilities", "nobody", "no_files", "no_network", "seccomp", "limits",
};

int role_send(int fd, uint32_t type, const void *data, size_t len, int passed)
{
	uint32_t head[] = { type, (uint32_t)len };
	const struct iovec iov[] = { { head, sizeof(head) }, { (void *)(uintptr_t)data, len } };
	ssize_t n;

	if (len > ROLE_DATA_MAX)
		return -EMSGSIZE;
	n = io_send(fd, iov, len ? 2 : 1, &passed, passed >= 0, MSG_DONTWAIT);
	return n < 0 ? (int)n : 0;
}

int role_receive(int fd, int flags, struct role_message *ret, int *ret_passed)
{
	uint32_t head[2] = { 0 };
	const struct iovec iov[] = { { head, sizeof(head) }, { ret->data, sizeof(ret->data) } };
	_cleanup_close_ int passed = -1;
	size_t n_passed = 1;
	ssize_t n = io_receive(fd, iov, 2, &passed, ret_passed ? &n_passed : NULL, flags);

	if (n == 0 || n == -ECONNRESET)
		return -EPIPE;
	if (n < 0)
		return n == -EMSGSIZE ? -EBADMSG : (int)n;
	if ((size_t)n < sizeof(head) || head[1] != (size_t)n - sizeof(head))
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
	/* It stands where its writer left it. */
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : io_read_all(fd, ROLE_BODY_MAX, ret);
}

int role_said(const struct role_message *m, uint32_t *ret, char text[ROLE_TEXT_MAX])
{
	struct reader in = { m->data, m->data + m->len, false };
	size_t len;

	*ret = reader_u32(&in);
	if (in.bad)
		return -EBADMSG;
	len = MIN((size_t)(in.end - in.p), (size_t)ROLE_TEXT_MAX - 1);
	for (size_t i = 0; i < len; i++)
		text[i] = in.p[i] < ' ' || in.p[i] > '~' ? '?' : (char)in.p[i];
	text[len] = '\0';
	return 0;
}
