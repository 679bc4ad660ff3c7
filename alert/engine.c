/*
 * The thread "alert": owns rules state, view, accesses and the table of repeats. Others reach it through the queue and
 * what the lock guards. It reads /proc and single files, never answers the kernel, never waits for an output or for
 * history.
 */
#include "alert/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "alert/access.h"
#include "alert/link.h"
#include "alert/repeat.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/queue.h"
#include "pkg/packages.h"
#include "rules/fetch.h"

#define ENGINE_ITEMS	16384
#define ENGINE_MATCHES	64 /* of one event */
#define ENGINE_STOP_NS	(300 * NSEC_PER_MSEC)
#define ENGINE_IDLE_NS	NSEC_PER_SEC
#define ENGINE_PACE_NS	(4 * NSEC_PER_MSEC) /* under load it wakes this seldom */
#define PACKAGES_AGE_NS (10 * NSEC_PER_SEC)

/* Exactly one of the two; neither: just wakes. */
struct item {
	struct event *event;
	struct fs_batch *batch;
	size_t bytes;
};

struct engine {
	struct engine_options o;
	struct queue *queue;
	pthread_t thread;
	atomic_bool stopping;
	atomic_bool told;	     /* accesses are */
	_Atomic uint32_t faces_told; /* as calls */
	_Atomic uint64_t deadline;   /* monotonic, once stopping */

	pthread_mutex_t lock;
	struct rules *next_rules; /* counted; NULL: the ones in force stay */
	struct conf *next_conf;

	/* The thread's own. */
	struct conf *conf;
	struct rules_state *state;
	struct field_view *view;
	struct rules_fetch *fetch;
	struct packages *packages;
	uint64_t packages_at;
	struct access access;
	struct repeat *repeat;
	uint64_t lost_told;
	bool losing;

	_Atomic uint64_t held, bytes, lost, events, accesses, alerts, repeated, sums, rules;
};

/* --- what rules ask for */

/* Loaded when a rule asks for the first time, and again when the package manager was at work. */
static void need_packages(struct engine *g)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct packages *p;
	uint64_t now = clock_mono_ns();

	if (g->packages_at && now - g->packages_at < PACKAGES_AGE_NS)
		return;
	g->packages_at = now;
	if (g->packages && !packages_outdated(g->packages))
		return;
	if (packages_store_get(g->o.packages, &p, &warnings) < 0)
		return;
	if (g->packages)
		packages_unref(g->packages);
	g->packages = p;
	g->fetch->packages = p;
}

static void fetch_link(struct engine *g, struct field_view *v)
{
	const struct event *e = v->event;
	const uint32_t need = ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO);

	if (e->has_after && (e->after.have & need) == need && e->path)
		v->extra.link_source = link_source(g->conf, e, &g->access.arena);
}

static void engine_fetch(struct field_view *v, enum field_group group)
{
	struct engine *g = v->fetch_data;

	if (group == GROUP_PACKAGE)
		need_packages(g);
	if (group == GROUP_LINK)
		fetch_link(g, v);
	if (group == GROUP_FILE)
		v->extra.emptied = access_emptied(v->event);
	v->fetch_data = g->fetch;
	rules_fetch(v, group);
	v->fetch_data = g;
}

/* --- raising */

static void told(struct alert *a, uint64_t count, void *data)
{
	struct engine *g = data;
	struct event *e = g->o.store ? alert_event(a, count) : NULL;

	if (!e)
		return;
	if (a->answered && !a->row)
		a->row = event_ref(e);
	g->o.store(e, g->o.data);
}

static void summed(struct alert *a, void *data)
{
	struct engine *g = data;

	g->sums++;
	if (g->o.send)
		g->o.send(a, g->o.data);
}

static void raise_alert(struct engine *g, const struct rule *rule, enum face face, struct event *e)
{
	_cleanup_alert_ struct alert *a = alert_new(g->state, g->view, face, rule, e);
	bool first;

	if (!a) {
		g->lost++;
		return;
	}
	g->alerts++;
	a->answered = g->o.answered && g->o.answered(a, g->o.data);
	first = repeat_take(g->repeat, a, clock_mono_ns());
	g->repeated += !first;
	if (g->o.raised)
		g->o.raised(a, g->o.data);
	if (first && g->o.send)
		g->o.send(a, g->o.data);
}

static uint32_t faces_told(const struct engine *g, const struct event *e)
{
	uint32_t told = g->faces_told, faces = 0;

	for (size_t i = 0; i < g->view->n_faces; i++)
		faces |= FACE_BIT(g->view->faces[i]);
	/* Who asks looks into a table of the kernel: of the few events that it matters for. */
	if (faces & told && e->process && g->o.past_calls && g->o.past_calls(e->process, g->o.data))
		return 0;
	return told;
}

static void evaluate(struct engine *g, struct event *e, struct event *(*keep)(struct engine *g, struct event *e))
{
	const struct rule *rules[ENGINE_MATCHES];
	enum face faces[ENGINE_MATCHES];
	bool first = g->conf->rules.matching == CONF_MATCHING_FIRST;
	_cleanup_event_ struct event *kept = NULL;
	size_t n;

	g->view->told = faces_told(g, e);
	n = rules_eval(g->state, g->view, first, rules, faces, ENGINE_MATCHES);
	kept = n ? keep(g, e) : NULL;
	if (n && !kept)
		g->lost++;
	for (size_t i = 0; kept && i < MIN(n, (size_t)ENGINE_MATCHES); i++)
		raise_alert(g, rules[i], faces[i], kept);
}

static struct event *keep_event(struct engine *g _unused_, struct event *e)
{
	return event_ref(e);
}

static struct event *keep_access(struct engine *g, struct event *e _unused_)
{
	return access_keep(&g->access);
}

/* --- events */

/*
 * What accesses told of as calls is not told as calls again; what was found by looking (it has a cause) no access told
 * of.
 */
static void take_event(struct engine *g, struct event *e)
{
	field_view_begin(g->view, e);
	if (g->told && e->kind == EVENT_CHANGE && !e->cause) {
		g->view->n_faces = 1;
		g->view->faces[0] = FACE_NONE;
	}
	g->events++;
	evaluate(g, e, keep_event);
}

static void take_access(struct engine *g, const struct fs_batch *b, const struct fs_event *e)
{
	enum face faces[FACES_MAX];
	unsigned n = access_begin(&g->access, b, e, faces);

	if (!n)
		return;
	if (g->o.place)
		g->o.place(&g->access.event, g->o.data);
	n = access_in_layer(&g->access, faces, n);
	if (!n)
		return;
	field_view_begin(g->view, &g->access.event);
	memcpy(g->view->faces, faces, n * sizeof(*faces));
	g->view->n_faces = n;
	g->accesses++;
	evaluate(g, &g->access.event, keep_access);
}

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
		take_event(g, i->event);
	for (uint32_t n = 0; i->batch && n < i->batch->n && !out_of_time(g); n++)
		take_access(g, i->batch, &i->batch->events[n]);
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
					  .sum = summed,
					  .told = told,
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
