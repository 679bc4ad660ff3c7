/*
 * DNS at the sockets of this node, told by BPF programs at the root of the cgroups: packets from port 53, and to it. A
 * struct belongs to one thread.
 */
#ifndef WATCH_BPF_DNS_H
#define WATCH_BPF_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/socket.h"
#include "lib/buf.h"
#include "lib/cleanup.h"

struct bpf_dns_reader;

/* Any bytes; borrowed for the call. */
struct bpf_dns_packet {
	bool query;  /* to port 53; else from there */
	bool stream; /* TCP: data is a piece of it */
	bool begins; /* the stream does: seq is of its first byte, there is no data */
	uint64_t mono_ns;
	/* Of query: whoever ran, which is who asks when it is a datagram or begins a stream. */
	int32_t tgid, tid;
	uint64_t start_ns; /* as /proc gives it */
	uint64_t cookie;   /* of the socket of a stream */
	uint32_t seq;	   /* of the first byte of data */
	const uint8_t *data;
	size_t len;
	struct event_socket socket; /* both ends; op is SOCKET_QUERY */
};

/* -ENOTSUP: built without, or there is no unified cgroup hierarchy; or what the kernel said; text in err. */
int bpf_dns_open(struct bpf_dns_reader **ret, struct buf *err);
void bpf_dns_close(struct bpf_dns_reader *d);
/* Whether queries are told too, not answers alone. */
bool bpf_dns_queries(const struct bpf_dns_reader *d);
/* Readable while there are some. */
int bpf_dns_fd(const struct bpf_dns_reader *d);
/* Hands at most max packets to fn. Their number, or a negative errno. */
int bpf_dns_take(struct bpf_dns_reader *d, unsigned int max, void (*fn)(const struct bpf_dns_packet *p, void *data),
		 void *data);
/* That found no room. */
uint64_t bpf_dns_lost(const struct bpf_dns_reader *d);
/* A record of the ring; any bytes are safe, data is borrowed from it. -EBADMSG. */
int bpf_decode_dns(const void *data, size_t len, struct bpf_dns_packet *ret);

DEFINE_CLEANUP(struct bpf_dns_reader *, bpf_dns_close)

#endif
