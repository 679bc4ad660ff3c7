/*
 * Young files. No state; any thread.
 */
#include "fim/quiet.h"

#include <time.h>
#include <unistd.h>

#include "lib/util.h"

#define QUIET_RECENT (10 * (int64_t)NSEC_PER_SEC) /* longer than one write(2) is expected to take */
#define QUIET_TICK   (20 * NSEC_PER_MSEC)	  /* longer than one tick of any kernel's clock for time stamps */

void quiet_nap(uint64_t ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}

/* Time stamps are taken from this clock. */
static int64_t quiet_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return (int64_t)now.tv_sec * (int64_t)NSEC_PER_SEC + now.tv_nsec;
}

void quiet_wait(int fd, const struct record *rec)
{
	int64_t ahead = rec->ctime - quiet_now();

	if (ahead < -QUIET_RECENT)
		return;
	/* Far ahead: the clock was set back, and waiting would not help. */
	for (uint64_t waited = 0; ahead >= 0 && ahead < (int64_t)QUIET_TICK && waited < QUIET_TICK;) {
		quiet_nap(NSEC_PER_MSEC);
		waited += NSEC_PER_MSEC;
		ahead = rec->ctime - quiet_now();
	}
	lseek(fd, 0, SEEK_DATA); /* for its lock; where it ends does not matter, all reads are by pread */
}
