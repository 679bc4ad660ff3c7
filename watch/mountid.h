/*
 * Numbers of mount namespaces and of mounts that the kernel gives away only once; those in /proc are used again.
 * Thread-safe, but for one list of mounts.
 */
#ifndef WATCH_MOUNTID_H
#define WATCH_MOUNTID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Of the mount namespace behind path, below dirfd. Says nothing about which was made first. 0: it is gone, or the
 * kernel has none (before Linux 6.11). *ret_ino: its inode, when it is not 0.
 */
uint64_t mountid_namespace(int dirfd, const char *path, uint64_t *ret_ino);
/* The lowest number of a mount in it: they count up, and one that is a copy has mounts of its own. 0 unknown. */
uint64_t mountid_first(uint64_t ns);
/* All mounts of a namespace, read when the first of them is asked for. */
struct mountids {
	uint64_t ns; /* mountid_namespace */
	bool read;
	struct mountid *list; /* by id */
	size_t n;
};
struct mountid {
	uint32_t id;
	uint64_t mount;
};

/* Of the mount that mountinfo in this namespace has under that id. 0: it is gone, or cannot be told (before 6.11). */
uint64_t mountids_find(struct mountids *ids, int id);
void mountids_free(struct mountids *ids);

#endif
