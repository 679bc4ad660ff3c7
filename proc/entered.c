/*
 * Who was brought into a container. State: the first process of each container that was seen, in a ring; any thread,
 * under a lock that is held for no system call.
 */
#include "proc/entered.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/cgroup.h"
#include "proc/read.h"

#define STARTING_NS (10 * NSEC_PER_SEC) /* within this of the container's start its first process is */

struct first {
	char id[CGROUP_ID_MAX];
	int32_t pid;
	uint64_t start_ns;
};

struct entered {
	int procfd;
	pthread_mutex_t lock;
	struct first firsts[ENTERED_MAX];
	size_t n; /* counts up without end */
};

int entered_new(const char *procfs, struct entered **ret)
{
	struct entered *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->procfd = open(procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (e->procfd < 0) {
		int r = -errno;

		free(e);
		return r;
	}
	pthread_mutex_init(&e->lock, NULL);
	*ret = e;
	return 0;
}

void entered_free(struct entered *e)
{
	if (!e)
		return;
	close(e->procfd);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* --- where */

static bool is_in(const char *cgroup, const struct container *c)
{
	struct cgroup_container found[CGROUP_NEST_MAX];
	size_t n = cgroup_containers(cgroup, found);

	for (size_t i = 0; i < n; i++)
		if (streq(found[i].id, c->id))
			return true;
	return false;
}

/* In it, started by a process that is not. */
static bool comes_from_outside(const struct container *c, const struct process *p)
{
	const struct process *parent = p->parent;

	return p->known & PROCESS_CGROUP && p->cgroup && is_in(p->cgroup, c) && parent &&
	       parent->known & PROCESS_CGROUP && parent->cgroup && !is_in(parent->cgroup, c);
}

/* Its pid in its own namespace; 0: it has none of its own, or is gone. */
static int32_t own_pid(const struct entered *e, const struct process *p)
{
	_cleanup_close_ int dirfd = proc_open(e->procfd, p->pid);
	_cleanup_close_ int fd = dirfd < 0 ? -1 : openat(dirfd, "status", O_RDONLY | O_CLOEXEC);
	char text[8192], *line, *last;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "\nNSpid:\t");
	if (!line)
		return 0;
	line += strlen("\nNSpid:\t");
	line[strcspn(line, "\n")] = '\0';
	last = strrchr(line, '\t');
	return last ? (int32_t)strtol(last + 1, NULL, 10) : 0;
}

/* What the runtime was asked for: "runc exec", "crun exec"; conmon is told with an option. */
static bool asks_for_exec(const struct process *p)
{
	const char *at = p->known & PROCESS_CMDLINE ? p->cmdline : NULL, *end = at ? at + p->cmdline_len : NULL;

	for (; at && at < end; at += strnlen(at, (size_t)(end - at)) + 1) {
		size_t len = strnlen(at, (size_t)(end - at));

		if ((len == 4 && memcmp(at, "exec", 4) == 0) || (len > 6 && memcmp(at, "--exec-", 7) == 0))
			return true;
	}
	return false;
}

/* --- who was first */

/* 1: p is; 0: another; -ENOENT: none is known. */
static int is_first(const struct entered *e, const struct container *c, const struct process *p)
{
	/* The newest: a container that is started again has another. */
	for (size_t i = e->n; i > 0 && i + ENTERED_MAX > e->n; i--) {
		const struct first *f = &e->firsts[(i - 1) % ENTERED_MAX];

		if (streq(f->id, c->id))
			return f->pid == p->pid && f->start_ns == p->start_ns;
	}
	return -ENOENT;
}

static void put_first(struct entered *e, const struct container *c, const struct process *p)
{
	struct first *f = &e->firsts[e->n++ % ENTERED_MAX];

	snprintf(f->id, sizeof(f->id), "%s", c->id);
	f->pid = p->pid;
	f->start_ns = p->start_ns;
}

static bool started_later(const struct container *c, const struct process *p, uint64_t real_ns, uint64_t boot_ns)
{
	uint64_t age = boot_ns > p->start_ns ? boot_ns - p->start_ns : 0;

	return c->started && p->known & PROCESS_START && real_ns > age && real_ns - age > c->started + STARTING_NS;
}

bool entered_from_outside(struct entered *e, const struct container *c, const struct process *p, uint64_t real_ns,
			  uint64_t boot_ns)
{
	int32_t own;
	bool asked, entered;
	int first;

	if (!comes_from_outside(c, p))
		return false;
	own = own_pid(e, p);
	asked = own != 1 && (asks_for_exec(p->parent) || (p->parent->parent && asks_for_exec(p->parent->parent)));
	pthread_mutex_lock(&e->lock);
	first = is_first(e, c, p);
	/* One that is gone says nothing of its namespace, nor whether it was first when nobody is known to have been.
	 */
	entered = own != 1 && first != 1 && (asked || first == 0 || started_later(c, p, real_ns, boot_ns));
	if (!entered && first != 1)
		put_first(e, c, p);
	pthread_mutex_unlock(&e->lock);
	return entered;
}
