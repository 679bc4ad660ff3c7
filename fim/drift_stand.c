/*
 * What was mounted in containers when the monitor ended, as history has it: compared once with what is mounted now. On
 * the thread "drift".
 */
#include <stdlib.h>
#include <string.h>

#include "db/history.h"
#include "fim/drift_live-internal.h"
#include "lib/util.h"

#define STAND_MAX DRIFT_MOUNTED_MAX /* at a time; the next ones when these are through */

struct stand {
	struct event *event;
	unsigned int there;  /* mount namespaces of its container in this look */
	unsigned int looked; /* those of them that could be looked at */
};

struct drift_stand {
	struct stand *list;
	size_t n;
	int64_t last; /* id of the newest that was read */
	bool more;
};

static void drop(struct drift_stand *k, struct stand *s)
{
	event_unref(s->event);
	*s = k->list[--k->n];
}

static int take(struct event *e, void *data)
{
	struct drift_stand *k = data;

	if (e->id <= k->last)
		return 0;
	if (k->n == STAND_MAX) {
		k->more = true;
		return 1;
	}
	if (e->container && e->path)
		k->list[k->n++] = (struct stand){ .event = event_ref(e) };
	k->last = e->id;
	return 0;
}

static void load(struct drift_live *l)
{
	struct drift_stand *k = l->stand;

	k->more = false;
	if (!k->list)
		k->list = calloc(STAND_MAX, sizeof(*k->list));
	if (!k->list || history_open_mounts(l->db, take, k) < 0) {
		l->counters.errors++;
		k->more = true;
	}
	if (k->n)
		return;
	free(k->list);
	k->list = NULL;
}

void drift_stand_begin(struct drift_live *l)
{
	struct drift_stand *k = l->stand;

	if (!k) {
		k = l->stand = calloc(1, sizeof(*k));
		if (!k)
			return;
		k->more = true;
	}
	if (!k->n && k->more)
		load(l);
	for (size_t i = 0; i < k->n; i++)
		k->list[i].there = k->list[i].looked = 0;
}

void drift_stand_seen(struct drift_live *l, const char *container, bool looked)
{
	struct drift_stand *k = l->stand;

	for (size_t i = 0; k && i < k->n; i++) {
		struct stand *s = &k->list[i];

		if (!streq(s->event->container->id, container))
			continue;
		s->there += !looked;
		s->looked += looked;
	}
}

void drift_stand_found(struct drift_live *l, int64_t id)
{
	struct drift_stand *k = l->stand;

	for (size_t i = k ? k->n : 0; i-- > 0;)
		if (k->list[i].event->id == id)
			drop(k, &k->list[i]);
}

static void tell_over(struct drift_live *l, const struct stand *s)
{
	const struct event *t = s->event;
	_cleanup_event_ struct event *e = drift_mounts_event(t->container, t->baseline ?: "", t->baseline_id, t->path);

	if (e)
		e->process_why = "the monitor was down";
	drift_mounts_tell(l, e,
			  s->there ? "what was mounted over it went while the monitor was down"
				   : "what was mounted over it went with its container, while the monitor was down");
}

void drift_stand_end(struct drift_live *l)
{
	struct drift_stand *k = l->stand;
	bool full = mountns_is_full(l->o.mounts);

	for (size_t i = k ? k->n : 0; i-- > 0;) {
		struct stand *s = &k->list[i];

		if (s->there ? s->looked < s->there : full)
			continue;
		if (!drift_mounts_is_covered(l, s->event))
			tell_over(l, s);
		drop(k, s);
	}
}

void drift_stand_free(struct drift_live *l)
{
	while (l->stand && l->stand->n)
		drop(l->stand, &l->stand->list[0]);
	if (l->stand)
		free(l->stand->list);
	free(TAKE_PTR(l->stand));
}
