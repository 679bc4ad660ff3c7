/* Whether a machine that refuses what nobody vouches for could still be entered. */
#ifndef DAEMON_EXEC_ESSENTIAL_H
#define DAEMON_EXEC_ESSENTIAL_H

#include "daemon/monitor.h"
#include "exec/trust.h"

/*
 * 0, or a sysexits value, having said which programs needed to log in and to stop the monitor would be refused (those
 * on file systems that are gated; with --force it is only said).
 */
int exec_check_essential(struct monitor *m, struct trust *t);
/*
 * Paths of those on the file system dev (0: on any that is gated) that would be refused, one after the other; empty:
 * none. Reads them. 0, or a negative errno.
 */
int exec_essential_refused(struct monitor *m, struct trust *t, uint64_t dev, struct buf *refused);

#endif
