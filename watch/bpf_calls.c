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
#include "lib/util.h"
#include "watch/bpf/calls.skel.h"

struct bpf_calls {
	struct calls_bpf *skeleton;
	struct bpf_exits *exits;
	uint64_t missed; /* by others before */
	struct bpf_ring ring;
	bool uring, ends, datagram_ends;
	struct arena arena; /* of the record at hand */

	/* Of bpf_calls_take. */
	void (*fn)(const struct bpf_call_event *e, void *data);
	void *data;
};

_Static_assert((int)CALL_INODE_FLAGS == BPF_CALL_INODE_FLAGS && (int)CALL_PATHS == BPF_CALL_PATHS &&
		       (int)CALL_OPEN == BPF_CALL_OPEN && (int)CALL_CODE == BPF_CALL_CODE &&
		       (int)CALL_CODE_NEW == BPF_CALL_CODE_NEW && (int)CALL_CONNECT == BPF_CALL_CONNECT &&
		       (int)CALL_DUP == BPF_CALL_DUP && (int)CALL_END == BPF_CALL_END &&
		       (int)CALL_DATAGRAM_END == BPF_CALL_DATAGRAM_END && (int)CALL_INHERIT == BPF_CALL_INHERIT &&
		       (int)CALL_HANDS_MESSAGES == BPF_HANDS_MESSAGES,
	       "the table's filters are the program's");
_Static_assert(CALL_SOCKETCALL == BPF_SOCKETCALL && CALL_SOCKETCALLS <= BPF_SOCKETCALLS, "and the other width's");
_Static_assert((int)CALL_ADDRESS_MSGHDR == BPF_ADDRESS_MSGHDR, "so are its addresses");

static void tell(struct bpf_calls *b, const void *data, size_t len, uint64_t count)
{
	struct bpf_call_event e;

	arena_reset(&b->arena);
	if (bpf_decode_call(data, len, &b->arena, &e) < 0)
		return;
	e.count = count ?: e.count;
	b->fn(&e, b->data);
}

static void on_record(void *ctx, const void *data, size_t len)
{
	struct bpf_calls *b = ctx;

	tell(b, data, len, 0);
}

/* A path goes from the descriptor before it, or from the working folder. */
static uint8_t base_of(const struct call_info *c, size_t arg)
{
	if (c->args[arg].type != CALL_ARG_PATH)
		return 0;
	return arg && c->args[arg - 1].type == CALL_ARG_NUMBER ? (uint8_t)arg : BPF_BASE_CWD;
}

static void fill_rows(struct calls_bpf *skeleton)
{
	for (size_t i = 0; i < call_count && i + 1 < BPF_CALL_ROWS; i++) {
		struct bpf_call_row *row = &skeleton->bss->rows[i + 1];
		size_t texts = 0;

		row->filter = call_table[i].filter;
		row->address = call_table[i].address;
		row->hands_on = call_table[i].hands_on;
		if (call_table[i].of_file && call_table[i].filter != CALL_PATHS)
			row->text[texts++] = BPF_TEXT_PATH;
		for (size_t k = 0; k < 4 && texts < CALL_TEXTS; k++) {
			if (!call_arg_is_text(call_table[i].args[k].type))
				continue;
			row->base[texts] = base_of(&call_table[i], k);
			row->text[texts++] = (uint8_t)(k + 1);
		}
	}
}

static bool wants_inherited(const struct bpf_calls_wants *wants)
{
	for (size_t i = 0; i < call_count; i++)
		if (call_table[i].filter == CALL_INHERIT && wants->calls[i])
			return true;
	return false;
}

/* Calls that hand on descriptors are looked at for those, too. */
static uint8_t id_of(const struct bpf_calls_wants *wants, const struct call_info *c)
{
	bool asked = wants->calls[c - call_table] || (c->hands_on && wants_inherited(wants));

	return asked && c->filter != CALL_OPEN ? (uint8_t)(c - call_table + 1) : 0;
}

static uint8_t id_of_name(const struct bpf_calls_wants *wants, const char *name)
{
	const struct call_info *c = name ? call_by_name(name, strlen(name)) : NULL;

	return c ? id_of(wants, c) : 0;
}

static void want_compat(struct calls_bpf__bss *bss, const struct bpf_calls_wants *wants)
{
	bool any = false;

	for (size_t i = 0; i < CALL_SOCKETCALLS; i++) {
		bss->socketcall_of[i] = id_of_name(wants, call_of_socketcall[i]);
		any |= bss->socketcall_of[i] != 0;
	}
	for (size_t i = 0; i < call_compat_count; i++) {
		int number = call_compat_table[i].number;

		if (number >= 0 && number < BPF_CALL_NUMBERS)
			bss->compat_of[number] = id_of_name(wants, call_compat_table[i].name);
	}
	/* Any number but 0: the program looks further. */
	if (call_compat_table[0].number >= 0)
		bss->compat_of[CALL_SOCKETCALL] = any;
}

