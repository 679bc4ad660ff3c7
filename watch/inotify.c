/*
 * The inotify sensor: stands in where fanotify cannot mark, for everything or for single mounts. Owns the inotify
 * descriptor; notify thread. It follows names, not inodes: who made a change is unknown, and a write through another
 * link of a file that lies outside is not seen.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "lib/clock.h"
#include "watch/tree.h"

#define INO_BUFFER  (64 * KIB)
#define INO_READS   64
#define INO_PAIR_MS 5 /* the other half of a rename comes at once or never */

static const struct {
	uint32_t in, op;
} ops_table[] = {
	{ IN_OPEN, FS_OPEN },	  { IN_MODIFY, FS_MODIFY }, { IN_CLOSE_WRITE, FS_CLOSE_WRITE },
	{ IN_CREATE, FS_CREATE }, { IN_DELETE, FS_DELETE }, { IN_ATTRIB, FS_ATTRIB },
};

#define NAME_OPS (FS_CREATE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO)

static uint32_t ops_of(uint32_t mask)
{
	uint32_t ops = 0;

	for (size_t k = 0; k < ARRAY_SIZE(ops_table); k++)
		if (mask & ops_table[k].in)
			ops |= ops_table[k].op;
	return ops;
}

static bool is_canary(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && strncmp(name + 1, WATCH_CANARY_PREFIX, strlen(WATCH_CANARY_PREFIX)) == 0;
}

static uint32_t wanted_ops(struct ino *i, const char *path, uint32_t ops, bool is_dir, enum scope_answer answer)
{
	const struct conf *conf = i->w->conf;
	uint32_t wanted = answer == SCOPE_IN ? ops & ~(uint32_t)FS_OPEN : 0;
	bool open = (ops & FS_OPEN) && !is_dir;

	if (is_canary(path))
		return ops;
	if (i->w->o.state_dir && place_is_below(i->w->o.state_dir, path))
		return 0;
	if (open &&
	    (conf->opens == CONF_OPENS_ALL ? answer != SCOPE_EXCLUDED
					   : conf->opens == CONF_OPENS_SENSITIVE && conf_is_sensitive(conf, path)))
		wanted |= FS_OPEN;
	return wanted;
}

static void tell(struct ino *i, const char *path, uint32_t ops, bool is_dir, const char *path2)
{
	attr_mask mask;
	enum scope_answer answer = scope_match(&i->w->conf->scope, path, &mask);
	struct emit_event ev = { .is_dir = is_dir, .path = path, .len = strlen(path) };

	ev.ops = wanted_ops(i, path, ops, is_dir, answer);
	if (path2 && scope_match(&i->w->conf->scope, path2, &mask) == SCOPE_IN)
		ev.path2 = path2;
	if (answer == SCOPE_ABOVE && (ops & NAME_OPS)) {
		ev.ops = (ops & NAME_OPS) | FS_RESCAN;
		ev.text = "a folder above was made, removed or renamed";
	}
	if (ev.ops)
		emit_add(&i->w->emit, &ev);
	else
		watch_count(&i->w->dropped, 1);
}

/* A folder came: what was made in it before it was watched is found by looking. */
static void folder_came(struct ino *i, struct ino_node *parent, const char *name, const char *path)
{
	if (!tree_add(i, parent, name))
		return;
	tree_tell(i);
	if (!is_canary(path))
		emit_rescan(&i->w->emit, path, "new folder");
}

/* --- renames: two halves with one cookie */

static void forget_half(struct ino_moved *m)
{
	free(m->path);
	*m = (struct ino_moved){ 0 };
}

/* The other half did not come: it went out of what is watched. */
static void half_alone(struct ino *i, struct ino_moved *m)
{
	struct ino_node *n = m->wd ? tree_by_wd(i, m->wd) : NULL;

	tell(i, m->path, FS_RENAME_FROM, m->is_dir, NULL);
	if (n)
		tree_remove(i, n);
	forget_half(m);
}

static void keep_half(struct ino *i, struct ino_node *parent, const struct inotify_event *ev, const char *path)
{
	struct ino_node *n = ev->mask & IN_ISDIR ? tree_child(parent, ev->name) : NULL;
	struct ino_moved *m = &i->moved[0];

	for (size_t k = 0; k < INO_MOVED_MAX; k++)
		if (!i->moved[k].cookie)
			m = &i->moved[k];
	if (m->cookie)
		half_alone(i, m);
	m->path = strdup(path);
	if (!m->path) {
		emit_lost(&i->w->emit, 1, "out of memory");
		return;
	}
	m->cookie = ev->cookie;
	m->is_dir = ev->mask & IN_ISDIR;
	m->wd = n ? n->wd : 0;
}

static struct ino_moved *find_half(struct ino *i, uint32_t cookie)
{
	for (size_t k = 0; k < INO_MOVED_MAX; k++)
		if (i->moved[k].cookie == cookie)
			return &i->moved[k];
	return NULL;
}

static void moved_to(struct ino *i, struct ino_node *parent, const struct inotify_event *ev, const char *path)
{
	struct ino_moved *m = ev->cookie ? find_half(i, ev->cookie) : NULL;
	struct ino_node *n = m && m->wd ? tree_by_wd(i, m->wd) : NULL, *old;
	bool is_dir = ev->mask & IN_ISDIR;

	if (m)
		tell(i, m->path, FS_RENAME_FROM, is_dir, path);
	tell(i, path, FS_RENAME_TO, is_dir, m ? m->path : NULL);
	if (m)
		forget_half(m);
	if (!is_dir)
		return;
	old = tree_child(parent, ev->name);
	if (old && old != n)
		tree_remove(i, old);
	if (n)
		tree_move(i, n, parent, ev->name);
	/* Also after a move: what is wanted below may differ there. */
	folder_came(i, parent, ev->name, path);
}

