/*
 * Tar archives, decoded as the runtimes' own reader does (Go's archive/tar), so that what is judged here is what they
 * unpack: the last of several headers counts, sizes of PAX headers go before those of the block, links and folders have
 * no content whatever their size says. Bytes are hostile. Memory: one header, which is bounded.
 */
#include "fim/image_tar-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "fim/image_error.h"
#include "lib/cleanup.h"

#define BLOCK 512

/* Offsets and lengths of the fields of a header block. */
enum { NAME = 0, MODE = 100, UID = 108, GID = 116, SIZE = 124, MTIME = 136, SUM = 148, TYPE = 156, LINK = 157 };
enum { MAGIC = 257, MAJOR = 329, MINOR = 337, PREFIX = 345, STAR_TRAILER = 508 };

int tar_reader_new(const struct tar_input *in, struct buf *err, struct tar_reader **ret)
{
	struct tar_reader *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->in = *in;
	t->err = err;
	*ret = t;
	return 0;
}

void tar_reader_free(struct tar_reader *t)
{
	buf_free(&t->path);
	buf_free(&t->link);
	buf_free(&t->long_path);
	buf_free(&t->long_link);
	buf_free(&t->pax);
	buf_free(&t->xattrs);
	free(t);
}

uint64_t tar_reader_offset(const struct tar_reader *t)
{
	return t->offset;
}

int tar_malformed(struct tar_reader *t, const char *what)
{
	return image_fail(t->err, -EBADMSG, "not a tar archive at byte %llu: %s", (unsigned long long)t->offset, what);
}

/* --- bytes */

/* Makes sure that there is at least one byte: 1, 0 at the end. */
static int more(struct tar_reader *t)
{
	ssize_t n;

	if (t->left > 0)
		return 1;
	n = t->in.next(t->in.data, &t->p);
	if (n <= 0)
		return (int)n;
	t->left = (size_t)n;
	return 1;
}

static void advance(struct tar_reader *t, size_t n)
{
	t->p += n;
	t->left -= n;
	t->offset += n;
}

static int cut_short(struct tar_reader *t)
{
	return image_fail(t->err, -EBADMSG, "cut short at byte %llu", (unsigned long long)t->offset);
}

static int skip(struct tar_reader *t, uint64_t n)
{
	while (n > 0) {
		size_t step;
		int r;

		if (t->left == 0 && t->in.skip) {
			r = t->in.skip(t->in.data, n);
			if (r < 0)
				return r;
			t->offset += n;
			return 0;
		}
		r = more(t);
		if (r <= 0)
			return r < 0 ? r : cut_short(t);
		step = (size_t)MIN(n, (uint64_t)t->left);
		advance(t, step);
		n -= step;
	}
	return 0;
}

/* One block: 1, 0 at a clean end. */
static int block(struct tar_reader *t, uint8_t ret[BLOCK])
{
	size_t have = 0;

	while (have < BLOCK) {
		size_t step;
		int r = more(t);

		if (r < 0)
			return r;
		if (r == 0)
			return have ? cut_short(t) : 0;
		step = MIN(BLOCK - have, t->left);
		memcpy(ret + have, t->p, step);
		advance(t, step);
		have += step;
	}
	return 1;
}

/* The content of a header that describes the next one. */
static int gather(struct tar_reader *t, uint64_t size, struct buf *ret)
{
	uint32_t padding = (uint32_t)(-size % BLOCK);

	if (size > IMAGE_HEADER_MAX)
		return image_fail(t->err, -E2BIG, "a header of %llu bytes at byte %llu", (unsigned long long)size,
				  (unsigned long long)t->offset);
	buf_reset(ret);
	while (size > 0) {
		size_t step;
		int r = more(t);

		if (r <= 0)
			return r < 0 ? r : cut_short(t);
		step = (size_t)MIN(size, (uint64_t)t->left);
		buf_add(ret, t->p, step);
		advance(t, step);
		size -= step;
	}
	buf_str(ret, "");
	return ret->failed ? -ENOMEM : skip(t, padding);
}

/* --- numbers */

