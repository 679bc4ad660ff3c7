/*
 * The BPF programs of verdicts over connections: loading them at the root of the unified cgroup hierarchy, filling
 * their tables, reading their ring. On one thread at a time, as the caller sees to it; counters on any.
 */
#include "watch/bpf_policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/parse.h"
#include "watch/bpf-load.h"
#include "watch/bpf/policy.skel.h"

struct bpf_policy {
	struct policy_bpf *skeleton;
	struct bpf_ring ring;
	unsigned int n_containers[2]; /* by table */

	/* Of bpf_policy_take. */
	void (*fn)(const struct bpf_policy_event *e, void *data);
	void *data;
};

/* --- what is told */

static void decode(const struct bpf_denial *d, uint64_t count, struct bpf_policy_event *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, 0xff };

	*ret = (struct bpf_policy_event){
		.tgid = d->tgid,
		.tid = d->tid,
		.mono_ns = d->mono_ns,
		.start_ns = proc_tick(d->start_ns),
		.count = count,
		.denied = d->denied,
		.serial = d->serial,
		.entry = MIN((unsigned)d->entry, (unsigned)POLICY_UNKNOWN),
		.socket = { .op = d->what == BPF_POLICY_SEND ? SOCKET_SEND : SOCKET_CONNECT,
			    .family = memcmp(d->address, mapped, sizeof(mapped)) == 0 ? AF_INET : AF_INET6,
			    .type = d->type,
			    .protocol = d->protocol,
			    .has_remote = true,
			    .new_peer = d->what == BPF_POLICY_SEND,
			    .remote_port = d->port },
	};
	memcpy(ret->socket.remote, d->address, SOCKET_ADDRESS);
}

static void on_record(void *ctx, const void *data, size_t len)
{
	struct bpf_policy *b = ctx;
	struct bpf_policy_event e;

	if (len >= sizeof(struct bpf_denial)) {
		decode(data, 1, &e);
		b->fn(&e, b->data);
	}
}

int bpf_policy_take(struct bpf_policy *b, unsigned int max, void (*fn)(const struct bpf_policy_event *e, void *data),
		    void *data)
{
	b->fn = fn;
	b->data = data;
	return (int)bpf_ring_take(&b->ring, max);
}

struct drain {
	struct bpf_policy *b;
	uint32_t period; /* that goes on */
	bool more;
};

static void drain(int fd, const void *data, void *ctx)
{
	const struct bpf_denial_key *key = data;
	struct bpf_policy_event e;
	struct drain *to = ctx;
	struct bpf_denial d;

	if (key->period == to->period) {
		to->more = true;
		return;
	}
	if (bpf_map_lookup_elem(fd, key, &d))
		return;
	if (d.count) {
		decode(&d, d.count, &e);
		to->b->fn(&e, to->b->data);
	}
	bpf_map_delete_elem(fd, key);
}

bool bpf_policy_counted(struct bpf_policy *b, void (*fn)(const struct bpf_policy_event *e, void *data), void *data)
{
	struct drain d = { b, b->skeleton->bss->period & 1, false };

	b->fn = fn;
	b->data = data;
	bpf_map_each_key(b->skeleton->maps.counted, 4 * BPF_POLICY_COUNTED, drain, &d);
	__atomic_store_n(&b->skeleton->bss->period, !d.period, __ATOMIC_RELEASE);
	return d.more;
}

/* No address is the loopback's own, as for the program. */
static void as_judged(uint8_t address[SOCKET_ADDRESS])
{
	static const uint8_t any[SOCKET_ADDRESS], any4[SOCKET_ADDRESS] = { [10] = 0xff, 0xff };

	if (memcmp(address, any, sizeof(any)) == 0)
		address[15] = 1;
	else if (memcmp(address, any4, sizeof(any4)) == 0)
		address[12] = 127, address[15] = 1;
}

uint64_t bpf_policy_denied(const struct bpf_policy *b, int32_t tid, const struct event_socket *s)
{
	struct bpf_denied_key key = { .tid = tid, .port = s->remote_port };
	uint64_t ret = 0;

	if (!s->has_remote)
		return 0;
	memcpy(key.address, s->remote, sizeof(key.address));
	as_judged(key.address);
	return bpf_map_lookup_elem(bpf_map__fd(b->skeleton->maps.denied), &key, &ret) ? 0 : ret;
}

