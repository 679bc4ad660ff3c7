/*
 * Which file systems the gate has marked, and for whom. A table of fixed size; everything here runs with the gate's
 * lock held and does no I/O.
 */
#include <errno.h>

#include "exec/gate-internal.h"

const struct gate_dev *devs_find(const struct gate *g, uint64_t dev)
{
	for (size_t i = 0; i < g->n_devs; i++)
		if (g->devs[i].dev == dev)
			return &g->devs[i];
	return NULL;
}

const struct gate_dev *devs_serving(const struct gate *g, uint64_t dev)
{
	const struct gate_dev *d = devs_find(g, dev);

	if (d)
		return d;
	/* Where it cannot be told which, what is guarded counts. */
	for (size_t i = 0; i < g->n_devs; i++)
		if (!d || !g->devs[i].layers)
			d = &g->devs[i];
	return d;
}

int devs_set(struct gate *g, uint64_t dev, bool layers)
{
	struct gate_dev *d = (struct gate_dev *)(uintptr_t)devs_find(g, dev);

	if (d) {
		g->generation += d->layers != layers;
		d->layers = layers;
		return 0;
	}
	if (g->n_devs == GATE_DEVS_MAX)
		return -ENOSPC;
	g->devs[g->n_devs++] = (struct gate_dev){ dev, layers };
	g->devs_generation++;
	return 0;
}

void devs_remove(struct gate *g, uint64_t dev)
{
	struct gate_dev *d = (struct gate_dev *)(uintptr_t)devs_find(g, dev);

	if (!d)
		return;
	*d = g->devs[--g->n_devs];
	g->devs_generation++;
}
