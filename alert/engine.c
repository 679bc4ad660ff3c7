/*
 * The thread "alert": owns rules state, view, accesses and the table of repeats. Others reach it through the queue and
 * what the lock guards. It reads /proc and single files, never answers the kernel, never waits for an output or for
 * history.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "alert/engine-internal.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/queue.h"
#include "pkg/packages.h"

#define ENGINE_ITEMS   16384
#define ENGINE_STOP_NS (300 * NSEC_PER_MSEC)
#define ENGINE_IDLE_NS NSEC_PER_SEC
#define ENGINE_PACE_NS (4 * NSEC_PER_MSEC) /* under load it wakes this seldom */

/* Exactly one of the two; neither: just wakes. */
struct item {
	struct event *event;
	struct fs_batch *batch;
	size_t bytes;
};

/* --- items */

static bool out_of_time(const struct engine *g)
{
	return g->stopping && clock_mono_ns() > g->deadline;
}

static uint64_t item_weight(const struct item *i)
{
	return i->batch ? i->batch->n : i->event ? 1 : 0;
}

static void item_free(struct item *i)
{
	if (i->event)
		event_unref(i->event);
	fs_batch_free(i->batch);
	free(i);
}

static void take_item(struct engine *g, struct item *i)
{
	g->held -= item_weight(i);
	g->bytes -= i->bytes;
	if (i->event && !out_of_time(g))
		engine_take_event(g, i->event);
	for (uint32_t n = 0; i->batch && n < i->batch->n && !out_of_time(g); n++)
		engine_take_access(g, i->batch, &i->batch->events[n]);
	item_free(i);
}

/* --- the thread */

static void take_settings(struct engine *g)
{
	struct rules *rules;
	struct conf *conf;
	struct rules_state *state;

	pthread_mutex_lock(&g->lock);
	rules = TAKE_PTR(g->next_rules);
	conf = TAKE_PTR(g->next_conf);
	pthread_mutex_unlock(&g->lock);
	if (conf) {
		conf_unref(g->conf);
		g->conf = conf;
		repeat_set(g->repeat, conf->rules.repeat, conf->rules.burst);
	}
	if (!rules)
		return;
	state = rules_state_new(rules);
	if (state) {
		rules_state_free(g->state);
		g->state = state;
		g->rules = rules_enabled(rules);
	} else {
		log_error("no memory for the new rules, the old ones stay in force");
	}
	rules_unref(rules);
}

/* Told from here: whoever loses events may hold locks that telling wants. */
static void tell_loss(struct engine *g)
{
	uint64_t lost = g->lost;

	if (lost != g->lost_told && !g->losing) {
		g->losing = true;
		if (g->o.lost)
			g->o.lost(true, lost - g->lost_told, g->o.data);
	} else if (lost == g->lost_told && g->losing && !g->held) {
		g->losing = false;
		if (g->o.lost)
			g->o.lost(false, lost, g->o.data);
	}
	g->lost_told = lost;
}

static void *engine_main(void *data)
{
	struct engine *g = data;
	uint64_t next = 0;
	bool over = false;

	pthread_setname_np(pthread_self(), "alert");
	while (!over) {
		int timed_out = 0;
		struct item *i = queue_pop_until(g->queue, MIN(next, clock_mono_ns() + ENGINE_IDLE_NS), &timed_out);

		take_settings(g);
		if (i)
			take_item(g, i);
		tell_loss(g);
		next = repeat_tick(g->repeat, clock_mono_ns());
		over = !i && !timed_out;
	}
	repeat_free(TAKE_PTR(g->repeat));
	return NULL;
}

/* --- others */

static void engine_push(struct engine *g, struct item *item)
{
	uint64_t weight = item_weight(item), room = g->o.room ?: ENGINE_ROOM, most = g->o.bytes ?: ENGINE_BYTES;
	size_t bytes = item->bytes;

	/* Just one that is larger than all the room there is goes in, when there is nothing else. */
	if (g->held + weight <= MAX(room, weight) && g->bytes + bytes <= MAX(most, (uint64_t)bytes)) {
		g->held += weight;
		g->bytes += bytes;
		if (queue_try_push(g->queue, item) == 0)
			return;
		g->held -= weight;
		g->bytes -= bytes;
	}
	g->lost += weight;
	item_free(item);
}

static struct item *item_new(struct event *e, struct fs_batch *b)
{
	struct item *i = calloc(1, sizeof(*i));

	if (i)
		*i = (struct item){ e, b, e ? sizeof(*e) + e->arena.used : b ? sizeof(*b) + b->arena.used : 0 };
	return i;
}

