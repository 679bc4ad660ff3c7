/*
 * Records: made from statx, copied, encoded. No state; any thread. Decoding takes any bytes, since they come from
 * databases that others can edit.
 */
#include "event/record.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "lib/util.h"

#define RECORD_VERSION	1
#define RECORD_XATTRS	(ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_CAPS) | ATTR_BIT(ATTR_SELINUX))
#define RECORD_HAVE_ALL (ATTR_BIT(ATTR_COUNT) - 1)

static const char record_types[] = "fdlpsbc";

static int64_t record_time(const struct statx_timestamp *t)
{
	int64_t ns;

	if (__builtin_mul_overflow((int64_t)t->tv_sec, (int64_t)NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, (int64_t)t->tv_nsec, &ns))
		return t->tv_sec < 0 ? INT64_MIN : INT64_MAX;
	return ns;
}

static char record_type(unsigned mode)
{
	static const struct {
		unsigned format;
		char type;
	} types[] = { { S_IFREG, 'f' },	 { S_IFDIR, 'd' }, { S_IFLNK, 'l' }, { S_IFIFO, 'p' },
		      { S_IFSOCK, 's' }, { S_IFBLK, 'b' }, { S_IFCHR, 'c' } };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if ((mode & S_IFMT) == types[i].format)
			return types[i].type;
	}
	return 0;
}

static uint32_t record_have_of(uint32_t stx_mask)
{
	static const struct {
		uint32_t stx, attr;
	} map[] = {
		{ STATX_MODE, ATTR_BIT(ATTR_MODE) },   { STATX_UID, ATTR_BIT(ATTR_UID) },
		{ STATX_GID, ATTR_BIT(ATTR_GID) },     { STATX_SIZE, ATTR_BIT(ATTR_SIZE) },
		{ STATX_MTIME, ATTR_BIT(ATTR_MTIME) }, { STATX_CTIME, ATTR_BIT(ATTR_CTIME) },
		{ STATX_INO, ATTR_BIT(ATTR_INO) },     { STATX_NLINK, ATTR_BIT(ATTR_NLINK) },
	};
	uint32_t have = ATTR_BIT(ATTR_DEV);

	for (size_t i = 0; i < ARRAY_SIZE(map); i++) {
		if (stx_mask & map[i].stx)
			have |= map[i].attr;
	}
	return have;
}

void record_from_statx(struct record *r, const struct statx *stx)
{
	*r = (struct record){
		.have = record_have_of(stx->stx_mask),
		.type = stx->stx_mask & STATX_TYPE ? record_type(stx->stx_mode) : 0,
		.mode = stx->stx_mode & 07777,
		.uid = stx->stx_uid,
		.gid = stx->stx_gid,
		.nlink = stx->stx_nlink,
		.size = stx->stx_size,
		.mtime = record_time(&stx->stx_mtime),
		.ctime = record_time(&stx->stx_ctime),
		.dev = makedev(stx->stx_dev_major, stx->stx_dev_minor),
		.ino = stx->stx_ino,
	};
	if (r->type)
		r->have |= ATTR_BIT(ATTR_TYPE);
	if (r->type == 'b' || r->type == 'c') {
		r->rdev = makedev(stx->stx_rdev_major, stx->stx_rdev_minor);
		r->have |= ATTR_BIT(ATTR_RDEV);
	}
}

const void *record_xattr(const struct record *r, const char *name, size_t *ret_len)
{
	size_t want = strlen(name), name_len, len;
	struct reader in;

	if (!r->xattrs)
		return NULL;
	in = (struct reader){ r->xattrs, r->xattrs + r->xattrs_len, false };
	while (in.p < in.end) {
		const void *found = reader_bytes(&in, &name_len);
		const void *value = reader_bytes(&in, &len);

		if (in.bad)
			return NULL;
		if (name_len != want || memcmp(found, name, want) != 0)
			continue;
		*ret_len = len;
		return value;
	}
	return NULL;
}

