/*
 * Programs that people trust by hand: digests and paths, each with who, why, when and until when; and programs that are
 * denied, by people or by a response, whoever else vouches for them. A row stays when its
 * entry is removed, with who removed it and why. The whole table is covered by the seal of the newest batch of history
 * (as the baselines are): an entry that something else than holdfast added, changed or brought back is found by
 * history_check_head.
 */
#ifndef DB_TRUSTED_H
#define DB_TRUSTED_H

#include "db/db.h"

#define TRUSTED_DIGEST_SIZE 32	   /* SHA-256 */
#define TRUSTED_MAX	    100000 /* entries in force that trust */
#define TRUSTED_DENIED_MAX  10000  /* entries in force that deny: what fills these leaves room for the others */
#define TRUSTED_KEPT_MAX    10000  /* removed or run out, and still shown: the oldest go */

enum trusted_kind { TRUSTED_DIGEST, TRUSTED_PATH, TRUSTED_DENIED };

struct trusted {
	int64_t id;
	enum trusted_kind kind;
	const uint8_t *digest; /* not of TRUSTED_PATH */
	const char *path;      /* TRUSTED_PATH: absolute path or glob. Others: where it stood, or NULL */
	const char *reason, *added_by;
	uint64_t added, until; /* real ns; until 0: for good */
	uint64_t removed;      /* 0: not */
	const char *removed_by, *removed_reason;
};

static inline bool trusted_in_force(const struct trusted *t, uint64_t now)
{
	return !t->removed && (!t->until || t->until > now);
}

/*
 * Inside a write transaction with a key set (history_set_key). Takes id out of `t`; 1 when the same entry is in force
 * already with the same end. -E2BIG beyond the bounds above, -EBADMSG when the table was changed by something else.
 */
int trusted_add(struct db *d, const struct trusted *t, int64_t *ret_id);
/* The same; -ENOENT when there is no such entry in force. */
int trusted_remove(struct db *d, int64_t id, const char *by, const char *reason, uint64_t now);

/*
 * Rows in order of id, oldest first; all: also what is not in force at `now`. Strings live for the call. fn non-zero
 * ends with it. -EBADMSG for a row that cannot be one of ours.
 */
int trusted_each(struct db *d, bool all, uint64_t now, int (*fn)(const struct trusted *t, void *data), void *data);

#endif
