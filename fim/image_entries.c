/*
 * Entries of a layer, from an archive and from bytes. Both sides of the role unpack; no state, one thread each. Bytes
 * are hostile on both: a role may have been taken over by what it read.
 */
#include "fim/image_entries.h"

#include <errno.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/xattr.h"
#include "lib/cleanup.h"

/* What an entry has beside its type; a hard link has none of it. */
#define ENTRY_HAVE                                                                                                     \
	(ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) | ATTR_BIT(ATTR_SIZE) |   \
	 ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_RDEV) | ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_XATTRS) |                  \
	 ATTR_BIT(ATTR_DIGEST))

/* Path, link and target, each as long as a header, and the rest. */
#define ENTRY_MAX (3 * IMAGE_HEADER_MAX + XATTR_TOTAL_MAX + 4 * KIB)

/* --- from an archive */

static int content(struct tar_reader *t, struct digest *d, enum digest_algo algo, struct record *rec)
{
	const uint8_t *data;
	ssize_t n = 0;
	int r = digest_start(d);

	while (r == 0 && (n = tar_reader_data(t, &data)) > 0)
		r = digest_update(d, data, (size_t)n);
	if (r == 0 && n < 0)
		r = (int)n;
	if (r == 0)
		r = digest_finish(d, rec->digest);
	rec->digest_len = (uint8_t)digest_table[algo].size;
	return r;
}

int image_entries_of_tar(const struct tar_input *in, enum digest_algo algo, struct buf *err, image_entry_fn fn,
			 void *data)
{
	_cleanup_(tar_reader_free_p) struct tar_reader *t = NULL;
	_cleanup_digest_ struct digest *d = NULL;
	struct tar_entry e;
	int r = digest_new(algo, &d);

	if (r == 0)
		r = tar_reader_new(in, err, &t);
	while (r >= 0 && (r = tar_reader_next(t, &e)) > 0) {
		r = e.rec.type == 'f' ? content(t, d, algo, &e.rec) : 0;
		if (r < 0 && err->len)
			image_fail_where(err, "%s", e.path);
		if (r == 0)
			r = fn(data, &e);
	}
	return r;
}

/* --- as bytes: u32 length of what follows; hard link or not, path, link, record */

void image_entry_encode(struct buf *b, const struct tar_entry *e)
{
	size_t start = b->len;
	uint32_t len;

	buf_u32(b, 0);
	buf_u8(b, e->hard_link);
	buf_bytes(b, e->path, strlen(e->path) + 1);
	buf_bytes(b, e->link, strlen(e->link) + 1);
	if (!e->hard_link) {
		struct record rec = e->rec;

		rec.have = ENTRY_HAVE;
		record_encode(b, &rec);
	}
	if (b->failed)
		return;
	len = (uint32_t)(b->len - start - sizeof(len));
	memcpy(b->data + start,
	       (const uint8_t[]){ (uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16), (uint8_t)(len >> 24) },
	       sizeof(len));
}

static const char *get_string(struct reader *in)
{
	size_t len;
	const char *s = reader_bytes(in, &len);

	if (!in->bad && len && memchr(s, '\0', len) == s + len - 1)
		return s;
	in->bad = true;
	return NULL;
}

/* What image_entry_encode can have made of what the reader of archives gives, and nothing else. */
static bool decode(const void *data, size_t len, enum digest_algo algo, struct tar_entry *ret)
{
	struct reader in = { data, (const uint8_t *)data + len, false };
	struct tar_entry e = { .hard_link = reader_u8(&in) == 1 };
	struct record *r = &e.rec;

	e.path = get_string(&in);
	e.link = get_string(&in);
	if (in.bad || (e.hard_link && in.p != in.end))
		return false;
	if (!e.hard_link) {
		if (record_decode(in.p, (size_t)(in.end - in.p), r) < 0 || (r->have & ~ENTRY_HAVE) ||
		    !(r->have & ATTR_BIT(ATTR_TYPE)) || r->type == 's' || r->unread ||
		    (r->type == 'l') != (r->target != NULL) || r->xattrs_len > XATTR_TOTAL_MAX ||
		    r->digest_len != (r->type == 'f' ? digest_table[algo].size : 0))
			return false;
		r->have = ATTR_BIT(ATTR_TYPE);
	}
	*ret = e;
	return true;
}

/* Up to `want` bytes in b: 1, 0 at an end before the first of them. */
static int fill(const struct tar_input *in, const uint8_t **p, size_t *left, size_t want, struct buf *b)
{
	buf_reset(b);
	while (b->len < want) {
		size_t n;

		if (*left == 0) {
			ssize_t more = in->next(in->data, p);

			if (more < 0)
				return (int)more;
			if (more == 0)
				return b->len ? -EBADMSG : 0;
			*left = (size_t)more;
		}
		n = MIN(want - b->len, *left);
		buf_add(b, *p, n);
		if (b->failed)
			return -ENOMEM;
		*p += n;
		*left -= n;
	}
	return 1;
}

int image_entries_of_bytes(const struct tar_input *in, enum digest_algo algo, struct buf *err, image_entry_fn fn,
			   void *data)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const uint8_t *p = NULL;
	size_t left = 0;
	int r;

	while ((r = fill(in, &p, &left, sizeof(uint32_t), &b)) > 0) {
		struct reader head = { (const uint8_t *)b.data, (const uint8_t *)b.data + b.len, false };
		uint32_t len = reader_u32(&head);
		struct tar_entry e;

		r = len && len <= ENTRY_MAX ? fill(in, &p, &left, len, &b) : -EBADMSG;
		if (r > 0)
			r = decode(b.data, b.len, algo, &e) ? fn(data, &e) : -EBADMSG;
		else if (r == 0)
			r = -EBADMSG;
		if (r < 0)
			break;
	}
	return r == -EBADMSG ? image_fail(err, r, "the process unpack says what is no entry") : r;
}
