/*
 * The head file: one line of text outside the database with the newest batch of the chain, so that an older copy of the
 * database does not pass for the current one. "holdfast-head 1 SEQ DIGEST SIGNATURE TIME".
 *
 * Order: the batch is committed first, then the head file is rewritten. A kill between the two leaves it one batch
 * behind, never more: before the next batch is sealed the head file has to name the one before it. So a head file is
 * good when it names the newest batch, or the one before it, and a database that is behind its head file is not the one
 * that was there.
 */
#ifndef DB_HEAD_H
#define DB_HEAD_H

#include "db/store.h"

struct head {
	int64_t seq;
	uint8_t digest[DB_HASH_SIZE];
	uint8_t signature[SIGN_SIZE];
};

/* -ENOENT when there is none, -EBADMSG when it is not one. */
int head_read(const char *path, struct head *ret);
/*
 * Moves the head file forward to b (never back; two writers may come in any order). sync: survive power loss. Under a
 * lock on its folder.
 */
int head_write(const char *path, const struct batch *b, bool sync);

#endif
