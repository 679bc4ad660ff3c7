/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What went to and came from the peers of UDP sockets, for calls.bpf.c: counted packet by packet, at the root of the
 * cgroups, told when the socket is closed. The first peers of a socket are counted each, others together.
 */
#ifndef WATCH_BPF_DATAGRAMS_H
#define WATCH_BPF_DATAGRAMS_H

#include "watch/bpf/dns.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"
#include "watch/bpf/socket.h"

__u32 datagram_end_id; /* row of them; 0: nobody asks */

struct datagram_peer {
	__u8 address[16];
	__u32 port;
	__u32 family;
	__u64 sent, received;
};

struct datagram_socket {
	__u64 start_ns;	 /* of the process */
	__u64 mono_ns;	 /* of the first packet */
	__s32 tgid, tid; /* who sent first; 0: nobody yet */
	__u32 incoming;	 /* the first packet came */
	__u32 n;	 /* peers; may be more than there is room for */
	__u8 local[16];	 /* of the first packet */
	__u32 local_port, family;
	struct datagram_peer peers[BPF_DATAGRAM_PEERS + 1]; /* the last: others */
	struct bpf_flood scratch;			    /* of its end, which comes once */
};

/* The kernel frees it with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct datagram_socket);
} datagrams SEC(".maps");

struct datagram {
	__u8 local[16], remote[16];
	__u32 local_port, remote_port, family, len;
};

static __always_inline bool read_datagram(struct __sk_buff *skb, bool out, struct datagram *d)
{
	__u32 at = find_udp(skb);
	__u16 ports[2];

	if (!at || bpf_skb_load_bytes(skb, at, ports, sizeof(ports)) || skb->len < at + UDP_HEADER)
		return false;
	d->len = skb->len - at - UDP_HEADER;
	d->local_port = swap16(ports[out ? 0 : 1]);
	d->remote_port = swap16(ports[out ? 1 : 0]);
	if (skb->protocol == __builtin_bswap16(ETH_P_IP)) {
		d->family = AF_INET;
		return !bpf_skb_load_bytes(skb, 12, out ? d->local : d->remote, 4) &&
		       !bpf_skb_load_bytes(skb, 16, out ? d->remote : d->local, 4);
	}
	d->family = AF_INET6;
	return !bpf_skb_load_bytes(skb, 8, out ? d->local : d->remote, 16) &&
	       !bpf_skb_load_bytes(skb, 24, out ? d->remote : d->local, 16);
}

static __always_inline bool is_peer(const struct datagram_peer *p, const struct datagram *d)
{
	const __u64 *a = (const __u64 *)p->address, *b = (const __u64 *)d->remote;

	return p->port == d->remote_port && a[0] == b[0] && a[1] == b[1];
}

/* Two processors may each make the same one: they are told as two. */
static __always_inline struct datagram_peer *peer_of(struct datagram_socket *s, const struct datagram *d)
{
	struct datagram_peer *p;
	__u32 n;

	for (int i = 0; i < BPF_DATAGRAM_PEERS; i++)
		if (is_peer(&s->peers[i], d))
			return &s->peers[i];
	n = s->n < BPF_DATAGRAM_PEERS ? __sync_fetch_and_add(&s->n, 1) : BPF_DATAGRAM_PEERS;
	if (n >= BPF_DATAGRAM_PEERS)
		return &s->peers[BPF_DATAGRAM_PEERS];
	p = &s->peers[n & (BPF_DATAGRAM_PEERS - 1)];
	__builtin_memcpy(p->address, d->remote, sizeof(p->address));
	p->family = d->family;
	p->port = d->remote_port;
	return p;
}

