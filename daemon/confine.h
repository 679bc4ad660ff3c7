/*
 * What the monitor gives up before it begins: capabilities that it has no use for, privileges by execve, and system
 * calls that none of its work makes. All processes and threads that come of it are bound likewise: watchdog, commands
 * of responses. Landlock is no help here: a process under it may not look into others' /proc, and may not mount.
 */
#ifndef DAEMON_CONFINE_H
#define DAEMON_CONFINE_H

#include <jansson.h>
#include <stddef.h>

#include "lib/buf.h"

struct confine_cap {
	unsigned cap; /* CAP_* of linux/capability.h */
	const char *name;
};
/* What is kept, of what there is. The unit's CapabilityBoundingSet names the same and CAP_SETPCAP, which takes the rest
 * away. */
extern const struct confine_cap confine_caps[];
extern const size_t confine_caps_count;

/*
 * Before any thread is started. Never fails: what could not be given up is said in the log, and the monitor runs as it
 * would have.
 */
void confine(void);
/* {"no_new_privileges":true,"capabilities":["sys_admin",...],"seccomp":true}: asked of the kernel. New reference. */
json_t *confine_status(void);

/* confine_seccomp.c, confine_seccomp-none.c: 0; -EOPNOTSUPP: built without libseccomp; else err says why. */
int confine_seccomp(struct buf *err);
/*
 * The same two for a role: allowed NULL: a list of what is refused, on top of the monitor's; else all but these n calls
 * are. Refused with EPERM. ready: before files are out of reach.
 */
void confine_role_seccomp_ready(void);
int confine_role_seccomp(const char *const *allowed, size_t n);

#endif
