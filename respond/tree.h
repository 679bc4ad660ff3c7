/*
 * A process with all its descendants, ended together. They are stopped first, parents before children, until a walk
 * over all processes finds no new one: what is stopped cannot fork. Processes that left the tree before (their parent
 * ended, and init adopted them) are not in it; in a container cgroup_kill reaches those too. Stateless.
 */
#ifndef RESPOND_TREE_H
#define RESPOND_TREE_H

#include "respond/never.h"

#define TREE_MAX	4096 /* processes */
#define TREE_ROUNDS_MAX 64

struct tree_result {
	unsigned killed; /* processes that were sent SIGKILL */
	unsigned spared; /* never to be touched; what is below them is left too */
	unsigned rounds;
	bool cut; /* a bound was reached: some may be left */
};

/* 0 when all of them ended in time; -ETIMEDOUT: some have not yet; -E2BIG: cut, those found were killed; -ENOMEM. */
int tree_kill(const struct never *never, const struct target *root, uint64_t timeout_ns, struct tree_result *ret);

#endif
