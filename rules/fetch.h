/*
 * What rules ask for beyond the event, read when they ask: environment, capabilities and namespace ids from /proc, the
 * package of a file from a snapshot. A process is read only while it is the one the event names (pid and start time);
 * what cannot be read has no value.
 */
#ifndef RULES_FETCH_H
#define RULES_FETCH_H

#include "event/field.h"
#include "pkg/packages.h"

#define FETCH_ENVIRON_MAX (128 * 1024) /* bytes kept of an environment */

struct rules_fetch {
	int proc;		   /* directory, of /proc or a tree like it; borrowed */
	struct packages *packages; /* borrowed; NULL: packages are not asked */
	char environ[FETCH_ENVIRON_MAX];
	uint64_t reads, gone; /* gone: the process was another one or none by then */
};

/* v->fetch, with v->fetch_data a struct rules_fetch of the same thread. */
void rules_fetch(struct field_view *v, enum field_group group);

#endif
