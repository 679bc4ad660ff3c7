/* What check and check --container do with each difference and in the end. On the thread that compares. */
#include "cmd/findings.h"

#include <errno.h>

#include "lib/clock.h"
#include "lib/text.h"

/* What the recorder is through with; with --json the object, now that it has its id. */
static void tell(struct event *e, void *data)
{
	struct findings *f = data;
	bool left_out = f->report.open_only && e->status == STATUS_EXCUSED;

	if (f->c->json && !f->c->quiet && !left_out)
		out_json(&f->c->out, event_json(e));
}

int findings_record(struct findings *f, bool read_only)
{
	const struct recorder_options o = { &f->info, read_only, tell, f };

	return recorder_new(f->c, &o, &f->recorder);
}

struct event *findings_event(const struct findings *f, const struct scan_difference *d)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->path = arena_strdup(&e->arena, d->path);
	e->baseline = arena_strdup(&e->arena, f->info.name);
	e->baseline_id = f->info.id;
	e->change = d->change;
	e->status = STATUS_OPEN;
	e->attributes = d->attributes;
	e->process_why = "found by check";
	e->count = 1;
	e->has_before = d->before && record_dup(&e->arena, d->before, &e->before);
	e->has_after = d->after && record_dup(&e->arena, d->after, &e->after);
	if (!e->path || !e->baseline || e->has_before != !!d->before || e->has_after != !!d->after)
		return NULL;
	return TAKE_PTR(e);
}

int findings_add(struct findings *f, struct event *e)
{
	int r = 0;

	/* What explains it is found there. */
	if (f->recorder)
		r = recorder_add(f->recorder, e);
	else
		tell(e, f);
	if (r < 0)
		return r;
	if (!f->c->json && !f->c->quiet)
		return report_add(&f->report, &f->c->out, e);
	report_count(&f->report, e);
	return 0;
}

int findings_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct findings *f = data;

	gap_list_add(&f->gaps, reason, path, detail);
	return 0;
}

uint64_t findings_count(const struct findings *f)
{
	uint64_t total = 0;

	for (size_t i = 0; i < CHANGE_COUNT; i++)
		total += f->report.counts[i];
	return total;
}

json_t *findings_summary_json(const struct findings *f, const struct scan_progress *progress)
{
	json_t *j = json_object(), *changes = json_object();
	char time[TEXT_TIME_MAX];

	text_time(time, clock_real_ns(), 3);
	json_object_set_new(j, "time", json_string(time));
	json_object_set_new(j, "kind", json_string("summary"));
	json_object_set_new(j, "baseline", json_string(f->info.name));
	json_object_set_new(j, "entries", json_integer((json_int_t)progress->files));
	json_object_set_new(j, "bytes", json_integer((json_int_t)progress->bytes));
	json_object_set_new(j, "unread", json_integer((json_int_t)progress->unread));
	for (size_t i = 0; i < CHANGE_COUNT; i++) {
		if (f->report.counts[i])
			json_object_set_new(changes, change_names[i], json_integer((json_int_t)f->report.counts[i]));
	}
	json_object_set_new(j, "changes", changes);
	json_object_set_new(j, "excused", json_integer((json_int_t)f->report.excused));
	json_object_set_new(j, "recorded", json_integer((json_int_t)recorder_stored(f->recorder)));
	json_object_set_new(j, "reverted", json_integer((json_int_t)recorder_reverted(f->recorder)));
	json_object_set_new(j, "not_covered", json_integer((json_int_t)f->gaps.total));
	json_object_set_new(j, "gaps", gap_list_json(&f->gaps));
	return j;
}

void findings_summary(const struct findings *f, const struct scan_progress *progress, struct buf *b)
{
	if (progress->unread) {
		cmd_number(b, progress->unread);
		buf_str(b, " files could not be read\n");
	}
	if (f->gaps.total) {
		buf_str(b, "Not covered: ");
		gap_list_counts(&f->gaps, b);
		buf_str(b, f->c->verbose ? "\n" : " (-v names them)\n");
	}
	recorder_summary(f->recorder, b);
}

void findings_reset(struct findings *f)
{
	report_free(&f->report);
	gap_list_free(&f->gaps);
	recorder_free(f->recorder);
	*f = (struct findings){ .c = f->c, .report.whole = f->c->verbose };
}
