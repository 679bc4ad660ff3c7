/*
 * bench/bare: the cheapest fanotify listener there can be, to compare with: the same group, mark and mask as the sensor
 * of watch/fanotify.c, but it only reads and drops. One thread. Prints "ready" when the mark is set; on SIGTERM or
 * SIGINT the number of reads, events and bytes.
 *
 * usage: bare [--pidfd] [--open] PATH
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"

#define BARE_BUFFER (256 * 1024)

static volatile sig_atomic_t stop;

static void on_signal(_unused_ int signo)
{
	stop = 1;
}

/* A pidfd comes with each event when it was asked for; whoever asks has to close it. */
static void close_pidfd(const struct fanotify_event_metadata *m)
{
	const char *p = (const char *)(m + 1), *end = (const char *)m + m->event_len;

	while (p + sizeof(struct fanotify_event_info_header) <= end) {
		const struct fanotify_event_info_header *h = (const void *)p;

		if (h->info_type == FAN_EVENT_INFO_TYPE_PIDFD) {
			int fd = ((const struct fanotify_event_info_pidfd *)h)->pidfd;

			if (fd >= 0)
				close(fd);
		}
		if (!h->len)
			break;
		p += h->len;
	}
}

struct counts {
	unsigned long long reads, events, bytes, overflows;
};

static int drain(int fd, char *buffer, bool pidfd, struct counts *c)
{
	for (;;) {
		ssize_t n = read(fd, buffer, BARE_BUFFER);
		const struct fanotify_event_metadata *m = (const void *)buffer;

		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -errno;
		c->reads++;
		c->bytes += (size_t)n;
		for (; FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
			c->events++;
			c->overflows += !!(m->mask & FAN_Q_OVERFLOW);
			if (pidfd)
				close_pidfd(m);
		}
	}
}

static int listen_until_signal(int fd, bool pidfd)
{
	static char buffer[BARE_BUFFER] __attribute__((aligned(8)));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct counts c = { 0 };

	while (!stop) {
		if (poll(&p, 1, 100) > 0 && drain(fd, buffer, pidfd, &c) < 0)
			break;
	}
	drain(fd, buffer, pidfd, &c);
	printf("reads %llu events %llu bytes %llu overflows %llu\n", c.reads, c.events, c.bytes, c.overflows);
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t mask = FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_MODIFY | FAN_CLOSE_WRITE |
			FAN_OPEN_EXEC | FAN_ONDIR;
	unsigned flags = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME_TARGET | FAN_UNLIMITED_QUEUE | FAN_UNLIMITED_MARKS |
			 FAN_NONBLOCK | FAN_CLOEXEC;
	struct sigaction sa = { .sa_handler = on_signal };
	_cleanup_close_ int fd = -1;
	bool pidfd = false;
	const char *path = NULL;

	for (int i = 1; i < argc; i++) {
		if (streq(argv[i], "--pidfd"))
			pidfd = true;
		else if (streq(argv[i], "--open"))
			mask |= FAN_OPEN;
		else
			path = argv[i];
	}
	if (!path) {
		fprintf(stderr, "usage: bare [--pidfd] [--open] PATH\n");
		return 64;
	}
	fd = fanotify_init(flags | (pidfd ? FAN_REPORT_PIDFD : 0), O_RDONLY | O_LARGEFILE | O_CLOEXEC);
	if (fd < 0 || fanotify_mark(fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, AT_FDCWD, path) < 0) {
		fprintf(stderr, "bare: %s: %s\n", path, strerror(errno));
		return errno == EPERM ? 77 : 74;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	puts("ready");
	fflush(stdout);
	return listen_until_signal(fd, pidfd);
}
