/*
 * The verdict over connections, by BPF programs at the root of the cgroups: connect and sendto an address, also through
 * io_uring. When the one who opened it ends, whatever the reason, the kernel takes them away and everything is allowed.
 * Not asked about: who has a connected socket already, raw and packet sockets.
 */
#ifndef WATCH_BPF_POLICY_H
#define WATCH_BPF_POLICY_H

#include "event/container.h"
#include "event/socket.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "watch/policy.h"

struct bpf_policy;

/* Somebody was denied, or would have been. Borrowed for the call. */
struct bpf_policy_event {
	int32_t tgid, tid;
	uint64_t mono_ns;
	uint64_t start_ns; /* of the process, as /proc gives it */
	uint64_t count;
	bool denied;
	uint32_t serial; /* of the table */
	unsigned entry;	 /* of it */
	struct event_socket socket;
};

struct bpf_policy_counts {
	uint64_t judged, denied; /* denied: or would have been */
	uint64_t unknown;	 /* of containers that are not known */
	uint64_t lost;		 /* denials that were not told: the ring was full */
	uint64_t lost_names;	 /* addresses of domains that found no room */
};

/* Nothing is judged until a table is put in force. Errors as bpf_procs_open. */
int bpf_policy_open(struct bpf_policy **ret, struct buf *err);
void bpf_policy_close(struct bpf_policy *b);
/* Whether answers of DNS are read: the kernel takes that program (Linux 5.17). */
bool bpf_policy_learns(const struct bpf_policy *b);
int bpf_policy_fd(const struct bpf_policy *b);

/*
 * A table of which nothing is in force yet: it is filled (bpf_policy_fill, bpf_policy_container), then put in force at
 * once for all. Serial numbers follow each other, but the one of a table that could not be filled may be used again.
 * One thread at a time. Negative errno: no memory, or no room; the table in force stays.
 */
int bpf_policy_fill(struct bpf_policy *b, const struct policy_table *t, bool enforce);
/* -E2BIG: BPF_POLICY_CONTAINERS are in the table, -ENOMEM: the container counts as unknown. */
int bpf_policy_container(struct bpf_policy *b, const struct policy_table *t, const struct container *c);
void bpf_policy_switch(struct bpf_policy *b, const struct policy_table *t);
/* The address is one of the domain (policy_hash_domain), for so long, in every network namespace. */
int bpf_policy_name(struct bpf_policy *b, uint64_t domain, const uint8_t address[SOCKET_ADDRESS], uint64_t ns);

/* As bpf_calls_take and bpf_calls_counted (watch/bpf_calls.h). */
int bpf_policy_take(struct bpf_policy *b, unsigned int max, void (*fn)(const struct bpf_policy_event *e, void *data),
		    void *data);
bool bpf_policy_counted(struct bpf_policy *b, void (*fn)(const struct bpf_policy_event *e, void *data), void *data);
/* When that thread was denied the peer of s last (CLOCK_MONOTONIC); 0: it was not, or thousands of others since. */
uint64_t bpf_policy_denied(const struct bpf_policy *b, int32_t tid, const struct event_socket *s);
void bpf_policy_get_counts(const struct bpf_policy *b, struct bpf_policy_counts *ret);

DEFINE_CLEANUP(struct bpf_policy *, bpf_policy_close)

#endif
