/* Outputs stdout and file: lines; a file is rotated by size. On the output's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alert/output.h"
#include "lib/util.h"

#define LINES_MAX 64

/* --- stdout: shared with the monitor's own, whose lines are whole too */

static int stdout_open(struct output *o)
{
	o->fd = STDOUT_FILENO;
	return 0;
}

static void stdout_close(struct output *o)
{
	o->fd = -1;
}

/* It may block (a terminal that is held): asked before each piece that a pipe takes whole. */
static int stdout_send(struct output *o, const struct buf *b, size_t n _unused_)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	const char *record;
	size_t len;

	while (output_next(&r, &record, &len)) {
		_cleanup_buf_ struct buf line = BUF_INIT;
		int w = output_wait(o, o->fd, POLLOUT, output_deadline(o));

		buf_add(&line, record, len);
		buf_char(&line, '\n');
		if (w == 0 && !line.failed)
			w = output_write(o, line.data, line.len, output_deadline(o));
		if (w < 0)
			return output_fail(o, w, "standard output");
	}
	return 0;
}

const struct output_type output_stdout = {
	.name = "stdout",
	.batch_max = LINES_MAX,
	.open = stdout_open,
	.send = stdout_send,
	.close = stdout_close,
};

/* --- file */

static int file_open(struct output *o)
{
	struct stat st;

	o->fd = open(o->c->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	if (o->fd < 0 || fstat(o->fd, &st) < 0) {
		int r = output_fail(o, -errno, o->c->path);

		output_close_fd(o);
		return r;
	}
	/* Only a regular file has a size to be rotated by. */
	o->size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : UINT64_MAX;
	return 0;
}

static void numbered(const struct output *o, uint64_t number, struct buf *ret)
{
	buf_reset(ret);
	buf_printf(ret, number ? "%s.%llu" : "%s", o->c->path, (unsigned long long)number);
}

/* path.1 is the newest of the old ones. */
static int file_rotate(struct output *o)
{
	_cleanup_buf_ struct buf from = BUF_INIT, to = BUF_INIT;

	for (uint64_t i = o->c->keep; i-- > 0;) {
		numbered(o, i, &from);
		numbered(o, i + 1, &to);
		if (from.failed || to.failed)
			return -ENOMEM;
		if (rename(from.data, to.data) < 0 && errno != ENOENT)
			return output_fail(o, -errno, "rotation");
	}
	output_close_fd(o);
	return file_open(o);
}

static int file_send(struct output *o, const struct buf *b, size_t n)
{
	uint64_t room = b->len; /* a line is shorter than its record: a newline for a length */
	int r = 0;

	if (o->c->rotate && o->size != UINT64_MAX && o->size && o->size + room > o->c->rotate)
		r = file_rotate(o);
	if (r == 0)
		r = output_send_lines(o, b, n);
	if (o->size != UINT64_MAX && r == 0)
		o->size += room;
	/* A line that a full disk cut short would run into the next one. */
	if (r < 0 && o->fd >= 0 && o->size != UINT64_MAX && ftruncate(o->fd, (off_t)o->size) < 0)
		snprintf(o->why, sizeof(o->why), "a line was cut short: %s", strerror(errno));
	return r;
}

const struct output_type output_file = {
	.name = "file",
	.batch_max = LINES_MAX,
	.open = file_open,
	.send = file_send,
	.close = output_close_fd,
};