bool record_dup(struct arena *a, const struct record *r, struct record *ret)
{
	struct record copy = *r;

	if (r->target)
		copy.target = arena_strdup(a, r->target);
	if (r->mime)
		copy.mime = arena_strdup(a, r->mime);
	if (r->xattrs)
		copy.xattrs = arena_dup(a, r->xattrs, r->xattrs_len);
	if ((r->target && !copy.target) || (r->mime && !copy.mime) || (r->xattrs && !copy.xattrs))
		return false;
	*ret = copy;
	return true;
}

bool record_same_version(const struct record *a, const struct record *b)
{
	const uint32_t need = ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME) |
			      ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO);

	return (a->have & b->have & need) == need && a->ino == b->ino && a->ctime == b->ctime && a->size == b->size &&
	       a->mtime == b->mtime && a->type == b->type && a->dev == b->dev;
}

/* --- encoding: version, have, unread, then each member of have in the order of enum attr. Numbers are varints. */

/* Bytes that the members of fixed kind can take at most: 14 varints of 10, two times, a type, a digest. */
#define RECORD_FIXED_MAX (14 * 10 + 2 * 8 + 2 + DIGEST_MAX)

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)v | 0x80;
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Times are near 2^60: a varint of one would take nine bytes. */
static uint8_t *put_time(uint8_t *p, int64_t ns)
{
	for (unsigned shift = 0; shift < 64; shift += 8)
		*p++ = (uint8_t)((uint64_t)ns >> shift);
	return p;
}

static uint8_t *put_bytes(uint8_t *p, const void *data, size_t len)
{
	p = put_varint(p, len);
	if (len)
		memcpy(p, data, len);
	return p + len;
}

/* With its NUL, so that the decoder can lend it out as a string. */
static uint8_t *put_string(uint8_t *p, const char *s)
{
	return put_bytes(p, s, strlen(s) + 1);
}

static uint8_t *put_numbers(uint8_t *p, const struct record *r, uint32_t have)
{
	if (have & ATTR_BIT(ATTR_TYPE))
		*p++ = (uint8_t)r->type;
	if (have & ATTR_BIT(ATTR_MODE))
		p = put_varint(p, r->mode);
	if (have & ATTR_BIT(ATTR_UID))
		p = put_varint(p, r->uid);
	if (have & ATTR_BIT(ATTR_GID))
		p = put_varint(p, r->gid);
	if (have & ATTR_BIT(ATTR_SIZE))
		p = put_varint(p, r->size);
	if (have & ATTR_BIT(ATTR_MTIME))
		p = put_time(p, r->mtime);
	if (have & ATTR_BIT(ATTR_CTIME))
		p = put_time(p, r->ctime);
	if (have & ATTR_BIT(ATTR_DEV))
		p = put_varint(p, r->dev);
	if (have & ATTR_BIT(ATTR_INO))
		p = put_varint(p, r->ino);
	if (have & ATTR_BIT(ATTR_NLINK))
		p = put_varint(p, r->nlink);
	if (have & ATTR_BIT(ATTR_RDEV))
		p = put_varint(p, r->rdev);
	if (have & ATTR_BIT(ATTR_FLAGS))
		p = put_varint(p, r->flags);
	return p;
}

/* What is said to be there but is not (a target that is NULL) is left out, so that the decoder gives the same record.
 */
static uint32_t record_have(const struct record *r)
{
	uint32_t have = r->have & RECORD_HAVE_ALL;

	if (!r->target)
		have &= ~ATTR_BIT(ATTR_TARGET);
	if (!r->mime)
		have &= ~ATTR_BIT(ATTR_MIME);
	if (!r->digest_len || r->digest_len > DIGEST_MAX)
		have &= ~ATTR_BIT(ATTR_DIGEST);
	return have;
}

