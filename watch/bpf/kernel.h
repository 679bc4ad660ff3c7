/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the BPF programs read of the kernel's types: only those members, whose places are found when a program is loaded
 * (CO-RE). Flavours (name___what) stand for other versions of the kernel. For *.bpf.c only.
 */
#ifndef WATCH_BPF_KERNEL_H
#define WATCH_BPF_KERNEL_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct qstr {
	const unsigned char *name;
};

struct hlist_bl_node {
	struct hlist_bl_node **pprev;
};

struct file_system_type {
	const char *name;
};

struct hlist_node {
	struct hlist_node *next;
};

struct hlist_head {
	struct hlist_node *first;
};

struct fsnotify_group;

struct fsnotify_mark_connector {
	struct hlist_head list;
};

struct fsnotify_mark {
	__u32 mask;
	struct fsnotify_group *group;
	struct hlist_node obj_list;
	struct fsnotify_mark_connector *connector;
};

struct fsnotify_sb_info {
	struct fsnotify_mark_connector *sb_marks;
};

struct super_block {
	__u32 s_dev;
	unsigned long s_magic;
	struct file_system_type *s_type;
	struct fsnotify_sb_info *s_fsnotify_info; /* Linux 6.10 */
};

struct super_block___marks {
	struct fsnotify_mark_connector *s_fsnotify_marks;
};

struct inode {
	unsigned int i_nlink;
	struct super_block *i_sb;
	unsigned long i_ino;
	__u16 i_mode;
	long long i_size;
	long long i_ctime_sec; /* Linux 6.11 */
	__u32 i_ctime_nsec;
};

struct timespec64 {
	long long tv_sec;
	long tv_nsec;
};

/* Before 6.11, and before 6.6. */
struct inode___hidden {
	struct timespec64 __i_ctime;
};

struct inode___old {
	struct timespec64 i_ctime;
};

struct dentry {
	struct hlist_bl_node d_hash;
	struct dentry *d_parent;
	struct qstr d_name;
	struct inode *d_inode;
};

struct vfsmount {
	struct dentry *mnt_root;
	struct super_block *mnt_sb;
};

struct mount {
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
};

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
};

struct file {
	struct path f_path;
	struct inode *f_inode;
	unsigned int f_mode;
	unsigned int f_flags;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
	unsigned long *open_fds;
};

struct files_struct {
	struct fdtable *fdt;
};

/* --- sockets */

struct in6_addr {
	__u32 words[4];
};

struct net;

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	long long counter;
} atomic64_t;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
	__u16 sk_protocol;
	struct socket *sk_socket;
};

struct socket {
	struct sock *sk;
	struct file *file;
};

struct inet_sock {
	__u16 inet_sport;
};

struct tcp_sock {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u8 is_mptcp : 1;
};

struct mptcp_sock {
	struct sock *first; /* TCP */
};

struct unix_address {
	int len; /* struct sockaddr_un stands behind it */
};

struct unix_sock {
	struct unix_address *addr;
};

/* --- io_uring */

struct io_cqe {
	int fd; /* until there is a result */
};

struct msghdr {
	void *msg_name;
};

struct __kernel_sockaddr_storage {
	char bytes[128];
};

struct io_async_msghdr {
	struct msghdr msg;
	struct __kernel_sockaddr_storage addr;
};

struct io_connect { /* at the beginning of its request */
	void *addr; /* the caller's */
	int addr_len;
};

struct io_kiocb {
	__u8 opcode;
	__u64 flags;
	struct io_cqe cqe;
	void *async_data;
};

struct fs_struct {
	struct path root;
	struct path pwd;
};

struct mm_struct {
	unsigned long arg_start;
	unsigned long arg_end;
	unsigned long env_start;
	unsigned long env_end;
	struct file *exe_file;
};

struct ns_common {
	unsigned int inum;
};

struct mnt_namespace {
	struct ns_common ns;
};

struct pid_namespace {
	struct ns_common ns;
};

struct nsproxy {
	struct mnt_namespace *mnt_ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct tty_driver {
	int major;
	int minor_start;
};

struct tty_struct {
	int index;
	struct tty_driver *driver;
};

/* enum pid_type */
#define HF_PIDTYPE_PGID 2
#define HF_PIDTYPE_SID	3

struct signal_struct {
	atomic_t live;
	struct pid *pids[4];
	struct tty_struct *tty;
};

typedef struct {
	__u64 bits; /* two halves before Linux 6.3 */
} kernel_cap_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
	kuid_t euid;
	kgid_t egid;
	kernel_cap_t cap_inheritable;
	kernel_cap_t cap_permitted;
	kernel_cap_t cap_effective;
};

