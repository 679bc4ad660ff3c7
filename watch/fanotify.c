/*
 * The fanotify sensor (group N of the design): reads events, names them, asks the scope, passes on what is guarded.
 * Owns the group. Runs on the notify thread; opens no file but mount points and folder handles (O_PATH), and reads
 * /proc only through the process table on a process it never heard of.
 *
 * FAN_REPORT_PIDFD is not asked for. It makes the kernel open a descriptor for each event: reading a flood of 160,000
 * events took 0.30 s of processor time instead of 0.15 s (Linux 6.18), and a full descriptor table would cost events.
 * All it tells is whether the process is still there; the process table knows that from the proc connector, and keeps
 * the ended ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
#include "pkg/manager.h"
#include "watch/fan.h"
#include "lib/hash.h"
#include "watch/marks.h"

#define FAN_BUFFER  (256 * KIB)
#define FAN_HANDLES 32768
#define FAN_READS   64 /* of FAN_BUFFER in one go: then mounts and requests have their turn */
#define FAN_MASK                                                                                                       \
	(FAN_CREATE | FAN_DELETE | FAN_RENAME | FAN_ATTRIB | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_OPEN_EXEC | FAN_ONDIR)

/* What rules ask for: a write counts once, when the file is closed. */
#define FAN_ACCESS_OPS (FS_CREATE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO | FS_ATTRIB | FS_CLOSE_WRITE)

/* From the best to what kernels before 5.17 have. */
static const unsigned init_flags[] = {
	FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME | FAN_REPORT_TARGET_FID,
	FAN_REPORT_FID | FAN_REPORT_DIR_FID | FAN_REPORT_NAME,
};

static const struct {
	uint64_t fan;
	uint32_t op;
} ops_table[] = {
	{ FAN_OPEN, FS_OPEN },		{ FAN_MODIFY, FS_MODIFY }, { FAN_CLOSE_WRITE, FS_CLOSE_WRITE },
	{ FAN_CREATE, FS_CREATE },	{ FAN_DELETE, FS_DELETE }, { FAN_MOVED_FROM, FS_RENAME_FROM },
	{ FAN_MOVED_TO, FS_RENAME_TO }, { FAN_ATTRIB, FS_ATTRIB }, { FAN_OPEN_EXEC, FS_EXEC },
};

static uint32_t ops_of(uint64_t mask)
{
	uint32_t ops = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ops_table); i++)
		if (mask & ops_table[i].fan)
			ops |= ops_table[i].op;
	return ops;
}

static bool is_canary(const char *name)
{
	return name && strncmp(name, WATCH_CANARY_PREFIX, strlen(WATCH_CANARY_PREFIX)) == 0;
}

static void join(struct buf *b, const struct place *place, const char *name)
{
	buf_reset(b);
	buf_add(b, place->path, place->len);
	if (!name)
		return;
	if (place->len > 1)
		buf_char(b, '/');
	buf_str(b, name);
}

/* --- opens of what is sensitive */

static void mark_opens(const char *path, bool is_dir, void *data)
{
	struct fan *f = data;
	uint64_t mask = FAN_OPEN | (is_dir ? FAN_EVENT_ON_CHILD : 0);

	/* A failure is no news here: gone again, or on a file system whose own mark failed and was told. */
	fanotify_mark(f->fd, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, mask, AT_FDCWD, path);
}

void fan_mark_sensitive(struct fan *f, const char *path)
{
	const struct conf *conf = f->w->conf;

	if (conf->opens != CONF_OPENS_SENSITIVE)
		return;
	if (sensitive_each(conf, &f->w->mounts, path, mark_opens, f) < 0)
		gaps_hold(&f->w->gaps, GAP_LIMIT, "sensitive",
			  "too many sensitive files and folders: opens of the rest are not seen", 0);
}

/* A name came to be: at a sensitive path its inode is marked at once; a folder may have brought some with it. */
static void name_came(struct fan *f, const struct place *place, const char *path, bool is_dir)
{
	if (!place->sensitive || f->w->conf->opens != CONF_OPENS_SENSITIVE)
		return;
	if (is_dir)
		fan_mark_sensitive(f, path);
	else if (!place->covered && conf_is_sensitive(f->w->conf, path))
		mark_opens(path, false, f);
}

/* --- one name */

/* Opens count where the configuration watches them; whether the path is guarded does not matter. */
static bool keeps_open(const struct fan *f, const struct place *place, const char *path, enum scope_answer answer,
		       bool is_dir)
{
	switch (f->w->conf->opens) {
	case CONF_OPENS_ALL:
		return !is_dir && answer != SCOPE_EXCLUDED;
	case CONF_OPENS_SENSITIVE:
		return !is_dir && place->sensitive && conf_is_sensitive(f->w->conf, path);
	default:
		return false;
	}
}

