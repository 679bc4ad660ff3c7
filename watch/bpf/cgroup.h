/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The cgroup of a task, as the BPF programs find it: of the unified hierarchy, or of a controller's own. */
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

/* Of the unified hierarchy, else the first controller's that is not the root; flags say which. */
static __always_inline struct kernfs_node *cgroup_of(const struct task_struct *task, __u32 *ret_flags)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *kn = BPF_CORE_READ(set, dfl_cgrp, kn);

	*ret_flags = 0;
	if (kn && parent_of(kn))
		return kn;
	*ret_flags = BPF_CGROUP_LEGACY;
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
