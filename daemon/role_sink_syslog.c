/*
 * Syslog over UDP (a message a datagram, RFC 5426) or TCP (octet counting, RFC 6587), one message at a time. In the
 * process of the role sink alone, on its only thread; a name server is waited for, and the monitor ends the process
 * when it takes too long. A connection is kept until the other end hangs up.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/role_sink.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/util.h"

#define SINK_WHY     160
#define DATAGRAM_MIN 1024

static const char *address;
static char host[256], port[16];
static uint64_t timeout;
static int sock = -1;

static bool is_tcp(void)
{
	return strncmp(address, "tcp://", 6) == 0;
}

/* "udp://host:port", "tcp://[::1]:port"; the port may be missing. */
static int split_address(void)
{
	const char *at = address + strlen("udp://"), *colon = strrchr(at, ':'), *close = strchr(at, ']');
	size_t len;

	snprintf(port, sizeof(port), "514");
	if (colon && (!close || colon > close)) {
		if (snprintf(port, sizeof(port), "%s", colon + 1) >= (int)sizeof(port))
			return -EINVAL;
		len = (size_t)(colon - at);
	} else {
		len = strlen(at);
	}
	if (len >= 2 && at[0] == '[' && at[len - 1] == ']') {
		at++;
		len -= 2;
	}
	if (!len || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, at, len);
	host[len] = '\0';
	return 0;
}

static enum post_outcome failed(int r, char why[SINK_WHY])
{
	if (sock >= 0)
		close(sock);
	sock = -1;
	snprintf(why, SINK_WHY, "%.100s: %.50s", address, strerror(-r));
	return r == -ETIMEDOUT ? POST_LATE : POST_FAILED;
}

static int wait_until(int fd, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t now = clock_mono_ns();
	int n = poll(&p, 1, deadline > now ? (int)MIN((deadline - now) / NSEC_PER_MSEC + 1, 1000000ULL) : 0);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* --- connections */

static int connect_to(const struct addrinfo *a, uint64_t deadline)
{
	_cleanup_close_ int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	socklen_t size = sizeof(int);
	int err = 0, r;

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
		return TAKE_FD(fd);
	if (errno != EINPROGRESS)
		return -errno;
	r = wait_until(fd, deadline);
	if (r == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0)
		r = -errno;
	if (r == 0)
		r = -err;
	return r < 0 ? r : TAKE_FD(fd);
}

static int open_address(uint64_t deadline)
{
	const struct addrinfo hints = { .ai_socktype = is_tcp() ? SOCK_STREAM : SOCK_DGRAM };
	struct addrinfo *found = NULL;
	int r = -EHOSTUNREACH;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return r;
	for (const struct addrinfo *a = found; a && r < 0 && clock_mono_ns() < deadline; a = a->ai_next)
		r = connect_to(a, deadline);
	freeaddrinfo(found);
	return r;
}

static bool is_hung_up(void)
{
	char byte;

	return recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* --- sending */

static int write_all(const char *p, size_t len, uint64_t deadline)
{
	while (len) {
		ssize_t n = send(sock, p, len, MSG_NOSIGNAL);
		int r = n < 0 ? -errno : 0;

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
		if (r == -EAGAIN)
			r = wait_until(sock, deadline);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

static int send_stream(const struct buf *body, uint64_t deadline)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_printf(&b, "%zu ", body->len);
	buf_add(&b, body->data, body->len);
	return b.failed ? -ENOMEM : write_all(b.data, b.len, deadline);
}

/* One that is larger than a datagram can be is cut: some of it is better than none. */
static int send_datagram(const struct buf *body, uint64_t deadline)
{
	size_t len = body->len;
	int r = write_all(body->data, len, deadline);

	while (r == -EMSGSIZE && len > DATAGRAM_MIN) {
		len /= 2;
		r = write_all(body->data, len, deadline);
	}
	return r;
}

enum post_outcome sink_syslog_settings(const struct post_settings *s, char why[SINK_WHY])
{
	address = s->url;
	timeout = s->timeout;
	if (split_address() == 0)
		return POST_DONE;
	snprintf(why, SINK_WHY, "%.100s is no address", address);
	return POST_FAILED;
}

enum post_outcome sink_syslog_post(const struct buf *body, char why[SINK_WHY])
{
	uint64_t deadline = clock_mono_ns() + timeout;
	int r;

	if (!body->len)
		return POST_REFUSED;
	if (sock >= 0 && is_tcp() && is_hung_up()) {
		close(sock);
		sock = -1;
	}
	if (sock < 0) {
		r = open_address(deadline);
		if (r < 0)
			return failed(r, why);
		sock = r;
	}
	r = (is_tcp() ? send_stream : send_datagram)(body, deadline);
	return r < 0 ? failed(r, why) : POST_DONE;
}
