/*
 * bench/sensor: what the BPF programs cost those that are watched, as ratios of the same work without them: a loop of
 * getppid, connections over loopback, starts of a program. And what policies of the network cost.
 *
 *     bench/sensor [ROUNDS]
 *
 * The speed of a machine varies by more than what is measured. So all sensors are opened once, and attached and
 * detached between slices of some milliseconds, in processor time of one core: each slice with a sensor has one without
 * before it and behind it, and what counts is the ratio to these two. Of all rounds the median, and between which two
 * ratios it lies with 95 % confidence. "noisy": these are too far from each other to say anything; nothing against
 * nothing says how far from 1 chance alone leads, and an empty program at the exit of system calls what the kernel
 * takes for calling one.
 *
 *     bench/sensor build COMMAND [ROUNDS]
 *
 * The same of a shell command that takes its time, as a build: elapsed and processor time.
 */
#include <arpa/inet.h>
#include <math.h>
#include <netinet/in.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/sensors.h"
#include "lib/clock.h"
#include "lib/util.h"

#define ROUNDS_MAX 201
#define SPREAD_MAX 0.06 /* of a median that says something */

extern char **environ;

/* --- work */

static void do_getppid(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		syscall(SYS_getppid);
}

static void do_connect(unsigned int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(listener, (struct sockaddr *)&a, len) || listen(listener, 16) ||
	    getsockname(listener, (struct sockaddr *)&a, &len))
		exit(1);
	for (unsigned int i = 0; i < n; i++) {
		struct linger now = { 1, 0 };
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;

		if (connect(fd, (struct sockaddr *)&a, len))
			exit(1);
		peer = accept(listener, NULL, NULL);
		/* No port is left waiting. */
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(fd);
		close(peer);
	}
	close(listener);
}

static void do_spawn(unsigned int n)
{
	char *argv[] = { (char *)"true", NULL };

	for (unsigned int i = 0; i < n; i++) {
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) || waitpid(pid, NULL, 0) != pid)
			exit(1);
	}
}

static const struct {
	const char *name;
	void (*run)(unsigned int n);
	unsigned int count; /* of a slice */
} works[] = { { "getppid", do_getppid, 50000 }, { "connect", do_connect, 300 }, { "posix_spawn", do_spawn, 10 } };

/* --- what is on meanwhile */

static const struct {
	const char *name;
	unsigned int sensors; /* bits */
} conditions[] = {
	{ "nothing", 0 },
	{ "empty BPF program", 1 << EMPTY },
	{ "BPF, processes", 1 << PROCS },
	{ "BPF, system calls", 1 << CALLS },
	{ "BPF, connections", 1 << SOCKETS },
	{ "BPF, opens", 1 << OPENS },
	{ "network policies", 1 << POLICY },
	/* As a monitor has them whose rules ask for everything. */
	{ "all of BPF", 1 << PROCS | 1 << EXITS | 1 << POLICY },
};

/* --- time */

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_usec * 1000;
}

/* Of this thread, and of children that have ended. */
static uint64_t cpu_ns(void)
{
	struct rusage children;
	struct timespec own;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own);
	getrusage(RUSAGE_CHILDREN, &children);
	return (uint64_t)own.tv_sec * NSEC_PER_SEC + (uint64_t)own.tv_nsec + timeval_ns(children.ru_utime) +
	       timeval_ns(children.ru_stime);
}

/* This thread alone; those of the sensors run where they like. */
static void stay_on_one(void)
{
	cpu_set_t all, one;

	sched_getaffinity(0, sizeof(all), &all);
	CPU_ZERO(&one);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && !CPU_COUNT(&one); cpu--)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static uint64_t measure(size_t work, unsigned int sensors)
{
	uint64_t began;

	sensors_switch(sensors);
	works[work].run(works[work].count / 10);
	began = cpu_ns();
	works[work].run(works[work].count);
	return cpu_ns() - began;
}

/* --- figures */

struct figure {
	double ratio[ROUNDS_MAX];
	double ns[ROUNDS_MAX];
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The median lies within as many places of the middle as this, 95 times of 100 (the binomial distribution's). */
static int places(int rounds)
{
	return MIN((int)ceil(0.98 * sqrt(rounds)), rounds / 2);
}

static void print(const char *work, const char *under, struct figure *f, int rounds, double per)
{
	int middle = rounds / 2, off = places(rounds);
	double low, high;

	qsort(f->ratio, (size_t)rounds, sizeof(double), compare);
	qsort(f->ns, (size_t)rounds, sizeof(double), compare);
	low = f->ratio[middle - off];
	high = f->ratio[MIN(middle + off, rounds - 1)];
	printf("%-12s %-18s %10.0f ns  %.3f to %.3f %s %6.3f\n", work, under, f->ns[middle] / per, low, high,
	       high - low > SPREAD_MAX ? "noisy" : "     ", f->ratio[middle]);
}

static void ratios(int rounds)
{
	static struct figure all[ARRAY_SIZE(works)][ARRAY_SIZE(conditions)];

	stay_on_one();
	for (int r = 0; r < rounds; r++) {
		for (size_t w = 0; w < ARRAY_SIZE(works); w++) {
			uint64_t before = measure(w, 0), with, after;

			for (size_t c = 0; c < ARRAY_SIZE(conditions); c++, before = after) {
				with = measure(w, conditions[c].sensors);
				after = measure(w, 0);
				all[w][c].ns[r] = (double)with;
				all[w][c].ratio[r] = 2.0 * (double)with / (double)(before + after);
			}
		}
	}
	for (size_t w = 0; w < ARRAY_SIZE(works); w++)
		for (size_t c = 0; c < ARRAY_SIZE(conditions); c++)
			print(works[w].name, conditions[c].name, &all[w][c], rounds, works[w].count);
}

/* --- a command */

static void run_command(const char *command, uint64_t *ret_elapsed, uint64_t *ret_cpu)
{
	uint64_t began = clock_mono_ns(), cpu = cpu_ns();

	if (system(command) != 0) {
		fprintf(stderr, "it failed: %s\n", command);
		exit(1);
	}
	*ret_elapsed = clock_mono_ns() - began;
	*ret_cpu = cpu_ns() - cpu;
}

static void build(const char *command, int rounds)
{
	static struct figure elapsed, cpu;
	uint64_t before[2], with[2], after[2];

	run_command(command, &before[0], &before[1]);
	run_command(command, &before[0], &before[1]); /* the first warms the cache */
	for (int r = 0; r < rounds; r++) {
		sensors_switch(conditions[ARRAY_SIZE(conditions) - 1].sensors);
		run_command(command, &with[0], &with[1]);
		sensors_switch(0);
		run_command(command, &after[0], &after[1]);
		elapsed.ns[r] = (double)with[0];
		cpu.ns[r] = (double)with[1];
		elapsed.ratio[r] = 2.0 * (double)with[0] / (double)(before[0] + after[0]);
		cpu.ratio[r] = 2.0 * (double)with[1] / (double)(before[1] + after[1]);
		memcpy(before, after, sizeof(before));
	}
	print("build", "all of BPF", &elapsed, rounds, 1);
	print("build's CPU", "all of BPF", &cpu, rounds, 1);
}

static int rounds_of(const char *s, int otherwise)
{
	return s ? MAX(1, MIN(atoi(s), ROUNDS_MAX)) : otherwise;
}

int main(int argc, char **argv)
{
	sensors_open();
	if (argc > 2 && streq(argv[1], "build"))
		build(argv[2], rounds_of(argv[3], 5));
	else
		ratios(rounds_of(argv[1], 41));
	return 0;
}
