// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Datagrams from port 53 that come to a socket of this node, whatever the network namespace: answers of DNS, whole or
 * their beginning. Everything passes.
 */
#include "watch/bpf/dns.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} ring SEC(".maps");

__u64 lost;

SEC("cgroup_skb/ingress")
int on_ingress(struct __sk_buff *skb)
{
	__u32 udp = find_udp(skb), len;
	struct bpf_dns *d;

	if (!udp || !is_answer(skb, udp))
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
