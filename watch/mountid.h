/*
 * Numbers of mount namespaces and of mounts that the kernel gives away only once; those in /proc are used again. Thread
 * -safe.
 */
#ifndef WATCH_MOUNTID_H
#define WATCH_MOUNTID_H

#include <stdint.h>

/*
 * Of the mount namespace behind path, below dirfd; one that was made later has a higher one. 0: it is gone, or the
 * kernel has none (before Linux 6.11). *ret_ino: its inode, when it is not 0.
 */
uint64_t mountid_namespace(int dirfd, const char *path, uint64_t *ret_ino);
/* Of the mount that mountinfo in this namespace has under that id. 0: it is gone, or cannot be told (before 6.11). */
uint64_t mountid_of(uint64_t ns, int id);

#endif
