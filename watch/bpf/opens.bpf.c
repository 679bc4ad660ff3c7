// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Opens as their system calls return, those alone that somebody asks for: for reading, or by how they were called, and
 * of these those whose program, or a name on the way to the file or in the path as it was written, is asked for.
 * Whether the whole path is one that is meant user space finds out. The path is told as the process sees it, in
 * whatever container or mount the file lies.
 */
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

#define ROOM_HEAD struct bpf_open
#include "watch/bpf/way.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define O_ACCMODE 3
#define O_WRONLY  1
#define O_CREAT	  0100
#define O_TRUNC	  01000
#define O_PATH	  010000000
#define O_TMPFILE 020000000 /* its own bit */
#define S_IFMT	  0170000
#define S_IFDIR	  0040000
#define UP_MAX	  48 /* names and mounts on the way to a file that are looked at */

#define FMODE_CREATED (1 << 20) /* since Linux 4.19 */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

struct name_key {
	char name[BPF_OPEN_NAME];
};

/* Values: classes of opens, see BPF_OPEN_WAY. */
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

__u8 is_open[BPF_CALL_NUMBERS], is_open_compat[BPF_CALL_NUMBERS]; /* by number: enum bpf_open_call */
const volatile bool by_name, by_start, by_comm, dirs_too, calls_too;
const volatile __u32 wanted; /* classes that are asked for */
const volatile __u32 always; /* and those of which all are */
__u64 lost;

/* How names that are asked for begin: most others are ruled out by this. One bit each. */
__u64 pairs[BPF_OPEN_PAIRS / 64];

/* Whether the name in the key is one for any of these. */
static __always_inline bool is_key_asked_for(struct start_key *key, __u32 as)
{
	const __u32 *term = by_name ? bpf_map_lookup_elem(&names, &key->name) : NULL;

	if (term && *term & as)
		return true;
	if (!by_start)
		return false;
	key->bits = sizeof(key->name.name) * 8;
	term = bpf_map_lookup_elem(&starts, key);
	return term && *term & (as | as >> 16);
}

/* See put_name. */
__noinline int is_asked_for(__u64 name, __u32 as)
{
	struct start_key *key = scratch_of(&keys);

	if (!key)
		return false;
	__builtin_memset(&key->name, 0, sizeof(key->name));
	return bpf_probe_read_kernel_str(key->name.name, sizeof(key->name.name), (void *)name) > 0 &&
	       is_key_asked_for(key, as);
}

static __always_inline bool may_be_asked_for(const void *name)
{
	__u8 pair[2] = { 0 };
	__u32 i;

	bpf_probe_read_kernel(pair, sizeof(pair), name);
	i = (__u32)pair[0] << 8 | pair[1];
	return pairs[i / 64 & (BPF_OPEN_PAIRS / 64 - 1)] & 1ULL << (i & 63);
}

static __always_inline bool is_way_asked_for(struct way *w, __u32 as, __u32 above)
{
	const void *name = NULL;

	for (int i = 0; i < UP_MAX; i++) {
		enum step step = way_step(w, &name);

		if (step == STEP_END || step == STEP_LOST)
			return false;
		if (step == STEP_MOUNT)
			continue;
		if (may_be_asked_for(name) && is_asked_for((__u64)name, as))
			return true;
		as = above;
	}
	return false;
}

static __always_inline bool is_file_asked_for(const struct file *file, __u32 classes)
{
	struct way w;

	way_begin_file(&w, file);
	return is_way_asked_for(&w, classes | BPF_OPEN_WAY(classes), BPF_OPEN_WAY(classes));
}

/* The folder that a relative path begins at. */
__noinline int is_folder_asked_for(__s32 fd, __u32 classes)
{
	struct way w;

	return way_begin_at(&w, fd) && is_way_asked_for(&w, BPF_OPEN_WAY(classes), BPF_OPEN_WAY(classes));
}

/* --- paths as they were written, which stand at the beginning of the room */

#define PART_ASKED (1ULL << 32)
#define PART_UP	   (1ULL << 33) /* two dots in a row */
#define PART_LAST  (1ULL << 34)
#define PARTS_MAX  64

