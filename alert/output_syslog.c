/*
 * Output syslog: RFC 5424 with structured data, to a local socket, over UDP (a message a datagram, RFC 5426) or over
 * TCP (octet counting, RFC 6587). On the output's thread; a name server is waited for.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "alert/output.h"
#include "lib/text.h"
#include "lib/util.h"

#define SYSLOG_PATH	"/dev/log"
#define SYSLOG_AUTHPRIV 10 /* RFC 5424, table 1 */
#define SYSLOG_SD_ID	"holdfast@32473"

/* --- messages */

/* RFC 5424, 6.3.3 */
static void sd_param(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, " %s=\"", name);
	for (; *value; value++) {
		if (strchr("\"\\]", *value))
			buf_char(b, '\\');
		buf_char(b, *value);
	}
	buf_char(b, '"');
}

static void sd_tags(struct buf *b, const struct alert *a)
{
	_cleanup_buf_ struct buf tags = BUF_INIT;

	for (size_t i = 0; i < a->n_tags; i++)
		buf_printf(&tags, "%s%s", i ? "," : "", a->tags[i]);
	if (tags.len && !tags.failed)
		sd_param(b, "tags", tags.data);
}

static void syslog_format(struct output *o, struct buf *b, const struct alert *a)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	char time[TEXT_TIME_MAX];

	text_time(time, a->time, 6);
	buf_printf(b, "<%u>1 %s %s holdfast %d alert [" SYSLOG_SD_ID, SYSLOG_AUTHPRIV * 8 + (unsigned)a->priority, time,
		   o->host, (int)getpid());
	sd_param(b, "uuid", a->id);
	sd_param(b, "rule", a->rule);
	sd_param(b, "priority", priority_names[a->priority]);
	sd_tags(b, a);
	if (a->container)
		sd_param(b, "container", a->container);
	buf_str(b, "] ");
	alert_format(&text, a, o->c->format, o->host);
	/* What is no ASCII is UTF-8, and says so. */
	buf_str(b, "\xef\xbb\xbf");
	buf_add(b, text.data ? text.data : "", text.len);
	b->failed |= text.failed;
}

/* --- connections */

static bool is_tcp(const struct output *o)
{
	return o->c->address && strncmp(o->c->address, "tcp://", 6) == 0;
}

static int connect_to(struct output *o, const struct addrinfo *a)
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
	r = output_wait(o, fd, POLLOUT, output_deadline(o));
	if (r == 0 && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 || err))
		r = err ? -err : -errno;
	return r < 0 ? r : TAKE_FD(fd);
}

/* "udp://host:port", "tcp://[::1]:port"; the port may be missing. */
static int split_address(const char *address, char host[256], char port[16])
{
	const char *at = address + strlen("udp://"), *colon = strrchr(at, ':'), *close = strchr(at, ']');
	size_t len;

	snprintf(port, 16, "514");
	if (colon && (!close || colon > close)) {
		if (snprintf(port, 16, "%s", colon + 1) >= 16)
			return -EINVAL;
		len = (size_t)(colon - at);
	} else {
		len = strlen(at);
	}
	if (len >= 2 && at[0] == '[' && at[len - 1] == ']') {
		at++;
		len -= 2;
	}
	if (!len || len >= 256)
		return -EINVAL;
	memcpy(host, at, len);
	host[len] = '\0';
	return 0;
}

static int open_address(struct output *o)
{
	const struct addrinfo hints = { .ai_socktype = is_tcp(o) ? SOCK_STREAM : SOCK_DGRAM };
	struct addrinfo *found = NULL;
	char host[256], port[16];
	int r = split_address(o->c->address, host, port);

	if (r == 0 && getaddrinfo(host, port, &hints, &found) != 0)
		r = -EHOSTUNREACH;
	o->fd = r < 0 ? r : -EHOSTUNREACH;
	for (const struct addrinfo *a = found; a && o->fd < 0 && !output_is_over(o); a = a->ai_next)
		o->fd = connect_to(o, a);
	if (found)
		freeaddrinfo(found);
	r = o->fd;
	if (r >= 0)
		return 0;
	o->fd = -1;
	return output_fail(o, r, o->c->address);
}

static int syslog_open(struct output *o)
{
	const char *path = o->c->path ?: SYSLOG_PATH;

	if (o->c->address)
		return open_address(o);
	o->fd = output_connect_path(o, path, SOCK_DGRAM);
	if (o->fd == -EPROTOTYPE)
		o->fd = output_connect_path(o, path, SOCK_STREAM);
	return o->fd < 0 ? o->fd : 0;
}

/* --- sending */

static int socket_type(int fd)
{
	int type = SOCK_DGRAM;
	socklen_t size = sizeof(type);

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size);
	return type;
}

static bool is_hung_up(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static int send_stream(struct output *o, const char *record, size_t len)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (is_hung_up(o->fd))
		return output_fail(o, -EPIPE, "syslog");
	if (o->c->address)
		buf_printf(&b, "%zu ", len);
	buf_add(&b, record, len);
	if (!o->c->address)
		buf_char(&b, '\0'); /* what ends a message on a local stream */
	return b.failed ? -ENOMEM : output_write(o, b.data, b.len, output_deadline(o));
}

/* One that is larger than a datagram can be is cut: some of it is better than none. */
static int send_datagram(struct output *o, const char *record, size_t len)
{
	int r = output_write(o, record, len, output_deadline(o));

	while (r == -EMSGSIZE && len > 1024) {
		len /= 2;
		r = output_write(o, record, len, output_deadline(o));
	}
	return r;
}

static int syslog_send(struct output *o, const struct buf *b, size_t n _unused_)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	bool stream = socket_type(o->fd) == SOCK_STREAM;
	const char *record;
	size_t len;
	int result = 0;

	while (result == 0 && output_next(&r, &record, &len))
		result = (stream ? send_stream : send_datagram)(o, record, len);
	return result;
}

const struct output_type output_syslog = {
	.name = "syslog",
	.on_disk = true,
	.batch_max = 1,
	.format = syslog_format,
	.open = syslog_open,
	.send = syslog_send,
	.close = output_close_fd,
};
