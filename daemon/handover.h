/*
 * The gate's group from one run of the monitor to the next: the service manager keeps a copy of the descriptor, so that
 * starts wait in the group while no monitor runs, instead of going through. That must never last: the stored copy is
 * taken out of the store as soon as a new monitor has it, it lets go of all who wait when the gate is not up within
 * exec.stall, and the watchdog has the manager drop it before it kills, or when no new monitor has come by then.
 */
#ifndef DAEMON_HANDOVER_H
#define DAEMON_HANDOVER_H

#include "daemon/monitor.h"

struct handover;

/* The group of the run before, now the caller's; -1: none (any more). */
int handover_take(struct monitor *m);
/* The manager keeps a copy of this group from now on. False: there is no manager that would. */
bool handover_store(struct monitor *m, int group);
/* It does not any more. */
void handover_remove(struct monitor *m);
/* The message by which the manager drops it, and where to send it; NULL: there is no manager. */
const char *handover_release(struct monitor *m, int *ret_notify);

#endif
