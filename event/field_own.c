/*
 * Getters of the fields that are not Falco's: baseline, digest, verdict. Run inside rule evaluation: no allocation, no
 * system call.
 */
#include <string.h>
#include <sys/stat.h>

#include "event/field_get.h"
#include "lib/util.h"

FIELD_GETTER(get_hf_kind)
{
	field_set_string(ret, event_kind_names[v->event->kind]);
}

FIELD_GETTER(get_hf_change)
{
	if (v->event->kind == EVENT_CHANGE)
		field_set_string(ret, change_names[v->event->change]);
}

FIELD_GETTER(get_hf_status)
{
	if (v->event->kind == EVENT_CHANGE)
		field_set_string(ret, status_names[v->event->status]);
}

FIELD_GETTER(get_hf_attribute)
{
	struct field_item *items = v->event->kind == EVENT_CHANGE ? field_items(v, ATTR_COUNT) : NULL;
	uint32_t n = 0;

	for (unsigned i = 0; items && i < ATTR_COUNT; i++) {
		const char *name = attr_table[i].name;

		if (v->event->attributes & ATTR_BIT(i))
			items[n++] = (struct field_item){ .s = name, .len = (uint32_t)strlen(name) };
	}
	ret->n = n;
	ret->items = items;
}

FIELD_GETTER(get_hf_baseline)
{
	field_set_string(ret, v->event->baseline);
}

FIELD_GETTER(get_hf_cause)
{
	field_set_string(ret, v->event->cause);
}

/* Of a rename both: a rule that guards a place means files that come to it and that leave it. */
FIELD_GETTER(get_hf_path)
{
	const struct event *e = v->event;
	bool both = (e->kind == EVENT_CHANGE || e->kind == EVENT_ACCESS) && e->change == CHANGE_RENAMED && e->path &&
		    e->path2;
	struct field_item *items = both ? field_items(v, 2) : NULL;

	field_set_string(ret, v->event->path);
	if (!items)
		return;
	items[0] = ret->one;
	items[1] = (struct field_item){ .s = e->path2, .len = (uint32_t)strlen(e->path2) };
	ret->items = items;
	ret->n = 2;
}

FIELD_GETTER(get_hf_path2)
{
	field_set_string(ret, v->event->path2);
}

static void put_digest(struct field_view *v, const struct record *r, struct field_value *ret)
{
	static const char digits[] = "0123456789abcdef";
	size_t len = r ? (size_t)r->digest_len * 2 : 0;
	char *s;

	if (!field_has(r, ATTR_DIGEST) || !len)
		return;
	s = field_room(v, &len);
	for (size_t i = 0; i < len / 2; i++) {
		s[2 * i] = digits[r->digest[i] >> 4];
		s[2 * i + 1] = digits[r->digest[i] & 15];
	}
	s[len] = '\0';
	field_set_bytes(ret, s, len);
}

FIELD_GETTER(get_hf_digest)
{
	if (v->event->has_after)
		put_digest(v, &v->event->after, ret);
}

FIELD_GETTER(get_hf_digest_before)
{
	if (v->event->has_before)
		put_digest(v, &v->event->before, ret);
}

FIELD_GETTER(get_hf_mode)
{
	const struct record *r = field_record(v);
	size_t len = 4;
	char *s;

	if (!field_has(r, ATTR_MODE))
		return;
	s = field_room(v, &len);
	for (size_t i = 0; i < len; i++)
		s[i] = (char)('0' + (r->mode >> (9 - 3 * i) & 7));
	s[len] = '\0';
	field_set_bytes(ret, s, len);
}

/* Of a regular file: set on a folder it only hands on the group. */
FIELD_GETTER(get_hf_setuid)
{
	const struct record *r = v->event->has_after ? &v->event->after : NULL;

	if (field_has(r, ATTR_MODE) && field_has(r, ATTR_TYPE))
		field_set_number(ret, r->type == 'f' && r->mode & (S_ISUID | S_ISGID));
}

