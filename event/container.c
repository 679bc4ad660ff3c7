/* Container snapshots: immutable but for the count and the writer's row. Any thread may hold, read and drop one. */
#include "event/container.h"

#include <stdlib.h>
#include <string.h>

#include "event/json.h"
#include "lib/util.h"

#define ID_SHOWN 12

struct container *container_new(void)
{
	struct container *c = calloc(1, sizeof(*c));

	if (c)
		atomic_init(&c->refs, 1);
	return c;
}

struct container *container_ref(struct container *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void container_unref(struct container *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	arena_free(&c->arena);
	free(c);
}

const char *container_shown(const struct container *c, char ret[ID_SHOWN + 1])
{
	size_t len = MIN(strlen(c->id), (size_t)ID_SHOWN);

	if (c->name)
		return c->name;
	memcpy(ret, c->id, len);
	ret[len] = '\0';
	return ret;
}

const char *container_label(const struct container *c, const char *key)
{
	for (uint32_t i = 0; i < c->n_labels; i++)
		if (streq(c->labels[i].key, key))
			return c->labels[i].value;
	return NULL;
}

json_t *container_labels_json(const struct container *c)
{
	json_t *o = c->n_labels ? json_object() : NULL;

	for (uint32_t i = 0; o && i < c->n_labels; i++)
		json_put_string(o, c->labels[i].key, c->labels[i].value);
	return o;
}

json_t *container_mounts_json(const struct container *c)
{
	json_t *list = c->have_mounts ? json_array() : NULL;

	for (uint32_t i = 0; list && i < c->n_mounts; i++)
		json_array_append_new(list, json_string(c->mounts[i].dest));
	return list;
}

json_t *container_json(const struct container *c)
{
	json_t *o = json_object();

	json_put_string(o, "id", c->id);
	json_put_string(o, "name", c->name);
	json_put_string(o, "image", c->image);
	json_put_string(o, "image_digest", c->image_digest);
	json_put_string(o, "image_id", c->image_id);
	json_put_string(o, "pod", c->pod);
	json_put_string(o, "namespace", c->namespace);
	json_put_string(o, "runtime", c->runtime);
	if (c->have_privileged)
		json_object_set_new(o, "privileged", json_boolean(c->privileged));
	if (c->started)
		json_object_set_new(o, "started", json_time(c->started));
	json_put_string(o, "unknown", c->unknown);
	return o;
}
