/*
 * Paths of any length, opened piece by piece below a root folder. No state; any thread. Follows no symbolic link
 * anywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>

#include "fim/read.h"
#include "lib/cleanup.h"
#include "lib/util.h"

#define PATH_FLAGS (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* Opens the components in piece at once. -ENOSYS, -EPERM: the kernel or a seccomp filter does not know openat2. */
static int path_open_piece(int dirfd, const char *piece)
{
	struct open_how how = { .flags = PATH_FLAGS, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH };
	int fd = (int)syscall(SYS_openat2, dirfd, piece, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Bytes of the longest run of whole components at s that is shorter than max; of the first alone when that is as long.
 */
static size_t path_piece_len(const char *s, size_t len, size_t max)
{
	size_t end = len;

	if (len < max)
		return len;
	for (size_t i = 0; i < max; i++)
		if (s[i] == '/')
			end = i;
	return end;
}

/* Opens the folder at s (len bytes, no leading slash) below dirfd, which it does not close. */
static int path_open_folder(int dirfd, const char *s, size_t len)
{
	_cleanup_close_ int at = openat(dirfd, ".", PATH_FLAGS);
	size_t max = PATH_MAX, n;
	char piece[PATH_MAX];
	int fd;

	if (at < 0)
		return -errno;
	while (len) {
		n = max > 1 ? path_piece_len(s, len, max) : strcspn(s, "/");
		n = MIN(n, len);
		if (n >= sizeof(piece))
			return -ENAMETOOLONG;
		memcpy(piece, s, n);
		piece[n] = '\0';
		fd = max > 1 ? path_open_piece(at, piece) : openat(at, piece, PATH_FLAGS);
		if (max > 1 && (fd == -ENOSYS || fd == -EPERM)) {
			max = 1; /* one component after the other */
			continue;
		}
		if (fd < 0)
			return max > 1 ? fd : -errno;
		close(at);
		at = fd;
		for (s += n, len -= n; len && *s == '/'; s++)
			len--;
	}
	return TAKE_FD(at);
}

int file_open_parent(int rootfd, const char *path, int *ret_dirfd, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	int fd;

	if (!slash || *path != '/')
		return -EINVAL;
	fd = slash == path ? path_open_folder(rootfd, "", 0)
			   : path_open_folder(rootfd, path + 1, (size_t)(slash - path - 1));
	if (fd < 0)
		return fd;
	*ret_dirfd = fd;
	*ret_name = slash + 1;
	return 0;
}
