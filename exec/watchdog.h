/*
 * The watchdog: a tiny process that kills the daemon when it stalls, so that the kernel lets go of the program starts
 * that wait for it. Forked before any fanotify_init (a copy of the group's descriptor would keep the group alive after
 * the daemon's death, and every exec hanging) and before any thread.
 */
#ifndef EXEC_WATCHDOG_H
#define EXEC_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/cleanup.h"

enum watchdog_beat { WATCHDOG_MAIN, WATCHDOG_GATE, WATCHDOG_BEATS };

struct watchdog;

/* stall_ns: SIGKILL when a beat that has begun does not come again within it. */
int watchdog_start(uint64_t stall_ns, struct watchdog **ret);
/* Any thread, no lock, no system call. The first beat begins the watch over that one. NULL does nothing. */
void watchdog_beat(struct watchdog *w, enum watchdog_beat which);
/* This beat is not waited for any more (its thread ends in good order). */
void watchdog_end(struct watchdog *w, enum watchdog_beat which);
/* False when somebody ended the watchdog. */
bool watchdog_alive(const struct watchdog *w);
pid_t watchdog_pid(const struct watchdog *w);
/* Ends the process and waits for it. */
void watchdog_stop(struct watchdog *w);

DEFINE_CLEANUP(struct watchdog *, watchdog_stop)

#endif
