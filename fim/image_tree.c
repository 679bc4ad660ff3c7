/*
 * The tree of an image. Owns its nodes, in one arena; what is replaced or hidden stays there until the end, and counts
 * against the limit. One thread. Depth is bounded by IMAGE_PATH_MAX, and so are the functions that call themselves.
 */
#include "fim/image_tree-internal.h"

#include <errno.h>
#include <stdlib.h>

#include "fim/image_error.h"
#include "lib/hash.h"

static int too_many(struct image_tree *t)
{
	return image_fail(t->err, -E2BIG, "too many files: names and attributes of more than %llu MiB",
			  (unsigned long long)(t->memory_max / MIB));
}

static void *take(struct image_tree *t, size_t size)
{
	if (t->arena.used + t->table_bytes + size > t->memory_max) {
		too_many(t);
		return NULL;
	}
	return arena_alloc(&t->arena, size);
}

/* What take left to say. */
static int no_memory(const struct image_tree *t)
{
	return t->err->len ? -E2BIG : -ENOMEM;
}

/* --- looking up */

static uint32_t hash_of(const struct image_tree *t, const struct image_node *parent, const char *name, size_t len)
{
	return (uint32_t)hash_bytes(t->seed ^ (uintptr_t)parent, name, len);
}

static struct image_node *find(const struct image_tree *t, const struct image_node *parent, const char *name,
			       size_t len)
{
	uint32_t hash = hash_of(t, parent, name, len);
	struct image_node *n = t->slots[hash & (t->n_slots - 1)];

	while (n && (n->hash != hash || n->parent != parent || n->name_len != len || memcmp(n->name, name, len) != 0))
		n = n->chain;
	return n;
}

static int grow(struct image_tree *t)
{
	size_t n = t->n_slots ? t->n_slots * 2 : 1024;
	struct image_node **slots;

	if (t->arena.used + n * sizeof(*slots) > t->memory_max)
		return too_many(t);
	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_slots; i++) {
		for (struct image_node *node = t->slots[i], *next; node; node = next) {
			next = node->chain;
			node->chain = slots[node->hash & (n - 1)];
			slots[node->hash & (n - 1)] = node;
		}
	}
	free(t->slots);
	t->slots = slots;
	t->n_slots = n;
	t->table_bytes = n * sizeof(*slots);
	return 0;
}

static struct image_node *node_new(struct image_tree *t, struct image_node *parent, const char *name, size_t len)
{
	struct image_node *n;

	if (t->n >= t->n_slots && grow(t) < 0)
		return NULL;
	n = take(t, sizeof(*n) + len + 1);
	if (!n)
		return NULL;
	*n = (struct image_node){ .parent = parent,
				  .hash = hash_of(t, parent, name, len),
				  .type = 'd',
				  .layer = t->layer,
				  .seen = t->layer,
				  .name_len = (uint8_t)len };
	memcpy(n->name, name, len);
	n->name[len] = '\0';
	t->n++;
	if (!parent)
		return n;
	n->chain = t->slots[n->hash & (t->n_slots - 1)];
	t->slots[n->hash & (t->n_slots - 1)] = n;
	n->next = parent->children;
	if (n->next)
		n->next->prev = n;
	parent->children = n;
	return n;
}

static void unchain(struct image_tree *t, struct image_node *n)
{
	struct image_node **p = &t->slots[n->hash & (t->n_slots - 1)];

	while (*p != n)
		p = &(*p)->chain;
	*p = n->chain;
	t->n--;
}

static void remove_children(struct image_tree *t, struct image_node *n)
{
	for (struct image_node *c = n->children; c; c = c->next) {
		remove_children(t, c);
		unchain(t, c);
	}
	n->children = NULL;
}

static void remove_node(struct image_tree *t, struct image_node *n)
{
	remove_children(t, n);
	unchain(t, n);
	if (n->prev)
		n->prev->next = n->next;
	else
		n->parent->children = n->next;
	if (n->next)
		n->next->prev = n->prev;
}

/* A folder of which nothing is known but that it must be there. */
static void reset_folder(struct image_tree *t, struct image_node *n)
{
	n->type = 'd';
	n->given = 0;
	n->layer = t->layer;
	n->target = NULL;
	n->xattrs = n->digest = NULL;
	n->xattrs_len = n->digest_len = 0;
	n->mode = 0;
	n->uid = n->gid = 0;
	n->mtime = 0;
	n->size = 0;
}

/* --- paths */

static int bad_path(struct image_tree *t, const char *path, const char *what)
{
	return image_fail_name(t->err, -EBADMSG, path, "%s", what);
}

/*
 * The next component of *p: 1, 0 at the end. "." and doubled slashes are nothing.
 */
