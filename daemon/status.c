/* The answer to "status": how the monitor is, in one JSON object. Runs on the main thread; reads counters of all parts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "daemon/confine.h"
#include "daemon/monitor.h"
#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"

#define STATUS_GAPS_MAX 200

static json_t *status_time(uint64_t real_ns)
{
	char text[TEXT_TIME_MAX];

	text_time(text, real_ns, 3);
	return json_string(text);
}

static void status_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

/* --- health */

struct health {
	bool red, yellow;
	json_t *reasons;
};

static void health_red(struct health *h, const char *reason)
{
	h->red = true;
	json_array_append_new(h->reasons, json_string(reason));
}

static void health_yellow(struct health *h, const char *reason)
{
	h->yellow = true;
	json_array_append_new(h->reasons, json_string(reason));
}

/* What each kind of open gap means. */
static const char gap_colours[GAP_REASON_COUNT] = {
	[GAP_DOWN] = 'y',	 [GAP_QUEUE_OVERFLOW] = 'y', [GAP_PROC_LOST] = 'y', [GAP_MARK_FAILED] = 'r',
	[GAP_FS_SKIPPED] = ' ',	 [GAP_UNREADABLE] = 'y',     [GAP_LIMIT] = 'y',	    [GAP_UNMOUNTED] = 'y',
	[GAP_STORE] = 'r',	 [GAP_NO_PATH] = ' ',	     [GAP_CANARY] = 'r',    [GAP_DEVICE_WRITTEN] = 'y',
	[GAP_WEAK_SENSOR] = 'y',
};

static void health_gap(const struct gap_open *g, void *data)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct health *h = data;
	char colour = gap_colours[g->reason];

	if (colour == ' ' || json_array_size(h->reasons) >= STATUS_GAPS_MAX)
		return;
	buf_printf(&text, "%s: ", gap_reason_names[g->reason]);
	text_escape(&text, g->scope, strlen(g->scope));
	if (g->detail && *g->detail) {
		buf_str(&text, ": ");
		text_escape(&text, g->detail, strlen(g->detail));
	}
	if (text.failed)
		return;
	if (colour == 'r')
		health_red(h, text.data);
	else
		health_yellow(h, text.data);
}

static void status_health(struct monitor *m, json_t *o, const struct live_stats *live,
			  const struct writer_stats *writer)
{
	struct health h = { .reasons = json_array() };
	struct containers_stats containers;

	if (m->reconcile_failed)
		health_red(&h, "the check at the start failed");
	else if (!m->reconciled)
		health_yellow(&h, "the check at the start is not through");
	if (writer->failing)
		health_red(&h, "history cannot be written");
	if (live->errors)
		health_yellow(&h, "some looks at files failed (live.errors)");
	containers_get_stats(m->containers, &containers);
	if (containers.unknown)
		health_yellow(&h, "some containers have no name (containers.why)");
	gapbook_each(m->gaps, health_gap, &h);
	json_object_set_new(o, "health", json_string(h.red ? "red" : h.yellow ? "yellow" : "green"));
	json_object_set_new(o, "reasons", h.reasons);
}

/* --- parts */

static int status_mark(const struct watch_mark *mark, void *data)
{
	json_t *o = json_object();

	json_put_string(o, "mountpoint", mark->mountpoint);
	json_put_string(o, "fstype", mark->fstype);
	json_put_string(o, "source", mark->source);
	json_object_set_new(o, "marked", json_boolean(mark->marked));
	if (mark->why)
		json_put_string(o, "why", mark->why);
	return json_array_append_new(data, o);
}

static void status_gap(const struct gap_open *g, void *data)
{
	json_t *o;

	if (json_array_size(data) >= STATUS_GAPS_MAX)
		return;
	o = json_pack("{s:s, s:o}", "reason", gap_reason_names[g->reason], "from", status_time(g->from));
	json_put_string(o, "scope", g->scope);
	if (g->detail && *g->detail)
		json_put_string(o, "detail", g->detail);
	if (g->lost)
		status_number(o, "lost", g->lost);
	json_array_append_new(data, o);
}

