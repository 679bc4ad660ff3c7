/* The rows of KERNEL facts as system calls. Everything happens in the current folder and in "../out". */
#include "tests/watch/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/util.h"
#include "watch/watch.h"

#define WRITTEN (FS_MODIFY | FS_CLOSE_WRITE)

static char block[65536];

static void file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, block, sizeof(block)) < 0)
		perror(name);
	close(fd);
}

static void have_f(void)
{
	file("f");
}

static void have_f_g(void)
{
	file("f");
	/* Not alike: an exchange of files that are changes nothing. */
	file("g");
	if (truncate("g", 61440) < 0)
		perror("g");
}

static void have_dir(void)
{
	mkdir("d", 0755);
	file("d/f");
}

static void have_outside(void)
{
	file("../out/o");
}

static void have_script(void)
{
	int fd = open("script~", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, "#!/bin/true\n", 12) < 0)
		perror("script~");
	close(fd);
}

static int done(int fd, long r)
{
	int error = errno;

	close(fd);
	errno = error;
	return r < 0 ? -1 : 0;
}

static int open_f(int flags)
{
	return open("f", flags | O_CLOEXEC, 0644);
}

/* --- new names */

static int do_create(void)
{
	int fd = open_f(O_WRONLY | O_CREAT | O_EXCL);

	return fd < 0 ? -1 : done(fd, write(fd, "x", 1));
}

static int do_mkdir(void)
{
	return mkdir("d", 0755);
}

static int do_mkdir_p(void)
{
	int fd;

	if (mkdir("d", 0755) < 0 || mkdir("d/e", 0755) < 0 || mkdir("d/e/h", 0755) < 0)
		return -1;
	fd = open("d/e/h/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd < 0 ? -1 : done(fd, write(fd, "x", 1));
}

static int do_symlink(void)
{
	return symlink("target", "l");
}

static int do_mkfifo(void)
{
	return mkfifo("p", 0644);
}

static int do_mknod(void)
{
	return mknod("c", S_IFCHR | 0600, 0x0103);
}

static int do_bind(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "s" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : done(fd, bind(fd, (struct sockaddr *)&sa, sizeof(sa)));
}

static int do_link(void)
{
	return link("f", "h");
}

static int do_link_from_outside(void)
{
	return link("../out/o", "h");
}

static int do_tmpfile(void)
{
	char proc[64];
	int fd = open(".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	if (write(fd, "x", 1) < 0)
		return done(fd, -1);
	return done(fd, linkat(AT_FDCWD, proc, AT_FDCWD, "t", AT_SYMLINK_FOLLOW));
}

/* --- content */

static int do_write(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, write(fd, "x", 1));
}

static int do_append(void)
{
	int fd = open_f(O_WRONLY | O_APPEND);

	return fd < 0 ? -1 : done(fd, write(fd, "x", 1));
}

static int do_pwritev2(void)
{
	struct iovec iov = { block, 4096 };
	int fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, pwritev2(fd, &iov, 1, 0, RWF_DSYNC));
}

static int do_direct(void)
{
	void *page;
	int fd = open_f(O_WRONLY | O_DIRECT);

	if (fd < 0)
		return -1;
	if (posix_memalign(&page, 4096, 4096))
		return done(fd, -1);
	memset(page, 1, 4096);
	return done(fd, write(fd, page, 4096));
}

static int do_splice(void)
{
	int p[2], fd = open_f(O_WRONLY);

	if (fd < 0 || pipe(p) < 0 || write(p[1], "x", 1) < 0)
		return -1;
	return done(fd, splice(p[0], NULL, fd, NULL, 1, 0));
}

static int do_sendfile(void)
{
	int from = open("g", O_RDONLY | O_CLOEXEC), fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, sendfile(fd, from, NULL, 4096));
}

static int do_copy_file_range(void)
{
	int from = open("g", O_RDONLY | O_CLOEXEC), fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, copy_file_range(from, NULL, fd, NULL, 4096, 0));
}

static int do_reflink(void)
{
	int from = open("g", O_RDONLY | O_CLOEXEC), fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, ioctl(fd, FICLONE, from));
}

static int do_fallocate(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, fallocate(fd, 0, 0, 131072));
}

static int do_punch(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096));
}

static int do_ftruncate(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : done(fd, ftruncate(fd, 10));
}

static int do_o_trunc(void)
{
	return done(open_f(O_WRONLY | O_TRUNC), 0);
}

static int do_truncate(void)
{
	return truncate("f", 5);
}

static int do_mmap(void)
{
	int fd = open_f(O_RDWR);
	char *p;

	if (fd < 0)
		return -1;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return done(fd, -1);
	p[0] = 'y';
	return done(fd, munmap(p, 4096));
}