static void drop(struct fan *f)
{
	watch_count(&f->w->dropped, 1);
}

/* Scope decides what is left of the ops. */
static uint32_t wanted_ops(struct fan *f, const struct fan_name *n, enum scope_answer answer)
{
	uint32_t ops = answer == SCOPE_IN ? n->ops & ~(uint32_t)(FS_OPEN | FS_EXEC) : 0;

	if (is_canary(n->name))
		return n->ops;
	if (n->place->own)
		return 0;
	if ((n->ops & FS_OPEN) && keeps_open(f, n->place, n->path, answer, n->is_dir))
		ops |= FS_OPEN;
	/* Of the many starts two kinds matter: one begins a package transaction, which explains changes of files that
	 * are in scope; the other ran what would be no news as long as nobody does. */
	if ((n->ops & FS_EXEC) &&
	    (package_manager_program(n->path) || (answer == SCOPE_IN && place_is_temporary(n->path))))
		ops |= FS_EXEC;
	return ops;
}

/* Writes alone (truncate, a file that stays open) matter where layers of containers are looked after. */
static uint32_t access_ops(const struct fan *f)
{
	return FAN_ACCESS_OPS | (f->w->conf->marked.n ? FS_MODIFY : 0U);
}

/* For rules, which ask about places that nothing guards as well. */
static void access_event(struct fan *f, const struct fan_name *n, enum scope_answer answer)
{
	struct emit_event ev = {
		.ops = n->ops & access_ops(f),
		.is_dir = n->is_dir,
		.pid = n->pid,
		.path = n->path,
		.len = n->len,
		.path2 = n->path2,
	};

	if (!f->w->accesses.take || n->place->own || is_canary(n->name))
		return;
	if ((n->ops & FS_OPEN) && keeps_open(f, n->place, n->path, answer, n->is_dir))
		ev.ops |= FS_OPEN;
	if (ev.ops)
		emit_add(&f->w->accesses, &ev);
}

static void name_event(struct fan *f, const struct fan_name *n)
{
	enum scope_answer answer = place_answer(n->place, &f->w->conf->scope, n->name, n->path);
	bool half = n->ops & (FS_RENAME_FROM | FS_RENAME_TO);
	uint32_t ops = wanted_ops(f, n, answer);
	struct emit_event ev = {
		.ops = ops,
		.is_dir = n->is_dir,
		.pid = n->pid,
		.path = n->path,
		.len = n->len,
		.path2 = n->path2,
	};

	if (answer == SCOPE_ABOVE && (n->ops & FAN_NAME_OPS)) {
		/* The way to something guarded changed under it. */
		ev.ops = (n->ops & FAN_NAME_OPS) | FS_RESCAN;
		ev.text = "a folder above was made, removed or renamed";
	}
	if (!half)
		access_event(f, n, answer);
	if (!ev.ops) {
		drop(f);
		return;
	}
	emit_add(&f->w->emit, &ev);
}

/* --- events */

static bool tells_access(const struct fan *f, uint32_t ops)
{
	return f->w->accesses.take && (ops & access_ops(f));
}

/* Ops that are about the name go to it; the path is left in f->path. */
static void dir_event(struct fan *f, struct fan_fs *fs, const struct decode_event *ev, uint32_t ops)
{
	struct handles_dir *d = resolve_dir(f, fs, &ev->dir);
	bool is_dir = ev->mask & FAN_ONDIR;

	buf_reset(&f->path);
	if (!d || !d->n_places) {
		drop(f);
		return;
	}
	for (uint32_t i = d->n_places; i-- > 0;) {
		struct fan_name n = { &d->places[i], ev->name, NULL, 0, NULL, ops, ev->pid, is_dir };

		/* Out of scope for all its entries, as most events are: no path is made. */
		if (n.place->self == SCOPE_OUT && !n.place->sensitive && !(ops & FS_EXEC) && !f->opens && !fs->is_dev &&
		    !is_canary(ev->name) && !(is_dir && (ops & FS_CREATE)) && !tells_access(f, ops)) {
			drop(f);
			continue;
		}
		join(&f->path, n.place, ev->name);
		if (f->path.failed) {
			emit_lost(&f->w->emit, 1, "out of memory");
			return;
		}
		n.path = f->path.data;
		n.len = f->path.len;
		if (ops & (FS_CREATE | FS_RENAME_TO))
			name_came(f, n.place, n.path, is_dir);
		name_event(f, &n);
		if (fs->is_dev)
			side_device(f, &n);
	}
	/* f->path is that of the first place now. */
	if ((ops & FS_EXEC) && f->w->o.procs && ev->name)
		proc_table_opened_exec(f->w->o.procs, ev->pid, f->path.data);
	if (is_dir && (ops & FS_CREATE) && ev->target.key && d->n_places == 1 && f->path.len)
		resolve_learn(f, fs, &ev->target, f->path.data, f->path.len);
}

