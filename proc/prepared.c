/*
 * Descriptors of /proc/PID opened ahead, on the connector's thread: after a fork, when no message waits, so that at the
 * exec which mostly follows nothing has to be looked up any more: one readlink and one read, and the image is known.
 * The descriptors are of that process and never of another under its pid. Bounded: the oldest are closed first.
 */
#include <fcntl.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/entries.h"

#define NO_FDS                                                                                                         \
	{                                                                                                              \
		.dir = -1, .exe = -1, .cmdline = -1                                                                    \
	}

void proc_fds_close(struct proc_fds *fds)
{
	cleanup_close(&fds->dir);
	cleanup_close(&fds->exe);
	cleanup_close(&fds->cmdline);
	*fds = (struct proc_fds)NO_FDS;
}

static struct prepared *prepared_find(struct proc_table *t, int32_t pid)
{
	unsigned int n = MIN(t->prepared_end, (unsigned int)PREPARED_MAX);

	for (unsigned int i = 0; i < n; i++)
		if (t->prepared[i].pid == pid)
			return &t->prepared[i];
	return NULL;
}

static void prepared_drop(struct prepared *p)
{
	if (p->open)
		proc_fds_close(&p->fds);
	*p = (struct prepared){ 0 };
}

void prepared_put(struct proc_table *t, int32_t pid)
{
	struct prepared *p = prepared_find(t, pid);

	if (!p)
		p = &t->prepared[t->prepared_end++ % PREPARED_MAX];
	prepared_drop(p);
	p->pid = pid;
}

void prepared_forget(struct proc_table *t, int32_t pid)
{
	struct prepared *p = prepared_find(t, pid);

	if (p)
		prepared_drop(p);
}

void prepared_take(struct proc_table *t, int32_t pid, struct proc_fds *ret)
{
	struct prepared *p = prepared_find(t, pid);

	*ret = (struct proc_fds)NO_FDS;
	if (!p)
		return;
	if (p->open)
		*ret = p->fds;
	*p = (struct prepared){ 0 };
}

static void prepare(struct proc_table *t, struct prepared *p)
{
	struct proc_fds fds = NO_FDS;

	fds.dir = proc_open(t->procfd, p->pid);
	if (fds.dir < 0) {
		*p = (struct prepared){ 0 };
		return;
	}
	fds.exe = openat(fds.dir, "exe", O_PATH | O_NOFOLLOW | O_CLOEXEC);
	fds.cmdline = openat(fds.dir, "cmdline", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	p->fds = fds;
	p->open = true;
}

/* The newest fork first: its exec is the next to come. */
bool proc_table_prepare(struct proc_table *t)
{
	unsigned int n = MIN(t->prepared_end, (unsigned int)PREPARED_MAX);

	for (unsigned int i = 1; i <= n; i++) {
		struct prepared *p = &t->prepared[(t->prepared_end - i) % PREPARED_MAX];

		if (!p->pid || p->open)
			continue;
		prepare(t, p);
		return true;
	}
	return false;
}

void prepared_close_all(struct proc_table *t)
{
	for (size_t i = 0; i < PREPARED_MAX; i++)
		prepared_drop(&t->prepared[i]);
}
