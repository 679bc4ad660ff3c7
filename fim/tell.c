/*
 * Makes the events that live integrity tells: from a judgement, with who did it as far as known. Runs on the live
 * thread.
 */
#include "fim/live-internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

struct event *tell_new(struct live *l, enum event_kind kind, const char *path, struct process *process,
		       uint64_t boot_ns)
{
	_cleanup_event_ struct event *e = event_new(kind);
	uint64_t now = clock_boot_ns();

	if (!e)
		return NULL;
	e->boot_time = boot_ns && boot_ns < now ? boot_ns : now;
	e->time = clock_real_ns() - (now - e->boot_time);
	e->count = 1;
	e->path = arena_strdup(&e->arena, path);
	e->baseline_id = states_baseline(l->states)->id;
	e->baseline = arena_strdup(&e->arena, states_baseline(l->states)->name);
	if (process)
		e->process = process_ref(process);
	return e->path && e->baseline ? TAKE_PTR(e) : NULL;
}

void tell_emit(struct live *l, struct event *e)
{
	l->o.emit(e, l->o.data);
	event_unref(e);
}

/* Why nobody is named. */
static const char *tell_why(const struct facts *f)
{
	if (f->cause)
		return "no event told of it";
	return f->pid ? "the process was gone before it could be read" : "the sensor does not tell";
}

static bool tell_records(struct event *e, const struct judgement *v)
{
	e->has_before = v->before != NULL;
	e->has_after = v->after != NULL;
	return (!v->before || record_dup(&e->arena, v->before, &e->before)) &&
	       (!v->after || record_dup(&e->arena, v->after, &e->after));
}

static bool tell_fill(struct event *e, const struct told *t)
{
	const struct judgement *v = t->judgement;
	const struct facts *f = t->facts;

	e->change = v->change;
	e->status = v->status;
	e->attributes = v->attributes & ATTR_ALL;
	if (v->renamed) {
		e->path2 = e->path;
		e->path = arena_strdup(&e->arena, t->in->from);
	}
	/* What the events of a process explain needs no other cause. */
	if (f->cause && !f->ops)
		e->cause = arena_strdup(&e->arena, f->cause);
	if (!e->process)
		e->process_why = arena_strdup(&e->arena, tell_why(f));
	return tell_records(e, v) && e->path;
}

void tell_change(struct live *l, const struct told *t)
{
	const struct facts *f = t->facts;
	struct event *e = tell_new(l, EVENT_CHANGE, t->in->path, f->process, f->last);
	uint64_t latency;

	if (!e || !tell_fill(e, t)) {
		l->counters.errors++;
		if (e)
			event_unref(e);
		return;
	}
	l->counters.changes++;
	if (f->scan)
		l->scan_found++;
	latency = clock_boot_ns() - f->last;
	if (latency > l->counters.latency_max)
		l->counters.latency_max = latency;
	tell_emit(l, e);
}
