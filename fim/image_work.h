/* What the role unpack does with bytes of images, in its process. */
#ifndef FIM_IMAGE_WORK_H
#define FIM_IMAGE_WORK_H

#include "lib/buf.h"
#include "lib/digest.h"

enum image_work {
	IMAGE_WORK_GZIP,    /* decompresses */
	IMAGE_WORK_ZSTD,    /* decompresses */
	IMAGE_WORK_ENTRIES, /* takes an archive apart: entries (fim/image_entries.h), content by its digest */
	IMAGE_WORK_COUNT
};

/* Loads what has to be loaded while there are files. What is missing is said when it is needed. */
void image_work_ready(void);
/*
 * Reads fd, a stream, until its end or that of what it carries, and writes to it what comes of that. algo: of contents.
 * -EBADMSG, -E2BIG, -EOPNOTSUPP with a text; another negative errno.
 */
int image_work_run(enum image_work work, enum digest_algo algo, int fd, struct buf *err);

#endif
