/*
 * How much may be done in a minute, to one container and by one executable, and at all. Of the thread "respond". A full
 * table forgets whoever was quiet longest; the total holds all the same.
 */
#include <string.h>

#include "event/field.h"
#include "lib/clock.h"
#include "respond/internal.h"

#define LIMITS_WINDOW (60 * NSEC_PER_SEC)

/* The entry of key, or the one to be used for it. */
static struct limit *limits_find(struct respond *r, uint64_t key)
{
	struct limit *oldest = &r->limits[0];

	for (size_t i = 0; i < LIMITS_MAX; i++) {
		if (r->limits[i].key == key)
			return &r->limits[i];
		if (r->limits[i].since < oldest->since)
			oldest = &r->limits[i];
	}
	*oldest = (struct limit){ .key = key };
	return oldest;
}

static bool limit_count(struct limit *l, uint64_t max, uint64_t now, bool *ret_first)
{
	if (!l->n || now - l->since >= LIMITS_WINDOW) {
		l->since = now;
		l->n = 0;
	}
	l->n++;
	*ret_first |= l->n == max + 1;
	return l->n <= max;
}

static bool limits_key(struct respond *r, const char *kind, const char *name, uint64_t max, uint64_t now,
		       bool *ret_first)
{
	uint64_t key;

	if (!name || !*name)
		return true;
	key = (uint64_t)field_hash(kind, strlen(kind)) << 32 | field_hash(name, strlen(name));
	return limit_count(limits_find(r, key), max, now, ret_first);
}

bool limits_allow(struct respond *r, const struct response *x, bool *ret_first)
{
	const struct conf_respond *c = &x->conf->respond;
	const struct process *p = x->event->process;
	uint64_t now = clock_mono_ns();
	bool allowed = true;

	*ret_first = false;
	/* All are counted, so that what one refuses does not fill another later. */
	allowed &= limit_count(&r->total, c->total_per_minute, now, ret_first);
	allowed &= limits_key(r, "container", x->group.fd >= 0 ? x->group.id : x->container, c->per_minute, now,
			      ret_first);
	allowed &= limits_key(r, "exe", p ? p->exe : NULL, c->per_minute, now, ret_first);
	return allowed;
}
