/* Scratch folders and files for the tests of fim/. */
#ifndef TESTS_FIM_TREE_H
#define TESTS_FIM_TREE_H

#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"

struct tree {
	char path[64];
	int fd;
};

static inline void tree_make(struct tree *t)
{
	snprintf(t->path, sizeof(t->path), "%s/fim.XXXXXX",
		 getenv("TMPDIR") && strlen(getenv("TMPDIR")) < 40 ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(t->path));
	t->fd = open(t->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(t->fd >= 0);
}

static inline bool tree_is_dots(const char *name)
{
	return streq(name, ".") || streq(name, "..");
}

/* Moves what cannot be removed from the folder `name` one level up. True when anything went. */
static inline bool tree_lift(int dirfd, const char *name)
{
	int sub = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = sub < 0 ? NULL : fdopendir(sub);
	static unsigned long moved;
	struct dirent *e;
	bool any = false;
	char to[64];

	while (d && (e = readdir(d))) {
		if (tree_is_dots(e->d_name))
			continue;
		snprintf(to, sizeof(to), "moved.%lu", moved++);
		any |= unlinkat(sub, e->d_name, 0) == 0 || unlinkat(sub, e->d_name, AT_REMOVEDIR) == 0 ||
		       renameat(sub, e->d_name, dirfd, to) == 0;
	}
	if (d)
		closedir(d);
	return any;
}

/* For trees of any depth: without recursion, a folder's content is moved up when it is a folder itself. */
static inline void tree_empty(int dirfd)
{
	for (bool again = true; again;) {
		DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
		struct dirent *e;

		again = false;
		assert_non_null(d);
		while ((e = readdir(d))) {
			if (tree_is_dots(e->d_name))
				continue;
			again |= unlinkat(dirfd, e->d_name, 0) == 0 || unlinkat(dirfd, e->d_name, AT_REMOVEDIR) == 0 ||
				 tree_lift(dirfd, e->d_name);
		}
		closedir(d);
	}
}

static inline void tree_remove(struct tree *t)
{
	tree_empty(t->fd);
	close(t->fd);
	assert_int_equal(rmdir(t->path), 0);
}

static inline void tree_file(int dirfd, const char *name, const void *data, size_t len)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
}

static inline void tree_text(int dirfd, const char *name, const char *text)
{
	tree_file(dirfd, name, text, strlen(text));
}

static inline void tree_folder(int dirfd, const char *name)
{
	assert_int_equal(mkdirat(dirfd, name, 0755), 0);
}

#endif
