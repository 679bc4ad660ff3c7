/*
 * Reads all extended attributes of one file into the canonical form of struct record.
 */
#ifndef FIM_XATTR_H
#define FIM_XATTR_H

#include "event/record.h"

#define XATTR_TOTAL_MAX (256 * 1024) /* names and values of one file together, as a record keeps them */
/* Beyond that: the name of the pair that stands for all but capabilities, label and ACLs. No attribute has such a name.
 */
#define XATTR_OTHERS "(others)"

struct xattr_reader {
	char *list; /* 64 KiB, the kernel's limit */
	char *value;
	struct buf pairs;
	bool no_at; /* the kernel has no listxattrat */
};

int xattr_reader_init(struct xattr_reader *x);
void xattr_reader_done(struct xattr_reader *x);

/*
 * Of an open regular file or folder. Sets rec->xattrs (in a) and ATTR_XATTRS in rec->have, also when there are none or
 * the file system has no xattrs at all. More than XATTR_TOTAL_MAX are compared by one digest (XATTR_OTHERS).
 * -EAGAIN: they kept changing; rec is untouched then, as after any error.
 */
int xattr_read_fd(struct xattr_reader *x, struct arena *a, int fd, struct record *rec);
/* Of dirfd + name without opening or following it: symlinks and special files, and what may not be opened. */
int xattr_read_at(struct xattr_reader *x, struct arena *a, int dirfd, const char *name, struct record *rec);

#endif
