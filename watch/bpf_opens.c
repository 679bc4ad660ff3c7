/*
 * The BPF program of opens: loading it with what is wanted, reading its ring. On the thread that opens, then on the one
 * that takes.
 */
#include "watch/bpf_opens.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/util.h"
#include "watch/bpf-load.h"
#include "watch/bpf/opens.skel.h"
#include "watch/bpf/record.h"

_Static_assert(BPF_OPENS_ROWS == BPF_OPEN_NAMES, "the program has that room");

struct bpf_opens {
	struct opens_bpf *skeleton;
	struct bpf_exits *exits;
	uint64_t missed; /* by others before */
	struct bpf_ring ring;
	struct arena arena; /* of the record at hand */

	/* Of bpf_opens_take. */
	void (*fn)(const struct bpf_open_event *e, void *data);
	void *data;
};

static void on_record(void *ctx, const void *data, size_t len)
{
	struct bpf_opens *b = ctx;
	struct bpf_open_event e;

	arena_reset(&b->arena);
	if (bpf_decode_open(data, len, &b->arena, &e) == 0)
		b->fn(&e, b->data);
}

/* --- what is wanted */

/* A beginning of one byte stands for all pairs that begin with it; a name of one byte ends with its NUL. */
static void put_pair(struct opens_bpf *s, const struct bpf_opens_row *row)
{
	unsigned int first = (uint8_t)row->s[0], second = row->len > 1 ? (uint8_t)row->s[1] : 0,
		     last = row->what == BPF_OPENS_START && row->len == 1 ? 255 : second;

	for (unsigned int i = first << 8 | second; i <= (first << 8 | last); i++)
		s->bss->pairs[i / 64] |= 1ULL << (i & 63);
}

static int put_name(const struct opens_bpf *s, const struct bpf_opens_row *row)
{
	int fd = bpf_map__fd(s->maps.names);
	char key[BPF_OPEN_NAME] = { 0 };
	uint32_t as = 0;

	memcpy(key, row->s, MIN(row->len, sizeof(key) - 1));
	bpf_map_lookup_elem(fd, key, &as);
	as |= row->what == BPF_OPENS_FILE ? row->classes : BPF_OPEN_WAY(row->classes);
	return bpf_map_update_elem(fd, key, &as, BPF_ANY);
}

static bool begins(const struct bpf_opens_row *row, const struct bpf_opens_row *start)
{
	return start->what == BPF_OPENS_START && start->len <= row->len && memcmp(row->s, start->s, start->len) == 0;
}

/* The longest is found: it stands for all that it begins with too. */
static int put_start(const struct opens_bpf *s, const struct bpf_opens_wants *w, const struct bpf_opens_row *row)
{
	size_t len = MIN(row->len, (size_t)BPF_OPEN_NAME - 1);
	struct {
		uint32_t bits;
		char name[BPF_OPEN_NAME];
	} key = { .bits = (uint32_t)len * 8 };
	uint32_t classes = 0, before = 0;
	int fd = bpf_map__fd(s->maps.starts);

	memcpy(key.name, row->s, len);
	bpf_map_lookup_elem(fd, &key, &before);
	for (size_t i = 0; i < w->n; i++)
		if (begins(row, &w->rows[i]))
			classes |= w->rows[i].classes;
	classes |= before;
	return bpf_map_update_elem(fd, &key, &classes, BPF_ANY);
}

static int put_comm(const struct opens_bpf *s, const struct bpf_opens_row *row)
{
	int fd = bpf_map__fd(s->maps.comms);
	char key[16] = { 0 };
	uint32_t classes = 0;

	memcpy(key, row->s, MIN(row->len, sizeof(key) - 1));
	bpf_map_lookup_elem(fd, key, &classes);
	classes |= row->classes;
	return bpf_map_update_elem(fd, key, &classes, BPF_ANY);
}

static int put_row(struct opens_bpf *s, const struct bpf_opens_wants *w, const struct bpf_opens_row *row)
{
	switch (row->what) {
	case BPF_OPENS_FILE:
	case BPF_OPENS_WAY:
		return put_name(s, row);
	case BPF_OPENS_START:
		return put_start(s, w, row);
	case BPF_OPENS_COMM:
		return put_comm(s, row);
	case BPF_OPENS_WHATS:
		break;
	}
	return -EINVAL;
}

