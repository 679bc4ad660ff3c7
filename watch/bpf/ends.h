/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The ends of TCP connections, for calls.bpf.c: who made one is remembered until then, as the end comes on behalf of
 * nobody.
 */
#ifndef WATCH_BPF_ENDS_H
#define WATCH_BPF_ENDS_H

#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"
#include "watch/bpf/socket.h"

__u32 end_id; /* row of them; 0: nobody asks */

/* Something is, or was, in the tables below: most nodes never look there. */
bool has_adopted;
bool has_uring_servers;

struct connections {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_OPEN_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct bpf_open_connection);
};

/* By address of the socket; and those that were there before, by cookie. */
struct connections open_connections SEC(".maps"), adopted SEC(".maps");

struct server_key {
	__u64 net;
	__u64 port;
};

/* Who accepts through io_uring, which makes no call that returns a socket. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct server_key);
	__type(value, struct bpf_open_connection);
} uring_servers SEC(".maps");

/* One for each program: an end may come while that of an accept is told. */
enum { SCRATCH_STATE, SCRATCH_CALL, SCRATCHES };

HF_SCRATCH(end_scratches, struct bpf_flood, SCRATCHES);

static __always_inline __u64 hash_peer(const struct sock *sk, bool typed)
{
	__u64 words[2] = { 0 };
	struct in6_addr a;

	if (HF_MEMBER(sk, typed, __sk_common.skc_family) == AF_INET6) {
		a = HF_MEMBER(sk, typed, __sk_common.skc_v6_daddr);
		__builtin_memcpy(words, &a, sizeof(words));
	} else {
		words[0] = HF_MEMBER(sk, typed, __sk_common.skc_daddr);
	}
	return hash_address(swap16(HF_MEMBER(sk, typed, __sk_common.skc_dport)), words);
}

static __always_inline void put_open(const struct sock *sk, const struct bpf_open_connection *o)
{
	__u64 key = (__u64)sk;

	if (bpf_map_update_elem(&open_connections, &key, o, BPF_ANY))
		__sync_fetch_and_add(&lost[BPF_PROGRAM_ENDS], 1);
}

/* On behalf of who connects; it is not open yet. */
static __always_inline void remember_connect(const struct sock *sk, __u64 ino)
{
	struct bpf_open_connection o = { .peer = hash_peer(sk, true), .ino = ino };

	HF_TAKE_WHO(&o);
	put_open(sk, &o);
}

/* On behalf of who made that call. */
static __always_inline void remember_accept(const struct sock *sk, const struct bpf_socket_call *c)
{
	struct bpf_open_connection o = {
		.start_ns = c->head.start_ns,
		.mono_ns = c->head.mono_ns,
		.peer = hash_address(c->socket.remote_port, (const __u64 *)c->socket.remote),
		.ino = c->socket.ino,
		.tgid = c->head.tgid,
		.tid = c->head.tid,
		.accepted = true,
	};

	put_open(sk, &o);
}

static __always_inline struct server_key server_of(const struct sock *sk, bool typed)
{
	return (struct server_key){ .net = (__u64)HF_MEMBER(sk, typed, __sk_common.skc_net.net),
				    .port = HF_MEMBER(sk, typed, __sk_common.skc_num) };
}

/* Somebody asked io_uring to accept. */
static __always_inline void remember_server(const struct sock *sk)
{
	struct server_key key = server_of(sk, false);
	struct bpf_open_connection o = { .accepted = true };

	if (!end_id)
		return;
	HF_TAKE_WHO(&o);
	bpf_map_update_elem(&uring_servers, &key, &o, BPF_ANY);
	has_uring_servers = true;
}

/* A connection to such a server, on behalf of nobody. */
static __always_inline void begin_served(const struct sock *sk)
{
	struct server_key key = server_of(sk, true);
	const struct bpf_open_connection *server = bpf_map_lookup_elem(&uring_servers, &key);
	struct bpf_open_connection o;

	if (!server)
		return;
	o = *server;
	o.mono_ns = bpf_ktime_get_ns();
	o.peer = hash_peer(sk, true);
	put_open(sk, &o);
}

/* The TCP connection below one of several ways, whose own socket nobody has a descriptor of. */
static __always_inline bool is_below_mptcp(const struct sock *sk)
{
	const struct tcp_sock *tcp = (const void *)sk;

	return bpf_core_field_exists(tcp->is_mptcp) && BPF_CORE_READ_BITFIELD_PROBED(tcp, is_mptcp);
}

/* By a process, none of the kernel's threads. */
static __always_inline bool is_by_process(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	return task->mm && bpf_get_current_pid_tgid() >> 32 != self;
}

static __always_inline void fill_end(struct bpf_socket_call *c, const struct sock *sk, const struct tcp_sock *tcp,
				     bool typed, const struct bpf_open_connection *o)
{
	__builtin_memset(c, 0, sizeof(*c));
	c->head.id = end_id;
	c->head.tgid = o->tgid;
	c->head.tid = o->tid;
	c->head.count = 1;
	c->head.mono_ns = bpf_ktime_get_ns();
	c->head.start_ns = o->start_ns;
	c->socket.ino = o->ino;
	c->socket.family = HF_MEMBER(sk, typed, __sk_common.skc_family);
	c->socket.type = SOCK_STREAM;
	c->socket.protocol = IPPROTO_TCP;
	take_ip(&c->socket, sk, typed);
	/* The port may be given back by now. */
	c->socket.local_port = swap16(HF_MEMBER((const struct inet_sock *)tcp, typed, inet_sport));
	c->socket.flags |= BPF_SOCKET_LOCAL | (o->accepted ? BPF_SOCKET_ACCEPTED : 0);
}