void bpf_policy_get_counts(const struct bpf_policy *b, struct bpf_policy_counts *ret)
{
	const struct policy_bpf__bss *bss = b->skeleton->bss;

	*ret = (struct bpf_policy_counts){
		.judged = __atomic_load_n(&bss->counts[0], __ATOMIC_RELAXED),
		.denied = __atomic_load_n(&bss->counts[1], __ATOMIC_RELAXED),
		.unknown = __atomic_load_n(&bss->counts[2], __ATOMIC_RELAXED),
		.lost = __atomic_load_n(&bss->lost, __ATOMIC_RELAXED),
		.lost_names = __atomic_load_n(&bss->lost_names, __ATOMIC_RELAXED),
	};
}

/* --- tables */

static int put_subjects(int fd, uint32_t table, const struct policy_subject_bits *all, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct bpf_policy_key key = { .table = table, .value = { all[i].value[0], all[i].value[1] } };

		r = bpf_map_update_elem(fd, &key, &all[i].bits, BPF_ANY);
	}
	return r;
}

static int put_prefixes(int fd, uint32_t table, const struct policy_table *t)
{
	int r = 0;

	for (size_t i = 0; i < t->n_prefixes && r == 0; i++) {
		struct bpf_policy_prefix key = { .len = 8U + t->prefixes[i].len, .table = (uint8_t)table };

		memcpy(key.address, t->prefixes[i].address, sizeof(key.address));
		r = bpf_map_update_elem(fd, &key, &t->prefixes[i].bits, BPF_ANY);
	}
	return r;
}

static void drop_prefix(int fd, const void *data, void *table)
{
	const struct bpf_policy_prefix *key = data;

	if (key->table == *(uint32_t *)table)
		bpf_map_delete_elem(fd, key);
}

static void drop_key(int fd, const void *data, void *table)
{
	const struct bpf_policy_key *key = data;

	if (key->table == *(uint32_t *)table)
		bpf_map_delete_elem(fd, key);
}

/* Of the table before the one in force, and of one that could not be filled: neither may count in the next. */
static void empty_place(struct bpf_policy *b, uint32_t table)
{
	const struct policy_bpf *s = b->skeleton;
	const struct bpf_map *const all[] = { s->maps.containers, s->maps.users, s->maps.programs, s->maps.domains };

	bpf_map_each_key(s->maps.prefixes, 4 * BPF_POLICY_PREFIXES, drop_prefix, &table);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		bpf_map_each_key(all[i], 4 * BPF_POLICY_CONTAINERS, drop_key, &table);
	b->n_containers[table] = 0;
}

int bpf_policy_fill(struct bpf_policy *b, const struct policy_table *t, bool enforce)
{
	uint32_t table = t->set.serial & 1;
	struct policy_bpf *s = b->skeleton;
	int r;

	empty_place(b, table);
	memcpy(&s->bss->tables[table], &t->set, sizeof(t->set));
	s->bss->tables[table].enforce = enforce;
	r = put_prefixes(bpf_map__fd(s->maps.prefixes), table, t);
	if (r == 0)
		r = put_subjects(bpf_map__fd(s->maps.users), table, t->users, t->n_users);
	if (r == 0)
		r = put_subjects(bpf_map__fd(s->maps.programs), table, t->programs, t->n_programs);
	if (r == 0)
		r = put_subjects(bpf_map__fd(s->maps.domains), table, t->domains, t->n_domains);
	return r;
}

int bpf_policy_container(struct bpf_policy *b, const struct policy_table *t, const struct container *c)
{
	uint32_t table = t->set.serial & 1;
	struct bpf_policy_key key = { .table = table, .value = { policy_hash_id(c->id) } };
	int fd = bpf_map__fd(b->skeleton->maps.containers), r;
	struct bpf_policy_bits bits;
	bool known = bpf_map_lookup_elem(fd, &key, &bits) == 0;

	/* Each table has half of the room, however many the other one has. */
	if (!known && b->n_containers[table] == BPF_POLICY_CONTAINERS)
		return -E2BIG;
	policy_of_container(t, c, &bits);
	r = bpf_map_update_elem(fd, &key, &bits, BPF_ANY);
	b->n_containers[table] += r == 0 && !known;
	return r;
}

