/* A recorded /proc in a temporary folder, made file by file. */
#ifndef TESTS_PROC_TREE_H
#define TESTS_PROC_TREE_H

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct tree {
	char root[64];
};

static inline void tree_make(struct tree *t)
{
	strcpy(t->root, "/tmp/holdfast-proc-XXXXXX");
	if (!mkdtemp(t->root))
		abort();
}

static inline int tree_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void tree_remove(struct tree *t)
{
	nftw(t->root, tree_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void tree_file(struct tree *t, int pid, const char *name, const void *data, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%d", t->root, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/%s", t->root, pid, name);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
}

static inline void tree_text(struct tree *t, int pid, const char *name, const char *text)
{
	tree_file(t, pid, name, text, strlen(text));
}

static inline void tree_link(struct tree *t, int pid, const char *name, const char *target)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d", t->root, pid);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%d/%s", t->root, pid, name);
	unlink(path);
	if (symlink(target, path))
		abort();
}

/* A stat line; start in ticks. */
static inline void tree_stat(struct tree *t, int pid, const char *comm, int ppid, int tty_nr, unsigned long long start)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "%d (%s) S %d %d %d %d -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %llu 4096 100 18446744073709551615 1 1 0 "
		 "0\n",
		 pid, comm, ppid, pid, pid, tty_nr, start);
	tree_text(t, pid, "stat", line);
}

/* A whole process. */
static inline void tree_process(struct tree *t, int pid, int ppid, const char *exe, unsigned long long start)
{
	char cmdline[512];
	int n = snprintf(cmdline, sizeof(cmdline), "%s%c--flag", exe, 0);

	tree_link(t, pid, "exe", exe);
	tree_link(t, pid, "cwd", "/srv");
	tree_file(t, pid, "cmdline", cmdline, (size_t)n + 1);
	tree_stat(t, pid, "name", ppid, 0x8803, start);
	tree_text(t, pid, "status", "Name:\tname\nUid:\t1000\t0\t0\t0\nGid:\t100\t7\t7\t7\n");
	tree_text(t, pid, "loginuid", "1000");
	tree_text(t, pid, "sessionid", "3\n");
	tree_text(t, pid, "cgroup", "0::/user.slice\n");
}

/* Its process is gone. */
static inline void tree_drop(struct tree *t, int pid)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%d", t->root, pid);
	nftw(path, tree_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
