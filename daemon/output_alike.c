#include "daemon/output_alike.h"

#include "lib/clock.h"
#include "lib/util.h"

#define ALIKE_NS (10 * NSEC_PER_SEC)

static bool is_counted(const struct event *e)
{
	return e->kind == EVENT_EXEC && e->verdict == EXEC_UNEXPECTED && e->path;
}

static const char *shown(const struct event *e)
{
	const char *name = e->process ? process_name(e->process) : NULL;

	return name ?: "";
}

static bool are_alike(const struct event *a, const struct event *b)
{
	return streq(a->path, b->path) && streq(shown(a), shown(b)) && streq(a->reason ?: "", b->reason ?: "") &&
	       streq(a->text ?: "", b->text ?: "") &&
	       streq(a->container ? a->container->id : "", b->container ? b->container->id : "");
}

/* Starts that go on are told again after the same time. */
static void let_go(struct alikes *a, struct alike *k, uint64_t now)
{
	if (k->more)
		a->tell(k->last, k->more, a->data);
	k->until = k->more ? now + ALIKE_NS : 0;
	k->more = 0;
	if (k->until)
		return;
	event_unref(k->last);
	k->last = NULL;
}

static struct alike *oldest(struct alikes *a)
{
	struct alike *found = &a->list[0];

	for (size_t i = 0; i < ALIKE_MAX; i++)
		if (!a->list[i].last || (found->last && a->list[i].until < found->until))
			found = &a->list[i];
	return found;
}

bool alikes_take(struct alikes *a, struct event *e, uint64_t now)
{
	struct alike *k;

	if (!is_counted(e))
		return false;
	for (size_t i = 0; i < ALIKE_MAX; i++) {
		k = &a->list[i];
		if (!k->last || !are_alike(k->last, e))
			continue;
		event_unref(k->last);
		k->last = event_ref(e);
		k->more++;
		return true;
	}
	k = oldest(a);
	while (k->last)
		let_go(a, k, now);
	*k = (struct alike){ .last = event_ref(e), .until = now + ALIKE_NS };
	return false;
}

uint64_t alikes_tick(struct alikes *a, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < ALIKE_MAX; i++) {
		struct alike *k = &a->list[i];

		if (k->last && k->until <= now)
			let_go(a, k, now);
		if (k->last)
			next = MIN(next, k->until);
	}
	return next;
}

void alikes_end(struct alikes *a)
{
	for (size_t i = 0; i < ALIKE_MAX; i++)
		while (a->list[i].last)
			let_go(a, &a->list[i], 0);
}
