/*
 * Overlays whose layers are all gated. What runs through one was judged on the file system of its layers, but /proc
 * shows it as a file of the overlay: here the two are known to be one. gate_set_mounts is one thread's at a time; the
 * table of mounts tells where layers lie, and their file systems are not asked.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/gate-internal.h"
#include "lib/cleanup.h"
#include "lib/hash.h"
#include "lib/util.h"
#include "proc/overlay.h"

struct overlay {
	int id; /* of the mount */
	uint64_t dev;
	uint64_t options; /* hash */
	bool gated;
};

struct looking {
	const struct mount_table *mounts;
	const struct gate_dev *devs;
	size_t n_devs;
	size_t layers, gated;
};

static void look_at_layer(const char *path, bool upper _unused_, void *data)
{
	struct looking *k = data;
	const struct mount *m = *path == '/' ? mounts_find(k->mounts, path) : NULL;

	k->layers++;
	for (size_t i = 0; m && i < k->n_devs; i++)
		k->gated += k->devs[i].dev == m->dev;
}

static bool is_gated(struct looking *k, const struct mount *m)
{
	_cleanup_free_ char *options = strdup(m->super_options);

	k->layers = k->gated = 0;
	if (options)
		overlay_each_layer(options, look_at_layer, k);
	return k->layers > 0 && k->layers == k->gated;
}

/* Layers do not move while they are mounted: what was found before counts. */
static bool was_gated(const struct gate *g, const struct overlay *o, bool *ret)
{
	for (size_t i = 0; i < g->n_overlays; i++) {
		const struct overlay *old = &g->overlays[i];

		if (old->id != o->id || old->dev != o->dev || old->options != o->options)
			continue;
		*ret = old->gated;
		return true;
	}
	return false;
}

bool overlays_find(const struct gate *g, uint64_t dev)
{
	for (size_t i = 0; i < g->n_overlays; i++)
		if (g->overlays[i].dev == dev)
			return g->overlays[i].gated;
	return false;
}

static size_t count(const struct mount_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		n += streq(t->mounts[i].fstype, "overlay");
	return MIN(n, (size_t)GATE_DEVS_MAX);
}

void gate_set_mounts(struct gate *g, const struct mount_table *t)
{
	_cleanup_free_ struct gate_dev *devs = calloc(GATE_DEVS_MAX, sizeof(*devs));
	struct looking k = { .mounts = t, .devs = devs };
	size_t max = count(t), n = 0;
	struct overlay *list = calloc(MAX(max, 1U), sizeof(*list)), *old;
	uint64_t generation;

	if (!devs || !list) {
		free(list);
		return;
	}
	pthread_mutex_lock(&g->lock);
	k.n_devs = g->n_devs;
	memcpy(devs, g->devs, k.n_devs * sizeof(*devs));
	generation = g->devs_generation;
	pthread_mutex_unlock(&g->lock);
	for (size_t i = 0; i < t->n && n < max; i++) {
		const struct mount *m = &t->mounts[i];
		struct overlay *o = &list[n];

		if (!streq(m->fstype, "overlay"))
			continue;
		*o = (struct overlay){ .id = m->id,
				       .dev = m->dev,
				       .options = hash_bytes(0, m->super_options, strlen(m->super_options)) };
		if (generation != g->overlays_generation || !was_gated(g, o, &o->gated))
			o->gated = is_gated(&k, m);
		n++;
	}
	pthread_mutex_lock(&g->lock);
	old = g->overlays;
	g->overlays = list;
	g->n_overlays = n;
	g->overlays_generation = generation;
	pthread_mutex_unlock(&g->lock);
	free(old);
}
