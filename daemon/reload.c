/* What is guarded, put in force anew: another configuration, another baseline, a container on a file system of its own.
 */
#include <errno.h>
#include <string.h>

#include "daemon/monitor.h"

/* Marks by conf and scope, in place of what was marked. */
static int guard_renew(struct monitor *m, struct conf *conf, const struct scope *scope)
{
	_cleanup_conf_ struct conf *guard = NULL;
	int r = guard_conf(conf, scope, drift_part_marked(m, conf), &guard);

	if (r == 0)
		r = watch_reload(m->watch, guard);
	if (r < 0)
		return r;
	conf_unref(m->guard);
	m->guard = TAKE_PTR(guard);
	return 0;
}

static struct conf *latest(const struct monitor *m)
{
	return m->latest ? m->latest : m->conf;
}

void monitor_remark(struct monitor *m)
{
	int r = guard_renew(m, latest(m), &m->scope);

	if (r < 0)
		log_error("a file system with layers of containers cannot be watched: %s", strerror(-r));
}

void monitor_rescope(struct monitor *m)
{
	struct arena arena = ARENA_INIT;
	struct scope scope = { 0 };

	if (store_read_scope(m, &arena, &scope) != 0 || guard_renew(m, latest(m), &scope) < 0) {
		log_error("what the new baseline guards could not be put in force; restart the monitor");
		arena_free(&arena);
		return;
	}
	arena_free(&m->scope_arena);
	m->scope_arena = arena;
	m->scope = scope;
	pipeline_look(m, "found after the baseline was replaced");
}

static int reload_apply(struct monitor *m, struct conf *conf, struct buf *err)
{
	/* Marks first, so that nothing falls between the old scope and the new one. */
	int r = guard_renew(m, conf, &m->scope);

	if (r == 0)
		r = live_reload(m->live, conf);
	if (r < 0) {
		buf_printf(err, "the new configuration could not be put in force: %s", strerror(-r));
		return r;
	}
	if (m->latest)
		conf_unref(m->latest);
	m->latest = conf_ref(conf);
	drift_part_reload(m, conf);
	return 0;
}

int monitor_reload(struct monitor *m, struct buf *err)
{
	_cleanup_(rules_unref_p) struct rules *rules = NULL;
	_cleanup_conf_ struct conf *conf = NULL;
	int r;

	if (!m->o->conf_file) {
		buf_str(err, "no configuration file was given");
		return -EINVAL;
	}
	r = conf_load(m->o->conf_file, &conf, err);
	if (r == 0)
		r = alerts_load(m, conf, &rules, err);
	if (r == 0)
		r = reload_apply(m, conf, err);
	if (r < 0)
		return r;
	alerts_reload(m, conf, rules);
	respond_reload(m->respond, conf);
	canary_reload(m->canary, m->watch, conf->limits.canary, conf->limits.canary_deadline);
	exec_part_policies(m, conf);
	exec_part_reload(m);
	pipeline_look(m, "found after the configuration was read again");
	log_info("configuration read again from %s", m->o->conf_file);
	fixed_report(m->conf, conf);
	return 0;
}
