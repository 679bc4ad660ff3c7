/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Connections that are open when they come to another program, for calls.bpf.c: over its start, or from another process
 * that hands on the descriptor. Who made one may be allowed what who uses it is not.
 */
#ifndef WATCH_BPF_HELD_H
#define WATCH_BPF_HELD_H

#include "watch/bpf/ends.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"
#include "watch/bpf/socket.h"

#define SOL_SOCKET 1
#define SCM_RIGHTS 1

__u32 held_id; /* row of them; 0: nobody asks */

/* The descriptor of this process, if it is a connection of IPv4 or IPv6. A function of its own is verified once. */
__noinline int tell_held(__u32 fd)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	/* The same process may start many programs. */
	const __u64 args[6] = { fd, BPF_CORE_READ(task, self_exec_id) };
	struct file *file = socket_file(fd);
	const struct bpf_open_connection *o;
	struct socket_scratch *s;
	struct bpf_socket *k;
	const struct sock *sk;
	__u64 key;

	s = file ? begin_socket(held_id, args, 0) : NULL;
	if (!s)
		return 0;
	k = &s->flood.first.socket;
	sk = take_socket(k, file);
	if ((k->family != AF_INET && k->family != AF_INET6) || !(k->flags & BPF_SOCKET_REMOTE))
		return 0;
	key = (__u64)sk;
	o = bpf_map_lookup_elem(&open_connections, &key);
	if (o && o->peer != hash_peer(sk, false))
		o = NULL;
	if (o || k->type == SOCK_DGRAM)
		k->flags |= o && o->accepted ? BPF_SOCKET_ACCEPTED : BPF_SOCKET_BEGAN;
	end_socket(s, BPF_CALL_INHERIT, BPF_PROGRAM_SOCKETS);
	return 0;
}

/* Those that are left open when a program starts. */
SEC("raw_tp/sched_process_exec")
int on_start(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[0];
	const struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	__u64 open[BPF_HELD_MAX / 64] = { 0 };
	__u32 bytes = BPF_CORE_READ(table, max_fds) / 8;

	/* A whole number of words, at least one. */
	if (bytes > sizeof(open))
		bytes = sizeof(open);
	if (bpf_get_current_pid_tgid() >> 32 == self || bpf_probe_read_kernel(open, bytes, BPF_CORE_READ(table, open_fds)))
		return 0;
	for (__u32 fd = 0; fd < BPF_HELD_MAX; fd++)
		if (open[fd / 64] >> fd % 64 & 1)
			tell_held(fd);
	return 0;
}

struct passed {
	__u64 len; /* of the piece, with its head */
	__u32 level, type;
};

static __always_inline bool read_passed(struct passed *p, __u64 at, bool compat)
{
	__u32 words[3];

	if (!compat)
		return bpf_probe_read_user(p, sizeof(*p), (void *)at) == 0;
	if (bpf_probe_read_user(words, sizeof(words), (void *)at))
		return false;
	*p = (struct passed){ words[0], words[1], words[2] };
	return true;
}

/* The descriptors that stand there. */
__noinline int tell_passed(__u64 at, __u32 n)
{
	__u32 fd;

	for (__u32 i = 0; i < BPF_PASSED_MAX && i < n; i++) {
		if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(at + i * sizeof(fd))))
			break;
		tell_held(fd);
	}
	return 0;
}

/* A message that was received: its control data is in the caller's memory, as the kernel has just put it there. */
__noinline int tell_message(__u64 message)
{
	bool compat = is_compat();
	__u64 control[2] = { 0 }, at, end, align = compat ? 4 : 8, head = compat ? 12 : sizeof(struct passed);
	__u32 words[2] = { 0 };
	struct passed p;

	if (compat) {
		bpf_probe_read_user(words, sizeof(words), (void *)(message + 16));
		control[0] = words[0];
		control[1] = words[1];
	} else {
		bpf_probe_read_user(control, sizeof(control), (void *)(message + 32));
	}
	at = control[0];
	end = at + control[1];
	for (int i = 0; i < BPF_CONTROL_MAX && at && at + head <= end && read_passed(&p, at, compat); i++) {
		if (p.len < head || p.len > end - at)
			break;
		if (p.level == SOL_SOCKET && p.type == SCM_RIGHTS)
			tell_passed(at + head, (__u32)((p.len - head) / sizeof(__u32)));
		at += (p.len + align - 1) & ~(align - 1);
	}
	return 0;
}

static __always_inline void tell_handed_on(__u8 how, const __u64 *args, __s64 result)
{
	__u32 size = is_compat() ? 32 : 64; /* struct mmsghdr */

	if (result < 0)
		return;
	if (how == BPF_HANDS_RESULT)
		tell_held((__u32)result);
	if (how == BPF_HANDS_MESSAGE)
		tell_message(args[1]);
	for (int i = 0; how == BPF_HANDS_MESSAGES && i < BPF_MESSAGES_MAX && i < result; i++)
		tell_message(args[1] + i * size);
}

#endif
