/*
 * Containers' cgroups. Stateless; runs on the responder's thread, tests and the warden's start. Touches only files of
 * cgroup file systems and /proc, none of which can block on anybody else.
 */
#include "respond/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/mounts.h"

#define CGROUP_FILE_MAX (64 * KIB)

/* --- hierarchies */

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p; p = strchr(p, ',')) {
		p += *p == ',';
		if (!strncmp(p, word, n) && (p[n] == ',' || p[n] == '\0'))
			return true;
	}
	return false;
}

/* The first of each kind: later ones are views of the same hierarchy. */
static int hierarchy_add(struct cgroup_hierarchy *h, const struct mount *m)
{
	if (h->fd >= 0)
		return 0;
	h->fd = open(m->point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->fd < 0)
		return 0; /* covered by another mount, or not in our view */
	h->root = strdup(m->root);
	return h->root ? 0 : -ENOMEM;
}

int cgroups_open(const char *mountinfo, struct cgroups *ret)
{
	struct cgroups c = { .unified.fd = -1, .freezer.fd = -1 };
	struct mount_table mounts;
	int r = mounts_read(mountinfo, &mounts, NULL);

	if (r < 0)
		return r;
	for (size_t i = 0; i < mounts.n && r == 0; i++) {
		const struct mount *m = &mounts.mounts[i];

		if (streq(m->fstype, "cgroup2"))
			r = hierarchy_add(&c.unified, m);
		else if (streq(m->fstype, "cgroup") && has_word(m->super_options, "freezer"))
			r = hierarchy_add(&c.freezer, m);
	}
	mounts_free(&mounts);
	if (r < 0)
		cgroups_close(&c);
	else
		*ret = c;
	return r;
}

void cgroups_close(struct cgroups *c)
{
	cleanup_close(&c->unified.fd);
	cleanup_close(&c->freezer.fd);
	free(c->unified.root);
	free(c->freezer.root);
	*c = (struct cgroups){ .unified.fd = -1, .freezer.fd = -1 };
}

/* --- which cgroup is the container's */

/* The id in one component: exactly CGROUP_ID_LEN digits in a row. Monitors of containers are not the container. */
static const char *component_id(const char *s, size_t len)
{
	static const char conmon[] = "conmon";
	size_t run = 0;

	if (memmem(s, len, conmon, sizeof(conmon) - 1))
		return NULL;
	for (size_t i = 0; i < len; i++) {
		run = (s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f') ? run + 1 : 0;
		if (run == CGROUP_ID_LEN && (i + 1 == len || s[i + 1] == '.' || s[i + 1] == ':'))
			return s + i + 1 - CGROUP_ID_LEN;
	}
	return NULL;
}

int cgroup_parse_container(const char *path, size_t len, const char *id, size_t *ret_len,
			   char ret_id[CGROUP_ID_LEN + 1])
{
	size_t at = 0;
	bool found = false;

	while (at < len) {
		const char *slash = memchr(path + at, '/', len - at), *digits;
		size_t n = slash ? (size_t)(slash - path) - at : len - at;

		digits = component_id(path + at, n);
		if (digits && (!id || !strncmp(digits, id, CGROUP_ID_LEN))) {
			memcpy(ret_id, digits, CGROUP_ID_LEN);
			ret_id[CGROUP_ID_LEN] = '\0';
			*ret_len = at + n;
			found = true;
		}
		at += n + 1;
	}
	return found ? 0 : -ENOENT;
}

/* The path of "ID:CONTROLLERS:PATH" in the hierarchy wanted; NULL when it is another's. */
static const char *line_path(const char *line, const char *end, bool legacy, size_t *ret_len)
{
	const char *controllers = memchr(line, ':', (size_t)(end - line)), *path;
	char list[256];
	size_t n;

	if (!controllers)
		return NULL;
	controllers++;
	path = memchr(controllers, ':', (size_t)(end - controllers));
	if (!path)
		return NULL;
	n = MIN((size_t)(path - controllers), sizeof(list) - 1);
	memcpy(list, controllers, n);
	list[n] = '\0';
	if (legacy ? !has_word(list, "freezer") : n != 0)
		return NULL;
	*ret_len = (size_t)(end - path - 1);
	return path + 1;
}

static const char *find_path(const struct buf *file, bool legacy, size_t *ret_len)
{
	const char *p = file->data, *end = file->data + file->len, *path;

	while (p < end) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));

		eol = eol ? eol : end;
		path = line_path(p, eol, legacy, ret_len);
		if (path)
			return path;
		p = eol + 1;
	}
	return NULL;
}

