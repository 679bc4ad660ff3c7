/*
 * Processes that run already: their program, their script, their end. On the workers (late_identify: on the connector's
 * thread; late_open_file: on "libraries" too). Must not wait for a server of a user's: a file is opened only when it
 * lies on a gated file system, in memory, or on one that the mount table calls a disk.
 */
#include "exec/gate_late.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lib/fstype.h"
#include "lib/util.h"
#include "watch/mounts.h"

#define ARGV_MAX 4096

int late_kill(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

/* AT_STATX_DONT_SYNC: FUSE and network file systems answer from memory. */
static int stat_quietly(int dirfd, const char *path, int flags, struct statx *ret)
{
	return statx(dirfd, path, flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, ret) < 0 ? -errno : 0;
}

static void identify(const struct statx *stx, struct file_id *ret)
{
	ret->dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	ret->ino = stx->stx_ino;
	ret->size = stx->stx_size;
	ret->ctime = stx->stx_ctime.tv_sec * (int64_t)NSEC_PER_SEC + stx->stx_ctime.tv_nsec;
}

int late_identify(int32_t pid, struct file_id *ret)
{
	char path[40];
	struct statx stx;
	int r;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	r = stat_quietly(AT_FDCWD, path, 0, &stx);
	if (r == 0)
		identify(&stx, ret);
	return r;
}

static bool is_gated(struct gate *g, uint64_t dev)
{
	bool found;

	pthread_mutex_lock(&g->lock);
	found = devs_find(g, dev);
	pthread_mutex_unlock(&g->lock);
	return found;
}

/*
 * By the process's own mount table: it may live in a namespace of its own. By mount where the kernel tells it: stat's
 * number is another on btrfs.
 */
static bool is_local(int32_t pid, const struct statx *stx)
{
	uint64_t dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	struct mount_table t = { 0 };
	char path[40];
	bool local = false;

	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	if (mounts_read(path, &t, NULL) < 0)
		return false;
	for (size_t i = 0; i < t.n; i++) {
		enum fstype_class c = fstype_by_name(t.mounts[i].fstype)->class;

		if (stx->stx_mask & STATX_MNT_ID ? (uint64_t)t.mounts[i].id == stx->stx_mnt_id : t.mounts[i].dev == dev)
			local = c == FSTYPE_DISK || c == FSTYPE_MEMORY || c == FSTYPE_OVERLAY;
	}
	mounts_free(&t);
	return local;
}

static bool may_open(struct gate *g, int32_t pid, const struct statx *stx)
{
	return is_gated(g, makedev(stx->stx_dev_major, stx->stx_dev_minor)) || is_local(pid, stx);
}

/* Opens what the O_PATH descriptor stands for, when that cannot wait for anybody. */
int late_open_file(struct gate *g, struct slot *s, int at, bool in_memory)
{
	char path[40];
	struct statx stx;
	int r = stat_quietly(at, "", AT_EMPTY_PATH, &stx);

	if (r < 0)
		return r;
	if (!S_ISREG(stx.stx_mode))
		return -ESRCH;
	identify(&stx, &s->id);
	if (!in_memory && !may_open(g, s->pid, &stx))
		return -EREMOTE;
	s->uid = stx.stx_uid;
	s->gid = stx.stx_gid;
	s->mode = stx.stx_mode;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", at);
	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	s->leased = fcntl(s->fd, F_SETLEASE, F_RDLCK) == 0;
	return 0;
}

static int open_process(struct slot *s)
{
	s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
	return s->pidfd < 0 ? -errno : 0;
}

int late_kill_running(struct gate *g, struct slot *s)
{
	struct file_id exe;
	bool runs;
	int r;

	if (s->pidfd >= 0)
		return late_kill(s->pidfd);
	/* Should it have ended before it is looked at, the signal goes nowhere. */
	r = open_process(s);
	if (r == 0)
		r = late_identify(s->pid, &exe);
	if (r < 0)
		return r;
	pthread_mutex_lock(&g->lock);
	runs = gate_same_program(g, &s->id, &exe);
	pthread_mutex_unlock(&g->lock);
	return runs ? late_kill(s->pidfd) : -ESRCH;
}

/* What was read of /proc is of this process when it is there still. */
static int still_there(const struct slot *s)
{
	return syscall(SYS_pidfd_send_signal, s->pidfd, 0, NULL, 0) < 0 ? -ESRCH : 0;
}

static int gone(int r)
{
	return r == -ENOENT || r == -ESRCH || r == -ENOTDIR ? -ESRCH : r;
}

int late_open_exe(struct gate *g, struct slot *s)
{
	static const char memory[] = "/memfd:";
	_cleanup_close_ int at = -1;
	char path[40], link[sizeof(memory)] = "";
	int r = open_process(s);

	if (r < 0)
		return gone(r);
	snprintf(path, sizeof(path), "/proc/%d/exe", s->pid);
	at = open(path, O_PATH | O_CLOEXEC);
	if (at < 0 || readlink(path, link, sizeof(link) - 1) < 0)
		return gone(-errno);
	r = late_open_file(g, s, at, streq(link, memory));
	if (r == 0)
		r = still_there(s);
	return gone(r);
}

/* argv, with whatever of it fits. */
static int read_argv(int32_t pid, char argv[ARGV_MAX], size_t *ret_len)
{
	_cleanup_close_ int fd = -1;
	char path[40];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, argv, ARGV_MAX);
	if (n < 0)
		return -errno;
	*ret_len = (size_t)n;
	return 0;
}

/*
 * A path of the process's choosing may lead through a server of its own. The interpreter has just gone there, so the
 * names are in the kernel's cache; only what is found there, or on the gated file system where the search begins, is
 * looked at.
 */
static int open_script_path(struct gate *g, int32_t pid, const char *script)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED };
	bool absolute = script[0] == '/';
	_cleanup_close_ int start = -1;
	struct statx stx;
	char path[40];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, absolute ? "root" : "cwd");
	start = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (start < 0)
		return -errno;
	if (absolute)
		how.resolve |= RESOLVE_IN_ROOT;
	fd = (int)syscall(SYS_openat2, start, script, &how, sizeof(how));
	if (fd >= 0 || errno != EAGAIN)
		return fd < 0 ? -errno : fd;
	if (stat_quietly(start, "", AT_EMPTY_PATH, &stx) < 0 || !may_open(g, pid, &stx))
		return -EREMOTE;
	how.resolve = (how.resolve & ~(uint64_t)RESOLVE_CACHED) | RESOLVE_NO_XDEV;
	fd = (int)syscall(SYS_openat2, start, script, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

int late_open_script(struct gate *g, struct slot *s)
{
	_cleanup_close_ int at = -1;
	char path[40], exe[PATH_MAX], argv[ARGV_MAX];
	const char *script;
	size_t len = 0;
	ssize_t n;
	int r = open_process(s);

	if (r < 0)
		return gone(r);
	snprintf(path, sizeof(path), "/proc/%d/exe", s->pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n < 0)
		return -ESRCH;
	exe[n] = '\0';
	r = read_argv(s->pid, argv, &len);
	script = r == 0 ? script_from_argv(s->interpreter ?: exe, argv, len) : NULL;
	if (!script)
		return -ESRCH;
	at = open_script_path(g, s->pid, script);
	r = at < 0 ? at : late_open_file(g, s, at, false);
	if (r == 0)
		r = still_there(s);
	if (r == 0)
		gate_count(g, COUNT_SCRIPTS, 1);
	return gone(r);
}
