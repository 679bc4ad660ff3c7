/*
 * What the proc connector tells of forks, ids, sessions and ends, applied to the table on the connector's thread, one
 * message after the other; and what file events tell (opened_exec, any thread). Reads nothing where it can do without:
 * an exec waits behind each message.
 */
#include "proc/table.h"

#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/entries.h"
#include "proc/parse.h"

/* --- files opened for execution before the fork of their process was told (lock held) */

/* Longer than any queue of messages is behind; far shorter than a pid takes to come around again. */
#define EARLY_KEEP_NS NSEC_PER_SEC

static struct early *early_find(struct proc_table *t, int32_t pid)
{
	uint64_t now = clock_boot_ns();

	for (size_t i = 0; i < EARLY_MAX; i++) {
		struct early *e = &t->early[i];

		if (e->path && e->pid == pid && now - e->ns < EARLY_KEEP_NS)
			return e;
	}
	return NULL;
}

static void early_put(struct proc_table *t, int32_t pid, const char *path)
{
	struct early *slot;

	if (early_find(t, pid))
		return;
	slot = &t->early[t->early_next++ % EARLY_MAX];
	free(slot->path);
	*slot = (struct early){ .pid = pid, .path = strdup(path), .ns = clock_boot_ns() };
}

static char *early_take(struct proc_table *t, int32_t pid)
{
	struct early *e = early_find(t, pid);

	return e ? TAKE_PTR(e->path) : NULL;
}

/* --- fork */

/* Lock held. The child is there already when a scan ran between the fork and its message. */
static bool fork_known(struct proc_table *t, int32_t child, uint64_t start_ns)
{
	struct entry *e = entry_live(t, child);

	return e && e->exact && e->p->start_ns <= start_ns && start_ns - e->p->start_ns < SNAPSHOT_LATE_NS;
}

void proc_table_fork(struct proc_table *t, int32_t parent_tgid, int32_t child_tgid, uint64_t boot_ns)
{
	_cleanup_process_ struct process *parent = table_settled(t, parent_tgid);
	struct process v = { 0 }, *p;
	struct entry *e;

	if (parent)
		snapshot_values(parent, &v);
	v.pid = child_tgid;
	v.ppid = parent_tgid;
	v.start_ns = proc_tick(boot_ns);
	v.exec_count = 0;
	v.known = (v.known & ~(uint32_t)PROCESS_STANDING) | PROCESS_START | PROCESS_PPID;
	prepared_put(t, child_tgid);
	TABLE_LOCKED(t);
	if (fork_known(t, child_tgid, v.start_ns))
		return;
	p = snapshot_child(t, &v, parent);
	e = p ? entry_add(t, p, false) : NULL;
	if (e)
		e->opened = early_take(t, child_tgid);
}

/* Lock held. */
static void adopt(struct proc_table *t, struct entry *e, int32_t ppid, struct process *parent)
{
	struct process v, *p;

	snapshot_values(e->p, &v);
	v.ppid = ppid;
	v.known |= PROCESS_PPID;
	p = snapshot_child(t, &v, parent);
	if (p)
		entry_set(t, e, p);
}

void proc_table_forked(struct proc_table *t, int32_t maker, const struct process *told)
{
	_cleanup_process_ struct process *from = table_settled(t, maker), *other = NULL;
	struct process v = { 0 }, *parent = from, *p;
	struct entry *e;

	if (told->ppid != maker)
		parent = other = table_settled(t, told->ppid);
	if (from)
		snapshot_values(from, &v);
	v.pid = told->pid;
	v.ppid = told->ppid;
	v.start_ns = told->start_ns;
	v.exec_count = 0;
	v.known = (v.known & ~(uint32_t)PROCESS_STANDING) | PROCESS_START | PROCESS_PPID;
	snapshot_take(&v, told, PROC_PART_STAT | PROC_PART_LOGIN | PROC_PART_IDS);
	TABLE_LOCKED(t);
	e = entry_live(t, told->pid);
	/* A scan found it before it was told; when it had just ended, without its parent. */
	if (e && e->p->start_ns == told->start_ns) {
		if (!e->p->ppid)
			adopt(t, e, told->ppid, parent);
		return;
	}
	p = snapshot_child(t, &v, parent);
	e = p ? entry_add(t, p, true) : NULL;
	if (!e)
		return;
	e->opened = early_take(t, told->pid);
	e->told_ns = told->start_ns;
}

