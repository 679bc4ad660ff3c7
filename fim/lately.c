/* The cache of states that were told a moment ago. Owns its entries; one thread. */
#include "fim/lately.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

struct lately_state {
	struct path_node node;
	struct lately_state *older, *newer;
	size_t size;
	bool exists;
	uint32_t len;
	uint8_t data[]; /* record_encode; behind it the path */
};

int lately_init(struct lately *l)
{
	return pathmap_init(&l->map);
}

static void unlink_state(struct lately *l, struct lately_state *c)
{
	*(c->older ? &c->older->newer : &l->oldest) = c->newer;
	*(c->newer ? &c->newer->older : &l->newest) = c->older;
	l->bytes -= c->size;
	pathmap_remove(&l->map, &c->node);
	free(c);
}

void lately_clear(struct lately *l)
{
	while (l->oldest)
		unlink_state(l, l->oldest);
}

void lately_free(struct lately *l)
{
	if (l->map.slots)
		lately_clear(l);
	pathmap_free(&l->map);
	buf_free(&l->scratch);
}

void lately_forget(struct lately *l, const char *path)
{
	struct lately_state *c = (struct lately_state *)pathmap_find(&l->map, path);

	if (c)
		unlink_state(l, c);
}

void lately_set(struct lately *l, const char *path, const struct side *now)
{
	size_t path_size = strlen(path) + 1, size;
	struct lately_state *c;

	lately_forget(l, path);
	buf_reset(&l->scratch);
	if (now->exists)
		record_encode(&l->scratch, &now->rec);
	size = sizeof(*c) + l->scratch.len + path_size;
	while (l->oldest && (l->map.n >= LATELY_MAX || l->bytes + size > LATELY_BYTES))
		unlink_state(l, l->oldest);
	c = l->scratch.failed ? NULL : malloc(size);
	if (!c)
		return;
	*c = (struct lately_state){
		.exists = now->exists, .len = (uint32_t)l->scratch.len, .size = size, .older = l->newest
	};
	if (l->scratch.len)
		memcpy(c->data, l->scratch.data, l->scratch.len);
	memcpy(c->data + c->len, path, path_size);
	c->node.path = (const char *)c->data + c->len;
	pathmap_add(&l->map, &c->node);
	*(l->newest ? &l->newest->newer : &l->oldest) = c;
	l->newest = c;
	l->bytes += size;
}

int lately_get(const struct lately *l, struct arena *a, const char *path, struct side *ret)
{
	const struct lately_state *c = (const struct lately_state *)pathmap_find(&l->map, path);
	struct record rec;
	int r;

	if (!c)
		return -ENOENT;
	*ret = (struct side){ .exists = c->exists };
	if (!c->exists)
		return 0;
	r = record_decode(c->data, c->len, &rec);
	if (r < 0)
		return r;
	return record_dup(a, &rec, &ret->rec) ? 0 : -ENOMEM;
}
