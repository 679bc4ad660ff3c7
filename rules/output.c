/*
 * Output templates: text with %field and %field[argument]. What is printed is escaped: no byte of a file name reaches a
 * terminal. Compiling runs on the thread that loads rules, the rest on the one that owns the state.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "event/json.h"
#include "lib/text.h"
#include "rules/compile.h"

/* Length of the field's name and argument at s (behind the %). */
static size_t field_length(const char *s, size_t *ret_name)
{
	size_t n = 0, end;

	while (isalnum((unsigned char)s[n]) || s[n] == '_' || s[n] == '.')
		n++;
	while (n && s[n - 1] == '.')
		n--; /* the end of a sentence */
	*ret_name = n;
	if (s[n] != '[')
		return n;
	end = strcspn(s + n, "]");
	return s[n + end] ? n + end + 1 : n;
}

struct parts {
	struct compiler *c;
	const struct source *s;
	struct output_part *list;
	size_t n, room;
	bool bad;
};

static void add_field(struct parts *p, const char *text, size_t text_len, size_t at, size_t name_len, size_t len)
{
	struct operand o = { .at = at };
	const char *s = p->s->text + at;
	struct output_part *part = &p->list[p->n++];

	o.field = arena_strndup(p->c->a, s, name_len);
	if (len > name_len)
		o.arg = arena_strndup(p->c->a, s + name_len + 1, len - name_len - 2);
	part->text = text;
	part->len = (uint32_t)text_len;
	part->name = arena_strndup(p->c->a, s, len);
	if (!o.field || (len > name_len && !o.arg) || !part->name) {
		p->c->error = -ENOMEM;
		p->bad = true;
		return;
	}
	part->ref = compile_ref(p->c, p->s, &o, NULL);
	p->bad |= part->ref == NO_REF;
}

static size_t count_percent(const char *s)
{
	size_t n = 0;

	for (; (s = strchr(s, '%')); s++)
		n++;
	return n;
}

bool compile_output(struct compiler *c, const struct source *s, struct rule_code *ret)
{
	struct parts p = { .c = c, .s = s };
	size_t start = s->text[0] == '*', at = start;

	p.list = arena_zalloc(c->a, (count_percent(s->text) + 1) * sizeof(*p.list));
	if (!p.list) {
		c->error = -ENOMEM;
		return false;
	}
	while (s->text[at]) {
		size_t name = 0, len = 0;

		if (s->text[at] == '%')
			len = field_length(s->text + at + 1, &name);
		if (!len) {
			at++;
			continue;
		}
		add_field(&p, s->text + start, at - start, at + 1, name, len);
		at += len + 1;
		start = at;
	}
	p.list[p.n++] = (struct output_part){ .text = s->text + start, .len = (uint32_t)(at - start), .ref = NO_REF };
	ret->output = p.list;
	ret->n_output = p.n;
	return !p.bad;
}

static const struct field_value *output_value(struct rules_state *s, struct field_view *v, uint32_t ref)
{
	return rules_value(s, v, ref);
}

static void begin(struct rules_state *s, struct field_view *v, enum face face)
{
	v->face = face;
	s->generation++;
}

void rule_output(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule, struct buf *b)
{
	begin(s, v, face);
	for (size_t i = 0; i < rule->code->n_output; i++) {
		const struct output_part *part = &rule->code->output[i];

		text_sanitize(b, part->text, part->len);
		if (part->ref != NO_REF)
			field_print(b, s->refs[part->ref].field.info, output_value(s, v, part->ref));
	}
}

static json_t *field_json(const struct field_info *info, const struct field_value *value)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (!value->n)
		return json_null();
	if (info->type == FIELD_NUMBER)
		return json_integer(value->items[0].number);
	if (info->type == FIELD_BOOL)
		return json_boolean(value->items[0].number);
	field_print(&b, info, value);
	return b.failed || !b.data ? json_string("") : json_stringn(b.data, b.len);
}

json_t *rule_output_fields(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule)
{
	json_t *o = json_object();

	begin(s, v, face);
	json_object_set_new(o, "evt.time", json_time(v->event->time));
	for (size_t i = 0; i < rule->code->n_output; i++) {
		const struct output_part *part = &rule->code->output[i];

		if (part->ref != NO_REF)
			json_object_set_new(o, part->name,
					    field_json(s->refs[part->ref].field.info, output_value(s, v, part->ref)));
	}
	return o;
}

/* --- what the condition looked at */

#define TOLD_VALUE_MAX 1024 /* bytes */

/* Of the event alone: what the process, its user and its container are stands in their own rows. */
static bool is_of_event(const struct field_info *info)
{
	static const char *const kept[] = { "proc.", "user.", "group.", "container.", "k8s." };

	if (info->type == FIELD_NUMBER || info->type == FIELD_BOOL)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (strncmp(info->name, kept[i], strlen(kept[i])) == 0)
			return false;
	return true;
}

struct looked {
	struct field_view *view;
	json_t *values;
};

static void put_looked(const struct field_ref *ref, void *data)
{
	const struct looked *l = data;
	_cleanup_buf_ struct buf name = BUF_INIT;
	struct field_value value;
	json_t *one;

	if (!is_of_event(ref->info))
		return;
	field_get(l->view, ref, &value);
	buf_printf(&name, ref->arg ? "%s[%s]" : "%s", ref->info->name, ref->arg);
	if (!value.n || name.failed)
		return;
	one = field_json(ref->info, &value);
	if (json_is_string(one) && json_string_length(one) > TOLD_VALUE_MAX)
		json_decref(one);
	else
		json_object_set_new(l->values, name.data, one);
}

json_t *rule_condition_fields(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule)
{
	struct looked l = { v, json_object() };

	begin(s, v, face);
	rule_each_field(rule, put_looked, &l);
	return l.values;
}
