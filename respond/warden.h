/*
 * The warden: a small process that thaws what the monitor froze when the monitor is gone, killed or not, or when the
 * time for it is over and the monitor did not. It is told before anything is frozen and holds descriptors, no names: of
 * the file that thaws a cgroup, or a pidfd. Forked before there are threads; never execs, opens or allocates.
 */
#ifndef RESPOND_WARDEN_H
#define RESPOND_WARDEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define WARDEN_SLOTS 64 /* frozen at one time */

enum warden_kind {
	WARDEN_UNIFIED, /* "0" is written to the descriptor */
	WARDEN_LEGACY,	/* "THAWED" is */
	WARDEN_PROCESS, /* SIGCONT through the pidfd */
};

struct warden;

int warden_start(struct warden **ret);
/* Thaws what is still held, and ends it. */
void warden_stop(struct warden *w);
/*
 * Holds a copy of fd until warden_release(slot), the end of this process, or timeout_ns from now. 0 when the warden has
 * it; -EBUSY: no slot is free; -EPIPE: the warden is gone.
 */
int warden_hold(struct warden *w, enum warden_kind kind, int fd, uint64_t timeout_ns, unsigned *ret_slot);
/* The caller has thawed it. */
void warden_release(struct warden *w, unsigned slot);

#endif
