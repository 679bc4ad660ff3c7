/*
 * holdfast explain PATH: why a path is guarded or not, with which attributes, what the baseline has for it and what
 * history says. One thread; reads only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/explain.h"
#include "conf/scope.h"
#include "db/history.h"
#include "event/json.h"
#include "lib/text.h"

#define EXPLAIN_EVENTS 5

struct explain_options {
	const char *baseline;
};

#define AT(member) offsetof(struct explain_options, member)
static const struct cmd_option explain_rows[] = {
	{ "baseline", 0, OPTION_STRING, "NAME", "the baseline that is asked (default: host)", AT(baseline) },
};

static const char *const answers[] = {
	[SCOPE_OUT] = "not guarded: no configured path holds it",
	[SCOPE_ABOVE] = "not guarded itself: a folder on the way to something that is",
	[SCOPE_IN] = "guarded",
	[SCOPE_EXCLUDED] = "left out by a pattern",
};

/* Which row of the scope decides: asked one at a time, the longest that holds the path wins. */
static const struct scope_path *deciding_path(const struct scope *s, const char *path)
{
	const struct scope_path *best = NULL;

	for (size_t i = 0; i < s->n_paths; i++) {
		struct scope one = { .paths = &s->paths[i], .n_paths = 1 };
		attr_mask mask;

		if (scope_match(&one, path, &mask) == SCOPE_IN &&
		    (!best || strlen(s->paths[i].path) > strlen(best->path)))
			best = &s->paths[i];
	}
	return best;
}

static const char *deciding_pattern(const struct scope *s, const struct scope_path *in, const char *path)
{
	struct scope_path copy = *in;

	for (size_t i = 0; i < s->n_exclude; i++) {
		struct scope one = { .paths = &copy, .n_paths = 1, .exclude = &s->exclude[i], .n_exclude = 1 };
		attr_mask mask;

		if (scope_match(&one, path, &mask) == SCOPE_EXCLUDED)
			return s->exclude[i];
	}
	return NULL;
}

struct explain {
	struct cmd *c;
	const char *path;
	json_t *json; /* NULL: text */
	struct table table;
	uint64_t events;
};

static void explain_fact(struct explain *x, const char *key, const char *value)
{
	if (!value)
		return;
	if (x->json) {
		json_put_string(x->json, key, value);
		return;
	}
	table_cell(&x->table, key);
	table_cell(&x->table, value);
}

/* Already escaped values (attributes' own text). */
static void explain_value(struct explain *x, const char *key, const char *value)
{
	table_cell(&x->table, key);
	table_cell_colour(&x->table, value, COLOUR_NONE);
}

static void explain_scope(struct explain *x, const struct scope *s)
{
	attr_mask mask = 0;
	enum scope_answer answer = scope_match(s, x->path, &mask);
	const struct scope_path *by = deciding_path(s, x->path);
	_cleanup_buf_ struct buf names = BUF_INIT;

	explain_fact(x, "answer", answers[answer]);
	if (by)
		explain_fact(x, "configured path", by->path);
	if (answer == SCOPE_EXCLUDED && by)
		explain_fact(x, "pattern", deciding_pattern(s, by, x->path));
	if (answer == SCOPE_IN) {
		attr_mask_text(&names, mask);
		explain_fact(x, "attributes", names.data);
	}
}

static void explain_record(struct explain *x, const struct record *r)
{
	if (x->json) {
		json_object_set_new(x->json, "before", attr_json(r, ATTR_ALL));
		return;
	}
	for (unsigned a = 0; a < ATTR_COUNT; a++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		if (!(r->have & ATTR_BIT(a)))
			continue;
		attr_table[a].format(&b, r);
		if (b.len)
			explain_value(x, attr_table[a].name, b.data);
	}
	if (record_unread_text(r->unread))
		explain_value(x, "unread", record_unread_text(r->unread));
}

