/*
 * The exit of system calls, where one BPF program runs for all who are told of some (watch/bpf_calls.h,
 * watch/bpf_opens.h). It is attached while there are any.
 */
#ifndef WATCH_BPF_EXITS_H
#define WATCH_BPF_EXITS_H

#include <stdint.h>

#include "watch/bpf/record.h"

struct bpf_program;
struct exits_bpf;

/* Zeroed it is ready, and there is nothing to free. It outlives who is opened with it, by one thread at a time. */
struct bpf_exits {
	struct exits_bpf *skeleton; /* NULL: nobody is told */
	const struct bpf_program *programs[BPF_EXITS];
};

/* --- of those who are told */

/* The loaded program gets the place, of whoever had it. 0, or a negative errno. */
int bpf_exits_join(struct bpf_exits *x, enum bpf_exit place, const struct bpf_program *p);
/* Calls, by number, that go to that place from now on: those that are not 0. Any thread, while it is taken. */
void bpf_exits_ask(struct bpf_exits *x, enum bpf_exit place, const uint8_t calls[BPF_CALL_NUMBERS],
		   const uint8_t compat[BPF_CALL_NUMBERS]);
/* Nothing when another has the place by now. */
void bpf_exits_leave(struct bpf_exits *x, enum bpf_exit place, const struct bpf_program *p);
/* How often the kernel did not run the program, whatever the call was. Any thread, while any place is taken. */
uint64_t bpf_exits_missed(const struct bpf_exits *x);

#endif
