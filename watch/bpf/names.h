/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Names of addresses, for policy.bpf.c: answers of DNS are read as they come, and what they say of names that policies
 * ask about is remembered. Over TCP an answer may come in pieces.
 */
#ifndef WATCH_BPF_NAMES_H
#define WATCH_BPF_NAMES_H

#include "watch/bpf/dns.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

const volatile bool has_cookie = true; /* packets tell their network namespace: Linux 6.16 */

__u32 in_force;	  /* which table: 0 or 1 */
__u64 lost_names; /* addresses of domains that found no room */

struct policy_hash {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * BPF_POLICY_CONTAINERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bpf_policy_key);
	__type(value, struct bpf_policy_bits);
};
struct policy_hash domains SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BPF_POLICY_LEARNED);
	__type(key, struct bpf_learned_key);
	__type(value, struct bpf_learned);
} learned SEC(".maps");

#define MESSAGE_MAX 2048 /* power of two; bytes of an answer that are read */
#define MESSAGES    4	 /* of one packet of a stream: its questions are often asked together */
#define TCP_SEQ	    4
#define NAME_MAX    255
#define LABELS	    8 /* of a name that are looked for in the policies, from the first one on */
#define RECORDS	    32
#define LABEL_MAX   63
#define DNS_HEADER  12
#define TTL_LEAST   60
#define TTL_MOST    3600

struct message {
	__u8 data[2 * MESSAGE_MAX];
	__u32 len;
	__u32 at;
	__u32 label;	    /* bytes left of it */
	__u32 labels;	    /* that have begun */
	__u32 end;	    /* of the name: 1; malformed: 2 */
	__u64 hash[LABELS]; /* of the name, and of those above it */
	__u64 found[BPF_POLICY_NAMES];
	__u32 n_found;
	__u64 netns;
};

HF_SCRATCH(messages, struct message, 1);

static __always_inline __u8 byte_at(const struct message *m, __u32 at)
{
	return m->data[at & (MESSAGE_MAX - 1)];
}

static __always_inline __u16 word_at(const struct message *m, __u32 at)
{
	return byte_at(m, at) << 8 | byte_at(m, at + 1);
}

static __always_inline void add_byte(struct message *m, __u8 c)
{
	for (__u32 i = 0; i < LABELS; i++)
		if (i < m->labels)
			m->hash[i] = (m->hash[i] ^ c) * BPF_HASH_PRIME;
}