static int do_libaio(void)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_buf = (uintptr_t)block, .aio_nbytes = 4096 };
	struct iocb *list[] = { &cb };
	struct io_event event;
	aio_context_t context = 0;
	int fd = open_f(O_WRONLY);

	cb.aio_fildes = (uint32_t)fd;
	if (fd < 0 || syscall(SYS_io_setup, 1, &context) < 0 || syscall(SYS_io_submit, context, 1, list) < 0)
		return -1;
	return done(fd, syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
}

static int do_handle_write(void)
{
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)space;
	int id, fd, dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (dir < 0 || name_to_handle_at(AT_FDCWD, "f", handle, &id, 0) < 0)
		return -1;
	fd = open_by_handle_at(dir, handle, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : done(fd, write(fd, "x", 1));
}

/* The parent opens, its child writes and is the last to close. */
static int do_passed_fd(void)
{
	int fd = open("f", O_WRONLY), p[2];
	char c;

	if (fd < 0 || pipe(p) < 0)
		return -1;
	if (!fork()) {
		_exit(write(fd, "x", 1) != 1 || write(p[1], "x", 1) != 1);
	}
	if (read(p[0], &c, 1) != 1)
		return -1;
	close(fd);
	return wait(NULL) < 0 ? -1 : 0;
}

static int do_killed(void)
{
	int fd = open_f(O_WRONLY);

	if (fd < 0 || write(fd, "x", 1) < 0)
		return -1;
	raise(SIGKILL);
	return 0;
}

/* --- attributes */

static int do_chmod(void)
{
	return chmod("f", 0600);
}

static int do_fchown(void)
{
	int fd = open_f(O_RDONLY);

	return fd < 0 ? -1 : done(fd, fchown(fd, 1000, 1000));
}

static int do_lchown(void)
{
	return lchown("f", 1, 1);
}

static int do_utimes(void)
{
	const struct timespec times[2] = { { 1, 0 }, { 2, 0 } };

	return utimensat(AT_FDCWD, "f", times, 0);
}

static int do_setxattr(void)
{
	return setxattr("f", "trusted.t", "v", 1, 0);
}

static int do_removexattr(void)
{
	return setxattr("f", "trusted.t", "v", 1, 0) < 0 ? -1 : removexattr("f", "trusted.t");
}

static int do_chmod_dir(void)
{
	return chmod("d", 0700);
}

/* --- removal and renames */

static int do_unlink(void)
{
	return unlink("f");
}

static int do_rmdir(void)
{
	return unlink("d/f") < 0 ? -1 : rmdir("d");
}

static int do_rename(void)
{
	return rename("f", "n");
}

static int do_rename_over(void)
{
	return rename("f", "g");
}

static int do_rename_out(void)
{
	return rename("f", "../out/f");
}

static int do_rename_in(void)
{
	return rename("../out/o", "i");
}

static int do_rename_across(void)
{
	return rename("f", "d/n");
}

static int do_rename_dir(void)
{
	int fd;

	if (rename("d", "e") < 0)
		return -1;
	fd = open("e/f", O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -1 : done(fd, write(fd, "x", 1));
}

static int do_exchange(void)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "g", RENAME_EXCHANGE);
}

static int do_whiteout(void)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "n", RENAME_WHITEOUT);
}

static void prepare_across(void)
{
	file("f");
	mkdir("d", 0755);
}

/* --- programs */

static int do_exec_script(void)
{
	execl("./script~", "script", (char *)NULL);
	return -1;
}

static int do_exec_fd(void)
{
	int fd = open("script~", O_PATH);

	execveat(fd, "", (char *[]){ "script", NULL }, (char *[]){ NULL }, AT_EMPTY_PATH);
	return -1;
}

