// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Forks, program starts and ends of processes, from raw tracepoints into one ring. A start is told with all that its
 * process may take with it a moment later: arguments, file, folder, cgroup, ids. What finds no room is counted.
 */
#include "watch/bpf/cgroup.h"
#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} ring SEC(".maps");

/* Which execs somebody waits for. */
__u32 prompt;

/* The reader does not look by itself: what comes wakes it. */
__u32 dozing;

/* Bytes unread at which the reader is woken whatever the kind; set by the loader. */
const volatile __u64 crowded = 1 << 20;

/* Lost by the program of each kind. */
__u64 lost[BPF_RECORD_KINDS];
_Static_assert(BPF_RECORD_KINDS == 4, "a mask bounds the index");

#define DATA_MAX   16384 /* power of two; holds argv and three paths */
#define DATA_SLACK BPF_ARGV_MAX

struct scratch {
	__u32 busy;
	__u32 flags;
	struct bpf_record r;
	char data[DATA_MAX + DATA_SLACK];
};

HF_SCRATCH(scratches, struct scratch, 1);

static __always_inline struct scratch *get_scratch(void)
{
	return scratch_of(&scratches);
}

static __always_inline void count_lost(enum bpf_record_kind kind)
{
	__sync_fetch_and_add(&lost[kind], 1);
}

/* --- the process */

static __always_inline void fill_login(struct bpf_record *r, const struct task_struct *task)
{
	if (!bpf_core_field_exists(task->loginuid) || !bpf_core_field_exists(task->sessionid))
		return;
	r->loginuid = BPF_CORE_READ(task, loginuid.val);
	r->session = BPF_CORE_READ(task, sessionid);
	r->flags |= BPF_HAS_LOGIN;
}

static __always_inline void fill_session(struct bpf_record *r, const struct task_struct *task)
{
	struct signal_struct *signal = BPF_CORE_READ(task, signal);
	struct tty_struct *tty = BPF_CORE_READ(signal, tty);

	r->sid = BPF_CORE_READ(signal, pids[HF_PIDTYPE_SID], numbers[0].nr);
	if (!tty)
		return;
	r->tty_major = BPF_CORE_READ(tty, driver, major);
	r->tty_minor = BPF_CORE_READ(tty, driver, minor_start) + BPF_CORE_READ(tty, index);
}

/* The pid namespace is the one that it is in, not the one that its children will be in. */
static __always_inline const struct upid *innermost(const struct pid *pid)
{
	return (const void *)pid + bpf_core_field_offset(pid->numbers) +
	       BPF_CORE_READ(pid, level) * bpf_core_type_size(struct upid);
}

static __always_inline void fill_namespaces(struct bpf_record *r, const struct task_struct *task)
{
	const struct upid *own = innermost(BPF_CORE_READ(task, thread_pid));

	r->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	r->pid_ns = BPF_CORE_READ(own, ns, ns.inum);
}

static __always_inline void fill_numbers(struct bpf_record *r, const struct task_struct *task)
{
	const struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	const struct pid *group = BPF_CORE_READ(task, signal, pids[HF_PIDTYPE_PGID]);
	const struct upid *own = innermost(pid), *theirs = innermost(group);

	r->vpid = BPF_CORE_READ(own, nr);
	r->vpgid = BPF_CORE_READ(theirs, nr);
}

static __always_inline void fill_capabilities(struct bpf_record *r, const struct cred *cred)
{
	bpf_core_read(&r->cap_inheritable, sizeof(r->cap_inheritable), &cred->cap_inheritable);
	bpf_core_read(&r->cap_permitted, sizeof(r->cap_permitted), &cred->cap_permitted);
	bpf_core_read(&r->cap_effective, sizeof(r->cap_effective), &cred->cap_effective);
}

static __always_inline void fill(struct bpf_record *r, enum bpf_record_kind kind, const struct task_struct *task)
{
	const struct cred *cred = BPF_CORE_READ(task, cred);

	__builtin_memset(r, 0, sizeof(*r));
	r->kind = kind;
	r->mono_ns = bpf_ktime_get_ns();
	r->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	r->tgid = BPF_CORE_READ(task, tgid);
	r->ppid = BPF_CORE_READ(task, real_parent, tgid);
	r->uid = BPF_CORE_READ(cred, uid.val);
	r->gid = BPF_CORE_READ(cred, gid.val);
	r->euid = BPF_CORE_READ(cred, euid.val);
	r->egid = BPF_CORE_READ(cred, egid.val);
	BPF_CORE_READ_STR_INTO(&r->comm, task, comm);
	fill_capabilities(r, cred);
	fill_numbers(r, task);
	fill_login(r, task);
	fill_session(r, task);
}

