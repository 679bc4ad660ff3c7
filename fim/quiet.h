/*
 * Makes ctime tell the truth about young files.
 */
#ifndef FIM_QUIET_H
#define FIM_QUIET_H

#include "event/record.h"

/*
 * For the open file that rec was taken of, before it is read: after this, any write(2) that changes what is read moves
 * ctime away from rec's. Costs nothing for a file that was not changed within the last seconds. Two things stand
 * against it:
 *
 * write(2) moves ctime first and the data after. While one is under way a reader would see the new time and a mixture
 * of contents, and nothing would move any more. A seek for data waits for the inode's lock, which a write holds (ext4,
 * btrfs, tmpfs; XFS takes it for reads, too).
 *
 * Before Linux 6.13 (and on file systems without multigrain times later) a time stamp is as coarse as the clock's tick:
 * a second write within the tick of the first leaves ctime as it is. So the tick has to be over.
 *
 * Stores through a shared mapping whose pages are dirty already move no time at all: they are not seen.
 */
void quiet_wait(int fd, const struct record *rec);

void quiet_nap(uint64_t ns);

#endif