static int fill(struct opens_bpf *s, const struct bpf_opens_wants *w)
{
	int r = 0;

	for (size_t i = 0; i < w->n && r == 0; i++) {
		if (!w->rows[i].len)
			return -EINVAL;
		if (w->rows[i].what != BPF_OPENS_COMM)
			put_pair(s, &w->rows[i]);
		r = put_row(s, w, &w->rows[i]);
	}
	return r;
}

static void set_calls(struct opens_bpf *s)
{
	/* Of this architecture, and of i386; elsewhere none is taken for such a call. */
	static const struct {
		int number, compat;
		enum bpf_open_call call;
	} calls[] = {
#ifdef SYS_open
		{ SYS_open, 5, BPF_OPEN_OPEN },
#endif
#ifdef SYS_creat
		{ SYS_creat, 8, BPF_OPEN_CREAT },
#endif
		{ SYS_openat, 295, BPF_OPEN_OPENAT },
		{ 437, 437, BPF_OPEN_OPENAT2 }, /* the same everywhere */
		{ SYS_open_by_handle_at, 342, BPF_OPEN_HANDLE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		s->bss->is_open[calls[i].number] = (uint8_t)calls[i].call;
		s->bss->is_open_compat[calls[i].compat] = (uint8_t)calls[i].call;
	}
}

/* --- life */

static void set_kinds(struct opens_bpf *s, const struct bpf_opens_wants *w)
{
	bool any[BPF_OPENS_WHATS] = { false };
	uint32_t wanted = w->always;

	for (size_t i = 0; i < w->n; i++) {
		any[w->rows[i].what] = true;
		wanted |= w->rows[i].classes;
	}
	s->rodata->wanted = wanted;
	s->rodata->always = w->always;
	s->rodata->calls_too = wanted & ~BPF_OPEN_BIT(BPF_OPENS_READ);
	s->rodata->by_name = any[BPF_OPENS_FILE] || any[BPF_OPENS_WAY];
	s->rodata->by_start = any[BPF_OPENS_START];
	s->rodata->by_comm = any[BPF_OPENS_COMM];
	s->rodata->dirs_too = w->dirs;
}

static int start(struct bpf_opens *b, const struct bpf_opens_wants *wants, size_t ring)
{
	struct opens_bpf *s = b->skeleton = opens_bpf__open();
	int r;

	if (!s)
		return -errno;
	set_kinds(s, wants);
	r = bpf_ring_resize(s->maps.ring, ring ? ring : BPF_OPENS_RING);
	if (r == 0)
		r = opens_bpf__load(s);
	if (r < 0)
		return r;
	set_calls(s);
	r = fill(s, wants);
	if (r == 0)
		r = bpf_ring_open(&b->ring, s->maps.ring, on_record, b);
	if (r == 0)
		r = bpf_exits_join(b->exits, BPF_EXIT_OPENS, s->progs.on_exit);
	if (r < 0)
		return r;
	b->missed = bpf_exits_missed(b->exits);
	bpf_exits_ask(b->exits, BPF_EXIT_OPENS, s->bss->is_open, s->bss->is_open_compat);
	return 0;
}

int bpf_opens_open(struct bpf_exits *exits, const struct bpf_opens_wants *wants, size_t ring, struct bpf_opens **ret,
		   struct buf *err)
{
	_cleanup_(bpf_opens_close_p) struct bpf_opens *b = NULL;
	int r = bpf_load_begin(err);

	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->exits = exits;
	r = start(b, wants, ring);
	if (r < 0)
		return bpf_load_failed(err, "opens", r);
	*ret = TAKE_PTR(b);
	return 0;
}

void bpf_opens_close(struct bpf_opens *b)
{
	if (!b)
		return;
	if (b->skeleton)
		bpf_exits_leave(b->exits, BPF_EXIT_OPENS, b->skeleton->progs.on_exit);
	bpf_ring_close(&b->ring);
	opens_bpf__destroy(b->skeleton);
	arena_free(&b->arena);
	free(b);
}

int bpf_opens_fd(const struct bpf_opens *b)
{
	return b->ring.fd;
}

int bpf_opens_take(struct bpf_opens *b, unsigned int max, void (*fn)(const struct bpf_open_event *e, void *data),
		   void *data)
{
	b->fn = fn;
	b->data = data;
	return (int)bpf_ring_take(&b->ring, max);
}

uint64_t bpf_opens_lost(const struct bpf_opens *b)
{
	return __atomic_load_n(&b->skeleton->bss->lost, __ATOMIC_RELAXED) + bpf_exits_missed(b->exits) - b->missed;
}
