// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * DNS at the sockets of this node, whatever the network namespace: what comes from port 53, and what goes there and who
 * sends it; datagrams whole or their beginning, connections piece by piece. Everything passes.
 */
#include "watch/bpf/dns.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET	   2
#define AF_INET6   10
#define TCP_HEADER 20
#define TCP_SYN	   0x02

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 19);
} ring SEC(".maps");

__u64 lost;

/* No room of our own for it: a program that sends may be interrupted by another on its processor. */
static __always_inline int put(struct __sk_buff *skb, const struct bpf_dns *head, __u32 at, __u32 len, const __u32 room)
{
	struct bpf_dns *d = bpf_ringbuf_reserve(&ring, sizeof(*d) + room, 0);

	if (!d) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	__builtin_memcpy(d, head, sizeof(*d));
	d->len = len;
	/* For the verifier: neither nothing nor more than there is room for. */
	asm volatile("" : "+r"(len));
	if (!len || (len - 1 < room && bpf_skb_load_bytes(skb, at, d->data, len) == 0))
		bpf_ringbuf_submit(d, 0);
	else
		bpf_ringbuf_discard(d, 0);
	return 0;
}

__noinline int tell(struct __sk_buff *skb, const struct bpf_dns *head, __u32 at, __u32 len)
{
	if (!head)
		return 0;
	return len <= BPF_DNS_SMALL ? put(skb, head, at, len, BPF_DNS_SMALL) : put(skb, head, at, len, BPF_DNS_MAX);
}

/* --- what every packet has */

static __always_inline void take_addresses(struct __sk_buff *skb, struct bpf_dns *d)
{
	bool out = d->flags & BPF_DNS_QUERY;

	if (skb->protocol == __builtin_bswap16(ETH_P_IP)) {
		d->family = AF_INET;
		bpf_skb_load_bytes(skb, 12, out ? d->local : d->remote, 4);
		bpf_skb_load_bytes(skb, 16, out ? d->remote : d->local, 4);
	} else {
		d->family = AF_INET6;
		bpf_skb_load_bytes(skb, 8, out ? d->local : d->remote, 16);
		bpf_skb_load_bytes(skb, 24, out ? d->remote : d->local, 16);
	}
}

/* --- datagrams and streams */

static __always_inline void take_datagram(struct __sk_buff *skb, struct bpf_dns *d, __u32 at)
{
	__u32 len;

	at += UDP_HEADER;
	if (skb->len <= at)
		return;
	len = skb->len - at;
	tell(skb, d, at, len > BPF_DNS_MAX ? BPF_DNS_MAX : len);
}

static __always_inline void take_stream(struct __sk_buff *skb, struct bpf_dns *d, __u32 at)
{
	__u8 header[TCP_HEADER];
	__u32 seq, len;

	if (bpf_skb_load_bytes(skb, at, header, sizeof(header)))
		return;
	seq = (__u32)header[4] << 24 | header[5] << 16 | header[6] << 8 | header[7];
	at += (header[12] >> 4) * 4;
	d->cookie = bpf_get_socket_cookie(skb);
	d->flags |= BPF_DNS_STREAM;
	if (header[13] & TCP_SYN) {
		d->seq = ++seq;
		d->flags |= BPF_DNS_BEGIN;
		tell(skb, d, at, 0);
		d->flags &= ~BPF_DNS_BEGIN;
	}
	for (int i = 0; i < BPF_DNS_PIECES && at < skb->len; i++) {
		len = skb->len - at;
		if (len > BPF_DNS_MAX)
			len = BPF_DNS_MAX;
		d->seq = seq;
		tell(skb, d, at, len);
		at += len;
		seq += len;
	}
	if (at < skb->len)
		__sync_fetch_and_add(&lost, 1);
}

static __always_inline void take(struct __sk_buff *skb, __u32 flags)
{
	struct bpf_dns d = { .flags = flags };
	__u8 protocol = 0;
	__u16 ports[2];
	__u32 at;

	if (is_of_others(skb))
		return;
	at = find_transport(skb, &protocol);
	if (!at || (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP) ||
	    bpf_skb_load_bytes(skb, at, ports, sizeof(ports)))
		return;
	if (ports[flags & BPF_DNS_QUERY ? 1 : 0] != __builtin_bswap16(DNS_PORT))
		return;
	if (flags & BPF_DNS_QUERY)
		HF_TAKE_WHO(&d);
	d.mono_ns = bpf_ktime_get_ns();
	d.local_port = __builtin_bswap16(ports[flags & BPF_DNS_QUERY ? 0 : 1]);
	d.remote_port = DNS_PORT;
	take_addresses(skb, &d);
	if (protocol == IPPROTO_UDP)
		take_datagram(skb, &d, at);
	else
		take_stream(skb, &d, at);
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	take(skb, 0);
	return 1;
}

SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	take(skb, BPF_DNS_QUERY);
	return 1;
}
