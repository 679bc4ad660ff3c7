/*
 * Which folders inotify watches. Owns the nodes and their watches. Notify thread; lists folders of local file systems,
 * each opened by its name in its parent (no symlink is followed, no length of path matters).
 */
#include "watch/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define TREE_MASK                                                                                                      \
	(IN_CREATE | IN_DELETE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |                \
	 IN_DELETE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)

/* --- nodes */

void tree_path(const struct ino_node *n, const char *name, struct buf *ret)
{
	if (n->parent)
		tree_path(n->parent, n->name, ret);
	else
		buf_str(ret, n->name);
	if (!name)
		return;
	if (ret->len && ret->data[ret->len - 1] != '/')
		buf_char(ret, '/');
	buf_str(ret, name);
}

struct ino_node *tree_by_wd(struct ino *i, int wd)
{
	struct ino_node *n;

	HASH_FIND_INT(i->nodes, &wd, n);
	return n;
}

struct ino_node *tree_child(struct ino_node *parent, const char *name)
{
	for (struct ino_node *n = parent->child; n; n = n->next)
		if (streq(n->name, name))
			return n;
	return NULL;
}

bool tree_has(const struct ino *i, const char *path)
{
	for (struct ino_node *n = i->roots; n; n = n->next) {
		const struct ino_node *at = n;
		const char *rest;

		if (!place_is_below(n->name, path))
			continue;
		rest = path + (n->name[1] ? strlen(n->name) : 0);
		while (at && *(rest += strspn(rest, "/"))) {
			size_t len = strcspn(rest, "/");
			const struct ino_node *c = at->child;

			while (c && !(strncmp(c->name, rest, len) == 0 && !c->name[len]))
				c = c->next;
			at = c;
			rest += len;
		}
		if (at)
			return true;
	}
	return false;
}

static struct ino_node **list_of(struct ino *i, const struct ino_node *n)
{
	return n->parent ? &n->parent->child : &i->roots;
}

static void unlink_node(struct ino *i, struct ino_node *n)
{
	struct ino_node **link = list_of(i, n);

	while (*link != n)
		link = &(*link)->next;
	*link = n->next;
}

static void link_node(struct ino *i, struct ino_node *n, struct ino_node *parent)
{
	struct ino_node **link;

	n->parent = parent;
	link = list_of(i, n);
	n->next = *link;
	*link = n;
}

static void free_node(struct ino *i, struct ino_node *n)
{
	HASH_DEL(i->nodes, n);
	i->n--;
	free(n->name);
	free(n);
}

/* Leaves first, without recursion: trees may be deep. */
void tree_remove(struct ino *i, struct ino_node *top)
{
	struct ino_node *n = top, *parent;

	unlink_node(i, top);
	for (;;) {
		while (n->child)
			n = n->child;
		parent = n->parent;
		if (n != top)
			parent->child = n->next;
		inotify_rm_watch(i->fd, n->wd);
		if (n == top) {
			free_node(i, n);
			return;
		}
		free_node(i, n);
		n = parent;
	}
}

int tree_move(struct ino *i, struct ino_node *n, struct ino_node *parent, const char *name)
{
	char *copy;

	/* The tree is behind the file system: what it calls above may be below by now. */
	for (const struct ino_node *above = parent; above; above = above->parent) {
		if (above == n) {
			i->lost = true;
			return -ELOOP;
		}
	}
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	unlink_node(i, n);
	free(n->name);
	n->name = copy;
	link_node(i, n, parent);
	return 0;
}

void tree_free(struct ino *i)
{
	while (i->roots)
		tree_remove(i, i->roots);
	arena_free(&i->arena);
	free(i->points);
}

/* --- what is to be watched */

static bool is_wanted(const struct ino *i, const char *path, size_t len)
{
	enum scope_answer answer;
	struct place place;
	attr_mask mask;

	place_init(&place, i->w->conf, i->w->o.state_dir, path, len);
	if (place.self == SCOPE_IN || place.ask)
		return true;
	answer = i->sensitive.n_paths ? scope_match(&i->sensitive, path, &mask) : SCOPE_OUT;
	return answer == SCOPE_IN || answer == SCOPE_ABOVE;
}

