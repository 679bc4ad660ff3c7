/* The clocks. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

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

/*
 * Waiting until then: the world's clock is set back and forth, and nothing may wait for it. Conditions that somebody waits
 * for with a deadline are made by clock_cond_init; the deadline is clock_timespec(clock_mono_ns() + for how long).
 */
void clock_cond_init(pthread_cond_t *cond);
struct timespec clock_timespec(uint64_t mono_ns);

#endif
