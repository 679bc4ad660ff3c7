/*
 * Where the watchdog lives: not in the cgroups by which its daemon can be frozen, or a freeze would stop both, and
 * every start on the machine would wait. All of it is prepared in the child's first moments; later it writes only.
 */
#ifndef EXEC_WATCHDOG_CGROUP_H
#define EXEC_WATCHDOG_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#define WATCHDOG_CGROUP_FDS 3

struct watchdog_cgroups {
	/*
	 * Each -1 where there is none: cgroup.procs at the root of the freezer hierarchy (v1), cgroup.freeze and
	 * cgroup.procs of the daemon's cgroup (v2).
	 */
	int fd[WATCHDOG_CGROUP_FDS];
	pid_t daemon;
};

/* Moves the caller to the roots. False when it is left in a cgroup by which both can be frozen. May allocate. */
bool watchdog_leave(pid_t daemon, struct watchdog_cgroups *ret);
/*
 * The daemon, which has a SIGKILL waiting, is let go to die of it: a freezer of the first kind holds the dead, too. The
 * cgroup of the second is thawed as well, for what comes after it.
 */
void watchdog_thaw(const struct watchdog_cgroups *c);
/* Moves the caller to the daemon's cgroup of the second kind, by which a service manager knows whose it is. */
void watchdog_return(const struct watchdog_cgroups *c);

#endif
