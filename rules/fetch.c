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

/* The number behind "\nName:"; of several (one a namespace) the innermost. */
static bool status_number(const char *text, const char *name, int base, uint64_t *ret)
{
	const char *at = strstr(text, name), *end, *last;

	if (!at)
		return false;
	at += strlen(name);
	end = at + strcspn(at, "\n");
	last = end;
	while (last > at && last[-1] != '\t')
		last--;
	errno = 0;
	*ret = strtoull(last, NULL, base);
	return !errno && last < end;
}

static void fetch_status(struct rules_fetch *f, struct field_view *v)
{
	const struct process *p = v->event->process;
	struct field_extra *x = &v->extra;
	uint64_t pid, group, inheritable, permitted, effective;
	char text[8192];

	if (read_file(f, p->pid, "status", text, sizeof(text)) < 0 || !is_same(f, p))
		return;
	if (status_number(text, "\nNSpid:", 10, &pid) && status_number(text, "\nNSpgid:", 10, &group)) {
		x->vpid = (int32_t)pid;
		x->vpgid = (int32_t)group;
	}
	if (status_number(text, "\nCapInh:", 16, &inheritable) && status_number(text, "\nCapPrm:", 16, &permitted) &&
	    status_number(text, "\nCapEff:", 16, &effective)) {
		x->have_caps = true;
		x->cap_inheritable = inheritable;
		x->cap_permitted = permitted;
		x->cap_effective = effective;
	}
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
