// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The verdict over connections: whoever connects, or sends a datagram to an address, is asked about at the root of the
 * cgroups, before anything leaves. Each entry of the policies is a bit; what holds for the destination, the port, the
 * container, the user and the program is combined, and the first entry that is left decides. And answers of DNS
 * (names.h), which name the addresses of entries with domains before the one that asked has them.
 */
#include "watch/bpf/cgroup.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/names.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} ring SEC(".maps");

__u64 lost;	 /* denials that found no room */
__u64 counts[3]; /* judged; denied, or would have been; of containers that are not known */

struct bpf_policy_table tables[2];
__u32 period; /* of what is counted, 0 or 1 */

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 2 * BPF_POLICY_PREFIXES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bpf_policy_prefix);
	__type(value, struct bpf_policy_bits);
} prefixes SEC(".maps");

struct policy_hash containers SEC(".maps");
struct policy_hash users SEC(".maps");
struct policy_hash programs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_POLICY_COUNTED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bpf_denial_key);
	__type(value, struct bpf_denial);
} counted SEC(".maps");

/* When. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct bpf_denied_key);
	__type(value, __u64);
} denied SEC(".maps");

#define NAME_ROOM 128 /* power of two */
#define ID_LEN	  64

HF_SCRATCH(names, char[NAME_ROOM], 1);

/* --- who */

/*
 * The hash of the id when the name is one of a container: 64 hexadecimal digits, alone or behind "RUNTIME-", and maybe
 * before ".scope". 0: it is none, or a runtime's helper.
 */
__noinline __u64 hash_id(__u64 name_at)
{
	__u32 n, at;
	char *name = scratch_of(&names);
	__u64 h = BPF_HASH_START;
	long r;

	if (!name)
		return 0;
	r = bpf_probe_read_kernel_str(name, NAME_ROOM, (void *)name_at);
	if (r <= ID_LEN || r >= NAME_ROOM)
		return 0;
	n = (__u32)r - 1;
	if (name[(n - 1) & (NAME_ROOM - 1)] == 'e' && name[(n - 6) & (NAME_ROOM - 1)] == '.')
		n -= 6;
	if (n < ID_LEN)
		return 0;
	at = n - ID_LEN;
	if (at > 0 && name[(at - 1) & (NAME_ROOM - 1)] != '-')
		return 0;
	/* "libpod-conmon-": the runtime's own. */
	if (at > 7 && name[(at - 2) & (NAME_ROOM - 1)] == 'n' && name[(at - 7) & (NAME_ROOM - 1)] == 'c')
		return 0;
	for (int i = 0; i < ID_LEN; i++) {
		char c = name[(at + i) & (NAME_ROOM - 1)];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return 0;
		h = (h ^ (__u8)c) * BPF_HASH_PRIME;
	}
	return h ?: 1;
}

/* Of the outermost container: what one makes within itself is its own. 0: in none. */
static __always_inline __u64 container_of_task(const struct task_struct *task)
{
	__u64 found = 0;
	__u32 flags;
	struct kernfs_node *kn = cgroup_of(task, &flags), *parent;

	for (int i = 0; i < BPF_DEPTH_MAX / 2 && kn; i++) {
		__u64 id;

		parent = parent_of(kn);
		if (!parent)
			break;
		id = hash_id((__u64)BPF_CORE_READ(kn, name));
		found = id ?: found;
		kn = parent;
	}
	return found;
}

static __always_inline void both(struct bpf_policy_bits *v, const struct bpf_policy_bits *with)
{
	for (int i = 0; i < BPF_POLICY_WORDS; i++)
		v->w[i] &= with->w[i];
}

static __always_inline void either(struct bpf_policy_bits *v, const struct bpf_policy_bits *with)
{
	for (int i = 0; i < BPF_POLICY_WORDS; i++)
		v->w[i] |= with->w[i];
}

static __always_inline void keep_subject(const struct bpf_policy_table *t, __u32 table, struct bpf_policy_bits *v)
{
	const struct task_struct *task = (void *)bpf_get_current_task();
	struct bpf_policy_key key = { .table = table };
	const struct bpf_policy_bits *known = NULL;

	if (t->by_container) {
		key.value[0] = container_of_task(task);
		if (key.value[0])
			known = bpf_map_lookup_elem(&containers, &key);
		if (key.value[0] && !known)
			__sync_fetch_and_add(&counts[2], 1);
		both(v, !key.value[0] ? &t->host : known ?: &t->unknown);
	}
	if (t->by_user) {
		key.value[0] = (__u32)bpf_get_current_uid_gid();
		both(v, bpf_map_lookup_elem(&users, &key) ?: (void *)&t->user);
	}
	if (t->by_program) {
		const struct inode *inode = BPF_CORE_READ(task, mm, exe_file, f_inode);

		key.value[0] = BPF_CORE_READ(inode, i_sb, s_dev);
		key.value[1] = BPF_CORE_READ(inode, i_ino);
		both(v, bpf_map_lookup_elem(&programs, &key) ?: (void *)&t->program);
	}
}

/* --- where to */

static __always_inline void add_names(__u32 table, const __u8 *address, __u64 netns, struct bpf_policy_bits *v)
{
	struct bpf_learned_key at = { .netns = netns };
	struct bpf_policy_key key = { .table = table };
	__u64 now = bpf_ktime_get_ns();
	struct bpf_learned *l;

	__builtin_memcpy(at.address, address, sizeof(at.address));
	l = bpf_map_lookup_elem(&learned, &at);
	if (!l)
		return;
	for (int i = 0; i < BPF_POLICY_NAMES; i++) {
		const struct bpf_policy_bits *bits;

		if (!l->name[i] || l->until[i] < now)
			continue;
		key.value[0] = l->name[i];
		bits = bpf_map_lookup_elem(&domains, &key);
		if (bits)
			either(v, bits);
	}
}

