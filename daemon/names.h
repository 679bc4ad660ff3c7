/*
 * DNS as this node uses it: names of addresses, from answers that came, and what was asked for. Belongs to the thread
 * "calls", but for the counters.
 */
#ifndef DAEMON_NAMES_H
#define DAEMON_NAMES_H

#include "daemon/queries.h"
#include "event/socket.h"
#include "lib/cleanup.h"
#include "watch/dns.h"

struct gapbook;
struct names;

/*
 * NULL when they cannot be had, which is a gap; then no address has a name. query: of each question, those alike told
 * once and then counted; NULL: nobody asks.
 */
struct names *names_open(struct gapbook *gaps, void (*query)(const struct queries_one *q, void *data), void *data);
void names_close(struct names *n);
/* Readable while there are answers; -1 with NULL. */
int names_fd(const struct names *n);
/* Reads what there is. Nothing with NULL. */
void names_read(struct names *n);
/* Tells questions that were counted. Call it some times a second while it returns true. */
bool names_counted(struct names *n);
/* The newest name of the socket's remote address, in buf; NULL when it is not known. n may be NULL. */
const char *names_of(struct names *n, const struct event_socket *s, char buf[DNS_NAME_MAX]);
/* Addresses whose name is known. */
size_t names_count(const struct names *n);

DEFINE_CLEANUP(struct names *, names_close)

#endif
