/* The one BPF program at the exit of system calls: loading it, and who gets which call. */
#include "watch/bpf_exits.h"

#include <errno.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/cleanup.h"
#include "watch/bpf-load.h"
#include "watch/bpf/exits.skel.h"

static void unload(struct bpf_exits *x)
{
	exits_bpf__destroy(TAKE_PTR(x->skeleton));
}

static int load(struct bpf_exits *x)
{
	int r;

	x->skeleton = exits_bpf__open_and_load();
	if (!x->skeleton)
		return -errno;
	x->skeleton->bss->self = (uint32_t)getpid();
	r = exits_bpf__attach(x->skeleton);
	if (r < 0)
		unload(x);
	return r;
}

int bpf_exits_join(struct bpf_exits *x, enum bpf_exit place, const struct bpf_program *p)
{
	int r = x->skeleton ? 0 : load(x), program = bpf_program__fd(p);
	uint32_t key = place;

	if (r < 0)
		return r;
	r = bpf_map_update_elem(bpf_map__fd(x->skeleton->maps.programs), &key, &program, BPF_ANY);
	if (r == 0)
		x->programs[place] = p;
	return r;
}

void bpf_exits_ask(struct bpf_exits *x, enum bpf_exit place, const uint8_t calls[BPF_CALL_NUMBERS],
		   const uint8_t compat[BPF_CALL_NUMBERS])
{
	const uint8_t *const wanted[] = { calls, compat };

	for (size_t i = 0; i < BPF_CALL_NUMBERS; i++) {
		for (int c = 0; c < 2; c++) {
			uint8_t *asked = &x->skeleton->bss->asked[i], bits = (uint8_t)(place << BPF_EXIT_SHIFT(c));

			/* Nobody asks for what another does: opens are told as such alone. */
			if (wanted[c][i])
				__atomic_fetch_or(asked, bits, __ATOMIC_RELAXED);
			else if (BPF_EXIT_OF(*asked, c) == place)
				__atomic_fetch_and(asked, (uint8_t)~bits, __ATOMIC_RELAXED);
		}
	}
}

void bpf_exits_leave(struct bpf_exits *x, enum bpf_exit place, const struct bpf_program *p)
{
	static const uint8_t none[BPF_CALL_NUMBERS];
	uint32_t key = place;

	if (x->programs[place] != p)
		return;
	x->programs[place] = NULL;
	bpf_exits_ask(x, place, none, none);
	bpf_map_delete_elem(bpf_map__fd(x->skeleton->maps.programs), &key);
	for (int i = 0; i < BPF_EXITS; i++)
		if (x->programs[i])
			return;
	unload(x);
}

uint64_t bpf_exits_missed(const struct bpf_exits *x)
{
	return bpf_missed(x->skeleton->progs.on_sys_exit);
}