/* --- ids, session, end */

/*
 * A change of what the process held is, told by a message. Nothing is read here: the exec that mostly follows must not
 * wait for it. The login uid, which pam writes to /proc and of which no message tells, may have changed on the same
 * occasion, and is read when somebody asks for the process, or at its exec.
 */
static void change(struct proc_table *t, int32_t tgid, uint64_t boot_ns,
		   void (*alter)(struct process *v, const void *data), const void *data)
{
	_cleanup_process_ struct process *known = NULL;
	struct process v, *p;
	struct entry *e;
	bool held;

	table_lock(t);
	held = entry_live(t, tgid);
	table_unlock(&t);
	if (!held)
		known = table_learn(t, tgid);
	TABLE_LOCKED(t);
	e = entry_live(t, tgid);
	if (!e || boot_ns < e->told_ns)
		return;
	e->login_stale = true;
	snapshot_values(e->p, &v);
	alter(&v, data);
	if (snapshot_same(e->p, &v))
		return;
	p = snapshot_child(t, &v, e->p->parent);
	if (p)
		entry_set(t, e, p);
}

struct ids {
	bool gid;
	uint32_t real, effective;
};

static void alter_ids(struct process *v, const void *data)
{
	const struct ids *ids = data;

	*(ids->gid ? &v->gid : &v->uid) = ids->real;
	*(ids->gid ? &v->egid : &v->euid) = ids->effective;
	/* Who is root no longer mostly has lost its capabilities. */
	if (!ids->gid)
		v->known &= ~(uint32_t)PROCESS_STANDING;
}

void proc_table_ids(struct proc_table *t, int32_t tgid, bool gid, uint32_t real, uint32_t effective, uint64_t boot_ns)
{
	struct ids ids = { .gid = gid, .real = real, .effective = effective };

	change(t, tgid, boot_ns, alter_ids, &ids);
}

static void alter_sid(struct process *v, const void *data _unused_)
{
	v->sid = v->pid;
	v->tty = NULL;
	v->known = (v->known & ~(uint32_t)PROCESS_TTY) | PROCESS_SID | PROCESS_NO_TTY;
}

void proc_table_sid(struct proc_table *t, int32_t tgid, uint64_t boot_ns)
{
	change(t, tgid, boot_ns, alter_sid, NULL);
}

void proc_table_exit(struct proc_table *t, int32_t tgid, uint64_t boot_ns)
{
	prepared_forget(t, tgid);
	TABLE_LOCKED(t);
	struct entry *e = entry_live(t, tgid);

	/* One that started later was found by a scan before this message was read. */
	if (e && e->p->start_ns <= boot_ns)
		entry_end(t, e);
}

/* --- what file events tell */

/* Names that dynamic loaders go by: glibc, musl, BSD and older ones. */
static bool is_loader(const char *path)
{
	static const char *const prefixes[] = { "ld-linux", "ld-musl-", "ld.so", "ld64.so", "ld-2.", "ld-elf" };
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (!strncmp(name, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

/* Lock held. */
static void fill_exe(struct proc_table *t, struct entry *e, const char *path)
{
	struct process v, *p;

	snapshot_values(e->p, &v);
	v.exe = path;
	v.known |= PROCESS_EXE;
	p = snapshot_child(t, &v, e->p->parent);
	if (!p)
		return;
	entry_set(t, e, p);
	e->exe_wanted = false;
}

void proc_table_opened_exec(struct proc_table *t, int32_t tgid, const char *path)
{
	struct entry *live, *ended;

	if (is_loader(path))
		return;
	TABLE_LOCKED(t);
	live = entry_live(t, tgid);
	ended = entry_ended(t, tgid);
	if (ended && ended->exe_wanted)
		fill_exe(t, ended, path);
	else if (!live && !ended)
		early_put(t, tgid, path);
	else if (!live)
		return;
	else if (live->exe_wanted)
		fill_exe(t, live, path);
	/* An event that comes after its exec was told is of the image that runs, and none of the next. */
	else if (!live->opened && !(live->p->exec_count && live->p->known & PROCESS_EXE && streq(live->p->exe, path)))
		live->opened = strdup(path);
}
