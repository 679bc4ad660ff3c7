/*
 * Tar archives as layers of images are written: ustar, PAX and GNU headers. Names are bytes, as the runtimes read them:
 * libraries for archives convert them between character sets, and two names could become one.
 */
#ifndef FIM_IMAGE_TAR_H
#define FIM_IMAGE_TAR_H

#include <stdbool.h>
#include <sys/types.h>

#include "event/record.h"

#define IMAGE_NAME_MAX	 255	      /* bytes of a component; no file system on Linux has longer ones */
#define IMAGE_PATH_MAX	 4095	      /* bytes of a path inside an image */
#define IMAGE_HEADER_MAX (1024 * KIB) /* of a PAX header or a long name */

/* Where the bytes come from. */
struct tar_input {
	/* The next piece, valid until the next call: its length, 0 at the end, or a negative errno. */
	ssize_t (*next)(void *data, const uint8_t **ret);
	/* Goes forward by n bytes that were not handed out yet; NULL: they are read and thrown away. */
	int (*skip)(void *data, uint64_t n);
	void *data;
};

struct tar_entry {
	const char *path, *link; /* as they stand there; link: of a symlink, and of a hard link */
	bool hard_link;		 /* then type is 0 and only path and link count */
	/*
	 * type, mode, uid, gid, mtime, size, rdev, target, xattrs (canonical, without those that belong to a node and
	 * not to an image). have says type alone: what of it an image keeps is for image_tree.h to say.
	 */
	struct record rec;
};

struct tar_reader;

int tar_reader_new(const struct tar_input *in, struct buf *err, struct tar_reader **ret);
void tar_reader_free(struct tar_reader *t);
/*
 * The next entry, valid until the next call: 1, 0 at the end of the archive, -EBADMSG (malformed or cut short), -E2BIG,
 * -EOPNOTSUPP (sparse files), or what the input gave. What was left of the content of the one before is skipped.
 */
int tar_reader_next(struct tar_reader *t, struct tar_entry *ret);
/* The next piece of the content of a regular file, valid until the next call: its length, 0 at its end. */
ssize_t tar_reader_data(struct tar_reader *t, const uint8_t **ret);
/* Bytes that lie before the content of the current entry, from the start of the archive. */
uint64_t tar_reader_offset(const struct tar_reader *t);

/* Whether an extended attribute is part of an image: not SELinux labels, nor what overlayfs and runtimes note. */
bool image_keeps_xattr(const void *name, size_t len);

DEFINE_CLEANUP(struct tar_reader *, tar_reader_free)

#endif
