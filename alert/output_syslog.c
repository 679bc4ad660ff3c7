/*
 * Output syslog: RFC 5424 with structured data, to a local socket, or through a process that has a network
 * (daemon/role_sink_syslog.c). On the output's thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "alert/output.h"
#include "alert/post.h"
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

/* --- here */

static int syslog_open(struct output *o)
{
	const char *path = o->c->path ?: SYSLOG_PATH;

	o->fd = output_connect_path(o, path, SOCK_DGRAM);
	if (o->fd == -EPROTOTYPE)
		o->fd = output_connect_path(o, path, SOCK_STREAM);
	return o->fd < 0 ? o->fd : 0;
}

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
	buf_add(&b, record, len);
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

/* --- elsewhere */

static int remote_open(struct output *o)
{
	const struct post_settings s = { .timeout = o->c->timeout, .url = o->c->address };
	_cleanup_buf_ struct buf settings = BUF_INIT;

	post_settings_encode(&s, &settings);
	return settings.failed ? output_fail(o, -ENOMEM, "syslog") : output_sink_open(o, &settings);
}

/* One, as batch_max says. */
static int remote_send(struct output *o, const struct buf *b, size_t n _unused_)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	_cleanup_buf_ struct buf body = BUF_INIT;
	const char *record;
	size_t len;

	if (!output_next(&r, &record, &len))
		return 0;
	buf_add(&body, record, len);
	return body.failed ? output_fail(o, -ENOMEM, "syslog") : output_sink_send(o, &body);
}

const struct output_type output_syslog_remote = {
	.name = "syslog",
	.on_disk = true,
	.role = "sink",
	.batch_max = 1,
	.format = syslog_format,
	.open = remote_open,
	.send = remote_send,
	.close = output_sink_close,
};
