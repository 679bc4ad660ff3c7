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

#endif