static void halves_end(struct ino *i)
{
	for (size_t k = 0; k < INO_MOVED_MAX; k++)
		if (i->moved[k].cookie)
			half_alone(i, &i->moved[k]);
}

static bool has_half(const struct ino *i)
{
	for (size_t k = 0; k < INO_MOVED_MAX; k++)
		if (i->moved[k].cookie)
			return true;
	return false;
}

/* --- events */

static void name_event(struct ino *i, struct ino_node *n, const struct inotify_event *ev)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	bool is_dir = (ev->mask & IN_ISDIR) || !ev->len;

	tree_path(n, ev->len ? ev->name : NULL, &path);
	if (path.failed) {
		emit_lost(&i->w->emit, 1, "out of memory");
		return;
	}
	if (ev->mask & IN_MOVED_FROM)
		keep_half(i, n, ev, path.data);
	else if (ev->mask & IN_MOVED_TO)
		moved_to(i, n, ev, path.data);
	else if (ops_of(ev->mask))
		tell(i, path.data, ops_of(ev->mask), is_dir, NULL);
	if ((ev->mask & IN_CREATE) && is_dir)
		folder_came(i, n, ev->name, path.data);
	if (ev->mask & IN_UNMOUNT)
		emit_rescan(&i->w->emit, path.data, "unmounted");
}

static void event(struct ino *i, const struct inotify_event *ev)
{
	struct ino_node *n;

	watch_count(&i->w->events, 1);
	if (ev->mask & IN_Q_OVERFLOW) {
		emit_lost(&i->w->emit, 0, "the kernel's event queue overflowed");
		i->lost = true;
		return;
	}
	n = tree_by_wd(i, ev->wd);
	if (!n)
		return;
	if (ev->mask & IN_IGNORED) {
		tree_remove(i, n);
		return;
	}
	name_event(i, n, ev);
}

static void decode(struct ino *i, size_t len)
{
	size_t at = 0;

	while (len - at >= sizeof(struct inotify_event)) {
		const struct inotify_event *ev = (const void *)(i->buffer + at);

		if (ev->len > len - at - sizeof(*ev))
			break;
		event(i, ev);
		at += sizeof(*ev) + ev->len;
	}
}

/* True: nothing was left. */
static bool read_some(struct ino *i, bool *ret_any)
{
	for (int k = 0; k < INO_READS; k++) {
		ssize_t n = read(i->fd, i->buffer, INO_BUFFER);

		if (n <= 0)
			return true;
		*ret_any = true;
		emit_begin(&i->w->emit, clock_boot_ns());
		decode(i, (size_t)n);
	}
	return false;
}

bool ino_read(struct ino *i)
{
	struct pollfd p = { .fd = i->fd, .events = POLLIN };
	bool any = false, all = read_some(i, &any);

	if (!any)
		return all;
	if (has_half(i) && poll(&p, 1, INO_PAIR_MS) > 0)
		all = read_some(i, &any);
	halves_end(i);
	/* New folders may be among what was lost: all is walked again. */
	if (i->lost) {
		i->lost = false;
		tree_update(i);
	}
	emit_flush(&i->w->emit);
	return all;
}

/* --- life */

int ino_new(struct watch *w, bool alone, struct ino **ret, struct buf *err)
{
	struct ino *i = calloc(1, sizeof(*i));
	int r = 0;

	if (!i)
		return -ENOMEM;
	i->w = w;
	i->alone = alone;
	i->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (i->fd < 0)
		r = -errno;
	i->buffer = aligned_alloc(64, INO_BUFFER);
	if (!i->buffer)
		r = -ENOMEM;
	if (r < 0) {
		buf_printf(err, "inotify: %s", strerror(-r));
		ino_free(i);
		return r;
	}
	*ret = i;
	return 0;
}

void ino_free(struct ino *i)
{
	if (!i)
		return;
	tree_free(i);
	for (size_t k = 0; k < INO_MOVED_MAX; k++)
		free(i->moved[k].path);
	if (i->fd >= 0)
		close(i->fd);
	free(i->buffer);
	free(i);
}

int ino_fd(const struct ino *i)
{
	return i->fd;
}

void ino_update(struct ino *i)
{
	tree_update(i);
}

/* The mounts that hold a watched folder. */
int ino_publish(const struct ino *i, struct arena *a, struct watch_mark **ret, size_t *ret_n)
{
	const struct mount_table *t = &i->w->mounts;
	struct watch_mark *marks = arena_zalloc(a, (t->n + 1) * sizeof(*marks));
	size_t n = 0;

	if (!marks)
		return -ENOMEM;
	for (size_t k = 0; k < t->n; k++) {
		const struct mount *m = &t->mounts[k];

		if (mounts_find(t, m->point) != m || !tree_has(i, m->point))
			continue;
		marks[n] = (struct watch_mark){ arena_strdup(a, m->point),
						arena_strdup(a, m->fstype),
						arena_strdup(a, m->source),
						m->dev,
						true,
						false,
						NULL };
		if (!marks[n].mountpoint || !marks[n].fstype || !marks[n].source)
			return -ENOMEM;
		n++;
	}
	atomic_store(&i->w->marks, n);
	atomic_store(&i->w->wanted, n);
	*ret = marks;
	*ret_n = n;
	return 0;
}