/* --- paths: names from the last one up, appended to the data of this processor's scratch */

/* The offset behind it; the same as before when it could not be read. */
static __always_inline __u32 put_name(struct scratch *s, __u32 at, const void *name)
{
	long n;

	at &= DATA_MAX - 1;
	n = bpf_probe_read_kernel_str(&s->data[at], BPF_NAME_MAX, name);
	return n > 0 ? at + (__u32)n : at;
}

/* Offset of the end. Flags of the executable go to s->flags; the caller shifts them where they are another path's. */
__noinline __u32 put_path(__u64 dentry_at, __u64 vfsmount_at, __u32 at)
{
	struct dentry *dentry = (void *)dentry_at, *parent;
	struct mount *mount = mount_of((void *)vfsmount_at);
	struct scratch *s = get_scratch();
	__u32 start = at;

	if (!s)
		return at;
	s->flags = 0;
	for (int i = 0; i < BPF_DEPTH_MAX + 32; i++) {
		if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
			struct mount *up = BPF_CORE_READ(mount, mnt_parent);

			if (up == mount)
				return at;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = up;
			continue;
		}
		parent = BPF_CORE_READ(dentry, d_parent);
		if (at == start && !BPF_CORE_READ(dentry, d_hash.pprev))
			s->flags |= BPF_EXE_DELETED;
		if (at - start > BPF_PATH_MAX - BPF_NAME_MAX)
			break;
		at = put_name(s, at, BPF_CORE_READ(dentry, d_name.name));
		if (dentry == parent) {
			s->flags |= BPF_EXE_PSEUDO;
			return at;
		}
		dentry = parent;
	}
	s->flags |= BPF_EXE_CUT;
	return at;
}

__noinline __u32 put_cgroup(__u64 kernfs_node_at, __u32 at)
{
	struct kernfs_node *kn = (void *)kernfs_node_at, *parent;
	struct scratch *s = get_scratch();
	__u32 start = at;

	if (!s)
		return at;
	s->flags = 0;
	for (int i = 0; i < BPF_DEPTH_MAX; i++) {
		parent = parent_of(kn);
		if (!parent)
			return at;
		if (at - start > BPF_PATH_MAX - BPF_NAME_MAX)
			break;
		at = put_name(s, at, BPF_CORE_READ(kn, name));
		kn = parent;
	}
	s->flags |= BPF_CGROUP_CUT;
	return at;
}

/* --- a start */

__u64 gate; /* the group whose marks say what is judged; 0: none */

#define OVERLAYFS_MAGIC 0x794c7630
#define BTRFS_MAGIC	0x9123683e

#define FS_OPEN_EXEC	  0x00001000
#define FS_OPEN_EXEC_PERM 0x00040000
#define MARKS_MAX	  64 /* of one superblock that are looked at; groups that ask for permission stand first */

/* Run by whoever has the group, with its descriptor, or -1. */
SEC("raw_tp")
int set_gate(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	__u32 fd = (__u32)ctx->args[0];
	struct file *file = NULL;

	if (fd < BPF_CORE_READ(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), BPF_CORE_READ(table, fd) + fd);
	gate = (__u64)BPF_CORE_READ(file, private_data);
	return gate ? 0 : -1;
}

static __always_inline bool is_overlay(struct inode *inode)
{
	return BPF_CORE_READ(inode, i_sb, s_magic) == OVERLAYFS_MAGIC;
}

static __always_inline struct fsnotify_mark_connector *marks_of(struct super_block *sb)
{
	if (bpf_core_field_exists(sb->s_fsnotify_info))
		return BPF_CORE_READ(sb, s_fsnotify_info, sb_marks);
	return BPF_CORE_READ((struct super_block___marks *)sb, s_fsnotify_marks);
}

/*
 * By the mark itself, on the superblock itself: a device number may have gone to another file system since. A mark that
 * is being removed, and its memory with it, is told by the superblock that it names.
 */
