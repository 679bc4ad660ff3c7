// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * System calls as they return, those alone that somebody asks for, into a ring of their own. Which ones these are, and
 * which arguments are strings, is in tables that user space fills. Calls of 32-bit programs on a 64-bit kernel have
 * other numbers: they are passed over.
 */
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

__u8 call_of[BPF_CALL_NUMBERS]; /* by number: 1 and up; 0: nobody asks */
struct bpf_call_row rows[BPF_CALL_ROWS];
__u32 self; /* not told */
__u64 lost;

#define AF_PACKET 17
#define SOCK_RAW  3

static __always_inline bool passes(const struct bpf_call_row *row, const __u64 *args)
{
	if (row->filter == BPF_CALL_RAW_SOCKETS)
		return (__u32)args[0] == AF_PACKET || (args[1] & 0xf) == SOCK_RAW;
	return true;
}

static __always_inline void read_args(const struct pt_regs *regs, __u64 *args)
{
	args[0] = BPF_CORE_READ(regs, HF_ARG0);
	args[1] = BPF_CORE_READ(regs, HF_ARG1);
	args[2] = BPF_CORE_READ(regs, HF_ARG2);
	args[3] = BPF_CORE_READ(regs, HF_ARG3);
	args[4] = BPF_CORE_READ(regs, HF_ARG4);
	args[5] = BPF_CORE_READ(regs, HF_ARG5);
}

static __always_inline void read_text(struct bpf_call *c, unsigned int to, __u64 from)
{
	long n = bpf_probe_read_user_str(c->text[to], sizeof(c->text[to]), (void *)from);

	c->text_len[to] = n > 0 ? (__u32)n : 0;
}

static __always_inline void tell(__u32 id, const struct bpf_call_row *row, const __u64 *args, __s64 result)
{
	const struct task_struct *task = (void *)bpf_get_current_task();
	__u64 ids = bpf_get_current_pid_tgid();
	struct bpf_call *c = bpf_ringbuf_reserve(&ring, sizeof(*c), 0);

	if (!c) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	c->id = id;
	c->tgid = ids >> 32;
	c->tid = (__u32)ids;
	c->mono_ns = bpf_ktime_get_ns();
	c->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	c->result = result;
	c->text_len[0] = c->text_len[1] = 0;
	__builtin_memcpy(c->args, args, sizeof(c->args));
	if (row->text[0])
		read_text(c, 0, args[(row->text[0] - 1) & 3]);
	if (row->text[1])
		read_text(c, 1, args[(row->text[1] - 1) & 3]);
	bpf_ringbuf_submit(c, 0);
}

SEC("raw_tp/sys_exit")
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct pt_regs *regs = (const void *)ctx->args[0];
	__u64 number = HF_SYSCALL_NUMBER(regs), args[6];
	const struct bpf_call_row *row;
	__u32 id;

	if (number >= BPF_CALL_NUMBERS)
		return 0;
	id = call_of[number];
	if (!id)
		return 0;
	if (bpf_get_current_pid_tgid() >> 32 == self || is_compat())
		return 0;
	/* The compiler must not know more of it than the verifier. */
	asm volatile("" : "+r"(id));
	row = &rows[id & (BPF_CALL_ROWS - 1)];
	read_args(regs, args);
	if (passes(row, args))
		tell(id, row, args, ctx->args[1]);
	return 0;
}
