/*
 * Reading /proc/PID. No state of its own; runs on whatever thread calls it, chiefly the connector's, where every system
 * call counts: a program that lives 100 us is known only when its executable was read before that. So: one openat for
 * the folder, each file by one open, read and close, the most volatile first. Must not take locks, must not trust a
 * byte.
 */
#include "proc/read.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "proc/parse.h"

#define READ_MAX 16384 /* a cgroup file on a host with every controller and deep container paths stays far below */

int proc_open(int procfd, int32_t pid)
{
	char name[16];
	int fd;

	snprintf(name, sizeof(name), "%d", pid);
	fd = openat(procfd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

/* Bytes read, -ESRCH and others. One read is enough: the files asked for are made whole by the kernel at the first one.
 */
static ssize_t read_file(int dirfd, const char *name, char *buf, size_t size)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size);
	return n < 0 ? -errno : n;
}

/* With an empty name: what dirfd, an O_PATH descriptor of the link, points at. NULL when it cannot be read; a path
 * longer than a page is refused by the kernel (ENAMETOOLONG) and stays unknown. */
static const char *read_link(int dirfd, const char *name, struct arena *a)
{
	char buf[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, buf, sizeof(buf));

	if (n <= 0 || (size_t)n == sizeof(buf))
		return NULL;
	return arena_strndup(a, buf, (size_t)n);
}

static void set_text(struct process *p, uint32_t bit, const char **member, const char *value)
{
	*member = value;
	if (value)
		p->known |= bit;
}

/* n bytes were read of the arguments; the buffer has room for one more than is kept. */
static void set_cmdline(struct process *ret, struct arena *a, char *buf, size_t n)
{
	size_t len = MIN(n, (size_t)PROCESS_ARGV_MAX);

	ret->cmdline_cut = n > len;
	/* Each argument ends in a NUL; one that was cut, or a title the program wrote over them, gets its own. */
	if (len && buf[len - 1]) {
		ret->cmdline_cut = ret->cmdline_cut || len == PROCESS_ARGV_MAX;
		len = MIN(len + 1, (size_t)PROCESS_ARGV_MAX);
		buf[len - 1] = '\0';
	}
	set_text(ret, PROCESS_CMDLINE, &ret->cmdline, arena_dup(a, len ? buf : "", len ? len : 1));
	ret->cmdline_len = (uint32_t)len;
}

static void read_cmdline(int dirfd, struct arena *a, struct process *ret)
{
	char buf[PROCESS_ARGV_MAX + 1];
	ssize_t n = read_file(dirfd, "cmdline", buf, sizeof(buf));

	if (n >= 0)
		set_cmdline(ret, a, buf, (size_t)n);
}

int proc_read_image(const struct proc_fds *fds, struct arena *a, struct process *ret)
{
	char buf[PROCESS_ARGV_MAX + 1];
	uint32_t before = ret->known;
	ssize_t n;

	set_text(ret, PROCESS_EXE, &ret->exe,
		 fds->exe >= 0 ? read_link(fds->exe, "", a) : read_link(fds->dir, "exe", a));
	n = fds->cmdline >= 0 ? pread(fds->cmdline, buf, sizeof(buf), 0)
			      : read_file(fds->dir, "cmdline", buf, sizeof(buf));
	if (n >= 0)
		set_cmdline(ret, a, buf, (size_t)n);
	return ret->known == before ? -ESRCH : 0;
}

/*
 * What was read before stat and means nothing of a process that was on its way out by then: an empty argv, as every
 * program without an image has, and the root cgroup, which legacy hierarchies show for whatever has left its own.
 */
static void drop_unsure(struct process *p, const struct proc_stat *st)
{
	if (p->known & PROCESS_CMDLINE && !p->cmdline_len && (st->exiting || !st->has_mm))
		p->known &= ~(uint32_t)PROCESS_CMDLINE;
	if (p->known & PROCESS_CGROUP && st->exiting && streq(p->cgroup, "/"))
		p->known &= ~(uint32_t)PROCESS_CGROUP;
}

static int read_stat(int dirfd, struct arena *a, struct process *ret)
{
	char buf[1024], tty[32];
	ssize_t n = read_file(dirfd, "stat", buf, sizeof(buf));
	struct proc_stat st;
	int r = n < 0 ? (int)n : proc_parse_stat(buf, (size_t)n, &st);

	if (r < 0)
		st = (struct proc_stat){ .exiting = true };
	drop_unsure(ret, &st);
	if (r < 0)
		return r;
	memcpy(ret->comm, st.comm, sizeof(ret->comm));
	ret->ppid = st.ppid;
	ret->start_ns = st.start_ns;
	ret->sid = st.sid;
	ret->known |= PROCESS_COMM | PROCESS_PPID | PROCESS_START | (st.sid > 0 ? PROCESS_SID : 0);
	if (proc_tty_name(st.tty_nr, tty, sizeof(tty)) == 0)
		set_text(ret, PROCESS_TTY, &ret->tty, arena_strdup(a, tty));
	else
		ret->known |= PROCESS_NO_TTY;
	return 0;
}

