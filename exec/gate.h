/*
 * The gate: group P of DESIGN.md. Every program start on the marked file systems is held by the kernel until it is
 * answered here, with a read lease on the file from before it is looked at until the exec has happened, so that what
 * was judged is what runs.
 *
 * Threads: "gate" reads events and answers what is known, "judge" workers read and hash the rest, "verdict" looks again
 * after the exec and hands results over. None of them execs; the process that holds a gate must never wait for a thread
 * that does, and must not fork while it has one.
 *
 * Mode observe holds nobody up: the kernel only tells of each start, and it is judged while a lease (and then the
 * kernel itself, which lets nobody write to a running program) keeps its content as it is.
 */
#ifndef EXEC_GATE_H
#define EXEC_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "event/event.h"
#include "exec/known.h"
#include "exec/trust.h"
#include "exec/watchdog.h"
#include "lib/buf.h"
#include "proc/containers.h"
#include "proc/table.h"
#include "watch/bpf.h"
#include "watch/mounts.h"

enum gate_reason {
	GATE_TRUSTED,
	GATE_NOT_TRUSTED,
	GATE_WRITER,	 /* open for writing elsewhere, or changed while it was read */
	GATE_DEADLINE,	 /* not judged in time: exec.fail */
	GATE_FULL,	 /* more starts at once than there is room for: exec.fail */
	GATE_TOO_LARGE,	 /* exec.max_size: exec.fail */
	GATE_UNREADABLE, /* read error: exec.fail */
	GATE_KERNEL,	 /* the kernel could not open the file for the gate, and refused the start by itself */
	GATE_UNGATED,	 /* it came by no permission event (file system not marked, memory file): judged late */
	GATE_SWAPPED,	 /* another file ran than the one that was judged: judged late */
	GATE_ARGUMENT,	 /* script named on the command line of an interpreter: judged late */
	GATE_GONE,	 /* it ended before it could be judged late */
	GATE_DRIFT,	 /* it runs in a container in whose image it is not */
	GATE_LISTED,	 /* it is on the list of denied programs: refused, and killed where starts are only observed */
	GATE_LIBRARY_UNKNOWN, /* a library that is mapped to run, and nobody vouches for */
	GATE_REASON_COUNT
};
extern const char *const gate_reason_texts[GATE_REASON_COUNT];

enum gate_role {
	GATE_MAIN,	  /* the file that was asked for */
	GATE_INTERPRETER, /* the program a "#!" line names */
	GATE_LOADER,	  /* ld.so, or what else the kernel opened for the main file */
	GATE_SCRIPT,	  /* a file on the command line */
	GATE_LIBRARY,	  /* a file that it has mapped to run, besides its program; never denied or killed */
	GATE_ROLE_COUNT
};

/* All borrowed for the call. */
struct gate_verdict {
	int32_t pid;
	enum gate_role role;
	const char *path; /* as the kernel names it from here; NULL when unknown */
	int fd;		  /* the file, read only; -1 when there is none */
	uint64_t dev, ino, size;
	int64_t ctime;
	uint32_t uid, gid, mode;
	bool has_digest;
	uint8_t digest[EXEC_DIGEST_SIZE];
	enum exec_type type;
	enum exec_verdict verdict;
	enum gate_reason reason;
	enum trust_source source;
	const char *why; /* who vouches for it; "" when nobody */
	struct container
		*container; /* in which it runs, as told while it waited; NULL: the host, or too late to tell */
	bool leased;	    /* the file could not change from before it was read until the start was seen */
	bool cached;
	bool seen;	  /* the exec happened: its process is known to run the file */
	uint64_t exec_ns; /* when it was told to have, monotonic; 0: not known */
	uint64_t real_ns, boot_ns;
	uint64_t spent_ns; /* from reading the event to its answer */
};

enum gate_scripts { GATE_SCRIPTS_OFF, GATE_SCRIPTS_REPORT, GATE_SCRIPTS_ENFORCE };

struct gate_options {
	bool enforce;
	/*
	 * The marks stand for the whole host: what runs from anywhere else (memory files, file systems that are not
	 * marked) is judged late, and killed in enforce mode. Otherwise it is none of the gate's business.
	 */
	bool host;
	bool fail_closed;  /* what "exec.fail" means above: deny, in enforce mode */
	uint64_t deadline; /* ns; 0: 500 ms */
	uint64_t max_size; /* larger files are not read; 0: 256 MiB */
	enum gate_scripts scripts;
	bool libraries;		       /* gate_look_at_libraries may be asked */
	unsigned workers;	       /* 0: by the number of processors */
	size_t slots;		       /* starts in flight; 0: 4096, or what the limit of descriptors allows */
	const struct conf *conf;       /* policies of containers; reference taken. NULL: none */
	struct containers *containers; /* who is in a container; NULL: nobody asks */
	struct proc_table *procs;      /* asked for processes that are gone, and for execs not told yet; NULL: nobody */
	struct watchdog *watchdog;     /* gets a beat of the gate thread; may be NULL */
	/*
	 * A group that an earlier run opened, which becomes the gate's unless the call fails; 0: none. One that is not
	 * as it would be opened now is refused (-EMEDIUMTYPE). Starts that the earlier run had read but not answered
	 * are answered by fail_closed.
	 */
	int group;
	struct known *known; /* digests shared with others; NULL: none. Outlives the gate */
	/* On the thread "verdict", in no strict order. May block: what then finds no room is lost and counted. */
	void (*verdict)(const struct gate_verdict *v, void *data);
	void *data;
};

