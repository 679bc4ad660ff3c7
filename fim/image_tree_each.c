/*
 * The tree of an image as records, folder by folder: what a baseline takes of it. Changes nothing of the tree. One
 * thread; depth is bounded by IMAGE_PATH_MAX, and so is the function that calls itself.
 */
#include <errno.h>
#include <stdlib.h>

#include "fim/image_tree-internal.h"
#include "lib/cleanup.h"

/* --- records */

/* What an image says of a file of each type. Times of folders change with every unpacking, and are not compared. */
#define IMAGE_COMMON (ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) | ATTR_BIT(ATTR_XATTRS))

static uint32_t image_attributes(char type)
{
	switch (type) {
	case 'f':
		return IMAGE_COMMON | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_SIZE) |
		       ATTR_BIT(ATTR_DIGEST);
	case 'l':
		return IMAGE_COMMON | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_TARGET);
	case 'b':
	case 'c':
		return IMAGE_COMMON | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_RDEV);
	case 'd':
		return IMAGE_COMMON | ATTR_BIT(ATTR_MODE);
	default:
		return IMAGE_COMMON | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_MTIME);
	}
}

static void reduce_xattrs(struct record *r, struct arena *a)
{
	struct reader in = { r->xattrs, r->xattrs + r->xattrs_len, false };
	_cleanup_buf_ struct buf kept = BUF_INIT;
	const void *copy;

	while (in.p < in.end) {
		size_t name_len, len;
		const void *name = reader_bytes(&in, &name_len), *value = reader_bytes(&in, &len);

		if (in.bad)
			return;
		if (!image_keeps_xattr(name, name_len))
			continue;
		buf_bytes(&kept, name, name_len);
		buf_bytes(&kept, value, len);
	}
	if (kept.failed || kept.len == r->xattrs_len)
		return;
	copy = kept.len ? arena_dup(a, kept.data, kept.len) : NULL;
	r->xattrs_len = copy ? (uint32_t)kept.len : 0;
	r->xattrs = copy;
}

void image_entry_reduce(struct entry *e, struct arena *a)
{
	struct record *r = &e->rec;

	r->have &= *e->name ? image_attributes(r->type) : ATTR_BIT(ATTR_TYPE);
	if (r->xattrs)
		reduce_xattrs(r, a);
}

static void node_record(const struct image_node *n, struct record *ret)
{
	*ret = (struct record){
		.have = n->given && n->parent ? image_attributes(n->type) : ATTR_BIT(ATTR_TYPE),
		.type = n->type,
		.mode = n->mode,
		.uid = n->uid,
		.gid = n->gid,
		.mtime = n->mtime,
		.target = n->target,
		.xattrs = n->xattrs,
		.xattrs_len = n->xattrs_len,
		.digest_len = n->digest_len,
		.layer = n->layer,
	};
	*(n->type == 'f' ? &ret->size : &ret->rdev) = n->size;
	if (n->digest_len)
		memcpy(ret->digest, n->digest, n->digest_len);
	ret->have |= n->layer && n->parent ? ATTR_BIT(ATTR_LAYER) : 0;
}

/* --- chunks */

struct emit {
	int (*fn)(void *data, struct chunk *c);
	void *data;
	struct buf path;
	uint64_t dirs;
	struct entry entries[CHUNK_MAX];
};

static int node_order(const void *a, const void *b)
{
	return strcmp((*(struct image_node *const *)a)->name, (*(struct image_node *const *)b)->name);
}

/* A folder's entries by name; the root's are led by the root itself. */
static struct image_node **list(struct image_tree *t, struct image_node *dir, size_t *ret_n)
{
	struct image_node **all;
	size_t n = dir == t->root;

	for (struct image_node *c = dir->children; c; c = c->next)
		n++;
	all = calloc(n ? n : 1, sizeof(struct image_node *));
	*ret_n = n;
	if (!all)
		return NULL;
	n = 0;
	if (dir == t->root)
		all[n++] = dir;
	for (struct image_node *c = dir->children; c; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(*all), node_order);
	return all;
}

static int emit_chunks(struct emit *e, struct image_node **all, size_t n)
{
	uint64_t dir_seq = ++e->dirs;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i += CHUNK_MAX) {
		struct chunk c = { .dir = e->path.len ? e->path.data : "/",
				   .dir_seq = dir_seq,
				   .seq = (uint32_t)(i / CHUNK_MAX),
				   .n = (uint32_t)MIN(n - i, (size_t)CHUNK_MAX),
				   .entries = e->entries };

		for (uint32_t k = 0; k < c.n; k++) {
			e->entries[k].name = all[i + k]->name;
			node_record(all[i + k], &e->entries[k].rec);
		}
		r = e->fn(e->data, &c);
	}
	return r;
}

static int emit_folder(struct emit *e, struct image_tree *t, struct image_node *dir)
{
	_cleanup_free_ struct image_node **all = NULL;
	size_t n, len = e->path.len;
	int r;

	all = list(t, dir, &n);
	if (!all || e->path.failed)
		return -ENOMEM;
	r = emit_chunks(e, all, n);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (!all[i]->children || all[i] == dir)
			continue;
		buf_printf(&e->path, "/%s", all[i]->name);
		r = emit_folder(e, t, all[i]);
		e->path.len = len;
		e->path.data[len] = '\0';
	}
	return r;
}

int image_tree_each(struct image_tree *t, int (*fn)(void *data, struct chunk *c), void *data)
{
	struct emit *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->fn = fn;
	e->data = data;
	r = emit_folder(e, t, t->root);
	buf_free(&e->path);
	free(e);
	return r;
}
