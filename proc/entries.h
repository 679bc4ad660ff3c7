/* Inside of the process table, shared by its files: table.c (entries, look-up), snapshot.c, messages.c, exec.c, scan.c.
 * Not for others. */
#ifndef PROC_ENTRIES_H
#define PROC_ENTRIES_H

#include <pthread.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "proc/table.h"

/* One process, live or ended. Its pid is in at most one live and one ended entry. */
struct entry {
	int32_t pid;
	struct process *p; /* newest snapshot */
	size_t bytes;	   /* of it, without its ancestors */
	bool exact;	   /* its start_ns is settled */
	bool exe_wanted;   /* an exec whose file /proc could no longer tell */
	bool login_stale;  /* its login uid may have been written since it was read */
	uint64_t ended_ns; /* boot time when it was seen to end; 0 live */
	uint64_t exec_ns;  /* boot time of the newest exec that was told; 0 none */
	uint64_t told_ns;  /* boot time of the newest fork or exec that was told with its ids; 0 none */
	uint64_t unread;   /* serial of the exec of which only the image was read; 0 none */
	uint64_t stamp;	   /* when it was last told or read, in table ticks */
	char *opened;	   /* first file opened for execution since the last exec */
	UT_hash_handle hh;
	struct entry *prev, *next; /* live: least recently used first; ended: oldest first */
};

/* An exec whose rest is to be read; the descriptor is that of /proc/PID. */
struct unread {
	int32_t pid;
	int dirfd;
	unsigned int parts; /* what is missing */
	uint64_t serial, boot_ns;
	uint64_t cgroups; /* see grouped.c; 0: none */
	bool told;	  /* the sensor saw one of them */
};

/* Of one process, opened ahead of its exec; -1 what could not be opened. */
struct prepared {
	int32_t pid; /* 0: free */
	bool open;
	struct proc_fds fds;
};

/* What a process was until an exec. */
struct image {
	struct process *p; /* NULL: free */
	uint64_t since_ns, until_ns;
};

/* What /proc said of the cgroups that a number stands for. */
struct grouped {
	uint64_t cgroups;  /* with told; NULL: free */
	char *told, *read; /* by the sensor; of /proc */
	uint64_t read_ns;  /* boot time of the exec it was read for */
	bool twice;	   /* it said so of two processes in a row */
};

#define GROUPED_MAX  32
#define PREPARED_MAX 32

#define EARLY_MAX  64
#define UNREAD_MAX 32

/* Files opened for execution by processes whose fork is not told yet. */
struct early {
	int32_t pid;
	char *path;
	uint64_t ns;
};

struct proc_table {
	pthread_mutex_t lock; /* guards what follows up to procfd */
	struct entry *live, *ended;
	struct entry *live_list, *ended_list;
	struct early early[EARLY_MAX];
	unsigned int early_next;
	struct image images[PROC_IMAGES_MAX];
	unsigned int images_next; /* counts up without end */
	uint64_t stamp;
	bool fed;
	size_t max;
	size_t bytes; /* of all snapshots held */
	struct proc_stats stats;
	uint64_t serial; /* of execs */
	int (*sync)(uint64_t boot_ns, void *data);
	void *sync_data;
	void (*seen)(const char *cgroup, int32_t pid, void *data);
	void *seen_data;
	int procfd; /* const */

	/* Of the thread that applies messages. */
	struct unread unread[UNREAD_MAX];
	unsigned int unread_first, unread_end; /* count up without end */
	struct prepared prepared[PREPARED_MAX];
	unsigned int prepared_end; /* counts up without end */
	struct grouped grouped[GROUPED_MAX];
};

static inline void table_unlock(struct proc_table **t)
{
	pthread_mutex_unlock(&(*t)->lock);
}

static inline struct proc_table *table_lock(struct proc_table *t)
{
	pthread_mutex_lock(&t->lock);
	return t;
}

/* Holds the lock to the end of the scope. */
#define TABLE_LOCKED(t) __attribute__((cleanup(table_unlock), unused)) struct proc_table *locked_ = table_lock(t)

