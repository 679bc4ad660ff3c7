/* What the environment of the newest start of each process makes the loader do, until its verdict comes. */
#ifndef DAEMON_EXEC_ENVIRONMENT_H
#define DAEMON_EXEC_ENVIRONMENT_H

#include "exec/gate.h"
#include "lib/arena.h"
#include "watch/bpf.h"

struct exec_environment;

int exec_environment_new(struct exec_environment **ret);
void exec_environment_free(struct exec_environment *x);
/*
 * On the connector's thread, after an exec: reads it, unless told (may be NULL) says that there is nothing to read.
 * True when it names code for the loader.
 */
bool exec_environment_note(struct exec_environment *x, int32_t pid, const struct bpf_proc_event *told);
/*
 * On the thread "verdict": what is to be said of this start, in a; NULL: nothing of the kind is set. What was not read
 * in time is EVENT_ENVIRONMENT_UNKNOWN.
 */
const char *exec_environment_of(struct exec_environment *x, const struct gate_verdict *v, struct arena *a);

#endif
