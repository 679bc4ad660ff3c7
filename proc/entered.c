/*
 * Who was brought into a container. State: the first process of each container that was seen, and the namespaces that
 * processes of containers were seen in, each in a ring; any thread, under a lock that is held for no system call.
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

/* Namespaces, by inode: the number of one that is gone is given to another. */
struct spaces {
	uint32_t mnt, pid;
};

/* Those that a process of a container was seen in. */
struct home {
	char id[CGROUP_ID_MAX];
	struct spaces in;
	int32_t process; /* that was */
};

struct entered {
	int procfd;
	struct spaces host;
	pthread_mutex_t lock;
	struct home homes[ENTERED_MAX];
	size_t n_homes; /* counts up without end */
	struct first firsts[ENTERED_MAX];
	size_t n; /* counts up without end */
};

/* Those of a process; 0 what is not known. */
static struct spaces spaces_of(int procfd, int32_t pid)
{
	_cleanup_close_ int dirfd = proc_open(procfd, pid);

	if (dirfd < 0)
		return (struct spaces){ 0 };
	return (struct spaces){ proc_namespace(dirfd, "mnt"), proc_namespace(dirfd, "pid") };
}

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
	e->host = spaces_of(e->procfd, 1);
	if (!e->host.mnt || !e->host.pid)
		e->host = spaces_of(e->procfd, getpid());
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

/* --- who is in its namespaces */

/* Those that are not the host's too; 0 the others, and all where the host's are not known. */
static struct spaces own_spaces(const struct entered *e, struct spaces in)
{
	if (!e->host.mnt || !e->host.pid)
		return (struct spaces){ 0 };
	return (struct spaces){ in.mnt == e->host.mnt ? 0 : in.mnt, in.pid == e->host.pid ? 0 : in.pid };
}

/* Lock held. The newest. in: NULL any; id: NULL anybody's. */
static struct home *find_home(struct entered *e, const char *id, const struct spaces *in)
{
	for (size_t i = e->n_homes; i > 0 && i + ENTERED_MAX > e->n_homes; i--) {
		struct home *h = &e->homes[(i - 1) % ENTERED_MAX];

		if (id && !streq(h->id, id))
			continue;
		if (!in || (in->mnt && h->in.mnt == in->mnt) || (in->pid && h->in.pid == in->pid))
			return h;
	}
	return NULL;
}

/* Nobody who lives has them. */
static void put_home(struct entered *e, const char *id, struct spaces in, int32_t pid)
{
	struct home *h;

	if (!in.mnt && !in.pid)
		return;
	pthread_mutex_lock(&e->lock);
	h = find_home(e, id, &in);
	if (!h || h->in.mnt != in.mnt || h->in.pid != in.pid)
		h = &e->homes[e->n_homes++ % ENTERED_MAX];
	snprintf(h->id, sizeof(h->id), "%s", id);
	h->in = in;
	h->process = pid;
	pthread_mutex_unlock(&e->lock);
}

static bool shares(const struct process *p, const struct spaces *in)
{
	return p && p->known & PROCESS_NAMESPACES &&
	       ((in->mnt && p->mnt_ns == in->mnt) || (in->pid && p->pid_ns == in->pid));
}

/* The process that was seen in them still is: they are not gone, and their numbers another's. */
static bool still_has(const struct entered *e, const struct home *h)
{
	struct spaces now = own_spaces(e, spaces_of(e->procfd, h->process));

	return now.mnt == h->in.mnt && now.pid == h->in.pid;
}

/* Whose they are, copied to ret; a mount namespace says more than a pid namespace, which pods share. */
static bool find_owner(struct entered *e, struct spaces in, struct home *ret)
{
	const struct spaces mnt = { .mnt = in.mnt }, pid = { .pid = in.pid };
	struct home *h;

	pthread_mutex_lock(&e->lock);
	h = find_home(e, NULL, &mnt) ?: find_home(e, NULL, &pid);
	if (h)
		*ret = *h;
	pthread_mutex_unlock(&e->lock);
	return h && still_has(e, ret);
}

/* What is read of /proc may be later than what was seen: its process may have gone into another container by then. */
static bool is_anothers(struct entered *e, const char *id, uint32_t mnt)
{
	struct home owner;

	return find_owner(e, (struct spaces){ .mnt = mnt }, &owner) && !streq(owner.id, id);
}

void entered_seen(struct entered *e, const char *id, int32_t pid)
{
	struct spaces in;
	bool known;

	pthread_mutex_lock(&e->lock);
	known = find_home(e, id, NULL);
	pthread_mutex_unlock(&e->lock);
	if (known)
		return;
	in = own_spaces(e, spaces_of(e->procfd, pid));
	if (!is_anothers(e, id, in.mnt))
		put_home(e, id, in, pid);
}

enum entered_how entered_namespaces(struct entered *e, const struct process *p, char ret_id[CGROUP_ID_MAX])
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	struct spaces own = own_spaces(e, (struct spaces){ p->mnt_ns, p->pid_ns }), asked = own;
	struct home owner;
	size_t n;

	if (!(p->known & PROCESS_NAMESPACES) || !(p->known & PROCESS_CGROUP) || (!own.mnt && !own.pid))
		return ENTERED_NOT;
	n = cgroup_containers(p->cgroup, in);
	if (n)
		asked.pid = 0; /* which containers may share */
	if (!find_owner(e, asked, &owner)) {
		if (n)
			put_home(e, in[n - 1].id, own, p->pid);
		return ENTERED_NOT;
	}
	for (size_t i = 0; i < n; i++)
		if (streq(in[i].id, owner.id))
			return ENTERED_NOT;
	memcpy(ret_id, owner.id, sizeof(owner.id));
	return shares(p->parent, &asked) ? ENTERED_BEFORE : ENTERED_NOW;
}
