/*
 * Files of an image by name, from a folder or from a tar archive that is read where it lies: its members are noted with
 * their offsets, nothing is unpacked. One thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fim/image_error.h"
#include "fim/image_source.h"
#include "fim/image_tar.h"
#include "fim/image_unpack.h"
#include "lib/cleanup.h"

#define HEADERS	  (64 * KIB) /* read at once while looking for members */
#define LINKS_MAX 8

struct member {
	const char *name;
	const char *link; /* of a symbolic or hard link; else NULL */
	uint64_t offset, size;
};

struct image_files {
	int fd; /* of the archive or folder */
	bool folder;
	struct arena arena;
	struct member *members; /* by name */
	size_t n, room;
	/* while members are looked for */
	uint64_t pos, end;
	uint8_t buffer[HEADERS];
};

bool image_files_is_folder(const struct image_files *f)
{
	return f->folder;
}

void image_files_free(struct image_files *f)
{
	if (f->fd >= 0)
		close(f->fd);
	arena_free(&f->arena);
	free(f->members);
	free(f);
}

/* --- members of an archive */

static ssize_t scan_next(void *data, const uint8_t **ret)
{
	struct image_files *f = data;
	struct image_range r = { f->fd, f->pos, f->end - f->pos };
	ssize_t n = image_range_read(&r, f->buffer, sizeof(f->buffer));

	*ret = f->buffer;
	f->pos += n > 0 ? (uint64_t)n : 0;
	return n;
}

static int scan_skip(void *data, uint64_t n)
{
	struct image_files *f = data;

	if (n > f->end - f->pos)
		return -ENODATA;
	f->pos += n;
	return 0;
}

/* "./a//b/../c" in folder d is "d/a/c"; false when it leaves the archive. */
static bool join(struct buf *b, const char *dir, size_t dir_len, const char *name)
{
	buf_reset(b);
	if (name[0] != '/')
		buf_add(b, dir, dir_len);
	buf_str(b, "");
	while (*name) {
		size_t len = strcspn(name, "/");

		if (len == 2 && memcmp(name, "..", 2) == 0) {
			const char *slash = b->len ? strrchr(b->data, '/') : NULL;

			if (b->len == 0)
				return false;
			b->len = slash ? (size_t)(slash - b->data) : 0;
			b->data[b->len] = '\0';
		} else if (len && !(len == 1 && *name == '.')) {
			if (b->len)
				buf_char(b, '/');
			buf_add(b, name, len);
		}
		name += len + (name[len] == '/');
	}
	return !b->failed && b->len > 0;
}

/* A hard link is named from the top, a symbolic one from its folder. */
static const char *link_of(struct image_files *f, const struct tar_entry *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_printf(&b, "%s%s", e->hard_link ? "/" : "", e->link);
	return b.failed ? NULL : arena_strdup(&f->arena, b.data);
}

static int add_member(struct image *i, struct image_files *f, const struct tar_entry *e, uint64_t offset)
{
	_cleanup_buf_ struct buf name = BUF_INIT;
	bool link = e->hard_link || e->rec.type == 'l';
	struct member *m;

	if ((!link && e->rec.type != 'f') || !join(&name, "", 0, e->path))
		return 0;
	if (!link && (offset > f->end || e->rec.size > f->end - offset))
		return image_fail_name(i->err, -EBADMSG, e->path, "cut short");
	if (f->n == IMAGE_MEMBERS_MAX)
		return image_fail(i->err, -E2BIG, "an archive of more than %d files", IMAGE_MEMBERS_MAX);
	if (f->n == f->room) {
		f->room = f->room ? f->room * 2 : 64;
		m = realloc(f->members, f->room * sizeof(*m));
		if (!m)
			return -ENOMEM;
		f->members = m;
	}
	m = &f->members[f->n++];
	*m = (struct member){ .name = arena_strdup(&f->arena, name.data), .offset = offset, .size = e->rec.size };
	m->link = link ? link_of(f, e) : NULL;
	return m->name && (!link || m->link) ? 0 : -ENOMEM;
}

