/*
 * Names of addresses: answers of DNS that came to this node. Belongs to the thread "calls", but for the counters.
 */
#ifndef DAEMON_NAMES_H
#define DAEMON_NAMES_H

#include "event/socket.h"
#include "lib/cleanup.h"
#include "watch/dns.h"

struct gapbook;
struct names;

/* NULL when they cannot be had, which is a gap; then no address has a name. */
struct names *names_open(struct gapbook *gaps);
void names_close(struct names *n);
/* Readable while there are answers; -1 with NULL. */
int names_fd(const struct names *n);
/* Reads what there is. Nothing with NULL. */
void names_read(struct names *n);
/* The newest name of the socket's remote address, in buf; NULL when it is not known. n may be NULL. */
const char *names_of(struct names *n, const struct event_socket *s, char buf[DNS_NAME_MAX]);
/* Addresses whose name is known. */
size_t names_count(const struct names *n);

DEFINE_CLEANUP(struct names *, names_close)

#endif
