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
#include "proc/cgroup.h"

#define READ_MAX 16384 /* a cgroup file on a host with every controller and deep container paths stays far below */

/* --- parsers */

/* Reads digits at *p; false when there is none or the value does not fit. */
static bool number(const char **p, const char *end, uint64_t max, uint64_t *ret)
{
	const char *s = *p;
	uint64_t v = 0;

	if (s == end || *s < '0' || *s > '9')
		return false;
	for (; s < end && *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*p = s;
	*ret = v;
	return true;
}

int proc_parse_u32(const char *data, size_t len, uint32_t *ret)
{
	const char *p = data, *end = data + len;
	uint64_t v;

	if (!number(&p, end, UINT32_MAX, &v) || (p != end && *p != '\n'))
		return -EBADMSG;
	*ret = (uint32_t)v;
	return 0;
}

/* Fields of stat by their numbers in proc_pid_stat(5); those we want. */
enum {
	STAT_PPID = 4,
	STAT_SESSION = 6,
	STAT_TTY = 7,
	STAT_FLAGS = 9,
	STAT_START = 22,
	STAT_VSIZE = 23,
	STAT_FIELDS = 24
};

#define FLAG_EXITING 0x4 /* PF_EXITING of the kernel's sched.h */

static int stat_fields(const char *p, const char *end, uint64_t ret[STAT_FIELDS])
{
	/* Behind the name: a space, the state letter (field 3), then numbers of which some may be negative. */
	if (end - p < 3 || p[0] != ' ')
		return -EBADMSG;
	p += 2;
	for (int i = STAT_PPID; i < STAT_FIELDS; i++) {
		bool negative;

		if (p == end || *p++ != ' ')
			return -EBADMSG;
		negative = p < end && *p == '-';
		p += negative;
		if (!number(&p, end, UINT64_MAX, &ret[i]))
			return -EBADMSG;
		if (negative)
			ret[i] = -ret[i];
	}
	return 0;
}

static uint64_t tick_ns(void)
{
	long hz = sysconf(_SC_CLK_TCK);

	return NSEC_PER_SEC / (uint64_t)(hz > 0 ? hz : 100);
}

int proc_parse_stat(const char *data, size_t len, struct proc_stat *ret)
{
	const char *open = memchr(data, '(', len);
	/* The name may hold anything, also ") R 1": what follows it holds no parenthesis, so the last one ends it. */
	const char *close = memrchr(data, ')', len);
	uint64_t f[STAT_FIELDS] = { 0 };
	size_t n;
	int r;

	if (!open || !close || close < open)
		return -EBADMSG;
	r = stat_fields(close + 1, data + len, f);
	if (r < 0)
		return r;
	n = MIN((size_t)(close - open - 1), sizeof(ret->comm) - 1);
	*ret = (struct proc_stat){ .has_mm = f[STAT_VSIZE] != 0,
				   .exiting = f[STAT_FLAGS] & FLAG_EXITING,
				   .ppid = (int32_t)f[STAT_PPID],
				   .sid = (int32_t)f[STAT_SESSION],
				   .tty_nr = (uint32_t)f[STAT_TTY],
				   .start_ns = f[STAT_START] * tick_ns() };
	memcpy(ret->comm, open + 1, n);
	return 0;
}

/* Finds "\nNAME:\t" (or at the start); the kernel escapes newlines in the only line that others can fill, Name. */
static const char *status_line(const char *data, size_t len, const char *name)
{
	const char *p = data, *end = data + len;
	size_t n = strlen(name);

	while (p < end) {
		if ((size_t)(end - p) > n && !memcmp(p, name, n))
			return p + n;
		p = memchr(p, '\n', (size_t)(end - p));
		if (!p)
			break;
		p++;
	}
	return NULL;
}

static bool id_pair(const char *data, size_t len, const char *name, uint32_t *ret_real, uint32_t *ret_effective)
{
	const char *p = status_line(data, len, name), *end = data + len;
	uint64_t real, effective;

	if (!p || *p++ != '\t' || !number(&p, end, UINT32_MAX, &real))
		return false;
	if (p == end || *p++ != '\t' || !number(&p, end, UINT32_MAX, &effective))
		return false;
	*ret_real = (uint32_t)real;
	*ret_effective = (uint32_t)effective;
	return true;
}

int proc_parse_ids(const char *data, size_t len, struct process *ret)
{
	uint32_t uid, euid, gid, egid;

	if (!id_pair(data, len, "Uid:", &uid, &euid) || !id_pair(data, len, "Gid:", &gid, &egid))
		return -EBADMSG;
	ret->uid = uid;
	ret->euid = euid;
	ret->gid = gid;
	ret->egid = egid;
	ret->known |= PROCESS_IDS;
	return 0;
}

/* The last number of the line: of several (one a namespace) the innermost. */
static bool last_number(const char *data, size_t len, const char *name, int base, uint64_t *ret)
{
	const char *p = status_line(data, len, name), *end = p ? memchr(p, '\n', (size_t)(data + len - p)) : NULL;
	const char *from = end;
	char text[32], *stop;

	while (from && from > p && from[-1] != '\t')
		from--;
	if (!from || from == p || from == end || (size_t)(end - from) >= sizeof(text))
		return false;
	memcpy(text, from, (size_t)(end - from));
	text[end - from] = '\0';
	errno = 0;
	*ret = strtoull(text, &stop, base);
	return !errno && !*stop;
}

int proc_parse_standing(const char *data, size_t len, struct process *ret)
{
	uint64_t pid, group, inheritable, permitted, effective;

	if (!last_number(data, len, "NSpid:", 10, &pid) || !last_number(data, len, "NSpgid:", 10, &group) ||
	    !last_number(data, len, "CapInh:", 16, &inheritable) ||
	    !last_number(data, len, "CapPrm:", 16, &permitted) || !last_number(data, len, "CapEff:", 16, &effective) ||
	    !pid || pid > INT32_MAX || group > INT32_MAX)
		return -EBADMSG;
	ret->vpid = (int32_t)pid;
	ret->vpgid = (int32_t)group;
	ret->cap_inheritable = inheritable;
	ret->cap_permitted = permitted;
	ret->cap_effective = effective;
	ret->known |= PROCESS_STANDING;
	return 0;
}

uint64_t proc_tick(uint64_t boot_ns)
{
	long hz = sysconf(_SC_CLK_TCK);
	uint64_t tick = NSEC_PER_SEC / (uint64_t)(hz > 0 ? hz : 100);

	return boot_ns - boot_ns % tick;
}

/* Documentation/admin-guide/devices.txt: first and last device of a driver, and the number its first minor stands for.
 */
static const struct tty_driver {
	uint32_t major_first, major_last, minor_first, minor_last;
	const char *name;
} tty_drivers[] = {
	{ 136, 143, 0, 0xfffff, "pts/" },   { 4, 4, 0, 63, "tty" },	    { 4, 4, 64, 255, "ttyS" },
	{ 229, 229, 0, 0xfffff, "hvc" },    { 204, 204, 64, 79, "ttyAMA" }, { 188, 188, 0, 0xfffff, "ttyUSB" },
	{ 166, 166, 0, 0xfffff, "ttyACM" },
};

int proc_tty_name(uint32_t tty_nr, char *ret, size_t size)
{
	uint32_t major = (tty_nr >> 8) & 0xfff, minor = (tty_nr & 0xff) | ((tty_nr >> 12) & 0xfff00);

	if (!tty_nr)
		return -ENOTTY;
	for (size_t i = 0; i < ARRAY_SIZE(tty_drivers); i++) {
		const struct tty_driver *d = &tty_drivers[i];

		if (major < d->major_first || major > d->major_last || minor < d->minor_first || minor > d->minor_last)
			continue;
		snprintf(ret, size, "%s%u", d->name, (major - d->major_first) * 256 + minor - d->minor_first);
		return 0;
	}
	if (major == 5 && minor <= 1)
		snprintf(ret, size, "%s", minor ? "console" : "tty");
	else
		snprintf(ret, size, "%u:%u", major, minor);
	return 0;
}

struct cgroup_line {
	int rank; /* which hierarchy: 0 unified, 1 name=systemd, 2 others */
	const char *path;
	size_t len;
};

/* "ID:CONTROLLERS:PATH"; controllers hold no colon unless it is "name=...", whose names hold none either. */
static bool cgroup_line(const char *p, const char *end, struct cgroup_line *ret)
{
	static const char systemd[] = "name=systemd", dead[] = " (deleted)";
	const char *controllers = memchr(p, ':', (size_t)(end - p)), *path;

	if (!controllers)
		return false;
	controllers++;
	path = memchr(controllers, ':', (size_t)(end - controllers));
	if (!path || path + 1 == end || path[1] != '/')
		return false;
	ret->rank = 2;
	if (path == controllers)
		ret->rank = 0;
	else if ((size_t)(path - controllers) == sizeof(systemd) - 1 &&
		 !memcmp(controllers, systemd, sizeof(systemd) - 1))
		ret->rank = 1;
	ret->path = path + 1;
	ret->len = (size_t)(end - ret->path);
	if (ret->len > sizeof(dead) && !memcmp(end - (sizeof(dead) - 1), dead, sizeof(dead) - 1))
		ret->len -= sizeof(dead) - 1;
	return true;
}

/* Higher is better; equal ranks are decided by length. */
static int cgroup_score(const struct cgroup_line *l)
{
	if (cgroup_names_container(l->path, l->len))
		return 6 - l->rank;
	return l->len > 1 ? 3 - l->rank : 0;
}

int proc_parse_cgroup(const char *data, size_t len, const char **ret, size_t *ret_len)
{
	struct cgroup_line best = { 0 };
	const char *p = data, *end = data + len;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		struct cgroup_line l;

		if (!eol)
			eol = end;
		if (cgroup_line(p, eol, &l)) {
			int score = cgroup_score(&l), best_score = best.path ? cgroup_score(&best) : -1;

			if (score > best_score || (score == best_score && l.len > best.len))
				best = l;
		}
		p = eol + 1;
	}
	if (!best.path)
		return -EBADMSG;
	*ret = best.path;
	*ret_len = best.len;
	return 0;
}

/* --- files */

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
