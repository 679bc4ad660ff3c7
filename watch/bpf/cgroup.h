/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The cgroup of a task, as the BPF programs find it: of the unified hierarchy, systemd's, or a controller's own. */
#ifndef WATCH_BPF_CGROUP_H
#define WATCH_BPF_CGROUP_H

#include "watch/bpf/kernel.h"
#include "watch/bpf/record.h"

static __always_inline struct kernfs_node *parent_of(const struct kernfs_node *kn)
{
	if (bpf_core_field_exists(kn->__parent))
		return BPF_CORE_READ(kn, __parent);
	return (void *)BPF_CORE_READ((const struct kernfs_node___old *)kn, parent);
}

static __always_inline struct kernfs_node *cgroup_of_controller(const struct css_set *set, __u64 id)
{
	struct cgroup_subsys_state *const *subsys = &set->subsys[0], *css = NULL;

	bpf_probe_read_kernel(&css, sizeof(css), subsys + id);
	return css ? BPF_CORE_READ(css, cgroup, kn) : NULL;
}

/* On the list of a set's cgroups, one for each hierarchy: the unified one and those that were mounted. */
static __always_inline const struct cgrp_cset_link *cgroup_link(const struct list_head *at)
{
	return (const void *)((const char *)at - bpf_core_field_offset(struct cgrp_cset_link, cgrp_link));
}

#define HIERARCHIES_MAX 24

/* systemd's own, to which every manager of containers keeps: it has no controller. */
static __always_inline struct kernfs_node *cgroup_of_systemd(const struct css_set *set)
{
	static const char systemd[] = "systemd";
	const struct list_head *at = BPF_CORE_READ(set, cgrp_links.next);

	for (int i = 0; i < HIERARCHIES_MAX && at != &set->cgrp_links; i++) {
		const struct cgrp_cset_link *link = cgroup_link(at);
		struct cgroup_root *root = BPF_CORE_READ(link, cgrp, root);
		char name[sizeof(systemd)] = { 0 };

		bpf_probe_read_kernel(name, sizeof(name), &root->name);
		if (!__builtin_memcmp(name, systemd, sizeof(systemd)))
			return BPF_CORE_READ(link, cgrp, kn);
		at = BPF_CORE_READ(at, next);
	}
	return NULL;
}

/*
 * The first that is not the root, of systemd's hierarchy, the unified one and the controllers'; NULL: none.
 * BPF_CGROUP_LEGACY unless it is that of the only hierarchy: /proc knows which one says most.
 */
static __always_inline struct kernfs_node *cgroup_of(const struct task_struct *task, __u32 *ret_flags)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *unified = BPF_CORE_READ(set, dfl_cgrp, kn), *kn;
	bool alone = BPF_CORE_READ(set, cgrp_links.next) == BPF_CORE_READ(set, cgrp_links.prev);

	*ret_flags = BPF_CGROUP_LEGACY;
	kn = alone ? NULL : cgroup_of_systemd(set);
	if (kn && parent_of(kn))
		return kn;
	if (unified && parent_of(unified)) {
		*ret_flags = alone ? 0 : BPF_CGROUP_LEGACY;
		return unified;
	}
#define TRY_CONTROLLER(name)                                                                                           \
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, name##_cgrp_id)) {                                       \
		kn = cgroup_of_controller(set, bpf_core_enum_value(enum cgroup_subsys_id, name##_cgrp_id));            \
		if (kn && parent_of(kn))                                                                               \
			return kn;                                                                                     \
	}
	TRY_CONTROLLER(memory)
	TRY_CONTROLLER(pids)
	TRY_CONTROLLER(devices)
	TRY_CONTROLLER(freezer)
#undef TRY_CONTROLLER
	return NULL;
}

#endif
