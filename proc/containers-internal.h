/* What the files of proc/containers*.c share. Not for others. */
#ifndef PROC_CONTAINERS_INTERNAL_H
#define PROC_CONTAINERS_INTERNAL_H

#include <pthread.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "proc/cgroup.h"
#include "proc/containers.h"
#include "proc/runtime.h"

#define CONTAINERS_DEFAULT 4096
#define HINTS_MAX	   256
#define LENGTHS		   512
#define FOLDERS_MAX	   256 /* of containers that appeared and are not whole yet */

struct known {
	char id[CGROUP_ID_MAX];
	struct container *c;
	uint64_t read_ns; /* CLOCK_BOOTTIME, when reading it last began */
	unsigned reads;
	bool whole; /* nothing is to be had by reading again */
	char *upper;
	UT_hash_handle by_id, by_upper;
	struct known *prev, *next; /* least recently used first */
};

struct hint {
	struct cgroup_container who;
	int32_t pid;
};

struct containers {
	pthread_mutex_t lock;
	struct known *ids, *uppers, *list;
	uint64_t lengths[LENGTHS / 64]; /* of uppers, as bits; longer ones share the last */
	size_t n, max;
	struct containers_stats stats;
	struct hint hints[HINTS_MAX];
	unsigned hint_first, hint_end; /* count up without end */

	pthread_mutex_t follower_lock; /* held while it is called; never under lock */
	void (*follower)(struct container *c, void *data);
	void *follower_data;
	void (*reader)(struct container *c, void *data); /* the same lock */
	void *reader_data;

	/* const */
	struct runtime_stores stores;
	int procfd;

	pthread_t thread;
	bool running;
	int wake; /* eventfd */
	_Atomic bool stopping;
};

/* Reads (again) unless that was done a moment ago, and since boot_ns. A reference, NULL: out of memory. No lock. */
struct container *containers_read(struct containers *c, const struct cgroup_container *who, int32_t pid,
				  uint64_t boot_ns);
/* True when nothing more can be had of it. */
bool containers_is_whole(struct containers *c, const char *id);

/* --- containers_watch.c */
void *containers_thread(void *data);

#endif