/* The part from there on, and where the next one is. */
__noinline __u64 look_at_part(__u32 at, __u32 classes)
{
	struct start_key *key = scratch_of(&keys);
	const struct room *room = scratch_of(&rooms);
	__u64 ret = 0;
	char c = 0, before = 0;
	__u32 n = 0;

	if (!key || !room)
		return PART_LAST;
	__builtin_memset(&key->name, 0, sizeof(key->name));
	for (n = 0; n < BPF_NAME_MAX; n++) {
		c = room->data[(at + n) & (ROOM_DATA - 1)];
		if (!c || c == '/')
			break;
		if (n < BPF_OPEN_NAME - 1)
			key->name.name[n] = c;
		if (c == '.' && before == '.')
			ret |= PART_UP;
		before = c;
	}
	if (n && is_key_asked_for(key, classes | BPF_OPEN_WAY(classes)))
		ret |= PART_ASKED;
	return ret | (c == '/' ? 0 : PART_LAST) | (at + n + 1);
}

/* All of them. What has more parts than are looked at is taken for what is asked for. */
__noinline __u64 look_at_raw(__u32 classes)
{
	__u64 ret = 0, part = 0;

	for (int i = 0; i < PARTS_MAX; i++) {
		part = look_at_part((__u32)part, classes);
		ret |= part & (PART_ASKED | PART_UP);
		if (part & PART_LAST)
			return ret;
	}
	return PART_ASKED | PART_UP;
}

/* --- one call */

struct open_call {
	__u64 path;
	__s32 fd;
	__u32 flags, mode;
};

/* Of open_by_handle_at nothing is known. */
static __always_inline void read_call(const struct pt_regs *regs, bool compat, __u8 by, struct open_call *c)
{
	__u64 narrow[6] = HF_COMPAT_ARGS(regs), how[2] = { 0 };
	__u64 a0 = compat ? (__u32)narrow[0] : regs->HF_ARG0, a1 = compat ? (__u32)narrow[1] : regs->HF_ARG1,
	      a2 = compat ? (__u32)narrow[2] : regs->HF_ARG2, a3 = compat ? (__u32)narrow[3] : regs->HF_ARG3;

	c->fd = by == BPF_OPEN_OPENAT || by == BPF_OPEN_OPENAT2 ? (__s32)a0 : AT_FDCWD;
	c->path = by == BPF_OPEN_OPENAT || by == BPF_OPEN_OPENAT2 ? a1 : a0;
	if (by == BPF_OPEN_OPENAT2)
		bpf_probe_read_user(how, sizeof(how), (void *)a2);
	c->flags = by == BPF_OPEN_OPEN	    ? a1
		   : by == BPF_OPEN_OPENAT  ? a2
		   : by == BPF_OPEN_OPENAT2 ? how[0]
					    : O_CREAT | O_WRONLY | O_TRUNC;
	c->mode = by == BPF_OPEN_OPEN ? a2 : by == BPF_OPEN_OPENAT ? a3 : by == BPF_OPEN_OPENAT2 ? how[1] : a1;
	if (!(c->flags & (O_CREAT | O_TMPFILE)))
		c->mode = 0;
}

static __always_inline __u32 classes_of_call(const struct open_call *c)
{
	__u32 classes = BPF_OPEN_BIT(BPF_OPENS_CALL) | BPF_OPEN_BIT(BPF_OPENS_UP);

	if (c->flags & O_ACCMODE)
		classes |= BPF_OPEN_BIT(BPF_OPENS_WRITE);
	if (c->flags & (O_CREAT | O_TRUNC | O_TMPFILE))
		classes |= BPF_OPEN_BIT(BPF_OPENS_MAKE);
	if (c->mode & 0111)
		classes |= BPF_OPEN_BIT(BPF_OPENS_PROGRAM);
	return classes;
}

static __always_inline __u32 classes_of_file(const struct file *file, bool is_dir)
{
	__u32 flags = BPF_CORE_READ(file, f_flags);

	if ((flags & O_ACCMODE) == O_WRONLY || flags & O_PATH || (is_dir && !dirs_too))
		return 0;
	return BPF_OPEN_BIT(BPF_OPENS_READ);
}

