/*
 * holdfast explain ALERT: the rule that raised it, the values it saw, who did it, and the narrowest exception that
 * would silence it, tried on this node's history, and what was done about it; of an action the alert that it answers.
 * One thread; reads only. What history holds may be anything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alert/ruleset.h"
#include "cmd/explain.h"
#include "db/history.h"
#include "event/json.h"
#include "lib/text.h"
#include "rules/narrow.h"
#include "rules/sample.h"

#define ALERTS_MAX  100000 /* the newest, on which an exception is tried */
#define ACTIONS_MAX 1000   /* the first, that are shown */

struct explained {
	struct cmd *c;
	struct db *d, *other;	      /* other: for rows while rows are read */
	struct event *alert, *action; /* action: NULL unless that was asked for */
	struct rules *rules;	      /* of the configuration; NULL: they cannot be loaded */
	const struct rule *rule;      /* NULL: it is not among them by now */
	struct field_view *view;
	struct buf exception; /* items; empty: none can be written */
	struct buf file;      /* a rule file with it */
	struct rules *probe;
	struct rules_state *state;
	uint64_t seen, others, silenced; /* alerts: all, of this rule, of these what the exception fits */
};

static void explained_free(struct explained *x)
{
	event_unref(x->alert);
	event_unref(x->action);
	rules_state_free(x->state);
	rules_unref(x->probe);
	rules_unref(x->rules);
	field_view_free(x->view);
	buf_free(&x->exception);
	buf_free(&x->file);
	db_close(x->other);
	db_close(x->d);
}
#define _cleanup_explained_ __attribute__((cleanup(explained_free)))

/* --- rows */

/* A reference; NULL when history has no such row (any more). */
static int row_of(struct db *d, int64_t id, struct event **ret)
{
	int r = history_get(d, id, ret);

	if (r == 0)
		return 0;
	*ret = NULL;
	return r == -ENOENT ? 0 : r;
}

static int take_answered(struct event *e, void *data)
{
	*(int64_t *)data = e->ref;
	return e->ref != 0;
}

/* The alert that an action answers; after a restart others of the same response tell. */
static int alert_of_action(struct db *d, const struct event *action, struct event **ret)
{
	const struct history_filter same = { .response = action->response, .oldest_first = true };
	int64_t id = action->ref;
	int r = id || !action->response ? 0 : history_each(d, &same, take_answered, &id);

	return r < 0 ? r : row_of(d, id, ret);
}

/*
 * What was told counts only for what the row itself does not say: it was escaped for readers, and with a backslash in
 * it nobody knows what it was.
 */
static void keep_presets(struct explained *x, struct sample *s)
{
	size_t n = 0;

	field_view_begin(x->view, s->event);
	for (size_t i = 0; i < s->n_presets; i++) {
		const struct field_preset *p = &s->presets[i];
		struct field_ref ref = { .info = p->info, .arg = p->arg, .index = (uint32_t)atoi(p->arg ?: "0") };
		struct field_value value;
		bool escaped = false;

		field_get(x->view, &ref, &value);
		for (uint32_t k = 0; k < p->value.n && !escaped; k++) {
			const struct field_item *item = p->value.n == 1 ? &p->value.one : &p->value.items[k];

			escaped = item->s && memchr(item->s, '\\', item->len);
		}
		if (!value.n && !escaped)
			s->presets[n++] = *p;
	}
	s->n_presets = n;
}

/* The event an alert was raised for, with the values that were told then. An access has no row: the alert stands in. */
static int sample_of(struct explained *x, struct event *alert, struct sample *ret)
{
	_cleanup_json_ json_t *details = alert->details ? json_loads(alert->details, 0, NULL) : NULL;
	int r;

	*ret = (struct sample){ 0 };
	r = row_of(x->other, alert->ref, &ret->event);
	if (r < 0)
		return r;
	if (!ret->event)
		ret->event = event_ref(alert);
	r = sample_fields(ret, json_object_get(details, "output_fields"));
	if (r == 0)
		r = sample_fields(ret, json_object_get(details, "condition_fields"));
	if (r == 0)
		keep_presets(x, ret);
	return r;
}

