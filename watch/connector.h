/*
 * What the kernel tells of processes, fed to a proc_table on a thread of its own ("proc"). One of two sources owns
 * forks, starts and ends:
 *
 * BPF programs (watch/bpf.h): each start comes with its arguments, file, folder and ids, however short it lives.
 *
 * The netlink proc connector (initial network, pid and user namespaces, CAP_NET_ADMIN): the thread reads /proc at once
 * after each exec and therefore runs before all others (SCHED_RR, else nice -20, else as it is).
 *
 * Changes of ids and session between starts come from the proc connector in both cases; where it is missing beside BPF
 * they are known from the next fork or start on. Lost messages (a full ring; ENOBUFS, sequence gaps per CPU) are
 * counted and told; the table is then scanned anew.
 */
#ifndef WATCH_CONNECTOR_H
#define WATCH_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"
#include "lib/cleanup.h"
#include "proc/table.h"
#include "watch/bpf.h"

struct connector;

enum connector_source { CONNECTOR_BEST, CONNECTOR_BPF, CONNECTOR_NETLINK };

struct connector_options {
	struct proc_table *procs;
	enum connector_source source; /* BEST: BPF, else netlink */
	size_t ring;		      /* of BPF, bytes; 0: BPF_RING_DEFAULT */
	/*
	 * Called on the connector's thread when messages were lost (n: how many, 0 unknown; since: real ns, all that
	 * was told before is known), before the scan that heals it. May be NULL.
	 */
	void (*lost)(uint64_t n, uint64_t since, void *data);
	void *data;
};

struct connector_stats {
	uint64_t messages;  /* of processes and threads */
	uint64_t lost;	    /* as far as the kernel says how many */
	uint64_t overflows; /* how often the receive buffer was full, or messages were missing in a sequence */
	uint64_t scans;	    /* that this led to */
	uint64_t lost_kinds[BPF_RECORD_KINDS]; /* BPF: of each kind of record */
};

/*
 * Listens, then scans the table (so that nothing falls between), then starts the thread: when it returns, the table
 * knows every process there is. Signals are blocked on the thread. -EPERM, -ENOTSUP (kernel without it, or not in the
 * initial namespaces)... with text in err; the table then works unfed, from /proc alone.
 */
int connector_start(const struct connector_options *o, struct connector **ret, struct buf *err);
/* Nobody may be in proc_table_get meanwhile. */
void connector_stop(struct connector *c);

/*
 * Told on the connector's thread, after the table was, in the kernel's order. mono_ns: CLOCK_MONOTONIC of the moment it
 * happened. What need not be looked at while it runs comes some milliseconds later, or when somebody asks for a process
 * (prompt: nothing does). When connector_set_hooks returns, the former ones are not being called any more. h: copied;
 * NULL: none.
 */
struct connector_hooks {
	/* told: what the programs saw of it; NULL with netlink. Borrowed. */
	void (*exec)(int32_t tgid, uint64_t mono_ns, const struct bpf_proc_event *told, void *data);
	void (*exit)(int32_t tgid, void *data);
	/* Instead of exec: it was not let run (connector_refuse). e: borrowed. */
	void (*refused)(const struct bpf_proc_event *e, void *data);
	bool prompt;
	void *data;
};
void connector_set_hooks(struct connector *c, const struct connector_hooks *h);
/*
 * Starts that nobody can judge before they happen: as bpf_procs_refuse, bpf_procs_gate, bpf_procs_caller
 * (watch/bpf.h). -ENOTSUP when BPF is not the source.
 */
int connector_refuse(struct connector *c, bool on, int32_t session);
int connector_gate(struct connector *c, int group);
int connector_caller(struct connector *c, uint64_t dev, uint64_t ino);
/* As bpf_procs_guard, bpf_procs_stopped, bpf_procs_uring_files. */
int connector_guard(struct connector *c, const char *pin, struct bpf_sender *ret);
bool connector_stopped(struct connector *c, struct bpf_sender *ret);
bool connector_uring_files(const struct connector *c, const struct process *p);
/*
 * Waits until all that the kernel had told when this was called is in the table, at most timeout_ns; cheap when nothing
 * is waiting (one poll). 0, or -ETIMEDOUT. While a connector runs, proc_table_get does this by itself, for 100 ms at
 * most; proc_table_at waits for what was told before its time, for 2 s at most.
 */
int connector_sync(struct connector *c, uint64_t timeout_ns);
void connector_get_stats(struct connector *c, struct connector_stats *ret);
/* CONNECTOR_BPF or CONNECTOR_NETLINK: who tells of starts. */
enum connector_source connector_source(const struct connector *c);
/* Why it is not BPF; what BPF has to do without. NULL: nothing is missing. Borrowed. */
const char *connector_weakness(const struct connector *c);
/* Sets the receive buffer (bytes as SO_RCVBUF counts them); the default is CONNECTOR_BUFFER. */
int connector_set_buffer(struct connector *c, int bytes);

#define CONNECTOR_BUFFER (32 << 20) /* some 20,000 processes' messages; taken from the kernel only while they wait */

/* --- decoding, for the thread, tests and fuzzing */

#define CONNECTOR_CPU_MAX 8192 /* CONFIG_NR_CPUS of the largest kernels */

struct connector_msg {
	uint32_t what; /* PROC_EVENT_* */
	uint32_t cpu, seq, ack;
	bool sequenced;	   /* cpu and seq count: not an answer made outside the sequence (before Linux 6.6) */
	uint64_t mono_ns;  /* CLOCK_MONOTONIC (ktime_get_ns), whatever cn_proc.h says of system boot: suspend is not in
			      it */
	int32_t tid, tgid; /* fork: of the child */
	int32_t parent_tgid;
	uint32_t real, effective; /* UID, GID */
	uint32_t err;		  /* NONE: answer to listen, errno */
};

/*
 * The next message of a datagram; *pos is where, 0 at first. 1, or 0 when there are no more (also what is no proc event
 * or too short to be one ends there).
 */
int connector_decode(const void *data, size_t len, size_t *pos, struct connector_msg *ret);

#endif
