/*
 * On a host of several cgroup hierarchies a sensor that saw an exec does not know which of them says most: /proc does.
 * But it says the same of all processes that are in the same cgroups of all of them, for which the sensor has a number
 * (the kernel gives it away again when no process is left there). So that a thousand program starts a second are not a
 * thousand files of /proc, what it said is believed for a moment. A runtime moves a process from one hierarchy to the
 * next between its exec and the reading: one process says nothing of the others, two in a row do.
 *
 * On the thread that applies messages.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/util.h"
#include "proc/entries.h"

#define GROUPED_NS NSEC_PER_SEC

static struct grouped *slot_of(const struct proc_table *t, uint64_t cgroups)
{
	return (struct grouped *)&t->grouped[hash_mix(cgroups, 1) % GROUPED_MAX];
}

const char *grouped_find(const struct proc_table *t, uint64_t cgroups, const char *told, uint64_t boot_ns)
{
	const struct grouped *g = slot_of(t, cgroups);

	return g->twice && g->cgroups == cgroups && streq(g->told, told) && boot_ns - g->read_ns < GROUPED_NS ? g->read
													      : NULL;
}

static void grouped_free(struct grouped *g)
{
	free(g->told);
	free(g->read);
	*g = (struct grouped){ 0 };
}

void grouped_put(struct proc_table *t, uint64_t cgroups, const char *told, const char *read, uint64_t boot_ns)
{
	struct grouped *g = slot_of(t, cgroups);
	bool same = g->read && g->cgroups == cgroups && streq(g->told, told) && streq(g->read, read);

	if (!same) {
		grouped_free(g);
		*g = (struct grouped){ .cgroups = cgroups, .told = strdup(told), .read = strdup(read) };
	}
	if (!g->told || !g->read) {
		grouped_free(g);
		return;
	}
	g->twice = same;
	g->read_ns = boot_ns;
}

void grouped_free_all(struct proc_table *t)
{
	for (size_t i = 0; i < GROUPED_MAX; i++)
		grouped_free(&t->grouped[i]);
}