static void forget_all(const struct bpf_map *map)
{
	int fd = bpf_map__fd(map);
	uint64_t key;

	for (unsigned int i = 0; i < BPF_OPEN_MAX && bpf_map_get_next_key(fd, NULL, &key) == 0; i++)
		bpf_map_delete_elem(fd, &key);
}

/* The program runs only while somebody asks: it sees each step of each connection. */
static void want_ends(struct bpf_calls *b, uint8_t id)
{
	struct calls_bpf *s = b->skeleton;

	s->bss->end_id = id;
	if (id && !s->links.on_state && bpf_program__fd(s->progs.on_state) >= 0)
		s->links.on_state = bpf_program__attach(s->progs.on_state);
	if (!id && s->links.on_state) {
		bpf_link__destroy(TAKE_PTR(s->links.on_state));
		s->bss->has_adopted = s->bss->has_uring_servers = false;
		forget_all(s->maps.open_connections);
		forget_all(s->maps.adopted);
	}
	b->ends = s->links.on_state != NULL;
}

static struct bpf_link *attach_root(const struct bpf_program *p, int root)
{
	return root < 0 || bpf_program__fd(p) < 0 ? NULL : bpf_program__attach_cgroup(p, root);
}

static void drop(struct bpf_link **link)
{
	bpf_link__destroy(TAKE_PTR(*link));
}

/* The same: they see each packet. */
static void want_datagram_ends(struct bpf_calls *b, uint8_t id)
{
	struct calls_bpf *s = b->skeleton;
	_cleanup_close_ int root = id && !b->datagram_ends ? bpf_cgroup_root() : -1;

	s->bss->datagram_end_id = id;
	if (id && !b->datagram_ends) {
		s->links.on_release = attach_root(s->progs.on_release, root);
		s->links.on_datagram_in = attach_root(s->progs.on_datagram_in, root);
		s->links.on_datagram_out = attach_root(s->progs.on_datagram_out, root);
		b->datagram_ends = s->links.on_release && s->links.on_datagram_in && s->links.on_datagram_out;
	}
	if (id && b->datagram_ends)
		return;
	drop(&s->links.on_datagram_in);
	drop(&s->links.on_datagram_out);
	drop(&s->links.on_release);
	b->datagram_ends = false;
}

/* Each start is looked at while somebody asks. */
static void want_inherited(struct bpf_calls *b, uint8_t id)
{
	struct calls_bpf *s = b->skeleton;

	s->bss->held_id = id;
	if (id && !s->links.on_start)
		s->links.on_start = bpf_program__attach(s->progs.on_start);
	if (!id)
		drop(&s->links.on_start);
}

void bpf_calls_want(struct bpf_calls *b, const struct bpf_calls_wants *wants)
{
	struct calls_bpf__bss *bss = b->skeleton->bss;

	bss->families = wants->unix_too ? BPF_FAMILY_IP | BPF_FAMILY_UNIX : BPF_FAMILY_IP;
	bss->wants_data = wants->data;
	for (size_t i = 0; i < call_count; i++) {
		const struct call_info *c = &call_table[i];
		uint8_t id = id_of(wants, c);

		bss->rows[i + 1].quiet = !wants->calls[i];
		if (c->number >= 0 && c->number < BPF_CALL_NUMBERS)
			bss->call_of[c->number] = id;
		if (c->uring && c->uring < BPF_URING_OPS)
			bss->uring_of[c->uring] = id;
		if (c->filter == CALL_END)
			want_ends(b, id);
		if (c->filter == CALL_DATAGRAM_END)
			want_datagram_ends(b, id);
		if (c->filter == CALL_INHERIT)
			want_inherited(b, id);
	}
	want_compat(bss, wants);
	bpf_exits_ask(b->exits, BPF_EXIT_CALLS, bss->call_of, bss->compat_of);
}

/* What the kernel may lack: a tracepoint, or what a program reads. */
enum { WITHOUT_URING = 1, WITHOUT_ENDS = 2, WITHOUT_DATAGRAMS = 4, WITHOUT_ALL = 7 };

static int load(struct bpf_calls *b, size_t ring, unsigned int without)
{
	int r;

	calls_bpf__destroy(b->skeleton);
	b->skeleton = calls_bpf__open();
	if (!b->skeleton)
		return -errno;
	r = bpf_ring_resize(b->skeleton->maps.ring, ring ? ring : BPF_CALLS_RING);
	if (r < 0)
		return r;
	bpf_program__set_autoload(b->skeleton->progs.on_uring, !(without & WITHOUT_URING));
	bpf_program__set_autoload(b->skeleton->progs.on_state, !(without & WITHOUT_ENDS));
	bpf_program__set_autoload(b->skeleton->progs.on_datagram_in, !(without & WITHOUT_DATAGRAMS));
	bpf_program__set_autoload(b->skeleton->progs.on_datagram_out, !(without & WITHOUT_DATAGRAMS));
	bpf_program__set_autoload(b->skeleton->progs.on_release, !(without & WITHOUT_DATAGRAMS));
	return calls_bpf__load(b->skeleton);
}