static void status_place(const struct canary_place *p, void *data)
{
	json_t *o = json_object();

	json_put_string(o, "mountpoint", p->mountpoint);
	json_put_string(o, "folder", p->dir);
	json_object_set_new(o, "tested", json_boolean(p->tested));
	json_object_set_new(o, "ok", json_boolean(p->ok));
	if (*p->why)
		json_object_set_new(o, "why", json_string(p->why));
	if (p->time)
		json_object_set_new(o, "time", status_time(p->time));
	if (p->good)
		status_number(o, "latency_ns", p->latency_ns);
	status_number(o, "good", p->good);
	status_number(o, "bad", p->bad);
	json_array_append_new(data, o);
}

static json_t *status_sensor(struct monitor *m, const struct watch_stats *w)
{
	json_t *marks = json_array();

	watch_each_mark(m->watch, status_mark, marks);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", watch_sensor(m->watch), "events",
			 (json_int_t)w->events, "kept", (json_int_t)w->kept, "dropped", (json_int_t)w->dropped,
			 "overflows", (json_int_t)w->overflows, "file_systems", (json_int_t)w->wanted, "marked",
			 (json_int_t)w->marks, "marks", marks);
}

static json_t *status_live(struct monitor *m, const struct live_stats *s)
{
	json_t *o = json_object();

	status_number(o, "events", s->events);
	status_number(o, "looks", s->evaluated);
	status_number(o, "changes", s->changes);
	status_number(o, "transient", s->transient);
	status_number(o, "opens", s->opens);
	status_number(o, "pending", s->pending);
	status_number(o, "pending_max", s->pending_max);
	status_number(o, "merging", s->merging);
	status_number(o, "held", s->held);
	status_number(o, "excused", s->excused);
	status_number(o, "approvals", s->approvals);
	status_number(o, "without_diff", s->undiffed);
	status_number(o, "dropped", s->dropped);
	status_number(o, "errors", s->errors);
	status_number(o, "rescans", s->rescans);
	status_number(o, "rescans_waiting", s->rescans_waiting);
	status_number(o, "names", s->names);
	status_number(o, "rechecked", s->rechecked);
	status_number(o, "recheck_rounds", s->recheck_rounds);
	status_number(o, "latency_max_ns", s->latency_max_ns);
	status_number(o, "queue", queue_depth(m->inbox));
	status_number(o, "queue_max", queue_high_water(m->inbox));
	json_object_set_new(o, "reconciled", json_boolean(m->reconciled));
	return o;
}

static json_t *status_store(struct monitor *m, const struct writer_stats *s)
{
	json_t *o = json_object();

	json_put_string(o, "path", m->db.path);
	status_number(o, "bytes", s->db_size);
	status_number(o, "stored", s->stored);
	status_number(o, "dropped", s->dropped);
	status_number(o, "commits", s->commits);
	status_number(o, "failures", s->failures);
	status_number(o, "texts_trimmed", s->texts_trimmed);
	status_number(o, "queue", s->depth);
	json_object_set_new(o, "failing", json_boolean(s->failing));
	return o;
}

/* Who tells of processes, and what is lost. */
static void status_source(struct monitor *m, json_t *o, const struct connector_stats *c)
{
	bool bpf = connector_source(m->connector) == CONNECTOR_BPF;
	const char *weakness = connector_weakness(m->connector);

	json_object_set_new(o, "source", json_string(bpf ? "BPF" : "proc connector"));
	status_number(o, "messages", c->messages);
	status_number(o, "lost", c->lost);
	if (bpf)
		json_object_set_new(o, "lost_records",
				    json_pack("{s:I, s:I, s:I}", "fork", (json_int_t)c->lost_kinds[BPF_RECORD_FORK],
					      "exec", (json_int_t)c->lost_kinds[BPF_RECORD_EXEC], "exit",
					      (json_int_t)c->lost_kinds[BPF_RECORD_EXIT]));
	if (weakness)
		json_put_string(o, "why", weakness);
}