/* Paths that a folder gives an entry, one after the other with their NUL; the places stay in the cache until the next
 * resolve. */
static struct handles_dir *rename_side(struct fan *f, struct fan_fs *fs, const struct decode_fid *fid, const char *name,
				       struct buf *ret)
{
	struct handles_dir *d = fid->key && name ? resolve_dir(f, fs, fid) : NULL;

	buf_reset(ret);
	if (d && d->n_places)
		join(ret, &d->places[0], name);
	return d && d->n_places && !ret->failed ? d : NULL;
}

/* Whether path2 may be told: only when it is guarded itself. */
static const char *other_name(struct fan *f, const struct buf *path)
{
	attr_mask mask;

	return path->len && scope_match(&f->w->conf->scope, path->data, &mask) == SCOPE_IN ? path->data : NULL;
}

/*
 * Where nobody watches opens a secret can be read, and put back: that it was moved there counts as an open of its old
 * name, whose inode's mark tells no more under a name that is none of ours. An unknown new name is such a place.
 */
static bool hides_secret(const struct fan *f, const struct decode_event *ev, const struct buf *new)
{
	return f->w->conf->opens == CONF_OPENS_SENSITIVE && !(ev->mask & FAN_ONDIR) &&
	       !(new->len &&conf_is_sensitive(f->w->conf, new->data));
}

static void rename_half(struct fan *f, struct fan_fs *fs, const struct decode_event *ev, bool to, struct buf *old,
			struct buf *new)
{
	struct buf *mine = to ? new : old;
	const char *name = to ? ev->new_name : ev->name;
	struct handles_dir *d = rename_side(f, fs, to ? &ev->new_dir : &ev->dir, name, mine);
	struct fan_name n = { .name = name, .pid = ev->pid, .is_dir = ev->mask & FAN_ONDIR };

	if (!d) {
		drop(f);
		return;
	}
	n.ops = to ? FS_RENAME_TO : FS_RENAME_FROM;
	/* Kept for names that are sensitive alone. */
	if (!to && hides_secret(f, ev, new))
		n.ops |= FS_OPEN;
	n.path2 = other_name(f, to ? old : new);
	for (uint32_t i = d->n_places; i-- > 0;) {
		n.place = &d->places[i];
		join(mine, n.place, name);
		n.path = mine->data;
		n.len = mine->len;
		if (to)
			name_came(f, n.place, n.path, n.is_dir);
		name_event(f, &n);
		if (fs->is_dev)
			side_device(f, &n);
	}
}

/* The first place of the old name, of the new one where the old is not known. */
static void rename_access(struct fan *f, struct fan_fs *fs, const struct decode_event *ev, struct buf *old,
			  const struct buf *new)
{
	bool from = old->len > 0;
	struct handles_dir *d = resolve_dir(f, fs, from ? &ev->dir : &ev->new_dir);
	struct fan_name n = {
		.name = from ? ev->name : ev->new_name,
		.path = from ? old->data : new->data,
		.len = from ? old->len : new->len,
		.path2 = from &&new->len ? new->data : NULL,
		.ops = from ? FS_RENAME_FROM : FS_RENAME_TO,
		.pid = ev->pid,
		.is_dir = ev->mask &FAN_ONDIR,
	};

	if (!d || !d->n_places || !n.len)
		return;
	n.place = &d->places[0];
	access_event(f, &n, SCOPE_OUT);
}

static void rename_event(struct fan *f, struct fan_fs *fs, const struct decode_event *ev)
{
	_cleanup_buf_ struct buf old = BUF_INIT, new = BUF_INIT;

	/* Both names are needed before either half is told: the new one is resolved twice, from the cache. */
	rename_side(f, fs, &ev->new_dir, ev->new_name, &new);
	if (f->w->accesses.take) {
		rename_side(f, fs, &ev->dir, ev->name, &old);
		rename_access(f, fs, ev, &old, &new);
	}
	rename_half(f, fs, ev, false, &old, &new);
	rename_half(f, fs, ev, true, &old, &new);
	if (ev->target.key && old.len)
		linked_remove(f->w->linked, ev->target.key, ev->target.len, old.data);
	if (ev->mask & FAN_ONDIR)
		marks_forget_paths(fs);
}