/* path, as the hierarchy has it, below the mount: what stands above the mount's root is not there. */
static int hierarchy_openat(const struct cgroup_hierarchy *h, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
	size_t root = streq(h->root, "/") ? 0 : strlen(h->root);
	int fd;

	if (h->fd < 0)
		return -EOPNOTSUPP;
	if (strncmp(path, h->root, root) != 0 || path[root] != '/')
		return -ENOENT;
	path += root + 1;
	/* Its own root holds everybody. */
	if (!*path)
		return -ENOENT;
	fd = (int)syscall(SYS_openat2, h->fd, path, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM) && !strstr(path, ".."))
		fd = openat(h->fd, path, (int)how.flags | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

int cgroup_reopen(const struct cgroups *c, bool legacy, const char *path, uint64_t ino, struct cgroup *ret)
{
	_cleanup_close_ int fd = hierarchy_openat(legacy ? &c->freezer : &c->unified, path);
	char id[CGROUP_ID_LEN + 1] = "";
	struct stat st;
	size_t len;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if ((ino && st.st_ino != ino) || faccessat(fd, legacy ? "freezer.state" : "cgroup.freeze", F_OK, 0) < 0)
		return -ENOENT;
	cgroup_parse_container(path, strlen(path), NULL, &len, id);
	*ret = (struct cgroup){ .legacy = legacy, .fd = -1, .ino = st.st_ino, .path = strdup(path) };
	if (!ret->path)
		return -ENOMEM;
	memcpy(ret->id, id, sizeof(id));
	ret->fd = TAKE_FD(fd);
	return 0;
}

static int cgroup_try(const struct cgroups *c, const struct buf *file, bool legacy, const char *id, struct cgroup *ret)
{
	_cleanup_free_ char *path = NULL;
	char found[CGROUP_ID_LEN + 1];
	size_t len;
	const char *p = find_path(file, legacy, &len);
	int r = p ? cgroup_parse_container(p, len, id, &len, found) : -ENOENT;

	if (r < 0)
		return r;
	path = strndup(p, len);
	r = path ? cgroup_reopen(c, legacy, path, 0, ret) : -ENOMEM;
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int cgroup_of(const struct cgroups *c, const struct target *t, const char *id, struct cgroup *ret)
{
	_cleanup_buf_ struct buf file = BUF_INIT;
	int r = target_read(t, "cgroup", CGROUP_FILE_MAX, &file, NULL), legacy;

	if (r < 0)
		return r;
	if (!file.len)
		return -ENOENT;
	r = cgroup_try(c, &file, false, id, ret);
	if (r == 0 || r == -ENOMEM)
		return r;
	legacy = cgroup_try(c, &file, true, id, ret);
	/* One says it is in a container, be it the one that cannot be reached. */
	return legacy == -ENOENT ? r : legacy;
}

void cgroup_close(struct cgroup *g)
{
	cleanup_close(&g->fd);
	free(g->path);
	*g = (struct cgroup)CGROUP_INIT;
}

/* --- freezing */

static int cgroup_write(const struct cgroup *g, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(g->fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	return n < 0 ? -errno : 0;
}

static int cgroup_text(int fd, const char *name, char *ret, size_t size)
{
	_cleanup_close_ int file = openat(fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (file < 0)
		return -errno;
	n = read(file, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	return 0;
}

/* Frozen through and through: 1 yes, 0 not or not yet. */
static int cgroup_is_frozen(const struct cgroup *g)
{
	char text[256];
	int r = cgroup_text(g->fd, g->legacy ? "freezer.state" : "cgroup.events", text, sizeof(text));

	if (r < 0)
		return r;
	return g->legacy ? streq(text, "FROZEN\n") : strstr(text, "frozen 1") != NULL;
}

/* Somebody wants it frozen already. */
static int cgroup_is_freezing(const struct cgroup *g)
{
	char text[256];
	int r = cgroup_text(g->fd, g->legacy ? "freezer.state" : "cgroup.freeze", text, sizeof(text));

	if (r < 0)
		return r;
	return g->legacy ? !streq(text, "THAWED\n") : text[0] == '1';
}

static void nap(uint64_t *ns)
{
	struct timespec ts = { 0, (long)*ns };

	nanosleep(&ts, NULL);
	*ns = MIN(*ns * 2, 5 * NSEC_PER_MSEC);
}

int cgroup_freeze(const struct cgroup *g, uint64_t timeout_ns)
{
	uint64_t end = clock_mono_ns() + timeout_ns, wait = 50000;
	int before = cgroup_is_freezing(g), r;

	if (before < 0)
		return before;
	r = cgroup_write(g, g->legacy ? "freezer.state" : "cgroup.freeze", g->legacy ? "FROZEN" : "1");
	while (r == 0) {
		r = cgroup_is_frozen(g);
		if (r)
			return r < 0 ? r : before;
		if (clock_mono_ns() >= end)
			return -ETIMEDOUT;
		nap(&wait);
	}
	return r;
}

int cgroup_thaw(const struct cgroup *g)
{
	return cgroup_write(g, g->legacy ? "freezer.state" : "cgroup.freeze", g->legacy ? "THAWED" : "0");
}

int cgroup_open_thaw(const struct cgroup *g, const char **ret_word)
{
	int fd = openat(g->fd, g->legacy ? "freezer.state" : "cgroup.freeze", O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	*ret_word = g->legacy ? "THAWED" : "0";
	return fd < 0 ? -errno : fd;
}

/* --- members */

struct members {
	int procfd;
	unsigned left; /* how many more may be looked at */
	int (*fn)(const struct target *t, void *data);
	void *data;
};

static int members_of(struct members *m, int dirfd)
{
	_cleanup_close_ int fd = openat(dirfd, "cgroup.procs", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_fclose_ FILE *f = fd < 0 ? NULL : fdopen(fd, "re");
	int pid, r = 0;

	if (!f)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	TAKE_FD(fd);
	while (r == 0 && m->left && fscanf(f, "%d", &pid) == 1) {
		_cleanup_target_ struct target t = TARGET_INIT;

		m->left--;
		if (target_open(m->procfd, pid, 0, &t) == 0)
			r = m->fn(&t, m->data);
	}
	return r;
}

static int members_below(struct members *m, int dirfd, unsigned depth)
{
	_cleanup_close_ int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int r;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	TAKE_FD(fd);
	r = members_of(m, dirfd);
	while (r == 0 && depth && (e = readdir(d))) {
		_cleanup_close_ int sub = -1;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		sub = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (sub >= 0)
			r = members_below(m, sub, depth - 1);
	}
	return r;
}

int cgroup_each(const struct cgroup *g, int procfd, int (*fn)(const struct target *t, void *data), void *data)
{
	struct members m = { .procfd = procfd, .left = CGROUP_PIDS_MAX, .fn = fn, .data = data };

	return members_below(&m, g->fd, CGROUP_DEPTH_MAX);
}

/* --- killing */

struct killing {
	const struct cgroup *g;
	unsigned n;
	bool signal;
};

/* Between the listing and the pidfd the pid may have become another's: the process itself says where it is. */
static bool is_member(const struct cgroup *g, const struct target *t)
{
	_cleanup_buf_ struct buf file = BUF_INIT;
	size_t len, n = strlen(g->path);
	const char *path;

	if (target_read(t, "cgroup", CGROUP_FILE_MAX, &file, NULL) < 0 || !file.len)
		return false;
	path = find_path(&file, g->legacy, &len);
	return path && len >= n && !memcmp(path, g->path, n) && (len == n || path[n] == '/');
}

static int kill_member(const struct target *t, void *data)
{
	struct killing *k = data;
	struct proc_stat st;

	if (target_stat(t, &st) < 0 || (st.exiting && !st.has_mm))
		return 0;
	k->n++;
	if (k->signal && is_member(k->g, t))
		target_signal(t, SIGKILL);
	return 0;
}

int cgroup_kill(const struct cgroup *g, int procfd, uint64_t timeout_ns, unsigned *ret_n)
{
	uint64_t end = clock_mono_ns() + timeout_ns, wait = 200000;
	struct killing k = { .g = g };
	bool whole = !g->legacy && faccessat(g->fd, "cgroup.kill", W_OK, 0) == 0;
	int r = cgroup_each(g, procfd, kill_member, &k);

	*ret_n = k.n;
	k.signal = !whole;
	/* While they are stopped none can fork away from the signals; pending ones are delivered at the thaw. */
	if (!whole && k.n)
		cgroup_freeze(g, MIN(timeout_ns / 4, 500 * NSEC_PER_MSEC));
	while (r == 0 && k.n) {
		if (whole)
			r = cgroup_write(g, "cgroup.kill", "1");
		k.n = 0;
		if (r == 0)
			r = cgroup_each(g, procfd, kill_member, &k);
		if (g->legacy && k.n)
			cgroup_thaw(g);
		if (k.n == 0 || r < 0)
			break;
		if (clock_mono_ns() >= end)
			r = -ETIMEDOUT;
		else
			nap(&wait);
	}
	if (!whole)
		cgroup_thaw(g);
	return r;
}