static json_t *status_processes(struct monitor *m)
{
	struct connector_stats c = { 0 };
	struct proc_stats p;
	json_t *o = json_object();

	proc_table_get_stats(m->procs, &p);
	status_number(o, "live", p.live);
	status_number(o, "ended", p.ended);
	status_number(o, "evicted", p.evicted);
	status_number(o, "missed", p.missed);
	json_object_set_new(o, "connector", json_boolean(m->connector != NULL));
	if (m->connector) {
		connector_get_stats(m->connector, &c);
		status_source(m, o, &c);
	} else if (m->no_connector) {
		json_put_string(o, "why", m->no_connector);
	}
	return o;
}

/* In percent: what can be compared, and whose changes are told. */
static double status_coverage(const struct live_stats *live, const struct watch_stats *watch)
{
	double read = live->guarded ? (double)(live->guarded - live->unread) / (double)live->guarded : 0;
	double marked = watch->wanted ? (double)watch->marks / (double)watch->wanted : 0;

	return 100 * read * MIN(marked, 1);
}

static uint64_t status_rss(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/statm", "re");
	unsigned long long size, resident;

	if (!f || fscanf(f, "%llu %llu", &size, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

json_t *status_answer(struct monitor *m)
{
	struct live_stats live;
	struct writer_stats writer;
	struct watch_stats watch;
	struct output_stats output = { 0 };
	json_t *o = json_pack("{s:b}", "ok", 1), *list;

	live_get_stats(m->live, &live);
	writer_get_stats(m->writer, &writer);
	watch_get_stats(m->watch, &watch);
	status_health(m, o, &live, &writer);
	json_object_set_new(o, "version", json_string(PACKAGE_VERSION));
	status_number(o, "pid", (uint64_t)getpid());
	json_object_set_new(o, "started", status_time(m->started));
	status_number(o, "uptime_seconds", (clock_real_ns() - m->started) / NSEC_PER_SEC);
	json_object_set_new(o, "baseline",
			    json_pack("{s:s, s:I, s:I, s:I}", "name", m->baseline, "id", (json_int_t)live.baseline,
				      "entries", (json_int_t)live.guarded, "unread", (json_int_t)live.unread));
	json_object_set_new(o, "coverage_percent", json_real(status_coverage(&live, &watch)));
	json_object_set_new(o, "sensor", status_sensor(m, &watch));
	json_object_set_new(o, "live", status_live(m, &live));
	json_object_set_new(o, "store", status_store(m, &writer));
	json_object_set_new(o, "processes", status_processes(m));
	json_object_set_new(o, "containers", containers_status(m));
	json_object_set_new(o, "container_files", drift_status(m));
	json_object_set_new(o, "exec", exec_status(m));
	json_object_set_new(o, "alerts", alerts_status(m));
	json_object_set_new(o, "actions", respond_status(m));
	json_object_set_new(o, "calls", calls_status(m));
	json_object_set_new(o, "opens", opens_part_status(m));
	json_object_set_new(o, "users", users_status(m));
	json_object_set_new(o, "network", network_status(m));
	if (m->output) {
		output_get_stats(m->output, &output);
		json_object_set_new(o, "output",
				    json_pack("{s:I, s:I}", "printed", (json_int_t)output.printed, "dropped",
					      (json_int_t)output.dropped));
	}
	list = json_array();
	gapbook_each(m->gaps, status_gap, list);
	/* The one that the writer keeps itself. */
	if (writer.failing)
		status_gap(&(struct gap_open){ .reason = GAP_STORE,
					       .scope = "history",
					       .detail = writer.why,
					       .from = writer.failing_since },
			   list);
	json_object_set_new(o, "gaps", list);
	list = json_array();
	canary_each(m->canary, status_place, list);
	json_object_set_new(o, "canary", list);
	json_object_set_new(o, "confined", confine_status());
	json_object_set_new(o, "inspect", inspect_status(m));
	status_number(o, "rss_bytes", status_rss());
	return o;
}
