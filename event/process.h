/*
 * What is known of one process image: an immutable, counted snapshot. A new one is made at each fork, exec and change
 * of ids, so that an event keeps the process as it was at that moment. Made by proc/ only.
 */
#ifndef EVENT_PROCESS_H
#define EVENT_PROCESS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/user.h"
#include "lib/cleanup.h"

/* Which members are known. Unknown is never shown as 0 or "". */
enum process_known {
	PROCESS_START = 1 << 0,
	PROCESS_PPID = 1 << 1,
	PROCESS_EXE = 1 << 2,
	PROCESS_CMDLINE = 1 << 3,
	PROCESS_CWD = 1 << 4,
	PROCESS_IDS = 1 << 5,	   /* uid gid euid egid */
	PROCESS_LOGINUID = 1 << 6, /* set: never 0xffffffff */
	PROCESS_SESSION = 1 << 7,  /* audit session id, set */
	PROCESS_SID = 1 << 8,
	PROCESS_TTY = 1 << 9, /* has one */
	PROCESS_CGROUP = 1 << 10,
	PROCESS_COMM = 1 << 11,
	PROCESS_NO_LOGINUID = 1 << 12, /* known to have none (daemon), as opposed to not known */
	PROCESS_NO_TTY = 1 << 13,
	PROCESS_NAMESPACES = 1 << 14, /* mnt_ns pid_ns */
	PROCESS_STANDING = 1 << 15,   /* cap_* vpid vpgid */
};

#define PROCESS_ARGV_MAX  4096 /* bytes of argv kept; cmdline_cut says that there was more */
#define PROCESS_DEPTH_MAX 32   /* ancestors kept */

struct process {
	atomic_uint refs;
	uint32_t known; /* enum process_known */
	int32_t pid;	/* thread group id in the daemon's pid namespace */
	int32_t ppid;
	uint64_t start_ns;   /* since boot; with pid it names the process for good */
	uint32_t exec_count; /* images since the fork: pid + start + this name the image */
	uint32_t uid, gid, euid, egid;
	uint32_t loginuid;
	uint32_t session;
	uint32_t mnt_ns, pid_ns; /* inodes of the namespaces that it was in at its last exec */
	/* Of its last fork, exec or change of ids; capset and setpgid, which nobody tells of, may have changed them. */
	uint64_t cap_inheritable, cap_permitted, cap_effective;
	int32_t vpid, vpgid; /* in the innermost pid namespace */
	int32_t sid;
	uint32_t depth; /* ancestors reachable through parent */
	bool cmdline_cut;
	char comm[16];
	const char *exe;     /* host path, bytes */
	const char *cmdline; /* argv, each with its NUL */
	uint32_t cmdline_len;
	const char *cwd;
	const char *tty;	/* "pts/0" */
	const char *cgroup;	/* path in the (unified, else name=systemd) hierarchy */
	struct process *parent; /* counted; NULL when unknown or cut */
	_Atomic int64_t row;	/* db writer's: id of its row, 0 before it is stored */
};

struct process *process_ref(struct process *p);
void process_unref(struct process *p);
static inline void process_unrefp(struct process **p)
{
	if (*p)
		process_unref(*p);
}
#define _cleanup_process_ _cleanup_(process_unrefp)

/* "vim": last part of exe, else comm; NULL when neither is known. Borrowed, raw bytes. */
const char *process_name(const struct process *p);

/* Makes a snapshot that owns copies of all strings and a reference on parent; refs is 1. NULL: out of memory. */
struct process *process_new(const struct process *values);

/* The "process" object of event_json: absent keys for what is not known, "loginuid" absent unless known. New reference.
 */
json_t *process_json(const struct process *p);

#endif
