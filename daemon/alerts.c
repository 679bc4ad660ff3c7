/*
 * Rules in the monitor: loaded at the start and on reload (main thread), asked about every event and every access
 * (thread "alert"); what they raise goes to history and to outputs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "alert/ruleset.h"
#include "daemon/monitor.h"
#include "event/json.h"

/* --- what the engine tells, on its thread */

static void alerts_store(struct event *e, void *data)
{
	pipeline_emit(e, data);
}

static void alerts_send(struct alert *a, void *data)
{
	struct monitor *m = data;

	pthread_mutex_lock(&m->outputs_lock);
	if (m->outputs)
		outputs_put(m->outputs, a);
	pthread_mutex_unlock(&m->outputs_lock);
}

static void alerts_lost(bool losing, uint64_t lost, void *data)
{
	struct monitor *m = data;

	if (losing)
		gapbook_open(m->gaps, GAP_LIMIT, "rules", "more events than rules could be asked about", lost, 0);
	else
		gapbook_end(m->gaps, GAP_LIMIT, "rules", "rules keep up again");
}

/* --- outputs */

/* Named apart, so that each has a gap of its own. */
static void outputs_lost(const char *name, bool losing, uint64_t lost, void *data)
{
	struct monitor *m = data;
	char scope[96];

	snprintf(scope, sizeof(scope), "output %s", name);
	if (losing)
		gapbook_open(m->gaps, GAP_LIMIT, scope, "alerts could not be kept for it; history has them", lost, 0);
	else
		gapbook_end(m->gaps, GAP_LIMIT, scope, "it takes alerts again");
}

static void outputs_role(const char *name, bool failing, const char *why, void *data)
{
	char scope[96];

	snprintf(scope, sizeof(scope), "output %s: process", name);
	roles_told(data, scope, failing, why, "alerts are kept and sent later");
}

int spawner_part_start(struct monitor *m)
{
	int r = spawner_start(&m->spawner);

	if (r == 0)
		return 0;
	log_error("the process that starts programs does not start: %s", strerror(-r));
	return EX_OSERR;
}

void spawner_part_stop(struct monitor *m)
{
	if (!m->left_behind)
		spawner_stop(TAKE_PTR(m->spawner));
}

static int outputs_open(struct monitor *m, struct conf *conf, struct buf *err)
{
	const struct outputs_options o = { .conf = conf,
					   .state_dir = m->state_dir,
					   .spawner = m->spawner,
					   .lost = outputs_lost,
					   .role = outputs_role,
					   .data = m };
	struct outputs *os;
	int r = outputs_start(&o, &os, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&m->outputs_lock);
	m->outputs = os;
	pthread_mutex_unlock(&m->outputs_lock);
	m->outputs_conf = conf_ref(conf);
	return 0;
}

static void outputs_close(struct monitor *m)
{
	struct outputs *os;

	pthread_mutex_lock(&m->outputs_lock);
	os = TAKE_PTR(m->outputs);
	pthread_mutex_unlock(&m->outputs_lock);
	if (os)
		outputs_stop(os);
	if (m->outputs_conf)
		conf_unref(TAKE_PTR(m->outputs_conf));
}

int outputs_part_start(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (outputs_open(m, m->conf, &err) == 0)
		return 0;
	log_error("%s", err.len ? err.data : "outputs do not start");
	return EX_IOERR;
}

void outputs_part_stop(struct monitor *m)
{
	outputs_close(m);
}

/* Files are opened anew in any case: that is how rotation from outside is told. */
static void outputs_reload(struct monitor *m, struct conf *conf)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (m->outputs && outputs_same(m->outputs_conf, conf)) {
		outputs_reopen(m->outputs);
		return;
	}
	outputs_close(m);
	if (outputs_open(m, conf, &err) < 0)
		log_error("%s: alerts go to history only", err.len ? err.data : "outputs do not start");
}

/* --- rules */

/* Warnings are for whoever writes rules (holdfast rules check), not for each start. */
static void keep_errors(const struct buf *messages, struct buf *err)
{
	for (const char *line = messages->data; line && *line;) {
		size_t len = strcspn(line, "\n");

		if (!memmem(line, len, ": warning: ", 11)) {
			buf_add(err, line, len);
			buf_char(err, '\n');
		}
		line += len + (line[len] != '\0');
	}
}

int alerts_load(const struct monitor *m, const struct conf *conf, struct rules **ret, struct buf *err)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	int r = ruleset_load(conf, m->o->rules, ret, &messages);

	if (r < 0 && messages.len)
		keep_errors(&messages, err);
	else if (r < 0)
		buf_printf(err, "rules: %s", strerror(-r));
	return r;
}

