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