static int component(struct image_tree *t, const char *path, const char **p, const char **ret, size_t *ret_len)
{
	size_t len;

	do {
		while (**p == '/')
			(*p)++;
		len = strcspn(*p, "/");
		*ret = *p;
		*p += len;
	} while (len == 1 && **ret == '.');
	*ret_len = len;
	if (len == 2 && memcmp(*ret, "..", 2) == 0)
		return bad_path(t, path, "leaves the tree");
	if (len > IMAGE_NAME_MAX)
		return image_fail_name(t->err, -E2BIG, path, "a name of %zu bytes", len);
	return len > 0;
}

static int check_path(struct image_tree *t, const char *path)
{
	size_t len = strlen(path);

	if (len == 0)
		return bad_path(t, path, "an entry without a name");
	if (path[0] == '/')
		return bad_path(t, path, "an absolute path");
	return len > IMAGE_PATH_MAX ? image_fail_name(t->err, -E2BIG, path, "a path of %zu bytes", len) : 0;
}

/* The folder for something of this layer: made, or made of what lower layers have in its place. */
static int enter(struct image_tree *t, const char *path, struct image_node *parent, const char *name, size_t len,
		 struct image_node **ret)
{
	struct image_node *n = find(t, parent, name, len);

	if (!n) {
		n = node_new(t, parent, name, len);
		if (!n)
			return no_memory(t);
	} else if (n->type != 'd') {
		if (n->seen == t->layer)
			return bad_path(t, path,
					n->type == 'l' ? "goes through a symbolic link of its own layer"
						       : "goes through something that is no folder");
		reset_folder(t, n);
	}
	n->seen = t->layer;
	*ret = n;
	return 0;
}

/*
 * Walks to the folder of the last component, which is *ret_name (len 0: the path is the root itself). With make the
 * folders are made; without, *ret_parent is NULL when one is missing.
 */
static int walk(struct image_tree *t, const char *path, bool make, struct image_node **ret_parent,
		const char **ret_name, size_t *ret_len)
{
	struct image_node *n = t->root;
	const char *p = path, *name = "", *next;
	size_t len = 0, next_len;
	int r = check_path(t, path);

	if (r < 0)
		return r;
	r = component(t, path, &p, &name, &len);
	while (r > 0) {
		r = component(t, path, &p, &next, &next_len);
		if (r <= 0)
			break;
		if (make)
			r = enter(t, path, n, name, len, &n);
		else
			n = n ? find(t, n, name, len) : NULL;
		if (r < 0)
			return r;
		name = next;
		len = next_len;
		r = 1;
	}
	*ret_parent = n;
	*ret_name = name;
	*ret_len = len;
	return r;
}

/* --- what upper layers hide */

/* Takes away what lower layers have at n and below; what this layer has stays, as if it had been there alone. */
static void hide(struct image_tree *t, struct image_node *n)
{
	struct image_node *c, *next;

	if (n->seen < t->layer) {
		remove_node(t, n);
		return;
	}
	n->layer = t->layer;
	if (n->given < t->layer)
		reset_folder(t, n);
	for (c = n->children; c; c = next) {
		next = c->next;
		hide(t, c);
	}
}

static int whiteout(struct image_tree *t, const char *path, struct image_node *parent, const char *name, size_t len)
{
	struct image_node *n, *next;

	if (len == strlen(".wh..wh..opq") && memcmp(name, ".wh..wh..opq", len) == 0) {
		for (n = parent ? parent->children : NULL; n; n = next) {
			next = n->next;
			hide(t, n);
		}
		return 0;
	}
	name += strlen(".wh.");
	len -= strlen(".wh.");
	if (len >= strlen(".wh.") && memcmp(name, ".wh.", strlen(".wh.")) == 0)
		return 0; /* notes of aufs */
	if (len == 0 || (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))))
		return bad_path(t, path, "a whiteout of no name");
	n = parent ? find(t, parent, name, len) : NULL;
	if (n)
		hide(t, n);
	return 0;
}

/* --- adding */

static int set_bytes(struct image_tree *t, const void *data, size_t len, const void **ret)
{
	void *p = take(t, len ? len : 1);

	if (!p)
		return no_memory(t);
	memcpy(p, data, len);
	*ret = p;
	return 0;
}

/* A folder that is described again just as it was stays with the layer that brought it. */
static bool same_folder(const struct image_node *n, const struct record *r)
{
	return n->given && n->mode == r->mode && n->uid == r->uid && n->gid == r->gid &&
	       n->xattrs_len == r->xattrs_len &&
	       (r->xattrs_len == 0 || memcmp(n->xattrs, r->xattrs, r->xattrs_len) == 0);
}

