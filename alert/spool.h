/*
 * What an output still has to deliver, in order: a file beside the database, or one in memory. A record is there before
 * it is sent for the first time and goes away when it was delivered, so that a kill at any moment costs nothing but a
 * second delivery. Bounded: what finds no room is refused. One thread.
 */
#ifndef ALERT_SPOOL_H
#define ALERT_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"

#define SPOOL_RECORD_MAX (1u << 20)

struct spool;

/*
 * Opens, or makes, the file (its folder has to be there). path NULL: in memory. max: bytes. What a power loss left
 * unfinished is cut off; a file that is none of ours is set aside as path.bad. Negative errno.
 */
int spool_open(const char *path, uint64_t max, struct spool **ret);
void spool_close(struct spool *s);
/* -ENOSPC: no room; -EMSGSIZE; another negative errno. */
int spool_append(struct spool *s, const void *data, size_t len);
uint64_t spool_pending(const struct spool *s);
/*
 * Up to max records from the first on, together at most max_bytes (but always one), each with its length in front
 * (buf_bytes). *ret_n: how many; 0: none are left. -EBADMSG: a record is damaged; it and all behind it were dropped.
 */
int spool_peek(struct spool *s, size_t max, size_t max_bytes, struct buf *ret, size_t *ret_n);
/* The first n were delivered. */
int spool_done(struct spool *s, size_t n);

DEFINE_CLEANUP(struct spool *, spool_close)

#endif
