/*
 * System calls as they return, told by a BPF program: those of call_table (event/call.h) that are wanted, no others;
 * the kernel passes over all else. A struct belongs to one thread.
 */
#ifndef WATCH_BPF_CALLS_H
#define WATCH_BPF_CALLS_H

#include <stdbool.h>

#include "event/call.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "watch/bpf/record.h"

#define BPF_CALLS_RING (1 << 20)

struct bpf_calls;

/* Strings are borrowed for the call. */
struct bpf_call_event {
	const struct call_info *info;
	int32_t tgid, tid;
	uint64_t mono_ns;
	uint64_t start_ns; /* of the process, as /proc gives it */
	int64_t result;
	uint64_t args[CALL_ARGS];
	const char *texts[CALL_TEXTS]; /* NULL: could not be read */
};

/* wanted: by the rows of call_table. Own calls are never told. Errors as bpf_procs_open. */
int bpf_calls_open(const bool *wanted, size_t ring, struct bpf_calls **ret, struct buf *err);
void bpf_calls_close(struct bpf_calls *b);
/* Others are wanted from now on. Any thread. */
void bpf_calls_want(struct bpf_calls *b, const bool *wanted);
int bpf_calls_fd(const struct bpf_calls *b);
/* As bpf_procs_take. */
int bpf_calls_take(struct bpf_calls *b, unsigned int max, void (*fn)(const struct bpf_call_event *e, void *data),
		   void *data);
uint64_t bpf_calls_lost(const struct bpf_calls *b);

/* A record of the ring (any bytes are safe; borrowed from c). -EBADMSG. */
int bpf_decode_call(struct bpf_call *c, size_t len, struct bpf_call_event *ret);

DEFINE_CLEANUP(struct bpf_calls *, bpf_calls_close)

#endif
