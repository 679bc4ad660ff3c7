/* Events as JSON objects: the stable keys that --json prints. No state; any thread. */
#include "event/event.h"
#include "event/json.h"
#include "lib/util.h"

/* A whole record where only one side is there or nothing is named, else the attributes that differ. */
static attr_mask event_shown(const struct event *e)
{
	return e->has_before && e->has_after && e->attributes ? e->attributes : ATTR_ALL;
}

/* Of the file as it is, or was. */
static void json_put_digest(json_t *o, const struct event *e)
{
	const struct record *r = e->has_after ? &e->after : e->has_before ? &e->before : NULL;

	if (r && r->have & ATTR_BIT(ATTR_DIGEST))
		json_object_set_new(o, "digest", attr_table[ATTR_DIGEST].json(r));
}

static void json_change(json_t *o, const struct event *e)
{
	json_object_set_new(o, "change", json_string(change_names[e->change]));
	json_object_set_new(o, "status", json_string(status_names[e->status]));
	if (e->attributes & ATTR_ALL)
		json_object_set_new(o, "attributes", attr_mask_json(e->attributes & ATTR_ALL));
	if (e->has_before)
		json_object_set_new(o, "before", attr_json(&e->before, event_shown(e)));
	if (e->has_after)
		json_object_set_new(o, "after", attr_json(&e->after, event_shown(e)));
	json_put_digest(o, e);
	json_put_string(o, "cause", e->cause);
}

static void json_gap(json_t *o, const struct event *e)
{
	json_object_set_new(o, "reason", json_string(gap_reason_names[e->gap_reason]));
	json_put_string(o, "scope", e->gap_scope);
	json_put_string(o, "detail", e->gap_detail);
	if (e->gap_from)
		json_object_set_new(o, "from", json_time(e->gap_from));
	if (e->gap_to)
		json_object_set_new(o, "to", json_time(e->gap_to));
	if (e->gap_lost)
		json_object_set_new(o, "lost", json_u64(e->gap_lost));
	json_put_string(o, "healed", e->gap_healed);
}

static void json_exec(json_t *o, const struct event *e)
{
	json_object_set_new(o, "verdict", json_string(exec_verdict_names[e->verdict]));
	json_put_string(o, "reason", e->reason);
	json_put_string(o, "cause", e->cause);
	if (e->exec_type != EXEC_TYPE_UNKNOWN)
		json_object_set_new(o, "type", json_string(exec_type_names[e->exec_type]));
	if (e->exec_ns)
		json_object_set_new(o, "duration_ns", json_u64(e->exec_ns));
	if (e->has_after)
		json_object_set_new(o, "after", attr_json(&e->after, ATTR_ALL));
	if (e->entry != ENTRY_NONE)
		json_object_set_new(o, e->entry == ENTRY_RUNTIME ? "container_exec" : "container_nsenter", json_true());
	json_put_digest(o, e);
}

static void json_details(json_t *o, const struct event *e)
{
	json_t *details = e->details ? json_loads(e->details, 0, NULL) : NULL;

	if (json_is_object(details))
		json_object_update_missing(o, details);
	json_decref(details);
}

/* What outputs send (details) beside what every event has. */
static void json_alert(json_t *o, const struct event *e)
{
	json_put_string(o, "rule", e->reason);
	json_object_set_new(o, "priority", json_string(priority_names[e->priority]));
	json_put_string(o, "output", e->text);
	json_details(o, e);
	if (e->repeated)
		json_object_set_new(o, "repeated", json_true());
	if (e->ref)
		json_object_set_new(o, "event", json_integer(e->ref));
}

static void json_action(json_t *o, const struct event *e)
{
	json_object_set_new(o, "action", json_string(action_names[e->action]));
	json_object_set_new(o, "result", json_string(action_result_names[e->result]));
	if (e->response)
		json_object_set_new(o, "response", json_u64(e->response));
	json_put_string(o, "rule", e->reason);
	json_put_string(o, "ladder", e->cause);
	if (e->ref)
		json_object_set_new(o, "alert", json_integer(e->ref));
}

static void json_connection(json_t *o, const struct event *e)
{
	json_object_set_new(o, "operation", json_string(socket_op_names[e->socket_op]));
	json_details(o, e);
}

static void json_session(json_t *o, const struct event *e)
{
	json_object_set_new(o, "operation", json_string(session_op_names[e->session_op]));
	json_details(o, e);
}

static void json_other(json_t *o, const struct event *e)
{
	json_put_string(o, "reason", e->reason);
}

static void (*const json_kinds[EVENT_KIND_COUNT])(json_t *o, const struct event *e) = {
	[EVENT_CHANGE] = json_change,	      [EVENT_OPEN] = json_other,      [EVENT_EXEC] = json_exec,
	[EVENT_ALERT] = json_alert,	      [EVENT_ACTION] = json_action,   [EVENT_GAP] = json_gap,
	[EVENT_ACCEPT] = json_other,	      [EVENT_NOTE] = json_other,      [EVENT_ACCESS] = json_other,
	[EVENT_CONNECTION] = json_connection, [EVENT_SESSION] = json_session,
};

json_t *event_json(const struct event *e)
{
	json_t *o = json_object();

	json_object_set_new(o, "time", json_time(e->time));
	json_object_set_new(o, "kind", json_string(event_kind_names[e->kind]));
	if (e->id)
		json_object_set_new(o, "id", json_integer(e->id));
	json_put_string(o, "path", e->path);
	json_put_string(o, "path2", e->path2);
	json_put_string(o, "host_path", e->host_path);
	json_kinds[e->kind](o, e);
	if (e->count > 1)
		json_object_set_new(o, "count", json_u64(e->count));
	if (e->process)
		json_object_set_new(o, "process", process_json(e->process));
	if (e->container)
		json_object_set_new(o, "container", container_json(e->container));
	json_put_string(o, "process_unknown", e->process ? NULL : e->process_why);
	json_put_string(o, "baseline", e->baseline);
	json_put_string(o, "user", e->user);
	if (e->kind != EVENT_ALERT)
		json_put_string(o,
				e->kind == EVENT_CHANGE ? "diff"
				: e->kind == EVENT_EXEC ? "environment"
							: "text",
				e->text);
	return o;
}