static uint32_t mask_for(const struct ino *i, const char *path)
{
	attr_mask mask;

	if (i->w->conf->opens == CONF_OPENS_ALL)
		return TREE_MASK | IN_OPEN;
	/* ABOVE: a sensitive file may be in it. */
	if (i->sensitive.n_paths && scope_match(&i->sensitive, path, &mask) != SCOPE_OUT)
		return TREE_MASK | IN_OPEN;
	return TREE_MASK;
}

static int compare_points(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* What is mounted exactly there; NULL for nothing. */
static const struct mount *mount_at(const struct ino *i, const char *path)
{
	const struct mount *m;

	if (!i->n_points || !bsearch(&path, i->points, i->n_points, sizeof(*i->points), compare_points))
		return NULL;
	m = mounts_find(&i->w->mounts, path);
	return m && streq(m->point, path) ? m : NULL;
}

/* Remote and pseudo file systems are left out by type; standing in for single mounts, each is a root of its own. */
static bool may_enter(struct ino *i, const char *path)
{
	const struct mount *m = mount_at(i, path);
	const char *why = m ? mounts_why_skip(m) : NULL;

	if (!m)
		return true;
	if (!i->alone)
		return false;
	if (why)
		gaps_hold(&i->w->gaps, GAP_FS_SKIPPED, path, why, 0);
	return !why;
}

/* --- the walk */

static struct ino_node *new_node(struct ino *i, struct ino_node *parent, const char *name, int wd)
{
	struct ino_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->name = strdup(name);
	if (!n->name) {
		free(n);
		return NULL;
	}
	n->wd = wd;
	HASH_ADD_INT(i->nodes, wd, n);
	link_node(i, n, parent);
	i->n++;
	return n;
}

static int add_watch(struct ino *i, int fd, const char *path)
{
	char proc[64];
	int wd;

	if (i->n >= i->limit)
		return -ENOSPC;
	/* Through the descriptor: it is this folder whatever the name stands for by now. */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/.", fd);
	wd = inotify_add_watch(i->fd, proc, mask_for(i, path));
	return wd < 0 ? -errno : wd;
}

/* One inode has one watch. Seen twice in a walk it has two names (bind mount) and keeps the first; otherwise it was
 * moved. */
static struct ino_node *found_elsewhere(struct ino *i, struct ino_node *n, struct ino_node *parent, const char *name)
{
	if (i->walking && n->round == i->round)
		return NULL;
	return tree_move(i, n, parent, name) < 0 ? NULL : n;
}

/* The node of the folder behind fd, made where it is new. NULL: it cannot be watched (counted), or is watched under
 * another name. */
static struct ino_node *watch_folder(struct ino *i, struct ino_node *parent, const char *name, int fd, const char *path)
{
	struct ino_node *n, *namesake = parent ? tree_child(parent, name) : NULL;
	int wd = add_watch(i, fd, path);

	if (wd < 0) {
		if (wd == -ENOSPC)
			i->unwatched++;
		else
			i->unreadable++;
		return NULL;
	}
	n = tree_by_wd(i, wd);
	if (!n)
		n = new_node(i, parent, name, wd);
	else if (n != namesake && !(n->parent == parent && streq(n->name, name)))
		n = found_elsewhere(i, n, parent, name);
	/* What was watched under this name is not here any more. Last: n may have been below it. */
	if (n && namesake && namesake != n)
		tree_remove(i, namesake);
	if (n)
		n->round = i->round;
	return n;
}

static bool is_folder(int dirfd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_DIR && !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
	return !streq(entry->d_name, ".") && !streq(entry->d_name, "..") &&
	       fstatat(dirfd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool walk(struct ino *i, struct ino_node *parent, const char *name, int dirfd, struct buf *path);

static void walk_below(struct ino *i, struct ino_node *n, int fd, struct buf *path)
{
	_cleanup_closedir_ DIR *dir = fdopendir(fd);
	size_t len = path->len;
	struct dirent *entry;

	if (!dir) {
		close(fd);
		i->unreadable++;
		return;
	}
	while ((entry = readdir(dir))) {
		if (!is_folder(fd, entry))
			continue;
		if (len > 1)
			buf_char(path, '/');
		buf_str(path, entry->d_name);
		if (path->failed)
			return;
		walk(i, n, entry->d_name, fd, path);
		path->len = len;
		path->data[len] = '\0';
	}
}

/* path: whole path of the folder `name` in dirfd. True when it is watched. */
static bool walk(struct ino *i, struct ino_node *parent, const char *name, int dirfd, struct buf *path)
{
	_cleanup_close_ int fd = -1;
	struct ino_node *n;

	if (!is_wanted(i, path->data, path->len) || (parent && !may_enter(i, path->data)))
		return false;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		/* Gone or no folder any more is no loss. */
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
			i->unreadable++;
		return false;
	}
	n = watch_folder(i, parent, name, fd, path->data);
	if (!n)
		return false;
	walk_below(i, n, TAKE_FD(fd), path);
	return true;
}

bool tree_add(struct ino *i, struct ino_node *parent, const char *name)
{
	_cleanup_buf_ struct buf above = BUF_INIT, path = BUF_INIT;
	_cleanup_close_ int dirfd = -1;

	tree_path(parent, NULL, &above);
	tree_path(parent, name, &path);
	if (above.failed || path.failed)
		return false;
	dirfd = open(above.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0) {
		i->unreadable += errno == ENAMETOOLONG;
		return false;
	}
	return walk(i, parent, name, dirfd, &path);
}

static void walk_root(struct ino *i, const char *point)
{
	_cleanup_buf_ struct buf path = BUF_INIT;

	buf_str(&path, point);
	if (!path.failed)
		walk(i, NULL, point, AT_FDCWD, &path);
}

/* --- rounds */

/* The lower of what the kernel and the user namespace allow one user. */
static void read_limit(struct ino *i)
{
	static const char *const files[] = { "/proc/sys/fs/inotify/max_user_watches",
					     "/proc/sys/user/max_inotify_watches" };

	i->limit = UINT64_MAX;
	for (size_t at = 0; at < ARRAY_SIZE(files); at++) {
		_cleanup_fclose_ FILE *f = fopen(files[at], "re");
		unsigned long long limit;

		if (f && fscanf(f, "%llu", &limit) == 1)
			i->limit = MIN(i->limit, limit);
	}
}

static void read_conf(struct ino *i)
{
	const struct conf *conf = i->w->conf;

	arena_free(&i->arena);
	i->sensitive = (struct scope){ 0 };
	for (size_t at = 0; at < conf->n_sensitive && conf->opens == CONF_OPENS_SENSITIVE; at++)
		scope_add_path(&i->arena, &i->sensitive, conf->sensitive[at], 0);
}

static void read_points(struct ino *i)
{
	const struct mount_table *t = &i->w->mounts;

	free(i->points);
	i->n_points = 0;
	i->points = calloc(t->n + 1, sizeof(*i->points));
	for (size_t at = 0; i->points && at < t->n; at++)
		i->points[i->n_points++] = t->mounts[at].point;
	if (i->points)
		qsort(i->points, i->n_points, sizeof(*i->points), compare_points);
}

static struct ino_node *find_unseen(struct ino *i)
{
	for (struct ino_node *n = i->nodes; n; n = n->hh.next)
		if (n->round != i->round)
			return n;
	return NULL;
}

void tree_tell(struct ino *i)
{
	char detail[160];

	if (i->unwatched) {
		snprintf(detail, sizeof(detail), "limit of %llu watches for one user: %llu folders are not watched",
			 (unsigned long long)i->limit, (unsigned long long)i->unwatched);
		gaps_hold(&i->w->gaps, GAP_LIMIT, "inotify", detail, i->unwatched);
	}
	if (i->unreadable) {
		snprintf(detail, sizeof(detail), "%llu folders could not be opened", (unsigned long long)i->unreadable);
		gaps_hold(&i->w->gaps, GAP_UNREADABLE, "inotify", detail, i->unreadable);
	}
	atomic_store(&i->w->watches, i->n);
}

void tree_update(struct ino *i)
{
	const struct mount_table *t = &i->w->mounts;
	struct ino_node *n;

	i->round++;
	i->unwatched = 0;
	i->unreadable = 0;
	read_limit(i);
	read_conf(i);
	read_points(i);
	i->walking = true;
	if (i->alone)
		walk_root(i, "/");
	for (size_t at = 0; !i->alone && at < t->n; at++)
		if (fan_is_stand_in(i->w->fan, &t->mounts[at]) && mounts_find(t, t->mounts[at].point) == &t->mounts[at])
			walk_root(i, t->mounts[at].point);
	i->walking = false;
	while ((n = find_unseen(i)))
		tree_remove(i, n);
	tree_tell(i);
}
