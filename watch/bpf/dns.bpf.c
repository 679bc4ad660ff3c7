// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Datagrams from port 53 that come to a socket of this node, whatever the network namespace: answers of DNS, whole or
 * their beginning. Everything passes.
 */
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} ring SEC(".maps");

__u64 lost;

#define ETH_P_IP    0x0800
#define ETH_P_IPV6  0x86dd
#define IPPROTO_UDP 17
#define IPV6_HEADER 40
#define UDP_HEADER  8
#define DNS_PORT    53

/* Where the UDP header begins; 0: it is none, or behind extension headers. */
static __always_inline __u32 find_udp(struct __sk_buff *skb)
{
	__u8 first, protocol;

	if (skb->protocol == __builtin_bswap16(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, &first, 1) || bpf_skb_load_bytes(skb, 9, &protocol, 1))
			return 0;
		return protocol == IPPROTO_UDP ? (first & 0xf) * 4 : 0;
	}
	if (skb->protocol != __builtin_bswap16(ETH_P_IPV6) || bpf_skb_load_bytes(skb, 6, &protocol, 1))
		return 0;
	return protocol == IPPROTO_UDP ? IPV6_HEADER : 0;
}

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	__u32 udp = find_udp(skb), len;
	struct bpf_dns *d;
	__u16 port;

	if (!udp || bpf_skb_load_bytes(skb, udp, &port, sizeof(port)) || port != __builtin_bswap16(DNS_PORT))
		return 1;
	if (skb->len <= udp + UDP_HEADER)
		return 1;
	len = skb->len - udp - UDP_HEADER;
	if (len > BPF_DNS_MAX)
		len = BPF_DNS_MAX;
	d = bpf_ringbuf_reserve(&ring, sizeof(*d), 0);
	if (!d) {
		__sync_fetch_and_add(&lost, 1);
		return 1;
	}
	d->len = len;
	/* For the verifier: neither nothing nor more than there is room for. */
	asm volatile("" : "+r"(len));
	if (len - 1 < BPF_DNS_MAX && bpf_skb_load_bytes(skb, udp + UDP_HEADER, d->data, len) == 0)
		bpf_ringbuf_submit(d, 0);
	else
		bpf_ringbuf_discard(d, 0);
	return 1;
}
