/* Killing a process tree. Reads all of /proc once a round; runs on the responder's thread. */
#include "respond/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "lib/util.h"

/* Named by pid and start, not held open: there may be more of them than descriptors. What is stopped stays there. */
struct member {
	int32_t pid;
	uint64_t start_ns;
};

struct tree {
	const struct never *never;
	struct member *m; /* [0] is the root */
	size_t n, cap;
	int32_t spared[64];
	size_t n_spared;
	bool cut;
};

static const struct member *tree_find(const struct tree *tree, int32_t pid)
{
	for (size_t i = 0; i < tree->n; i++)
		if (tree->m[i].pid == pid)
			return &tree->m[i];
	return NULL;
}

/* A parent that has ended has no children: they are another's, or its pid is. */
static bool tree_is_parent(const struct tree *tree, int32_t pid)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	const struct member *m = tree_find(tree, pid);

	return m && target_open(tree->never->procfd, pid, m->start_ns, &t) == 0;
}

static bool tree_spares(const struct tree *tree, int32_t pid)
{
	for (size_t i = 0; i < tree->n_spared; i++)
		if (tree->spared[i] == pid)
			return true;
	return false;
}

static int tree_room(struct tree *tree)
{
	size_t cap = tree->cap ? tree->cap * 2 : 64;
	struct member *m;

	if (tree->n < tree->cap)
		return 0;
	if (tree->n >= TREE_MAX) {
		tree->cut = true;
		return -E2BIG;
	}
	m = realloc(tree->m, cap * sizeof(*m));
	if (!m)
		return -ENOMEM;
	tree->m = m;
	tree->cap = cap;
	return 0;
}

/* Stops and adds it when its parent is in the tree. 1: added. */
static int tree_add(struct tree *tree, int32_t pid)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	_cleanup_buf_ struct buf why = BUF_INIT;
	struct proc_stat st;
	int r;

	if (tree_find(tree, pid) || tree_spares(tree, pid) || target_open(tree->never->procfd, pid, 0, &t) < 0 ||
	    target_stat(&t, &st) < 0 || (st.exiting && !st.has_mm) || !tree_is_parent(tree, st.ppid))
		return 0;
	if (never_touch(tree->never, &t, &why)) {
		if (tree->n_spared == ARRAY_SIZE(tree->spared))
			return -E2BIG;
		tree->spared[tree->n_spared++] = pid;
		return 0;
	}
	r = tree_room(tree);
	if (r < 0)
		return r;
	target_signal(&t, SIGSTOP);
	tree->m[tree->n++] = (struct member){ pid, t.start_ns };
	return 1;
}

/* One walk over all processes: how many were new. */
static int tree_walk(struct tree *tree)
{
	_cleanup_close_ int fd = openat(tree->never->procfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int found = 0, r = 0;

	if (!d)
		return -errno;
	TAKE_FD(fd);
	while (r >= 0 && (e = readdir(d))) {
		char *end;
		long pid = strtol(e->d_name, &end, 10);

		if (*end || pid <= 0)
			continue;
		r = tree_add(tree, (int32_t)pid);
		found += r > 0;
	}
	return r < 0 ? r : found;
}

static int tree_each(const struct tree *tree, int (*fn)(const struct target *t, uint64_t arg), uint64_t arg)
{
	int r = 0;

	for (size_t i = 0; i < tree->n; i++) {
		_cleanup_target_ struct target t = TARGET_INIT;
		int one = target_open(tree->never->procfd, tree->m[i].pid, tree->m[i].start_ns, &t);

		if (one == 0)
			one = fn(&t, arg);
		if (one < 0 && one != -ESRCH)
			r = one;
	}
	return r;
}

static int member_kill(const struct target *t, uint64_t arg _unused_)
{
	return target_signal(t, SIGKILL);
}

static int member_wait(const struct target *t, uint64_t end)
{
	uint64_t now = clock_mono_ns();

	return target_wait(t, now < end ? end - now : 0);
}

int tree_kill(const struct never *never, const struct target *root, uint64_t timeout_ns, struct tree_result *ret)
{
	struct tree tree = { .never = never };
	int r = tree_room(&tree), waited, found = 1;

	*ret = (struct tree_result){ 0 };
	if (r < 0)
		return r;
	tree.m[tree.n++] = (struct member){ root->pid, root->start_ns };
	target_signal(root, SIGSTOP);
	while (found > 0 && ret->rounds < TREE_ROUNDS_MAX) {
		found = tree_walk(&tree);
		ret->rounds++;
	}
	ret->cut = tree.cut || found != 0;
	r = tree_each(&tree, member_kill, 0);
	waited = tree_each(&tree, member_wait, clock_mono_ns() + timeout_ns);
	ret->killed = (unsigned)tree.n;
	ret->spared = (unsigned)tree.n_spared;
	free(tree.m);
	r = r < 0 ? r : waited;
	return r < 0 ? r : found < 0 && found != -E2BIG ? found : ret->cut ? -E2BIG : 0;
}
