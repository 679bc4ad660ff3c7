/*
 * A gate for tests: in a process of its own, over a file system of its own (an ext4 image or a tmpfs) in a mount
 * namespace of its own, with an end by SIGKILL whatever happens. Never marks anything of the host's.
 */
#ifndef TESTS_EXEC_RIG_H
#define TESTS_EXEC_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "exec/gate.h"

#define RIG_SEEN_MAX 8192

struct rig_seen {
	int32_t pid;
	enum gate_role role;
	enum exec_verdict verdict;
	enum gate_reason reason;
	enum exec_type type;
	bool leased, cached, seen, has_digest;
	uint64_t spent_ns;
	char why[64];
	char path[160];
};

struct rig_shared {
	_Atomic unsigned n;
	_Atomic bool slow; /* results are not taken: the verdict thread is made to wait */
	struct rig_seen seen[RIG_SEEN_MAX];
	struct gate_stats stats; /* after rig_stop */
	bool bpf;		 /* execs are told by it */
	bool mapped;		 /* mappings are told */
};

struct rig {
	char dir[64]; /* work folder */
	char mnt[80]; /* the gated file system */
	char image[80];
	pid_t gate, keeper;
	int control;
	struct rig_shared *shared;
};

struct rig_options {
	bool enforce, fail_closed, watch, no_connector;
	uint64_t deadline, max_size, stall;
	enum gate_scripts scripts;
	size_t slots;
	unsigned files;		      /* RLIMIT_NOFILE of the gate; 0: as it is */
	const char *const *good;      /* names in mnt, NULL-terminated: their digests are trusted */
	const char *const *good_path; /* trusted by path */
	const char *const *listed;    /* on the list of denied programs */
	bool mounts;		      /* the gate knows the mounts */
	const char *only;	      /* this place in mnt is gated, and nothing else; NULL: mnt */
	bool layers;		      /* gated for layers of containers alone */
	bool mapped;		      /* what any process maps to run is looked at; none where it cannot be told */
	bool unmarked;		      /* the kernel has dropped the mark since, as it does with the file system */
	bool at_once;		      /* rig_stop does not wait until all is read and told */
	bool bare;		      /* no gate but a listener that answers at once: what the kernel alone costs */
};

/* 0, or a reason to skip. type: "ext4", "ext3", "tmpfs". Once for each process: enters the mount namespace. */
const char *rig_setup(struct rig *r, const char *type);
void rig_teardown(struct rig *r);
int rig_start(struct rig *r, const struct rig_options *o);
/* Ends the gate in good order. */
void rig_stop(struct rig *r);
/* With SIGKILL. */
void rig_kill(struct rig *r);

/* Copies tests/exec/prog to name, with `code` as its end and `salt` behind it to make another digest. */
void rig_program(struct rig *r, const char *name, int code, unsigned salt);
void rig_file(struct rig *r, const char *name, const char *text, unsigned mode);
void rig_copy(struct rig *r, const char *name, const char *from);
/* Path of name; a few at a time are kept. */
const char *rig_path(struct rig *r, const char *name);
/* The end of the program, or a negative errno when it could not be started. */
int rig_run(struct rig *r, const char *name, const char *arg);
/* The newest result that was told for a path ending in name; waits for it up to ms. NULL: none. */
const struct rig_seen *rig_wait(struct rig *r, const char *name, enum gate_role role, unsigned ms);
/* How many were told so far. */
unsigned rig_count(const struct rig *r, const char *name, enum gate_role role);
/* Offset of the byte that is the end of the program. */
long rig_code_offset(void);

#endif
