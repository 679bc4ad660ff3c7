/*
 * The walk: a stack of folders, no recursion, a bounded number of them open. Runs on the thread that calls walk_run.
 * Opens folders only; enters no symbolic link, no file system that is left out by type, no folder that is on the way
 * from the root already.
 */
#include "fim/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/list.h"
#include "fim/missing.h"
#include "fim/read.h"
#include "fim/skip.h"
#include "lib/cleanup.h"
#include "lib/util.h"

#define WALK_OPEN  64 /* folders of the stack that stay open; further up they are opened again on the way back */
#define WALK_FLAGS (O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

struct identity {
	uint64_t dev, ino, mount;
	bool mount_root;
};

/* A folder on the way from the root to where the walk is. */
struct frame {
	int fd; /* -1: given up for now, see WALK_OPEN */
	struct identity id;
	size_t path_len;
	bool partial, uniform;
	attr_mask mask;
	char *subs; /* names of folders still to be entered, each with its NUL */
	size_t subs_at, subs_len;
};

struct walk {
	const struct walk_options *o;
	struct skips skips;
	struct frame *frames;
	size_t n, cap;
	struct buf path; /* of the folder at hand */
	struct buf scratch;
	struct buf names;
	struct buf subs;
	struct list list;
	uint64_t seq;
};

/* What is being listed. */
struct listing {
	struct walk *w;
	struct frame *f;
	int fd;
	const char *path;
	const struct skip *skips;
	size_t n_skips;
};

struct folder *folder_ref(struct folder *f)
{
	atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
	return f;
}

void folder_unref(struct folder *f)
{
	if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f->at);
	free(f->names);
	free(f);
}

static int walk_gap(struct walk *w, enum gap_reason reason, const char *path, const char *detail)
{
	return w->o->gap(w->o->data, reason, path, detail);
}

static bool walk_stopped(const struct walk *w)
{
	return w->o->stopped && w->o->stopped(w->o->data);
}

static int walk_identity(int fd, struct identity *ret)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_MNT_ID, &stx) < 0)
		return -errno;
	*ret = (struct identity){
		.dev = (uint64_t)stx.stx_dev_major << 32 | stx.stx_dev_minor,
		.ino = stx.stx_ino,
		.mount = stx.stx_mask & STATX_MNT_ID ? stx.stx_mnt_id : 0,
		.mount_root = stx.stx_attributes & STATX_ATTR_MOUNT_ROOT,
	};
	return 0;
}

/* --- listing one folder */

static bool walk_is_folder(int fd, const char *name, unsigned char type)
{
	struct statx stx;

	if (type != DT_UNKNOWN)
		return type == DT_DIR;
	return statx(fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) == 0 && S_ISDIR(stx.stx_mode);
}

static const struct skip *listing_skip(const struct listing *l, const char *name)
{
	for (size_t i = 0; i < l->n_skips; i++)
		if (streq(l->skips[i].name, name))
			return &l->skips[i];
	return NULL;
}

static enum plan_answer listing_answer(struct listing *l, const char *name)
{
	const struct plan *plan = l->w->o->plan;
	attr_mask mask;

	if (l->f->partial) {
		plan_join(&l->w->scratch, l->path, name);
		return l->w->scratch.failed ? PLAN_OUT : plan_match(plan, l->w->scratch.data, &mask);
	}
	if (l->f->uniform && !plan->scope->n_exclude)
		return PLAN_IN;
	return plan_match_child(plan, l->path, l->f->mask, name, &l->w->scratch, &mask);
}

static int listing_add(void *data, const char *name, unsigned char type)
{
	struct listing *l = data;
	struct list *list = &l->w->list;
	enum plan_answer answer = listing_answer(l, name);
	const struct skip *skip;

	if (list->n % 4096 == 4095 && walk_stopped(l->w))
		return -ECANCELED;
	if (answer == PLAN_OUT)
		return 0;
	skip = l->n_skips ? listing_skip(l, name) : NULL;
	if (skip) {
		plan_join(&l->w->scratch, l->path, name);
		return list_add(list, FOLDER_SKIPPED, name)
			       ?: walk_gap(l->w, GAP_FS_SKIPPED, l->w->scratch.data, skip->fstype);
	}
	if (walk_is_folder(l->fd, name, type))
		return list_add(list, answer == PLAN_IN ? FOLDER_FOLDER : FOLDER_PASS, name);
	if (answer != PLAN_IN)
		return 0;
	return list_add(list, type == DT_REG ? FOLDER_FILE : FOLDER_ENTRY, name);
}

