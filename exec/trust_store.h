/* Trust from the store: digests of programs in signed baselines. */
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

#endif
