/*
 * fanotify marks on whole file systems: which are wanted, setting them, and saying where that failed. Owns the list of
 * file systems. Notify thread (and whoever starts it, before). Opens mount points of local file systems only.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "watch/fan.h"
#include "watch/marks.h"

#define OPEN_BITS FAN_OPEN

struct fan_fs *marks_find(struct fan *f, const struct fan_fs *after, const uint8_t *fsid)
{
	for (struct fan_fs *fs = after ? after->next : f->filesystems; fs; fs = fs->next)
		if (fs->marked && memcmp(fs->fsid, fsid, DECODE_FSID_LEN) == 0)
			return fs;
	return NULL;
}

static void fs_free(struct fan_fs *fs)
{
	free(fs->point);
	free(fs->root);
	free(fs->fstype);
	free(fs->source);
	free(fs);
}

/* A configured or sensitive path, up to its first wildcard, and the mount it lies in. */
struct need {
	char *prefix;
	const struct mount *holder;
	bool is_glob;
	bool layers; /* conf.marked */
};

static void need_free(struct need *needs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(needs[i].prefix);
	free(needs);
}

static bool need_add(struct need *need, const struct mount_table *t, const char *pattern)
{
	size_t len = place_literal_prefix(pattern);

	need->is_glob = pattern[len] != '\0';
	need->prefix = len ? strndup(pattern, len) : strdup("/");
	need->holder = need->prefix ? mounts_find(t, need->prefix) : NULL;
	return need->prefix;
}

static bool need_add_literal(struct need *need, const struct mount_table *t, const char *path)
{
	need->layers = true;
	need->prefix = strdup(path);
	need->holder = need->prefix ? mounts_find(t, need->prefix) : NULL;
	return need->prefix;
}

/* Looked up once for each round: hosts have thousands of mounts. */
static int find_needs(const struct watch *w, struct need **ret, size_t *ret_n)
{
	const struct conf *conf = w->conf;
	size_t n_sensitive = conf->opens == CONF_OPENS_SENSITIVE ? conf->n_sensitive : 0, n = 0;
	struct need *needs = calloc(conf->scope.n_paths + n_sensitive + conf->marked.n + 1, sizeof(*needs));
	bool good = needs;

	for (size_t i = 0; good && i < conf->scope.n_paths; i++)
		good = need_add(&needs[n++], &w->mounts, conf->scope.paths[i].path);
	for (size_t i = 0; good && i < n_sensitive; i++)
		good = need_add(&needs[n++], &w->mounts, conf->sensitive[i]);
	for (size_t i = 0; good && i < conf->marked.n; i++)
		good = need_add_literal(&needs[n++], &w->mounts, conf->marked.items[i]);
	if (!good) {
		need_free(needs, n);
		return -ENOMEM;
	}
	*ret = needs;
	*ret_n = n;
	return 0;
}

/* Where the nodes of devices are: a devtmpfs, or in its place what containers and small systems mount at /dev. */
static bool is_dev(const struct mount *m)
{
	return streq(m->fstype, "devtmpfs") || (streq(m->fstype, "tmpfs") && streq(m->point, "/dev"));
}

/*
 * The mount holds a configured or sensitive path, is guarded as a whole, or a glob may find something in it.
 * *ret_layers: it just holds layers of containers.
 */
static bool is_wanted(const struct watch *w, const struct mount *m, const struct need *needs, size_t n,
		      bool *ret_layers)
{
	attr_mask mask;

	*ret_layers = false;
	if (is_dev(m) && streq(m->point, "/dev"))
		return true;
	if (scope_match(&w->conf->scope, m->point, &mask) == SCOPE_IN)
		return true;
	for (size_t i = 0; i < n; i++)
		if (!needs[i].layers &&
		    (needs[i].holder == m || (needs[i].is_glob && place_is_below(needs[i].prefix, m->point))))
			return true;
	for (size_t i = 0; i < n; i++)
		*ret_layers |= needs[i].layers && needs[i].holder == m;
	return *ret_layers;
}

static int set_strings(struct fan_fs *fs, const struct mount *m)
{
	char *point = strdup(m->point), *root = strdup(m->root), *fstype = strdup(m->fstype),
	     *source = strdup(m->source);

	if (!point || !root || !fstype || !source) {
		free(point);
		free(root);
		free(fstype);
		free(source);
		return -ENOMEM;
	}
	free(fs->point);
	free(fs->root);
	free(fs->fstype);
	free(fs->source);
	fs->point = point;
	fs->root = root;
	fs->fstype = fstype;
	fs->source = source;
	fs->mount_id = m->id;
	return 0;
}

/* Block devices that hold the file system: whoever writes to them goes around it. */
static void set_rdevs(struct fan_fs *fs, const struct mount *m)
{
	struct stat st;

	fs->rdev[0] = major(m->dev) ? m->dev : 0;
	fs->rdev[1] = 0;
	if (m->source[0] == '/' && stat(m->source, &st) == 0 && S_ISBLK(st.st_mode))
		fs->rdev[1] = st.st_rdev;
}