static bool is_asked_about(const struct engine *g, const struct event *e)
{
	switch (e->kind) {
	case EVENT_CHANGE:
	case EVENT_EXEC:
	case EVENT_GAP:
	case EVENT_ACCESS:
	case EVENT_CONNECTION:
	case EVENT_SESSION:
		return true;
	case EVENT_OPEN:
		return !g->told;
	default:
		return false;
	}
}

void engine_event(struct engine *g, struct event *e)
{
	struct item *i;

	if (!is_asked_about(g, e))
		return;
	i = item_new(event_ref(e), NULL);
	if (i) {
		engine_push(g, i);
		return;
	}
	event_unref(e);
	g->lost++;
}

void engine_set_told(struct engine *g, uint32_t faces, bool told)
{
	if (told)
		g->faces_told |= faces;
	else
		g->faces_told &= ~faces;
}

void engine_set_accesses(struct engine *g, bool accesses)
{
	g->told = accesses;
}

void engine_accesses(struct engine *g, struct fs_batch *b)
{
	struct item *i;

	/* Nobody asks. */
	if (!g->rules) {
		fs_batch_free(b);
		return;
	}
	i = item_new(NULL, b);
	if (i) {
		engine_push(g, i);
		return;
	}
	g->lost += b->n;
	fs_batch_free(b);
}

void engine_reload(struct engine *g, const struct conf *conf, struct rules *rules)
{
	struct item *wake = item_new(NULL, NULL);

	pthread_mutex_lock(&g->lock);
	if (g->next_rules)
		rules_unref(g->next_rules);
	if (g->next_conf)
		conf_unref(g->next_conf);
	g->next_rules = rules_ref(rules);
	g->next_conf = conf_ref((struct conf *)(uintptr_t)conf);
	pthread_mutex_unlock(&g->lock);
	if (wake)
		engine_push(g, wake);
}

void engine_get_stats(struct engine *g, struct engine_stats *ret)
{
	*ret = (struct engine_stats){
		.events = g->events,
		.accesses = g->accesses,
		.alerts = g->alerts,
		.repeated = g->repeated,
		.sums = g->sums,
		.lost = g->lost,
		.depth = g->held,
		.rules = g->rules,
	};
}

/* --- life */

static void engine_free(struct engine *g)
{
	struct item *i;

	if (g->queue) {
		queue_close(g->queue);
		while ((i = queue_pop(g->queue)))
			item_free(i);
		queue_free(g->queue);
	}
	if (g->repeat)
		repeat_free(g->repeat);
	if (g->state)
		rules_state_free(g->state);
	if (g->view)
		field_view_free(g->view);
	if (g->fetch && g->fetch->proc >= 0)
		close(g->fetch->proc);
	free(g->fetch);
	if (g->packages)
		packages_unref(g->packages);
	if (g->next_rules)
		rules_unref(g->next_rules);
	if (g->next_conf)
		conf_unref(g->next_conf);
	if (g->conf)
		conf_unref(g->conf);
	access_free(&g->access);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static int engine_init(struct engine *g)
{
	const struct repeat_options o = { .window = g->o.conf->rules.repeat,
					  .burst = g->o.conf->rules.burst,
					  .sum = engine_summed,
					  .told = engine_told,
					  .data = g };
	int r;

	pthread_mutex_init(&g->lock, NULL);
	g->conf = conf_ref((struct conf *)(uintptr_t)g->o.conf);
	g->state = rules_state_new(g->o.rules);
	g->view = field_view_new();
	g->fetch = calloc(1, sizeof(*g->fetch));
	if (g->fetch)
		g->fetch->proc = -1;
	r = g->state && g->view && g->fetch ? queue_new(ENGINE_ITEMS, &g->queue) : -ENOMEM;
	if (r == 0)
		r = repeat_new(&o, &g->repeat);
	if (r < 0)
		return r;
	queue_set_pace(g->queue, ENGINE_PACE_NS);
	g->rules = rules_enabled(g->o.rules);
	g->fetch->proc = open(g->o.procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g->view->fetch = engine_fetch;
	g->view->fetch_data = g;
	return g->fetch->proc < 0 ? -errno : 0;
}

int engine_start(const struct engine_options *o, struct engine **ret)
{
	struct engine *g = calloc(1, sizeof(*g));
	int r;

	if (!g)
		return -ENOMEM;
	g->o = *o;
	r = engine_init(g);
	if (r == 0)
		r = -pthread_create(&g->thread, NULL, engine_main, g);
	if (r < 0) {
		engine_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

void engine_stop(struct engine *g)
{
	g->deadline = clock_mono_ns() + ENGINE_STOP_NS;
	g->stopping = true;
	queue_close(g->queue);
	pthread_join(g->thread, NULL);
	engine_free(g);
}
