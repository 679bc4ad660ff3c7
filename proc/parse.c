#include "proc/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/cgroup.h"

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
	return boot_ns - boot_ns % tick_ns();
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
