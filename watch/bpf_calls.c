/*
 * The BPF program of system calls: loading it with the tables of what is wanted, reading its ring. On the thread that
 * opens, then on the one that takes.
 */
#include "watch/bpf_calls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "watch/bpf-load.h"
#include "watch/bpf/calls.skel.h"

struct bpf_calls {
	struct calls_bpf *skeleton;
	struct bpf_ring ring;

	/* Of bpf_calls_take. */
	void (*fn)(const struct bpf_call_event *e, void *data);
	void *data;
};

_Static_assert((int)CALL_RAW_SOCKETS == BPF_CALL_RAW_SOCKETS, "the table's filters are the program's");

static int on_record(void *ctx, void *data, size_t len)
{
	struct bpf_calls *b = ctx;
	struct bpf_call_event e;
	struct bpf_call c;

	/* The ring may not be written to. */
	memcpy(&c, data, len < sizeof(c) ? len : sizeof(c));
	if (bpf_decode_call(&c, len, &e) == 0)
		b->fn(&e, b->data);
	return bpf_ring_next(&b->ring);
}

static void fill_rows(struct calls_bpf *skeleton)
{
	for (size_t i = 0; i < call_count && i + 1 < BPF_CALL_ROWS; i++) {
		struct bpf_call_row *row = &skeleton->bss->rows[i + 1];
		size_t texts = 0;

		row->filter = call_table[i].filter;
		for (size_t k = 0; k < 4 && texts < CALL_TEXTS; k++)
			if (call_table[i].args[k].type == CALL_ARG_TEXT)
				row->text[texts++] = (uint8_t)(k + 1);
	}
}

void bpf_calls_want(struct bpf_calls *b, const bool *wanted)
{
	for (size_t i = 0; i < call_count; i++)
		if (call_table[i].number >= 0 && call_table[i].number < BPF_CALL_NUMBERS)
			b->skeleton->bss->call_of[call_table[i].number] = wanted[i] ? (uint8_t)(i + 1) : 0;
}

static int start(struct bpf_calls *b, const bool *wanted, size_t ring)
{
	int r;

	b->skeleton = calls_bpf__open();
	if (!b->skeleton)
		return -errno;
	r = bpf_ring_resize(b->skeleton->maps.ring, ring ? ring : BPF_CALLS_RING);
	if (r == 0)
		r = calls_bpf__load(b->skeleton);
	if (r < 0)
		return r;
	b->skeleton->bss->self = (uint32_t)getpid();
	fill_rows(b->skeleton);
	bpf_calls_want(b, wanted);
	r = bpf_ring_open(&b->ring, b->skeleton->maps.ring, on_record, b);
	return r < 0 ? r : calls_bpf__attach(b->skeleton);
}

int bpf_calls_open(const bool *wanted, size_t ring, struct bpf_calls **ret, struct buf *err)
{
	_cleanup_(bpf_calls_close_p) struct bpf_calls *b = NULL;
	int r = bpf_load_begin(err);

	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	r = start(b, wanted, ring);
	if (r < 0) {
		buf_printf(err, "BPF, system calls: %s", strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(b);
	return 0;
}

void bpf_calls_close(struct bpf_calls *b)
{
	if (!b)
		return;
	bpf_ring_close(&b->ring);
	calls_bpf__destroy(b->skeleton);
	free(b);
}

int bpf_calls_fd(const struct bpf_calls *b)
{
	return b->ring.fd;
}

int bpf_calls_take(struct bpf_calls *b, unsigned int max, void (*fn)(const struct bpf_call_event *e, void *data),
		   void *data)
{
	b->fn = fn;
	b->data = data;
	return bpf_ring_take(&b->ring, max);
}

uint64_t bpf_calls_lost(const struct bpf_calls *b)
{
	return __atomic_load_n(&b->skeleton->bss->lost, __ATOMIC_RELAXED);
}