static int member_order(const void *a, const void *b)
{
	return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

static int scan(struct image *i, struct image_files *f)
{
	struct tar_input in = { scan_next, scan_skip, f };
	_cleanup_(tar_reader_free_p) struct tar_reader *t = NULL;
	struct tar_entry e;
	int r = tar_reader_new(&in, i->err, &t);

	while (r >= 0 && (r = tar_reader_next(t, &e)) > 0)
		r = add_member(i, f, &e, tar_reader_offset(t));
	if (r == -ENODATA)
		return image_fail(i->err, -EBADMSG, "cut short");
	if (r < 0)
		return r;
	qsort(f->members, f->n, sizeof(*f->members), member_order);
	for (size_t n = 1; n < f->n; n++)
		if (streq(f->members[n].name, f->members[n - 1].name))
			return image_fail_name(i->err, -EBADMSG, f->members[n].name, "twice in the archive");
	return f->n ? 0 : image_fail(i->err, -EBADMSG, "an empty archive");
}

static int open_archive(struct image *i, struct image_files *f, uint64_t size)
{
	struct image_range range = { f->fd, 0, size };
	ssize_t n = image_range_read(&range, f->buffer, 4);

	if (n < 0)
		return (int)n;
	if (image_pack_of(f->buffer, (size_t)n) != IMAGE_PACK_NONE)
		return image_fail(i->err, -EOPNOTSUPP,
				  "the archive as a whole is compressed, so that no place in it can be looked up: "
				  "decompress it first");
	f->end = size;
	return scan(i, f);
}

int image_files_open(struct image *i, const char *path, struct image_files **ret)
{
	_cleanup_(image_files_free_p) struct image_files *f = calloc(1, sizeof(*f));
	struct stat st;
	int r = 0;

	if (!f)
		return -ENOMEM;
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (f->fd < 0 || fstat(f->fd, &st) < 0)
		return image_fail(i->err, -errno, "%s", strerror(errno));
	f->folder = S_ISDIR(st.st_mode);
	if (!f->folder && !S_ISREG(st.st_mode))
		return image_fail(i->err, -EINVAL, "neither a folder nor a file");
	if (!f->folder)
		r = open_archive(i, f, (uint64_t)st.st_size);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(f);
	return 0;
}

/* --- getting */

static const struct member *member(struct image_files *f, const char *name)
{
	_cleanup_buf_ struct buf path = BUF_INIT, next = BUF_INIT;

	if (!join(&path, "", 0, name))
		return NULL;
	for (int hops = 0; hops < LINKS_MAX; hops++) {
		struct member key = { .name = path.data };
		const struct member *m = bsearch(&key, f->members, f->n, sizeof(key), member_order);
		const char *slash;

		if (!m || !m->link)
			return m;
		slash = strrchr(m->name, '/');
		if (!join(&next, m->name, slash ? (size_t)(slash - m->name) : 0, m->link))
			return NULL;
		buf_reset(&path);
		buf_str(&path, next.data);
		if (path.failed)
			return NULL;
	}
	return NULL;
}

static int get_file(struct image_files *f, const char *name, struct image_range *ret)
{
	_cleanup_close_ int fd = openat(f->fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret = (struct image_range){ TAKE_FD(fd), 0, (uint64_t)st.st_size };
	return 0;
}

int image_files_get(struct image_files *f, const char *name, struct image_range *ret, bool *ret_own)
{
	const struct member *m;

	*ret_own = f->folder;
	if (f->folder)
		return get_file(f, name, ret);
	m = member(f, name);
	if (!m)
		return -ENOENT;
	*ret = (struct image_range){ f->fd, m->offset, m->size };
	return 0;
}

bool image_files_has(struct image_files *f, const char *name)
{
	struct image_range range;
	bool own;

	if (image_files_get(f, name, &range, &own) < 0)
		return false;
	if (own)
		close(range.fd);
	return true;
}

static int read_range(struct image *i, struct image_range *range, struct buf *ret)
{
	uint8_t data[16 * KIB];
	ssize_t n;

	if (range->left > IMAGE_JSON_MAX)
		return image_fail(i->err, -E2BIG, "more than %llu MiB", (unsigned long long)(IMAGE_JSON_MAX / MIB));
	buf_reset(ret);
	buf_str(ret, "");
	while ((n = image_range_read(range, data, sizeof(data))) > 0)
		buf_add(ret, data, (size_t)n);
	return n < 0 ? (int)n : ret->failed ? -ENOMEM : 0;
}

int image_files_read(struct image *i, struct image_files *f, const char *name, const char *digest, struct buf *ret)
{
	struct image_range range;
	bool own, same = true;
	int r = image_files_get(f, name, &range, &own);

	if (r == -ENOENT)
		return image_fail_name(i->err, r, name, "there is no file");
	if (r == 0)
		r = read_range(i, &range, ret);
	if (r >= 0 && own)
		close(range.fd);
	if (r == 0 && digest)
		r = image_digest_check(digest, ret->data, ret->len, &same);
	if (r < 0)
		return image_fail_name(i->err, r, name, "%s", strerror(-r));
	return same ? 0 : image_fail_name(i->err, -EBADMSG, name, "does not have its digest");
}
