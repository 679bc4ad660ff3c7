/*
 * An exec told by the connector, on its thread. The life of a short program is a race: between the message and its exit
 * its file and arguments must be read. So that alone is read at the message; the rest, which stays until the process
 * was waited for, is read when no message waits (proc_table_read_rest), through the descriptor opened at the message,
 * or when somebody asks for the process before. Nothing on this path may wait, log or allocate without bound.
 */
#include "proc/table.h"

#include <string.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/entries.h"

/* The process a message is about, live, or ended a moment ago: when another thread than the leader execs, the leader's
 * exit is told first. Lock held. */
static struct entry *entry_of(struct proc_table *t, int32_t pid)
{
	struct entry *e = entry_live(t, pid);

	return e ? e : entry_ended(t, pid);
}

static struct process *held(struct proc_table *t, int32_t pid)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_of(t, pid);

	return e ? process_ref(e->p) : NULL;
}

/* Name, file and arguments of an image are not those of the next; all else is kept by exec. */
static void forget_image(struct process *p)
{
	p->known &= ~(uint32_t)(PROCESS_EXE | PROCESS_CMDLINE | PROCESS_COMM);
	p->exe = NULL;
	p->cmdline = NULL;
	p->cmdline_len = 0;
	p->cmdline_cut = false;
	memset(p->comm, 0, sizeof(p->comm));
}

/* Lock held. The file event may have told already what /proc could not. */
static void take_opened(struct proc_table *t, struct entry *e, struct process *values)
{
	e->exe_wanted = !(values->known & PROCESS_EXE);
	if (!e->exe_wanted)
		return;
	t->stats.missed++;
	if (!e->opened)
		return;
	values->exe = e->opened;
	values->known |= PROCESS_EXE;
	e->exe_wanted = false;
}

/* Lock held. What e was until then is kept for those that ask later. */
static void keep_image(struct proc_table *t, const struct entry *e, uint64_t until_ns)
{
	struct image *slot = &t->images[t->images_next++ % PROC_IMAGES_MAX];

	process_unref(slot->p);
	*slot = (struct image){ .p = process_ref(e->p), .since_ns = e->exec_ns, .until_ns = until_ns };
}

/* How an exec was told. */
struct manner {
	uint64_t boot_ns;
	bool ids;      /* with its ids */
	bool replaces; /* what the table holds is the image before it */
	bool readable; /* its rest can be read */
};

/* What marks the exec whose rest is to be read; 0 when it cannot be read. */
static uint64_t exec_apply(struct proc_table *t, struct process *values, const struct manner *m)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_of(t, values->pid);
	struct process *p;

	if (!e || (e->ended_ns && !entry_revive(t, e)))
		return 0;
	values->start_ns = e->p->start_ns;
	take_opened(t, e, values);
	p = snapshot_child(t, values, e->p->parent);
	if (p && m->replaces)
		keep_image(t, e, m->boot_ns);
	if (p)
		entry_set(t, e, p);
	entry_touch(t, e);
	free(TAKE_PTR(e->opened));
	e->exec_ns = m->boot_ns;
	e->told_ns = m->ids ? m->boot_ns : 0;
	e->login_stale = e->login_stale && !m->ids;
	e->unread = m->readable ? ++t->serial : 0;
	return e->unread;
}

/* --- the rest */

struct rest {
	const struct unread *u;
	struct process now;
};

/* Lock held. NULL when it was read by others, or there was another exec since. */
static struct entry *unread_entry(struct proc_table *t, const struct unread *u)
{
	struct entry *e = entry_live(t, u->pid);

	if (!e || e->unread != u->serial)
		e = entry_ended(t, u->pid);
	return e && e->unread == u->serial ? e : NULL;
}

void entry_take_back(struct proc_table *t, struct entry *e)
{
	struct process v, *p;

	if (!e->unread)
		return;
	snapshot_values(e->p, &v);
	forget_image(&v);
	e->unread = 0;
	e->exe_wanted = true;
	t->stats.missed++;
	p = snapshot_child(t, &v, e->p->parent);
	if (p)
		entry_set(t, e, p);
}

