/* What watch/mountns.c and watch/mountns_list.c share. Not for others. */
#ifndef WATCH_MOUNTNS_INTERNAL_H
#define WATCH_MOUNTNS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "proc/cgroup.h"
#include "watch/mountns.h"

#define PIDS_MAX 8

struct ns {
	uint64_t ino, id;
	uint64_t born;	    /* mountid_first; without an id when the first process seen in it started */
	unsigned int order; /* in which they were seen */
	bool entered;	    /* its processes have a root of their own: it is not the runtime's any more */
	bool second, untold;
	bool left; /* the one that was made before it is gone */
	char container[CGROUP_ID_MAX];
	int32_t pids[PIDS_MAX]; /* the first one seen, then the last ones */
	unsigned n_pids;	/* counts up without end */
	UT_hash_handle hh;	/* in the order in which they were seen first */
};

struct root {
	uint64_t ino;
	uint32_t major, minor;
};

struct mountns {
	int fan; /* -1: nobody tells */
	int procfd, wake;
	uint64_t interval, host; /* inode of the namespace we are in */
	struct root root;	 /* ours */
	size_t max;
	struct proc_table *procs;
	atomic_bool wanted, stopping;

	pthread_mutex_t lock;
	struct ns *list;
	size_t untold;
	uint64_t passed;
	bool full;
	unsigned int order;

	pthread_mutex_t event_lock; /* held from reading events until they are noted; never under another */
	struct mounters *mounters;

	pthread_mutex_t change_lock; /* held while it is called; never under lock */
	void (*change)(void *data);
	void *change_data;

	void (*state)(const struct mountns_stats *s, void *data);
	void *state_data;
	struct mountns_stats last; /* told; the thread's */

	pthread_t thread;
	bool running;
};

/* What is to be known of a process's namespace, before the lock is taken. */
struct seen {
	uint64_t ino, id, born;
	bool entered;
};

/* --- mountns_list.c, all with the lock held */
void ns_free(struct mountns *m, struct ns *n);
bool ns_has(const struct ns *n, int32_t pid);
void ns_note(struct ns *n, int32_t pid);
/* NULL: there is none of that container. */
struct ns *ns_find(struct mountns *m, const char *container, uint64_t ino);
/* 1: it was not known, 0, or -ENOSPC. */
int ns_put(struct mountns *m, const char *container, const struct seen *s, int32_t pid);

#endif
