/*
 * Names of addresses, from answers of DNS (RFC 1035, 3596) that came to this node: the parser, and what is remembered
 * of them. Bytes of an answer are whatever somebody sent.
 */
#ifndef WATCH_DNS_H
#define WATCH_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/socket.h"
#include "lib/cleanup.h"

#define DNS_NAME_MAX	  256 /* as people write it, with its NUL: labels and dots */
#define DNS_ADDRESSES_MAX 64  /* of one answer; more are left out */
#define DNS_CACHE_MAX	  8192

struct dns_answer {
	char name[DNS_NAME_MAX]; /* that was asked for, in lower case without the last dot */
	size_t n;
	struct {
		uint8_t address[SOCKET_ADDRESS]; /* IPv4 as ::ffff:a.b.c.d */
		uint32_t ttl;			 /* seconds */
	} addresses[DNS_ADDRESSES_MAX];
};

/*
 * An answer without an error to one question. Names hold letters, digits, '-', '_' and dots alone: what has others is
 * malformed. 0, -EBADMSG: malformed, or no answer.
 */
int dns_parse(const uint8_t *data, size_t len, struct dns_answer *ret);

/* --- what is remembered: the newest name of an address. Any thread. */

struct dns_cache;
struct dns_cache *dns_cache_new(void);
void dns_cache_free(struct dns_cache *c);
/* now: ns of any clock that goes forward. A name is kept for twice its time to live and at least ten minutes, as
 * connections come later. */
void dns_cache_add(struct dns_cache *c, const struct dns_answer *a, uint64_t now);
/* False when it is not known. */
bool dns_cache_get(struct dns_cache *c, const uint8_t address[SOCKET_ADDRESS], uint64_t now, char ret[DNS_NAME_MAX]);
size_t dns_cache_count(struct dns_cache *c);

DEFINE_CLEANUP(struct dns_cache *, dns_cache_free)

#endif
