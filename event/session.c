/* Sessions: names, and what is shown of one. No state; any thread. */
#include "event/session.h"

#include "event/json.h"
#include "lib/util.h"

const char *const session_op_names[SESSION_OP_COUNT] = {
	[SESSION_LOGIN] = "login",     [SESSION_LOGOUT] = "logout",
	[SESSION_OPEN] = "open",       [SESSION_CLOSE] = "close",
	[SESSION_SU] = "su",	       [SESSION_SUDO] = "sudo",
	[SESSION_BECOME] = "become",   [SESSION_PASSWORD] = "password",
	[SESSION_ACCOUNT] = "account",
};

static const char *const source_names[] = { "audit", "utmp", "processes" };

void session_text(struct buf *b, const struct event_session *s)
{
	if (s->by)
		buf_printf(b, "%s -> ", s->by);
	buf_str(b, s->account ? s->account : "?");
	if (s->tty)
		buf_printf(b, "  %s", s->tty);
	if (s->remote)
		buf_printf(b, "  from %s", s->remote);
	if (s->program)
		buf_printf(b, "  by %s", s->program);
	if (s->command)
		buf_printf(b, "  %s", s->command);
}

json_t *session_json(const struct event_session *s)
{
	json_t *o = json_object(), *sources = json_array();

	json_object_set_new(o, "result", json_string(s->failed ? "failed" : "success"));
	json_put_string(o, "account", s->account);
	json_put_string(o, "by", s->by);
	json_put_string(o, "tty", s->tty);
	json_put_string(o, "remote", s->remote);
	json_put_string(o, "program", s->program);
	json_put_string(o, "command", s->command);
	if (s->has_session)
		json_object_set_new(o, "session", json_integer(s->session));
	if (s->failures)
		json_object_set_new(o, "failures", json_integer(s->failures));
	for (unsigned i = 0; i < ARRAY_SIZE(source_names); i++)
		if (s->sources & 1u << i)
			json_array_append_new(sources, json_string(source_names[i]));
	json_object_set_new(o, "sources", sources);
	return o;
}

static const char *copy_text(struct arena *a, const char *s)
{
	return s && *s ? arena_strdup(a, s) : NULL;
}

const struct event_session *session_copy(struct arena *a, const struct event_session *s)
{
	struct event_session *copy = arena_dup(a, s, sizeof(*s));

	if (!copy)
		return NULL;
	copy->account = copy_text(a, s->account);
	copy->by = copy_text(a, s->by);
	copy->tty = copy_text(a, s->tty);
	copy->remote = copy_text(a, s->remote);
	copy->program = copy_text(a, s->program);
	copy->command = copy_text(a, s->command);
	return copy;
}

static const char *get_text(struct arena *a, const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s && *s ? arena_strdup(a, s) : NULL;
}

static unsigned get_sources(const json_t *list)
{
	unsigned sources = 0;

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));

		for (unsigned k = 0; name && k < ARRAY_SIZE(source_names); k++)
			sources |= (unsigned)streq(name, source_names[k]) << k;
	}
	return sources;
}

const struct event_session *session_parse(struct arena *a, const char *json, enum session_op op, bool failed)
{
	struct event_session *s = arena_zalloc(a, sizeof(*s));
	json_t *o = json_loads(json, 0, NULL);

	if (!s || !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	*s = (struct event_session){
		.op = op,
		.failed = failed,
		.account = get_text(a, o, "account"),
		.by = get_text(a, o, "by"),
		.tty = get_text(a, o, "tty"),
		.remote = get_text(a, o, "remote"),
		.program = get_text(a, o, "program"),
		.command = get_text(a, o, "command"),
		.has_session = json_is_integer(json_object_get(o, "session")),
		.session = (uint32_t)json_integer_value(json_object_get(o, "session")),
		.failures = (uint32_t)json_integer_value(json_object_get(o, "failures")),
		.sources = get_sources(json_object_get(o, "sources")),
	};
	json_decref(o);
	return s;
}
