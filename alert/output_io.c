/* What types of outputs use: waiting that goes on taking alerts, writing within a deadline. On the output's thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "alert/output.h"
#include "lib/clock.h"

#define OUTPUT_READ_NS (20 * NSEC_PER_MSEC) /* between two looks whether it was read */

bool output_is_over(const struct output *o)
{
	return o->stopping && clock_mono_ns() > o->deadline;
}

uint64_t output_deadline(const struct output *o)
{
	return clock_mono_ns() + o->c->timeout;
}

/* Milliseconds until the first of the two, at least 0. */
static int wait_ms(const struct output *o, uint64_t deadline)
{
	uint64_t now = clock_mono_ns(), until = o->stopping ? MIN(deadline, o->deadline) : deadline;

	return until > now ? (int)MIN((until - now) / NSEC_PER_MSEC + 1, 1000000ULL) : 0;
}

int output_wait(struct output *o, int fd, short events, uint64_t deadline)
{
	struct pollfd fds[] = { { .fd = fd, .events = events }, { .fd = o->wake, .events = POLLIN } };

	for (;;) {
		int n = poll(fds, ARRAY_SIZE(fds), wait_ms(o, deadline));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0 && fds[1].revents)
			output_ingest(o);
		if (n > 0 && (fds[0].revents || fd < 0))
			return 0;
		if (output_is_over(o))
			return -ECANCELED;
		if (clock_mono_ns() >= deadline)
			return -ETIMEDOUT;
	}
}

int output_fail(struct output *o, int r, const char *what)
{
	snprintf(o->why, sizeof(o->why), "%s: %s", what, strerror(-r));
	return r;
}

int output_write(struct output *o, const void *data, size_t len, uint64_t deadline)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(o->fd, p, len);
		int r;

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return output_fail(o, -errno, "write");
		r = output_wait(o, o->fd, POLLOUT, deadline);
		if (r < 0)
			return output_fail(o, r, "write");
	}
	return 0;
}

bool output_next(struct reader *r, const char **ret, size_t *ret_len)
{
	*ret = r->p < r->end ? reader_bytes(r, ret_len) : NULL;
	return *ret && !r->bad;
}

int output_send_lines(struct output *o, const struct buf *b, size_t n _unused_)
{
	struct reader r = { (const uint8_t *)b->data, (const uint8_t *)b->data + b->len, false };
	_cleanup_buf_ struct buf lines = BUF_INIT;
	const char *record;
	size_t len;

	while (output_next(&r, &record, &len)) {
		buf_add(&lines, record, len);
		buf_char(&lines, '\n');
	}
	return lines.failed ? -ENOMEM : output_write(o, lines.data, lines.len, output_deadline(o));
}

int output_send_read(struct output *o, const struct buf *b, size_t n, unsigned long request)
{
	uint64_t deadline = output_deadline(o), pause = NSEC_PER_MSEC;
	int left = 0, r = output_send_lines(o, b, n);

	while (r == 0 && ioctl(o->fd, request, &left) == 0 && left > 0) {
		struct pollfd gone = { .fd = o->fd };

		if (poll(&gone, 1, 0) > 0 && gone.revents & (POLLERR | POLLHUP))
			return output_fail(o, -EPIPE, o->c->name);
		if (clock_mono_ns() >= deadline)
			return output_fail(o, -ETIMEDOUT, "nobody reads");
		r = output_wait(o, -1, 0, MIN(deadline, clock_mono_ns() + pause));
		r = r == -ETIMEDOUT ? 0 : r;
		pause = MIN(pause * 2, OUTPUT_READ_NS);
	}
	return r;
}

void output_close_fd(struct output *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}
