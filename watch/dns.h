/*
 * DNS (RFC 1035, 3596): names of addresses, from answers that came to this node, and what is remembered of them; what
 * was asked for; messages in a stream. Bytes are whatever somebody sent.
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

#define DNS_QUERY_NAME_MAX 1024 /* as people write it: each of 255 bytes may take four */
#define DNS_TYPE_MAX	   16

struct dns_query {
	char name[DNS_QUERY_NAME_MAX]; /* lower case, other bytes than letters, digits, '-', '_' as \DDD; "." the root
					*/
	char type[DNS_TYPE_MAX];       /* "AAAA", "TYPE1234" */
};

/* A query with one question, of class IN or any other. 0, -EBADMSG: malformed, or no query. */
int dns_parse_query(const uint8_t *data, size_t len, struct dns_query *ret);

/* --- messages in streams (TCP): put together of pieces in any order. One thread. */

#define DNS_STREAMS_MAX	      64   /* the one that was used longest ago goes */
#define DNS_STREAM_PIECES_MAX 16   /* that came before their turn, of one stream */
#define DNS_STREAM_PIECE_MAX  2048 /* bytes of one */

struct dns_streams;
struct dns_stream_id {
	uint64_t cookie; /* of the socket */
	uint64_t query;	 /* 1, or 0: the other direction */
};
/* Who made the connection. */
struct dns_stream_who {
	int32_t tgid, tid;
	uint64_t start_ns;
};

struct dns_streams *dns_streams_new(void);
void dns_streams_free(struct dns_streams *s);
/* seq: of its first byte. */
void dns_streams_begin(struct dns_streams *s, const struct dns_stream_id *id, uint32_t seq,
		       const struct dns_stream_who *who);
/*
 * Hands each message that is whole now to fn, with who began the stream: tgid 0 when that was before we looked, then a
 * message is taken to begin with its first piece. data2: len bytes at most DNS_STREAM_PIECE_MAX, else they are lost.
 */
void dns_streams_add(struct dns_streams *s, const struct dns_stream_id *id, uint32_t seq, const uint8_t *data,
		     size_t len,
		     void (*fn)(const uint8_t *message, size_t len, const struct dns_stream_who *who, void *data2),
		     void *data2);
/* That were given up: too much came before its turn, or no message could be where one was. */
uint64_t dns_streams_lost(const struct dns_streams *s);

DEFINE_CLEANUP(struct dns_streams *, dns_streams_free)

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