void marks_free(struct fan *f)
{
	for (struct fan_fs *fs = f->filesystems, *next; fs; fs = next) {
		next = fs->next;
		fs_free(fs);
	}
	f->filesystems = NULL;
}

static struct fan_fs *find_dev(struct fan *f, uint64_t dev)
{
	for (struct fan_fs *fs = f->filesystems; fs; fs = fs->next)
		if (fs->dev == dev)
			return fs;
	return NULL;
}

/* Of all mounts that show the superblock one that shows it whole, so that every path in it can be told. */
static const struct mount *best_mount(const struct mount_table *t, const struct mount *wanted)
{
	const struct mount *best = wanted;

	for (size_t i = 0; i < t->n && !streq(best->root, "/"); i++) {
		const struct mount *m = &t->mounts[i];

		if (m->dev == wanted->dev && streq(m->root, "/") && mounts_find(t, m->point) == m)
			best = m;
	}
	return best;
}

static struct fan_fs *want(struct fan *f, const struct mount *wanted)
{
	const struct mount *m = best_mount(&f->w->mounts, wanted);
	struct fan_fs *fs = find_dev(f, m->dev);

	if (!fs) {
		fs = calloc(1, sizeof(*fs));
		if (!fs)
			return NULL;
		fs->dev = m->dev;
		fs->fd = -1;
		fs->layers = true;
		fs->next = f->filesystems;
		f->filesystems = fs;
	}
	if (fs->seen)
		return fs;
	fs->seen = set_strings(fs, m) == 0;
	set_rdevs(fs, m);
	fs->is_dev = is_dev(m);
	return fs;
}

/*
 * A mark through a subvolume of btrfs is refused (EXDEV): the top of the file system has to be reached by a mount of it
 * that nobody else sees, and that goes away with its descriptor. The mark stays.
 */
