/* Trust from the store: digests of programs in signed baselines, and what people trust by hand. */
#ifndef EXEC_TRUST_STORE_H
#define EXEC_TRUST_STORE_H

#include "db/db.h"
#include "db/sign.h"
#include "exec/trust.h"
#include "lib/buf.h"

/*
 * Adds a set for each signed baseline whose signature and rows are good: its regular files with an execute bit, or all
 * regular files (scripts that interpreters read need none). A bad one is left out, with a line in warnings. 0, or the
 * negative errno of the first failure that is not a baseline's own.
 */
int trust_add_baselines(struct trust *t, struct db *d, const struct sign_key *pub, bool all_files,
			struct buf *warnings);

/*
 * Adds the entries of `holdfast trust` that are in force at `now`, if the store's newest seal covers them: else none,
 * with a line in warnings. trusts: also those that trust, not those alone that deny. *ret_next: when the first of them runs out (real ns), 0: none does.
 */
int trust_add_explicit(struct trust *t, struct db *d, const struct sign_key *pub, bool trusts, uint64_t now,
		       uint64_t *ret_next, struct buf *warnings);

#endif
