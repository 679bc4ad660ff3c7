/*
 * The roles in the monitor: inspect is made and ended here, the outputs have a sink each. Their failures become gaps,
 * told on the thread that asked.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "daemon/monitor.h"

void roles_told(struct monitor *m, const char *scope, bool failing, const char *why, const char *meanwhile)
{
	char detail[160];

	if (failing) {
		snprintf(detail, sizeof(detail), "%s; %s", why, meanwhile);
		log_warn("%s: %s", scope, detail);
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, scope, detail, 0, 0);
		return;
	}
	gapbook_end(m->gaps, GAP_WEAK_SENSOR, scope, "it is asked again");
}

static void inspect_told(const char *name _unused_, bool failing, const char *why, void *data)
{
	roles_told(data, "process inspect", failing, why, "types of content are unknown");
}

/* Nothing is started before there is something to ask. */
int inspect_part_start(struct monitor *m)
{
	const struct role_options o = { .name = "inspect", .spawner = m->spawner, .told = inspect_told, .data = m };
	struct role *role;

	if (role_new(&o, &role) < 0)
		return EX_OSERR;
	if (mime_new_role(role, &m->mime) == 0)
		return 0;
	role_free(role);
	return EX_OSERR;
}

void inspect_part_stop(struct monitor *m)
{
	if (!m->left_behind)
		mime_free(TAKE_PTR(m->mime));
}

json_t *roles_status_one(const struct role_stats *s)
{
	json_t *o = json_pack("{s:s, s:b, s:I, s:I}", "role", s->name, "running", (int)(s->pid != 0), "starts",
			      (json_int_t)s->starts, "failures", (json_int_t)s->failures);
	json_t *holds = json_array();

	if (s->pid)
		json_object_set_new(o, "pid", json_integer(s->pid));
	if (s->failures)
		json_object_set_new(o, "why", json_string(s->why));
	for (unsigned i = 0; i < ROLE_HOLDS_COUNT; i++)
		if (s->holds & (1u << i))
			json_array_append_new(holds, json_string(role_holds_names[i]));
	json_object_set_new(o, "holds", holds);
	return o;
}

json_t *inspect_status(struct monitor *m)
{
	struct role_stats s;

	return m->mime && mime_get_role(m->mime, &s) ? roles_status_one(&s) : json_null();
}
