/*
 * Approvals: changes that somebody announced, within a pattern of paths, optionally to one digest, from when it was
 * recorded until a time (or until it is revoked). An approval is a row of history (a note with an end), its revocation
 * another that refers to it: chained and signed like all of history, never changed, kept by pruning as long as it is in
 * force.
 */
#ifndef DB_APPROVALS_H
#define DB_APPROVALS_H

#include "db/db.h"
#include "event/process.h"
#include "lib/buf.h"
#include "lib/digest.h"

#define APPROVALS_MAX 1000 /* in force at once */

struct approval {
	int64_t id;
	const char *path; /* absolute path (with all below it) or glob */
	uint8_t digest[DIGEST_MAX];
	size_t digest_len;     /* 0: any content, also none */
	uint64_t since, until; /* real ns */
	const char *user, *reason;
	uint64_t revoked; /* real ns; 0: not */
	const char *revoked_by, *revoked_reason;
};

/* In a write transaction with a key set: takes path to reason (but since: now) and who records it (may be NULL). -E2BIG
 * when there are too many in force. */
int approval_add(struct db *d, const struct approval *a, struct process *process, int64_t *ret_id);
/* The same; -ENOENT when there is none of this number in force. */
int approval_revoke(struct db *d, int64_t id, const char *user, const char *reason, struct process *process);
/* Oldest first; all: also what is not in force any more. Strings live for the call. fn non-zero ends with it. */
int approvals_each(struct db *d, bool all, uint64_t now, int (*fn)(const struct approval *a, void *data), void *data);

/*
 * True when a covers a change of path at that time (real ns). digest: of what stands there now, NULL when nothing does
 * or it was not read.
 */
bool approval_covers(const struct approval *a, const char *path, uint64_t time, const uint8_t *digest, size_t len);
/* "approval 3 by bob until 2026-01-31 12:00:00: a ticket" */
void approval_cause(const struct approval *a, struct buf *b);

#endif
