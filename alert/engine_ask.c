/* What the thread "alert" does with one event: rules are asked, what they need of the system is fetched, alerts are
 * raised. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/engine-internal.h"
#include "alert/link.h"
#include "lib/clock.h"
#include "pkg/packages.h"

#define ENGINE_MATCHES	64 /* of one event */
#define PACKAGES_AGE_NS (10 * NSEC_PER_SEC)

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

void engine_fetch(struct field_view *v, enum field_group group)
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

void engine_told(struct alert *a, uint64_t count, void *data)
{
	struct engine *g = data;
	struct event *e = g->o.store ? alert_event(a, count) : NULL;

	if (!e)
		return;
	if (a->answered && !a->row)
		a->row = event_ref(e);
	g->o.store(e, g->o.data);
}

void engine_summed(struct alert *a, void *data)
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
void engine_take_event(struct engine *g, struct event *e)
{
	field_view_begin(g->view, e);
	if (g->told && e->kind == EVENT_CHANGE && !e->cause) {
		g->view->n_faces = 1;
		g->view->faces[0] = FACE_NONE;
	}
	g->events++;
	evaluate(g, e, keep_event);
}

void engine_take_access(struct engine *g, const struct fs_batch *b, const struct fs_event *e)
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
