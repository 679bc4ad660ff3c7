/*
 * How long a program ran before it was frozen, as the program itself saw it.
 *
 *     freeze beat FILE              writes when it started, and from then on the time, into FILE; until it is ended
 *     freeze read FILE              microseconds between the two
 *     freeze floor CGROUP FILE N    N times: a program starts in CGROUP (of version 2), which is frozen as soon as it
 * has started; microseconds that it ran, a line each: what no monitor can be below
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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"

struct beat {
	volatile uint64_t start, last;
};

static struct beat *beat_map(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(struct beat)) == 0)
		p = mmap(NULL, sizeof(struct beat), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	close(fd);
	return p;
}

static _Noreturn void beat(const char *path)
{
	struct beat *b = beat_map(path);

	b->last = b->start = clock_mono_ns();
	for (;;)
		b->last = clock_mono_ns();
}

static int beat_read(const char *path)
{
	const struct beat *b = beat_map(path);

	printf("%llu\n", (unsigned long long)((b->last - b->start) / 1000));
	return 0;
}

static int put(int dirfd, const char *name, const char *text)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CLOEXEC), r;

	r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

/* Whether it is, by an open cgroup.events; the kernel tells of a change by POLLPRI. */
static bool is_frozen(int events)
{
	char text[256];
	ssize_t n = pread(events, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = '\0';
	return strstr(text, "frozen 1");
}

static int wait_frozen(int cgroup)
{
	int events = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC), r = events < 0 ? -errno : 0;
	struct pollfd p = { .fd = events, .events = POLLPRI };

	while (r == 0 && !is_frozen(events))
		if (poll(&p, 1, 1000) == 0)
			r = -ETIMEDOUT;
	if (events >= 0)
		close(events);
	return r;
}

static pid_t start(const char *self, int cgroup, const char *path, int *ret_fd)
{
	char text[24];
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		snprintf(text, sizeof(text), "%d", (int)getpid());
		if (put(cgroup, "cgroup.procs", text) == 0)
			execl(self, self, "beat", path, NULL);
		_exit(127);
	}
	close(ends[1]);
	*ret_fd = ends[0];
	return pid;
}

static int floor_once(const char *self, int cgroup, const char *path)
{
	uint64_t from;
	char byte;
	int fd = -1, r;
	pid_t pid = start(self, cgroup, path, &fd);

	if (pid < 0)
		return -errno;
	/* The other end closes with the exec. */
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(fd);
	from = clock_mono_ns();
	r = put(cgroup, "cgroup.freeze", "1");
	if (r == 0)
		r = wait_frozen(cgroup);
	if (r == 0)
		printf("%llu\n", (unsigned long long)((clock_mono_ns() - from) / 1000));
	kill(pid, SIGKILL);
	put(cgroup, "cgroup.freeze", "0");
	waitpid(pid, NULL, 0);
	return r;
}

static int freeze_floor(const char *self, char **argv)
{
	int cgroup = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = cgroup < 0 ? -errno : 0;

	for (int n = atoi(argv[2]); n > 0 && r == 0; n--)
		r = floor_once(self, cgroup, argv[1]);
	if (r < 0)
		fprintf(stderr, "freeze: %s\n", strerror(-r));
	return r < 0;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && streq(argv[1], "beat"))
		beat(argv[2]);
	if (argc == 3 && streq(argv[1], "read"))
		return beat_read(argv[2]);
	if (argc == 5 && streq(argv[1], "floor"))
		return freeze_floor("/proc/self/exe", argv + 2);
	fputs("usage: freeze beat FILE | read FILE | floor CGROUP FILE N\n", stderr);
	return 64;
}