void bpf_policy_switch(struct bpf_policy *b, const struct policy_table *t)
{
	/* Who is in the middle of a verdict finds the former one whole: it stays until the next takes its place. */
	__atomic_store_n(&b->skeleton->bss->in_force, t->set.serial & 1, __ATOMIC_RELEASE);
}

int bpf_policy_name(struct bpf_policy *b, uint64_t domain, const uint8_t address[SOCKET_ADDRESS], uint64_t ns)
{
	int fd = bpf_map__fd(b->skeleton->maps.learned);
	struct bpf_learned_key key = { .netns = 0 };
	struct bpf_learned l = { { 0 }, { 0 } };
	size_t to = 0;

	memcpy(key.address, address, sizeof(key.address));
	bpf_map_lookup_elem(fd, &key, &l);
	for (size_t i = 0; i < BPF_POLICY_NAMES && l.name[to] != domain; i++)
		if (l.name[i] == domain || l.until[i] < l.until[to])
			to = i;
	l.name[to] = domain;
	l.until[to] = clock_mono_ns() + ns;
	return bpf_map_update_elem(fd, &key, &l, BPF_ANY);
}

/* --- loading */

/* What the kernel may not have: packets that tell their network namespace, loops in the reader of DNS. */
static int load(struct bpf_policy *b, bool cookie, bool answers)
{
	int r;

	b->skeleton = policy_bpf__open();
	if (!b->skeleton)
		return -errno;
	b->skeleton->rodata->has_cookie = cookie;
	r = bpf_program__set_autoload(b->skeleton->progs.on_answer, answers);
	if (r == 0)
		r = policy_bpf__load(b->skeleton);
	if (r < 0)
		policy_bpf__destroy(TAKE_PTR(b->skeleton));
	return r;
}

static int attach(struct bpf_policy *b, int root)
{
	struct policy_bpf *s = b->skeleton;
	struct {
		struct bpf_program *program;
		struct bpf_link **link;
	} all[] = { { s->progs.on_connect4, &s->links.on_connect4 },
		    { s->progs.on_connect6, &s->links.on_connect6 },
		    { s->progs.on_send4, &s->links.on_send4 },
		    { s->progs.on_send6, &s->links.on_send6 },
		    { s->progs.on_answer, &s->links.on_answer } };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (bpf_program__fd(all[i].program) < 0)
			continue;
		*all[i].link = bpf_program__attach_cgroup(all[i].program, root);
		if (!*all[i].link)
			return -errno;
	}
	return 0;
}

static int start(struct bpf_policy *b)
{
	_cleanup_close_ int root = bpf_cgroup_root();
	int r;

	if (root < 0)
		return root;
	r = load(b, true, true);
	if (r < 0)
		r = load(b, false, true);
	if (r < 0)
		r = load(b, false, false);
	if (r == 0)
		r = bpf_ring_open(&b->ring, b->skeleton->maps.ring, on_record, b);
	return r < 0 ? r : attach(b, root);
}

int bpf_policy_open(struct bpf_policy **ret, struct buf *err)
{
	_cleanup_(bpf_policy_close_p) struct bpf_policy *b = NULL;
	int r = bpf_load_begin(err);

	if (r < 0)
		return r;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	r = start(b);
	if (r < 0)
		return bpf_load_failed(err, "verdicts over connections", r);
	*ret = TAKE_PTR(b);
	return 0;
}

void bpf_policy_close(struct bpf_policy *b)
{
	if (!b)
		return;
	bpf_ring_close(&b->ring);
	policy_bpf__destroy(b->skeleton);
	free(b);
}

bool bpf_policy_learns(const struct bpf_policy *b)
{
	return b->skeleton->links.on_answer != NULL;
}

int bpf_policy_fd(const struct bpf_policy *b)
{
	return b->ring.fd;
}