static __always_inline int first_of(const struct bpf_policy_bits *v)
{
	for (int i = 0; i < BPF_POLICY_WORDS; i++) {
		__u64 w = v->w[i];
		int n = i * 64;

		if (!w)
			continue;
		w &= -w;
		n += (w & 0xffffffff00000000ULL ? 32 : 0) + (w & 0xffff0000ffff0000ULL ? 16 : 0);
		n += (w & 0xff00ff00ff00ff00ULL ? 8 : 0) + (w & 0xf0f0f0f0f0f0f0f0ULL ? 4 : 0);
		return n + (w & 0xccccccccccccccccULL ? 2 : 0) + (w & 0xaaaaaaaaaaaaaaaaULL ? 1 : 0);
	}
	return -1;
}

/* --- what is told */

static __always_inline bool is_counted_before(const struct bpf_denial *d)
{
	struct bpf_denial_key key = {
		.start_ns = d->start_ns,
		.tgid = d->tgid,
		.port = d->port,
		.entry = d->entry,
		.what_denied = d->what << 8 | d->denied,
		.period = period & 1,
	};
	struct bpf_denial *before;

	__builtin_memcpy(key.address, d->address, sizeof(key.address));
	before = bpf_map_lookup_elem(&counted, &key);
	if (!before) {
		if (bpf_map_update_elem(&counted, &key, d, BPF_NOEXIST) == 0)
			return false;
		before = bpf_map_lookup_elem(&counted, &key);
	}
	if (!before)
		return false;
	__sync_fetch_and_add(&before->count, 1);
	return true;
}

static __always_inline void tell(const struct bpf_sock_addr *ctx, const struct bpf_policy_table *t, const __u8 *address,
				 __u16 port, int entry, enum bpf_policy_what what)
{
	struct bpf_denial d = {
		.mono_ns = bpf_ktime_get_ns(),
		.port = port,
		.type = ctx->type,
		.protocol = ctx->protocol,
		.entry = entry,
		.serial = t->serial,
		.denied = t->enforce,
		.what = what,
	};
	struct bpf_denied_key key = { .port = port };

	HF_TAKE_WHO(&d);
	key.tid = d.tid;
	__builtin_memcpy(d.address, address, sizeof(d.address));
	__builtin_memcpy(key.address, address, sizeof(key.address));
	if (t->enforce)
		bpf_map_update_elem(&denied, &key, &d.mono_ns, BPF_ANY);
	if (!is_counted_before(&d) && bpf_ringbuf_output(&ring, &d, sizeof(d), 0))
		__sync_fetch_and_add(&lost, 1);
}

/* 1: let it go on; 0: EPERM. */
static __always_inline int judge(struct bpf_sock_addr *ctx, const __u32 *words, enum bpf_policy_what what)
{
	__u32 table = in_force & 1;
	const struct bpf_policy_table *t = &tables[table];
	struct bpf_policy_prefix at = { .len = 8 + 128, .table = table };
	__u16 port = __builtin_bswap16(ctx->user_port);
	const struct bpf_policy_bits *found;
	struct bpf_policy_bits v;
	int entry;

	__builtin_memcpy(at.address, words, sizeof(at.address));
	found = bpf_map_lookup_elem(&prefixes, &at);
	v = found ? *found : t->any;
	if (t->by_domain) {
		add_names(table, at.address, bpf_get_netns_cookie(ctx), &v);
		add_names(table, at.address, 0, &v);
	}
	both(&v, &t->ports[t->port_class[port] & (BPF_POLICY_CLASSES - 1)]);
	__sync_fetch_and_add(&counts[0], 1);
	if (first_of(&v) < 0)
		return 1;
	keep_subject(t, table, &v);
	entry = first_of(&v);
	if (entry < 0 || !(t->deny.w[(entry >> 6) & (BPF_POLICY_WORDS - 1)] >> (entry & 63) & 1))
		return 1;
	__sync_fetch_and_add(&counts[1], 1);
	tell(ctx, t, at.address, port, entry, what);
	return (t->enforce ^ 1) & 1; /* for the verifier */
}

/* No address is the loopback's own. */
static __always_inline int judge4(struct bpf_sock_addr *ctx, enum bpf_policy_what what)
{
	const __u32 words[4] = { 0, 0, __builtin_bswap32(0xffff), ctx->user_ip4 ?: __builtin_bswap32(0x7f000001) };

	return judge(ctx, words, what);
}

static __always_inline int judge6(struct bpf_sock_addr *ctx, enum bpf_policy_what what)
{
	__u32 words[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };

	if (!words[0] && !words[1] && !words[3] && (!words[2] || words[2] == __builtin_bswap32(0xffff)))
		words[3] = words[2] ? __builtin_bswap32(0x7f000001) : __builtin_bswap32(1);
	return judge(ctx, words, what);
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	return judge4(ctx, BPF_POLICY_CONNECT);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
	return judge6(ctx, BPF_POLICY_CONNECT);
}

SEC("cgroup/sendmsg4")
int on_send4(struct bpf_sock_addr *ctx)
{
	return judge4(ctx, BPF_POLICY_SEND);
}

SEC("cgroup/sendmsg6")
int on_send6(struct bpf_sock_addr *ctx)
{
	return judge6(ctx, BPF_POLICY_SEND);
}

SEC("cgroup_skb/ingress")
int on_answer(struct __sk_buff *skb)
{
	if (tables[in_force & 1].by_domain)
		take_answer(skb);
	return 1;
}