static int describe(struct image_tree *t, struct image_node *n, const struct record *rec)
{
	const void *target = NULL, *xattrs = NULL;
	int r = 0;

	if (rec->target)
		r = set_bytes(t, rec->target, strlen(rec->target) + 1, &target);
	if (r == 0 && rec->xattrs_len)
		r = set_bytes(t, rec->xattrs, rec->xattrs_len, &xattrs);
	if (r < 0)
		return r;
	if (n->type != 'd' || rec->type != 'd' || !same_folder(n, rec))
		n->layer = t->layer;
	n->given = t->layer;
	n->type = rec->type;
	n->mode = rec->mode;
	n->uid = rec->uid;
	n->gid = rec->gid;
	n->mtime = rec->mtime;
	n->size = rec->type == 'f' ? rec->size : rec->rdev;
	n->target = target;
	n->xattrs = xattrs;
	n->xattrs_len = rec->xattrs_len;
	n->digest = NULL;
	n->digest_len = 0;
	return 0;
}

static int link_target(struct image_tree *t, const struct tar_entry *e, const struct image_node **ret)
{
	struct image_node *parent, *n;
	const char *name;
	size_t len;
	int r = walk(t, e->link, false, &parent, &name, &len);

	if (r < 0) {
		image_fail_where(t->err, "a hard link: its target");
		return r;
	}
	n = parent && len ? find(t, parent, name, len) : NULL;
	if (!n)
		return bad_path(t, e->path, "a hard link to nothing");
	if (n->type == 'd')
		return bad_path(t, e->path, "a hard link to a folder");
	*ret = n;
	return 0;
}

/* Another name for the same file: what it is now, whatever that name becomes later. */
static void set_link(struct image_tree *t, struct image_node *n, const struct image_node *of)
{
	struct image_node old = *n;

	*n = *of; /* but the name, which is behind it */
	n->parent = old.parent;
	n->children = NULL;
	n->next = old.next;
	n->prev = old.prev;
	n->chain = old.chain;
	n->hash = old.hash;
	n->name_len = old.name_len;
	n->layer = n->given = n->seen = t->layer;
}

static int add_at(struct image_tree *t, const struct tar_entry *e, struct image_node *parent, const char *name,
		  size_t len, struct image_node **ret)
{
	struct image_node *n = find(t, parent, name, len);
	const struct image_node *of = NULL;
	int r = e->hard_link ? link_target(t, e, &of) : 0;

	if (r < 0)
		return r;
	if (of && of == n)
		return bad_path(t, e->path, "a hard link to itself");
	if (!n)
		n = node_new(t, parent, name, len);
	if (!n)
		return no_memory(t);
	n->seen = t->layer;
	if (e->hard_link || e->rec.type != 'd')
		remove_children(t, n);
	if (of) {
		set_link(t, n, of);
		return 0;
	}
	r = describe(t, n, &e->rec);
	if (r == 0 && n->type == 'f')
		*ret = n;
	return r;
}

int image_tree_add(struct image_tree *t, const struct tar_entry *e, struct image_node **ret)
{
	struct image_node *parent;
	const char *name, *last = strrchr(e->path, '/');
	bool hides = strncmp(last ? last + 1 : e->path, ".wh.", strlen(".wh.")) == 0;
	size_t len;
	int r = walk(t, e->path, !hides, &parent, &name, &len);

	*ret = NULL;
	if (r < 0)
		return r;
	if (hides)
		return whiteout(t, e->path, parent, name, len);
	if (len >= strlen(".wh.") && memcmp(name, ".wh.", strlen(".wh.")) == 0)
		return bad_path(t, e->path, "a whiteout that is a folder");
	t->root->seen = t->layer;
	if (len > 0)
		return add_at(t, e, parent, name, len, ret);
	if (e->hard_link || e->rec.type != 'd')
		return bad_path(t, e->path, "a root that is no folder");
	return describe(t, t->root, &e->rec);
}

int image_tree_digest(struct image_tree *t, struct image_node *n, const uint8_t *digest, size_t len)
{
	const void *copy;
	int r = set_bytes(t, digest, len, &copy);

	if (r < 0)
		return r;
	n->digest = copy;
	n->digest_len = (uint8_t)len;
	return 0;
}

void image_tree_layer(struct image_tree *t, unsigned number)
{
	t->layer = (uint8_t)number;
}

uint64_t image_tree_entries(const struct image_tree *t)
{
	return t->n;
}

int image_tree_new(size_t memory_max, struct buf *err, struct image_tree **ret)
{
	_cleanup_(image_tree_free_p) struct image_tree *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->err = err;
	t->memory_max = memory_max ? memory_max : IMAGE_MEMORY_MAX;
	t->seed = hash_seed();
	r = grow(t);
	if (r < 0)
		return r;
	t->root = node_new(t, NULL, "", 0);
	if (!t->root)
		return no_memory(t);
	*ret = TAKE_PTR(t);
	return 0;
}

void image_tree_free(struct image_tree *t)
{
	free(t->slots);
	arena_free(&t->arena);
	free(t);
}
