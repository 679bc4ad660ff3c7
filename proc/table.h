/*
 * The process table: who is who, kept by the messages of the proc connector and filled from /proc. Snapshots
 * (event/process.h) are immutable; the table holds the newest of each process, and keeps those that ended for at least
 * PROC_ENDED_KEEP_NS, so that an event read late still finds its author. Bounded: beyond `max` the oldest ended ones go
 * first, then ones least recently used; counted.
 *
 * Identity. start_ns is the start time of /proc/PID/stat: clock ticks since boot (suspend included), in ns. A process
 * whose fork was told gets the time of that message cut to a tick, which is the same but for a tick that ended between
 * the two; when somebody first asks for the process, or it execs, the exact value is read if it is still there. From
 * then on it never changes.
 *
 * Inheritance. A forked process is what its parent was (that is what fork does), so nothing is read at fork. What an
 * exec does not change is kept when /proc was gone before it could be read: ids, login, session, terminal, folder,
 * cgroup.
 *
 * Paths (exe, cwd) are as /proc shows them: from the root of the process's own mount namespace when that is not ours,
 * with " (deleted)" behind a file that was unlinked. cwd is that of the last exec: chdir sends no message.
 *
 * Thread-safe. The lock is never held over a system call: /proc is read before it is taken.
 */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#include "event/process.h"
#include "lib/arena.h"
#include "lib/cleanup.h"
#include "proc/read.h"

#define PROC_ENDED_KEEP_NS (60 * 1000000000ULL)
#define PROC_BYTES	   1024 /* for each entry of `max`; long command lines use up more than one's share */
#define PROC_IMAGES_MAX	   1024 /* see proc_table_at */

struct proc_table;

struct proc_stats {
	uint64_t live, ended, evicted; /* evicted: for room, not for age */
	uint64_t reads;		       /* processes read from /proc */
	uint64_t missed; /* gone before /proc could be read: executable left to proc_table_opened_exec, or process
			    unknown */
};

/* procfs: "/proc", or a recorded tree in tests. */
int proc_table_new(const char *procfs, size_t max, struct proc_table **ret);
void proc_table_free(struct proc_table *t);
DEFINE_CLEANUP(struct proc_table *, proc_table_free)
#define _cleanup_proc_table_ _cleanup_(proc_table_free_p)

/*
 * Whether messages keep the table (the connector says so). Without them, as at first, nothing held is believed: each
 * proc_table_get reads /proc and keeps what it held only where that still says the same.
 */
void proc_table_set_fed(struct proc_table *t, bool fed);
/*
 * Called at the begin of each proc_table_get and proc_table_at, on its thread, to let the table catch up with what the
 * kernel has told before boot_ns (0: before now; NULL: nothing is): 0, or -ETIMEDOUT. Without it, the event of a
 * program just started may be put down to the one that started it. Set while nobody asks.
 */
void proc_table_set_sync(struct proc_table *t, int (*sync)(uint64_t boot_ns, void *data), void *data);
/* Reads every process there is (at start, after lost messages). Marks those that are gone as ended. */
int proc_table_scan(struct proc_table *t);

/*
 * Called with the cgroup of each process that is read, or that is told of with it at its exec, without a lock and on
 * the thread that read it: at once, it must not wait. Set while nobody asks.
 */
void proc_table_set_seen(struct proc_table *t, void (*seen)(const char *cgroup, int32_t pid, void *data), void *data);

/* Messages, in kernel order, from one thread. Times: CLOCK_BOOTTIME-compatible ns as the kernel gave them. */
void proc_table_fork(struct proc_table *t, int32_t parent_tgid, int32_t child_tgid, uint64_t boot_ns);
void proc_table_exec(struct proc_table *t, int32_t tgid, uint64_t boot_ns);
/*
 * The same from a sensor that saw the process itself at that moment: `told` (pid, ppid, start as /proc gives it, and
 * whatever else is known; borrowed) is believed, nothing is read that it holds. maker: who called fork, which is not
 * the parent with CLONE_PARENT. cgroups: 0 when told.cgroup is sure; else it is read later, as after proc_table_exec, or
 * believed to be as that of another process that had the same number and was told the same a moment ago.
 */
void proc_table_forked(struct proc_table *t, int32_t maker, const struct process *told);
void proc_table_execed(struct proc_table *t, const struct process *told, uint64_t cgroups, uint64_t boot_ns);
/* Opens ahead what the exec of a forked process will have to read; as proc_table_read_rest, and before it. */
bool proc_table_prepare(struct proc_table *t);
/*
 * Reads what an exec left for later; to be called when no message waits. One process at a call; false when there was
 * none. What is asked for before is read then, so this is for those that end unasked.
 */
bool proc_table_read_rest(struct proc_table *t);
/* What happened before a newer fork or exec was told with its ids is passed over. */
void proc_table_ids(struct proc_table *t, int32_t tgid, bool gid, uint32_t real, uint32_t effective, uint64_t boot_ns);
void proc_table_sid(struct proc_table *t, int32_t tgid, uint64_t boot_ns);
void proc_table_exit(struct proc_table *t, int32_t tgid, uint64_t boot_ns);
/*
 * What file events tell about an image whose /proc was gone too soon: a file that was opened for execution. Any thread,
 * before or after the messages of that fork and exec. The first file of an exec counts (for a script the script
 * itself); a dynamic loader never does, since it says nothing of the program it loads.
 */
void proc_table_opened_exec(struct proc_table *t, int32_t tgid, const char *path);

/* Waits, some milliseconds at most, until all that was told so far is applied, and the hooks of its source were called.
 */
void proc_table_sync(struct proc_table *t);

/*
 * The process as known now; a reference the caller drops, or NULL. ended: the event said that the process is gone
 * (pidfd -1), so the one that ended last under this pid is meant and not a newer one. A process never heard of is read
 * from /proc.
 */
struct process *proc_table_get(struct proc_table *t, int32_t pid, bool ended);
/*
 * The same for one whose exec is known to be applied (a hook of the connector told of it): nothing is waited for
 * but what was not read of it yet, and one that has ended since is found without asking /proc. boot_ns: when that was; one that has run another program since
 * is found as it was then; its name, file and arguments are unknown where that is not kept (see proc_table_at). 0: as
 * known now.
 */
struct process *proc_table_told(struct proc_table *t, int32_t pid, uint64_t boot_ns);
/*
 * The process with that pid and start (as /proc gives it) as it was at boot_ns: where it has run another program since,
 * the one from before the exec. That is kept for the last PROC_IMAGES_MAX execs of all processes; what goes by an
 * image (name, file, arguments) is unknown beyond, and where the table could not catch up with what was told of it. A
 * reference, or NULL: gone, or the pid is another's.
 */
struct process *proc_table_at(struct proc_table *t, int32_t pid, uint64_t start_ns, uint64_t boot_ns);
void proc_table_get_stats(struct proc_table *t, struct proc_stats *ret);

#endif
