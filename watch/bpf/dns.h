/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which packets are those of DNS: from or to port 53. */
#ifndef WATCH_BPF_DNS_PACKET_H
#define WATCH_BPF_DNS_PACKET_H

#include "watch/bpf/kernel.h"

#define ETH_P_IP    0x0800
#define ETH_P_IPV6  0x86dd
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPV6_HEADER 40
#define UDP_HEADER  8
#define TCP_OFFSET  12 /* of its length, in the upper half */
#define DNS_PORT    53

/* It belongs to a connection whose peer is at another port: of most packets nothing has to be read to know that. */
static __always_inline bool is_of_others(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk && sk->protocol == IPPROTO_TCP && sk->dst_port != __builtin_bswap16(DNS_PORT);
}

/* Where the header behind that of IP begins, and whose it is; 0: it is none, or behind extension headers. */
static __always_inline __u32 find_transport(struct __sk_buff *skb, __u8 *ret_protocol)
{
	__u8 first;

	if (skb->protocol == __builtin_bswap16(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, &first, 1) || bpf_skb_load_bytes(skb, 9, ret_protocol, 1))
			return 0;
		return (first & 0xf) * 4;
	}
	if (skb->protocol != __builtin_bswap16(ETH_P_IPV6) || bpf_skb_load_bytes(skb, 6, ret_protocol, 1))
		return 0;
	return IPV6_HEADER;
}

/* The same of UDP alone. */
static __always_inline __u32 find_udp(struct __sk_buff *skb)
{
	__u8 protocol = 0;
	__u32 at = find_transport(skb, &protocol);

	return protocol == IPPROTO_UDP ? at : 0;
}

static __always_inline bool is_answer(struct __sk_buff *skb, __u32 udp)
{
	__u16 port;

	return bpf_skb_load_bytes(skb, udp, &port, sizeof(port)) == 0 && port == __builtin_bswap16(DNS_PORT);
}

#endif