struct kernfs_node {
	const char *name;
	struct kernfs_node *__parent;
};

struct kernfs_node___old { /* before Linux 6.15 */
	struct kernfs_node___old *parent;
};

struct list_head {
	struct list_head *next, *prev;
};

struct cgroup_root {
	char name[64];
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgrp_cset_link {
	struct cgroup *cgrp;
	struct list_head cgrp_link;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

struct css_set {
	struct cgroup_subsys_state *subsys[1];
	struct cgroup *dfl_cgrp;
	struct list_head cgrp_links;
};

struct task_struct {
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct fs_struct *fs;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct nsproxy *nsproxy;
	struct pid *thread_pid;
	kuid_t loginuid; /* CONFIG_AUDIT */
	unsigned int sessionid;
	struct css_set *cgroups;
	struct files_struct *files;
	__u64 self_exec_id;
};

struct linux_binprm {
	struct file *file;
};

/* Arguments of a system call stay where they were when it returns; on arm64 the first one is kept aside. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long bp, bx, r10, r9, r8, cx, dx, si, di, orig_ax;
};
#define HF_COMPAT_ARGS(regs)                                                                                           \
	{                                                                                                              \
		(regs)->bx, (regs)->cx, (regs)->dx, (regs)->si, (regs)->di, (regs)->bp                                 \
	}
#define HF_ARG0			di
#define HF_ARG1			si
#define HF_ARG2			dx
#define HF_ARG3			r10
#define HF_ARG4			r8
#define HF_ARG5			r9
#define HF_SYSCALL_NUMBER(regs) ((regs)->orig_ax)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 regs[31];
	__u64 orig_x0;
	__s32 syscallno;
};
#define HF_COMPAT_ARGS(regs)                                                                                           \
	{                                                                                                              \
		0                                                                                                      \
	} /* is_compat is never true */
#define HF_ARG0			orig_x0
#define HF_ARG1			regs[1]
#define HF_ARG2			regs[2]
#define HF_ARG3			regs[3]
#define HF_ARG4			regs[4]
#define HF_ARG5			regs[5]
#define HF_SYSCALL_NUMBER(regs) ((__u64)(__u32)(regs)->syscallno)
#endif

struct thread_info {
	__u32 status;
};

struct task_struct___info {
	struct thread_info thread_info;
};

#pragma clang attribute pop

/*
 * A member of what a program was handed, which it can look at (typed, a constant); of what it found by an address,
 * which it has to read.
 */
#define HF_MEMBER(p, typed, member) ((typed) ? (p)->member : BPF_CORE_READ(p, member))

/* What a program puts together: its stack is too small for it. One of each for each processor. */
#define HF_SCRATCH(name, of, n)                                                                                        \
	struct {                                                                                                       \
		__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                               \
		__uint(max_entries, n);                                                                                \
		__type(key, __u32);                                                                                    \
		__type(value, of);                                                                                     \
	} name SEC(".maps")

static __always_inline void *scratch_of(void *map)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(map, &zero);
}

static __always_inline void take_who(__s32 *tgid, __s32 *tid, __u64 *start_ns)
{
	const struct task_struct *task = bpf_get_current_task_btf();

	*tgid = task->tgid;
	*tid = task->pid;
	*start_ns = task->group_leader->start_boottime;
}

/* Into its members: which process runs, by its number and by when it began, and which of its threads. */
#define HF_TAKE_WHO(to) take_who(&(to)->tgid, &(to)->tid, &(to)->start_ns)

/* A call of a 32-bit program: TS_COMPAT of x86. */
static __always_inline bool is_compat(void)
{
#if defined(__TARGET_ARCH_x86)
	const struct task_struct___info *task = (void *)bpf_get_current_task_btf();

	return task->thread_info.status & 2;
#else
	return false;
#endif
}

/* The file behind a descriptor of this process, or NULL. */
static __always_inline struct file *file_of(__u64 fd)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct fdtable *table = task->files->fdt;
	struct file *file = NULL;

	if ((__u32)fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + (__u32)fd);
	return file;
}

static __always_inline struct mount *mount_of(const struct vfsmount *mnt)
{
	return (void *)mnt - __builtin_preserve_field_info(((struct mount *)0)->mnt, 0);
}

/* The numbers are the running kernel's. */
enum cgroup_subsys_id {
	memory_cgrp_id = 4,
	pids_cgrp_id = 11,
	devices_cgrp_id = 5,
	freezer_cgrp_id = 6,
};

#endif
