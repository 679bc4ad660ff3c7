/* The book of gaps. Owns the list of open ones, under its lock; emits outside of it is not needed, since emitting never
 * blocks. */
#include "daemon/gapbook.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/place.h"

struct gap_entry {
	struct gap_entry *next;
	struct gap_open g;
	uint64_t sensor_key; /* 0: not a sensor's */
	uint64_t seen;	     /* number of the last round when it was noted */
};

struct gapbook {
	pthread_mutex_t lock;
	struct gap_entry *first;
	size_t n;
	uint64_t next_key;
	uint64_t round; /* the last that began */
	void (*emit)(struct event *e, void *data);
	void *data;
};

int gapbook_new(void (*emit)(struct event *e, void *data), void *data, struct gapbook **ret)
{
	struct gapbook *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	pthread_mutex_init(&b->lock, NULL);
	/* Keys of one run do not meet those of another. */
	b->next_key = clock_real_ns() / NSEC_PER_MSEC << 16;
	b->emit = emit;
	b->data = data;
	*ret = b;
	return 0;
}

static void entry_free(struct gap_entry *e)
{
	free((char *)e->g.scope);
	free((char *)e->g.detail);
	free(e);
}

void gapbook_free(struct gapbook *b)
{
	struct gap_entry *e;

	while ((e = b->first)) {
		b->first = e->next;
		entry_free(e);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void gapbook_emit(struct gapbook *b, const struct gap_open *g, const char *healed, uint64_t to)
{
	struct event *e = event_new(EVENT_GAP);

	if (!e)
		return;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->count = 1;
	e->gap_reason = g->reason;
	e->gap_scope = arena_strdup(&e->arena, g->scope);
	e->gap_detail = g->detail && *g->detail ? arena_strdup(&e->arena, g->detail) : NULL;
	e->gap_from = g->from;
	e->gap_to = healed ? (to ? to : e->time) : 0;
	e->gap_healed = healed ? arena_strdup(&e->arena, healed) : NULL;
	e->gap_lost = g->lost;
	e->gap_key = g->key;
	b->emit(e, b->data);
}

static struct gap_entry *find(struct gapbook *b, enum gap_reason reason, const char *scope)
{
	for (struct gap_entry *e = b->first; e; e = e->next) {
		if (e->g.reason == reason && streq(e->g.scope, scope))
			return e;
	}
	return NULL;
}

static struct gap_entry *add(struct gapbook *b, const struct gap_open *g, uint64_t sensor_key)
{
	struct gap_entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->g = *g;
	e->g.scope = strdup(g->scope);
	e->g.detail = strdup(g->detail ? g->detail : "");
	if (!e->g.scope || !e->g.detail) {
		entry_free(e);
		return NULL;
	}
	e->g.from = g->from ? g->from : clock_real_ns();
	e->g.key = b->next_key++;
	e->sensor_key = sensor_key;
	e->seen = b->round;
	e->next = b->first;
	b->first = e;
	b->n++;
	gapbook_emit(b, &e->g, NULL, 0);
	return e;
}

static struct gap_entry *hold(struct gapbook *b, const struct gap_open *g, uint64_t sensor_key)
{
	struct gap_entry *e = find(b, g->reason, g->scope);

	if (!e && b->n >= GAPBOOK_MAX) {
		const struct gap_open full = {
			.reason = GAP_LIMIT, .scope = "gaps", .detail = "more gaps than can be named", .standing = true
		};

		e = find(b, GAP_LIMIT, full.scope);
		if (!e)
			e = add(b, &full, 0);
		if (e)
			e->g.lost++;
	} else if (!e) {
		e = add(b, g, sensor_key);
	} else {
		e->g.lost = MAX(e->g.lost, g->lost);
		if (sensor_key)
			e->sensor_key = sensor_key;
	}
	if (e)
		e->seen = b->round;
	return e;
}

static void close_entry(struct gapbook *b, struct gap_entry *e, const char *healed, uint64_t to)
{
	struct gap_entry **at = &b->first;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	b->n--;
	gapbook_emit(b, &e->g, healed, to);
	entry_free(e);
}

uint64_t gapbook_lose(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost,
		      uint64_t from)
{
	struct gap_open g = { .reason = reason, .scope = scope, .detail = detail, .from = from, .lost = lost };
	struct gap_entry *e;
	uint64_t key;

	pthread_mutex_lock(&b->lock);
	e = find(b, reason, scope);
	g.lost += e ? e->g.lost : 0;
	e = hold(b, &g, 0);
	key = e ? e->g.key : 0;
	pthread_mutex_unlock(&b->lock);
	return key;
}

uint64_t gapbook_open(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost,
		      uint64_t from)
{
	const struct gap_open g = { .reason = reason, .scope = scope, .detail = detail, .from = from, .lost = lost };
	struct gap_entry *e;
	uint64_t key;

	pthread_mutex_lock(&b->lock);
	e = hold(b, &g, 0);
	key = e ? e->g.key : 0;
	pthread_mutex_unlock(&b->lock);
	return key;
}

void gapbook_close(struct gapbook *b, uint64_t key, const char *healed, uint64_t to)
{
	struct gap_entry *e;

	pthread_mutex_lock(&b->lock);
	for (e = b->first; e && e->g.key != key; e = e->next)
		;
	if (e)
		close_entry(b, e, healed, to);
	pthread_mutex_unlock(&b->lock);
}

void gapbook_end(struct gapbook *b, enum gap_reason reason, const char *scope, const char *healed)
{
	struct gap_entry *e;

	pthread_mutex_lock(&b->lock);
	e = find(b, reason, scope);
	if (e)
		close_entry(b, e, healed, 0);
	pthread_mutex_unlock(&b->lock);
}

void gapbook_once(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost,
		  const char *healed)
{
	struct gap_open g = { .reason = reason, .scope = scope, .detail = detail, .lost = lost };

	pthread_mutex_lock(&b->lock);
	g.from = clock_real_ns();
	g.key = b->next_key++;
	gapbook_emit(b, &g, NULL, 0);
	gapbook_emit(b, &g, healed, 0);
	pthread_mutex_unlock(&b->lock);
}

void gapbook_sensor(struct gapbook *b, const struct watch_gap *g)
{
	const struct gap_open open = {
		.reason = g->reason, .scope = g->scope, .detail = g->detail, .from = g->from, .lost = g->lost
	};
	struct gap_entry *e;

	pthread_mutex_lock(&b->lock);
	if (g->closed) {
		for (e = b->first; e && e->sensor_key != g->key; e = e->next)
			;
		if (e)
			close_entry(b, e, "watched again", 0);
	} else {
		hold(b, &open, g->key);
	}
	pthread_mutex_unlock(&b->lock);
}

size_t gapbook_keys(struct gapbook *b, enum gap_reason reason, const char *scope, uint64_t *ret, size_t max)
{
	size_t n = 0;

	pthread_mutex_lock(&b->lock);
	for (const struct gap_entry *e = b->first; e && n < max; e = e->next) {
		if (e->g.reason == reason && (!scope || streq(scope, e->g.scope)))
			ret[n++] = e->g.key;
	}
	pthread_mutex_unlock(&b->lock);
	return n;
}

uint64_t gapbook_round_begin(struct gapbook *b)
{
	uint64_t round;

	pthread_mutex_lock(&b->lock);
	round = ++b->round;
	pthread_mutex_unlock(&b->lock);
	return round;
}

void gapbook_note(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail)
{
	const struct gap_open g = { .reason = reason, .scope = scope, .detail = detail, .standing = true };

	pthread_mutex_lock(&b->lock);
	hold(b, &g, 0);
	pthread_mutex_unlock(&b->lock);
}

static bool found_by_reading(const struct gap_open *g)
{
	return g->reason == GAP_FS_SKIPPED || g->reason == GAP_UNREADABLE;
}

void gapbook_round_end_below(struct gapbook *b, uint64_t round, const char *path)
{
	struct gap_entry *e, *next;

	pthread_mutex_lock(&b->lock);
	for (e = b->first; e; e = next) {
		next = e->next;
		if (e->g.standing && e->seen < round &&
		    (!path || (found_by_reading(&e->g) && place_is_below(path, e->g.scope))))
			close_entry(b, e, "no longer so", 0);
	}
	pthread_mutex_unlock(&b->lock);
}

void gapbook_round_end(struct gapbook *b, uint64_t round)
{
	gapbook_round_end_below(b, round, NULL);
}

void gapbook_close_old(struct gapbook *b, const struct event *old)
{
	const struct gap_open g = { .reason = old->gap_reason,
				    .scope = old->gap_scope ? old->gap_scope : "",
				    .detail = old->gap_detail,
				    .key = old->gap_key,
				    .from = old->gap_from,
				    .lost = old->gap_lost };

	gapbook_emit(b, &g, "the monitor started anew", 0);
}

void gapbook_each(struct gapbook *b, void (*fn)(const struct gap_open *g, void *data), void *data)
{
	pthread_mutex_lock(&b->lock);
	for (const struct gap_entry *e = b->first; e; e = e->next)
		fn(&e->g, data);
	pthread_mutex_unlock(&b->lock);
}

size_t gapbook_count(struct gapbook *b)
{
	size_t n;

	pthread_mutex_lock(&b->lock);
	n = b->n;
	pthread_mutex_unlock(&b->lock);
	return n;
}