/* In a folder that is only gone through, names are looked up, not listed, unless there are patterns. */
static int listing_partial(struct listing *l)
{
	struct buf *names = &l->w->names;
	struct statx stx;
	bool all;
	int r = 0;

	buf_reset(names);
	plan_names(l->w->o->plan, l->path, names, &all);
	if (names->failed)
		return -ENOMEM;
	for (size_t i = 0; !r && i < names->len; i += strlen(names->data + i) + 1) {
		const char *name = names->data + i;

		if (!listing_skip(l, name) &&
		    statx(l->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &stx) < 0)
			continue;
		r = listing_add(l, name, DT_UNKNOWN);
	}
	return r || !all ? r : list_read(&l->w->list, l->fd, listing_add, l);
}

/* Fills the walk's list, sorted. Positive never; a negative errno of the folder is in *ret_unreadable. */
static int walk_list(struct walk *w, struct frame *f, int fd, int *ret_unreadable)
{
	struct listing l = { .w = w, .f = f, .fd = fd, .path = w->path.data };
	int r;

	*ret_unreadable = 0;
	l.n_skips = skips_in(&w->skips, l.path, &l.skips);
	list_reset(&w->list);
	/* "/" has no folder to be an entry of: it is an entry without a name of its own. */
	if (!f->partial && !w->path.data[1] && list_add(&w->list, FOLDER_ENTRY, "") < 0)
		return -ENOMEM;
	r = f->partial ? listing_partial(&l) : list_read(&w->list, fd, listing_add, &l);
	if (r < 0 && r != -ECANCELED && r != -ENOMEM) {
		*ret_unreadable = r;
		r = 0;
	}
	list_sort(&w->list);
	return r;
}

/* The folders among the names, to be entered later. */
static int walk_keep_subs(struct walk *w, struct frame *f)
{
	const struct list *l = &w->list;

	buf_reset(&w->subs);
	for (uint32_t i = 0; i < l->n; i++) {
		const char *name = l->names.data + l->at[i];

		if (*name == FOLDER_FOLDER || *name == FOLDER_PASS)
			buf_add(&w->subs, name + 1, strlen(name));
	}
	if (w->subs.failed)
		return -ENOMEM;
	if (!w->subs.len)
		return 0;
	f->subs = malloc(w->subs.len);
	if (!f->subs)
		return -ENOMEM;
	memcpy(f->subs, w->subs.data, w->subs.len);
	f->subs_len = w->subs.len;
	return 0;
}

static int walk_hand_out(struct walk *w, const struct frame *f, int fd)
{
	_cleanup_(folder_unref_p) struct folder *folder = calloc(1, sizeof(*folder));

	if (!folder) {
		close(fd);
		return -ENOMEM;
	}
	folder->refs = 1;
	folder->fd = fd;
	folder->seq = ++w->seq;
	folder->partial = f->partial;
	folder->path = strdup(w->path.data);
	if (!folder->path || list_give(&w->list, folder) < 0)
		return -ENOMEM;
	return w->o->folder(w->o->data, TAKE_PTR(folder));
}

/* --- the stack */

static void frame_close(struct frame *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}

static int walk_push(struct walk *w, const struct frame *f)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 64;
		struct frame *frames = reallocarray(w->frames, cap, sizeof(*frames));

		if (!frames)
			return -ENOMEM;
		w->frames = frames;
		w->cap = cap;
	}
	w->frames[w->n++] = *f;
	if (w->n > WALK_OPEN)
		frame_close(&w->frames[w->n - 1 - WALK_OPEN]);
	return 0;
}