void record_encode(struct buf *b, const struct record *r)
{
	uint32_t have = record_have(r);
	size_t xattrs_len = have & RECORD_XATTRS && r->xattrs ? r->xattrs_len : 0, room = RECORD_FIXED_MAX + xattrs_len;
	uint8_t *p, *start;

	if (have & ATTR_BIT(ATTR_TARGET))
		room += strlen(r->target) + 1 + 10;
	if (have & ATTR_BIT(ATTR_MIME))
		room += strlen(r->mime) + 1 + 10;
	if (!buf_reserve(b, room))
		return;
	start = p = (uint8_t *)b->data + b->len;
	*p++ = RECORD_VERSION;
	p = put_varint(p, have);
	p = put_varint(p, r->unread);
	p = put_numbers(p, r, have);
	if (have & ATTR_BIT(ATTR_TARGET))
		p = put_string(p, r->target);
	if (have & ATTR_BIT(ATTR_DIGEST))
		p = put_bytes(p, r->digest, r->digest_len);
	if (have & RECORD_XATTRS)
		p = put_bytes(p, r->xattrs, xattrs_len);
	if (have & ATTR_BIT(ATTR_MIME))
		p = put_string(p, r->mime);
	if (have & ATTR_BIT(ATTR_LAYER))
		p = put_varint(p, r->layer);
	b->len += (size_t)(p - start);
	b->data[b->len] = '\0';
}

/* A number of at most `max`. */
static uint64_t get_number(struct reader *in, uint64_t max)
{
	uint64_t v = reader_varint(in);

	if (v > max) {
		in->bad = true;
		return 0;
	}
	return v;
}

static const void *get_bytes(struct reader *in, size_t max, size_t *ret_len)
{
	*ret_len = get_number(in, max);
	return reader_raw(in, *ret_len);
}

static const char *get_string(struct reader *in)
{
	size_t len;
	const char *s = get_bytes(in, UINT32_MAX, &len);

	if (s && len && memchr(s, '\0', len) == s + len - 1)
		return s;
	in->bad = true;
	return NULL;
}

static void get_numbers(struct reader *in, struct record *r)
{
	if (r->have & ATTR_BIT(ATTR_TYPE)) {
		r->type = (char)reader_u8(in);
		in->bad |= !r->type || !strchr(record_types, r->type);
	}
	if (r->have & ATTR_BIT(ATTR_MODE))
		r->mode = (uint16_t)get_number(in, 07777);
	if (r->have & ATTR_BIT(ATTR_UID))
		r->uid = (uint32_t)get_number(in, UINT32_MAX);
	if (r->have & ATTR_BIT(ATTR_GID))
		r->gid = (uint32_t)get_number(in, UINT32_MAX);
	if (r->have & ATTR_BIT(ATTR_SIZE))
		r->size = reader_varint(in);
	if (r->have & ATTR_BIT(ATTR_MTIME))
		r->mtime = (int64_t)reader_u64(in);
	if (r->have & ATTR_BIT(ATTR_CTIME))
		r->ctime = (int64_t)reader_u64(in);
	if (r->have & ATTR_BIT(ATTR_DEV))
		r->dev = reader_varint(in);
	if (r->have & ATTR_BIT(ATTR_INO))
		r->ino = reader_varint(in);
	if (r->have & ATTR_BIT(ATTR_NLINK))
		r->nlink = (uint32_t)get_number(in, UINT32_MAX);
	if (r->have & ATTR_BIT(ATTR_RDEV))
		r->rdev = reader_varint(in);
	if (r->have & ATTR_BIT(ATTR_FLAGS))
		r->flags = (uint32_t)get_number(in, UINT32_MAX);
}

/* Pairs of name and value; names without NUL, not empty, in strictly ascending order. */
static bool xattrs_valid(const uint8_t *data, size_t len)
{
	struct reader in = { data, data + len, false };
	const uint8_t *last = NULL;
	size_t last_len = 0, name_len, value_len;

	while (in.p < in.end) {
		const uint8_t *name = reader_bytes(&in, &name_len);
		int order;

		reader_bytes(&in, &value_len);
		if (in.bad || !name_len || memchr(name, '\0', name_len))
			return false;
		if (last) {
			order = memcmp(last, name, MIN(last_len, name_len));
			if (order > 0 || (!order && last_len >= name_len))
				return false;
		}
		last = name;
		last_len = name_len;
	}
	return true;
}

static void get_xattrs(struct reader *in, struct record *r)
{
	size_t len;
	const uint8_t *data = get_bytes(in, UINT32_MAX, &len);

	if (in->bad || !len)
		return;
	if (!xattrs_valid(data, len)) {
		in->bad = true;
		return;
	}
	r->xattrs = data;
	r->xattrs_len = (uint32_t)len;
}

