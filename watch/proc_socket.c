/*
 * Opening and reading the netlink socket of the proc connector. No state beside the socket; on the thread that starts
 * the connector, then on the connector's own.
 */
#include "watch/proc_socket.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/sock_diag.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "watch/connector.h"

#define ACK_NS NSEC_PER_SEC

void proc_batch_init(struct proc_batch *b)
{
	memset(b, 0, sizeof(*b));
	for (size_t i = 0; i < PROC_BATCH; i++) {
		b->iov[i] = (struct iovec){ .iov_base = b->data[i], .iov_len = PROC_MSG_SIZE };
		b->hdr[i].msg_hdr.msg_iov = &b->iov[i];
		b->hdr[i].msg_hdr.msg_iovlen = 1;
	}
}

/* Number of datagrams, or a negative errno. */
int proc_batch_receive(struct proc_batch *b, int fd)
{
	int n;

	/* The kernel overwrites the lengths. */
	for (size_t i = 0; i < PROC_BATCH; i++) {
		b->hdr[i].msg_hdr.msg_name = &b->from[i];
		b->hdr[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
	}
	n = recvmmsg(fd, b->hdr, PROC_BATCH, MSG_DONTWAIT, NULL);
	return n < 0 ? -errno : n;
}

bool proc_batch_from_kernel(const struct proc_batch *b, int i)
{
	return b->hdr[i].msg_hdr.msg_namelen == sizeof(b->from[i]) && b->from[i].nl_pid == 0;
}

uint32_t proc_socket_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 || len < (SK_MEMINFO_DROPS + 1) * sizeof(info[0]))
		return 0;
	return info[SK_MEMINFO_DROPS];
}

/* What proc_socket_select sends; linux/cn_proc.h has it since 6.6. */
struct selection {
	uint32_t op, kinds;
};

static int ask(int fd, const void *request, size_t len, uint32_t token)
{
	char buf[NLMSG_SPACE(sizeof(struct cn_msg) + sizeof(struct selection))] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr h = { .nlmsg_len = NLMSG_LENGTH((uint32_t)(sizeof(struct cn_msg) + len)),
			      .nlmsg_type = NLMSG_DONE };
	struct cn_msg cn = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .ack = token, .len = (uint16_t)len };

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + NLMSG_HDRLEN, &cn, sizeof(cn));
	memcpy(buf + NLMSG_HDRLEN + sizeof(cn), request, len);
	return send(fd, buf, h.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* Kernels of all ages take this form. */
static int ask_all(int fd, enum proc_cn_mcast_op op, uint32_t token)
{
	return ask(fd, &op, sizeof(op), token);
}

/* The kernel's answer, told from those to other listeners, which come here too, by its token; none comes outside of the
 * initial pid and user namespaces. Events met on the way are covered by the scan. */
static int await_answer(int fd, uint32_t token)
{
	uint64_t deadline = clock_mono_ns() + ACK_NS;
	struct proc_batch b;

	proc_batch_init(&b);
	while (clock_mono_ns() < deadline) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct connector_msg m;
		int n;

		poll(&p, 1, 100);
		n = proc_batch_receive(&b, fd);
		for (int i = 0; i < n; i++) {
			size_t pos = 0;

			if (proc_batch_from_kernel(&b, i) && connector_decode(b.data[i], b.hdr[i].msg_len, &pos, &m) &&
			    m.what == PROC_EVENT_NONE && m.ack == token + 1)
				return -(int)MIN(m.err, 4095U);
		}
	}
	return -ENOTSUP;
}

int proc_socket_set_buffer(int fd, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ? -errno : 0;
}

static int listen_proc(int fd, int buffer)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	uint32_t token = (uint32_t)(clock_mono_ns() ^ (uint64_t)getpid() << 20);
	int r;

	proc_socket_set_buffer(fd, buffer);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : ask_all(fd, PROC_CN_MCAST_LISTEN, token);
	if (r == 0)
		r = await_answer(fd, token);
	/* In another network namespace nobody listens at the other end. */
	return r == -ECONNREFUSED ? -ENOTSUP : r;
}

int proc_socket_open(int buffer, int *ret_fd, struct buf *err)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	int r = fd < 0 ? -errno : listen_proc(fd, buffer);

	if (r == -EPROTONOSUPPORT)
		r = -ENOTSUP;
	if (r == -ENOTSUP)
		buf_str(err, "proc connector: no answer: not in the initial network, pid and user namespaces, or "
			     "a kernel without it");
	else if (r < 0)
		buf_printf(err, "proc connector: %s (needs CAP_NET_ADMIN)", strerror(-r));
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void proc_socket_ignore(int fd)
{
	ask_all(fd, PROC_CN_MCAST_IGNORE, 0);
}

void proc_socket_select(int fd, uint32_t kinds)
{
	ask(fd, &(struct selection){ PROC_CN_MCAST_LISTEN, kinds }, sizeof(struct selection), 0);
}
