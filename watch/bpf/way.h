/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Paths, name by name: from a file up to what its process takes for the root, in whatever container or mount it lies;
 * and the room in which a record is put together with the strings behind it. For *.bpf.c that define ROOM_HEAD, the
 * record's type.
 */
#ifndef WATCH_BPF_WAY_H
#define WATCH_BPF_WAY_H

#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

#define ROOM_DATA 16384 /* power of two: four strings of BPF_PATH_MAX */

struct room {
	ROOM_HEAD head;
	char data[ROOM_DATA + BPF_PATH_MAX];
};

HF_SCRATCH(rooms, struct room, 1);

struct way {
	struct dentry *dentry, *root, *top; /* top: of the mount */
	struct mount *mount, *root_mount;
};

static __always_inline void way_begin(struct way *w, struct vfsmount *mnt, struct dentry *dentry)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	struct mount *mount = mount_of(mnt);

	w->dentry = dentry;
	w->mount = mount;
	w->top = BPF_CORE_READ(mount, mnt.mnt_root);
	w->root = task->fs->root.dentry;
	w->root_mount = mount_of(task->fs->root.mnt);
}

static __always_inline void way_begin_file(struct way *w, const struct file *file)
{
	way_begin(w, BPF_CORE_READ(file, f_path.mnt), BPF_CORE_READ(file, f_path.dentry));
}

#define AT_FDCWD (-100)

/* Where a relative path begins that is given with that descriptor. False: it is none. */
static __always_inline bool way_begin_at(struct way *w, __s32 fd)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct file *file;

	if (fd == AT_FDCWD) {
		way_begin(w, task->fs->pwd.mnt, task->fs->pwd.dentry);
		return true;
	}
	file = file_of((__u32)fd);
	if (file)
		way_begin_file(w, file);
	return file;
}

enum step { STEP_NAME, STEP_MOUNT, STEP_END, STEP_LOST };

/* STEP_NAME: *ret is one, and w is at its folder. */
static __always_inline enum step way_step(struct way *w, const void **ret)
{
	struct dentry *dentry = w->dentry, *parent;
	struct mount *mount = w->mount, *up;

	if (dentry == w->root && mount == w->root_mount)
		return STEP_END;
	if (dentry == w->top) {
		up = BPF_CORE_READ(mount, mnt_parent);
		if (up == mount)
			return STEP_END;
		w->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		w->top = BPF_CORE_READ(up, mnt.mnt_root);
		w->mount = up;
		return STEP_MOUNT;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry)
		return STEP_LOST;
	*ret = BPF_CORE_READ(dentry, d_name.name);
	w->dentry = parent;
	return STEP_NAME;
}

/* Functions of their own are verified once, not for each step of a loop that calls them. Where the next name goes. */
__noinline __u32 put_name(__u64 name, __u32 at)
{
	struct room *room = scratch_of(&rooms);
	long n;

	if (!room)
		return at;
	n = bpf_probe_read_kernel_str(&room->data[at & (ROOM_DATA - 1)], BPF_NAME_MAX, (void *)name);
	return n > 0 ? at + (__u32)n : at;
}

/* Names on the way, from the last one up, into the room from there on: bytes of them. *cut: these are not all. */
static __always_inline __u32 put_names(struct way *w, __u32 from, bool *cut)
{
	const void *name = NULL;
	__u32 at = from;

	*cut = false;
	for (int i = 0; i < BPF_DEPTH_MAX + 32; i++) {
		enum step step = way_step(w, &name);

		if (step == STEP_END)
			return at - from;
		if (step == STEP_MOUNT)
			continue;
		if (step == STEP_LOST || at - from > BPF_PATH_MAX - BPF_NAME_MAX)
			break;
		at = put_name((__u64)name, at);
	}
	*cut = true;
	return at - from;
}

#define PUT_CUT (1ULL << 32)

/* The names of the folder behind that descriptor; with PUT_CUT when these are not all, or there is none. */
__noinline __u64 put_folder(__s32 fd, __u32 at)
{
	bool cut = true;
	struct way w;
	__u32 len = 0;

	if (way_begin_at(&w, fd))
		len = put_names(&w, at, &cut);
	return len | (cut ? PUT_CUT : 0);
}

/* A string of the caller's, the same way: bytes with its NUL, 0 when it cannot be read. */
static __always_inline __u32 put_string(struct room *room, __u64 string, __u32 at)
{
	long n = bpf_probe_read_user_str(&room->data[at & (ROOM_DATA - 1)], BPF_PATH_MAX, (void *)string);

	return n > 0 ? (__u32)n : 0;
}

#endif