/* Lock held. */
struct entry *entry_live(struct proc_table *t, int32_t pid);
struct entry *entry_ended(struct proc_table *t, int32_t pid);
/* Takes over the reference on p. NULL: out of memory. An older live entry of that pid is ended. */
struct entry *entry_add(struct proc_table *t, struct process *p, bool exact);
void entry_set(struct proc_table *t, struct entry *e, struct process *p);
void entry_touch(struct proc_table *t, struct entry *e);
void entry_end(struct proc_table *t, struct entry *e);
/* An ended entry is live again: its leader had left, and another thread took its place by exec. False: out of memory,
 * it is freed. */
bool entry_revive(struct proc_table *t, struct entry *e);

/* The pid turned out to be another's: the image read at an exec whose rest is unread was not this process's. */
void entry_take_back(struct proc_table *t, struct entry *e);

/* No lock held: waits for what was told before boot_ns (0: now). ret_fed: messages keep the table. 0, or -ETIMEDOUT. */
int table_catch_up(struct proc_table *t, uint64_t boot_ns, bool *ret_fed);
/* No lock held. Opens and reads; counts. -ESRCH when gone. */
int table_read(struct proc_table *t, int32_t pid, unsigned int parts, struct arena *a, struct process *ret);
/* No lock held: tells whoever wants to know in which cgroup a process just read is. */
void table_tell_seen(const struct proc_table *t, const struct process *read);
/* No lock held: the live process, settled; read from /proc (with its parents) when not held. A reference, or NULL. */
struct process *table_settled(struct proc_table *t, int32_t pid);
struct process *table_learn(struct proc_table *t, int32_t pid);
/* No lock held: proc_table_get once the table has caught up. */
struct process *table_get(struct proc_table *t, int32_t pid, bool ended, bool fed);

/* --- prepared.c, on the thread that applies messages */

/* A fork was told; its end was told. */
void prepared_put(struct proc_table *t, int32_t pid);
void prepared_forget(struct proc_table *t, int32_t pid);
/* What was opened ahead becomes the caller's. */
void prepared_take(struct proc_table *t, int32_t pid, struct proc_fds *ret);
void prepared_close_all(struct proc_table *t);

/* --- grouped.c, on the thread that applies messages */

/* told: the cgroup that the sensor saw, "" when none. Borrowed until the next call; NULL: it is to be read. */
const char *grouped_find(const struct proc_table *t, uint64_t cgroups, const char *told, uint64_t boot_ns);
/* What was read of a process, after its exec at boot_ns. */
void grouped_put(struct proc_table *t, uint64_t cgroups, const char *told, const char *read, uint64_t boot_ns);
void grouped_free_all(struct proc_table *t);

/* --- snapshot.c: how a snapshot is made of another */

/* All members but the counter and the row. Parent and strings are borrowed. */
void snapshot_values(const struct process *p, struct process *ret);
/*
 * Lock held. Makes values a child of parent (may be NULL), whose line of ancestors is cut where it is full. A
 * reference, or NULL: out of memory.
 */
struct process *snapshot_child(struct proc_table *t, const struct process *values, struct process *parent);
/*
 * What `from` knows of these parts replaces what `to` knew. Members go together (the executable and its argv, login uid
 * and session...): of such a group nothing old stays when something new is known, and all of it stays when nothing is.
 */
void snapshot_take(struct process *to, const struct process *from, unsigned int parts);
/*
 * What was left for later of the exec that made `to` what it is. A name that was told with it stays; and that of `from`
 * is not taken when its executable, read after it, is another: there was another exec since.
 */
void snapshot_take_rest(struct process *to, const struct process *from);
/* Same process, same image, same attributes. */
bool snapshot_same(const struct process *a, const struct process *b);
/*
 * start, read from /proc, is of the process held as p: equal when exact, else at most SNAPSHOT_LATE_NS before the
 * fork's message (the start is taken before the message is sent, and the forking task may lose the processor between
 * the two).
 */
#define SNAPSHOT_LATE_NS 1000000000ULL
bool snapshot_started(const struct process *p, bool exact, uint64_t start_ns);

#endif
