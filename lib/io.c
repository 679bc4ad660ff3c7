/* Whole reads and writes of descriptors. No state; any thread. */
#include "lib/io.h"

#include <errno.h>
#include <unistd.h>

#define PIECE (16 * KIB)

int io_read_all(int fd, size_t max, struct buf *ret)
{
	size_t room = max + 1;

	while (room) {
		ssize_t n;

		if (!buf_reserve(ret, MIN(PIECE, room)))
			return -ENOMEM;
		n = read(fd, ret->data + ret->len, MIN(PIECE, room));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		ret->len += (size_t)n;
		ret->data[ret->len] = '\0';
		room -= (size_t)n;
		if (!n)
			return 0;
	}
	return -EFBIG;
}

int io_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}
