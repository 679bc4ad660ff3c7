/*
 * Why a change that a package manager (or a script of a package) made may be fine: the bytes that stand there are those
 * that the package's own digests name. Pure: what packages say before and after the transaction is in the input.
 */
#ifndef PKG_EXPLAIN_H
#define PKG_EXPLAIN_H

#include "event/event.h"
#include "pkg/manager.h"
#include "pkg/packages.h"

#define EXPLAIN_BEFORE 3

struct explain_input {
	const struct packages *after;
	const struct packages *before[EXPLAIN_BEFORE]; /* what packages said earlier; NULL: not known */
	const struct package_manager *manager;
	bool itself;	    /* all of it was done by the manager, nothing by what it started */
	const char *script; /* "postinst of foo"; NULL: none, or not known */
	uint64_t since;	    /* real ns: when the manager was first seen */
	enum change change;
	attr_mask attributes; /* which differ */
	const char *path, *path2;
	const struct record *was, *is; /* NULL: not there */
	const uint8_t *digest;	       /* of what stands there, by the package's algorithm; NULL: not read */
	size_t digest_len;
};

/* True: excused. Either way ret_cause gets the words for it. */
bool explain_change(const struct explain_input *in, struct buf *ret_cause);

#endif
