/*
 * The table made true again from all of /proc: at the start, and after messages were lost. Any thread, also while
 * messages are applied on another: all of /proc is read before the lock is taken, and what messages touched meanwhile
 * is left alone.
 */
#include "proc/table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/util.h"
#include "proc/entries.h"
#include "proc/parse.h"

struct found {
	struct process values;
	bool done;
};

struct found_list {
	struct found *v;
	size_t n, cap;
};

static void found_free(struct found_list *l)
{
	free(l->v);
}

static struct found *found_add(struct found_list *l)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 256;
		struct found *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return NULL;
		l->v = v;
		l->cap = cap;
	}
	memset(&l->v[l->n], 0, sizeof(l->v[0]));
	return &l->v[l->n++];
}

static int by_pid(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return (x->values.pid > y->values.pid) - (x->values.pid < y->values.pid);
}

/* 0: not a process. */
static int32_t entry_pid(const struct dirent *d)
{
	uint32_t pid;

	if (proc_parse_u32(d->d_name, strlen(d->d_name), &pid) < 0 || pid > INT32_MAX)
		return 0;
	return (int32_t)pid;
}

static int read_all(struct proc_table *t, struct arena *a, struct found_list *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = openat(t->procfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *d;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	TAKE_FD(fd);
	for (errno = 0; (d = readdir(dir)); errno = 0) {
		int32_t pid = entry_pid(d);
		struct found *f;

		if (!pid)
			continue;
		f = found_add(ret);
		if (!f)
			return -ENOMEM;
		if (table_read(t, pid, PROC_PART_ALL, a, &f->values) < 0 || !(f->values.known & PROCESS_START))
			ret->n--;
	}
	if (errno)
		return -errno;
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(ret->v[0]), by_pid);
	return 0;
}

/* Lock held, as in all below: what is held of a process and what was read of it become one. */
static void refresh(struct proc_table *t, struct entry *e, const struct process *now)
{
	struct process v, *p;

	snapshot_values(e->p, &v);
	snapshot_take(&v, now, PROC_PART_ALL);
	if (!e->exact)
		v.start_ns = now->start_ns;
	e->exact = true;
	e->stamp = ++t->stamp;
	if (snapshot_same(e->p, &v))
		return;
	/* An exec that was not told. */
	if (e->p->known & v.known & PROCESS_EXE && !streq(e->p->exe, v.exe))
		v.exec_count++;
	p = snapshot_child(t, &v, e->p->parent);
	if (p)
		entry_set(t, e, p);
}

static void insert(struct proc_table *t, struct found_list *l, struct found *f, unsigned int depth)
{
	struct found key = { .values.pid = f->values.ppid }, *pf;
	struct entry *e, *ended, *parent;
	struct process *p;

	if (f->done)
		return;
	f->done = true;
	/* Its parent goes first; a line deeper than is kept starts where it is cut. */
	pf = bsearch(&key, l->v, l->n, sizeof(l->v[0]), by_pid);
	if (pf && depth < PROCESS_DEPTH_MAX)
		insert(t, l, pf, depth + 1);
	e = entry_live(t, f->values.pid);
	ended = entry_ended(t, f->values.pid);
	if (e && snapshot_started(e->p, e->exact, f->values.start_ns)) {
		refresh(t, e, &f->values);
		return;
	}
	if (ended && snapshot_started(ended->p, ended->exact, f->values.start_ns))
		return; /* not waited for yet */
	parent = entry_live(t, f->values.ppid);
	if (parent && parent->p->start_ns > f->values.start_ns)
		parent = NULL;
	p = snapshot_child(t, &f->values, parent ? parent->p : NULL);
	if (p)
		entry_add(t, p, true);
}

int proc_table_scan(struct proc_table *t)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_(found_free) struct found_list l = { 0 };
	struct entry *e, *next;
	uint64_t began;
	int r;

	table_lock(t);
	began = t->stamp;
	table_unlock(&t);
	r = read_all(t, &a, &l);
	if (r < 0)
		return r;
	TABLE_LOCKED(t);
	for (size_t i = 0; i < l.n; i++)
		insert(t, &l, &l.v[i], 0);
	for (e = t->live_list; e; e = next) {
		next = e->next;
		if (e->stamp <= began)
			entry_end(t, e);
	}
	return 0;
}
