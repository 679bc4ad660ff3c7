/* The trust that a configuration asks for, from the store and the host's package databases. */
#ifndef EXEC_TRUST_LOAD_H
#define EXEC_TRUST_LOAD_H

#include "conf/conf.h"
#include "db/db.h"
#include "exec/trust.h"

struct trust_loaded {
	struct trust *trust;	   /* sealed; a reference */
	struct packages *packages; /* a reference; NULL unless exec.trust names dpkg */
	uint64_t expires;	   /* real ns: an entry runs out then; 0: none does */
};

/* exec.trust names this source. */
bool trust_asks(const struct conf *c, enum conf_exec_trust source);
/*
 * Loads all that exec.trust names; what of the store vouches for nothing is said in warnings. over (may be NULL): true
 * when the answer is of no interest any more: then what is loaded may be incomplete. Reads the whole store and package
 * database: seconds on large hosts.
 */
int trust_load(const struct conf *c, const struct conf *policies, const struct db_options *db,
	       struct packages_store *packages, bool (*over)(void), struct trust_loaded *ret, struct buf *warnings);
/* Only the package databases anew; the rest is shared with old. */
int trust_load_packages(const struct trust_loaded *old, struct packages_store *packages, struct trust_loaded *ret,
			struct buf *warnings);
/* Only what was added by hand, trusted or denied, anew; the rest is shared with old. */
int trust_load_list(const struct conf *c, const struct db_options *db, const struct trust_loaded *old,
		    struct trust_loaded *ret, struct buf *warnings);
void trust_loaded_free(struct trust_loaded *l);

#endif