static __always_inline void count_datagram(struct __sk_buff *skb, bool out)
{
	struct bpf_sock *sk = skb->sk;
	struct datagram d = { .len = 0 };
	struct datagram_socket *s;
	struct datagram_peer *p;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	if (!sk || sk->protocol != IPPROTO_UDP || !datagram_end_id || !read_datagram(skb, out, &d))
		return;
	s = bpf_sk_storage_get(&datagrams, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!s) {
		__sync_fetch_and_add(&lost[BPF_PROGRAM_ENDS], 1);
		return;
	}
	if (!s->mono_ns) {
		s->mono_ns = bpf_ktime_get_ns();
		s->incoming = !out;
		s->local_port = d.local_port;
		s->family = d.family;
		__builtin_memcpy(s->local, d.local, sizeof(s->local));
	}
	if (out && !s->tgid)
		HF_TAKE_WHO(s);
	p = peer_of(s, &d);
	if (out)
		__sync_fetch_and_add(&p->sent, d.len);
	else
		__sync_fetch_and_add(&p->received, d.len);
}

SEC("cgroup_skb/ingress")
int on_datagram_in(struct __sk_buff *skb)
{
	count_datagram(skb, false);
	return 1;
}

SEC("cgroup_skb/egress")
int on_datagram_out(struct __sk_buff *skb)
{
	count_datagram(skb, true);
	return 1;
}

/* --- the end */

static __always_inline void tell_peer(struct datagram_socket *s, const struct datagram_peer *p, __u64 now)
{
	struct bpf_socket_call *c = &s->scratch.first;
	struct bpf_flood *before;

	__builtin_memset(c, 0, sizeof(*c));
	c->head.id = datagram_end_id;
	c->head.tgid = s->tgid;
	c->head.tid = s->tid;
	c->head.count = 1;
	c->head.mono_ns = now;
	c->head.start_ns = s->start_ns;
	c->socket.family = p->family ?: s->family;
	c->socket.type = SOCK_DGRAM;
	c->socket.protocol = IPPROTO_UDP;
	c->socket.flags =
		BPF_SOCKET_LOCAL | (p->port ? BPF_SOCKET_REMOTE : 0) | (s->incoming ? BPF_SOCKET_ACCEPTED : 0);
	c->socket.local_port = s->local_port;
	c->socket.remote_port = p->port;
	__builtin_memcpy(c->socket.local, s->local, sizeof(c->socket.local));
	__builtin_memcpy(c->socket.remote, p->address, sizeof(c->socket.remote));
	before = counted_with(&s->scratch, !s->incoming, 0);
	if (before) {
		__sync_fetch_and_add(&before->first.head.args[BPF_END_SENT], p->sent);
		__sync_fetch_and_add(&before->first.head.args[BPF_END_RECEIVED], p->received);
		__sync_fetch_and_add(&before->first.head.args[BPF_END_OPEN_NS], now - s->mono_ns);
		return;
	}
	c->head.args[BPF_END_SENT] = p->sent;
	c->head.args[BPF_END_RECEIVED] = p->received;
	c->head.args[BPF_END_OPEN_NS] = now - s->mono_ns;
	if (bpf_ringbuf_output(&ring, c, sizeof(*c), 0))
		__sync_fetch_and_add(&lost[BPF_PROGRAM_ENDS], 1);
}

/* By who closes the last descriptor, or ends with it. */
SEC("cgroup/sock_release")
int on_release(struct bpf_sock *sk)
{
	struct datagram_socket *s;
	__u64 now;

	if (sk->protocol != IPPROTO_UDP || !datagram_end_id)
		return 1;
	s = bpf_sk_storage_get(&datagrams, sk, NULL, 0);
	if (!s)
		return 1;
	now = bpf_ktime_get_ns();
	if (!s->tgid)
		HF_TAKE_WHO(s);
	if ((__u32)s->tgid == self)
		return 1;
	for (int i = 0; i <= BPF_DATAGRAM_PEERS; i++)
		if (s->peers[i].port || s->peers[i].sent || s->peers[i].received)
			tell_peer(s, &s->peers[i], now);
	return 1;
}

#endif
