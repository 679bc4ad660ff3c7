/*
 * containerd's store: blobs by digest as in an OCI layout, names in meta.db (bbolt: boltdb's page format, version 2).
 * The database is read beside a running containerd and without its lock: pages are never written in place while a
 * transaction refers to them, and what goes wrong all the same ends in a digest that is not there, or does not fit.
 * Every offset is checked, and what can be visited is bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fim/image_error.h"
#include "fim/image_source.h"
#include "lib/cleanup.h"

#define CONTAINERD_ROOT "/var/lib/containerd"
#define CONTENT		"io.containerd.content.v1.content"
#define METADATA	"io.containerd.metadata.v1.bolt/meta.db"

#define BOLT_MAGIC   0xED0CDAEDu
#define BOLT_VERSION 2
#define PAGE_HEADER  16 /* id u64, flags u16, count u16, overflow u32; elements of leaves and branches are as long */
#define PAGE_MAX     (16 * MIB)
#define PAGES_MAX    100000
#define DEPTH_MAX    24
enum { PAGE_BRANCH = 1, PAGE_LEAF = 2 };
enum { LEAF_BUCKET = 1 };

struct bolt {
	int fd;
	uint32_t page_size;
	uint64_t root, txid;
	unsigned visited;
	struct buf *err;
};

struct item {
	const uint8_t *key, *value;
	size_t key_len, value_len;
	bool bucket;
};
/* Non-zero ends the walk. */
typedef int (*item_fn)(struct bolt *b, const struct item *item, void *data);

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int bolt_bad(struct bolt *b)
{
	return image_fail(b->err, -EBADMSG, "meta.db is malformed, or was changed while it was read");
}

/* The newer of the first two pages whose checksum is right. */
static int bolt_meta(struct bolt *b)
{
	b->page_size = 0;
	for (size_t i = 0; i < 2; i++) {
		/* Behind the header: magic, version, page size, flags, root, sequence, freelist, pages, txid, checksum
		 */
		uint8_t m[PAGE_HEADER + 64];
		uint64_t hash = 0xcbf29ce484222325u;
		off_t at = i ? (off_t)(b->page_size ? b->page_size : (uint32_t)sysconf(_SC_PAGESIZE)) : 0;

		if (pread(b->fd, m, sizeof(m), at) != sizeof(m))
			continue;
		for (size_t k = 0; k < 56; k++)
			hash = (hash ^ m[PAGE_HEADER + k]) * 0x100000001b3u;
		if (get32(m + 16) != BOLT_MAGIC || get32(m + 20) != BOLT_VERSION || get64(m + 72) != hash)
			continue;
		if (b->page_size && get64(m + 64) < b->txid)
			continue;
		b->page_size = get32(m + 24);
		b->root = get64(m + 32);
		b->txid = get64(m + 64);
	}
	return b->page_size >= 512 && b->page_size <= 65536 ? 0 : bolt_bad(b);
}

static int page_load(struct bolt *b, uint64_t id, struct buf *ret)
{
	uint8_t header[PAGE_HEADER];
	uint64_t len;

	if (++b->visited > PAGES_MAX || id > (uint64_t)INT64_MAX / b->page_size - 1)
		return bolt_bad(b);
	if (pread(b->fd, header, sizeof(header), (off_t)(id * b->page_size)) != sizeof(header))
		return bolt_bad(b);
	len = ((uint64_t)get32(header + 12) + 1) * b->page_size;
	if (get64(header) != id || len > PAGE_MAX)
		return bolt_bad(b);
	buf_reset(ret);
	if (!buf_reserve(ret, len))
		return -ENOMEM;
	if (pread(b->fd, ret->data, len, (off_t)(id * b->page_size)) != (ssize_t)len)
		return bolt_bad(b);
	ret->len = len;
	return 0;
}

static int tree_each(struct bolt *b, uint64_t id, unsigned depth, item_fn fn, void *data);

static int leaf_item(struct bolt *b, const uint8_t *page, size_t len, size_t at, struct item *ret)
{
	uint64_t pos = get32(page + at + 4), key = get32(page + at + 8), value = get32(page + at + 12);

	if (at + pos + key + value > len)
		return bolt_bad(b);
	*ret = (struct item){ page + at + pos, page + at + pos + key, key, value, get32(page + at) & LEAF_BUCKET };
	return 0;
}

static int page_each(struct bolt *b, const uint8_t *page, size_t len, unsigned depth, item_fn fn, void *data)
{
	uint16_t flags, count;
	int r = 0;

	if (len < PAGE_HEADER || depth > DEPTH_MAX)
		return bolt_bad(b);
	flags = get16(page + 8);
	count = get16(page + 10);
	if (!(flags & (PAGE_BRANCH | PAGE_LEAF)) || PAGE_HEADER * ((size_t)count + 1) > len)
		return bolt_bad(b);
	for (size_t i = 0; i < count && r == 0; i++) {
		size_t at = PAGE_HEADER * (i + 1);
		struct item item;

		if (flags & PAGE_BRANCH) {
			r = tree_each(b, get64(page + at + 8), depth + 1, fn, data);
			continue;
		}
		r = leaf_item(b, page, len, at, &item);
		if (r == 0)
			r = fn(b, &item, data);
	}
	return r;
}

