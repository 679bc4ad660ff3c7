/*
 * The BPF programs, where they are built in and the kernel takes them: forks, starts and ends of processes, each told
 * with what the process was at that moment, so that nothing has to be read of it afterwards.
 *
 * A struct belongs to one thread. Pids are those of the initial pid namespace: elsewhere it is -ENOTSUP.
 */
#ifndef WATCH_BPF_H
#define WATCH_BPF_H

#include <stdbool.h>
#include <stddef.h>

#include "event/process.h"
#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "watch/bpf/record.h"

#define BPF_RING_DEFAULT (2 << 20) /* some 4,000 processes; taken from the kernel at once, and resident */

struct bpf_procs;

/* One event. Strings and told are borrowed for the call. */
struct bpf_proc_event {
	enum bpf_record_kind kind;
	int32_t maker; /* fork: the process that called it */
	uint64_t mono_ns;
	/* exec, refused: the file as the kernel keeps it (another dev than stat's on btrfs, another inode on overlays)
	 */
	uint64_t exe_dev, exe_ino, exe_size;
	int64_t exe_ctime;  /* ns */
	bool exe_gated;	    /* its superblock carries a mark of the group of bpf_procs_gate */
	bool exe_ungated;   /* it carries none; neither: no group was named */
	bool exe_as_stat;   /* dev and inode are those of stat, where it is gated */
	bool plain_environ; /* exec: no variable of the environment is the dynamic loader's */
	enum bpf_refused refused;
	/*
	 * exec: told.cgroup is of the unified hierarchy; else /proc may know one that says more, the same one of all
	 * processes with that number.
	 */
	bool cgroup_sure;
	uint64_t cgroups;
	struct process told; /* pid and what is known of it; start_ns as /proc gives it */
};

/*
 * Loads and attaches. ring: bytes, rounded up to a power of two of pages; 0: the default. -ENOTSUP: built without, or
 * not in the initial pid namespace; -EPERM, or what the kernel said; text in err.
 */
int bpf_procs_open(size_t ring, struct bpf_procs **ret, struct buf *err);
void bpf_procs_close(struct bpf_procs *b);
/* Readable while records wait; not all wake who polls it (bpf_procs_prompt). */
int bpf_procs_fd(const struct bpf_procs *b);
/* Which execs wake. Any thread. */
void bpf_procs_prompt(struct bpf_procs *b, enum bpf_prompt prompt);
/* Whether the reader waits to be woken by any record, or looks by itself every now and then. The reader's thread. */
void bpf_procs_doze(struct bpf_procs *b, bool dozing);
/* Hands at most max records to fn, in the kernel's order. Their number, or a negative errno. */
int bpf_procs_take(struct bpf_procs *b, unsigned int max, void (*fn)(const struct bpf_proc_event *e, void *data),
		   void *data);
/*
 * Starts that nobody can judge before they happen (memory files, file systems that are not gated) are refused, which is
 * to say that the process is killed before the first instruction of the new program: while `on`, for all files but
 * those on gated superblocks, on overlays, and those run by the programs named as callers. session: only for processes
 * of that session; 0: for all. -ENOTSUP: the kernel has no tracepoint for it (before Linux 6.10), or no group was
 * named. Any thread.
 */
int bpf_procs_refuse(struct bpf_procs *b, bool on, int32_t session);
/*
 * Gated is what this fanotify group (a descriptor of this process) has marked for starts, superblock by superblock, as
 * long as the mark is there. -1: nothing, which is to be said before the group is closed. -EBADF, or what the kernel
 * said (before Linux 5.10 it cannot). Any thread.
 */
int bpf_procs_gate(struct bpf_procs *b, int group);
int bpf_procs_caller(struct bpf_procs *b, uint64_t dev, uint64_t ino);
/*
 * From now on it is kept who sends this process SIGKILL or SIGSTOP, under pin (a path on a BPF file system), where the
 * next process finds it: *ret is who ended the one before that had the same pin; mono_ns 0: not known. -ENOTSUP;
 * another negative errno: the next will not know. Any thread.
 */
int bpf_procs_guard(struct bpf_procs *b, const char *pin, struct bpf_sender *ret);
/* Who sent this process SIGSTOP since this was last asked. False: nobody. */
bool bpf_procs_stopped(struct bpf_procs *b, struct bpf_sender *ret);
/*
 * Whether this process, start_ns as /proc gives it, opened or linked files through io_uring: there was no call then
 * that could be told. Of the newest BPF_URING_FILES_MAX; any thread. False on kernels without the tracepoint
 * (before 6.4).
 */
bool bpf_procs_uring_files(const struct bpf_procs *b, int32_t pid, uint64_t start_ns);
/* How many of each kind found no room in the ring, since it was opened. */
void bpf_procs_lost(const struct bpf_procs *b, uint64_t ret[BPF_RECORD_KINDS]);

/* A record of the ring (any bytes are safe; strings in a). -EBADMSG. */
int bpf_decode_proc(const void *data, size_t len, struct arena *a, struct bpf_proc_event *ret);

DEFINE_CLEANUP(struct bpf_procs *, bpf_procs_close)

#endif
