/*
 * Loaded before the C library (LD_PRELOAD): the clock of the world, as the program sees it, is off by the seconds that
 * the file HOLDFAST_JUMP holds as text; they may change at any time. What counts since the start of the machine is not.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SIZE 32

static const char *text;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("HOLDFAST_JUMP");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);

	text = p == MAP_FAILED ? NULL : p;
	close(fd);
}

static long long offset(void)
{
	return text ? strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	long r = syscall(SYS_clock_gettime, clock, ret);

	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ret->tv_sec += (time_t)offset();
	return (int)r;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;
	int r = clock_gettime(CLOCK_REALTIME, &t);

	(void)zone;
	ret->tv_sec = t.tv_sec;
	ret->tv_usec = t.tv_nsec / 1000;
	return r;
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}
