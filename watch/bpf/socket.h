/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sockets as calls.bpf.c tells them: whose descriptor it is, addresses of both ends, and the counting of calls alike.
 * What the kernel holds counts; the caller's memory is read only for what the kernel does not keep, as the address of a
 * call that failed.
 */
#ifndef WATCH_BPF_SOCKET_H
#define WATCH_BPF_SOCKET_H

#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

#define PEERS_MAX 4096

#define AF_UNIX		1
#define AF_INET		2
#define AF_INET6	10
#define S_IFMT		0170000
#define S_IFSOCK	0140000
#define SOCK_STREAM	1
#define SOCK_DGRAM	2
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT	2
#define TCP_SYN_RECV	3
#define TCP_CLOSE	7
#define IPPROTO_TCP	6
#define IPPROTO_UDP	17
#define IPPROTO_MPTCP	262
#define SOCK_DONE	1 /* enum sock_flags: the peer said that it is done */

#define EINPROGRESS   115
#define EALREADY      114
#define EAGAIN	      11
#define ERESTARTSYS   512
#define ERESTART_LAST 516 /* ERESTART_RESTARTBLOCK; the call begins anew, or user space gets EINTR */

__u32 families;	 /* that are told */
__u32 period;	 /* of floods, that goes on: 0 or 1 */
bool wants_data; /* of what is received */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

__u32 self; /* not told */
__u64 lost[BPF_CALL_PROGRAMS];

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_FLOODS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bpf_flood_key);
	__type(value, struct bpf_flood);
} floods SEC(".maps");

/* The last peer of a datagram socket, by inode and direction. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, PEERS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} peers SEC(".maps");

struct socket_scratch {
	struct bpf_flood flood;
	char address[128]; /* struct sockaddr_* */
};

HF_SCRATCH(socket_scratches, struct socket_scratch, 1);

static __always_inline __u16 swap16(__u16 x)
{
	return __builtin_bswap16(x);
}

/* The file behind a descriptor of this process when it is a socket, else NULL. */
static __always_inline struct file *socket_file(__u64 fd)
{
	struct file *file = file_of(fd);

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	return file;
}

/* --- addresses */

static __always_inline void take_unix_name(struct bpf_socket *s, const void *name, __s64 len)
{
	if (len <= 0 || s->name_len)
		return;
	if (len > BPF_SOCKET_NAME)
		len = BPF_SOCKET_NAME;
	if (bpf_probe_read_kernel(s->name, (__u32)len & 127, name) == 0)
		s->name_len = len;
}

static __always_inline void take_unix(struct bpf_socket *s, const struct sock *sk)
{
	const struct unix_address *a = BPF_CORE_READ((const struct unix_sock *)sk, addr);

	if (a)
		take_unix_name(s, (const char *)&a->len + 4 + 2, (__s64)BPF_CORE_READ(a, len) - 2);
}

static __always_inline void take_ip(struct bpf_socket *s, const struct sock *sk, bool typed)
{
	struct in6_addr local, remote;

	s->local_port = HF_MEMBER(sk, typed, __sk_common.skc_num);
	s->remote_port = swap16(HF_MEMBER(sk, typed, __sk_common.skc_dport));
	if (s->family == AF_INET) {
		*(__u32 *)s->local = HF_MEMBER(sk, typed, __sk_common.skc_rcv_saddr);
		*(__u32 *)s->remote = HF_MEMBER(sk, typed, __sk_common.skc_daddr);
	} else {
		local = HF_MEMBER(sk, typed, __sk_common.skc_v6_rcv_saddr);
		remote = HF_MEMBER(sk, typed, __sk_common.skc_v6_daddr);
		__builtin_memcpy(s->local, &local, sizeof(s->local));
		__builtin_memcpy(s->remote, &remote, sizeof(s->remote));
	}
	if (s->local_port)
		s->flags |= BPF_SOCKET_LOCAL;
	if (s->remote_port)
		s->flags |= BPF_SOCKET_REMOTE;
}