/* --- the exception */

static int load_text(const struct buf *text, struct rules **ret)
{
	const struct rules_text t = { "exception", text->data, text->len };
	struct rules_messages m = { 0 };
	int r = text->failed ? -ENOMEM : rules_parse(&t, 1, ret, &m);

	if (r == -EINVAL)
		log_debug("%s", m.text.data);
	buf_free(&m.text);
	return r;
}

/* True: with the exception the event of the view would not be told. */
static bool is_silenced(struct explained *x)
{
	const struct rule *rule;

	return rules_eval(x->state, x->view, true, &rule, NULL, 1) == 0;
}

static int make_exception(struct explained *x)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	_cleanup_sample_ struct sample s = { 0 };
	char name[40];
	int r = sample_of(x, x->alert, &s);

	snprintf(name, sizeof(name), "alert_%lld", (long long)x->alert->id);
	if (r < 0)
		return r;
	sample_begin(&s, x->view);
	r = narrow_exception(x->view, name, &x->exception);
	if (r < 0)
		return r == -ENODATA ? 0 : r;
	narrow_probe(x->exception.data, &text);
	narrow_override(x->alert->reason ? x->alert->reason : "", x->exception.data, &x->file);
	r = load_text(&text, &x->probe);
	if (r == 0)
		x->state = rules_state_new(x->probe);
	if (r == 0 && !x->state)
		r = -ENOMEM;
	/* What does not do what it says is not shown. */
	if (r == -EINVAL || (r == 0 && !is_silenced(x)))
		buf_reset(&x->exception);
	return r == -EINVAL ? 0 : r;
}

static int try_alert(struct event *e, void *data)
{
	struct explained *x = data;
	_cleanup_sample_ struct sample s = { 0 };
	uint64_t count = MAX(e->count, 1u);
	int r;

	x->seen++;
	if (e->id == x->alert->id || !e->reason || !x->alert->reason || !streq(e->reason, x->alert->reason))
		return 0;
	x->others += count;
	if (!x->exception.len)
		return 0;
	r = sample_of(x, e, &s);
	if (r < 0)
		return r;
	sample_begin(&s, x->view);
	x->silenced += is_silenced(x) ? count : 0;
	return 0;
}

/* --- in words */

static void fact(struct table *t, const char *key, const char *value)
{
	if (!value)
		return;
	table_cell(t, key);
	table_cell(t, value);
}

/* Blanks of any kind become one. */
static void squeeze(struct buf *b, const char *s)
{
	for (bool blank = false; *s; s++) {
		bool is = *s == ' ' || *s == '\n' || *s == '\t' || *s == '\r';

		if (!is || !blank)
			buf_char(b, is ? ' ' : *s);
		blank = is;
	}
}

static void say_lineage(struct table *t, const struct process *p)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	const struct process *line[PROCESS_DEPTH_MAX + 1];
	size_t n = 0;

	for (; p && n < ARRAY_SIZE(line); p = p->parent)
		line[n++] = p;
	for (size_t i = n; i > 0; i--) {
		const char *name = process_name(line[i - 1]);

		buf_printf(&b, "%s(%d)%s", name ? name : "?", line[i - 1]->pid, i > 1 ? " > " : "");
	}
	if (n && !b.failed)
		fact(t, "lineage", b.data);
}

static void say_rule(struct explained *x, struct table *t)
{
	_cleanup_buf_ struct buf where = BUF_INIT, condition = BUF_INIT;
	const struct rule *rule = x->rule;

	fact(t, "rule", x->alert->reason);
	fact(t, "priority", priority_names[x->alert->priority]);
	if (!rule) {
		fact(t, "defined",
		     x->rules ? "not in the configuration any more"
			      : "the rules of the configuration cannot be loaded");
		return;
	}
	buf_printf(&where, "%s:%u%s", rule->file, rule->line, rule->enabled ? "" : " (off)");
	squeeze(&condition, rule->condition);
	fact(t, "defined", where.failed ? NULL : where.data);
	fact(t, "description", rule->desc);
	fact(t, "condition", condition.failed ? NULL : condition.data);
}