/* The daemon's own doing is no news, but for its canaries. What it does to folders still moves cached paths. */
static bool is_own(struct fan *f, struct fan_fs *fs, const struct decode_event *ev)
{
	if (ev->pid != f->w->pid || is_canary(ev->name) || is_canary(ev->new_name))
		return false;
	if ((ev->mask & FAN_ONDIR) && (ev->mask & (FAN_RENAME | FAN_MOVED_FROM | FAN_MOVED_TO)))
		marks_forget_paths(fs);
	return true;
}

static void fs_event_of(struct fan *f, struct fan_fs *fs, const struct decode_event *ev)
{
	uint32_t ops = ops_of(ev->mask);
	bool link = side_is_link(f, ev);

	if (is_own(f, fs, ev)) {
		drop(f);
		return;
	}
	buf_reset(&f->path);
	if (ev->mask & FAN_RENAME)
		rename_event(f, fs, ev);
	if (ops && ev->dir.key)
		dir_event(f, fs, ev, ops);
	side_linked(f, ev, ops, f->path.len ? f->path.data : NULL);
	side_fresh_link(f, fs, ev, ops, link);
	if ((ops & FS_DELETE) && ev->target.key && f->path.len)
		linked_remove(f->w->linked, ev->target.key, ev->target.len, f->path.data);
	if ((ev->mask & FAN_ONDIR) && (ops & (FS_RENAME_FROM | FS_RENAME_TO)))
		marks_forget_paths(fs);
}

static void event(struct fan *f, const struct decode_event *ev)
{
	const struct decode_fid *fid = ev->dir.key ? &ev->dir : &ev->target;
	struct fan_fs *fs = NULL;

	watch_count(&f->w->events, 1);
	if (ev->mask & FAN_Q_OVERFLOW) {
		emit_lost(&f->w->emit, 0, "the kernel's event queue overflowed");
		return;
	}
	if (!fid->key) {
		drop(f);
		return;
	}
	while ((fs = marks_find(f, fs, fid->key)))
		fs_event_of(f, fs, ev);
}

static void decode(struct fan *f, size_t len)
{
	struct decode_event ev;
	size_t offset = 0;
	int r;

	while ((r = decode_next(f->buffer, len, &offset, &ev)) > 0)
		event(f, &ev);
	if (r < 0)
		emit_lost(&f->w->emit, 0, "the kernel's events could not be decoded");
}

bool fan_read(struct fan *f)
{
	bool all = false;

	for (int i = 0; i < FAN_READS; i++) {
		ssize_t n = read(f->fd, f->buffer, FAN_BUFFER);

		if (n <= 0) {
			all = n < 0 && errno == EAGAIN;
			if (n < 0 && errno != EAGAIN && errno != EINTR)
				emit_lost(&f->w->emit, 0, "the kernel's event queue could not be read");
			break;
		}
		emit_begin(&f->w->emit, clock_boot_ns());
		emit_begin(&f->w->accesses, f->w->emit.boot_ns);
		decode(f, (size_t)n);
		emit_flush(&f->w->emit);
		emit_flush(&f->w->accesses);
	}
	resolve_done(f);
	return all;
}

/* --- life */

static int init_group(struct fan *f, bool small_queue)
{
	unsigned flags = FAN_CLASS_NOTIF | FAN_UNLIMITED_MARKS | FAN_NONBLOCK | FAN_CLOEXEC;
	int r = -EINVAL;

	if (!small_queue)
		flags |= FAN_UNLIMITED_QUEUE;
	for (size_t i = 0; i < ARRAY_SIZE(init_flags) && r == -EINVAL; i++) {
		f->fd = fanotify_init(flags | init_flags[i], O_RDONLY | O_LARGEFILE | O_CLOEXEC);
		r = f->fd < 0 ? -errno : 0;
	}
	return r;
}

int fan_new(struct watch *w, struct fan **ret, struct buf *err)
{
	struct fan *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->w = w;
	f->fd = -1;
	f->mask = FAN_MASK;
	f->buffer = aligned_alloc(64, FAN_BUFFER);
	r = f->buffer ? handles_new(FAN_HANDLES, hash_seed(), &f->handles) : -ENOMEM;
	if (!r)
		r = init_group(f, w->o.small_queue);
	if (r < 0) {
		buf_printf(err, "fanotify: %s", strerror(-r));
		fan_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

void fan_free(struct fan *f)
{
	if (!f)
		return;
	if (f->fd >= 0)
		close(f->fd);
	marks_free(f);
	handles_free(f->handles);
	buf_free(&f->path);
	buf_free(&f->path2);
	buf_free(&f->spare);
	free(f->buffer);
	free(f);
}

bool fan_opened(const struct fan *f)
{
	return f->opened;
}

int fan_fd(const struct fan *f)
{
	return f->fd;
}

void fan_forget(struct fan *f)
{
	handles_clear(f->handles);
}
