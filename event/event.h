/*
 * struct event: the one form for everything that happens, as it is printed, stored and (later) judged by rules.
 * Counted, immutable after publication except where said; made by fim/ and daemon/, consumed by db/ and outputs.
 */
#ifndef EVENT_EVENT_H
#define EVENT_EVENT_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdint.h>

#include "event/action.h"
#include "event/attr.h"
#include "event/call.h"
#include "event/container.h"
#include "event/process.h"
#include "event/record.h"
#include "event/session.h"
#include "event/socket.h"
#include "lib/arena.h"
#include "lib/buf.h"

enum event_kind {
	EVENT_CHANGE,
	EVENT_OPEN,
	EVENT_EXEC,
	EVENT_ALERT,
	EVENT_ACTION,
	EVENT_GAP,
	EVENT_ACCEPT,
	EVENT_NOTE,
	EVENT_ACCESS, /* what a sensor told of a file or a system call, before anything was made of it: for rules alone,
			 never stored */
	EVENT_CONNECTION, /* what became of a socket (event/socket.h) */
	EVENT_SESSION,	  /* who came, went, became whom (event/session.h) */
	EVENT_KIND_COUNT
};

/* EVENT_CHANGE: what became of a file compared with what it was. */
enum change {
	CHANGE_ADDED,
	CHANGE_REMOVED,
	CHANGE_CHANGED,	   /* content (or target, device numbers) of the same file */
	CHANGE_REPLACED,   /* another file stands at the path: temporary file and rename, or remove and create */
	CHANGE_RENAMED,	   /* path -> path2, content the same */
	CHANGE_ATTRIBUTES, /* content the same, something else is not */
	CHANGE_REVERTED,   /* again as the baseline has it */
	CHANGE_TRANSIENT,  /* came and went before it could be compared; count says how many in that folder by that
			      process */
	CHANGE_COUNT
};

enum deviation_status { STATUS_OPEN, STATUS_ACCEPTED, STATUS_EXCUSED, STATUS_REVERTED, STATUS_COUNT };

/* EVENT_GAP: why something was not watched. */
enum gap_reason {
	GAP_DOWN,	    /* the monitor did not run */
	GAP_QUEUE_OVERFLOW, /* the kernel's event queue, or one of ours */
	GAP_PROC_LOST,	    /* proc connector messages lost */
	GAP_MARK_FAILED,    /* a file system could not be marked */
	GAP_FS_SKIPPED,	    /* remote or pseudo file system below a configured path */
	GAP_UNREADABLE,	    /* a file could not be read */
	GAP_LIMIT,	    /* a limit of ours or of inotify was reached */
	GAP_UNMOUNTED,	    /* a watched file system went away */
	GAP_STORE,	    /* history could not be written */
	GAP_NO_PATH,	    /* a configured path does not exist */
	GAP_CANARY,	    /* the end-to-end test of the event path failed */
	GAP_DEVICE_WRITTEN, /* somebody wrote to the block device under a watched file system */
	GAP_WEAK_SENSOR,    /* a stand-in sensor is in use: inotify instead of fanotify, no proc connector */
	GAP_REASON_COUNT
};

/* EVENT_EXEC: what became of a program start. */
enum exec_verdict {
	EXEC_UNJUDGED,	 /* it ran without a verdict; the reason says why there was none */
	EXEC_ALLOWED,	 /* a trust source vouches for it */
	EXEC_UNEXPECTED, /* none does; it ran because the gate only observes */
	EXEC_DENIED,	 /* it did not run */
	EXEC_KILLED,	 /* it ran, and was killed when that was seen */
	EXEC_VERDICT_COUNT
};

/* What kind of program it is, from its first bytes. */
enum exec_type {
	EXEC_TYPE_UNKNOWN, /* not read */
	EXEC_TYPE_STATIC,  /* ELF without interpreter */
	EXEC_TYPE_DYNAMIC, /* ELF that names its loader */
	EXEC_TYPE_SCRIPT,  /* "#!", or named on the command line of an interpreter */
	EXEC_TYPE_OTHER,
	EXEC_TYPE_LIBRARY, /* no program: what one has mapped to run beside itself */
	EXEC_TYPE_COUNT
};

/* EVENT_ALERT: how bad it is; words and order of syslog(3). */
enum priority {
	PRIORITY_EMERGENCY,
	PRIORITY_ALERT,
	PRIORITY_CRITICAL,
	PRIORITY_ERROR,
	PRIORITY_WARNING,
	PRIORITY_NOTICE,
	PRIORITY_INFORMATIONAL,
	PRIORITY_DEBUG,
	PRIORITY_COUNT
};

/* How a program came into a container that runs; numbers are stored. */
enum container_entry {
	ENTRY_NONE,
	ENTRY_RUNTIME,	  /* somebody outside had its runtime start it there: podman exec, kubectl exec */
	ENTRY_NAMESPACES, /* into its namespaces, and not into its cgroup: nsenter */
};

extern const char *const priority_names[PRIORITY_COUNT];
extern const char *const event_kind_names[EVENT_KIND_COUNT];
extern const char *const exec_verdict_names[EXEC_VERDICT_COUNT];
extern const char *const exec_type_names[EXEC_TYPE_COUNT];
extern const char *const change_names[CHANGE_COUNT];
extern const char *const status_names[STATUS_COUNT];
extern const char *const gap_reason_names[GAP_REASON_COUNT];

/* -EINVAL when unknown. */
int event_kind_by_name(const char *name, enum event_kind *ret);

