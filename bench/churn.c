/*
 * bench/churn: a writer at full speed, for bench/live and the flood tests: COUNT cycles of create, write, rename and
 * unlink in DIR. Prints the seconds it took. With --keep K every K-th file is not removed: "k.I", holding the decimal
 * number I.
 *
 * usage: churn [--keep K] DIR COUNT
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int cycle(int dirfd, unsigned long i, bool keep)
{
	char tmp[32], name[32], content[32];
	int fd, len;

	snprintf(tmp, sizeof(tmp), "t.%lu", i);
	snprintf(name, sizeof(name), "k.%lu", i);
	len = snprintf(content, sizeof(content), "%lu", i);
	fd = openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (write(fd, content, (size_t)len) != len || close(fd) < 0)
		return -EIO;
	if (renameat(dirfd, tmp, dirfd, name) < 0)
		return -errno;
	return !keep && unlinkat(dirfd, name, 0) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	unsigned long count, keep = 0;
	_cleanup_close_ int dirfd = -1;
	double start;

	if (argc > 2 && streq(argv[1], "--keep")) {
		keep = strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: churn [--keep K] DIR COUNT\n");
		return 64;
	}
	dirfd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		fprintf(stderr, "churn: %s: %s\n", argv[1], strerror(errno));
		return 66;
	}
	count = strtoul(argv[2], NULL, 10);
	start = now();
	for (unsigned long i = 0; i < count; i++) {
		int r = cycle(dirfd, i, keep && i % keep == 0);

		if (r < 0) {
			fprintf(stderr, "churn: cycle %lu: %s\n", i, strerror(-r));
			return 74;
		}
	}
	printf("%.3f\n", now() - start);
	return 0;
}
