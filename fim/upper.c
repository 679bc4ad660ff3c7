/*
 * Looking at one path of a container's writable layer. Opens folders by components from the layer's own, follows no
 * link, and keeps the folder it was in last. One thread; whose container it is, and what may change in it, is for
 * others.
 */
#include "fim/upper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "fim/compare.h"
#include "fim/image_tree.h"
#include "fim/upper-internal.h"

#define NOTE_MAX 4096 /* of overlayfs: a path */

/* --- what overlayfs notes: as root, or in a user namespace */

static const char *const note_prefixes[] = { "trusted.overlay.", "user.overlay." };

/* Length, or -ENODATA. ret is NUL-terminated. */
static ssize_t folder_note(int fd, const char *key, char ret[NOTE_MAX + 1])
{
	for (size_t i = 0; i < ARRAY_SIZE(note_prefixes); i++) {
		char name[64];
		ssize_t n;

		snprintf(name, sizeof(name), "%s%s", note_prefixes[i], key);
		n = fgetxattr(fd, name, ret, NOTE_MAX);
		if (n >= 0) {
			ret[n] = '\0';
			return n;
		}
	}
	return -ENODATA;
}

static const char *file_note(const struct record *r, const char *key, size_t *ret_len)
{
	for (size_t i = 0; i < ARRAY_SIZE(note_prefixes); i++) {
		char name[64];
		const void *value;

		snprintf(name, sizeof(name), "%s%s", note_prefixes[i], key);
		value = record_xattr(r, name, ret_len);
		if (value)
			return value;
	}
	return NULL;
}

static bool has_note(const struct record *r, const char *key)
{
	size_t len;

	return file_note(r, key, &len);
}

/* --- folders */

void place_done(struct upper_place *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	buf_free(&p->origin);
}

int place_top(struct upper *u, struct upper_place *p)
{
	place_done(p);
	*p = (struct upper_place){ .lower = true, .origin = BUF_INIT };
	buf_str(&p->origin, "");
	p->fd = openat(u->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? -errno : p->origin.failed ? -ENOMEM : 0;
}

/* Where the lower layers have what the folder at fd shows of them. */
static int merge_folder(struct upper_place *p, int fd, const char *name, size_t len)
{
	char note[NOTE_MAX + 1];
	ssize_t n = folder_note(fd, "redirect", note);

	/* From the top it counts whatever is hidden above. */
	if (n > 0 && note[0] == '/') {
		buf_reset(&p->origin);
		buf_str(&p->origin, note);
		p->lower = true;
	} else if (n > 0) {
		buf_printf(&p->origin, "/%s", note);
	} else {
		buf_printf(&p->origin, "/%.*s", (int)len, name);
	}
	if (folder_note(fd, "opaque", note) > 0 && note[0] == 'y')
		p->lower = false;
	return p->origin.failed ? -ENOMEM : 0;
}

static int place_step(struct upper_place *p, const char *name, size_t len)
{
	char component[NAME_MAX + 1];
	int fd;

	if (p->gone)
		return 0;
	if (len > NAME_MAX)
		return -ENAMETOOLONG;
	if (p->fd < 0) {
		buf_printf(&p->origin, "/%.*s", (int)len, name);
		return p->origin.failed ? -ENOMEM : 0;
	}
	memcpy(component, name, len);
	component[len] = '\0';
	fd = openat(p->fd, component, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		return -errno;
	if (fd < 0) {
		/* Something else than a folder hides the one below. */
		p->gone = errno != ENOENT || !p->lower;
		buf_printf(&p->origin, "/%s", component);
	}
	close(p->fd);
	p->fd = fd;
	return fd < 0 ? (p->origin.failed ? -ENOMEM : 0) : merge_folder(p, fd, component, len);
}

int place_enter(struct upper *u, struct upper_place *p, const char *dir)
{
	int r = place_top(u, p);

	while (r == 0 && *dir) {
		size_t len = strcspn(dir += strspn(dir, "/"), "/");

		if (len)
			r = place_step(p, dir, len);
		dir += len;
	}
	return r;
}

/* The folder that was entered last is kept: paths come in runs. */
static int enter(struct upper *u, const char *path, size_t dir_len)
{
	int r;

	if (u->at_valid && u->at_dir.len == dir_len && memcmp(u->at_dir.data, path, dir_len) == 0)
		return 0;
	u->at_valid = false;
	buf_reset(&u->at_dir);
	buf_add(&u->at_dir, path, dir_len);
	buf_str(&u->at_dir, "");
	r = u->at_dir.failed ? -ENOMEM : place_enter(u, &u->at, u->at_dir.data);
	u->at_valid = r == 0;
	return r;
}

/* --- one path */

/* What lower layers have: the baseline's, at the place that shows here. */
static int look_below(struct upper *u, struct arena *a, const struct upper_place *p, const char *name, bool *ret_exists,
		      struct record *ret)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	int r;

	*ret_exists = false;
	if (!p->lower)
		return 0;
	buf_printf(&path, "%s/%s", p->origin.data, name);
	r = path.failed ? -ENOMEM : baseline_lookup(u->base, path.data, a, ret);
	*ret_exists = r == 0;
	return r == -ENOENT ? 0 : r;
}

/* A file whose content is still that of a lower layer. */
static int take_content(struct upper *u, struct arena *a, struct upper_place *p, const char *name, struct record *rec)
{
	struct record below = { 0 };
	bool exists = false;
	size_t len = 0;
	const char *redirect = file_note(rec, "redirect", &len);
	int r = 0;

	if (redirect && len && redirect[0] == '/') {
		r = baseline_lookup(u->base, arena_strndup(a, redirect, len) ?: "", a, &below);
		exists = r == 0;
		r = r == -ENOENT ? 0 : r;
	} else {
		r = look_below(u, a, p, redirect && len ? arena_strndup(a, redirect, len) ?: name : name, &exists,
			       &below);
	}
	if (r < 0)
		return r;
	if (exists && below.type == 'f' && below.have & ATTR_BIT(ATTR_DIGEST)) {
		rec->have |= ATTR_BIT(ATTR_DIGEST);
		rec->digest_len = below.digest_len;
		memcpy(rec->digest, below.digest, sizeof(rec->digest));
	} else {
		rec->unread = ENODATA;
	}
	return 0;
}

static int read_own(struct upper *u, struct arena *a, const char *name, attr_mask mask, struct upper_file *f)
{
	const attr_mask content = ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_MIME);
	struct record *rec = &f->rec;
	struct entry e;
	int r = 0;

	file_read_content(u->files, a, u->at.fd, name, ATTR_BIT(ATTR_XATTRS), rec);
	if (rec->type == 'f' && rec->size == 0 && has_note(rec, "whiteout"))
		return 0;
	f->exists = f->own = true;
	if (rec->unread == RECORD_NOT_ASKED)
		rec->unread = RECORD_READ;
	f->copied = has_note(rec, "origin") || has_note(rec, "metacopy");
	if (rec->type == 'f' && has_note(rec, "metacopy"))
		r = take_content(u, a, &u->at, name, rec);
	else if (mask & content)
		file_read_content(u->files, a, u->at.fd, name, mask | ATTR_BIT(ATTR_XATTRS), rec);
	if (r < 0)
		return r;
	e = (struct entry){ name, *rec };
	image_entry_reduce(&e, a);
	e.rec.have |=
		rec->have & (ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO) | ATTR_BIT(ATTR_CTIME) | ATTR_BIT(ATTR_NLINK));
	*rec = e.rec;
	return 0;
}