const struct op_case op_cases[] = {
	{ "create", NULL, do_create, { { "f", FS_CREATE | WRITTEN, NULL } } },
	{ "mkdir", NULL, do_mkdir, { { "d", FS_CREATE, NULL } } },
	{ "mkdir -p and a file",
	  NULL,
	  do_mkdir_p,
	  { { "d", FS_CREATE, NULL }, { "d/e/h/f", FS_CREATE | WRITTEN, NULL } } },
	{ "symlink", NULL, do_symlink, { { "l", FS_CREATE, NULL } } },
	{ "mkfifo", NULL, do_mkfifo, { { "p", FS_CREATE, NULL } } },
	{ "mknod", NULL, do_mknod, { { "c", FS_CREATE, NULL } } },
	{ "bind of a socket", NULL, do_bind, { { "s", FS_CREATE, NULL } } },
	{ "link", have_f, do_link, { { "h", FS_CREATE, NULL } } },
	{ "link from outside", have_outside, do_link_from_outside, { { "h", FS_CREATE, NULL } } },
	{ "O_TMPFILE and linkat", NULL, do_tmpfile, { { "t", FS_CREATE, NULL } } },
	{ "write", have_f, do_write, { { "f", WRITTEN, NULL } } },
	{ "append", have_f, do_append, { { "f", WRITTEN, NULL } } },
	{ "pwritev2", have_f, do_pwritev2, { { "f", WRITTEN, NULL } } },
	{ "O_DIRECT", have_f, do_direct, { { "f", WRITTEN, NULL } } },
	{ "splice", have_f, do_splice, { { "f", WRITTEN, NULL } } },
	{ "sendfile", have_f_g, do_sendfile, { { "f", WRITTEN, NULL } } },
	{ "copy_file_range", have_f_g, do_copy_file_range, { { "f", WRITTEN, NULL } } },
	{ "reflink", have_f_g, do_reflink, { { "f", WRITTEN, NULL } } },
	{ "fallocate", have_f, do_fallocate, { { "f", WRITTEN, NULL } } },
	{ "punch hole", have_f, do_punch, { { "f", WRITTEN, NULL } } },
	{ "ftruncate", have_f, do_ftruncate, { { "f", WRITTEN, NULL } } },
	{ "O_TRUNC", have_f, do_o_trunc, { { "f", WRITTEN, NULL } } },
	{ "truncate", have_f, do_truncate, { { "f", FS_MODIFY, NULL } } },
	{ "mmap store", have_f, do_mmap, { { "f", FS_CLOSE_WRITE, NULL } } },
	{ "libaio", have_f, do_libaio, { { "f", FS_CLOSE_WRITE, NULL } } },
	{ "open_by_handle_at", have_f, do_handle_write, { { "f", WRITTEN, NULL } } },
	{ "passed descriptor", have_f, do_passed_fd, { { "f", FS_CLOSE_WRITE, NULL } } },
	{ "killed writer", have_f, do_killed, { { "f", WRITTEN, NULL } } },
	{ "chmod", have_f, do_chmod, { { "f", FS_ATTRIB, NULL } } },
	{ "fchown", have_f, do_fchown, { { "f", FS_ATTRIB, NULL } } },
	{ "lchown", have_f, do_lchown, { { "f", FS_ATTRIB, NULL } } },
	{ "utimensat", have_f, do_utimes, { { "f", FS_ATTRIB, NULL } } },
	{ "setxattr", have_f, do_setxattr, { { "f", FS_ATTRIB, NULL } } },
	{ "removexattr", have_f, do_removexattr, { { "f", FS_ATTRIB, NULL } } },
	{ "chmod of a folder", have_dir, do_chmod_dir, { { "d", FS_ATTRIB, NULL } } },
	{ "unlink", have_f, do_unlink, { { "f", FS_DELETE, NULL } } },
	/* What was in a folder that is gone cannot be named for sure: the folder itself can. */
	{ "rm -r", have_dir, do_rmdir, { { "d", FS_DELETE, NULL } } },
	{ "rename", have_f, do_rename, { { "f", FS_RENAME_FROM, "n" }, { "n", FS_RENAME_TO, "f" } } },
	{ "rename over", have_f_g, do_rename_over, { { "f", FS_RENAME_FROM, "g" }, { "g", FS_RENAME_TO, "f" } } },
	{ "rename out", have_f, do_rename_out, { { "f", FS_RENAME_FROM, "" } } },
	{ "rename in", have_outside, do_rename_in, { { "i", FS_RENAME_TO, "" } } },
	{ "rename across",
	  prepare_across,
	  do_rename_across,
	  { { "f", FS_RENAME_FROM, "d/n" }, { "d/n", FS_RENAME_TO, "f" } } },
	{ "rename of a folder",
	  have_dir,
	  do_rename_dir,
	  { { "d", FS_RENAME_FROM, "e" }, { "e", FS_RENAME_TO, "d" }, { "e/f", WRITTEN, NULL } } },
	{ "RENAME_EXCHANGE",
	  have_f_g,
	  do_exchange,
	  { { "f", FS_RENAME_FROM | FS_RENAME_TO, "g" }, { "g", FS_RENAME_FROM | FS_RENAME_TO, "f" } } },
	{ "RENAME_WHITEOUT", have_f, do_whiteout, { { "f", FS_RENAME_FROM, "n" }, { "n", FS_RENAME_TO, "f" } } },
	{ "exec of a script", have_script, do_exec_script, { { "script~", FS_EXEC, NULL } } },
	{ "execveat of O_PATH", have_script, do_exec_fd, { { "script~", FS_EXEC, NULL } } },
};
const size_t op_case_count = ARRAY_SIZE(op_cases);
