/*
 * System calls as they return, told by a BPF program: those of call_table (event/call.h) that are wanted, no others;
 * the kernel passes over all else. A struct belongs to one thread.
 */
#ifndef WATCH_BPF_CALLS_H
#define WATCH_BPF_CALLS_H

#include <stdbool.h>

#include "event/call.h"
#include "event/socket.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "watch/bpf/record.h"
#include "watch/bpf_exits.h"

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
	uint64_t count;		       /* of calls alike that it stands for */
	bool of_socket;
	struct event_socket socket;
	char name[BPF_SOCKET_NAME + 2]; /* of it */
	const char *file;		/* path of the file that it is about; NULL: unknown, or about none */
	bool cut;			/* where a relative path begins is not known: it is told as it was written */
};

/* What is asked for. */
struct bpf_calls_wants {
	bool *calls;   /* by the rows of call_table */
	bool unix_too; /* of unix sockets too, not of IPv4 and IPv6 alone */
	bool data;     /* recvfrom with the first bytes that it got */
};

/* Own calls are never told. Of those opened with the same exits the last one alone is told. Errors as bpf_procs_open.
 */
int bpf_calls_open(struct bpf_exits *exits, const struct bpf_calls_wants *wants, size_t ring, struct bpf_calls **ret,
		   struct buf *err);
void bpf_calls_close(struct bpf_calls *b);
/* Others are wanted from now on. Any thread. */
void bpf_calls_want(struct bpf_calls *b, const struct bpf_calls_wants *wants);
/* Whether what goes through io_uring is told too: the kernel has a tracepoint for it (Linux 6.4 and later). */
bool bpf_calls_uring(const struct bpf_calls *b);
/* Whether ends of connections, being asked for, are told: of those that began meanwhile, and those adopted. */
bool bpf_calls_ends(const struct bpf_calls *b);
/* The same of UDP sockets: all that packets went through meanwhile. */
bool bpf_calls_datagram_ends(const struct bpf_calls *b);
/*
 * A TCP connection that was there before (SOCKET_FOUND, with its cookie), and whose it is: its end is told as the
 * others', since when it was open being unknown. start_ns as /proc gives it. 0, -ENOTSUP: ends are not told, or a
 * negative errno: -E2BIG when there are BPF_OPEN_MAX already. Any thread.
 */
int bpf_calls_adopt(struct bpf_calls *b, const struct event_socket *s, int32_t pid, uint64_t start_ns);
int bpf_calls_fd(const struct bpf_calls *b);
/* As bpf_procs_take. */
int bpf_calls_take(struct bpf_calls *b, unsigned int max, void (*fn)(const struct bpf_call_event *e, void *data),
		   void *data);
/*
 * Calls of sockets alike are told once and then counted, for a period and another: tells those of the one before, each
 * with the number of calls that it was not told for, and begins the next. Call it some times a second while it returns
 * true: there is more to come.
 */
bool bpf_calls_counted(struct bpf_calls *b, void (*fn)(const struct bpf_call_event *e, void *data), void *data);
/* By each program, since it was opened. */
void bpf_calls_lost(const struct bpf_calls *b, uint64_t ret[BPF_CALL_PROGRAMS]);

/* A record of the ring (any bytes are safe; data is aligned, strings borrowed from it and a). -EBADMSG, -ENOMEM. */
int bpf_decode_call(const void *data, size_t len, struct arena *a, struct bpf_call_event *ret);

DEFINE_CLEANUP(struct bpf_calls *, bpf_calls_close)

#endif
