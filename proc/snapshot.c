/*
 * How a snapshot of a process is made of an older one and of what /proc said, and how its line of ancestors stays
 * bounded. Snapshots are immutable: here new ones are composed. No system calls, so that all of it may run under the
 * table's lock.
 */
#include <stddef.h>
#include <string.h>

#include "lib/util.h"
#include "proc/entries.h"

/* Ancestors that survive a cut. Half, so that the copying is paid once in as many generations. */
#define CUT_KEEP (PROCESS_DEPTH_MAX / 2)

void snapshot_values(const struct process *p, struct process *ret)
{
	*ret = (struct process){ .known = p->known };
	/* Not a plain assignment: the counter and the row change under other threads' hands. */
	memcpy((char *)ret + offsetof(struct process, known), (const char *)p + offsetof(struct process, known),
	       offsetof(struct process, row) - offsetof(struct process, known));
}

static struct process *snapshot_new(struct process *values, struct process *parent)
{
	values->parent = parent;
	values->depth = parent ? parent->depth + 1 : 0;
	return process_new(values);
}

/* A copy of p with CUT_KEEP ancestors, all copies: the originals stay in the lines they already are in. NULL: out of
 * memory. */
static struct process *cut_copy(const struct process *p)
{
	const struct process *line[CUT_KEEP + 1];
	_cleanup_process_ struct process *copy = NULL;
	size_t n = 0;

	for (; p && n < ARRAY_SIZE(line); p = p->parent)
		line[n++] = p;
	while (n-- > 0) {
		struct process values, *next;

		snapshot_values(line[n], &values);
		next = snapshot_new(&values, copy);
		if (!next)
			return NULL;
		process_unrefp(&copy);
		copy = next;
	}
	return TAKE_PTR(copy);
}

struct process *snapshot_child(struct proc_table *t, const struct process *values, struct process *parent)
{
	_cleanup_process_ struct process *cut = NULL;
	struct process v;

	snapshot_values(values, &v);
	if (parent && parent->depth >= PROCESS_DEPTH_MAX) {
		struct entry *e = entry_live(t, parent->pid);

		cut = cut_copy(parent);
		/* The parent's next children share the copy. */
		if (cut && e && e->p == parent)
			entry_set(t, e, process_ref(cut));
		parent = cut;
	}
	return snapshot_new(&v, parent);
}

/* Members that are known or not known together, and the part they are read with. */
static const struct group {
	unsigned int part;
	uint32_t known;
} groups[] = {
	{ PROC_PART_IMAGE, PROCESS_EXE | PROCESS_CMDLINE },
	{ PROC_PART_CWD, PROCESS_CWD },
	{ PROC_PART_STAT, PROCESS_COMM },
	{ PROC_PART_STAT, PROCESS_SID | PROCESS_TTY | PROCESS_NO_TTY },
	{ PROC_PART_LOGIN, PROCESS_LOGINUID | PROCESS_NO_LOGINUID | PROCESS_SESSION },
	{ PROC_PART_CGROUP, PROCESS_CGROUP },
	{ PROC_PART_IDS, PROCESS_IDS },
	{ PROC_PART_IDS, PROCESS_STANDING },
	{ PROC_PART_NAMESPACES, PROCESS_NAMESPACES },
};

static void take_members(struct process *to, const struct process *from, uint32_t bits)
{
	if (bits & PROCESS_EXE)
		to->exe = from->exe;
	if (bits & PROCESS_CMDLINE) {
		to->cmdline = from->cmdline;
		to->cmdline_len = from->cmdline_len;
		to->cmdline_cut = from->cmdline_cut;
	}
	if (bits & PROCESS_CWD)
		to->cwd = from->cwd;
	if (bits & PROCESS_COMM)
		memcpy(to->comm, from->comm, sizeof(to->comm));
	if (bits & PROCESS_SID)
		to->sid = from->sid;
	if (bits & PROCESS_TTY)
		to->tty = from->tty;
	if (bits & PROCESS_LOGINUID)
		to->loginuid = from->loginuid;
	if (bits & PROCESS_SESSION)
		to->session = from->session;
	if (bits & PROCESS_CGROUP)
		to->cgroup = from->cgroup;
	if (bits & PROCESS_IDS) {
		to->uid = from->uid;
		to->gid = from->gid;
		to->euid = from->euid;
		to->egid = from->egid;
	}
	if (bits & PROCESS_STANDING) {
		to->cap_inheritable = from->cap_inheritable;
		to->cap_permitted = from->cap_permitted;
		to->cap_effective = from->cap_effective;
		to->vpid = from->vpid;
		to->vpgid = from->vpgid;
	}
	if (bits & PROCESS_NAMESPACES) {
		to->mnt_ns = from->mnt_ns;
		to->pid_ns = from->pid_ns;
	}
}

void snapshot_take_rest(struct process *to, const struct process *from)
{
	struct process rest = *from;

	if (to->known & PROCESS_COMM || (from->known & to->known & PROCESS_EXE && !streq(from->exe, to->exe)))
		rest.known &= ~(uint32_t)PROCESS_COMM;
	snapshot_take(to, &rest, PROC_PART_REST);
}

void snapshot_take(struct process *to, const struct process *from, unsigned int parts)
{
	static const struct process nothing;
	uint32_t bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (parts & groups[i].part && from->known & groups[i].known)
			bits |= groups[i].known;
	take_members(to, &nothing, bits);
	take_members(to, from, bits & from->known);
	to->known = (to->known & ~bits) | (from->known & bits);
	/* Start and parent are the process's own: an orphan keeps the parent that made it. */
	if (parts & PROC_PART_STAT && !(to->known & PROCESS_PPID) && from->known & PROCESS_PPID) {
		to->ppid = from->ppid;
		to->known |= PROCESS_PPID;
	}
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && streq(a, b));
}

static bool same_numbers(const struct process *a, const struct process *b)
{
	return a->known == b->known && a->pid == b->pid && a->ppid == b->ppid && a->start_ns == b->start_ns &&
	       a->exec_count == b->exec_count && a->uid == b->uid && a->gid == b->gid && a->euid == b->euid &&
	       a->egid == b->egid && a->loginuid == b->loginuid && a->session == b->session && a->sid == b->sid &&
	       a->mnt_ns == b->mnt_ns && a->pid_ns == b->pid_ns && a->vpid == b->vpid && a->vpgid == b->vpgid &&
	       a->cap_inheritable == b->cap_inheritable && a->cap_permitted == b->cap_permitted &&
	       a->cap_effective == b->cap_effective;
}

bool snapshot_same(const struct process *a, const struct process *b)
{
	return same_numbers(a, b) && a->cmdline_len == b->cmdline_len &&
	       (!a->cmdline_len || !memcmp(a->cmdline, b->cmdline, a->cmdline_len)) && same_text(a->exe, b->exe) &&
	       same_text(a->cwd, b->cwd) && same_text(a->tty, b->tty) && same_text(a->cgroup, b->cgroup) &&
	       !strncmp(a->comm, b->comm, sizeof(a->comm));
}

bool snapshot_started(const struct process *p, bool exact, uint64_t start_ns)
{
	if (exact)
		return p->start_ns == start_ns;
	return start_ns <= p->start_ns && p->start_ns - start_ns < SNAPSHOT_LATE_NS;
}