static void get_digest(struct reader *in, struct record *r)
{
	size_t len;
	const void *data = get_bytes(in, DIGEST_MAX, &len);

	if (in->bad || !len) {
		in->bad = true;
		return;
	}
	memcpy(r->digest, data, len);
	r->digest_len = (uint8_t)len;
}

int record_decode(const void *data, size_t len, struct record *ret)
{
	struct reader in = { data, (const uint8_t *)data + len, false };
	struct record r = { 0 };

	if (reader_u8(&in) != RECORD_VERSION)
		return -EBADMSG;
	r.have = (uint32_t)get_number(&in, RECORD_HAVE_ALL);
	r.unread = (uint16_t)get_number(&in, UINT16_MAX);
	get_numbers(&in, &r);
	if (r.have & ATTR_BIT(ATTR_TARGET))
		r.target = get_string(&in);
	if (r.have & ATTR_BIT(ATTR_DIGEST))
		get_digest(&in, &r);
	if (r.have & RECORD_XATTRS)
		get_xattrs(&in, &r);
	if (r.have & ATTR_BIT(ATTR_MIME))
		r.mime = get_string(&in);
	if (r.have & ATTR_BIT(ATTR_LAYER))
		r.layer = (uint32_t)get_number(&in, UINT32_MAX);
	if (in.bad || in.p != in.end)
		return -EBADMSG;
	*ret = r;
	return 0;
}

/* --- reasons */

const char *record_unread_text(unsigned unread)
{
	static const struct {
		unsigned unread;
		const char *text;
	} reasons[] = {
		{ RECORD_UNSTABLE, "changed while being read" },
		{ RECORD_TOO_LARGE, "larger than limits.hash_size" },
		{ RECORD_NOT_ASKED, "not asked for" },
		{ RECORD_GONE, "removed before it was read" },
		{ EPERM, "operation not permitted" },
		{ EACCES, "permission denied" },
		{ ENOENT, "no such file" },
		{ EIO, "input/output error" },
		{ ETXTBSY, "text file busy" },
		{ EAGAIN, "locked by a lease" },
		{ EBUSY, "busy" },
		{ ELOOP, "symbolic link in the way" },
		{ ESTALE, "stale file handle" },
		{ EMFILE, "too many open files" },
		{ ENFILE, "too many open files in the system" },
		{ ENOMEM, "out of memory" },
		{ ENXIO, "no such device" },
		{ EOVERFLOW, "too large for this system" },
		{ EOPNOTSUPP, "not supported" },
		{ ENOKEY, "encryption key not available" },
		{ EBADMSG, "checksum error" }, /* as btrfs and fs-verity report it */
		{ EUCLEAN, "file system corrupted" },
	};

	if (!unread)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].unread == unread)
			return reasons[i].text;
	}
	return "not readable";
}

/* --- chunks */

struct chunk *chunk_new(void)
{
	return calloc(1, sizeof(struct chunk));
}

void chunk_reset(struct chunk *c)
{
	struct arena kept = c->arena;

	arena_reset(&kept);
	*c = (struct chunk){ .arena = kept };
}

void chunk_free(struct chunk *c)
{
	if (!c)
		return;
	arena_free(&c->arena);
	free(c);
}

int chunk_seal(struct chunk *c, struct digest *d, struct buf *scratch)
{
	uint8_t digest[DIGEST_MAX];
	int r;

	buf_reset(scratch);
	buf_bytes(scratch, c->dir, strlen(c->dir));
	buf_u32(scratch, c->seq);
	/* Each record ends where its encoding says so, names are length-prefixed: no two chunks give the same bytes. */
	for (uint32_t i = 0; i < c->n; i++) {
		struct record rec = c->entries[i].rec;

		rec.have &= ~ATTR_BIT(ATTR_LAYER);
		buf_bytes(scratch, c->entries[i].name, strlen(c->entries[i].name));
		record_encode(scratch, &rec);
	}
	if (scratch->failed)
		return -ENOMEM;
	r = digest_once(d, scratch->data, scratch->len, digest);
	if (r < 0)
		return r;
	memcpy(c->digest, digest, sizeof(c->digest));
	return 0;
}
