/*
 * A thread that others wait for. It runs as a fair one of the highest weight: the scheduler then wakes it where the one
 * who waits has just left a processor, which saves waking another (most of what an answer costs in a virtual machine).
 * While it is kept waiting for a processor itself (load, a quota of its cgroup) it is a real-time thread, which goes
 * before all of these.
 */
#ifndef LIB_URGENT_H
#define LIB_URGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/util.h"

#define URGENT_LOOK_NS	 (200 * NSEC_PER_MSEC) /* between two looks at how long it waited */
#define URGENT_WAITED_NS (NSEC_PER_MSEC / 2) /* on average, each time it wanted to run: too long */
#define URGENT_HOLD_NS	 (10 * NSEC_PER_SEC)   /* real-time for so long, then it is tried again */

/* Of the thread that calls; used by no other. */
struct urgent {
	int stat; /* what the kernel counts of it; negative: it does not say, and the thread is real-time throughout */
	bool realtime;
	uint64_t look_ns, until_ns; /* monotonic */
	uint64_t waited_ns, turns;  /* at the last look */
};

/* Needs CAP_SYS_NICE; without it the thread stays as it is. Opens a descriptor. */
void urgent_begin(struct urgent *u);
/* Looks when it is time, at the cost of one system call then. now: monotonic. */
void urgent_look(struct urgent *u, uint64_t now);
void urgent_end(struct urgent *u);

#endif