struct event {
	atomic_uint refs;
	struct arena arena; /* owns the strings and records below */
	enum event_kind kind;
	uint64_t
		time; /* CLOCK_REALTIME ns: when it happened as far as known (kernel events carry no time: when read) */
	uint64_t boot_time; /* CLOCK_BOOTTIME ns */
	int64_t id;	   /* row in history; 0 before it is stored. Set by the db writer before outputs that want it */
	const char *path;  /* bytes; NULL when it has none */
	const char *path2; /* second path of a rename */
	/* The container whose file it is, or else in which it was done; counted; NULL: of the host, or unknown. */
	struct container *container;
	const char *host_path; /* path as the host has it, when path and path2 are paths in the container; NULL else */
	struct process *process; /* counted; NULL when unknown */
	const char *process_why; /* why process is unknown ("found by rescan", "inotify"), NULL otherwise */
	const char *baseline;	 /* name */
	int64_t baseline_id;

	/* EVENT_CHANGE */
	enum change change;
	enum deviation_status status;
	attr_mask attributes; /* which differ */
	bool has_before, has_after;
	struct record before, after; /* whole records, as far as known */
	/* What is there now, of a file whose content is kept (fim/differ.h); text is what became of it. NULL: not kept.
	 */
	const char *content;
	size_t content_len;
	const char *cause; /* why it may be fine, or how it was found: "rescan after queue overflow" */
	uint64_t count;	   /* CHANGE_TRANSIENT and merged opens: how many; else 1 */

	/* EVENT_GAP: one row each in gaps, opened first and closed (same gap_key) later */
	enum gap_reason gap_reason;
	const char *gap_scope; /* path or sensor */
	const char *gap_detail;
	uint64_t gap_from, gap_to; /* real ns; gap_to 0 while open */
	uint64_t gap_lost;	   /* events, files: as the reason says; 0 unknown */
	const char *gap_healed;	   /* what closed it: "rescan: 3 changes found" */
	uint64_t gap_key;	   /* names the gap within this run of the daemon */

	/*
	 * EVENT_EXEC: path is the file that was judged, `after` what is known of it (digest, size, mime...), process
	 * the one that ran it, cause the source that vouches for it ("baseline host"), reason why the verdict is what
	 * it is, text what its environment makes the loader do ("LD_PRELOAD=..."; EVENT_ENVIRONMENT_UNKNOWN).
	 */
	enum exec_verdict verdict;
	enum exec_type exec_type;
	uint64_t exec_ns;	    /* how long the verdict took; 0 unknown */
	enum container_entry entry; /* into event.container */

	/*
	 * EVENT_ALERT: reason is the rule's name, text its output; path, path2 and process are those of what it was
	 * raised for, ref the row of that (0: none was stored), count how often in a row.
	 */
	enum priority priority;
	bool repeated;	     /* like one that was told a moment ago: it is in history, outputs got it summed up */
	const char *details; /* JSON in ASCII: an object of uuid, source, tags, output_fields, condition_fields; NULL:
				none */
	struct event *about; /* what it was raised for; counted; history sets ref from its id. NULL when read back */

	/*
	 * EVENT_ACTION: what was done to path or process; reason is the rule, cause the ladder, text more about it,
	 * user who asked for it, ref and about the row of the alert that it answers.
	 */
	enum action_kind action;
	enum action_result result;
	uint64_t response; /* number of the ladder at work, and of its quarantine entry; 0: none */

	const struct event_call
		*call; /* EVENT_ACCESS, EVENT_CONNECTION: the system call it is; NULL: it is of a file */
	const struct event_socket *socket; /* of that call; NULL: it is about none, or the event was read back */

	/* EVENT_CONNECTION: what was done (SOCKET_*), text is both ends, details JSON as socket_json makes it. */
	enum socket_op socket_op;

	/*
	 * EVENT_SESSION: what was done; text the same for people, details JSON as session_json makes it, user who did
	 * it (by, else account).
	 */
	enum session_op session_op;
	bool session_failed;
	const struct event_session *session;

	/* EVENT_OPEN: path, process, count. EVENT_ACCEPT: path, reason, user. EVENT_NOTE: text. */
	const char *reason;
	const char *user;
	const char *text;
	int64_t ref;	/* EVENT_ACCEPT: newest row it speaks of, 0: all before it. EVENT_GAP that closes: the row it
			   opened with */
	uint64_t until; /* EVENT_ACCEPT: real ns; 0: for good */
};

/* EVENT_EXEC: the reason of a program that is not in the image of its container. */
#define EVENT_REASON_DRIFT "not in the image of its container"

/* EVENT_EXEC: its environment was not read. */
#define EVENT_ENVIRONMENT_UNKNOWN "unknown"

struct event *event_new(enum event_kind kind);
struct event *event_ref(struct event *e);
void event_unref(struct event *e);
static inline void event_unrefp(struct event **e)
{
	if (*e)
		event_unref(*e);
}
#define _cleanup_event_ _cleanup_(event_unrefp)

/*
 * The object of --json with its stable keys; a path that is not UTF-8 is shown escaped, with "path_raw" (hex). before
 * and after hold the attributes that differ, or everything when there is but one side. New reference; print it with
 * json_line (event/json.h).
 */
json_t *event_json(const struct event *e);

/*
 * One readable line without a newline: "12:00:00.123 changed  /etc/passwd  digest,size,mtime  by vim (pid 12, alice as
 * root)". Nothing raw from file names. colour: ANSI by kind.
 */
void event_line(struct buf *b, const struct event *e, bool colour);

#endif
