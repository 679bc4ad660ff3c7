/* Libraries that are loaded at whatever time (exec.libraries: all): what is mapped to run goes to the gate. */
#ifndef DAEMON_EXEC_MAPPED_H
#define DAEMON_EXEC_MAPPED_H

#include "daemon/monitor.h"
#include "exec/gate.h"

struct exec_mapped;

/* Where the kernel does not tell of them that is a gap. NULL: nobody asks for them, or that. */
struct exec_mapped *exec_mapped_start(struct monitor *m, struct gate *g);
/* Before the gate stops. NULL is fine. */
void exec_mapped_stop(struct exec_mapped *x);

/* Of the session that is looked at. A process that is gone is nobody's to end. Any thread. */
bool exec_concerns(const struct monitor *m, int32_t pid);

#endif