static int explain_baseline(struct explain *x, struct db *d, const char *name)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_(baseline_reader_free_p) struct baseline_reader *reader = NULL;
	_cleanup_json_ json_t *scope_json = NULL;
	struct baseline_info info;
	struct scope scope = { 0 };
	struct record rec;
	attr_mask mask;
	int r = baseline_find(d, name, &arena, &info);

	if (r == -ENOENT) {
		explain_fact(x, "baseline", "there is none");
		return 0;
	}
	if (!r)
		r = baseline_reader_new(d, info.id, &reader);
	if (r)
		return r;
	explain_fact(x, "baseline", info.name);
	scope_json = json_loads(info.scope, 0, NULL);
	if (scope_json && !scope_from_json(&arena, scope_json, &scope) &&
	    scope_match(&scope, x->path, &mask) != SCOPE_IN)
		explain_fact(x, "in the baseline", "not within what it was taken of");
	r = baseline_lookup(reader, x->path, &arena, &rec);
	if (r == -ENOENT)
		explain_fact(x, "recorded", "no such file in it");
	else if (!r)
		explain_record(x, &rec);
	return r == -ENOENT ? 0 : r;
}

static int explain_event(struct event *e, void *data)
{
	struct explain *x = data;
	_cleanup_buf_ struct buf b = BUF_INIT;
	char day[TEXT_TIME_MAX];

	x->events++;
	if (x->json) {
		json_t *list = json_object_get(x->json, "events");

		if (!list) {
			list = json_array();
			json_object_set_new(x->json, "events", list);
		}
		return json_array_append_new(list, event_json(e)) ? -ENOMEM : 0;
	}
	text_time(day, e->time, 0);
	buf_printf(&b, "%.10s ", day);
	event_line(&b, e, x->c->out.colour);
	buf_str(&b, "\n");
	out_str(&x->c->out, "  ");
	out_str(&x->c->out, b.data ? b.data : "");
	return 0;
}

static int explain_run(struct explain *x, const char *baseline)
{
	struct cmd *c = x->c;
	struct history_filter filter = { .path = x->path, .limit = EXPLAIN_EVENTS };
	_cleanup_db_ struct db *d = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	explain_fact(x, "path", x->path);
	explain_scope(x, &c->conf->scope);
	explain_fact(x, "opens", conf_is_sensitive(c->conf, x->path) ? "reported: the path is sensitive" : NULL);
	r = db_open(&c->db, DB_READ, &d, &err);
	if (!r)
		r = explain_baseline(x, d, baseline);
	else
		explain_fact(x, "store", err.len ? err.data : strerror(-r));
	table_print(&x->table, &c->out, "");
	if (d && !r) {
		if (!x->json)
			out_str(&c->out, "latest in history\n");
		r = history_each(d, &filter, explain_event, x);
		if (!x->json && !x->events)
			out_str(&c->out, "  nothing\n");
	}
	if (d && r)
		return cmd_fail_db(r, d, "store");
	return 0;
}

/* A number is a row of history; a file of such a name is ./NAME. */
static bool explain_is_id(const char *arg, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(arg, &end, 10);
	return *arg >= '0' && *arg <= '9' && !*end && !errno;
}

static int explain(struct cmd *c)
{
	const struct explain_options *o = c->options;
	struct explain x = { .c = c };
	_cleanup_free_ char *path = NULL;
	int64_t id;
	int status;

	if (c->n_args != 1)
		return cmd_usage(c, "one PATH or ALERT wanted");
	status = cmd_load(c);
	if (status)
		return status;
	if (explain_is_id(c->args[0], &id))
		return explain_alert(c, id);
	path = cmd_absolute(c->args[0], false);
	if (!path)
		return cmd_fail(-ENOMEM, NULL, "explain");
	x.path = path;
	x.json = c->json ? json_object() : NULL;
	table_init(&x.table, NULL, 2, 0);
	status = explain_run(&x, o->baseline ? o->baseline : "host");
	table_free(&x.table);
	if (x.json)
		out_json(&c->out, x.json);
	return status;
}

const struct command command_explain = {
	.name = "explain",
	.usage = "PATH [--baseline NAME] | ALERT | ACTION",
	.summary = "why a path is guarded or not and what happened to it; why an alert was raised",
	.details =
		"An ALERT is its number in history: the rule that raised it, the values it saw, who did it, what was "
		"done about it,\n"
		"and the narrowest exception that would silence it, tried on history. Of an ACTION the alert that it "
		"answers.\n"
		"A file of such a name is ./NAME.\n",
	.options = explain_rows,
	.n_options = ARRAY_SIZE(explain_rows),
	.options_size = sizeof(struct explain_options),
	.run = explain,
};
