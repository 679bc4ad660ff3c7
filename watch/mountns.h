/*
 * The mount namespaces of containers: which there are, whether something was mounted in them and by whom. A process of
 * a container is seen (proc/table.h tells of each); what the namespace it is in has mounted others read from
 * /proc/PID/mountinfo. The kernel tells when that changes (FAN_REPORT_MNT, Linux 6.14 and later); where it does not,
 * looking from time to time has to do, as where it does not take a mark. No namespace is held: what is mounted in one
 * goes with its last process.
 *
 * Thread-safe, with a thread of its own ("mounts").
 */
#ifndef WATCH_MOUNTNS_H
#define WATCH_MOUNTNS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/cleanup.h"
#include "proc/table.h"

#define MOUNTNS_MAX 8192 /* namespaces; while as many live, new ones are passed over */

struct mountns;

struct mountns_stats {
	bool wanted;
	bool told; /* the kernel tells of mounts */
	bool full;
	size_t untold;	 /* namespaces that it does not tell of though it could: they are looked at */
	uint64_t passed; /* seen, and not followed: there was no room */
};

struct mountns_options {
	const char *procfs;	  /* "/proc" */
	struct proc_table *procs; /* who mounts; outlives it. NULL: nobody knows */
	bool look;		  /* as where the kernel does not tell */
	uint64_t interval;	  /* ns between looks then; 0: 10 s */
	size_t max;		  /* 0: MOUNTNS_MAX */
	/* Something of it is otherwise than before; on the thread "mounts". May be NULL. */
	void (*state)(const struct mountns_stats *s, void *data);
	void *data;
};

int mountns_new(const struct mountns_options *o, struct mountns **ret);
void mountns_free(struct mountns *m);
/* Whether the kernel tells of mounts. */
bool mountns_is_told(const struct mountns *m);
/* Nothing is noted while nobody wants it; as it is at first. */
void mountns_want(struct mountns *m, bool wanted);

/* A process of the container (its id) was seen. Reads one name in /proc; never waits. */
void mountns_seen(struct mountns *m, const char *container, int32_t pid);
/* fn: something may be mounted otherwise than before; on the thread "mounts". NULL: no more, no call is running then.
 */
void mountns_on_change(struct mountns *m, void (*fn)(void *data), void *data);

struct mountns_one {
	uint64_t ino;	       /* of the namespace */
	const char *container; /* id; borrowed */
	int32_t pid;	       /* a process in it, a moment ago */
	/*
	 * Not the one the container was started in, which is the one of its namespaces that was made first; where the
	 * kernel numbers no mounts (before Linux 6.11) the one whose process was.
	 */
	bool second;
	uint64_t id; /* mountid_namespace; 0 unknown */
};

/* All in which a process still is, in the order in which they were seen; fn non-zero ends. No lock is held. */
int mountns_each(struct mountns *m, int (*fn)(const struct mountns_one *ns, void *data), void *data);
/* While it is so, there may be namespaces that mountns_each passes over. */
bool mountns_is_full(struct mountns *m);
/* The process is still in that namespace. */
bool mountns_is_in(const struct mountns *m, int32_t pid, uint64_t ino);
/* Looks at all processes for one that is in this namespace; it is then one of the container that is seen. */
bool mountns_search(struct mountns *m, const char *container, uint64_t ino);
/* The process is, or was when it was seen, in a namespace of the container's other than its own. */
bool mountns_is_second(struct mountns *m, const char *container, int32_t pid);
/*
 * Who mounted it (mount: mountids_find), or who unmounted it when it is gone. A reference, or NULL: it was done before
 * its namespace was seen, the kernel does not tell, or it is long ago. wait: some milliseconds for an event that may be
 * on its way; once after a table was read is enough.
 */
struct process *mountns_mounter(struct mountns *m, uint64_t mount, bool gone, bool wait);

DEFINE_CLEANUP(struct mountns *, mountns_free)

#endif