/* Base 256: two's complement, the highest bit of the first byte set. */
static bool binary(const uint8_t *p, size_t len, int64_t *ret)
{
	int64_t v = p[0] & 0x40 ? -1 : 0;

	v = (int64_t)((uint64_t)v << 7 | (p[0] & 0x7f));
	for (size_t i = 1; i < len; i++) {
		if (v > INT64_MAX >> 8 || v < INT64_MIN >> 8)
			return false;
		v = (int64_t)((uint64_t)v << 8 | p[i]);
	}
	*ret = v;
	return true;
}

static bool number(const uint8_t *p, size_t len, int64_t *ret)
{
	uint64_t v = 0;

	if (p[0] & 0x80)
		return binary(p, len, ret);
	while (len && (*p == ' ' || *p == '\0'))
		p++, len--;
	for (; len && *p >= '0' && *p <= '7'; p++, len--) {
		if (v >> 60)
			return false;
		v = v << 3 | (uint64_t)(*p - '0');
	}
	while (len && (*p == ' ' || *p == '\0'))
		p++, len--;
	*ret = (int64_t)v;
	return len == 0;
}

/* --- headers */

static bool is_zero(const uint8_t *b)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (b[i])
			return false;
	return true;
}

/* Over the block with the field itself as blanks; some add signed bytes. */
static bool checksum_good(const uint8_t *b)
{
	int64_t unsigned_sum = 0, signed_sum = 0, want;

	for (size_t i = 0; i < BLOCK; i++) {
		uint8_t c = i >= SUM && i < SUM + 8 ? ' ' : b[i];

		unsigned_sum += c;
		signed_sum += (int8_t)c;
	}
	return number(b + SUM, 8, &want) && (want == unsigned_sum || want == signed_sum);
}

static void field(struct buf *b, const uint8_t *p, size_t len)
{
	buf_add(b, p, strnlen((const char *)p, len));
}

static int set_names(struct tar_reader *t, const uint8_t *b)
{
	if (!t->has_path) {
		buf_reset(&t->path);
		if (memcmp(b + MAGIC, "ustar\0", 6) == 0 && b[PREFIX]) {
			field(&t->path, b + PREFIX, memcmp(b + STAR_TRAILER, "tar", 4) ? 155 : 131);
			buf_char(&t->path, '/');
		}
		field(&t->path, b + NAME, 100);
		buf_str(&t->path, "");
	}
	if (!t->has_link) {
		buf_reset(&t->link);
		field(&t->link, b + LINK, 100);
		buf_str(&t->link, "");
	}
	/* A GNU name goes before all others. */
	if (t->long_path.len > 0) {
		buf_reset(&t->path);
		buf_str(&t->path, t->long_path.data);
	}
	if (t->long_link.len > 0) {
		buf_reset(&t->link);
		buf_str(&t->link, t->long_link.data);
	}
	return t->path.failed || t->link.failed ? -ENOMEM : 0;
}

/* As find -printf %y; 0 for a type that nobody knows. */
static char type_letter(uint8_t flag, const struct buf *path)
{
	switch (flag) {
	case '\0':
		return path->len && path->data[path->len - 1] == '/' ? 'd' : 'f';
	case '0':
	case '7':
		return 'f';
	case '2':
		return 'l';
	case '3':
		return 'c';
	case '4':
		return 'b';
	case '5':
		return 'd';
	case '6':
		return 'p';
	default:
		return 0;
	}
}

static int set_numbers(struct tar_reader *t, const uint8_t *b, struct record *rec)
{
	int64_t mode, uid, gid, size, mtime, dev[2] = { 0, 0 };

	if (!number(b + MODE, 8, &mode) || !number(b + UID, 8, &uid) || !number(b + GID, 8, &gid) ||
	    !number(b + SIZE, 12, &size) || !number(b + MTIME, 12, &mtime))
		return tar_malformed(t, "a number in a header");
	if (rec->type == 'b' || rec->type == 'c') {
		if (!number(b + MAJOR, 8, &dev[0]) || !number(b + MINOR, 8, &dev[1]) || dev[0] < 0 || dev[1] < 0 ||
		    dev[0] > UINT32_MAX || dev[1] > UINT32_MAX)
			return tar_malformed(t, "a device number");
		rec->rdev = makedev((unsigned)dev[0], (unsigned)dev[1]);
	}
	uid = t->has_uid ? (int64_t)t->uid : uid;
	gid = t->has_gid ? (int64_t)t->gid : gid;
	size = t->has_size ? (int64_t)t->size : size;
	if (uid < 0 || uid > UINT32_MAX || gid < 0 || gid > UINT32_MAX)
		return tar_malformed(t, "an owner out of range");
	if (size < 0)
		return tar_malformed(t, "a size out of range");
	rec->mode = (uint16_t)(mode & 07777);
	rec->uid = (uint32_t)uid;
	rec->gid = (uint32_t)gid;
	rec->size = rec->type == 'f' ? (uint64_t)size : 0;
	if (t->has_mtime)
		rec->mtime = t->mtime;
	else if (__builtin_mul_overflow(mtime, (int64_t)NSEC_PER_SEC, &rec->mtime))
		return tar_malformed(t, "a time out of range");
	return 0;
}

