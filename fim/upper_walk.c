/*
 * Everything of a container that may not be as its image has it. Lists the folders of the writable layer as they lie,
 * one at a time, and asks the baseline for the names that one of them hides. One thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/upper-internal.h"
#include "lib/cleanup.h"

struct walk {
	struct upper *u;
	const struct upper_walk *w;
	char **folders; /* to be looked into */
	size_t n, room;
	bool full;
	struct upper_place place;
	struct digest *blake;
	struct buf scratch;
};

static void gap(struct walk *k, enum gap_reason reason, const char *path, const char *detail)
{
	if (k->w->gap)
		k->w->gap(k->w->data, reason, path, detail);
}

static bool skipped(const struct walk *k, const char *path)
{
	return k->w->skip && k->w->skip(k->w->data, path);
}

static int tell(struct walk *k, const char *path)
{
	return skipped(k, path) ? 0 : k->w->path(k->w->data, path);
}

static int push(struct walk *k, const char *path)
{
	if (k->n == UPPER_FOLDERS_MAX) {
		if (!k->full)
			gap(k, GAP_LIMIT, path, "more folders than are looked into at once");
		k->full = true;
		return 0;
	}
	if (k->n == k->room) {
		size_t room = k->room ? k->room * 2 : 64;
		char **grown = reallocarray(k->folders, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		k->folders = grown;
		k->room = room;
	}
	k->folders[k->n] = strdup(path);
	return k->folders[k->n] ? (k->n++, 0) : -ENOMEM;
}

/* --- what the baseline has */

/* Entries of folders from `from` on, told as if they lay at `to`. */
struct below {
	struct walk *k;
	const char *from, *to;
	const struct upper_place *unless; /* the first folder's entries that lie in it are not meant; NULL: all are */
	bool first_only;
	const char *not_in; /* nor those that the baseline has in this folder; NULL */
};

static bool lies_in(int fd, const char *name)
{
	struct stat st;

	return fd >= 0 && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_known(struct below *b, const char *name)
{
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct record rec;

	if (!b->not_in)
		return false;
	buf_printf(&path, "%s/%s", b->not_in, name);
	return !path.failed && baseline_lookup(b->k->u->base, path.data, &a, &rec) == 0;
}

static int below_all(struct walk *k, const char *from, const char *to);

static int below_entry(struct below *b, const char *dir, const struct entry *e)
{
	_cleanup_buf_ struct buf path = BUF_INIT, from = BUF_INIT;
	bool first = strcmp(dir, b->from) == 0;
	int r;

	if (!*e->name || (first && b->unless && lies_in(b->unless->fd, e->name)) || (first && is_known(b, e->name)))
		return 0;
	buf_printf(&path, "%s%s/%s", strcmp(b->to, "/") == 0 ? "" : b->to, first ? "" : dir + strlen(b->from), e->name);
	if (path.failed)
		return -ENOMEM;
	r = tell(b->k, path.data);
	if (r || !b->first_only || e->rec.type != 'd' || skipped(b->k, path.data))
		return r;
	buf_printf(&from, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, e->name);
	return from.failed ? -ENOMEM : below_all(b->k, from.data, path.data);
}

static int below_folder(int64_t id, const char *dir, void *data)
{
	struct below *b = data;
	struct chunk *c = chunk_new();
	int r = c ? 0 : -ENOMEM;

	for (uint32_t seq = 0; r == 0; seq++) {
		r = baseline_load_chunk(b->k->u->base, id, dir, seq, c, b->k->blake, &b->k->scratch);
		for (uint32_t i = 0; r == 0 && i < c->n; i++)
			r = below_entry(b, dir, &c->entries[i]);
	}
	chunk_free(c);
	return r == -ENOENT ? 0 : r;
}

static int below_all(struct walk *k, const char *from, const char *to)
{
	struct below b = { .k = k, .from = from, .to = to };
	int64_t id;

	/* Most names are no folder of the image. */
	if (baseline_dir(k->u->base, from, &id) == -ENOENT)
		return 0;
	return baseline_each_dir(k->u->base, from, below_folder, &b);
}

/* Entries of one folder of the baseline that do not lie in p, with all below them. */
static int below_hidden(struct walk *k, const char *from, const char *to, const char *not_in)
{
	struct below b = { .k = k, .from = from, .to = to, .unless = &k->place, .first_only = true, .not_in = not_in };
	int64_t id;
	int r = baseline_dir(k->u->base, from, &id);

	return r < 0 ? (r == -ENOENT ? 0 : r) : below_folder(id, from, &b);
}

/* --- what lies in the layer */

static int entry(struct walk *k, const char *dir, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct stat st;
	int r;

	buf_printf(&path, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
	if (path.failed)
		return -ENOMEM;
	if (skipped(k, path.data))
		return 0;
	r = k->w->path(k->w->data, path.data);
	if (r || fstatat(k->place.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return r;
	/* What is no folder hides one of the image with all in it. */
	return S_ISDIR(st.st_mode) ? push(k, path.data) : below_all(k, path.data, path.data);
}

static int list(struct walk *k, const char *dir)
{
	_cleanup_closedir_ DIR *d = NULL;
	const struct dirent *e;
	int fd = openat(k->place.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	d = fd >= 0 ? fdopendir(fd) : NULL;
	if (!d) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		gap(k, GAP_UNREADABLE, dir, strerror(error));
		return 0;
	}
	while (r == 0 && (errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = entry(k, dir, e->d_name);
	return r;
}

static int folder(struct walk *k, const char *dir)
{
	const char *origin;
	int r = place_enter(k->u, &k->place, dir);
	bool moved;

	if (r == -ENAMETOOLONG || r == -EACCES || r == -EIO) {
		gap(k, GAP_UNREADABLE, dir, strerror(-r));
		return 0;
	}
	if (r < 0)
		return r;
	if (k->place.gone)
		return below_all(k, dir, dir);
	origin = k->place.origin.len ? k->place.origin.data : "/";
	moved = k->place.lower && strcmp(origin, dir) != 0;
	if (k->place.fd >= 0)
		r = list(k, dir);
	if (r == 0 && (!k->place.lower || moved))
		r = below_hidden(k, dir, dir, NULL);
	if (r == 0 && moved)
		r = below_hidden(k, origin, dir, dir);
	return r;
}

int upper_each(struct upper *u, const char *below, const struct upper_walk *w)
{
	struct walk k = { .u = u, .w = w, .place = { .fd = -1 } };
	int r = digest_new(DIGEST_BLAKE2B512, &k.blake);

	if (r == 0)
		r = push(&k, below);
	while (r == 0 && k.n > 0) {
		_cleanup_free_ char *dir = k.folders[--k.n];

		r = folder(&k, dir);
	}
	while (k.n > 0)
		free(k.folders[--k.n]);
	free(k.folders);
	place_done(&k.place);
	digest_free(k.blake);
	buf_free(&k.scratch);
	return r;
}
