/* Repeats of alerts. Owns its table of what was sent; runs on the thread "alert". */
#include "alert/repeat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "lib/clock.h"

/* One kind of alerts: of a rule, in a container, by a program; or (key ends behind the rule) of a rule at all. */
struct kind {
	UT_hash_handle hh;
	uint64_t end; /* of its window, monotonic */
	uint64_t sent;
	uint64_t suppressed, since;
	struct alert *last;	/* suppressed; counted */
	struct alert *answered; /* the last that was told at once for whoever answers it; counted */
	/* Not told to history yet: n like this one. */
	struct alert *held;
	uint64_t n, held_until;
	size_t key_len;
	char key[];
};

struct repeat {
	struct repeat_options o;
	struct kind *kinds; /* in the order in which their windows end */
	uint64_t next_held; /* no held one is due before */
};

int repeat_new(const struct repeat_options *o, struct repeat **ret)
{
	struct repeat *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->o = *o;
	r->next_held = UINT64_MAX;
	*ret = r;
	return 0;
}

void repeat_set(struct repeat *r, uint64_t window, uint64_t burst)
{
	r->o.window = window;
	r->o.burst = burst;
}

/* --- history */

static void tell_held(struct repeat *r, struct kind *k)
{
	if (!k->held)
		return;
	r->o.told(k->held, k->n, r->o.data);
	alert_unref(TAKE_PTR(k->held));
	k->n = 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && streq(a, b));
}

static bool is_alike(const struct alert *a, const struct alert *b)
{
	return a->event->process == b->event->process && same_text(a->event->path, b->event->path) &&
	       same_text(a->event->path2, b->event->path2);
}

/* What is answered is told at once, but for ones like the last: they have its row. */
static bool tell_answered(struct repeat *r, struct kind *k, struct alert *a)
{
	if (k->answered && is_alike(k->answered, a)) {
		a->row = k->answered->row ? event_ref(k->answered->row) : NULL;
		return false;
	}
	tell_held(r, k);
	r->o.told(a, 1, r->o.data);
	alert_unref(k->answered);
	k->answered = alert_ref(a);
	return true;
}

static void hold(struct repeat *r, struct kind *k, struct alert *a, uint64_t now)
{
	if (a->answered && tell_answered(r, k, a))
		return;
	if (k->held && is_alike(k->held, a)) {
		k->n++;
		return;
	}
	tell_held(r, k);
	k->held = alert_ref(a);
	k->n = 1;
	k->held_until = now + REPEAT_MERGE_NS;
	r->next_held = MIN(r->next_held, k->held_until);
}

/* --- kinds */

static void kind_sum(struct repeat *r, struct kind *k)
{
	_cleanup_alert_ struct alert *a = NULL;

	tell_held(r, k);
	if (!k->suppressed)
		return;
	a = alert_sum(k->last, k->suppressed, k->since);
	if (a && r->o.sum)
		r->o.sum(a, r->o.data);
	alert_unref(TAKE_PTR(k->last));
	k->suppressed = 0;
}

static void kind_free(struct kind *k)
{
	alert_unref(k->answered);
	free(k);
}

static void kind_drop(struct repeat *r, struct kind *k)
{
	kind_sum(r, k);
	HASH_DEL(r->kinds, k);
	kind_free(k);
}

/* The window begins anew; to the end of the order. */
static void kind_renew(struct repeat *r, struct kind *k, uint64_t now)
{
	HASH_DEL(r->kinds, k);
	k->end = now + r->o.window;
	k->sent = 0;
	HASH_ADD_KEYPTR(hh, r->kinds, k->key, k->key_len, k);
	/* No memory: it is forgotten, the next one is sent at once. */
	if (!k->hh.tbl)
		kind_free(k);
}

static struct kind *kind_find(struct repeat *r, const struct buf *key)
{
	struct kind *k = NULL;

	HASH_FIND(hh, r->kinds, key->data, key->len, k);
	return k;
}

static struct kind *kind_add(struct repeat *r, const struct buf *key, uint64_t now)
{
	struct kind *k = calloc(1, sizeof(*k) + key->len);

	if (!k)
		return NULL;
	if (HASH_COUNT(r->kinds) >= REPEAT_MAX)
		kind_drop(r, r->kinds);
	memcpy(k->key, key->data, key->len);
	k->key_len = key->len;
	k->end = now + r->o.window;
	HASH_ADD_KEYPTR(hh, r->kinds, k->key, k->key_len, k);
	if (k->hh.tbl)
		return k;
	free(k);
	return NULL;
}

static void suppress(struct repeat *r, struct kind *k, struct alert *a, uint64_t now)
{
	a->repeated = true;
	if (!k->suppressed++)
		k->since = a->time;
	alert_unref(k->last);
	k->last = alert_ref(a);
	hold(r, k, a, now);
}

static void add_part(struct buf *key, const char *s)
{
	buf_add(key, s ? s : "", s ? strlen(s) + 1 : 1);
}

bool repeat_take(struct repeat *r, struct alert *a, uint64_t now)
{
	const struct process *p = a->event->process;
	_cleanup_buf_ struct buf key = BUF_INIT;
	struct kind *rule, *k;
	size_t rule_len;

	add_part(&key, a->rule);
	rule_len = key.len;
	add_part(&key, a->container);
	add_part(&key, p && p->known & PROCESS_EXE ? p->exe : p ? p->comm : NULL);
	k = r->o.window && !key.failed ? kind_find(r, &key) : NULL;
	if (k) {
		suppress(r, k, a, now);
		return false;
	}
	if (r->o.window && !key.failed)
		k = kind_add(r, &key, now);
	key.len = rule_len;
	rule = k ? kind_find(r, &key) : NULL;
	if (k && !rule)
		rule = kind_add(r, &key, now);
	if (rule && r->o.burst && rule->sent >= r->o.burst) {
		suppress(r, rule, a, now);
		return false;
	}
	if (rule)
		rule->sent++;
	r->o.told(a, 1, r->o.data);
	if (k && a->answered)
		k->answered = alert_ref(a);
	return true;
}

/* --- time */

static void tell_due(struct repeat *r, uint64_t now)
{
	struct kind *k, *next;

	if (r->next_held > now)
		return;
	r->next_held = UINT64_MAX;
	HASH_ITER(hh, r->kinds, k, next)
	{
		if (k->held && k->held_until <= now)
			tell_held(r, k);
		else if (k->held)
			r->next_held = MIN(r->next_held, k->held_until);
	}
}

uint64_t repeat_tick(struct repeat *r, uint64_t now)
{
	struct kind *k;

	tell_due(r, now);
	while ((k = r->kinds) && k->end <= now) {
		bool going_on = k->suppressed > 0;

		kind_sum(r, k);
		if (going_on && r->o.window)
			kind_renew(r, k, now);
		else
			kind_drop(r, k);
	}
	return MIN(r->next_held, r->kinds ? r->kinds->end : UINT64_MAX);
}

void repeat_free(struct repeat *r)
{
	while (r->kinds)
		kind_drop(r, r->kinds);
	free(r);
}
