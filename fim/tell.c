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

static bool tell_records(struct event *e, const struct change_parts *c)
{
	e->has_before = c->before != NULL;
	e->has_after = c->after != NULL;
	return (!c->before || record_dup(&e->arena, c->before, &e->before)) &&
	       (!c->after || record_dup(&e->arena, c->after, &e->after));
}

static bool tell_fill(struct event *e, const struct change_parts *c)
{
	e->change = c->change;
	e->status = c->status;
	e->attributes = c->attributes & ATTR_ALL;
	e->path2 = c->path2 ? arena_strdup(&e->arena, c->path2) : NULL;
	e->cause = c->cause ? arena_strdup(&e->arena, c->cause) : NULL;
	if (!e->process)
		e->process_why = arena_strdup(&e->arena, c->why);
	return tell_records(e, c) && (!c->path2 || e->path2);
}

void tell_parts(struct live *l, const struct change_parts *c)
{
	struct event *e = tell_new(l, EVENT_CHANGE, c->path, c->process, c->boot_ns);

	if (!e || !tell_fill(e, c)) {
		l->counters.errors++;
		if (e)
			event_unref(e);
		return;
	}
	if (l->differ && l->rootfd >= 0)
		differ_event(l->differ, l->conf, l->rootfd, e);
	l->counters.undiffed = l->differ ? differ_skipped(l->differ) : 0;
	tell_emit(l, e);
}

void tell_change(struct live *l, const struct told *t)
{
	const struct judgement *v = t->judgement;
	const struct facts *f = t->facts;
	_cleanup_buf_ struct buf approval = BUF_INIT;
	struct change_parts c = {
		.path = v->renamed ? t->in->from : t->in->path,
		.path2 = v->renamed ? t->in->path : NULL,
		.change = v->change,
		.status = v->status,
		.attributes = v->attributes,
		.before = v->before,
		.after = v->after,
		.process = f->process,
		.why = tell_why(f),
		/* What the events of a process explain needs no other cause. */
		.cause = f->cause && !f->ops ? f->cause : NULL,
		.boot_ns = f->last,
	};
	uint64_t latency = clock_boot_ns() - f->last;

	l->counters.changes++;
	if (f->scan)
		l->scan_found++;
	if (approved_change(l, f, &c, &approval) && !approval.failed) {
		c.status = STATUS_EXCUSED;
		c.cause = approval.data;
	}
	if (hold_change(l, t, &c))
		return;
	l->counters.excused += c.status == STATUS_EXCUSED;
	if (latency > l->counters.latency_max)
		l->counters.latency_max = latency;
	tell_parts(l, &c);
}