/* True when the process held under the pid is an earlier one, whose end and whose successor's fork were lost. */
static bool rest_apply(struct proc_table *t, const struct rest *r)
{
	TABLE_LOCKED(t);
	struct entry *e = unread_entry(t, r->u);
	struct process v, *p;

	if (!e)
		return false;
	if (r->now.known & PROCESS_START && !snapshot_started(e->p, e->exact, r->now.start_ns)) {
		entry_take_back(t, e);
		if (r->now.start_ns > r->u->boot_ns)
			return false;
		if (!e->ended_ns)
			entry_end(t, e);
		return true;
	}
	e->unread = 0;
	snapshot_values(e->p, &v);
	snapshot_take_rest(&v, &r->now);
	snapshot_take(&v, &r->now, PROC_PART_IDS);
	if (r->now.known & PROCESS_START && !e->exact) {
		v.start_ns = r->now.start_ns;
		e->exact = true;
	}
	if (r->u->cgroups && r->now.known & PROCESS_CGROUP)
		grouped_put(t, r->u->cgroups, r->u->told ? e->p->cgroup : "", r->now.cgroup, r->u->boot_ns);
	if (r->now.known & (PROCESS_LOGINUID | PROCESS_NO_LOGINUID))
		e->login_stale = false;
	p = snapshot_same(e->p, &v) ? NULL : snapshot_child(t, &v, e->p->parent);
	if (p)
		entry_set(t, e, p);
	return false;
}

static void read_rest(struct proc_table *t, const struct unread *u)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	struct rest r = { .u = u };
	unsigned int parts = u->parts;
	bool named;

	table_lock(t);
	struct entry *e = unread_entry(t, u);
	/* The kernel tells of each change of ids, also by a set-user-id program. */
	if (e && !(e->p->known & PROCESS_IDS))
		parts |= PROC_PART_IDS;
	named = e && e->p->known & PROCESS_COMM;
	table_unlock(&t);
	if (!e)
		return;
	r.now.pid = u->pid;
	proc_read_fd(u->dirfd, parts, &a, &r.now);
	if (!named)
		proc_read_fd(u->dirfd, PROC_PART_EXE, &a, &r.now);
	table_tell_seen(t, &r.now);
	if (rest_apply(t, &r))
		process_unref(table_learn(t, u->pid));
}

bool proc_table_read_rest(struct proc_table *t)
{
	struct unread *u;

	if (t->unread_first == t->unread_end)
		return false;
	u = &t->unread[t->unread_first++ % UNREAD_MAX];
	read_rest(t, u);
	close(u->dirfd);
	return true;
}

static void unread_put(struct proc_table *t, const struct unread *u)
{
	if (t->unread_end - t->unread_first == UNREAD_MAX)
		proc_table_read_rest(t);
	t->unread[t->unread_end++ % UNREAD_MAX] = *u;
}

void proc_table_exec(struct proc_table *t, int32_t tgid, uint64_t boot_ns)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_process_ struct process *old = NULL;
	struct unread u = { .pid = tgid, .parts = PROC_PART_REST, .boot_ns = boot_ns };
	_cleanup_(proc_fds_close) struct proc_fds fds;
	struct process now = { 0 }, v;

	prepared_take(t, tgid, &fds);
	if (fds.dir < 0)
		fds.dir = proc_open(t->procfd, tgid);
	if (fds.dir >= 0)
		proc_read_image(&fds, &a, &now);
	/* What has left its image reads so too; a program without any argument has been rare, and is none since
	 * Linux 5.18. */
	if (!now.cmdline_len)
		now.known &= ~(uint32_t)PROCESS_CMDLINE;
	old = held(t, tgid);
	if (!old) {
		old = table_learn(t, tgid);
		return;
	}
	snapshot_values(old, &v);
	v.exec_count++;
	forget_image(&v);
	snapshot_take(&v, &now, PROC_PART_IMAGE);
	u.serial = exec_apply(t, &v, &(struct manner){ boot_ns, false, true, fds.dir >= 0 });
	if (!u.serial)
		return;
	u.dirfd = TAKE_FD(fds.dir);
	unread_put(t, &u);
}

/* --- an exec told with all that it is */

/* The process it is about. One held under the pid that began at another time is an earlier one, whose end was not told.
 */
static struct process *held_same(struct proc_table *t, const struct process *told)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_live(t, told->pid);

	if (e && !snapshot_started(e->p, e->exact, told->start_ns)) {
		entry_end(t, e);
		return NULL;
	}
	e = entry_of(t, told->pid);
	return e && snapshot_started(e->p, e->exact, told->start_ns) ? process_ref(e->p) : NULL;
}

/* One whose fork was not told. */
static struct process *begin(struct proc_table *t, const struct process *told)
{
	_cleanup_process_ struct process *parent = table_settled(t, told->ppid);
	struct process *p;

	TABLE_LOCKED(t);
	p = snapshot_child(t, told, parent);
	return p && entry_add(t, p, true) ? process_ref(p) : NULL;
}

/* Takes what is known already of what the sensor was not sure of. What is left to be read: PROC_PART_*. */
static unsigned int take_grouped(const struct proc_table *t, const struct unread *u, struct process *told)
{
	const char *cgroup = u->cgroups ? grouped_find(t, u->cgroups, u->told ? told->cgroup : "", u->boot_ns) : NULL;

	if (cgroup) {
		told->cgroup = cgroup;
		told->known |= PROCESS_CGROUP;
	}
	/* That a process ends, which then shows the root, stat tells. */
	return u->cgroups && !cgroup ? PROC_PART_CGROUP | PROC_PART_STAT : 0;
}

