/* Reads on demand for rules. On the thread that evaluates; never on one that answers the kernel. Allocates nothing. */
#include "rules/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/util.h"
#include "proc/parse.h"

static int open_file(const struct rules_fetch *f, int32_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	return openat(f->proc, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

/* Bytes read, at most size - 1; a NUL behind them. Negative: not readable. */
static ssize_t read_file(const struct rules_fetch *f, int32_t pid, const char *name, char *data, size_t size)
{
	_cleanup_close_ int fd = open_file(f, pid, name);
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && len < size - 1) {
		n = read(fd, data + len, size - 1 - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
	}
	data[len] = '\0';
	return (ssize_t)len;
}

/* Field 22 of stat, in ticks since boot: behind the last parenthesis, since names may hold anything. */
static uint64_t start_ticks(const struct rules_fetch *f, int32_t pid)
{
	char text[1024], *at;

	if (read_file(f, pid, "stat", text, sizeof(text)) < 0)
		return 0;
	at = strrchr(text, ')');
	for (unsigned field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

/* Asked after reading: what was read then was this process's. */
static bool is_same(struct rules_fetch *f, const struct process *p)
{
	uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)MAX(sysconf(_SC_CLK_TCK), 1L);
	uint64_t ticks = start_ticks(f, p->pid);
	bool same = ticks && (!(p->known & PROCESS_START) || ticks == p->start_ns / tick_ns);

	f->gone += !same;
	return same;
}

static void fetch_environ(struct rules_fetch *f, struct field_view *v)
{
	const struct process *p = v->event->process;
	ssize_t n = read_file(f, p->pid, "environ", f->environ, sizeof(f->environ));

	if (n < 0 || !is_same(f, p))
		return;
	v->extra.environ = f->environ;
	v->extra.environ_len = (uint32_t)n;
}

/* As it is now; of one that is gone, as it was told of. */
static void fetch_status(struct rules_fetch *f, struct field_view *v)
{
	const struct process *p = v->event->process;
	struct process now = { 0 };
	char text[8192];
	ssize_t n = read_file(f, p->pid, "status", text, sizeof(text));

	if (n > 0 && proc_parse_standing(text, (size_t)n, &now) == 0 && is_same(f, p))
		p = &now;
	if (!(p->known & PROCESS_STANDING))
		return;
	v->extra.have_caps = true;
	v->extra.cap_inheritable = p->cap_inheritable;
	v->extra.cap_permitted = p->cap_permitted;
	v->extra.cap_effective = p->cap_effective;
	v->extra.vpid = p->vpid;
	v->extra.vpgid = p->vpgid;
}

static void fetch_package(struct rules_fetch *f, struct field_view *v)
{
	struct package_file found;

	if (f->packages && v->event->path && packages_find(f->packages, v->event->path, &found) == 0)
		v->extra.package = found.package;
}

void rules_fetch(struct field_view *v, enum field_group group)
{
	struct rules_fetch *f = v->fetch_data;
	bool process = v->event->process && v->event->process->pid > 0;

	f->reads++;
	if (group == GROUP_ENVIRON && process)
		fetch_environ(f, v);
	else if (group == GROUP_STATUS && process)
		fetch_status(f, v);
	else if (group == GROUP_PACKAGE)
		fetch_package(f, v);
}