/* One byte of the question's name; 1 ends. */
static long take_question(__u32 i __attribute__((unused)), void *ctx)
{
	struct message *m = *(struct message **)ctx;
	__u8 c = byte_at(m, m->at++);

	if (m->at >= m->len || m->at >= MESSAGE_MAX) {
		m->end = 2;
		return 1;
	}
	if (m->label) {
		m->label--;
		add_byte(m, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		return 0;
	}
	m->end = !c ? 1 : c > LABEL_MAX ? 2 : 0;
	if (m->end)
		return 1;
	if (m->labels)
		add_byte(m, '.');
	if (m->labels < LABELS) {
		m->hash[m->labels & (LABELS - 1)] = BPF_HASH_START;
		m->labels++;
	}
	m->label = c;
	return 0;
}

/* The policies' domains among what the question's name is, and is below of. */
static __always_inline void find_domains(struct message *m)
{
	struct bpf_policy_key key = { .table = in_force & 1 };

	m->n_found = 0;
	for (__u32 i = 0; i < LABELS; i++) {
		if (i >= m->labels || m->n_found >= BPF_POLICY_NAMES)
			break;
		key.value[0] = i ? m->hash[i] ^ BPF_HASH_BELOW : m->hash[i];
		if (bpf_map_lookup_elem(&domains, &key))
			m->found[m->n_found++ & (BPF_POLICY_NAMES - 1)] = key.value[0];
	}
}

static __always_inline void learn_name(struct bpf_learned *l, __u64 name, __u64 until)
{
	int oldest = 0;

	for (int i = 0; i < BPF_POLICY_NAMES; i++) {
		if (l->name[i] == name) {
			l->until[i] = until;
			return;
		}
		if (l->until[i] < l->until[oldest & (BPF_POLICY_NAMES - 1)])
			oldest = i;
	}
	l->name[oldest & (BPF_POLICY_NAMES - 1)] = name;
	l->until[oldest & (BPF_POLICY_NAMES - 1)] = until;
}

static __always_inline void learn(const struct message *m, const struct bpf_learned_key *at, __u32 ttl)
{
	__u64 until = bpf_ktime_get_ns();
	struct bpf_learned next = {}, *before = bpf_map_lookup_elem(&learned, at);

	ttl = ttl < TTL_LEAST ? TTL_LEAST : ttl > TTL_MOST ? TTL_MOST : ttl;
	until += ttl * 1000000000ULL;
	if (before)
		next = *before;
	for (__u32 i = 0; i < BPF_POLICY_NAMES; i++)
		if (i < m->n_found)
			learn_name(&next, m->found[i], until);
	if (bpf_map_update_elem(&learned, at, &next, BPF_ANY))
		__sync_fetch_and_add(&lost_names, 1);
}

/* One label of a record's name. */
static long skip_label(__u32 i __attribute__((unused)), void *ctx)
{
	struct message *m = *(struct message **)ctx;
	__u8 c = byte_at(m, m->at);

	if (m->at >= m->len || m->at >= MESSAGE_MAX) {
		m->end = 2;
		return 1;
	}
	if (c > LABEL_MAX) {
		m->at += 2;
		m->end = c >= 0xc0 ? 1 : 2;
		return 1;
	}
	m->at += 1 + c;
	m->end = !c;
	return !c;
}

static long take_record(__u32 i __attribute__((unused)), void *ctx)
{
	struct bpf_learned_key at = {};
	struct message *m = *(struct message **)ctx;
	__u16 type, class, len;
	__u32 ttl;

	m->end = 0;
	bpf_loop(LABEL_MAX, skip_label, &m, 0);
	if (m->end != 1 || m->at + 10 > m->len || m->at + 10 > MESSAGE_MAX)
		return 1;
	type = word_at(m, m->at);
	class = word_at(m, m->at + 2);
	ttl = (__u32)word_at(m, m->at + 4) << 16 | word_at(m, m->at + 6);
	len = word_at(m, m->at + 8);
	m->at += 10;
	if (len > MESSAGE_MAX || m->at + len > m->len || m->at + len > MESSAGE_MAX)
		return 1;
	at.netns = m->netns;
	if (class == 1 && type == 1 && len == 4) {
		at.address[10] = at.address[11] = 0xff;
		__builtin_memcpy(at.address + 12, &m->data[m->at & (MESSAGE_MAX - 1)], 4);
		learn(m, &at, ttl);
	} else if (class == 1 && type == 28 && len == 16) {
		__builtin_memcpy(at.address, &m->data[m->at & (MESSAGE_MAX - 1)], 16);
		learn(m, &at, ttl);
	}
	m->at += len;
	return 0;
}

/* A message that stands in m->data. */
__noinline int take_names(struct __sk_buff *skb, __u32 len)
{
	struct message *m = scratch_of(&messages);
	__u32 answers;

	if (!m)
		return 0;
	m->len = len;
	/* A response without an error to one question. */
	if (len <= DNS_HEADER || (word_at(m, 2) & 0xf80f) != 0x8000 || word_at(m, 4) != 1)
		return 0;
	answers = word_at(m, 6);
	m->at = DNS_HEADER;
	m->label = m->labels = m->end = 0;
	bpf_loop(NAME_MAX, take_question, &m, 0);
	if (m->end != 1)
		return 0;
	find_domains(m);
	if (!m->n_found)
		return 0;
	m->at += 4; /* type and class */
	m->netns = has_cookie ? bpf_get_netns_cookie(skb) : 0;
	bpf_loop(answers < RECORDS ? answers : RECORDS, take_record, &m, 0);
	return 0;
}

/* One message, of which len bytes stand at `at`. */
__noinline int take_message(struct __sk_buff *skb, __u32 at, __u32 len)
{
	struct message *m = scratch_of(&messages);

	if (!m)
		return 0;
	if (len > MESSAGE_MAX)
		len = MESSAGE_MAX;
	asm volatile("" : "+r"(len));
	if (len - 1 >= MESSAGE_MAX || bpf_skb_load_bytes(skb, at, m->data, len))
		return 0;
	return take_names(skb, len);
}

/* --- streams */

/* A message that did not come whole, with its length before it. The kernel frees it with the socket. */
struct partial {
	__u32 next; /* number of the byte that is missing */
	__u32 have; /* bytes that came, with the length; 0: none. Those of the first MESSAGE_MAX are kept */
	__u8 data[2 * MESSAGE_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct partial);
} partials SEC(".maps");

static __always_inline struct partial *partial_of(struct __sk_buff *skb, __u64 flags)
{
	struct bpf_sock *sk = skb->sk;

	sk = sk ? bpf_sk_fullsock(sk) : NULL;
	return sk ? bpf_sk_storage_get(&partials, sk, NULL, flags) : NULL;
}

/* What the packet has from there on, whoever's it is. */
static __always_inline void keep(struct __sk_buff *skb, struct partial *p, __u32 at)
{
	__u32 len = skb->len - at, have = p->have, n = have < MESSAGE_MAX ? MESSAGE_MAX - have : 0;

	n = len < n ? len : n;
	asm volatile("" : "+r"(n));
	if (n - 1 < MESSAGE_MAX)
		bpf_skb_load_bytes(skb, at, &p->data[have & (MESSAGE_MAX - 1)], n);
	p->have = have + len;
	p->next += len;
}

/* The rest of the message that is missing; where the next begins. */
__noinline int take_rest(struct __sk_buff *skb, __u32 at)
{
	struct message *m = scratch_of(&messages);
	struct partial *p = partial_of(skb, 0);
	__u32 before, whole;

	if (!p || !m)
		return at;
	before = p->have;
	keep(skb, p, at);
	whole = p->have < 2 ? 2 : 2 + (p->data[0] << 8 | p->data[1]);
	if (p->have < whole || p->have < 2)
		return skb->len;
	p->have = 0;
	if (bpf_probe_read_kernel(m->data, MESSAGE_MAX - 2, p->data + 2) == 0)
		take_names(skb, whole < MESSAGE_MAX ? whole - 2 : MESSAGE_MAX - 2);
	return at + (whole - before);
}

/* A message begins there and is not whole. seq: number of its first byte. */
static __always_inline void begin_partial(struct __sk_buff *skb, __u32 at, __u32 seq)
{
	struct partial *p = partial_of(skb, BPF_SK_STORAGE_GET_F_CREATE);

	if (!p)
		return;
	p->next = seq;
	p->have = 0;
	keep(skb, p, at);
}

/* One that does not go on where the last one ended is taken for the beginning of a message. */
static __always_inline void take_stream(struct __sk_buff *skb, __u32 tcp)
{
	__u32 begin, at, seq, len;
	struct partial *p;
	__u16 length;
	__u8 offset;

	if (bpf_skb_load_bytes(skb, tcp + TCP_OFFSET, &offset, sizeof(offset)) ||
	    bpf_skb_load_bytes(skb, tcp + TCP_SEQ, &seq, sizeof(seq)))
		return;
	begin = at = tcp + (offset >> 4) * 4;
	seq = __builtin_bswap32(seq);
	if (at >= skb->len)
		return;
	p = partial_of(skb, 0);
	if (p && p->have && p->next == seq)
		at = take_rest(skb, at);
	for (int i = 0; i < MESSAGES; i++) {
		if (at >= skb->len)
			return;
		len = skb->len - at;
		length = 0;
		if (len >= 2 && bpf_skb_load_bytes(skb, at, &length, sizeof(length)))
			return;
		length = __builtin_bswap16(length);
		/* What came of it is taken at once: the rest may be lost, or come before its turn. */
		if (len > 2)
			take_message(skb, at + 2, length < len - 2 ? length : len - 2);
		if (len < 2 || len - 2 < length) {
			begin_partial(skb, at, seq + (at - begin));
			return;
		}
		at += 2 + length;
	}
}

static __always_inline void take_answer(struct __sk_buff *skb)
{
	__u8 protocol = 0;
	__u32 at;

	if (is_of_others(skb))
		return;
	at = find_transport(skb, &protocol);
	if (!at || !is_answer(skb, at))
		return;
	if (protocol == IPPROTO_TCP)
		take_stream(skb, at);
	else if (protocol == IPPROTO_UDP && skb->len > at + UDP_HEADER)
		take_message(skb, at + UDP_HEADER, skb->len - at - UDP_HEADER);
}

#endif