static __always_inline void tell_end(const struct sock *sk, bool typed, const struct bpf_open_connection *o)
{
	const struct tcp_sock *tcp = typed ? bpf_skc_to_tcp_sock((void *)sk) : (const void *)sk;
	__u32 scratch = typed ? SCRATCH_STATE : SCRATCH_CALL;
	struct bpf_flood *f = bpf_map_lookup_elem(&end_scratches, &scratch), *before;
	__u64 sent, again, received, open_ns;

	if (!f || !tcp)
		return;
	sent = HF_MEMBER(tcp, typed, bytes_sent);
	again = HF_MEMBER(tcp, typed, bytes_retrans);
	received = HF_MEMBER(tcp, typed, bytes_received);
	fill_end(&f->first, sk, tcp, typed, o);
	sent -= again < sent ? again : sent;
	/* The peer's end counts as a byte. */
	if (received && HF_MEMBER(sk, typed, __sk_common.skc_flags) & 1UL << SOCK_DONE)
		received--;
	open_ns = o->mono_ns ? f->first.head.mono_ns - o->mono_ns : 0;
	before = counted_with(f, !o->accepted, 0);
	if (before) {
		__sync_fetch_and_add(&before->first.head.args[BPF_END_SENT], sent);
		__sync_fetch_and_add(&before->first.head.args[BPF_END_RECEIVED], received);
		__sync_fetch_and_add(&before->first.head.args[BPF_END_OPEN_NS], open_ns);
		return;
	}
	f->first.head.args[BPF_END_SENT] = sent;
	f->first.head.args[BPF_END_RECEIVED] = received;
	f->first.head.args[BPF_END_OPEN_NS] = open_ns;
	if (bpf_ringbuf_output(&ring, &f->first, sizeof(f->first), 0))
		__sync_fetch_and_add(&lost[BPF_PROGRAM_ENDS], 1);
}

/* Who removes it tells it. */
static __always_inline void end_adopted(const struct sock *sk, bool typed, bool known)
{
	__u64 cookie = HF_MEMBER(sk, typed, __sk_common.skc_cookie.counter);
	const struct bpf_open_connection *found = cookie ? bpf_map_lookup_elem(&adopted, &cookie) : NULL;
	struct bpf_open_connection o;

	if (!found)
		return;
	o = *found;
	if (bpf_map_delete_elem(&adopted, &cookie) == 0 && !known)
		tell_end(sk, typed, &o);
}

static __always_inline int end_connection(const struct sock *sk, bool typed)
{
	__u64 key = (__u64)sk;
	const struct bpf_open_connection *found = bpf_map_lookup_elem(&open_connections, &key);
	struct bpf_open_connection o;

	if (has_adopted)
		end_adopted(sk, typed, found != NULL);
	if (!found)
		return 0;
	o = *found;
	if (bpf_map_delete_elem(&open_connections, &key) == 0 && o.mono_ns && o.peer == hash_peer(sk, typed))
		tell_end(sk, typed, &o);
	return 0;
}

/* Functions of their own have a stack of their own. */
static __noinline int end_handed(const struct sock *sk)
{
	return end_connection(sk, true);
}

static __noinline int end_found(const struct sock *sk)
{
	return end_connection(sk, false);
}

static __always_inline void begin_accepted(const struct sock *sk, const struct bpf_socket_call *c)
{
	const struct bpf_socket *k = &c->socket;

	if (!end_id || (k->family != AF_INET && k->family != AF_INET6))
		return;
	if (k->protocol == IPPROTO_MPTCP && bpf_core_type_exists(struct mptcp_sock))
		sk = BPF_CORE_READ((const struct mptcp_sock *)sk, first);
	else if (k->protocol != IPPROTO_TCP)
		return;
	if (!sk)
		return;
	remember_accept(sk, c);
	/* It may be over already. */
	if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
		end_found(sk);
}

/* The first of them is the caller's, who connects; in the others anybody runs. */
SEC("tp_btf/inet_sock_set_state")
int on_state(__u64 *ctx)
{
	const struct sock *sk = (const void *)ctx[0];
	int before = (int)ctx[1], state = (int)ctx[2];
	__u64 key = (__u64)sk, ino;
	struct bpf_open_connection *o;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (state == TCP_SYN_SENT) {
		ino = sk->sk_socket->file->f_inode->i_ino;
		if ((ino || is_below_mptcp(sk)) && is_by_process())
			remember_connect(sk, ino);
	} else if (state == TCP_ESTABLISHED) {
		o = bpf_map_lookup_elem(&open_connections, &key);
		if (o && !o->mono_ns)
			o->mono_ns = bpf_ktime_get_ns();
		else if (before == TCP_SYN_RECV && has_uring_servers)
			begin_served(sk);
	} else if (state == TCP_CLOSE) {
		end_handed(sk);
	}
	return 0;
}

#endif