struct gate_stats {
	uint64_t events, allowed, unexpected, denied, killed, unjudged;
	uint64_t cached, hashed, bytes; /* answers from memory; files and bytes read */
	uint64_t writers, deadlines, full, kernel, swapped, late, scripts;
	uint64_t unleased;  /* file systems without leases: judged, but could change before it runs */
	uint64_t early;	    /* leases given back before the exec was seen, for want of room */
	uint64_t lost;	    /* results that nobody was told */
	uint64_t libraries; /* files that were mapped to run, and judged */
	uint64_t unlooked;  /* processes that were not looked at for them, for want of room */
	size_t in_flight, slots;
	uint64_t worst_ns; /* longest time to an answer */
};

struct gate;

/*
 * Opens the group and starts the threads; nothing is marked. trust is referenced. -EPERM without CAP_SYS_ADMIN, -ENOSYS
 * or -EINVAL when the kernel has no permission events; text in err. Ignores SIGIO for the whole process.
 */
int gate_start(const struct gate_options *o, struct trust *trust, struct gate **ret, struct buf *err);
/* Closes the group (the kernel lets go of every start that waits), hands the last results over, joins. */
void gate_stop(struct gate *g);

/*
 * The group's descriptor, for somebody who keeps a copy of it for the next run; gate_keep says that somebody does: then
 * gate_stop answers what it has read, and what comes later waits in the group.
 */
int gate_group(const struct gate *g);
void gate_keep(struct gate *g, bool kept);
/*
 * The file that stands at path is never held up: for what has to run before a gate that is kept is read again. Its
 * content may change behind our back then.
 */
int gate_exempt(struct gate *g, const char *path);

/*
 * Guards the file system that holds path; dev as mountinfo names it, 0: whatever it is. -EOPNOTSUPP for types that are
 * never gated (remote, FUSE, pseudo), -ENODEV when another one is mounted there by now, -ENOSPC when there are too
 * many.
 *
 * layers: it is there for the layers of containers alone. Who starts something from there in a container whose policy
 * asks for it is judged, and refused where that policy enforces; any other start is let go and never told. Whether a
 * file system is one or the other may change. Any thread.
 */
int gate_mark(struct gate *g, const char *path, uint64_t dev, bool layers);
/* dev is gated no more, whether or not it can still be reached by path. */
void gate_unmark(struct gate *g, const char *path, uint64_t dev);

/*
 * The mounts of the host as they are now, at each change, once the marks are set: containers' overlays are among them.
 * One thread at a time.
 */
void gate_set_mounts(struct gate *g, const struct mount_table *t);

/* Answers from memory are given up; starts already waiting may still be judged by the old snapshot. Any thread. */
void gate_set_trust(struct gate *g, struct trust *trust);
/* The same for the policies of containers; takes a reference. */
void gate_set_conf(struct gate *g, const struct conf *conf);

/*
 * The process connector's messages, on its thread and in its order, mono_ns the time of the exec (CLOCK_MONOTONIC;
 * 0: now), told what the programs saw, NULL: /proc is to be asked. They end leases early and start the look after the
 * exec; without them leases end after a second.
 */
void gate_exec_seen(struct gate *g, int32_t pid, uint64_t mono_ns, const struct bpf_proc_event *told);
void gate_exit_seen(struct gate *g, int32_t pid);

/*
 * What this process has mapped to run is looked at in a moment, and twice more in the seconds after; what nobody
 * vouches for is told with the role GATE_LIBRARY. named: it is also told (GATE_GONE, no path) when the process ended
 * before that. Any thread, no I/O.
 */
void gate_look_at_libraries(struct gate *g, int32_t pid, bool named);
/* The process has mapped a file there to run: what lies there is looked at in a moment. Any thread, no I/O. */
void gate_look_at_mapping(struct gate *g, int32_t pid, uint64_t address);
/* So many were mapped that nobody told of. */
void gate_look_lost(struct gate *g, uint64_t n);

void gate_get_stats(struct gate *g, struct gate_stats *ret);
/* "pre-content", "content": what the kernel gave, and whether a start can be refused with ETXTBSY. */
const char *gate_class(const struct gate *g, bool *ret_deny_errno);

DEFINE_CLEANUP(struct gate *, gate_stop)

#endif
