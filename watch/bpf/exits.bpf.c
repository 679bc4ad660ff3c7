// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The exit of system calls: one program for all who ask for some, as each that is attached there costs every call of
 * every process. It looks the number up, and goes on to the program of who asks for it (calls.bpf.c, opens.bpf.c).
 */
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u8 asked[BPF_CALL_NUMBERS]; /* by number: BPF_EXIT_OF */
__u32 self;		      /* not told */

/* By enum bpf_exit; the first is never there. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, BPF_EXITS);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

/* Typed, so that what every call of every process pays for is one load, not a call of a helper. */
SEC("tp_btf/sys_exit")
int on_sys_exit(__u64 *ctx)
{
	const struct pt_regs *regs = (const void *)ctx[0];
	__u64 number = HF_SYSCALL_NUMBER(regs);
	__u8 by;

	if (number >= BPF_CALL_NUMBERS)
		return 0;
	by = asked[number];
	if (by && bpf_get_current_pid_tgid() >> 32 != self)
		bpf_tail_call(ctx, &programs, BPF_EXIT_OF(by, is_compat()));
	return 0;
}
