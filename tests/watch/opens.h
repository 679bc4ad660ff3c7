/* Files that tests of watch/bpf_opens open: a folder of their own. */
#ifndef TESTS_WATCH_OPENS_H
#define TESTS_WATCH_OPENS_H

#include "tests/watch/loaded.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "watch/bpf_opens.h"

/* A name that ends with a slash is a folder. */
static inline void make_file(const char *dir, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (path[strlen(path) - 1] == '/') {
		assert_int_equal(mkdir(path, 0755), 0);
		return;
	}
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	close(fd);
}

/* dir: ends with XXXXXX. A folder comes before what is in it. */
static inline void make_files(char *dir, const char *const *names, size_t n)
{
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < n; i++)
		make_file(dir, names[i]);
}

static inline void remove_files(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	assert_int_equal(system(command), 0);
}

#endif
