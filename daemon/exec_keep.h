/*
 * That the gate's group outlives a run: the service manager keeps a copy of it (handover.h), and what has to run before
 * the next monitor reads it, this program, its loader and the manager's own helper, is never held up by it.
 */
#ifndef DAEMON_EXEC_KEEP_H
#define DAEMON_EXEC_KEEP_H

#include "daemon/exec_trust.h"
#include "exec/gate.h"

struct exec_keep;

/* NULL in *ret where there is no manager. */
int exec_keep_new(struct monitor *m, struct gate *g, struct exec_trust *trust, struct exec_keep **ret);
/*
 * Once in a while: a program that was replaced (an upgrade) is exempt too when some source vouches for it; else the
 * group is not kept, for the next start would wait for itself.
 */
void exec_keep_look(struct exec_keep *k);
void exec_keep_free(struct exec_keep *k);

#endif
