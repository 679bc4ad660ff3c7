/*
 * Rules in the monitor: loaded at the start and on reload (main thread), asked about every event and every access
 * (thread "alert"); what they raise goes to history and to outputs.
 */
#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "alert/ruleset.h"
#include "daemon/monitor.h"

/* --- what the engine tells, on its thread */

static void alerts_store(struct event *e, void *data)
{
	pipeline_emit(e, data);
}

static void alerts_lost(bool losing, uint64_t lost, void *data)
{
	struct monitor *m = data;
	uint64_t keys[4];
	size_t n;

	if (losing) {
		gapbook_open(m->gaps, GAP_LIMIT, "rules", "more events than rules could be asked about", lost, 0);
		return;
	}
	n = gapbook_keys(m->gaps, GAP_LIMIT, "rules", keys, ARRAY_SIZE(keys));
	for (size_t i = 0; i < n; i++)
		gapbook_close(m->gaps, keys[i], "rules keep up again", 0);
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

int alerts_load(const struct conf *conf, struct rules **ret, struct buf *err)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	int r = ruleset_load(conf, ret, &messages);

	if (r < 0 && messages.len)
		keep_errors(&messages, err);
	else if (r < 0)
		buf_printf(err, "rules: %s", strerror(-r));
	return r;
}

void alerts_reload(struct monitor *m, const struct conf *conf, struct rules *rules)
{
	engine_reload(m->engine, conf, rules);
	calls_rules(m, rules);
}

/* --- part */

static int alerts_engine(struct monitor *m, struct rules *rules)
{
	const struct engine_options o = {
		.conf = m->conf,
		.rules = rules,
		.procfs = "/proc",
		.raised = respond_raised,
		.store = alerts_store,
		.lost = alerts_lost,
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
	int r = alerts_load(m->conf, &rules, &err);

	if (r < 0) {
		log_error("the rules cannot be used:\n%s", err.data ? err.data : strerror(-r));
		return r == -EINVAL ? EX_CONFIG : EX_OSERR;
	}
	r = alerts_engine(m, rules);
	if (r == 0)
		calls_rules(m, rules);
	return r;
}

void alerts_part_stop(struct monitor *m)
{
	struct engine *g;

	calls_stop(m);
	/* What the last events raise still goes to history: the engine ends outside of the lock that telling takes. */
	pthread_mutex_lock(&m->emit_lock);
	g = TAKE_PTR(m->engine);
	pthread_mutex_unlock(&m->emit_lock);
	engine_stop(g);
}

/* The sensor runs only while the engine does. */
void alerts_accesses(struct fs_batch *b, void *data)
{
	struct monitor *m = data;

	engine_accesses(m->engine, b);
}

json_t *alerts_status(struct monitor *m)
{
	struct engine_stats s;

	engine_get_stats(m->engine, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "rules", (json_int_t)s.rules, "events",
			 (json_int_t)s.events, "accesses", (json_int_t)s.accesses, "alerts", (json_int_t)s.alerts,
			 "repeated", (json_int_t)s.repeated, "sums", (json_int_t)s.sums, "lost", (json_int_t)s.lost,
			 "queue", (json_int_t)s.depth);
}
