/*
 * The process table: who is who, kept by the messages of the proc connector and filled from /proc. Snapshots (event/process.h)
 * are immutable; the table holds the newest of each process, and keeps those that ended for a while, so that an event read late
 * still finds its author. Bounded: beyond `max` the oldest ended ones go first, then ones least recently used; counted.
 *
 * Thread-safe. The lock is never held over a system call: /proc is read before it is taken.
 */
#ifndef PROC_TABLE_H
#define PROC_TABLE_H

#include "event/process.h"
#include "lib/arena.h"

struct proc_table;

struct proc_stats {
	uint64_t live, ended, evicted, reads, missed; /* missed: gone before /proc could be read */
};

/* procfs: "/proc", or a recorded tree in tests. */
int proc_table_new(const char *procfs, size_t max, struct proc_table **ret);
void proc_table_free(struct proc_table *t);
/* Reads every process there is (at start, after lost messages). Marks those that are gone as ended. */
int proc_table_scan(struct proc_table *t);

/* Messages, in kernel order, from one thread. Times: CLOCK_BOOTTIME-compatible ns as the kernel gave them. */
void proc_table_fork(struct proc_table *t, int32_t parent_tgid, int32_t child_tgid, uint64_t boot_ns);
void proc_table_exec(struct proc_table *t, int32_t tgid, uint64_t boot_ns);
void proc_table_ids(struct proc_table *t, int32_t tgid, bool gid, uint32_t real, uint32_t effective);
void proc_table_sid(struct proc_table *t, int32_t tgid);
void proc_table_exit(struct proc_table *t, int32_t tgid, uint64_t boot_ns);
/* What file events tell about an image whose /proc was gone too soon: the file that was opened for execution. */
void proc_table_opened_exec(struct proc_table *t, int32_t tgid, const char *path);

/*
 * The process as known now; a reference the caller drops, or NULL. ended: the event said that the process is gone (pidfd -1), so the one that
 * ended last under this pid is meant and not a newer one. A process never heard of is read from /proc.
 */
struct process *proc_table_get(struct proc_table *t, int32_t pid, bool ended);
void proc_table_get_stats(struct proc_table *t, struct proc_stats *ret);

/* One process read from procfs as far as it can be (values borrowed from a); parent not set. -ESRCH when gone. */
int proc_read(const char *procfs, int32_t pid, struct arena *a, struct process *ret);

#endif
