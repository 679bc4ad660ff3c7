/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which packets are answers of DNS: datagrams from port 53. */
#ifndef WATCH_BPF_DNS_PACKET_H
#define WATCH_BPF_DNS_PACKET_H

#include "watch/bpf/kernel.h"

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

static __always_inline bool is_answer(struct __sk_buff *skb, __u32 udp)
{
	__u16 port;

	return bpf_skb_load_bytes(skb, udp, &port, sizeof(port)) == 0 && port == __builtin_bswap16(DNS_PORT);
}

#endif