void alerts_reload(struct monitor *m, struct conf *conf, struct rules *rules)
{
	engine_reload(m->engine, conf, rules);
	calls_rules(m, conf, rules);
	opens_part_rules(m, conf, rules);
	network_rules(m, conf);
	outputs_reload(m, conf);
}

/* --- part */

static void alerts_place(struct event *e, void *data)
{
	containers_place(data, e);
}

static bool alerts_past_calls(const struct process *p, void *data)
{
	const struct monitor *m = data;

	return m->connector && connector_uring_files(m->connector, p);
}

static int alerts_engine(struct monitor *m, struct rules *rules)
{
	const struct engine_options o = {
		.conf = m->conf,
		.rules = rules,
		.procfs = "/proc",
		.answered = respond_answered,
		.raised = respond_raised,
		.send = alerts_send,
		.store = alerts_store,
		.place = alerts_place,
		.past_calls = alerts_past_calls,
		.lost = alerts_lost,
		.packages = m->packages,
		.data = m,
	};
	struct engine *g;
	int r = engine_start(&o, &g);

	if (r < 0) {
		log_error("rules: %s", strerror(-r));
		return EX_OSERR;
	}
	pthread_mutex_lock(&m->emit_lock);
	m->engine = g;
	pthread_mutex_unlock(&m->emit_lock);
	return 0;
}

int alerts_part_start(struct monitor *m)
{
	_cleanup_(rules_unref_p) struct rules *rules = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = alerts_load(m, m->conf, &rules, &err);

	if (r < 0) {
		log_error("the rules cannot be used:\n%s", err.data ? err.data : strerror(-r));
		return r == -EINVAL ? EX_CONFIG : EX_OSERR;
	}
	r = alerts_engine(m, rules);
	if (r == 0) {
		calls_rules(m, m->conf, rules);
		opens_part_rules(m, m->conf, rules);
		network_rules(m, m->conf);
	}
	return r;
}

void alerts_part_stop(struct monitor *m)
{
	struct engine *g;

	network_stop(m);
	calls_stop(m);
	looks_stop(m);
	opens_part_stop(m);
	/* What the last events raise still goes to history: the engine ends outside of the lock that telling takes. */
	pthread_mutex_lock(&m->emit_lock);
	g = TAKE_PTR(m->engine);
	pthread_mutex_unlock(&m->emit_lock);
	engine_stop(g);
}

/* Rules ask about files that were written, not about each write. */
static void drop_writes(struct fs_batch *b)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct fs_event e = b->events[i];

		e.ops &= ~(uint32_t)FS_MODIFY;
		if (e.ops)
			b->events[n++] = e;
		else if (e.process)
			process_unref(e.process);
	}
	b->n = n;
}

/* The sensor runs only while the engine does. */
void alerts_accesses(struct fs_batch *b, void *data)
{
	struct monitor *m = data;

	drift_part_accesses(m, b);
	opens_part_accesses(m, b);
	drop_writes(b);
	if (!b->n) {
		fs_batch_free(b);
		return;
	}
	engine_accesses(m->engine, b);
}

static json_t *outputs_status(struct monitor *m)
{
	json_t *list = json_array();

	for (size_t i = 0; m->outputs && i < outputs_count(m->outputs); i++) {
		struct outputs_stats s;
		json_t *o;

		outputs_get_stats(m->outputs, i, &s);
		o = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:b}", "name", s.name, "type", s.type, "delivered",
			      (json_int_t)s.delivered, "failures", (json_int_t)s.failures, "lost", (json_int_t)s.lost,
			      "pending", (json_int_t)(s.pending + s.queue), "failing", (int)s.failing);
		json_put_string(o, "why", s.failing ? s.why : NULL);
		if (s.has_role)
			json_object_set_new(o, "process", roles_status_one(&s.role));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *alerts_status(struct monitor *m)
{
	struct engine_stats s;
	json_t *o;

	engine_get_stats(m->engine, &s);
	o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rules", (json_int_t)s.rules, "events",
		      (json_int_t)s.events, "accesses", (json_int_t)s.accesses, "alerts", (json_int_t)s.alerts,
		      "repeated", (json_int_t)s.repeated, "sums", (json_int_t)s.sums, "lost", (json_int_t)s.lost,
		      "queue", (json_int_t)s.depth);
	json_object_set_new(o, "outputs", outputs_status(m));
	return o;
}
