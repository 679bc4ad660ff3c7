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

struct watchdog_options {
	uint64_t stall; /* ns: SIGKILL when a beat that has begun does not come again within it */
	/*
	 * A service manager keeps the group for the next run (watchdog_hold): this is sent to it, so that nobody waits
	 * for ever, before the daemon is killed, or when the daemon has been gone for `stall`. NULL: none does.
	 */
	const char *release;
	int notify; /* connected to the manager; the caller's */
};

int watchdog_start(const struct watchdog_options *o, struct watchdog **ret);
/* Whether a manager keeps the group now. NULL does nothing. */
void watchdog_hold(struct watchdog *w, bool held);
/* Any thread, no lock, no system call. The first beat begins the watch over that one. NULL does nothing. */
void watchdog_beat(struct watchdog *w, enum watchdog_beat which);
/* This beat is not waited for any more (its thread ends in good order). */
void watchdog_end(struct watchdog *w, enum watchdog_beat which);
/* False when somebody ended the watchdog. */
bool watchdog_alive(const struct watchdog *w);
/* False when whoever freezes the daemon's cgroup freezes the watchdog too. */
bool watchdog_apart(const struct watchdog *w);
/* Ends the process and waits for it; where a manager keeps the group, it ends by itself after `stall`. */
void watchdog_stop(struct watchdog *w);

DEFINE_CLEANUP(struct watchdog *, watchdog_stop)

#endif
