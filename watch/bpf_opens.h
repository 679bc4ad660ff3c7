/*
 * Opens, told by a BPF program as their system calls return: those of programs and of names on the way to a file, or in
 * the path as it was written, that are wanted, no others, each with the path as the process sees it, in whatever
 * container or mount the file lies. Opens through io_uring are no such calls and are not told. A struct belongs to one
 * thread.
 */
#ifndef WATCH_BPF_OPENS_H
#define WATCH_BPF_OPENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/call.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "watch/bpf/record.h"
#include "watch/bpf_exits.h"

#define BPF_OPENS_RING (1 << 18)
#define BPF_OPENS_ROWS 4096 /* of one kind, at most */

struct bpf_opens;

struct bpf_open_event {
	int32_t tgid;
	uint64_t mono_ns;
	uint64_t start_ns; /* of the process, as /proc gives it */
	uint32_t classes;  /* BPF_OPEN_BIT of those wanted that it has; enum bpf_open_class */
	const char *path;  /* borrowed for the call; NULL: it failed, or the file has none */
	size_t len;
	char comm[16]; /* of the process */
	bool is_dir;
	const struct call_info *call; /* NULL: known as a file alone; else: */
	struct call_open open;	      /* strings are borrowed too */
	size_t written_len;
	int64_t result;
	bool cut; /* where the path as written begins is not known */
};

enum bpf_opens_what {
	BPF_OPENS_FILE,	 /* the file's own name */
	BPF_OPENS_WAY,	 /* its name, or that of a folder on the way to it */
	BPF_OPENS_START, /* beginning of such a name */
	BPF_OPENS_COMM,	 /* name of the process */
	BPF_OPENS_WHATS
};

/* Names above 63 bytes are compared up to there; none is empty (-EINVAL). */
struct bpf_opens_row {
	enum bpf_opens_what what;
	const char *s;
	size_t len;
	uint32_t classes; /* BPF_OPEN_BIT: of opens that are such */
};

struct bpf_opens_wants {
	const struct bpf_opens_row *rows;
	size_t n;
	bool dirs;	 /* opens of folders for reading too */
	uint32_t always; /* classes of which each is wanted */
};

/*
 * Own opens are never told. Of those opened with the same exits the last one alone is told, without a hole between
 * them: what the others have is to be taken still. Errors as bpf_procs_open; -E2BIG: more rows than BPF_OPENS_ROWS.
 */
int bpf_opens_open(struct bpf_exits *exits, const struct bpf_opens_wants *wants, size_t ring, struct bpf_opens **ret,
		   struct buf *err);
void bpf_opens_close(struct bpf_opens *b);
int bpf_opens_fd(const struct bpf_opens *b);
/* As bpf_procs_take. */
int bpf_opens_take(struct bpf_opens *b, unsigned int max, void (*fn)(const struct bpf_open_event *e, void *data),
		   void *data);
/* Since it was opened: for want of room, or because the kernel did not run the program. */
uint64_t bpf_opens_lost(const struct bpf_opens *b);

/* A record of the ring (any bytes are safe; the path lives in a). -EBADMSG, -ENOMEM. */
int bpf_decode_open(const void *data, size_t len, struct arena *a, struct bpf_open_event *ret);

DEFINE_CLEANUP(struct bpf_opens *, bpf_opens_close)

#endif
