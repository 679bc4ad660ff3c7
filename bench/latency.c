/*
 * How long a single edit takes to reach the output: reads the lines of `holdfast watch --json` on stdin; COUNT times
 * writes DIR/edit-N (a guarded folder) and waits for the line that names it. Prints milliseconds: median, 99th
 * percentile, maximum.
 *
 * usage: holdfast watch --json ... | bench/latency DIR COUNT
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

#define LINE_MAX_BYTES (64 * 1024)
#define WAIT_NS	       (5 * NSEC_PER_SEC)

/* Reads until a line holds `word` or the deadline passes: 0, or a negative errno. */
static int wait_line(const char *word, uint64_t deadline)
{
	static char line[LINE_MAX_BYTES];
	static size_t len;

	for (;;) {
		char *end = memchr(line, '\n', len);
		if (end) {
			*end = '\0';
			int found = strstr(line, word) != NULL;
			len -= (size_t)(end + 1 - line);
			memmove(line, end + 1, len);
			if (found)
				return 0;
			continue;
		}
		if (len == sizeof(line))
			len = 0; /* a longer line cannot be one of ours */
		uint64_t now = clock_mono_ns();
		if (now >= deadline)
			return -ETIMEDOUT;
		struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
		if (poll(&p, 1, (int)((deadline - now) / NSEC_PER_MSEC) + 1) < 0 && errno != EINTR)
			return -errno;
		ssize_t n = p.revents ? read(STDIN_FILENO, line + len, sizeof(line) - len) : 0;
		if (n < 0)
			return -errno;
		if (n == 0 && p.revents)
			return -EPIPE;
		len += (size_t)n;
	}
}

static int edit(int dirfd, const char *name, int i)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || dprintf(fd, "edit %d\n", i) < 0)
		return -errno;
	return close(fd) < 0 ? -errno : 0;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: holdfast watch --json ... | latency DIR COUNT\n");
		return 64;
	}
	int dirfd = open(argv[1], O_DIRECTORY | O_CLOEXEC);
	int count = atoi(argv[2]);
	double *ms = dirfd >= 0 && count > 0 ? calloc((size_t)count, sizeof(*ms)) : NULL;
	if (!ms) {
		fprintf(stderr, "latency: %s: %s\n", argv[1], strerror(errno));
		return 74;
	}
	/* The first edit shows that the monitor is up; it is repeated until it is, and not counted. */
	for (int i = -1; i < count; i++) {
		char name[32], word[40];
		snprintf(name, sizeof(name), "edit-%06d", i + 1);
		snprintf(word, sizeof(word), "/%s\"", name);
		int r = -ETIMEDOUT;
		uint64_t start = 0;
		for (int tries = i < 0 ? 60 : 1; r == -ETIMEDOUT && tries > 0; tries--) {
			r = edit(dirfd, name, i + tries);
			start = clock_mono_ns();
			if (r == 0)
				r = wait_line(word, start + (i < 0 ? NSEC_PER_SEC : WAIT_NS));
		}
		if (r < 0) {
			fprintf(stderr, "latency: edit %d: %s\n", i, strerror(-r));
			return 1;
		}
		if (i >= 0)
			ms[i] = (double)(clock_mono_ns() - start) / 1e6;
	}
	qsort(ms, (size_t)count, sizeof(*ms), by_value);
	printf("edits %d median_ms %.1f p99_ms %.1f max_ms %.1f\n", count, ms[count / 2], ms[(size_t)count * 99 / 100],
	       ms[count - 1]);
	free(ms);
	close(dirfd);
	return 0;
}
