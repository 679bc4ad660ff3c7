/*
 * The multicast group of audit records: opened, read and its losses counted. Of the thread that reads; sends nothing
 * but a question for the state, and what switches auditing on where that was asked for.
 */
#include "watch/audit.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "watch/proc_socket.h"

#define AUDIT_ROUND   256
#define AUDIT_BUFFER  (1 << 20)
#define AUDIT_ACK_MS  1000
#define AUDIT_SERIALS 64 /* serials may come in another order, within so many */

struct audit_reader {
	int fd, ask_fd;
	bool switched; /* on, by us */
	struct audit_stats stats;
	uint32_t drops;
	bool has_serial;
	uint64_t serial; /* the highest */
	uint64_t seen;	 /* bit n: serial - n came */
	char buf[NLMSG_HDRLEN + AUDIT_TEXT_MAX + 64] __attribute__((aligned(8)));
};

/* --- questions */

struct request {
	struct nlmsghdr h;
	struct audit_status status;
};

/* The answer to what was sent last: of the type wanted, or its error. */
static int await(int fd, uint16_t type, struct audit_status *ret)
{
	char buf[512] __attribute__((aligned(8)));
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, AUDIT_ACK_MS) == 1) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		struct nlmsghdr h;
		int err;

		if (n < (ssize_t)NLMSG_HDRLEN)
			return -EBADMSG;
		memcpy(&h, buf, sizeof(h));
		if (h.nlmsg_type == NLMSG_ERROR && (size_t)n >= NLMSG_HDRLEN + sizeof(err)) {
			memcpy(&err, buf + NLMSG_HDRLEN, sizeof(err));
			if (err || type == NLMSG_ERROR)
				return err;
		} else if (h.nlmsg_type == type && ret) {
			memset(ret, 0, sizeof(*ret));
			memcpy(ret, buf + NLMSG_HDRLEN, MIN((size_t)n - NLMSG_HDRLEN, sizeof(*ret)));
			return 0;
		}
	}
	return -ETIMEDOUT;
}

static int ask(int fd, uint16_t type, const struct audit_status *set, struct audit_status *ret)
{
	struct request r = { .h = { .nlmsg_len = (uint32_t)(set ? sizeof(r) : NLMSG_HDRLEN),
				    .nlmsg_type = type,
				    .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (set ? NLM_F_ACK : 0)) } };

	if (set)
		r.status = *set;
	if (send(fd, &r, r.h.nlmsg_len, 0) < 0)
		return -errno;
	return await(fd, set ? NLMSG_ERROR : type, ret);
}

int audit_enabled(const struct audit_reader *a)
{
	struct audit_status status;
	int r = ask(a->ask_fd, AUDIT_GET, NULL, &status);

	return r < 0 ? r : status.enabled != 0;
}

static int switch_to(struct audit_reader *a, bool on)
{
	const struct audit_status set = { .mask = AUDIT_STATUS_ENABLED, .enabled = on };

	return ask(a->ask_fd, AUDIT_SET, &set, NULL);
}

/* --- opening */

/* Records go to the initial network namespace alone; there, or in another one that pid 1 is in, that is taken for it.
 */
static bool elsewhere(void)
{
	struct stat own, first;

	return stat("/proc/self/ns/net", &own) == 0 && stat("/proc/1/ns/net", &first) == 0 &&
	       own.st_ino != first.st_ino;
}

static int listen_audit(struct audit_reader *a)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = 1u << (AUDIT_NLGRP_READLOG - 1) };

	a->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);
	if (a->fd < 0)
		return -errno;
	a->ask_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (a->ask_fd < 0)
		return -errno;
	proc_socket_set_buffer(a->fd, AUDIT_BUFFER);
	return bind(a->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : 0;
}

int audit_open(bool enable, struct audit_reader **ret, struct buf *err)
{
	_cleanup_(audit_close_p) struct audit_reader *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->fd = a->ask_fd = -1;
	r = listen_audit(a);
	if (r == 0 && elsewhere()) {
		buf_str(err, "audit records go to the initial network namespace alone");
		return -ENOTSUP;
	}
	if (r == -EPROTONOSUPPORT)
		buf_str(err, "a kernel without audit");
	else if (r < 0)
		buf_printf(err, "audit records: %s (needs CAP_AUDIT_READ)", strerror(-r));
	if (r < 0)
		return r;
	a->drops = proc_socket_drops(a->fd);
	if (enable && audit_enabled(a) == 0)
		a->switched = switch_to(a, true) == 0;
	*ret = TAKE_PTR(a);
	return 0;
}

void audit_close(struct audit_reader *a)
{
	if (!a)
		return;
	if (a->switched)
		switch_to(a, false);
	if (a->fd >= 0)
		close(a->fd);
	if (a->ask_fd >= 0)
		close(a->ask_fd);
	free(a);
}

int audit_fd(const struct audit_reader *a)
{
	return a ? a->fd : -1;
}

void audit_get_stats(const struct audit_reader *a, struct audit_stats *ret)
{
	*ret = a->stats;
}

/* --- reading */

/* Each record has a serial, several of one event the same; one that has not come when AUDIT_SERIALS later ones have is
 * lost. After a loss that the socket counted they begin anew: it is told once. */
static void note_serial(struct audit_reader *a, uint64_t serial)
{
	if (!a->has_serial || serial + AUDIT_SERIALS <= a->serial) {
		a->has_serial = true;
		a->serial = serial;
		a->seen = UINT64_MAX;
		return;
	}
	for (; a->serial < serial && serial - a->serial < 2 * AUDIT_SERIALS; a->serial++) {
		a->stats.lost += !(a->seen >> (AUDIT_SERIALS - 1));
		a->seen <<= 1;
	}
	/* A leap this far is a loss of which just the length is known. */
	if (a->serial < serial) {
		a->stats.lost += serial - a->serial - 1;
		a->serial = serial;
		a->seen = UINT64_MAX;
	}
	a->seen |= UINT64_C(1) << (a->serial - serial);
}

static void note_drops(struct audit_reader *a)
{
	uint32_t drops = proc_socket_drops(a->fd);

	if (drops == a->drops)
		return;
	a->stats.lost += drops - a->drops;
	a->drops = drops;
	a->has_serial = false;
}

static void take(struct audit_reader *a, size_t len, void (*fn)(const struct session_note *n, void *data), void *data)
{
	struct session_note note;
	struct nlmsghdr h;
	uint64_t serial;
	int r;

	if (len < NLMSG_HDRLEN)
		return;
	memcpy(&h, a->buf, sizeof(h));
	/* Its length is without the header's: the kernel says that of texts. What came is what counts. */
	r = audit_decode(h.nlmsg_type, a->buf + NLMSG_HDRLEN, strnlen(a->buf + NLMSG_HDRLEN, len - NLMSG_HDRLEN), &note,
			 &serial);
	if (r < 0)
		return;
	a->stats.records++;
	note_serial(a, serial);
	if (!r)
		return;
	a->stats.told++;
	fn(&note, data);
}

void audit_read(struct audit_reader *a, void (*fn)(const struct session_note *n, void *data), void *data)
{
	struct sockaddr_nl from;

	for (int i = 0; i < AUDIT_ROUND; i++) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(a->fd, a->buf, sizeof(a->buf), MSG_DONTWAIT, (struct sockaddr *)&from, &size);

		if (n < 0 && errno == ENOBUFS) {
			note_drops(a);
			continue;
		}
		if (n < 0)
			break;
		if (size == sizeof(from) && from.nl_pid == 0)
			take(a, (size_t)n, fn, data);
	}
	note_drops(a);
}
