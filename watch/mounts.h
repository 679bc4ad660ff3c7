/*
 * The mount table: parsed from mountinfo (given by path, so tests use recorded ones), classified by type, and watched
 * for changes by poll.
 */
#ifndef WATCH_MOUNTS_H
#define WATCH_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/arena.h"

struct mount {
	int id, parent;
	uint64_t dev;
	const char *root;  /* within the file system */
	const char *point; /* where; bytes, octal escapes decoded */
	const char *fstype, *source, *options, *super_options;
};

struct mount_table {
	struct arena arena;
	struct mount *mounts;
	size_t n;
};

/* -errno; malformed lines are skipped and counted in *ret_bad (may be NULL). Bounded: 100,000 lines, 64 MiB. */
int mounts_read(const char *path, struct mount_table *ret, size_t *ret_bad);
int mounts_parse(const char *text, size_t len, struct mount_table *ret, size_t *ret_bad);
void mounts_free(struct mount_table *t);
/* The mount that `path` lies in: the last one mounted on the longest prefix. NULL for none. */
const struct mount *mounts_find(const struct mount_table *t, const char *path);

/*
 * The device of the file system that fd (may be O_PATH) lies on, as mountinfo names it; st: its own stat. They differ
 * on btrfs, where each subvolume has a number of its own. 0: cannot be told. Reads mountinfo there.
 */
uint64_t mounts_dev(int fd, const struct stat *st);

/*
 * Why nothing of it is to be touched: a remote or pseudo file system, or one that a program of an unprivileged user
 * serves (FUSE), and that may leave whoever opens it hanging. NULL: it may be opened.
 */
const char *mounts_why_skip(const struct mount *m);

#endif
