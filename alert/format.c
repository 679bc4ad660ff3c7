/* Alerts as text. */
#include "alert/format.h"

#include <ctype.h>
#include <string.h>

#include "event/json.h"
#include "lib/text.h"

#define ECS_VERSION "8.11.0"

void alert_message(struct buf *b, const struct alert *a)
{
	char time[TEXT_TIME_MAX];

	text_time(time, a->time, 9);
	buf_printf(b, "%.18s: %s %s", time + strlen("2026-01-31T"), priority_names[a->priority], a->output);
}

static json_t *json_tags(const struct alert *a)
{
	json_t *tags = json_array();

	for (size_t i = 0; i < a->n_tags; i++)
		json_array_append_new(tags, json_string(a->tags[i]));
	return tags;
}

/* --- Falco: falcosidekick and dashboards take it as it is */

static json_t *format_falco(const struct alert *a, const char *host)
{
	_cleanup_buf_ struct buf message = BUF_INIT;
	json_t *o = json_object();

	alert_message(&message, a);
	json_put_string(o, "uuid", a->id);
	json_put_string(o, "output", message.failed ? "" : message.data);
	json_put_string(o, "priority", priority_names[a->priority]);
	json_put_string(o, "rule", a->rule);
	json_put_string(o, "source", a->source);
	json_object_set_new(o, "tags", json_tags(a));
	json_object_set_new(o, "time", json_time(a->time));
	json_put_string(o, "hostname", host);
	json_object_set(o, "output_fields", a->fields);
	if (a->suppressed)
		json_object_set_new(o, "suppressed", json_u64(a->suppressed));
	return o;
}

/* --- Elastic Common Schema */

static json_t *ecs_user(uint32_t uid)
{
	json_t *o = json_object();
	char id[16];

	snprintf(id, sizeof(id), "%u", uid);
	json_put_string(o, "id", id);
	json_put_string(o, "name", user_name(uid));
	return o;
}

static void ecs_process_names(json_t *o, const struct process *p)
{
	json_object_set_new(o, "pid", json_integer(p->pid));
	json_put_string(o, "name", process_name(p));
	if (p->known & PROCESS_EXE)
		json_put_string(o, "executable", p->exe);
}

static json_t *ecs_process(const struct process *p)
{
	json_t *o = json_object(), *parent;
	_cleanup_buf_ struct buf line = BUF_INIT;

	ecs_process_names(o, p);
	for (uint32_t i = 0; p->known & PROCESS_CMDLINE && i < p->cmdline_len; i++)
		buf_char(&line, p->cmdline[i] || i + 1 == p->cmdline_len ? p->cmdline[i] : ' ');
	if (line.len && !line.failed)
		json_put_bytes(o, "command_line", line.data, strnlen(line.data, line.len));
	if (p->known & PROCESS_CWD)
		json_put_string(o, "working_directory", p->cwd);
	if (p->parent) {
		parent = json_object();
		ecs_process_names(parent, p->parent);
		json_object_set_new(o, "parent", parent);
	}
	return o;
}

/* "T1053.003", as MITRE numbers techniques. */
static bool is_technique(const char *tag)
{
	size_t n = tag[0] == 'T' ? strspn(tag + 1, "0123456789.") : 0;

	return n >= 4 && !tag[1 + n];
}

static json_t *ecs_threat(const struct alert *a)
{
	json_t *ids = json_array();

	for (size_t i = 0; i < a->n_tags; i++) {
		if (is_technique(a->tags[i]))
			json_array_append_new(ids, json_string(a->tags[i]));
	}
	return json_pack("{s:s, s:{s:o}}", "framework", "MITRE ATT&CK", "technique", "id", ids);
}

static json_t *format_ecs(const struct alert *a, const char *host)
{
	const struct event *e = a->event;
	const struct process *p = e->process;
	json_t *o = json_object(), *event = json_object();

	json_object_set_new(o, "@timestamp", json_time(a->time));
	json_object_set_new(o, "ecs", json_pack("{s:s}", "version", ECS_VERSION));
	json_put_string(event, "id", a->id);
	json_put_string(event, "kind", "alert");
	json_put_string(event, "module", "holdfast");
	json_put_string(event, "dataset", "holdfast.alerts");
	json_object_set_new(event, "category",
			    json_pack("[s]", e->kind == EVENT_EXEC ? "process"
					     : e->path		   ? "file"
								   : "host"));
	json_object_set_new(event, "severity", json_integer(a->priority));
	json_object_set_new(o, "event", event);
	json_object_set_new(o, "rule", json_pack("{s:s}", "name", a->rule));
	json_put_string(o, "message", a->output);
	json_object_set_new(o, "log", json_pack("{s:s}", "level", priority_names[a->priority]));
	json_object_set_new(o, "host", json_pack("{s:s}", "name", host));
	json_object_set_new(o, "tags", json_tags(a));
	json_object_set_new(o, "threat", ecs_threat(a));
	if (e->path) {
		event = json_object();
		json_put_string(event, "path", e->path);
		json_object_set_new(o, "file", event);
	}
	if (p)
		json_object_set_new(o, "process", ecs_process(p));
	if (p && p->known & PROCESS_IDS)
		json_object_set_new(o, "user", ecs_user(p->uid));
	if (a->container && !streq(a->container, "host"))
		json_object_set_new(o, "container", json_pack("{s:s}", "id", a->container));
	event = json_pack("{s:O}", "output_fields", a->fields);
	if (a->suppressed)
		json_object_set_new(event, "suppressed", json_u64(a->suppressed));
	json_object_set_new(o, "holdfast", event);
	return o;
}

/* --- */

void alert_format(struct buf *b, const struct alert *a, enum conf_format format, const char *host)
{
	json_t *o;

	if (format == CONF_FORMAT_TEXT) {
		alert_message(b, a);
		return;
	}
	o = format == CONF_FORMAT_ECS ? format_ecs(a, host) : format_falco(a, host);
	json_line(b, o);
	json_decref(o);
}