/* What the kernel has of it, which it is found by. */
static __always_inline const struct sock *take_socket(struct bpf_socket *s, const struct file *file)
{
	const struct socket *socket = BPF_CORE_READ(file, private_data);
	const struct sock *sk = BPF_CORE_READ(socket, sk);

	s->ino = BPF_CORE_READ(file, f_inode, i_ino);
	s->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	s->type = BPF_CORE_READ(sk, sk_type);
	s->protocol = BPF_CORE_READ(sk, sk_protocol);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_ESTABLISHED)
		s->flags |= BPF_SOCKET_CONNECTED;
	if (s->family == AF_INET || s->family == AF_INET6)
		take_ip(s, sk, false);
	return sk;
}

/* An address as calls have it, of the peer or our own; false when there is none in it. len: of a unix one. */
static __always_inline bool take_address(struct bpf_socket *s, const char *address, __s64 len, bool remote)
{
	__u16 family = *(const __u16 *)address, port = swap16(*(const __u16 *)(address + 2));
	__u8 *to = remote ? s->remote : s->local;

	if (family == AF_UNIX) {
		s->family = s->family ?: AF_UNIX;
		take_unix_name(s, address + 2, len - 2);
		return true;
	}
	if (family != AF_INET && family != AF_INET6)
		return false;
	__builtin_memset(to, 0, 16);
	__builtin_memcpy(to, family == AF_INET ? address + 4 : address + 8, 4);
	if (family == AF_INET6)
		__builtin_memcpy(to + 4, address + 12, 12);
	s->family = family;
	if (remote)
		s->remote_port = port;
	else
		s->local_port = port;
	s->flags |= remote ? BPF_SOCKET_REMOTE : BPF_SOCKET_LOCAL;
	return true;
}

/* --- what was told already */

static __always_inline __u64 mix(__u64 h, __u64 x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
	return h ^ (h >> 29);
}

static __always_inline __u64 hash_name(const struct bpf_socket *s)
{
	const __u64 *words = (const __u64 *)s->name;
	__u64 h = s->name_len;

	if (!h)
		return 0;
	for (int i = 0; i < (BPF_SOCKET_NAME + 4) / 8; i++)
		h = mix(h, words[i]);
	return h;
}

static __always_inline __u64 hash_address(__u16 port, const __u64 *words)
{
	return mix(mix(port, words[0]), words[1]);
}

/* Whether a datagram goes to, or comes from, another peer than the one before. */
static __always_inline bool is_new_peer(const struct bpf_socket *s, bool receive)
{
	__u64 key = s->ino << 1 | receive, h = hash_address(s->remote_port, (const __u64 *)s->remote);
	__u64 *before = bpf_map_lookup_elem(&peers, &key);

	if (!s->ino)
		return true;
	if (before && *before == h)
		return false;
	bpf_map_update_elem(&peers, &key, &h, BPF_ANY);
	return true;
}

/* One that was told before, with which it is counted; NULL: it is the first now. program: 0, or other ones are not alike. */
static __always_inline struct bpf_flood *counted_with(struct bpf_flood *f, bool client, __u64 program)
{
	const struct bpf_socket_call *c = &f->first;
	const struct bpf_socket *s = &c->socket;
	struct bpf_flood_key key = {
		.start_ns = c->head.start_ns,
		.tgid = c->head.tgid,
		.result = c->head.result < 0 ? (__s32)c->head.result : 0,
		.name = hash_name(s) + program,
		.id = (__u16)c->head.id,
		.family_protocol = (__u16)(s->family << 8 | (s->protocol & 0xff)),
		.period = period & 1,
	};
	struct bpf_flood *before;

	__builtin_memcpy(key.remote, s->remote, sizeof(key.remote));
	if (client) {
		key.remote_port = s->remote_port;
	} else {
		__builtin_memcpy(key.local, s->local, sizeof(key.local));
		key.local_port = s->local_port;
	}
	before = bpf_map_lookup_elem(&floods, &key);
	if (!before) {
		f->more = 0;
		if (bpf_map_update_elem(&floods, &key, f, BPF_NOEXIST) == 0)
			return NULL;
		/* Another processor was faster, or there is no room. */
		before = bpf_map_lookup_elem(&floods, &key);
	}
	if (before)
		__sync_fetch_and_add(&before->more, 1);
	return before;
}

#endif
