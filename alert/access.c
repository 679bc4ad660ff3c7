/* From ops of a sensor to the calls they stand for. Runs on the thread "alert". */
#include "alert/access.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "lib/util.h"
#include "proc/containers.h"

#define ACCESS_LOOKS (FS_CREATE | FS_ATTRIB | FS_RENAME_TO)

static uint64_t access_hash(const struct fs_event *e)
{
	return (uint64_t)field_hash(e->path, strlen(e->path)) << 32 | (uint32_t)e->pid;
}

/*
 * A file that is written for longer than a batch is closed in a later one: its creation was the open, its close is not
 * another. A slot taken by another file costs an open told twice.
 */
static void note_created(struct access *a, const struct fs_event *e)
{
	uint64_t hash = access_hash(e);

	a->created[(hash ^ hash >> 32) % ACCESS_CREATED] = hash;
}

static bool was_created(struct access *a, const struct fs_event *e)
{
	uint64_t hash = access_hash(e), *slot = &a->created[(hash ^ hash >> 32) % ACCESS_CREATED];
	bool known = *slot == hash;

	if (known)
		*slot = 0;
	return known;
}

/* --- the file as it is now */

static void look_at_target(struct access *a, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n <= 0 || n == sizeof(target))
		return;
	a->event.after.target = arena_strndup(&a->arena, target, (size_t)n);
	a->event.after.have |= a->event.after.target ? ATTR_BIT(ATTR_TARGET) : 0;
}

/* A file that is gone again leaves its type unknown. */
static void look(struct access *a, const char *path)
{
	struct statx stx;

	if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &stx) <
	    0)
		return;
	record_from_statx(&a->event.after, &stx);
	a->event.has_after = true;
	if (a->event.after.type == 'l')
		look_at_target(a, path);
}

bool access_emptied(const struct event *e)
{
	const char *path = e->host_path ?: e->path;
	struct statx stx;

	return path &&
	       statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_SIZE, &stx) == 0 &&
	       S_ISREG(stx.stx_mode) && !stx.stx_size;
}

/* --- calls */

struct calls {
	enum face *list;
	unsigned n;
};

static void add_call(struct calls *c, enum face face)
{
	if (c->n < FACES_MAX)
		c->list[c->n++] = face;
}

static enum face creation(const struct access *a, const struct fs_event *e)
{
	const struct record *r = &a->event.after;
	char type = a->event.has_after ? r->type : 'f';

	if (e->is_dir || type == 'd')
		return FACE_MKDIR;
	if (type == 'l')
		return FACE_SYMLINK;
	if (type != 'f')
		return FACE_MKNOD;
	/* A second name: nothing was written. */
	return r->have & ATTR_BIT(ATTR_NLINK) && r->nlink > 1 && !(e->ops & FS_CLOSE_WRITE) ? FACE_LINK : FACE_CREATE;
}

static void add_writes(struct access *a, const struct fs_event *e, struct calls *c)
{
	if (e->ops & FS_CREATE) {
		enum face face = creation(a, e);

		add_call(c, face);
		if (face == FACE_CREATE && !(e->ops & FS_CLOSE_WRITE))
			note_created(a, e);
	} else if (e->ops & FS_CLOSE_WRITE && !was_created(a, e)) {
		add_call(c, FACE_OPEN_WRITE);
	}
}

static void add_names(const struct fs_event *e, struct calls *c)
{
	if (e->ops & (FS_RENAME_FROM | FS_RENAME_TO))
		add_call(c, FACE_RENAME);
	if (e->ops & FS_DELETE)
		add_call(c, e->is_dir ? FACE_RMDIR : FACE_UNLINK);
}

/* --- the event */

static void fill(struct access *a, const struct fs_batch *b, const struct fs_event *e)
{
	struct event *v = &a->event;
	bool read_only = !(e->ops & ~(uint32_t)FS_OPEN) && !e->is_dir;

	arena_reset(&a->arena);
	container_unref(TAKE_PTR(v->container));
	v->host_path = NULL;
	v->kind = read_only ? EVENT_OPEN : EVENT_ACCESS;
	v->boot_time = e->boot_ns;
	v->time = b->real_ns - (b->boot_ns > e->boot_ns ? b->boot_ns - e->boot_ns : 0);
	v->path = e->path;
	v->path2 = e->path2;
	v->process = e->process;
	v->process_why = e->process ? NULL
			 : e->pid   ? "the process was gone before it could be read"
				    : "the sensor does not tell";
	v->change = e->ops & FS_RENAME_FROM && e->path2 ? CHANGE_RENAMED : CHANGE_ADDED;
	v->count = 1;
	v->has_after = false;
	v->after.have = 0;
	if (e->ops & ACCESS_LOOKS && !(e->ops & (FS_DELETE | FS_RENAME_FROM)))
		look(a, e->path);
}