void proc_table_execed(struct proc_table *t, const struct process *told, uint64_t cgroups, uint64_t boot_ns)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_process_ struct process *old = held_same(t, told);
	_cleanup_(proc_fds_close) struct proc_fds fds = { .dir = -1, .exe = -1, .cmdline = -1 };
	struct unread u = {
		.pid = told->pid, .boot_ns = boot_ns, .cgroups = cgroups, .told = told->known & PROCESS_CGROUP
	};
	bool whole = told->known & PROCESS_EXE && told->known & PROCESS_CMDLINE, known = old;
	struct process now = { 0 }, sure, v;

	snapshot_values(told, &sure);
	u.parts = take_grouped(t, &u, &sure);
	table_tell_seen(t, &sure);
	if (!old)
		old = begin(t, &sure);
	if (!old)
		return;
	if (u.parts || !whole)
		fds.dir = proc_open(t->procfd, told->pid);
	if (!whole && fds.dir >= 0)
		proc_read_image(&fds, &a, &now);
	if (!(told->known & PROCESS_CWD))
		u.parts = PROC_PART_REST;
	snapshot_values(old, &v);
	v.exec_count++;
	forget_image(&v);
	snapshot_take(&v, &now, PROC_PART_IMAGE);
	snapshot_take(&v, &sure, PROC_PART_ALL);
	u.serial = exec_apply(t, &v, &(struct manner){ boot_ns, true, known, fds.dir >= 0 });
	if (!u.serial)
		return;
	u.dirfd = TAKE_FD(fds.dir);
	unread_put(t, &u);
}

/* --- looking back */

/* Lock held. What has been another program since. NULL: not kept. */
static struct process *image_before(const struct proc_table *t, int32_t pid, uint64_t boot_ns)
{
	for (size_t i = 0; i < PROC_IMAGES_MAX; i++) {
		const struct image *was = &t->images[i];

		if (was->p && was->p->pid == pid && was->since_ns <= boot_ns && boot_ns < was->until_ns)
			return was->p;
	}
	return NULL;
}

/* Lock held. unsure: there may have been execs that the table does not know of. A reference, or NULL: out of memory. */
static struct process *image_at(struct proc_table *t, struct entry *e, uint64_t boot_ns, bool unsure)
{
	struct process v, *was;

	if (e->exec_ns <= boot_ns && !unsure)
		return process_ref(e->p);
	was = image_before(t, e->pid, boot_ns);
	if (was)
		return process_ref(was);
	snapshot_values(e->p, &v);
	forget_image(&v);
	return snapshot_child(t, &v, e->p->parent);
}

static bool began(const struct process *p, uint64_t start_ns)
{
	return p && p->known & PROCESS_START && p->start_ns == start_ns;
}

struct process *proc_table_at(struct proc_table *t, int32_t pid, uint64_t start_ns, uint64_t boot_ns)
{
	_cleanup_process_ struct process *p = NULL;
	bool fed, late = table_catch_up(t, boot_ns, &fed) < 0;
	struct entry *e;

	/* The pid may have been given away since. */
	p = table_get(t, pid, false, fed);
	if (!began(p, start_ns)) {
		process_unrefp(&p);
		p = table_get(t, pid, true, fed);
	}
	if (!began(p, start_ns))
		return NULL;
	TABLE_LOCKED(t);
	e = entry_live(t, pid);
	if (!e || !began(e->p, start_ns))
		e = entry_ended(t, pid);
	return e && began(e->p, start_ns) ? image_at(t, e, boot_ns, late) : TAKE_PTR(p);
}

/* NULL: it is to be asked. */
static struct process *told_at(struct proc_table *t, int32_t pid, uint64_t boot_ns)
{
	TABLE_LOCKED(t);
	struct entry *e = entry_of(t, pid);

	if (e && boot_ns && e->exec_ns > boot_ns)
		return image_at(t, e, boot_ns, false);
	return e && !e->unread && !e->login_stale ? process_ref(e->p) : NULL;
}

struct process *proc_table_told(struct proc_table *t, int32_t pid, uint64_t boot_ns)
{
	_cleanup_process_ struct process *asked = NULL;
	struct process *p = told_at(t, pid, boot_ns);

	if (p)
		return p;
	asked = proc_table_get(t, pid, false);
	/* While that waited the next program may have been told. */
	p = told_at(t, pid, boot_ns);
	return p ? p : TAKE_PTR(asked);
}
