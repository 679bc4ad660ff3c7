/*
 * Content of small configuration files, so that a later change of one can be shown line by line. Kept by the digest of
 * the content: what does not hash to its digest is not taken, whoever wrote it there. What may be kept is decided
 * elsewhere (fim/differ.h).
 */
#ifndef DB_TEXTS_H
#define DB_TEXTS_H

#include "db/db.h"
#include "lib/digest.h"

#define TEXTS_SIZE_MAX	65536	   /* bytes of one */
#define TEXTS_TOTAL_MAX (16 << 20) /* bytes of all: beyond that those go that were seen longest ago */

/* Inside a transaction. Nothing happens when it is there already, but that it was seen. */
int texts_put(struct db *d, const uint8_t *digest, size_t digest_len, const void *data, size_t size, uint64_t now);
/* Inside a transaction, after some were put: keeps to the bound. How many went, or a negative errno. */
int texts_trim(struct db *d);
/* How many went since this was asked. */
uint64_t texts_trimmed(struct db *d);
/* -ENOENT: none of that digest, or not what it says. */
int texts_get(struct db *d, enum digest_algo algo, const uint8_t *digest, struct buf *ret);

#endif
