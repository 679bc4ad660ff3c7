// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Opens for reading that succeeded, as their system calls return: those alone whose program, or a name on the way to
 * the file, somebody asks for. Whether the whole path is one that is meant user space finds out. The path is told as
 * the process sees it, in whatever container or mount the file lies.
 */
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

#define ROOM_HEAD struct bpf_open
#include "watch/bpf/way.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define O_ACCMODE 3
#define O_WRONLY  1
#define O_PATH	  010000000
#define S_IFMT	  0170000
#define S_IFDIR	  0040000
#define UP_MAX	  48 /* names and mounts on the way to a file that are looked at */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

struct name_key {
	char name[BPF_OPEN_NAME];
};

/* Values: enum bpf_open_name. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_OPEN_NAMES);
	__type(key, struct name_key);
	__type(value, __u32);
} names SEC(".maps");

struct start_key {
	__u32 bits;
	struct name_key name;
};

/* Beginnings of names on the way. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, BPF_OPEN_NAMES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct start_key);
	__type(value, __u32);
} starts SEC(".maps");

struct comm_key {
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BPF_OPEN_NAMES);
	__type(key, struct comm_key);
	__type(value, __u32);
} comms SEC(".maps");

HF_SCRATCH(keys, struct start_key, 1);

__u8 is_open[BPF_OPEN_CALLS], is_open_compat[BPF_OPEN_CALLS]; /* by number */
const volatile bool by_name, by_start, by_comm, dirs_too;
__u32 self; /* not told */
__u64 lost;

/* How names that are asked for begin: most others are ruled out by this. One bit each. */
__u64 pairs[BPF_OPEN_PAIRS / 64];

/* See put_name. */
__noinline int is_asked_for(__u64 name, __u32 as)
{
	struct start_key *key = scratch_of(&keys);
	const __u32 *term;
	long n;

	if (!key)
		return false;
	__builtin_memset(&key->name, 0, sizeof(key->name));
	n = bpf_probe_read_kernel_str(key->name.name, sizeof(key->name.name), (void *)name);
	if (n <= 0)
		return false;
	term = by_name ? bpf_map_lookup_elem(&names, &key->name) : NULL;
	if (term && *term & as)
		return true;
	key->bits = sizeof(key->name.name) * 8;
	return by_start && bpf_map_lookup_elem(&starts, key);
}

static __always_inline bool may_be_asked_for(const void *name)
{
	__u8 pair[2] = { 0 };
	__u32 i;

	bpf_probe_read_kernel(pair, sizeof(pair), name);
	i = (__u32)pair[0] << 8 | pair[1];
	return pairs[i / 64 & (BPF_OPEN_PAIRS / 64 - 1)] & 1ULL << (i & 63);
}

static __always_inline bool is_way_asked_for(const struct file *file)
{
	__u32 as = BPF_OPEN_FILE | BPF_OPEN_WAY;
	const void *name = NULL;
	struct way w;

	way_begin_file(&w, file);
	for (int i = 0; i < UP_MAX; i++) {
		enum step step = way_step(&w, &name);

		if (step == STEP_END || step == STEP_LOST)
			return false;
		if (step == STEP_MOUNT)
			continue;
		if (may_be_asked_for(name) && is_asked_for((__u64)name, as))
			return true;
		as = BPF_OPEN_WAY;
	}
	return false;
}

static __always_inline void tell(struct room *room, const struct file *file, bool is_dir)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct bpf_open *o = &room->head;
	struct way w;
	__u64 size;
	bool cut;

	o->mono_ns = bpf_ktime_get_ns();
	o->start_ns = task->group_leader->start_boottime;
	o->tgid = bpf_get_current_pid_tgid() >> 32;
	o->is_dir = is_dir;
	BPF_CORE_READ_STR_INTO(&o->comm, task, group_leader, comm);
	way_begin_file(&w, file);
	o->len = put_names(&w, 0, &cut);
	o->cut = cut;
	size = sizeof(*o) + o->len;
	if (size > sizeof(*o) + BPF_PATH_MAX || bpf_ringbuf_output(&ring, o, size, 0))
		__sync_fetch_and_add(&lost, 1);
}

static __always_inline bool is_program_asked_for(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct comm_key key = { 0 };

	if (!by_comm)
		return false;
	BPF_CORE_READ_STR_INTO(&key.comm, task, group_leader, comm);
	return bpf_map_lookup_elem(&comms, &key);
}

/* Typed, so that what every call of every process pays for is one load, not a call of a helper. */
SEC("tp_btf/sys_exit")
int on_sys_exit(__u64 *ctx)
{
	const struct pt_regs *regs = (const void *)ctx[0];
	__u64 number = HF_SYSCALL_NUMBER(regs);
	struct room *room;
	__u32 flags;
	struct file *file;
	bool is_dir;

	if (number >= BPF_OPEN_CALLS || !(is_open[number] | is_open_compat[number]) || (__s64)ctx[1] < 0)
		return 0;
	if (!(is_compat() ? is_open_compat : is_open)[number & (BPF_OPEN_CALLS - 1)] ||
	    bpf_get_current_pid_tgid() >> 32 == self)
		return 0;
	file = file_of(ctx[1]);
	if (!file)
		return 0;
	flags = BPF_CORE_READ(file, f_flags);
	is_dir = (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFDIR;
	room = scratch_of(&rooms);
	if (!room || (flags & O_ACCMODE) == O_WRONLY || flags & O_PATH || (is_dir && !dirs_too))
		return 0;
	if (is_program_asked_for() || is_way_asked_for(file))
		tell(room, file, is_dir);
	return 0;
}