static bool is_whiteout(const struct record *r)
{
	return r->type == 'c' && r->rdev == 0;
}

int upper_look(struct upper *u, struct arena *a, const char *path, attr_mask mask, struct upper_file *ret)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int r;

	*ret = (struct upper_file){ 0 };
	if (!slash || path[0] != '/')
		return -EINVAL;
	if (!*name) {
		ret->exists = true;
		ret->rec = (struct record){ .have = ATTR_BIT(ATTR_TYPE), .type = 'd' };
		return 0;
	}
	r = enter(u, path, (size_t)(slash - path));
	if (r < 0 || u->at.gone)
		return r;
	if (u->at.fd < 0)
		return look_below(u, a, &u->at, name, &ret->exists, &ret->rec);
	r = file_read_meta(u->files, a, u->at.fd, name, &ret->rec);
	if (r == -ENOENT)
		return look_below(u, a, &u->at, name, &ret->exists, &ret->rec);
	if (r < 0 || is_whiteout(&ret->rec))
		return r;
	return read_own(u, a, name, mask, ret);
}

attr_mask upper_compare(const struct record *base, const struct upper_file *now, attr_mask mask, enum change *ret)
{
	attr_mask differing = compare_records(base, now->exists ? &now->rec : NULL, mask, ret);

	if (differing && *ret == CHANGE_CHANGED && now->own && !now->copied)
		*ret = CHANGE_REPLACED;
	if (differing && base && base->have & ATTR_BIT(ATTR_LAYER))
		differing |= ATTR_BIT(ATTR_LAYER);
	return differing;
}

/* --- life */

void upper_forget(struct upper *u)
{
	u->at_valid = false;
}

int upper_new(int fd, struct baseline_reader *base, struct file_reader *files, struct upper **ret)
{
	struct upper *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	*u = (struct upper){ .fd = fd, .base = base, .files = files, .at = { .fd = -1 } };
	*ret = u;
	return 0;
}

void upper_free(struct upper *u)
{
	place_done(&u->at);
	buf_free(&u->at_dir);
	free(u);
}