struct values {
	struct explained *x;
	struct table *table;
	json_t *json;
	const json_t *told; /* what the alert said */
};

static void put_value(const struct values *v, const char *name, const char *value)
{
	if (v->json)
		json_put_string(v->json, name, value);
	else
		fact(v->table, name, value);
}

static void put_field(const struct field_ref *ref, void *data)
{
	const struct values *v = data;
	_cleanup_buf_ struct buf name = BUF_INIT, text = BUF_INIT;
	struct field_value value;

	buf_printf(&name, ref->arg ? "%s[%s]" : "%s", ref->info->name, ref->arg);
	if (name.failed || json_object_get(v->told, name.data))
		return;
	field_get(v->x->view, ref, &value);
	if (!value.n)
		return;
	field_print(&text, ref->info, &value);
	if (!text.failed)
		put_value(v, name.data, text.data ? text.data : "");
}

/* What the alert told, then what else of the rule's condition history still knows. */
static int put_values(struct values *v)
{
	_cleanup_json_ json_t *details = v->x->alert->details ? json_loads(v->x->alert->details, 0, NULL) : NULL;
	_cleanup_sample_ struct sample s = { 0 };
	const char *key;
	json_t *one;
	int r = sample_of(v->x, v->x->alert, &s);

	if (r < 0)
		return r;
	v->told = json_object_get(details, "output_fields");
	json_object_foreach((json_t *)(uintptr_t)v->told, key, one)
	{
		_cleanup_free_ char *text = json_is_string(one) ? strdup(json_string_value(one))
								: json_dumps(one, JSON_ENCODE_ANY | JSON_COMPACT);

		put_value(v, key, json_is_null(one) ? "<NA>" : text);
	}
	sample_begin(&s, v->x->view);
	if (v->x->rule)
		rule_each_field(v->x->rule, put_field, v);
	return 0;
}

/* --- what was done about it */

static void say_action(struct table *t, const struct event *e)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char time[TEXT_TIME_MAX];

	text_time(time, e->time, 3);
	buf_printf(&b, "%s, %s", action_result_names[e->result], time);
	if (e->response)
		buf_printf(&b, ", response %llu", (unsigned long long)e->response);
	if (e->cause)
		buf_printf(&b, " of ladder %s", e->cause);
	if (e->text)
		buf_printf(&b, ": %s", e->text);
	if (b.failed)
		return;
	table_printf(t, "%lld %s", (long long)e->id, action_names[e->action]);
	table_cell(t, b.data);
}

struct actions {
	struct table *table;
	json_t *list;
	size_t n;
};

static int take_action(struct event *e, void *data)
{
	struct actions *a = data;

	a->n++;
	if (a->list)
		json_array_append_new(a->list, event_json(e));
	else
		say_action(a->table, e);
	return 0;
}

static int say_actions(struct explained *x)
{
	const struct history_filter f = { .answers = x->alert->id, .limit = ACTIONS_MAX, .oldest_first = true };
	_cleanup_table_ struct table t = TABLE_INIT;
	struct actions a = { .table = &t };
	int r;

	table_init(&t, NULL, 2, 0);
	r = history_each(x->d, &f, take_action, &a);
	if (a.n)
		out_str(&x->c->out, "\nwhat was done about it:\n");
	table_print(&t, &x->c->out, "  ");
	return r < 0 ? r : 0;
}

static int json_actions(struct explained *x, json_t *o)
{
	const struct history_filter f = { .answers = x->alert->id, .limit = ACTIONS_MAX, .oldest_first = true };
	struct actions a = { .list = json_array() };
	int r = history_each(x->d, &f, take_action, &a);

	json_object_set_new(o, "actions", a.list);
	return r < 0 ? r : 0;
}

/* --- in words, and as JSON */

static void say_exception(struct explained *x, struct out *o)
{
	if (!x->exception.len) {
		out_str(o, "\nno exception can be written for it: too little is known of it\n");
		return;
	}
	out_str(o, "\nthe narrowest exception:\n");
	out_str(o, x->file.failed ? "" : x->file.data);
	out_printf(o, "\nof the %llu other alerts of this rule in %shistory it fits %llu\n",
		   (unsigned long long)x->others, x->seen == ALERTS_MAX ? "the newest part of " : "",
		   (unsigned long long)x->silenced);
}