/* Opens the frame's folder again, from the one below it or else by its path; only if it is still the same. */
static int walk_reopen(struct walk *w, struct frame *f, int child)
{
	_cleanup_close_ int fd = openat(child, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int dirfd = -1;
	struct identity id;
	const char *name;
	int r;

	if (fd >= 0 && walk_identity(fd, &id) == 0 && id.dev == f->id.dev && id.ino == f->id.ino) {
		f->fd = TAKE_FD(fd);
		return 0;
	}
	w->path.len = f->path_len;
	w->path.data[f->path_len] = '\0';
	r = file_open_parent(w->o->rootfd, w->path.data, &dirfd, &name);
	if (r < 0)
		return r;
	if (fd >= 0)
		close(fd);
	fd = openat(dirfd, *name ? name : ".", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || walk_identity(fd, &id) < 0 || id.dev != f->id.dev || id.ino != f->id.ino)
		return -ENOENT;
	f->fd = TAKE_FD(fd);
	return 0;
}

static int walk_pop(struct walk *w)
{
	struct frame *f = &w->frames[--w->n], *above = w->n ? f - 1 : NULL;
	int r = 0;

	free(f->subs);
	if (above && above->fd < 0 && walk_reopen(w, above, f->fd) < 0) {
		/* Moved away while the walk was below it. */
		above->subs_at = above->subs_len;
		w->path.len = above->path_len;
		w->path.data[w->path.len] = '\0';
		r = walk_gap(w, GAP_UNREADABLE, w->path.data, "moved while it was read");
	}
	frame_close(f);
	return r;
}

/* --- entering a folder */

/* Without permission to list, a folder can still be gone through. */
static int walk_open(int dirfd, const char *name, bool partial)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOATIME | WALK_FLAGS);

	if (fd < 0 && errno == EPERM)
		fd = openat(dirfd, name, O_RDONLY | WALK_FLAGS);
	if (fd < 0 && errno == EACCES && partial)
		fd = openat(dirfd, name, O_PATH | WALK_FLAGS);
	return fd < 0 ? -errno : fd;
}

/* The folder of the stack that this one is again, through a bind mount. */
static const struct frame *walk_find_loop(const struct walk *w, const struct identity *id)
{
	const struct frame *parent = &w->frames[w->n - 1];

	/* Within one mount a folder has one parent. */
	if (!id->mount_root && id->mount && id->mount == parent->id.mount)
		return NULL;
	for (size_t i = 0; i < w->n; i++)
		if (w->frames[i].id.dev == id->dev && w->frames[i].id.ino == id->ino)
			return &w->frames[i];
	return NULL;
}

/* Why an open folder is not to be entered: a reason, with text in detail. False: nothing is against it. */
static bool walk_refused(struct walk *w, int fd, const struct identity *id, enum gap_reason *ret_reason,
			 struct buf *detail)
{
	const struct frame *parent = &w->frames[w->n - 1], *loop = walk_find_loop(w, id);
	const struct fstype *type;
	int r;

	*ret_reason = GAP_FS_SKIPPED;
	if (loop) {
		buf_printf(detail, "loop: the same folder as %.*s", (int)loop->path_len, w->path.data);
		return true;
	}
	if (id->dev == parent->id.dev)
		return false;
	r = fstype_of_fd(fd, &type);
	if (r < 0) {
		*ret_reason = GAP_UNREADABLE;
		buf_str(detail, record_unread_text((unsigned)-r));
		return true;
	}
	buf_str(detail, type->name);
	return skip_class(type->class);
}

/* Lists the open folder at w->path and goes down into it. Takes over fd. */
static int walk_into(struct walk *w, struct frame *f, int fd)
{
	_cleanup_close_ int own = fd;
	int r, unreadable;

	f->path_len = w->path.len;
	f->uniform = !f->partial && plan_is_uniform(w->o->plan, w->path.data);
	r = walk_list(w, f, fd, &unreadable);
	if (!r && unreadable)
		r = walk_gap(w, GAP_UNREADABLE, w->path.data, record_unread_text((unsigned)-unreadable));
	if (!r)
		r = walk_keep_subs(w, f);
	if (r || !f->subs_len)
		return r ?: walk_hand_out(w, f, TAKE_FD(own));
	f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r = f->fd < 0 ? -errno : walk_hand_out(w, f, TAKE_FD(own));
	if (!r)
		r = walk_push(w, f);
	if (r) {
		frame_close(f);
		free(f->subs);
	}
	return r;
}