static int open_btrfs_top(const char *source)
{
	_cleanup_close_ int context = (int)syscall(SYS_fsopen, "btrfs", 1U /* FSOPEN_CLOEXEC */);
	_cleanup_close_ int mount = -1;
	int fd;

	if (context < 0)
		return -errno;
	if (syscall(SYS_fsconfig, context, 1U /* SET_STRING */, "source", source, 0) < 0 ||
	    syscall(SYS_fsconfig, context, 1U, "subvolid", "5", 0) < 0 ||
	    syscall(SYS_fsconfig, context, 6U /* CMD_CREATE */, NULL, NULL, 0) < 0)
		return -errno;
	mount = (int)syscall(SYS_fsmount, context, 1U /* FSMOUNT_CLOEXEC */, 0);
	if (mount < 0)
		return -errno;
	fd = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int set_mark(struct fan *f, int fd)
{
	uint64_t mask = f->mask | f->opens;

	if (fanotify_mark(f->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, fd, NULL) == 0)
		return 0;
	if (errno != EINVAL || !(f->mask & FAN_RENAME))
		return -errno;
	/* Before 5.17: the two halves of a rename come as events of their own. */
	f->mask = (f->mask & ~(uint64_t)FAN_RENAME) | FAN_MOVED_FROM | FAN_MOVED_TO;
	mask = f->mask | f->opens;
	return fanotify_mark(f->fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, mask, fd, NULL) == 0 ? 0 : -errno;
}

/* Marks are set again on each change of mounts: setting one twice is nothing, and a file system that was unmounted lost
 * its. */
static int mark(struct fan *f, struct fan_fs *fs)
{
	_cleanup_close_ int fd = resolve_open_mount(fs->point, fs->mount_id);
	struct statfs st;
	int r;

	if (fd < 0)
		return fd;
	r = set_mark(f, fd);
	if (r == -EXDEV && streq(fs->fstype, "btrfs")) {
		close(fd);
		fd = open_btrfs_top(fs->source);
		if (fd < 0)
			return fd;
		r = set_mark(f, fd);
	}
	if (r < 0)
		return r;
	if (fstatfs(fd, &st) < 0)
		return -errno;
	memcpy(fs->fsid, &st.f_fsid, sizeof(fs->fsid));
	if (!f->opens)
		fanotify_mark(f->fd, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, OPEN_BITS, fd, NULL);
	return 0;
}

static bool lacks_handles(int error)
{
	return error == EOPNOTSUPP || error == ENODEV || error == EXDEV || error == EOVERFLOW;
}

static void explain(struct fan_fs *fs, int error)
{
	if (error == ENODEV || error == EOPNOTSUPP || error == EOVERFLOW)
		snprintf(fs->why, sizeof(fs->why), "%s: no file handles, inotify stands in", fs->fstype);
	else if (error == EXDEV)
		snprintf(fs->why, sizeof(fs->why), "%s: a subvolume cannot be marked, inotify stands in", fs->fstype);
	else
		snprintf(fs->why, sizeof(fs->why), "%s: %s", fs->fstype, strerror(error));
}

static void mark_and_tell(struct fan *f, struct fan_fs *fs)
{
	int r = mark(f, fs);

	fs->marked = r == 0;
	fs->stand_in = r < 0 && lacks_handles(-r) && !fs->is_dev;
	marks_forget_paths(fs);
	if (!r) {
		fs->why[0] = '\0';
		return;
	}
	explain(fs, -r);
	gaps_hold(&f->w->gaps, fs->stand_in ? GAP_WEAK_SENSOR : GAP_MARK_FAILED, fs->point, fs->why, 0);
}

static void skip(struct fan *f, const struct mount *m, const char *why)
{
	char detail[160];

	snprintf(detail, sizeof(detail), "%s (%s)", why, m->fstype);
	gaps_hold(&f->w->gaps, GAP_FS_SKIPPED, m->point, detail, 0);
}

/* Not wanted any more. That the mark cannot be taken away (unmounted) is as good. */
static void remove_unseen(struct fan *f)
{
	for (struct fan_fs **link = &f->filesystems, *fs; (fs = *link);) {
		if (fs->seen) {
			link = &fs->next;
			continue;
		}
		if (fs->marked) {
			_cleanup_close_ int fd = resolve_open_mount(fs->point, fs->mount_id);

			if (fd >= 0)
				fanotify_mark(f->fd, FAN_MARK_REMOVE | FAN_MARK_FILESYSTEM, f->mask | OPEN_BITS, fd,
					      NULL);
		}
		*link = fs->next;
		fs_free(fs);
	}
}

static void count_marks(struct fan *f)
{
	uint64_t marked = 0, wanted = 0;

	for (struct fan_fs *fs = f->filesystems; fs; fs = fs->next) {
		marked += fs->marked;
		wanted++;
	}
	atomic_store(&f->w->marks, marked);
	atomic_store(&f->w->wanted, wanted);
}

static void want_mounts(struct fan *f)
{
	const struct mount_table *t = &f->w->mounts;
	struct need *needs;
	size_t n;

	if (find_needs(f->w, &needs, &n) < 0) {
		gaps_hold(&f->w->gaps, GAP_MARK_FAILED, "/", "out of memory", 0);
		return;
	}
	for (size_t i = 0; i < t->n; i++) {
		const struct mount *m = &t->mounts[i];
		const char *why;
		struct fan_fs *fs;
		bool layers;

		if (!is_wanted(f->w, m, needs, n, &layers) || mounts_find(t, m->point) != m)
			continue;
		why = mounts_why_skip(m);
		fs = why ? NULL : want(f, m);
		if (why)
			skip(f, m, why);
		else if (fs)
			fs->layers &= layers;
	}
	need_free(needs, n);
}

void fan_update(struct fan *f)
{
	f->opens = f->w->conf->opens == CONF_OPENS_ALL ? OPEN_BITS : 0;
	for (struct fan_fs *fs = f->filesystems; fs; fs = fs->next) {
		fs->seen = false;
		fs->layers = true;
	}
	want_mounts(f);
	for (struct fan_fs *fs = f->filesystems; fs; fs = fs->next)
		if (fs->seen)
			mark_and_tell(f, fs);
	remove_unseen(f);
	count_marks(f);
}

bool fan_is_stand_in(const struct fan *f, const struct mount *m)
{
	for (const struct fan_fs *fs = f->filesystems; fs; fs = fs->next)
		if (fs->dev == m->dev)
			return fs->stand_in;
	return false;
}

int fan_publish(const struct fan *f, struct arena *a, struct watch_mark **ret, size_t *ret_n)
{
	struct watch_mark *marks;
	size_t n = 0;

	for (const struct fan_fs *fs = f->filesystems; fs; fs = fs->next)
		n++;
	marks = arena_zalloc(a, MAX(n, 1U) * sizeof(*marks));
	if (!marks)
		return -ENOMEM;
	n = 0;
	for (const struct fan_fs *fs = f->filesystems; fs; fs = fs->next) {
		struct watch_mark *m = &marks[n++];

		m->mountpoint = arena_strdup(a, fs->point);
		m->fstype = arena_strdup(a, fs->fstype);
		m->source = arena_strdup(a, fs->source);
		m->why = fs->marked ? NULL : arena_strdup(a, fs->why);
		m->dev = fs->dev;
		m->marked = fs->marked;
		m->layers = fs->layers;
		if (!m->mountpoint || !m->fstype || !m->source || (!fs->marked && !m->why))
			return -ENOMEM;
	}
	*ret = marks;
	*ret_n = n;
	return 0;
}
