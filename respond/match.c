/* Which ladder answers an alert: the first whose rules, tags, priority and place fit. And whether it is at work
 * already. No state. */
#include <string.h>

#include "lib/text.h"
#include "respond/internal.h"

static bool any_glob(const struct conf_list *globs, const char *s)
{
	for (size_t i = 0; s && i < globs->n; i++)
		if (text_glob(globs->items[i], s))
			return true;
	return false;
}

static bool in_container(const struct respond_request *q)
{
	return q->container && !streq(q->container, "host");
}

static bool matches_container(const struct conf_ladder *l, const struct respond_request *q)
{
	if (l->where != CONF_WHERE_ANY && in_container(q) != (l->where == CONF_WHERE_CONTAINER))
		return false;
	if (!l->containers.n)
		return true;
	return in_container(q) && (any_glob(&l->containers, q->image) || any_glob(&l->containers, q->container_name) ||
				   any_glob(&l->containers, q->container));
}

static bool matches_tags(const struct conf_ladder *l, const struct respond_request *q)
{
	for (size_t i = 0; i < q->n_tags; i++)
		if (any_glob(&l->tags, q->tags[i]))
			return true;
	return !l->tags.n;
}

const struct conf_ladder *ladder_for(const struct conf *c, const struct respond_request *q)
{
	for (size_t i = 0; i < c->respond.n_ladders; i++) {
		const struct conf_ladder *l = &c->respond.ladders[i];

		if (q->priority <= l->minimum && (!l->rules.n || any_glob(&l->rules, q->rule)) && matches_tags(l, q) &&
		    matches_container(l, q))
			return l;
	}
	return NULL;
}

static bool same_target(const struct response *a, const struct response *b)
{
	if (a->group.fd >= 0 || b->group.fd >= 0)
		return a->group.fd >= 0 && b->group.fd >= 0 && a->group.ino == b->group.ino;
	return a->target.pidfd >= 0 && b->target.pidfd >= 0 && a->target.pid == b->target.pid &&
	       a->target.start_ns == b->target.start_ns;
}

/* The same ladder is at work on it. */
bool response_is_at_work(const struct respond *r, const struct response *x)
{
	for (size_t i = 0; i < RESPOND_MAX; i++) {
		const struct response *y = &r->responses[i];

		if (y->id && streq(y->ladder->name, x->ladder->name) && same_target(x, y))
			return true;
	}
	return false;
}
