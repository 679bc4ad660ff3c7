/* What several attacks need. */
#include "tests/system/evasion/evasion.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

void have_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, "as it was before\n", 17) != 17)
		perror(name);
	close(fd);
}

int end_with(int fd, long r)
{
	int error = errno;

	close(fd);
	errno = error;
	return r < 0 ? -1 : 0;
}

int write_to(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : end_with(fd, write(fd, "changed", 7));
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : end_with(fd, write(fd, text, strlen(text)));
}

int private_mounts(void)
{
	return unshare(CLONE_NEWNS) < 0 ? -1 : mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

int enter_user_namespace(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || put("/proc/self/uid_map", "0 0 1") < 0 ||
			       put("/proc/self/setgroups", "deny") < 0 || put("/proc/self/gid_map", "0 0 1") < 0
		       ? -1
		       : 0;
}

/* --- io_uring, without its library: one entry, submitted and waited for */

int uring_do(const struct io_uring_sqe *sqe)
{
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &p), result;
	size_t size = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	char *sq, *cq;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;

	if (fd < 0)
		return -errno;
	if (size < p.cq_off.cqes + p.cq_entries * sizeof(*done))
		size = p.cq_off.cqes + p.cq_entries * sizeof(*done);
	sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	entries = mmap(NULL, p.sq_entries * sizeof(*sqe), PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || entries == MAP_FAILED)
		return -ENOMEM;
	entries[0] = *sqe;
	((unsigned *)(void *)(sq + p.sq_off.array))[0] = 0;
	__atomic_store_n((unsigned *)(void *)(sq + p.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	done = (void *)(cq + p.cq_off.cqes);
	result = done->res;
	close(fd);
	return result;
}
