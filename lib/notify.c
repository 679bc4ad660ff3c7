/* The manager's protocol over one datagram socket. No state but the environment, which is only read. */
#include "lib/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/io.h"

#define FIRST_FD 3 /* sd_listen_fds(3) */
#define FDS_MAX	 64

int notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || (path[0] != '/' && path[0] != '@'))
		return -ENOENT;
	if (len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] == '/'))) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int notify_send(int notify, const char *text, int fd)
{
	const struct iovec data = { (void *)(uintptr_t)text, strlen(text) };
	ssize_t n = io_send(notify, &data, 1, &fd, fd >= 0, MSG_DONTWAIT);

	return n < 0 ? (int)n : 0;
}

static long number(const char *name)
{
	const char *s = getenv(name);
	char *end;
	long n = s ? strtol(s, &end, 10) : -1;

	return s && *s && !*end ? n : -1;
}

int notify_take(const char *prefix, char *ret_name, size_t size)
{
	const char *names = getenv("LISTEN_FDNAMES");
	long n = number("LISTEN_FDS");
	size_t want = strlen(prefix);

	if (number("LISTEN_PID") != getpid() || n < 1 || n > FDS_MAX || !names)
		return -ENOENT;
	for (int fd = FIRST_FD; fd < FIRST_FD + n; fd++) {
		size_t len = strcspn(names, ":");

		if (len >= want && len < size && memcmp(names, prefix, want) == 0) {
			memcpy(ret_name, names, len);
			ret_name[len] = '\0';
			return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : fd;
		}
		names += len + (names[len] == ':');
	}
	return -ENOENT;
}