static int entry(struct tar_reader *t, const uint8_t *b, struct tar_entry *ret)
{
	int r = set_names(t, b);

	*ret = (struct tar_entry){ .hard_link = b[TYPE] == '1' };
	if (r < 0)
		return r;
	ret->path = t->path.data;
	ret->link = t->link.data;
	ret->rec.type = type_letter(b[TYPE], &t->path);
	ret->rec.have = ATTR_BIT(ATTR_TYPE);
	if (b[TYPE] == 'S')
		return image_fail_name(t->err, -EOPNOTSUPP, ret->path, "a sparse file");
	if (!ret->rec.type && !ret->hard_link)
		return image_fail_name(t->err, -EBADMSG, ret->path, "an entry of unknown type 0x%02x", b[TYPE]);
	r = set_numbers(t, b, &ret->rec);
	if (r == 0)
		r = tar_set_xattrs(t, &ret->rec);
	if (r < 0)
		return r;
	ret->rec.target = ret->rec.type == 'l' ? ret->link : NULL;
	t->content = ret->rec.size;
	t->padding = (uint32_t)(-ret->rec.size % BLOCK);
	return 1;
}

static void forget_pax(struct tar_reader *t)
{
	t->has_path = t->has_link = t->has_size = t->has_uid = t->has_gid = t->has_mtime = false;
	t->n_pairs = 0;
}

static void forget(struct tar_reader *t)
{
	buf_reset(&t->long_path);
	buf_reset(&t->long_link);
	forget_pax(t);
}

/* A header that tells of the next one: 0; 1 when it is none of these. */
static int special(struct tar_reader *t, const uint8_t *b)
{
	struct buf *to = b[TYPE] == 'L' ? &t->long_path : b[TYPE] == 'K' ? &t->long_link : &t->pax;
	int64_t size;
	int r;

	if (!b[TYPE] || !strchr("LKxg", b[TYPE]))
		return 1;
	if (!number(b + SIZE, 12, &size) || size < 0)
		return tar_malformed(t, "size of a header");
	r = gather(t, (uint64_t)size, to);
	if (r < 0)
		return r;
	if (to == &t->pax) /* what an earlier one said is gone, and its bytes too */
		forget_pax(t);
	if (b[TYPE] == 'g') /* of all entries: comments */
		return 0;
	if (b[TYPE] == 'x')
		return tar_parse_pax(t);
	to->len = strlen(to->data);
	return 0;
}

int tar_reader_next(struct tar_reader *t, struct tar_entry *ret)
{
	uint8_t b[BLOCK];
	int r = skip(t, t->content);

	if (r == 0)
		r = skip(t, t->padding);
	t->content = t->padding = 0;
	forget(t);
	while (r == 0) {
		r = block(t, b);
		if (r <= 0)
			return r;
		if (is_zero(b)) {
			r = block(t, b);
			if (r > 0 && !is_zero(b))
				return tar_malformed(t, "a lone zero block");
			return r < 0 ? r : 0;
		}
		if (!checksum_good(b))
			return tar_malformed(t, "wrong checksum of a header");
		r = special(t, b);
		if (r > 0)
			return entry(t, b, ret);
	}
	return r;
}

ssize_t tar_reader_data(struct tar_reader *t, const uint8_t **ret)
{
	size_t step;
	int r;

	if (t->content == 0)
		return 0;
	r = more(t);
	if (r <= 0)
		return r < 0 ? r : cut_short(t);
	step = (size_t)MIN(t->content, (uint64_t)t->left);
	*ret = t->p;
	advance(t, step);
	t->content -= step;
	return (ssize_t)step;
}
