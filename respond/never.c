/* The never-touch list. Stateless: everything is read when it is asked, since pids and parents change. */
#include "respond/never.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/text.h"
#include "lib/util.h"

#define NEVER_PARENTS_MAX 64

/* Without these nobody logs in, and no container is run or ended. */
static const char *const built_in[] = {
	"/sbin/init",
	"/lib/systemd/*",
	"/usr/lib/systemd/*",
	"/usr/bin/dbus-*",
	"/usr/sbin/sshd",
	"/usr/lib/openssh/*",
	"/usr/libexec/openssh/*",
	"/bin/login",
	"/usr/bin/login",
	"/usr/bin/kubelet",
	"/usr/local/bin/kubelet",
	"/usr/bin/containerd*",
	"/usr/local/bin/containerd*",
	"/usr/bin/dockerd",
	"/usr/bin/docker-proxy",
	"/usr/bin/conmon",
	"/usr/libexec/podman/*",
	"/usr/bin/podman",
	"/usr/bin/crio",
	"/usr/local/bin/crio",
	"/usr/bin/k3s",
	"/usr/local/bin/k3s",
	"/usr/bin/runc",
	"/usr/sbin/runc",
	"/usr/local/sbin/runc",
	"/usr/bin/crun",
};

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* One of our own parents: the shell, the session, the service manager that would only start us again. */
static bool is_parent(const struct never *never, int32_t pid)
{
	int32_t at = getpid();

	for (unsigned i = 0; i < NEVER_PARENTS_MAX && at > 1; i++) {
		_cleanup_target_ struct target t = TARGET_INIT;
		struct proc_stat st;

		if (at == pid)
			return true;
		if (target_open(never->procfd, at, 0, &t) < 0 || target_stat(&t, &st) < 0)
			return false;
		at = st.ppid;
	}
	return false;
}

static bool matches(const struct never *never, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(built_in); i++)
		if (text_glob(built_in[i], path))
			return true;
	for (size_t i = 0; i < never->n; i++)
		if (text_glob(never->patterns[i], path))
			return true;
	return false;
}

static bool same_mounts(const struct never *never, const struct target *t)
{
	struct stat theirs, ours;

	return fstatat(t->dirfd, "ns/mnt", &theirs, 0) == 0 && fstatat(never->procfd, "self/ns/mnt", &ours, 0) == 0 &&
	       same_file(&theirs, &ours);
}

/*
 * The link names the program as its own mount namespace sees it: it is the host's only when it is the same file, or,
 * when that was replaced under it (an upgrade), when it runs among our mounts.
 */
static bool is_listed(const struct never *never, const struct target *t, char path[PATH_MAX])
{
	static const char deleted[] = " (deleted)";
	struct stat running, standing;
	ssize_t n = readlinkat(t->dirfd, "exe", path, PATH_MAX - 1);
	size_t end;

	if (n <= 0)
		return false;
	path[n] = '\0';
	if (matches(never, path))
		return fstatat(t->dirfd, "exe", &running, 0) == 0 && stat(path, &standing) == 0 &&
		       same_file(&running, &standing);
	end = (size_t)n - MIN((size_t)n, sizeof(deleted) - 1);
	if (!streq(path + end, deleted))
		return false;
	path[end] = '\0';
	return matches(never, path) && same_mounts(never, t);
}

bool never_touch(const struct never *never, const struct target *t, struct buf *why)
{
	char path[PATH_MAX];
	struct proc_stat st;

	if (t->pid == 1) {
		buf_str(why, "it is init");
		return true;
	}
	if (target_stat(t, &st) < 0)
		return false; /* gone: nothing will happen to it */
	if (st.ppid == getpid() || is_parent(never, t->pid)) {
		buf_str(why, "it is this monitor, one of its parents or of its own processes");
		return true;
	}
	if (!st.has_mm && !st.exiting) {
		buf_str(why, "it is a kernel thread");
		return true;
	}
	if (is_listed(never, t, path)) {
		buf_str(why, "never to be touched: ");
		text_escape(why, path, strlen(path));
		return true;
	}
	return false;
}

bool never_touch_file(const struct never *never, const char *path)
{
	struct stat st, own;

	if (matches(never, path))
		return true;
	return stat(path, &st) == 0 && fstatat(never->procfd, "self/exe", &own, 0) == 0 && same_file(&st, &own);
}
