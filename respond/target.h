/*
 * A process that is acted upon: held by a pidfd and a descriptor of its /proc folder, both checked against the start
 * time that names it, so that nothing meant for it ever reaches the next owner of its pid. Any thread; no state.
 */
#ifndef RESPOND_TARGET_H
#define RESPOND_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/cleanup.h"
#include "proc/parse.h"

struct target {
	int32_t pid;
	uint64_t start_ns; /* since boot, as in struct process */
	int pidfd;
	int dirfd; /* /proc/PID, O_PATH */
};

#define TARGET_INIT                                                                                                    \
	{                                                                                                              \
		0, 0, -1, -1                                                                                           \
	}

/*
 * procfd: /proc. start_ns 0: whoever has the pid now (a member of a cgroup, whose membership the caller checks through
 * dirfd). -ESRCH: gone, or the pid is another process's by now; -EINVAL: no such pid can be.
 */
int target_open(int procfd, int32_t pid, uint64_t start_ns, struct target *ret);
void target_close(struct target *t);
/* pidfd_send_signal; -ESRCH when it has ended. */
int target_signal(const struct target *t, int signo);
/* Waits for its end: 0, -ETIMEDOUT. timeout_ns 0: a look. */
int target_wait(const struct target *t, uint64_t timeout_ns);
/* /proc/PID/stat and parent, as of now. -ESRCH when gone. */
int target_stat(const struct target *t, struct proc_stat *ret);
/* Appends at most max bytes of a file of /proc/PID; *ret_cut (may be NULL): there were more. */
int target_read(const struct target *t, const char *name, size_t max, struct buf *b, bool *ret_cut);

#define _cleanup_target_ _cleanup_(target_close)

#endif
