/*
 * Changes of guarded files and opens of secrets beyond the plain operations of tests/watch/ops.c. The current folder is
 * guarded, ../out is not.
 */
#include "tests/system/evasion/evasion.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EXT4_SWAP_BOOT _IO('f', 17)

static void have_f(void)
{
	have_file("f");
}

static void have_linked(void)
{
	have_file("f");
	if (link("f", "../out/l") < 0)
		perror("../out/l");
}

static void have_two_folders(void)
{
	mkdir("d", 0755);
	have_file("d/f");
	mkdir("../out/e", 0755);
	have_file("../out/e/f");
	have_file("../out/e/evil");
}

static void have_symlink(void)
{
	if (symlink("/bin/true", "l") < 0)
		perror("l");
}

static void have_big(void)
{
	int fd = open("f", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	for (int i = 0; i < 4096; i++)
		if (write(fd, "sixteen bytes..\n", 16) != 16)
			perror("f");
	close(fd);
}

static int open_f(int flags)
{
	return open("f", flags | O_CLOEXEC);
}

/* --- content */

static char *map_f(void)
{
	int fd = open_f(O_RDWR);
	char *p = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

static int kept_mapping(void)
{
	char *p = map_f();

	if (!p)
		return -1;
	p[0] = 'X';
	return 0;
}

/* A hole where the bytes were, made through the mapping. */
static int kept_mapping_hole(void)
{
	char *p = map_f();

	return p ? madvise(p, 4096, MADV_REMOVE) : -1;
}

static int never_closed(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 || write(fd, "changed", 7) != 7 ? -1 : 0;
}

static int under_lease(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 || write(fd, "changed", 7) != 7 ? -1 : fcntl(fd, F_SETLEASE, F_WRLCK);
}

static int times_restored(void)
{
	struct stat st;

	if (stat("f", &st) < 0 || write_to("f") < 0)
		return -1;
	return utimensat(AT_FDCWD, "f", (struct timespec[]){ st.st_atim, st.st_mtim }, 0);
}

static int collapse(void)
{
	int fd = open_f(O_WRONLY);

	return fd < 0 ? -1 : end_with(fd, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
}

static int made_and_removed(void)
{
	have_file("passing");
	return unlink("passing");
}

static int swap_boot(void)
{
	int fd = open_f(O_RDWR);

	return fd < 0 ? -1 : end_with(fd, ioctl(fd, EXT4_SWAP_BOOT));
}

static int write_device(void)
{
	int fd = device ? open(device, O_RDWR | O_CLOEXEC) : -1;
	char sector[512];

	if (fd < 0)
		return -1;
	/* The same bytes again: who wrote to it is what is told. */
	if (pread(fd, sector, sizeof(sector), 0) != sizeof(sector))
		return end_with(fd, -1);
	return end_with(fd, pwrite(fd, sector, sizeof(sector), 0));
}

static int write_own_node(void)
{
	struct stat st;

	if (!device || stat(device, &st) < 0 || mknod("../out/node", S_IFBLK | 0600, st.st_rdev) < 0)
		return (errno = ENODEV), -1;
	device = "../out/node";
	return write_device();
}

/* --- names */

static int link_and_write(void)
{
	return link("f", "../out/l") < 0 ? -1 : write_to("../out/l");
}

static int write_other_link(void)
{
	return write_to("../out/l");
}

static int folders_exchanged(void)
{
	return rename("d", "../out/d") < 0 ? -1 : rename("../out/e", "d");
}

static int symlink_retargeted(void)
{
	return symlink("/tmp/evil", "l2") < 0 ? -1 : rename("l2", "l");
}

static int odd_name(void)
{
	have_file("\033[2Jesc\nnew\xff\xfe");
	return access("\033[2Jesc\nnew\xff\xfe", F_OK);
}

static int longest_name(void)
{
	char name[256];

	memset(name, 'n', 255);
	name[255] = '\0';
	have_file(name);
	return access(name, F_OK);
}

/* Deeper than any path that can be given to the kernel at once. */
static int deep_path(void)
{
	char name[201];

	memset(name, 'd', 200);
	name[200] = '\0';
	for (int i = 0; i < 25; i++)
		if (mkdir(name, 0755) < 0 || chdir(name) < 0)
			return -1;
	have_file("f");
	return access("f", F_OK);
}

static int packagers_name(void)
{
	have_file("f.dpkg-new");
	return access("f.dpkg-new", F_OK);
}

static int fifo_instead(void)
{
	return unlink("f") < 0 ? -1 : mkfifo("f", 0644);
}

/* --- attributes */

static int setuid_bit(void)
{
	return chmod("f", 04755);
}

static int chmod_by_fd(void)
{
	int fd = open("f", O_PATH | O_CLOEXEC);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0 ? -1 : end_with(fd, chmod(path, 0666));
}

static int capability(void)
{
	/* VFS_CAP_REVISION_2 with effective, CAP_SYS_ADMIN permitted */
	const uint32_t cap[5] = { 0x02000001, 1u << 21, 0, 0, 0 };

	return setxattr("f", "security.capability", cap, sizeof(cap), 0);
}

static int acl(void)
{
	/* version 2; user::rw-, user 1000: rwx, group::r--, mask::rwx, other::r-- */
	const struct {
		uint32_t version;
		struct {
			uint16_t tag, perm;
			uint32_t id;
		} entries[5];
	} a = { 2, { { 1, 6, ~0u }, { 2, 7, 1000 }, { 4, 4, ~0u }, { 16, 7, ~0u }, { 32, 4, ~0u } } };

	return setxattr("f", "system.posix_acl_access", &a, sizeof(a), 0);
}

static int inode_flags(void)
{
	int fd = open_f(O_RDONLY), flags = 0;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -1;
	flags |= FS_NODUMP_FL;
	return end_with(fd, ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static int inode_flags_x(void)
{
	int fd = open_f(O_RDONLY);
	struct fsxattr x;

	if (fd < 0 || ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
		return -1;
	x.fsx_xflags |= FS_XFLAG_NOATIME;
	return end_with(fd, ioctl(fd, FS_IOC_FSSETXATTR, &x));
}

/* --- io_uring */

static int uring(const struct io_uring_sqe *sqe)
{
	int r = uring_do(sqe);

	if (r >= 0)
		return 0;
	errno = -r;
	return -1;
}

static int uring_write(void)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_WRITE, .addr = (uintptr_t) "changed", .len = 7 };

	sqe.fd = open_f(O_WRONLY);
	return sqe.fd < 0 ? -1 : end_with(sqe.fd, uring(&sqe));
}

/* By a thread of the kernel. */
static int uring_async(void)
{
	struct io_uring_sqe sqe = {
		.opcode = IORING_OP_WRITE, .flags = IOSQE_ASYNC, .addr = (uintptr_t) "changed", .len = 7
	};

	sqe.fd = open_f(O_WRONLY);
	return sqe.fd < 0 ? -1 : end_with(sqe.fd, uring(&sqe));
}

static int uring_unlink(void)
{
	const struct io_uring_sqe sqe = { .opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = (uintptr_t) "f" };

	return uring(&sqe);
}

static int uring_rename(void)
{
	const struct io_uring_sqe sqe = { .opcode = IORING_OP_RENAMEAT,
					  .fd = AT_FDCWD,
					  .addr = (uintptr_t) "f",
					  .addr2 = (uintptr_t) "n",
					  .len = (uint32_t)AT_FDCWD };

	return uring(&sqe);
}

static int uring_setxattr(void)
{
	struct io_uring_sqe sqe = { .opcode = IORING_OP_FSETXATTR, .addr = (uintptr_t) "trusted.t", .len = 1 };

	sqe.addr2 = (uintptr_t) "v";
	sqe.fd = open_f(O_WRONLY);
	return sqe.fd < 0 ? -1 : end_with(sqe.fd, uring(&sqe));
}

/* --- other ways to the same file */

static int through_bind_mount(void)
{
	if (private_mounts() < 0 || mount(".", "../out", NULL, MS_BIND, NULL) < 0)
		return -1;
	return write_to("../out/f");
}

static int in_user_namespace(void)
{
	if (enter_user_namespace() < 0 || mount(".", "../out", NULL, MS_BIND, NULL) < 0)
		return -1;
	return write_to("../out/f");
}

static int in_chroot(void)
{
	return chroot(".") < 0 ? -1 : write_to("/f");
}

static int by_proc_root(void)
{
	char path[4200], cwd[4096];

	snprintf(path, sizeof(path), "/proc/self/root%s/f", getcwd(cwd, sizeof(cwd)) ? cwd : "");
	return write_to(path);
}

/* The writer is gone, and so is its parent, before anybody can look. */
static int gone_at_once(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (fork() == 0)
			_exit(write_to("f") < 0);
		_exit(wait(&status) < 0 || status ? 1 : 0);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid || status ? -1 : 0;
}

static int in_pid_namespace(void)
{
	int status;
	pid_t pid;

	if (unshare(CLONE_NEWPID) < 0)
		return -1;
	pid = fork();
	if (pid == 0)
		_exit(write_to("f") < 0);
	return pid < 0 || waitpid(pid, &status, 0) != pid || status ? -1 : 0;
}

static void have_cover(void)
{
	have_file("f");
	have_file("../out/evil");
	/* Another content: what is alike is no change. */
	if (write_to("../out/evil") < 0)
		perror("../out/evil");
	mkdir("d", 0755);
	have_file("d/f");
}

static int file_mounted_over(void)
{
	return mount("../out/evil", "f", NULL, MS_BIND, NULL);
}

static int folder_mounted_over(void)
{
	if (mount("x", "d", "tmpfs", 0, NULL) < 0)
		return -1;
	have_file("d/evil");
	return access("d/evil", F_OK);
}

static void have_subvolume(void)
{
	struct btrfs_ioctl_vol_args args = { .name = "s" };
	int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &args) < 0)
		perror("subvolume");
	close(fd);
	have_file("s/f");
}

static int in_subvolume(void)
{
	return write_to("s/f");
}

static int by_snapshot(void)
{
	struct btrfs_ioctl_vol_args args = { .name = "copy" };
	int dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	args.fd = open("s", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = ioctl(dir, BTRFS_IOC_SNAP_CREATE, &args);
	return r < 0 ? -1 : write_to("copy/f");
}

/* Past the overlay, where its layers lie: /layers/upper, /layers/lower. */
static int in_upper(void)
{
	char path[4200], cwd[4096];
	const char *in = getcwd(cwd, sizeof(cwd));

	/* The file was made through the overlay: it lies in the upper layer. */
	snprintf(path, sizeof(path), "/layers/upper%s/f", in ? in + strlen("/fs/overlay") : "");
	return write_to(path);
}

#define ON_DISK (ON_EXT4 | ON_XFS | ON_BTRFS)

const struct attack file_attacks[] = {
	{ "mapping kept for good", ON_ALL, have_f, kept_mapping, .worst = AT_CHECK, .worst_tmpfs = AT_FULL,
	  .stays = true },
	{ "hole by madvise of a mapping that is kept", ON_ALL, have_big, kept_mapping_hole, .worst = AT_CHECK,
	  .stays = true },
	{ "written and never closed", ON_ALL, have_f, never_closed, .worst = TOLD, .stays = true },
	{ "written, then under a write lease", ON_ALL, have_f, under_lease, .worst = TOLD, .stays = true },
	{ "written, times put back", ON_ALL, have_f, times_restored, .worst = TOLD },
	{ "range collapsed", ON_ALL, have_big, collapse, .worst = TOLD },
	{ "made and removed at once", ON_ALL, NULL, made_and_removed, .worst = LIMIT,
	  .why = "a change undone within the settling time is none" },
	{ "boot loader inode exchanged", ON_EXT4, have_f, swap_boot, .worst = AT_CHECK },
	{ "block device written", ON_DISK, have_f, write_device, .worst = TOLD, .device = true },
	{ "block device written, by a node of its own", ON_DISK, have_f, write_own_node, .worst = LIMIT, .device = true,
	  .why = "only nodes in /dev are watched; checks find what was changed" },
	{ "new hard link outside, written", ON_ALL, have_f, link_and_write, .worst = TOLD, .worst_overlay = AT_CHECK },
	{ "old hard link outside, written", ON_ALL, have_linked, write_other_link, .worst = TOLD,
	  .worst_overlay = AT_CHECK },
	{ "folder exchanged for another", ON_ALL, have_two_folders, folders_exchanged, .worst = TOLD },
	{ "symbolic link retargeted", ON_ALL, have_symlink, symlink_retargeted, .worst = TOLD },
	{ "name of control bytes and no UTF-8", ON_ALL, NULL, odd_name, .worst = TOLD },
	{ "name of 255 bytes", ON_ALL, NULL, longest_name, .worst = TOLD },
	{ "path beyond PATH_MAX", ON_ALL, NULL, deep_path, .worst = TOLD },
	{ "name of a file in the making (dpkg)", ON_ALL, NULL, packagers_name, .worst = AT_CHECK },
	{ "FIFO in place of a file", ON_ALL, have_f, fifo_instead, .worst = TOLD },
	{ "setuid bit", ON_ALL, have_f, setuid_bit, .worst = TOLD },
	{ "chmod through O_PATH", ON_ALL, have_f, chmod_by_fd, .worst = TOLD },
	{ "file capability", ON_ALL, have_f, capability, .worst = TOLD },
	{ "ACL", ON_ALL, have_f, acl, .worst = TOLD },
	{ "inode flags (FS_IOC_SETFLAGS)", ON_ALL, have_f, inode_flags, .worst = AT_CHECK },
	{ "inode flags (FS_IOC_FSSETXATTR)", ON_ALL, have_f, inode_flags_x, .worst = AT_CHECK },
	{ "io_uring write", ON_ALL, have_f, uring_write, .worst = TOLD },
	{ "io_uring write, by the kernel's thread", ON_ALL, have_f, uring_async, .worst = TOLD },
	{ "io_uring unlink", ON_ALL, have_f, uring_unlink, .worst = TOLD },
	{ "io_uring rename", ON_ALL, have_f, uring_rename, .worst = TOLD },
	{ "io_uring setxattr", ON_ALL, have_f, uring_setxattr, .worst = TOLD },
	{ "bind mount in a mount namespace of its own", ON_ALL, have_f, through_bind_mount, .worst = TOLD },
	{ "user namespace of its own", ON_ALL, have_f, in_user_namespace, .worst = TOLD },
	{ "chroot", ON_ALL, have_f, in_chroot, .worst = TOLD },
	{ "/proc/self/root", ON_ALL, have_f, by_proc_root, .worst = TOLD },
	{ "writer gone at once, and its parent", ON_ALL, have_f, gone_at_once, .worst = TOLD },
	{ "pid namespace of its own", ON_ALL, have_f, in_pid_namespace, .worst = TOLD },
	{ "another file mounted over it", ON_ALL, have_cover, file_mounted_over, .worst = TOLD },
	{ "tmpfs mounted over a folder", ON_ALL, have_cover, folder_mounted_over, .worst = TOLD },
	{ "in a subvolume", ON_BTRFS, have_subvolume, in_subvolume, .worst = TOLD },
	{ "snapshot of a subvolume", ON_BTRFS, have_subvolume, by_snapshot, .worst = TOLD },
	{ "written in the upper layer itself", ON_OVERLAY, have_f, in_upper, .worst = AT_CHECK },
};
const size_t file_attack_count = sizeof(file_attacks) / sizeof(file_attacks[0]);

/* --- secrets */

static void have_key(void)
{
	have_file("key");
	if (link("key", "../out/key") < 0)
		perror("../out/key");
}

static int read_from(int fd)
{
	char byte;

	return fd < 0 ? -1 : end_with(fd, read(fd, &byte, 1));
}

static int secret_open(void)
{
	return read_from(open("key", O_RDONLY | O_CLOEXEC));
}

static int secret_link(void)
{
	return read_from(open("../out/key", O_RDONLY | O_CLOEXEC));
}

static int secret_o_path(void)
{
	int fd = open("key", O_PATH | O_CLOEXEC);
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fd < 0 ? -1 : read_from(open(path, O_RDONLY | O_CLOEXEC));
}

static int secret_handle(void)
{
	char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)(void *)space;
	int id, dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (dir < 0 || name_to_handle_at(AT_FDCWD, "key", handle, &id, 0) < 0)
		return -1;
	return read_from(open_by_handle_at(dir, handle, O_RDONLY | O_CLOEXEC));
}

static int secret_uring(void)
{
	const struct io_uring_sqe sqe = { .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t) "key" };

	return uring(&sqe);
}

static int secret_bind(void)
{
	if (private_mounts() < 0 || mount(".", "../out", NULL, MS_BIND, NULL) < 0)
		return -1;
	return read_from(open("../out/key", O_RDONLY | O_CLOEXEC));
}

static int secret_moved(void)
{
	if (rename("key", "../out/moved") < 0 || read_from(open("../out/moved", O_RDONLY | O_CLOEXEC)) < 0)
		return -1;
	return rename("../out/moved", "key");
}

const struct attack secret_attacks[] = {
	{ "secret opened", ON_ALL, have_key, secret_open, .worst = TOLD },
	{ "secret by a hard link outside", ON_ALL, have_key, secret_link, .worst = TOLD, .worst_overlay = LIMIT,
	  .why = "an overlay has inotify alone, which knows no other names" },
	{ "secret by O_PATH and /proc/self/fd", ON_ALL, have_key, secret_o_path, .worst = TOLD },
	{ "secret by a file handle", ON_ALL, have_key, secret_handle, .worst = TOLD },
	{ "secret by io_uring", ON_ALL, have_key, secret_uring, .worst = TOLD },
	{ "secret by a bind mount of its own", ON_ALL, have_key, secret_bind, .worst = TOLD },
	{ "secret moved away, opened, put back", ON_ALL, have_key, secret_moved, .worst = TOLD },
};
const size_t secret_attack_count = sizeof(secret_attacks) / sizeof(secret_attacks[0]);