static __always_inline bool is_gated(struct inode *inode)
{
	struct fsnotify_mark_connector *c = gate ? marks_of(BPF_CORE_READ(inode, i_sb)) : NULL;
	struct hlist_node *node = c ? BPF_CORE_READ(c, list.first) : NULL;

	for (int i = 0; i < MARKS_MAX && node; i++) {
		struct fsnotify_mark *mark =
			(void *)node - __builtin_preserve_field_info(((struct fsnotify_mark *)0)->obj_list, 0);

		if ((__u64)BPF_CORE_READ(mark, group) == gate && BPF_CORE_READ(mark, connector) == c)
			return BPF_CORE_READ(mark, mask) & (FS_OPEN_EXEC | FS_OPEN_EXEC_PERM);
		node = BPF_CORE_READ(node, next);
	}
	return false;
}

/* ns; the top bit of the nanoseconds is a flag since 6.13. */
static __always_inline __s64 ctime_of(struct inode *inode)
{
	struct timespec64 t;

	if (bpf_core_field_exists(inode->i_ctime_sec))
		return BPF_CORE_READ(inode, i_ctime_sec) * 1000000000LL +
		       (BPF_CORE_READ(inode, i_ctime_nsec) & 0x7fffffff);
	if (bpf_core_field_exists(((struct inode___hidden *)0)->__i_ctime))
		t = BPF_CORE_READ((struct inode___hidden *)inode, __i_ctime);
	else
		t = BPF_CORE_READ((struct inode___old *)inode, i_ctime);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Whether it is sure that no variable is the loader's ("LD_..."); s->data is overwritten. */
static __always_inline bool has_plain_environment(struct scratch *s, const struct task_struct *task)
{
	unsigned long at = BPF_CORE_READ(task, mm, env_start), end = BPF_CORE_READ(task, mm, env_end);

	for (int i = 0; i < BPF_ENV_MAX; i++) {
		long n;

		if (at >= end)
			return true;
		n = bpf_probe_read_user_str(s->data, BPF_ARGV_MAX, (void *)at);
		if (n <= 0 || n >= BPF_ARGV_MAX || (s->data[0] == 'L' && s->data[1] == 'D' && s->data[2] == '_'))
			return false;
		at += n;
	}
	return false;
}

static __always_inline __u32 put_argv(struct scratch *s, const struct task_struct *task)
{
	unsigned long from = BPF_CORE_READ(task, mm, arg_start), to = BPF_CORE_READ(task, mm, arg_end);
	__u64 len = to - from;

	if (!from || to <= from)
		return 0;
	if (len > BPF_ARGV_MAX) {
		s->r.flags |= BPF_ARGV_CUT;
		len = BPF_ARGV_MAX;
	}
	/* The compiler must not know more of it than the verifier. */
	asm volatile("" : "+r"(len));
	if (len > BPF_ARGV_MAX)
		return 0;
	if (bpf_probe_read_user(s->data, len, (void *)from) == 0)
		return len;
	s->r.flags |= BPF_ARGV_UNREAD;
	return 0;
}

static __always_inline void put_paths(struct scratch *s, const struct task_struct *task, struct file *file)
{
	struct bpf_record *r = &s->r;
	__u32 at = r->argv_len, end, legacy;
	struct kernfs_node *kn = cgroup_of(task, &legacy);

	end = put_path((__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)BPF_CORE_READ(file, f_path.mnt), at);
	r->exe_len = end - at;
	r->flags |= s->flags;
	at = end;
	end = put_path((__u64)BPF_CORE_READ(task, fs, pwd.dentry), (__u64)BPF_CORE_READ(task, fs, pwd.mnt), at);
	r->cwd_len = end - at;
	r->flags |= s->flags << 3;
	at = end;
	end = kn ? put_cgroup((__u64)kn, at) : at;
	r->cgroup_len = end - at;
	r->flags |= legacy | (kn ? s->flags : 0);
}

/*
 * Waking the reader while the program starts costs that program more than all else here. So records lie until somebody
 * asks (connector_sync), until there are many, or until the reader looks by itself; but for starts that have to be
 * looked at while they run: of what nobody judged before, or with code for the loader. Where records lie unread the
 * kernel would not wake unasked. A reader that dozes is woken by the first.
 */
static __always_inline bool is_urgent(const struct bpf_record *r)
{
	const __u32 settled = BPF_EXE_GATED | BPF_EXE_AS_STAT | BPF_ENV_PLAIN;

	if (r->kind != BPF_RECORD_EXEC)
		return r->kind == BPF_RECORD_REFUSED;
	return prompt == BPF_PROMPT_ALL || (prompt == BPF_PROMPT_OPEN && (r->flags & settled) != settled);
}

static __always_inline __u64 wake_for(const struct bpf_record *r)
{
	if (dozing || is_urgent(r) || bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > crowded)
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

static __always_inline void tell(struct scratch *s)
{
	__u64 len = sizeof(s->r) + s->r.argv_len + s->r.exe_len + s->r.cwd_len + s->r.cgroup_len;

	asm volatile("" : "+r"(len));
	if (len > sizeof(s->r) + DATA_MAX || bpf_ringbuf_output(&ring, &s->r, len, wake_for(&s->r)))
		count_lost(s->r.kind & (BPF_RECORD_KINDS - 1));
}

static __always_inline void fill_file(struct bpf_record *r, struct inode *inode)
{
	r->exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	r->exe_ino = BPF_CORE_READ(inode, i_ino);
	r->exe_size = BPF_CORE_READ(inode, i_size);
	r->exe_ctime = ctime_of(inode);
	/* Where stat says something else than the kernel keeps, it is to be asked. */
	if (!is_overlay(inode) && BPF_CORE_READ(inode, i_sb, s_magic) != BTRFS_MAGIC)
		r->flags |= BPF_EXE_AS_STAT;
	if (gate)
		r->flags |= is_gated(inode) ? BPF_EXE_GATED : BPF_EXE_UNGATED;
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[0];
	const struct linux_binprm *bprm = (const void *)ctx->args[2];
	struct file *file = BPF_CORE_READ(bprm, file);
	struct scratch *s = get_scratch();

	/* Another's only where programs can be preempted. */
	if (!s || __sync_lock_test_and_set(&s->busy, 1)) {
		count_lost(BPF_RECORD_EXEC);
		return 0;
	}
	fill(&s->r, BPF_RECORD_EXEC, task);
	fill_namespaces(&s->r, task);
	fill_file(&s->r, BPF_CORE_READ(file, f_inode));
	s->r.flags |= has_plain_environment(s, task) ? BPF_ENV_PLAIN : 0;
	s->r.argv_len = put_argv(s, task);
	s->r.cgroups = (__u64)BPF_CORE_READ(task, cgroups) | 1;
	put_paths(s, task, file);
	tell(s);
	__sync_lock_test_and_set(&s->busy, 0);
	return 0;
}

/* --- starts that nobody can judge before they happen */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct bpf_file_id);
	__type(value, __u8);
} callers SEC(".maps"); /* programs that may run what is not judged */

