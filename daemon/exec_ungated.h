/*
 * Programs for which no permission event comes, killed before their first instruction (exec.ungated: kill): what the
 * BPF programs have to know of the gate, and what becomes of what they tell. Nothing here does anything where that is
 * not asked for.
 */
#ifndef DAEMON_EXEC_UNGATED_H
#define DAEMON_EXEC_UNGATED_H

#include "daemon/monitor.h"
#include "exec/trust.h"

/* When all that is gated is known. Where it cannot be done, that is a gap: they are judged late. */
void exec_ungated_start(struct monitor *m, struct trust *t);
void exec_ungated_stop(struct monitor *m);
/* Which container runtimes t vouches for. Any thread. */
void exec_ungated_callers(struct monitor *m, struct trust *t);
/* One that was killed, as an event; NULL: out of memory. */
struct event *exec_ungated_event(struct monitor *m, const struct bpf_proc_event *refused);

#endif
