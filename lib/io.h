/* Whole reads and writes of descriptors: what is interrupted, or done in part, goes on. */
#ifndef LIB_IO_H
#define LIB_IO_H

#include "lib/buf.h"

/*
 * What follows on fd, appended to ret: all of it, at most max bytes. -EFBIG: there is more, ret holds the first max and
 * one more byte. -ENOMEM, or what read says: ret holds what was read before.
 */
int io_read_all(int fd, size_t max, struct buf *ret);
/* -EIO: it takes no more. On a descriptor that does not wait also -EAGAIN, with some of it written. */
int io_write_all(int fd, const void *data, size_t len);

#endif