__u32 refusing;
__s32 refuse_session; /* of this session only; 0: of all */

#define TMPFS_MAGIC 0x01021994
#define FUSE_MAGIC  0x65735546

static __always_inline bool may_run(const struct task_struct *task, struct inode *inode)
{
	struct inode *caller = BPF_CORE_READ(task, mm, exe_file, f_inode);
	struct bpf_file_id id = {};
	__s32 sid = BPF_CORE_READ(task, signal, pids[HF_PIDTYPE_SID], numbers[0].nr);

	/* What runs through an overlay is judged on its layers' file system. */
	if (is_gated(inode) || is_overlay(inode))
		return true;
	if (refuse_session && refuse_session != sid)
		return true;
	id.ino = BPF_CORE_READ(caller, i_ino);
	id.dev = BPF_CORE_READ(caller, i_sb, s_dev);
	return bpf_map_lookup_elem(&callers, &id);
}

static __always_inline void tell_refused(const struct task_struct *task, struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	unsigned long magic = BPF_CORE_READ(inode, i_sb, s_magic);
	struct scratch *s = get_scratch();

	if (!s || __sync_lock_test_and_set(&s->busy, 1)) {
		count_lost(BPF_RECORD_REFUSED);
		return;
	}
	fill(&s->r, BPF_RECORD_REFUSED, task);
	fill_file(&s->r, inode);
	s->r.exe_len = put_path((__u64)BPF_CORE_READ(file, f_path.dentry), (__u64)BPF_CORE_READ(file, f_path.mnt), 0);
	s->r.flags |= s->flags;
	s->r.refused = BPF_REFUSED_UNGATED;
	if (magic == FUSE_MAGIC)
		s->r.refused = BPF_REFUSED_FUSE;
	else if (magic == TMPFS_MAGIC && s->flags & BPF_EXE_PSEUDO)
		s->r.refused = BPF_REFUSED_MEMORY;
	tell(s);
	__sync_lock_test_and_set(&s->busy, 0);
}

