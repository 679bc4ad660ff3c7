/* Processes and folders for the tests of respond/. */
#ifndef TESTS_RESPOND_PROC_H
#define TESTS_RESPOND_PROC_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "respond/target.h"
#include "tests/test.h"

static inline int procfs(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd;
}

/* A child that waits for a signal; it dies with the test. */
static inline pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static inline void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* A process that is no child of ours: its parent has ended. body (or what argv names) runs in it. */
static inline pid_t orphan(void (*body)(void *data), void *data, char *const argv[])
{
	int ends[2];
	pid_t pid, child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		pid = fork();
		if (pid == 0) {
			setsid();
			close(ends[0]);
			close(ends[1]);
			if (argv)
				execv(argv[0], argv);
			if (body)
				body(data);
			alarm(60);
			for (;;)
				pause();
		}
		_exit(write(ends[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	waitpid(child, NULL, 0);
	assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
	close(ends[0]);
	close(ends[1]);
	return pid;
}

/* The state letter of a process; 0 when gone. */
static inline char state_of(pid_t pid)
{
	char path[64], text[512], *p;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	p = strrchr(text, ')');
	return p && p[1] ? p[2] : 0;
}

static inline bool is_gone(pid_t pid)
{
	char state = state_of(pid);

	return !state || state == 'Z' || state == 'X';
}

/* Polls until it is so; fails after ten seconds. */
#define until(condition)                                                                                               \
	do {                                                                                                           \
		uint64_t until_ = clock_mono_ns() + 10 * NSEC_PER_SEC;                                                 \
                                                                                                                       \
		while (!(condition)) {                                                                                 \
			assert_true(clock_mono_ns() < until_);                                                         \
			nanosleep(&(struct timespec){ 0, 200000 }, NULL);                                              \
		}                                                                                                      \
	} while (0)

static inline void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static inline void remove_tree(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

#endif
