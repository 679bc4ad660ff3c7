/* The clocks, as nanosecond counts. No state; any thread. */
#include "lib/clock.h"

#include <time.h>

#include "lib/util.h"

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t clock_real_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t clock_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

uint64_t clock_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void clock_update_boot_offset(uint64_t *offset)
{
	uint64_t before = clock_mono_ns(), now = clock_boot_ns() - before, took = clock_mono_ns() - before;

	/* A pair of readings that was interrupted is no measure. */
	if (took < 10000 && now - *offset + NSEC_PER_MSEC > 2 * NSEC_PER_MSEC)
		*offset = now;
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct timespec clock_timespec(uint64_t mono_ns)
{
	return (struct timespec){ (time_t)(mono_ns / NSEC_PER_SEC), (long)(mono_ns % NSEC_PER_SEC) };
}