static int read_u32(int dirfd, const char *name, uint32_t *ret)
{
	char buf[32];
	ssize_t n = read_file(dirfd, name, buf, sizeof(buf));

	return n < 0 ? (int)n : proc_parse_u32(buf, (size_t)n, ret);
}

static void read_login(int dirfd, struct process *ret)
{
	uint32_t v = 0;

	if (read_u32(dirfd, "loginuid", &v) == 0) {
		ret->loginuid = v == UINT32_MAX ? 0 : v;
		ret->known |= v == UINT32_MAX ? PROCESS_NO_LOGINUID : PROCESS_LOGINUID;
	}
	if (read_u32(dirfd, "sessionid", &v) == 0 && v != UINT32_MAX) {
		ret->session = v;
		ret->known |= PROCESS_SESSION;
	}
}

static void read_cgroup(int dirfd, struct arena *a, struct process *ret)
{
	char buf[READ_MAX];
	ssize_t n = read_file(dirfd, "cgroup", buf, sizeof(buf));
	const char *path;
	size_t len;

	if (n > 0 && proc_parse_cgroup(buf, (size_t)n, &path, &len) == 0)
		set_text(ret, PROCESS_CGROUP, &ret->cgroup, arena_strndup(a, path, len));
}

uint32_t proc_namespace(int dirfd, const char *kind)
{
	char name[16], target[64];
	const char *number;
	uint32_t ino;
	ssize_t n;

	snprintf(name, sizeof(name), "ns/%s", kind);
	n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	target[MAX(n, 0)] = '\0';
	number = strchr(target, '[');
	if (!number || target[n - 1] != ']')
		return 0;
	number++;
	return proc_parse_u32(number, (size_t)(target + n - 1 - number), &ino) == 0 ? ino : 0;
}

static void read_namespaces(int dirfd, struct process *ret)
{
	uint32_t mnt = proc_namespace(dirfd, "mnt"), pid = proc_namespace(dirfd, "pid");

	if (!mnt || !pid)
		return;
	ret->mnt_ns = mnt;
	ret->pid_ns = pid;
	ret->known |= PROCESS_NAMESPACES;
}

static void read_ids(int dirfd, struct process *ret)
{
	char buf[4096];
	ssize_t n = read_file(dirfd, "status", buf, sizeof(buf));

	if (n <= 0)
		return;
	proc_parse_ids(buf, (size_t)n, ret);
	proc_parse_standing(buf, (size_t)n, ret);
}

int proc_read_fd(int dirfd, unsigned int parts, struct arena *a, struct process *ret)
{
	uint32_t before = ret->known;

	if (parts & PROC_PART_EXE)
		set_text(ret, PROCESS_EXE, &ret->exe, read_link(dirfd, "exe", a));
	if (parts & PROC_PART_ARGV)
		read_cmdline(dirfd, a, ret);
	if (parts & PROC_PART_NAMESPACES)
		read_namespaces(dirfd, ret);
	if (parts & PROC_PART_CWD)
		set_text(ret, PROCESS_CWD, &ret->cwd, read_link(dirfd, "cwd", a));
	/* Before stat, which says whether it can be believed. */
	if (parts & PROC_PART_CGROUP)
		read_cgroup(dirfd, a, ret);
	if (parts & PROC_PART_STAT)
		read_stat(dirfd, a, ret);
	if (parts & PROC_PART_LOGIN)
		read_login(dirfd, ret);
	if (parts & PROC_PART_IDS)
		read_ids(dirfd, ret);
	return ret->known == before ? -ESRCH : 0;
}

int proc_read(const char *procfs, int32_t pid, struct arena *a, struct process *ret)
{
	_cleanup_close_ int procfd = open(procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int dirfd = procfd < 0 ? -errno : proc_open(procfd, pid);
	struct process p = { .pid = pid };
	int r;

	if (dirfd < 0)
		return dirfd;
	r = proc_read_fd(dirfd, PROC_PART_ALL, a, &p);
	if (r == 0)
		memcpy(ret, &p, sizeof(p));
	return r;
}
