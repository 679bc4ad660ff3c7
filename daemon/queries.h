/*
 * Questions to DNS that are alike: told once and counted then, for a period. Belongs to the thread "calls".
 */
#ifndef DAEMON_QUERIES_H
#define DAEMON_QUERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "event/socket.h"
#include "lib/cleanup.h"

#define QUERIES_MAX 1024 /* alike ones of a period; others are told one by one */

/* Strings are borrowed for the call. */
struct queries_one {
	int32_t tgid;	   /* who asks; 0: unknown */
	uint64_t start_ns; /* of the process, as /proc gives it */
	uint64_t mono_ns;
	uint64_t count;		    /* that it stands for */
	struct event_socket socket; /* SOCKET_QUERY */
};

struct queries;

/* NULL: out of memory. */
struct queries *queries_new(void (*tell)(const struct queries_one *q, void *data), void *data);
void queries_free(struct queries *q);
/* Told now when it is the first of the period: by this process, of this server, the same name and type. */
void queries_take(struct queries *q, const struct queries_one *one);
/* Tells the rest of each that was counted, and begins the next period. Whether there was anything in this one. */
bool queries_end_period(struct queries *q);

DEFINE_CLEANUP(struct queries *, queries_free)

#endif
