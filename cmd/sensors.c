/* The table of sensors: what has to be there on this node for each. One thread; probes run in children. */
#include "cmd/sensors.h"

#include "cmd/probe.h"
#include "lib/util.h"

static bool opens_some(const struct conf *c)
{
	return c->opens != CONF_OPENS_OFF;
}

static bool opens_all(const struct conf *c)
{
	return c->opens == CONF_OPENS_ALL;
}

static bool bpf_wanted(const struct conf *c)
{
	return c->sensors.bpf != CONF_BPF_OFF;
}

static bool opens_told(const struct conf *c)
{
	return bpf_wanted(c) && opens_some(c);
}

static bool sessions_recorded(const struct conf *c)
{
	return c->users.record == CONF_YES && c->users.audit != CONF_AUDIT_OFF;
}

static bool starts_judged(const struct conf *c)
{
	return c->exec.mode != CONF_EXEC_OFF;
}

/* What the monitor has; the other sensors of the table are absent. */
static const struct sensor_probe {
	enum sensor sensor;
	const char *probe;			  /* of doctor's */
	bool (*configured)(const struct conf *c); /* NULL: always */
} sensor_probes[] = {
	{ SENSOR_CHANGES, "fanotify", NULL },
	{ SENSOR_OPENS_SENSITIVE, "fanotify", opens_some },
	{ SENSOR_OPENS, "fanotify", opens_all },
	{ SENSOR_OPENS_RULES, "opens", opens_told },
	{ SENSOR_EXEC, "proc connector", NULL },
	{ SENSOR_RUNTIME, "proc connector", NULL }, /* who is who is read from files; when, the connector tells */
	{ SENSOR_EXEC_BPF, "BPF", bpf_wanted },
	{ SENSOR_SYSCALL, "system calls", bpf_wanted },
	{ SENSOR_NETWORK, "network", bpf_wanted },
	{ SENSOR_LOOKS, "proc connector", NULL },
	{ SENSOR_SESSIONS, "audit records", sessions_recorded },
	{ SENSOR_PROC, "capabilities", NULL },
	{ SENSOR_LAYERS, "overlay events", NULL },
	{ SENSOR_TRUST, "permission events", starts_judged },
};

static bool probe_ok(const char *name)
{
	for (size_t i = 0; i < probe_count; i++) {
		struct probe_result result = { 0 };

		if (!streq(probe_table[i].name, name))
			continue;
		probe_run(&probe_table[i], &result);
		return result.answer == PROBE_OK;
	}
	return false;
}

sensor_mask sensors_of_node(const struct conf *conf)
{
	sensor_mask mask = SENSOR_BIT(SENSOR_BASELINE);
	const char *last = "";
	bool ok = false;

	for (size_t i = 0; i < ARRAY_SIZE(sensor_probes); i++) {
		const struct sensor_probe *p = &sensor_probes[i];

		/* Rows of one probe stand together: each is run once. */
		if (!streq(p->probe, last))
			ok = probe_ok(p->probe);
		last = p->probe;
		if (ok && (!p->configured || p->configured(conf)))
			mask |= SENSOR_BIT(p->sensor);
	}
	return mask;
}