static __always_inline bool is_program_asked_for(__u32 classes)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct comm_key key = { 0 };
	const __u32 *term;

	if (!by_comm)
		return false;
	BPF_CORE_READ_STR_INTO(&key.comm, task, group_leader, comm);
	term = bpf_map_lookup_elem(&comms, &key);
	return term && *term & classes;
}

static __always_inline void tell(struct room *room, const struct file *file, const struct open_call *c)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct bpf_open *o = &room->head;
	struct way w;
	__u64 size, base;
	bool cut;

	o->mono_ns = bpf_ktime_get_ns();
	o->start_ns = task->group_leader->start_boottime;
	o->tgid = bpf_get_current_pid_tgid() >> 32;
	o->len = o->base_len = 0;
	BPF_CORE_READ_STR_INTO(&o->comm, task, group_leader, comm);
	if (file) {
		way_begin_file(&w, file);
		o->len = put_names(&w, o->raw_len, &cut);
		o->flags |= cut ? BPF_OPEN_CUT : 0;
	}
	size = o->raw_len + o->len;
	if (o->raw_len && room->data[0] != '/') {
		base = put_folder(c->fd, size);
		o->base_len = (__u32)base;
		o->flags |= base & PUT_CUT ? BPF_OPEN_BASE_CUT : 0;
	}
	size += o->base_len + sizeof(*o);
	if (size > sizeof(*o) + ROOM_DATA || bpf_ringbuf_output(&ring, o, size, 0))
		__sync_fetch_and_add(&lost, 1);
}

/* Puts the path as it was written into the room. */
static __always_inline bool is_call_asked_for(struct room *room, const struct open_call *c)
{
	__u32 classes = room->head.classes;
	__u64 raw;

	room->head.raw_len = put_string(room, c->path, 0);
	if (!room->head.raw_len)
		return false;
	raw = look_at_raw(classes);
	if (!(raw & PART_UP))
		classes &= ~BPF_OPEN_BIT(BPF_OPENS_UP);
	room->head.classes = classes;
	if (!classes)
		return false;
	return classes & always || raw & PART_ASKED || (room->data[0] != '/' && is_folder_asked_for(c->fd, classes));
}

/* exits.bpf.c calls it for these calls. */
SEC("tp_btf/sys_exit")
int on_exit(__u64 *ctx)
{
	const struct pt_regs *regs = (const void *)ctx[0];
	__u32 number = HF_SYSCALL_NUMBER(regs) & (BPF_CALL_NUMBERS - 1);
	bool compat = is_compat(), is_dir = false;
	struct open_call c = { 0 };
	struct file *file = NULL;
	struct room *room;
	__u32 classes = 0;
	__u8 by = (compat ? is_open_compat : is_open)[number];

	if (!by || (!calls_too && (__s64)ctx[1] < 0))
		return 0;
	if ((__s64)ctx[1] >= 0) {
		file = file_of(ctx[1]);
		if (!file)
			return 0;
		is_dir = (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFDIR;
		classes = classes_of_file(file, is_dir);
	}
	if (calls_too && by != BPF_OPEN_HANDLE) {
		read_call(regs, compat, by, &c);
		classes |= classes_of_call(&c);
	}
	classes &= wanted;
	room = scratch_of(&rooms);
	if (!room || !classes)
		return 0;
	room->head.classes = classes;
	room->head.call = by;
	room->head.result = ctx[1];
	room->head.open_flags = c.flags;
	room->head.mode = c.mode;
	room->head.flags = (is_dir ? BPF_OPEN_DIR : 0) | (file ? 0 : BPF_OPEN_NO_FILE);
	if (file && BPF_CORE_READ(file, f_mode) & FMODE_CREATED)
		room->head.flags |= BPF_OPEN_CREATED;
	room->head.raw_len = 0;
	if ((classes & ~BPF_OPEN_BIT(BPF_OPENS_READ) && is_call_asked_for(room, &c)) ||
	    is_program_asked_for(room->head.classes) || (file && is_file_asked_for(file, room->head.classes)))
		tell(room, file, &c);
	return 0;
}