static int attach(struct bpf_calls *b)
{
	struct calls_bpf *s = b->skeleton;

	int r = bpf_exits_join(b->exits, BPF_EXIT_CALLS, s->progs.on_exit);

	if (r < 0)
		return r;
	b->missed = bpf_exits_missed(b->exits);
	if (bpf_program__fd(s->progs.on_uring) >= 0)
		s->links.on_uring = bpf_program__attach(s->progs.on_uring);
	b->uring = s->links.on_uring != NULL;
	return 0;
}

static int start(struct bpf_calls *b, const struct bpf_calls_wants *wants, size_t ring)
{
	int r = -ENOTSUP;

	for (unsigned int without = 0; without <= WITHOUT_ALL && r < 0; without++)
		r = load(b, ring, without);
	if (r < 0)
		return r;
	b->skeleton->bss->self = (uint32_t)getpid();
	fill_rows(b->skeleton);
	r = bpf_ring_open(&b->ring, b->skeleton->maps.ring, on_record, b);
	if (r == 0)
		r = attach(b);
	if (r == 0)
		bpf_calls_want(b, wants);
	return r;
}

int bpf_calls_open(struct bpf_exits *exits, const struct bpf_calls_wants *wants, size_t ring, struct bpf_calls **ret,
		   struct buf *err)
{
	_cleanup_(bpf_calls_close_p) struct bpf_calls *b = NULL;
	int r = bpf_load_begin(err);

	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->exits = exits;
	r = start(b, wants, ring);
	if (r < 0)
		return bpf_load_failed(err, "system calls", r);
	*ret = TAKE_PTR(b);
	return 0;
}

void bpf_calls_close(struct bpf_calls *b)
{
	if (!b)
		return;
	if (b->skeleton)
		bpf_exits_leave(b->exits, BPF_EXIT_CALLS, b->skeleton->progs.on_exit);
	bpf_ring_close(&b->ring);
	calls_bpf__destroy(b->skeleton);
	arena_free(&b->arena);
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
	return (int)bpf_ring_take(&b->ring, max);
}

bool bpf_calls_uring(const struct bpf_calls *b)
{
	return b->uring;
}

bool bpf_calls_ends(const struct bpf_calls *b)
{
	return b->ends;
}

bool bpf_calls_datagram_ends(const struct bpf_calls *b)
{
	return b->datagram_ends;
}

int bpf_calls_adopt(struct bpf_calls *b, const struct event_socket *s, int32_t pid, uint64_t start_ns)
{
	struct bpf_open_connection o = {
		.start_ns = start_ns, .ino = s->ino, .tgid = pid, .tid = pid, .accepted = s->accepted, .adopted = 1
	};

	if (!b->ends)
		return -ENOTSUP;
	if (bpf_map_update_elem(bpf_map__fd(b->skeleton->maps.adopted), &s->cookie, &o, BPF_NOEXIST) < 0)
		return -errno;
	__atomic_store_n(&b->skeleton->bss->has_adopted, true, __ATOMIC_RELEASE);
	return 0;
}

/* --- calls that were counted */

struct drain {
	struct bpf_calls *b;
	uint32_t period; /* that goes on */
	bool more;
};

static void drain(int fd, const void *data, void *ctx)
{
	const struct bpf_flood_key *key = data;
	struct drain *d = ctx;
	struct bpf_flood f;

	if (key->period == d->period) {
		d->more = true;
		return;
	}
	if (bpf_map_lookup_elem(fd, key, &f))
		return;
	if (f.more)
		tell(d->b, &f.first, sizeof(f.first), f.more);
	bpf_map_delete_elem(fd, key);
}

bool bpf_calls_counted(struct bpf_calls *b, void (*fn)(const struct bpf_call_event *e, void *data), void *data)
{
	struct drain d = { b, b->skeleton->bss->period & 1, false };

	b->fn = fn;
	b->data = data;
	bpf_map_each_key(b->skeleton->maps.floods, 4 * BPF_FLOODS_MAX, drain, &d);
	/* Nobody writes to the one that was emptied: programs that began in it are through long since. */
	__atomic_store_n(&b->skeleton->bss->period, !d.period, __ATOMIC_RELEASE);
	return d.more;
}

void bpf_calls_lost(const struct bpf_calls *b, uint64_t ret[BPF_CALL_PROGRAMS])
{
	for (size_t i = 0; i < BPF_CALL_PROGRAMS; i++)
		ret[i] = __atomic_load_n(&b->skeleton->bss->lost[i], __ATOMIC_RELAXED);
	ret[BPF_PROGRAM_CALLS] += bpf_exits_missed(b->exits) - b->missed;
	ret[BPF_PROGRAM_ENDS] += bpf_missed(b->skeleton->progs.on_state);
}
