/*
 * What is known of a socket at the moment of a call: both ends, the protocol, who began. Rules see it as fd.*, history
 * as the view `connections`.
 */
#ifndef EVENT_SOCKET_H
#define EVENT_SOCKET_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"

/* What became of it; stored by number: append only. */
enum socket_op {
	SOCKET_CONNECT,
	SOCKET_ACCEPT,
	SOCKET_LISTEN,
	SOCKET_BIND,
	SOCKET_SEND,	/* the first datagram to a peer */
	SOCKET_RECEIVE, /* the first from one */
	SOCKET_FOUND,	/* it was there when the monitor started */
	SOCKET_CLOSE,	/* the end of a TCP connection; of a UDP socket, one for each of its peers */
	SOCKET_QUERY,	/* a name was asked for: DNS */
	SOCKET_INHERIT, /* one that is open came to another program: by its start, or handed on by a process */
	SOCKET_OP_COUNT,
	SOCKET_OP_NONE = SOCKET_OP_COUNT
};
extern const char *const socket_op_names[SOCKET_OP_COUNT];

/* What policies of the network said. */
enum socket_verdict {
	SOCKET_UNJUDGED, /* nothing against it */
	SOCKET_DENIED,
	SOCKET_UNEXPECTED, /* it would have been denied; it was not, policies are only observed */
	SOCKET_VERDICT_COUNT
};
extern const char *const socket_verdict_names[SOCKET_VERDICT_COUNT]; /* NULL of the first */

#define SOCKET_ADDRESS 16
#define SOCKET_TEXT    128 /* "[address]:port" with its NUL */

struct event_socket {
	enum socket_op op;
	uint16_t family;   /* AF_*; an IPv4 address mapped into IPv6 is IPv4; 0: unknown */
	uint16_t type;	   /* SOCK_*; 0: unknown */
	uint16_t protocol; /* IPPROTO_* */
	bool has_local, has_remote;
	bool connected;
	bool new_peer;		       /* of a datagram */
	bool approximate;	       /* SOCKET_FOUND: seen by a look at what is there */
	bool accepted; /* SOCKET_CLOSE, SOCKET_FOUND, SOCKET_INHERIT: by accept, not by connect; the peer sent first */
	bool began;		       /* SOCKET_INHERIT: by connect; neither: it was there before */
	bool uring;		       /* asked for through io_uring: what came of it is not known */
	uint8_t local[SOCKET_ADDRESS]; /* network order; IPv4 as ::ffff:a.b.c.d */
	uint8_t remote[SOCKET_ADDRESS];
	uint16_t local_port, remote_port;
	uint64_t ino;		 /* of the socket's file; 0: unknown */
	const char *name;	 /* AF_UNIX: path, or @ and the abstract name; NULL: none */
	const char *remote_name; /* a name that was resolved to the remote address; NULL: unknown */
	enum socket_verdict verdict;
	const char *query,
		*query_type; /* SOCKET_QUERY: what was asked for, as people write it: "www.example.org", "AAAA" */
	const char *policy;  /* "NAME: DESTINATION" of the verdict; NULL: unknown */
	const uint8_t *data; /* the first bytes that were received; NULL: not asked for */
	uint32_t data_len;
	/* SOCKET_CLOSE; of all that the event stands for together */
	uint64_t sent, received; /* bytes of data; what was sent twice counts once */
	uint64_t
		open_ns; /* since connect had its answer, or accept returned; UDP: since the first packet; 0: unknown */
	uint64_t cookie; /* SOCKET_FOUND: the kernel's name of it, never used again */
};

/* Whether this end is the server. */
static inline bool socket_is_server(const struct event_socket *s)
{
	return s->op == SOCKET_ACCEPT || s->op == SOCKET_LISTEN || s->op == SOCKET_BIND || s->op == SOCKET_RECEIVE ||
	       ((s->op == SOCKET_CLOSE || s->op == SOCKET_INHERIT) && s->accepted) || (s->op == SOCKET_FOUND && (s->accepted || !s->has_remote));
}

/* "tcp", "udp", "icmp", "raw"; NULL when it is none of these. */
const char *socket_l4(const struct event_socket *s);
/* "ipv4", "ipv6", "unix"; NULL: another family. */
const char *socket_family(const struct event_socket *s);
/* "10.0.0.1:80", "[::1]:80" */
void socket_address(const uint8_t address[SOCKET_ADDRESS], uint16_t port, char ret[SOCKET_TEXT]);
/* "client:port->server:port", of a server without a client its own address, of a unix socket its name. */
void socket_tuple(struct buf *b, const struct event_socket *s);
/*
 * The same; of SOCKET_CLOSE with what went through: "...  120 bytes sent, 4096 received, 1.250 s"; of SOCKET_QUERY
 * behind what was asked for: "www.example.org AAAA  ...".
 */
void socket_text(struct buf *b, const struct event_socket *s);
/* A copy in a; NULL: out of memory. */
const struct event_socket *socket_copy(struct arena *a, const struct event_socket *s);
/*
 * Keys family, protocol, direction, local_ip, local_port, remote_ip, remote_port, remote_name, socket, io_uring,
 * verdict, policy; of SOCKET_CLOSE bytes_sent, bytes_received and open_ms; of SOCKET_QUERY query and query_type;
 * approximate; and error, the word for a result that is not a success. New reference.
 */
json_t *socket_json(const struct event_socket *s, const char *error);

#endif