unsigned access_begin(struct access *a, const struct fs_batch *b, const struct fs_event *e, enum face ret[FACES_MAX])
{
	struct calls c = { ret, 0 };

	fill(a, b, e);
	if (e->ops & FS_OPEN)
		add_call(&c, e->is_dir ? FACE_OPEN_DIR : FACE_OPEN_READ);
	add_writes(a, e, &c);
	if (e->ops & FS_ATTRIB)
		add_call(&c, FACE_CHMOD);
	add_names(e, &c);
	return c.n;
}

/* --- layers of containers */

/* Beside the folder that is the layer, "work": the kernel's. */
static bool in_work(const char *upper, const char *path)
{
	static const char name[] = "work";
	const char *slash = upper ? strrchr(upper, '/') : NULL;
	size_t beside = slash ? (size_t)(slash + 1 - upper) : 0, len = strlen(name);

	return beside && path && strncmp(path, upper, beside) == 0 && strncmp(path + beside, name, len) == 0 &&
	       path[beside + len] == '/';
}

static bool is_whiteout(const struct event *e)
{
	return e->has_after && e->after.type == 'c' && !e->after.rdev;
}

/* It was there below, and was copied to be written to, or to hold something that is. */
static bool is_copied(const struct event *e)
{
	return e->has_after && (lgetxattr(e->host_path, "trusted.overlay.origin", NULL, 0) >= 0 ||
				lgetxattr(e->host_path, "user.overlay.origin", NULL, 0) >= 0);
}

static enum face made_in_layer(const struct event *e, enum face face)
{
	char type = e->has_after ? e->after.type : 'f';

	if (is_whiteout(e))
		return FACE_UNLINK;
	if (!is_copied(e))
		return face;
	return type == 'f' ? FACE_OPEN_WRITE : FACE_NONE;
}

/* The call that a face stands for when a container's file is what the kernel touched. FACE_NONE: none. */
static enum face in_layer(const struct access *a, enum face face)
{
	const struct event *e = &a->event;

	switch (face) {
	case FACE_CREATE:
	case FACE_MKDIR:
	case FACE_MKNOD:
		return made_in_layer(e, face);
	case FACE_CHMOD:
		/* Folders get notes of overlayfs's own; a chmod of one is told as a change. */
		return e->has_after && e->after.type == 'd' ? FACE_NONE : face;
	case FACE_RENAME:
		return in_work(e->container->upper, e->path2) ? made_in_layer(e, FACE_NONE) : face;
	default:
		return face;
	}
}

/* Told from its other end: what comes from the kernel's folder is about the place that it goes to. */
static bool turn(struct access *a)
{
	struct event *e = &a->event;
	bool upper;
	const char *inner = e->path2 ? container_inner_path(e->container, e->path2, &upper) : NULL;

	if (!inner || !upper)
		return false;
	look(a, e->path2);
	e->host_path = e->path2;
	e->path2 = e->path;
	e->path = inner;
	return true;
}

unsigned access_in_layer(struct access *a, enum face faces[FACES_MAX], unsigned n)
{
	const struct event *e = &a->event;
	const char *upper = e->container ? e->container->upper : NULL;
	unsigned kept = 0;

	if (!upper || (in_work(upper, e->path) && !turn(a)))
		return upper ? 0 : n;
	for (unsigned i = 0; e->host_path && i < n; i++) {
		enum face face = in_layer(a, faces[i]);
		bool known = face == FACE_NONE;

		for (unsigned k = 0; k < kept; k++)
			known |= faces[k] == face;
		if (!known)
			faces[kept++] = face;
	}
	return e->host_path ? kept : n;
}

struct event *access_keep(const struct access *a)
{
	const struct event *from = &a->event;
	_cleanup_event_ struct event *e = event_new(from->kind);

	if (!e)
		return NULL;
	e->time = from->time;
	e->boot_time = from->boot_time;
	e->path = arena_strdup(&e->arena, from->path);
	e->path2 = from->path2 ? arena_strdup(&e->arena, from->path2) : NULL;
	e->host_path = from->host_path ? arena_strdup(&e->arena, from->host_path) : NULL;
	e->container = from->container ? container_ref(from->container) : NULL;
	e->process = from->process ? process_ref(from->process) : NULL;
	e->process_why = from->process_why;
	e->change = from->change;
	e->has_after = from->has_after;
	/* An open is told to history by others, merged: this is not that event. */
	e->kind = EVENT_ACCESS;
	if (!e->path || (from->path2 && !e->path2) || (from->host_path && !e->host_path) ||
	    (from->has_after && !record_dup(&e->arena, &from->after, &e->after)))
		return NULL;
	return TAKE_PTR(e);
}

void access_free(struct access *a)
{
	container_unref(TAKE_PTR(a->event.container));
	arena_free(&a->arena);
}