FIELD_GETTER(get_hf_type)
{
	const struct record *r = field_record(v);

	if (field_has(r, ATTR_TYPE))
		field_set_bytes(ret, &r->type, 1);
}

FIELD_GETTER(get_hf_size)
{
	if (v->event->has_after && field_has(&v->event->after, ATTR_SIZE))
		field_set_number(ret, (int64_t)v->event->after.size);
}

FIELD_GETTER(get_hf_size_before)
{
	if (v->event->has_before && field_has(&v->event->before, ATTR_SIZE))
		field_set_number(ret, (int64_t)v->event->before.size);
}

FIELD_GETTER(get_hf_owner)
{
	const struct record *r = field_record(v);

	if (field_has(r, ATTR_UID))
		field_set_number(ret, r->uid);
}

FIELD_GETTER(get_hf_mime)
{
	const struct record *r = field_record(v);

	if (field_has(r, ATTR_MIME))
		field_set_string(ret, r->mime);
}

FIELD_GETTER(get_hf_reason)
{
	field_set_string(ret, v->event->reason);
}

FIELD_GETTER(get_hf_gap)
{
	if (v->event->kind == EVENT_GAP)
		field_set_string(ret, gap_reason_names[v->event->gap_reason]);
}

/* Not known of a program that was not judged. */
FIELD_GETTER(get_hf_trusted)
{
	if (v->event->kind == EVENT_EXEC && v->event->verdict != EXEC_UNJUDGED)
		field_set_number(ret, v->event->verdict == EXEC_ALLOWED);
}

FIELD_GETTER(get_hf_verdict)
{
	if (v->event->kind == EVENT_EXEC)
		field_set_string(ret, exec_verdict_names[v->event->verdict]);
}

FIELD_GETTER(get_hf_net_verdict)
{
	if (v->event->socket)
		field_set_string(ret, socket_verdict_names[v->event->socket->verdict]);
}

FIELD_GETTER(get_hf_net_policy)
{
	if (v->event->socket)
		field_set_string(ret, v->event->socket->policy);
}

static const struct event_socket *ended(const struct field_view *v)
{
	const struct event_socket *s = v->event->socket;

	return s && s->op == SOCKET_CLOSE ? s : NULL;
}

FIELD_GETTER(get_hf_net_sent)
{
	if (ended(v))
		field_set_number(ret, (int64_t)ended(v)->sent);
}

FIELD_GETTER(get_hf_net_received)
{
	if (ended(v))
		field_set_number(ret, (int64_t)ended(v)->received);
}

FIELD_GETTER(get_hf_net_open)
{
	if (ended(v) && ended(v)->open_ns)
		field_set_number(ret, (int64_t)ended(v)->open_ns);
}

FIELD_GETTER(get_hf_dns_name)
{
	if (v->event->socket)
		field_set_string(ret, v->event->socket->query);
}

FIELD_GETTER(get_hf_dns_type)
{
	if (v->event->socket)
		field_set_string(ret, v->event->socket->query_type);
}

FIELD_GETTER(get_hf_environment)
{
	if (v->event->kind == EVENT_EXEC && v->event->text && !streq(v->event->text, EVENT_ENVIRONMENT_UNKNOWN))
		field_set_string(ret, v->event->text);
}

FIELD_GETTER(get_hf_program)
{
	if (v->event->kind == EVENT_EXEC && v->event->exec_type != EXEC_TYPE_UNKNOWN)
		field_set_string(ret, exec_type_names[v->event->exec_type]);
}

FIELD_GETTER(get_hf_package)
{
	if (field_need(v, GROUP_PACKAGE))
		field_set_string(ret, v->extra.package);
}

FIELD_GETTER(get_hf_layer)
{
	if (field_need(v, GROUP_LAYER))
		field_set_string(ret, v->extra.layer);
}

FIELD_GETTER(get_hf_first_seen)
{
	if (field_need(v, GROUP_PACKAGE) && v->extra.first_seen)
		field_set_number(ret, (int64_t)v->extra.first_seen);
}
