/* Whole reads and writes of descriptors, messages with descriptors: what is interrupted, or done in part, goes on. */
#ifndef LIB_IO_H
#define LIB_IO_H

#include <sys/types.h>
#include <sys/uio.h>

#include "lib/buf.h"

/*
 * What follows on fd, appended to ret: all of it, at most max bytes. -EFBIG: there is more, ret holds the first max and
 * one more byte. -ENOMEM, or what read says: ret holds what was read before.
 */
int io_read_all(int fd, size_t max, struct buf *ret);
/* -EIO: it takes no more. On a descriptor that does not wait also -EAGAIN, with some of it written. */
int io_write_all(int fd, const void *data, size_t len);

#define IO_FDS_MAX 2 /* that go along with one message */

/* One message to a socket, with descriptors, which stay the caller's. Never SIGPIPE. Bytes sent, or a negative errno.
 */
ssize_t io_send(int fd, const struct iovec *iov, size_t n, const int *fds, size_t n_fds, int flags);
/*
 * One message of a socket. fds: of *n_fds, which becomes how many came; they are the caller's and closed on exec. n_fds
 * NULL: the kernel drops them. More than there is room for are closed. Bytes; 0: the other end is gone; -EMSGSIZE: it
 * is longer than iov; another negative errno.
 */
ssize_t io_receive(int fd, const struct iovec *iov, size_t n, int *fds, size_t *n_fds, int flags);

#endif