static int tree_each(struct bolt *b, uint64_t id, unsigned depth, item_fn fn, void *data)
{
	_cleanup_buf_ struct buf page = BUF_INIT;
	int r = page_load(b, id, &page);

	return r < 0 ? r : page_each(b, (const uint8_t *)page.data, page.len, depth, fn, data);
}

/* What a bucket holds: in pages of its own, or right behind its header. */
static int bucket_each(struct bolt *b, const struct item *bucket, item_fn fn, void *data)
{
	uint64_t root;

	if (!bucket->bucket || bucket->value_len < 16)
		return bolt_bad(b);
	root = get64(bucket->value);
	if (root)
		return tree_each(b, root, 0, fn, data);
	return page_each(b, bucket->value + 16, bucket->value_len - 16, 0, fn, data);
}

/* --- v1 / NAMESPACE / images / NAME / target / digest */

struct lookup {
	struct image *image;
	const char *name;
	const char *digest; /* found */
	const char *space;  /* the namespace it was found in */
	const char *present;
	unsigned level;
};

static bool key_is(const struct item *item, const char *word)
{
	return item->key_len == strlen(word) && memcmp(item->key, word, item->key_len) == 0;
}

static int found(struct bolt *b, const struct item *item, struct lookup *l)
{
	const char *digest = arena_strndup(&l->image->arena, (const char *)item->value, item->value_len);

	if (!digest)
		return -ENOMEM;
	if (strlen(digest) != item->value_len || !image_digest_valid(digest))
		return bolt_bad(b);
	if (l->digest && !streq(l->digest, digest))
		return image_fail_name(b->err, -ENOENT, l->name,
				       "another image in namespace %s than in %s: give its digest", l->present,
				       l->space);
	l->digest = digest;
	l->space = l->present;
	return 0;
}

/* The levels below v1: what is looked for at each, NULL for any. */
static int descend(struct bolt *b, const struct item *item, void *data)
{
	struct lookup *l = data;
	const char *const wanted[] = { "v1", NULL, "images", l->name, "target", "digest" };
	int r;

	if (wanted[l->level] && !key_is(item, wanted[l->level]))
		return 0;
	if (l->level == ARRAY_SIZE(wanted) - 1)
		return item->bucket ? 0 : found(b, item, l);
	if (!item->bucket)
		return 0;
	if (l->level == 1) {
		l->present = arena_strndup(&l->image->arena, (const char *)item->key, item->key_len);
		if (!l->present)
			return -ENOMEM;
	}
	l->level++;
	r = bucket_each(b, item, descend, data);
	l->level--;
	return r;
}

static int find_name(struct image *i, const char *root, const char *name, const char **ret_digest)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	_cleanup_close_ int fd = -1;
	struct lookup l = { .image = i, .name = name };
	struct bolt b = { .err = i->err };
	int r;

	buf_printf(&path, "%s/%s", root, METADATA);
	if (path.failed)
		return -ENOMEM;
	fd = open(path.data, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return image_fail_name(i->err, -errno, path.data, "%s", strerror(errno));
	b.fd = fd;
	r = bolt_meta(&b);
	if (r == 0)
		r = tree_each(&b, b.root, 0, descend, &l);
	if (r < 0)
		return r;
	if (!l.digest)
		return image_fail_name(i->err, -ENOENT, name, "no namespace of containerd has an image of that name");
	*ret_digest = l.digest;
	return 0;
}

/* "NAME" or "DIGEST", with "[ROOT]" before it. */
static int containerd_open(struct image *i, const char *where)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	struct image_descriptor top = { .media_type = "" };
	const char *root = CONTAINERD_ROOT;
	int r = 0;

	if (*where == '[') {
		const char *end = strchr(where, ']');

		if (!end)
			return image_fail(i->err, -EINVAL, "a [ without its ]");
		root = arena_strndup(&i->arena, where + 1, (size_t)(end - where) - 1);
		if (!root)
			return -ENOMEM;
		where = end + 1;
	}
	i->ref = where;
	if (image_digest_valid(where))
		top.digest = where;
	else
		r = find_name(i, root, where, &top.digest);
	buf_printf(&path, "%s/%s", root, CONTENT);
	if (path.failed)
		return -ENOMEM;
	if (r == 0)
		r = image_layout_open(i, path.data);
	return r < 0 ? r : image_from_manifest(i, &top, image_layout_blob);
}

const struct image_place image_containerd = {
	.prefix = "containerd",
	.help = "[[ROOT]]NAME|DIGEST: an image in containerd's store",
	.open = containerd_open,
	.layer = image_layout_layer,
	.close = image_layout_close,
};
