/*
 * Pages of bbolt (boltdb's format, version 2), read beside whoever writes: pages are never written in place while a
 * transaction refers to them, and what goes wrong all the same ends as a malformed page. Every offset is checked, and
 * what can be visited is bounded. No state beyond the struct; one thread.
 */
#include "lib/bolt.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/util.h"

#define BOLT_MAGIC   0xED0CDAEDu
#define BOLT_VERSION 2
#define PAGE_HEADER  16 /* id u64, flags u16, count u16, overflow u32; elements of leaves and branches are as long */
#define PAGE_MAX     (16 * MIB)
#define PAGES_MAX    100000
#define DEPTH_MAX    24
enum { PAGE_BRANCH = 1, PAGE_LEAF = 2 };
enum { LEAF_BUCKET = 1 };

/* Non-zero ends the walk. */
typedef int (*walk_fn)(struct bolt *b, const struct bolt_item *item, void *data);

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

/* The newer of the first two pages whose checksum is right. */
static int read_meta(struct bolt *b)
{
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
	return b->page_size >= 512 && b->page_size <= 65536 ? 0 : -EBADMSG;
}

static int page_load(struct bolt *b, uint64_t id, struct buf *ret)
{
	uint8_t header[PAGE_HEADER];
	uint64_t len;

	if (++b->visited > PAGES_MAX || id > (uint64_t)INT64_MAX / b->page_size - 1)
		return -EBADMSG;
	if (pread(b->fd, header, sizeof(header), (off_t)(id * b->page_size)) != sizeof(header))
		return -EBADMSG;
	len = ((uint64_t)get32(header + 12) + 1) * b->page_size;
	if (get64(header) != id || len > PAGE_MAX)
		return -EBADMSG;
	buf_reset(ret);
	if (!buf_reserve(ret, len))
		return -ENOMEM;
	if (pread(b->fd, ret->data, len, (off_t)(id * b->page_size)) != (ssize_t)len)
		return -EBADMSG;
	ret->len = len;
	return 0;
}

static int tree_each(struct bolt *b, uint64_t id, unsigned depth, walk_fn fn, void *data);

static int leaf_item(const uint8_t *page, size_t len, size_t at, struct bolt_item *ret)
{
	uint64_t pos = get32(page + at + 4), key = get32(page + at + 8), value = get32(page + at + 12);

	if (at + pos + key + value > len)
		return -EBADMSG;
	*ret = (struct bolt_item){ page + at + pos, page + at + pos + key, key, value, get32(page + at) & LEAF_BUCKET };
	return 0;
}

static int page_each(struct bolt *b, const uint8_t *page, size_t len, unsigned depth, walk_fn fn, void *data)
{
	uint16_t flags, count;
	int r = 0;

	if (len < PAGE_HEADER || depth > DEPTH_MAX)
		return -EBADMSG;
	flags = get16(page + 8);
	count = get16(page + 10);
	if (!(flags & (PAGE_BRANCH | PAGE_LEAF)) || PAGE_HEADER * ((size_t)count + 1) > len)
		return -EBADMSG;
	for (size_t i = 0; i < count && r == 0; i++) {
		size_t at = PAGE_HEADER * (i + 1);
		struct bolt_item item;

		if (flags & PAGE_BRANCH) {
			r = tree_each(b, get64(page + at + 8), depth + 1, fn, data);
			continue;
		}
		r = leaf_item(page, len, at, &item);
		if (r == 0)
			r = fn(b, &item, data);
	}
	return r;
}

static int tree_each(struct bolt *b, uint64_t id, unsigned depth, walk_fn fn, void *data)
{
	_cleanup_buf_ struct buf page = BUF_INIT;
	int r = page_load(b, id, &page);

	return r < 0 ? r : page_each(b, (const uint8_t *)page.data, page.len, depth, fn, data);
}

/* What a bucket holds: in pages of its own, or right behind its header. */
static int bucket_each(struct bolt *b, const struct bolt_item *bucket, walk_fn fn, void *data)
{
	uint64_t root;

	if (!bucket->bucket || bucket->value_len < 16)
		return -EBADMSG;
	root = get64(bucket->value);
	if (root)
		return tree_each(b, root, 0, fn, data);
	return page_each(b, bucket->value + 16, bucket->value_len - 16, 0, fn, data);
}

/* --- by keys */

struct finding {
	const char *const *keys;
	size_t n, level;
	bolt_fn fn;
	void *data;
	struct bolt_item any;
};

static int descend(struct bolt *b, const struct bolt_item *item, void *data)
{
	struct finding *f = data;
	const char *key = f->keys[f->level];
	int r;

	if (key && (item->key_len != strlen(key) || memcmp(item->key, key, item->key_len) != 0))
		return 0;
	if (f->level + 1 == f->n)
		return item->bucket ? 0 : f->fn(item, &f->any, f->data);
	if (!item->bucket)
		return 0;
	if (!key)
		f->any = *item;
	f->level++;
	r = bucket_each(b, item, descend, f);
	f->level--;
	return r;
}

int bolt_find(struct bolt *b, const char *const *keys, size_t n, bolt_fn fn, void *data)
{
	struct finding f = { .keys = keys, .n = n, .fn = fn, .data = data };

	b->visited = 0;
	return n ? tree_each(b, b->root, 0, descend, &f) : 0;
}

int bolt_open(int fd, struct bolt *ret)
{
	*ret = (struct bolt){ .fd = fd };
	return read_meta(ret);
}

bool bolt_is_current(const struct bolt *b)
{
	struct bolt now;

	return bolt_open(b->fd, &now) == 0 && now.txid == b->txid;
}