static enum plan_answer walk_answer(struct walk *w, const struct frame *parent, const char *name, attr_mask *ret_mask)
{
	const char *path = w->path.data;

	if (parent->partial)
		return plan_match(w->o->plan, path, ret_mask);
	*ret_mask = parent->mask;
	if (parent->uniform)
		return PLAN_IN;
	/* The parent's path is what stands in front of the name. */
	buf_reset(&w->names);
	buf_add(&w->names, path, parent->path_len);
	return plan_match_child(w->o->plan, w->names.data, parent->mask, name, &w->scratch, ret_mask);
}

/* The folder at w->path, open at fd: left out and reported, or listed and gone into. Takes over fd. */
static int walk_enter_open(struct walk *w, bool partial, attr_mask mask, int fd)
{
	struct frame f = { .fd = -1, .partial = partial, .mask = mask };
	_cleanup_buf_ struct buf detail = BUF_INIT;
	_cleanup_close_ int own = fd;
	enum gap_reason reason;
	int r = walk_identity(fd, &f.id);

	if (r < 0)
		return walk_gap(w, GAP_UNREADABLE, w->path.data, record_unread_text((unsigned)-r));
	if (walk_refused(w, fd, &f.id, &reason, &detail))
		return walk_gap(w, reason, w->path.data, detail.data);
	return walk_into(w, &f, TAKE_FD(own));
}

static int walk_enter(struct walk *w, const char *name)
{
	const struct frame *parent = &w->frames[w->n - 1];
	attr_mask mask = 0;
	bool partial;
	int fd;

	w->path.len = parent->path_len;
	if (parent->path_len > 1)
		buf_char(&w->path, '/');
	buf_str(&w->path, name);
	if (w->path.failed)
		return -ENOMEM;
	if (w->path.len > WALK_PATH_MAX)
		return walk_gap(w, GAP_LIMIT, w->path.data, "path too long");
	partial = walk_answer(w, parent, name, &mask) != PLAN_IN;
	fd = walk_open(parent->fd, name, partial);
	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0; /* removed or replaced since it was listed */
	if (fd < 0)
		return walk_gap(w, GAP_UNREADABLE, w->path.data, record_unread_text((unsigned)-fd));
	return walk_enter_open(w, partial, mask, fd);
}

static int walk_root(struct walk *w)
{
	struct frame f = { .fd = -1 };
	int fd, r;

	buf_str(&w->path, "/");
	if (w->path.failed)
		return -ENOMEM;
	f.partial = plan_match(w->o->plan, "/", &f.mask) != PLAN_IN;
	fd = walk_open(w->o->rootfd, ".", f.partial);
	if (fd < 0)
		return fd;
	r = walk_identity(fd, &f.id);
	if (r < 0) {
		close(fd);
		return r;
	}
	return walk_into(w, &f, fd);
}

static int walk_all(struct walk *w)
{
	int r = missing_report(w->o, &w->skips);

	if (!r)
		r = walk_root(w);
	while (!r && w->n) {
		struct frame *f = &w->frames[w->n - 1];
		const char *name = f->subs + f->subs_at;

		if (walk_stopped(w))
			return -ECANCELED;
		if (f->subs_at == f->subs_len) {
			r = walk_pop(w);
			continue;
		}
		f->subs_at += strlen(name) + 1;
		r = walk_enter(w, name);
	}
	return r;
}

int walk_run(const struct walk_options *o)
{
	struct walk w = { .o = o };
	int r = skips_load(o->mountinfo ? o->mountinfo : "/proc/self/mountinfo", o->rootfd, &w.skips);

	/* Without /proc the types of file systems are still seen when their folders have been opened. */
	if (r == -ENOENT)
		r = 0;
	if (!r)
		r = walk_all(&w);
	while (w.n) {
		frame_close(&w.frames[--w.n]);
		free(w.frames[w.n].subs);
	}
	skips_done(&w.skips);
	list_done(&w.list);
	buf_free(&w.path);
	buf_free(&w.scratch);
	buf_free(&w.names);
	buf_free(&w.subs);
	free(w.frames);
	return r;
}
