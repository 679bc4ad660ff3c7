/*
 * File system types: which hold files of this machine, and which are made up, remote or served by a program. Walks
 * and marks leave some out by type, never by guess.
 */
#ifndef LIB_FSTYPE_H
#define LIB_FSTYPE_H

#include <stdint.h>

enum fstype_class {
	FSTYPE_DISK,	/* blocks of this machine: ext4, xfs, btrfs, squashfs... */
	FSTYPE_MEMORY,	/* tmpfs, ramfs, devtmpfs */
	FSTYPE_OVERLAY, /* layers of other file systems: overlay, aufs */
	FSTYPE_REMOTE,	/* a server elsewhere may hang: nfs, cifs, ceph, 9p, fuse.sshfs... */
	FSTYPE_PSEUDO,	/* no files but views of the kernel: proc, sysfs, cgroup... */
	FSTYPE_FUSE,	/* a program of any user serves it */
	FSTYPE_UNKNOWN, /* not in the table */
	FSTYPE_CLASS_COUNT
};

struct fstype {
	const char *name; /* as in mountinfo */
	uint32_t magic;	  /* statfs f_type; 0: shares its magic with another row (found by name only) */
	enum fstype_class class;
};

extern const char *const fstype_class_names[FSTYPE_CLASS_COUNT];

/* Never NULL: an unknown type is a row of class FSTYPE_UNKNOWN named "unknown". */
const struct fstype *fstype_by_magic(uint64_t magic);
/* By the name that mountinfo gives. "fuse.NAME" not in the table is FSTYPE_FUSE. Never NULL. */
const struct fstype *fstype_by_name(const char *name);
/* By fstatfs (which may wait for a server: ask mountinfo first where one may be). fd may be O_PATH. */
int fstype_of_fd(int fd, const struct fstype **ret);

#endif