/* The old image still runs; with the signal pending, the new one never does. Linux 6.10. */
SEC("?raw_tp/sched_prepare_exec")
int on_prepare(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[0];
	const struct linux_binprm *bprm = (const void *)ctx->args[1];
	struct file *file = BPF_CORE_READ(bprm, file);

	if (!refusing || may_run(task, BPF_CORE_READ(file, f_inode)))
		return 0;
	bpf_send_signal(9 /* SIGKILL */);
	tell_refused(task, file);
	return 0;
}

/* --- signals that the monitor is not told of; the map is found by the next one */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BPF_UNHEARD_COUNT);
	__type(key, __u32);
	__type(value, struct bpf_sender);
} senders SEC(".maps");

__s32 guarded; /* tgid */

#define SIGNAL_KILL 9
#define SIGNAL_STOP 19
#define BY_KERNEL   1 /* SEND_SIG_PRIV in place of a siginfo */

SEC("raw_tp/signal_generate")
int on_signal(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[2];
	__u32 key = ctx->args[0] == SIGNAL_STOP ? BPF_UNHEARD_STOP : BPF_UNHEARD_KILL;
	struct bpf_sender sender = {};

	if (ctx->args[0] != SIGNAL_KILL && ctx->args[0] != SIGNAL_STOP)
		return 0;
	if (!guarded || BPF_CORE_READ(task, tgid) != guarded)
		return 0;
	sender.mono_ns = bpf_ktime_get_ns();
	sender.pid = bpf_get_current_pid_tgid() >> 32;
	sender.uid = bpf_get_current_uid_gid();
	sender.by_kernel = ctx->args[1] == BY_KERNEL;
	bpf_get_current_comm(sender.comm, sizeof(sender.comm));
	bpf_map_update_elem(&senders, &key, &sender, BPF_ANY);
	return 0;
}

/* --- who opens and links files through io_uring: by no call that could be told */

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BPF_URING_FILES_MAX);
	__type(key, __s32);
	__type(value, __u64); /* start_ns */
} uring_files SEC(".maps");

bool has_uring_files;

/* IORING_OP_ */
#define URING_OPENAT	18
#define URING_OPENAT2	28
#define URING_SYMLINKAT 38
#define URING_LINKAT	39

SEC("raw_tp/io_uring_submit_req")
int on_uring(struct bpf_raw_tracepoint_args *ctx)
{
	const struct io_kiocb *req = (const void *)ctx->args[0];
	__u32 opcode = BPF_CORE_READ(req, opcode);
	__s32 tgid, tid;
	__u64 start_ns;

	if (opcode != URING_OPENAT && opcode != URING_OPENAT2 && opcode != URING_SYMLINKAT && opcode != URING_LINKAT)
		return 0;
	take_who(&tgid, &tid, &start_ns);
	bpf_map_update_elem(&uring_files, &tgid, &start_ns, BPF_ANY);
	has_uring_files = true;
	return 0;
}

/* --- forks and ends */

static __always_inline void tell_small(enum bpf_record_kind kind, const struct task_struct *task, __s32 maker)
{
	struct bpf_record *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		count_lost(kind);
		return;
	}
	fill(r, kind, task);
	r->maker = maker;
	bpf_ringbuf_submit(r, wake_for(r));
}

SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *maker = (const void *)ctx->args[0], *child = (const void *)ctx->args[1];

	if (BPF_CORE_READ(child, pid) == BPF_CORE_READ(child, tgid))
		tell_small(BPF_RECORD_FORK, child, BPF_CORE_READ(maker, tgid));
	return 0;
}

/* The process has ended when its last thread has. */
SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *task = (const void *)ctx->args[0];

	if (BPF_CORE_READ(task, signal, live.counter) == 0)
		tell_small(BPF_RECORD_EXIT, task, 0);
	return 0;
}