static int say_text(struct explained *x)
{
	_cleanup_table_ struct table t = TABLE_INIT;
	struct values values = { .x = x, .table = &t };
	struct out *o = &x->c->out;
	char time[TEXT_TIME_MAX];
	int r;

	table_init(&t, NULL, 2, 0);
	if (x->action) {
		say_action(&t, x->action);
		table_printf(&t, "answers alert");
		table_printf(&t, "%lld", (long long)x->alert->id);
	}
	text_time(time, x->alert->time, 3);
	fact(&t, "time", time);
	say_rule(x, &t);
	fact(&t, "output", x->alert->text);
	say_lineage(&t, x->alert->process);
	r = put_values(&values);
	table_print(&t, o, "");
	if (r == 0)
		r = say_actions(x);
	if (r == 0)
		say_exception(x, o);
	return r;
}

static int say_json(struct explained *x)
{
	struct values values = { .x = x, .json = json_object() };
	json_t *o = json_object(), *rule = json_object();
	int r = put_values(&values);

	if (x->action)
		json_object_set_new(o, "action", event_json(x->action));
	json_object_set_new(o, "alert", event_json(x->alert));
	json_put_string(rule, "name", x->alert->reason);
	if (x->rule) {
		json_put_string(rule, "file", x->rule->file);
		json_object_set_new(rule, "line", json_integer(x->rule->line));
		json_put_string(rule, "description", x->rule->desc);
		json_put_string(rule, "condition", x->rule->condition);
	}
	json_object_set_new(o, "rule", rule);
	json_object_set_new(o, "fields", values.json);
	if (x->exception.len && !x->file.failed)
		json_put_string(o, "exception", x->file.data);
	json_object_set_new(o, "others", json_u64(x->others));
	json_object_set_new(o, "silenced", json_u64(x->silenced));
	if (r == 0)
		r = json_actions(x, o);
	out_json(&x->c->out, o);
	return r;
}

/* --- the command */

static void find_rule(struct explained *x)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;

	if (ruleset_load(x->c->conf, NULL, &x->rules, &messages) < 0) {
		x->rules = NULL;
		return;
	}
	for (size_t i = 0; i < rules_count(x->rules); i++)
		if (x->alert->reason && streq(rules_get(x->rules, i)->name, x->alert->reason))
			x->rule = rules_get(x->rules, i);
}

static int explain_found(struct explained *x)
{
	struct history_filter alerts = { .kinds = 1u << EVENT_ALERT, .limit = ALERTS_MAX };
	int r;

	find_rule(x);
	x->view = field_view_new();
	r = x->view ? make_exception(x) : -ENOMEM;
	if (r == 0)
		r = history_each(x->d, &alerts, try_alert, x);
	if (r == 0)
		r = x->c->json ? say_json(x) : say_text(x);
	return r < 0 && !x->c->out.error ? cmd_fail_db(r, x->d, "history") : 0;
}

int explain_alert(struct cmd *c, int64_t id)
{
	_cleanup_explained_ struct explained x = { .c = c };
	int status = cmd_open(c, DB_READ, &x.d), r;

	if (!status)
		status = cmd_open(c, DB_READ, &x.other);
	if (status)
		return status;
	r = row_of(x.d, id, &x.alert);
	if (r == 0 && x.alert && x.alert->kind == EVENT_ACTION) {
		x.action = TAKE_PTR(x.alert);
		r = alert_of_action(x.d, x.action, &x.alert);
	}
	if (r < 0)
		return cmd_fail_db(r, x.d, "history");
	if (x.alert && x.alert->kind == EVENT_ALERT)
		return explain_found(&x);
	if (x.action)
		log_error("%lld is an action whose alert history does not have", (long long)id);
	else if (x.alert)
		log_error("%lld is no alert but of kind %s", (long long)id, event_kind_names[x.alert->kind]);
	else
		log_error("history has nothing of the number %lld", (long long)id);
	return EX_NOINPUT;
}
