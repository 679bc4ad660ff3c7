/*
 * Getters of sessions (event/session.h), and of the hour that the node's clock on the wall shows. Run inside rule
 * evaluation: no allocation, no system call but the first look at the time zone.
 */
#include <string.h>
#include <time.h>

#include "event/field_get.h"
#include "lib/util.h"

static const struct event_session *session(const struct field_view *v)
{
	return v->event->kind == EVENT_SESSION ? v->event->session : NULL;
}

FIELD_GETTER(get_hf_session)
{
	if (session(v))
		field_set_string(ret, session_op_names[session(v)->op]);
}

FIELD_GETTER(get_hf_session_failed)
{
	if (session(v))
		field_set_number(ret, session(v)->failed);
}

FIELD_GETTER(get_hf_session_failures)
{
	if (session(v))
		field_set_number(ret, session(v)->failures);
}

#define SESSION_STRING(name, member)                                                                                   \
	FIELD_GETTER(name)                                                                                             \
	{                                                                                                              \
		if (session(v))                                                                                        \
			field_set_string(ret, session(v)->member);                                                     \
	}
SESSION_STRING(get_hf_session_account, account)
SESSION_STRING(get_hf_session_by, by)
SESSION_STRING(get_hf_session_tty, tty)
SESSION_STRING(get_hf_session_remote, remote)
SESSION_STRING(get_hf_session_program, program)
SESSION_STRING(get_hf_session_command, command)

static bool local_time(const struct field_view *v, struct tm *ret)
{
	time_t t = (time_t)(v->event->time / NSEC_PER_SEC);

	return v->event->time && localtime_r(&t, ret);
}

FIELD_GETTER(get_hf_hour)
{
	struct tm tm;

	if (local_time(v, &tm))
		field_set_number(ret, tm.tm_hour);
}

FIELD_GETTER(get_hf_weekday)
{
	static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };
	struct tm tm;

	if (local_time(v, &tm) && (size_t)tm.tm_wday < ARRAY_SIZE(days))
		field_set_string(ret, days[tm.tm_wday]);
}

FIELD_GETTER(get_hf_container_exec)
{
	if (v->event->kind == EVENT_EXEC && v->event->container)
		field_set_number(ret, v->event->entry == ENTRY_RUNTIME);
}

FIELD_GETTER(get_hf_container_nsenter)
{
	if (v->event->kind == EVENT_EXEC && v->event->container)
		field_set_number(ret, v->event->entry == ENTRY_NAMESPACES);
}
