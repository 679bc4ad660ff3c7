/* The clocks. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdint.h>

/* CLOCK_REALTIME, nanoseconds since 1970. */
uint64_t clock_real_ns(void);
/* CLOCK_BOOTTIME, nanoseconds since boot, suspend included. */
uint64_t clock_boot_ns(void);
/* CLOCK_MONOTONIC, for deadlines. */
uint64_t clock_mono_ns(void);
/*
 * What CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC: the time spent suspended. *offset (0 at first) is kept as it is
 * unless it changed by more than what lies between two readings, so that times converted with it stay in order.
 */
void clock_update_boot_offset(uint64_t *offset);

#endif
