/*
 * The connector inside: connector.c is the thread and what it loses, connector_apply.c what each message does,
 * connector_sync.c how others wait until they are done.
 */
#ifndef WATCH_CONNECTOR_INTERNAL_H
#define WATCH_CONNECTOR_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "watch/connector.h"
#include "watch/proc_socket.h"

struct cpu_seq {
	uint32_t next;
	bool seen;
};

struct connector {
	struct proc_table *table;
	void (*lost)(uint64_t n, uint64_t since, void *data);
	void *data;
	int fd, wake_fd;       /* fd: -1 without netlink */
	struct bpf_procs *bpf; /* NULL: netlink owns forks, starts and ends */
	char *weakness;
	pthread_t thread;

	/* The thread's own. */
	struct cpu_seq *seq;		       /* CONNECTOR_CPU_MAX */
	uint64_t boot_offset;		       /* from the clock of the messages to that of /proc */
	uint32_t drops_told;		       /* of the socket's counter, at the last overflow */
	uint64_t credit;		       /* drops told whose holes in the sequences are still to be met */
	uint64_t holes;			       /* met and not set off */
	uint64_t kinds_told[BPF_RECORD_KINDS]; /* of the programs' counters */
	bool overflow, scan_due;
	uint64_t scan_after; /* monotonic */
	uint64_t told_until; /* real: all that the kernel told before is applied */
	uint64_t newest_bpf;
	uint64_t taken_at;   /* monotonic: records of the ring */
	int32_t refused[64]; /* processes whose start was refused and not told yet */
	unsigned int refused_next;

	/* Shared. */
	pthread_mutex_t hook_lock; /* held while they are called */
	struct connector_hooks hooks;
	_Atomic bool stopping;
	_Atomic bool busy; /* messages were or may have been taken and are not applied */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned int waiters;
	_Atomic uint64_t applied_ns;	/* time of the newest message applied */
	_Atomic uint64_t late_until[2]; /* monotonic; others wait for less until then; and those that say when */
	struct connector_stats stats;
};

/* --- connector_apply.c; the thread */
void connector_apply(struct connector *c, const struct connector_msg *m);
void connector_apply_bpf(struct connector *c, const struct bpf_proc_event *e);

/* --- connector_sync.c */
/* So many messages are applied, the newest of then (CLOCK_MONOTONIC): who waits for them looks again. */
void connector_say_applied(struct connector *c, uint64_t messages, uint64_t newest);
/* Of proc_table_set_sync: data is the connector. */
int connector_sync_table(uint64_t boot_ns, void *data);

#endif
