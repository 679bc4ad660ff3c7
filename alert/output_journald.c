/*
 * Output journald: entries in the native protocol of systemd-journald (systemd.io, "Native Journal Protocol"). A record
 * is the datagram; one that is larger than a datagram can be goes as a sealed memory file. On the output's thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "alert/output.h"
#include "event/json.h"
#include "lib/io.h"
#include "lib/util.h"

#define JOURNAL_PATH "/run/systemd/journal/socket"

/* With a newline in it a value is told by its length. */
static void field(struct buf *b, const char *name, const char *value, size_t len)
{
	buf_str(b, name);
	if (memchr(value, '\n', len)) {
		buf_char(b, '\n');
		buf_u64(b, len);
	} else {
		buf_char(b, '=');
	}
	buf_add(b, value, len);
	buf_char(b, '\n');
}

static void text_field(struct buf *b, const char *name, const char *value)
{
	if (value)
		field(b, name, value, strlen(value));
}

static void journald_format(struct output *o, struct buf *b, const struct alert *a)
{
	_cleanup_buf_ struct buf text = BUF_INIT, fields = BUF_INIT;
	const char level[] = { (char)('0' + a->priority), '\0' };

	alert_format(&text, a, o->c->format, o->host);
	field(b, "MESSAGE", text.data ? text.data : "", text.len);
	text_field(b, "PRIORITY", level);
	text_field(b, "SYSLOG_FACILITY", "10");
	text_field(b, "SYSLOG_IDENTIFIER", "holdfast");
	text_field(b, "RULE", a->rule);
	text_field(b, "RULE_UUID", a->id);
	text_field(b, "RULE_PRIORITY", priority_names[a->priority]);
	for (size_t i = 0; i < a->n_tags; i++)
		text_field(b, "RULE_TAGS", a->tags[i]);
	text_field(b, "CONTAINER_ID", a->container);
	json_ascii(&fields, a->fields);
	text_field(b, "OUTPUT_FIELDS", fields.failed ? NULL : fields.data);
	b->failed |= text.failed;
}

static int journald_open(struct output *o)
{
	o->fd = output_connect_path(o, o->c->path ?: JOURNAL_PATH, SOCK_DGRAM);
	return o->fd < 0 ? o->fd : 0;
}

static int send_file(struct output *o, const char *record, size_t len)
{
	_cleanup_close_ int memory = memfd_create("journal", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	if (memory < 0 || write(memory, record, len) != (ssize_t)len ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return output_fail(o, errno ? -errno : -EIO, "memory file");
	/* The file is the record. */
	n = io_send(o->fd, NULL, 0, &memory, 1, 0);
	return n < 0 ? output_fail(o, (int)n, "journald") : 0;
}

static int journald_send(struct output *o, const struct buf *b, size_t n _unused_)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	const char *record;
	size_t len;
	int result = 0;

	while (result == 0 && output_next(&r, &record, &len)) {
		result = output_write(o, record, len, output_deadline(o));
		if (result == -EMSGSIZE || result == -ENOBUFS)
			result = send_file(o, record, len);
	}
	return result;
}

const struct output_type output_journald = {
	.name = "journald",
	.on_disk = true,
	.batch_max = 1,
	.format = journald_format,
	.open = journald_open,
	.send = journald_send,
	.close = output_close_fd,
};
