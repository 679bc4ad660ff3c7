/*
 * holdfast rules: check rule files, list what they come to on this node, try them on events and on this node's own
 * history. One thread; only reads.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "alert/ruleset.h"
#include "cmd/command.h"
#include "cmd/sensors.h"
#include "db/history.h"
#include "event/json.h"
#include "lib/cleanup.h"
#include "lib/text.h"
#include "rules/rules.h"
#include "rules/sample.h"

#define MATCHES_MAX 64 /* of one event; more are counted, not listed */

/* --- files */

struct files {
	const char *const *paths;
	size_t n;
	struct arena arena;
};

/* Those named, else those of the configuration. Sysexits. */
static int files_of(struct cmd *c, struct files *f)
{
	_cleanup_buf_ struct buf messages = BUF_INIT;
	int status, r;

	f->paths = (const char *const *)c->args;
	f->n = (size_t)c->n_args;
	if (f->n)
		return 0;
	status = cmd_load(c);
	if (status)
		return status;
	r = ruleset_files(c->conf, NULL, &f->arena, &f->paths, &f->n, &messages);
	if (messages.len)
		fputs(messages.data, stderr);
	return r == -EINVAL ? EX_DATAERR : r < 0 ? cmd_fail(r, NULL, "rules") : 0;
}

static void files_free(struct files *f)
{
	arena_free(&f->arena);
}
#define _cleanup_files_ __attribute__((cleanup(files_free)))

/* Messages go to stderr; warnings only when they are asked for. */
static void say(const struct buf *text, bool warnings)
{
	const char *line = text->data;

	for (; line && *line; line = strchr(line, '\n') + 1) {
		int len = (int)strcspn(line, "\n");
		const char *mark = memmem(line, (size_t)len, ": warning: ", 11);

		if (!mark || warnings)
			fprintf(stderr, "%.*s\n", len, line);
	}
}

static int load(const struct files *f, bool warnings, struct rules **ret, struct rules_messages *m)
{
	int r = rules_load(f->paths, f->n, ret, m);

	say(&m->text, warnings);
	buf_free(&m->text);
	if (r == -EINVAL)
		return EX_DATAERR;
	return r < 0 ? cmd_fail(r, NULL, "rules") : 0;
}

/* --- check */

static int rules_check(struct cmd *c)
{
	_cleanup_(rules_unref_p) struct rules *r = NULL;
	_cleanup_files_ struct files f = { .n = 0 };
	struct rules_messages m = { 0 };
	int status;

	status = files_of(c, &f);
	if (status)
		return status;
	status = load(&f, !c->quiet, &r, &m);
	if (c->json) {
		json_t *o = json_pack("{s:s, s:i, s:i, s:i}", "kind", "rules", "rules", r ? (int)rules_count(r) : 0,
				      "errors", (int)m.errors, "warnings", (int)m.warnings);

		out_json(&c->out, o);
	} else if (!c->quiet) {
		out_printf(&c->out, "%zu rules, %zu errors, %zu warnings\n", r ? rules_count(r) : 0, m.errors,
			   m.warnings);
	}
	return status;
}

/* --- list */

static int parse_sensors(const struct cmd *c, const char *list, sensor_mask *ret)
{
	char word[32];

	*ret = 0;
	for (const char *p = list; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		size_t len = strcspn(p, ",");
		enum sensor sensor;

		snprintf(word, sizeof(word), "%.*s", (int)MIN(len, sizeof(word) - 1), p);
		if (sensor_by_name(word, &sensor) < 0)
			return cmd_usage(c, "--sensors: there is no sensor '%s'", word);
		*ret |= SENSOR_BIT(sensor);
	}
	return 0;
}

struct list_options {
	const char *sensors;
};

static const struct cmd_option list_rows[] = {
	{ "sensors", 0, OPTION_STRING, "LIST", "as if the node had these, not what it has",
	  offsetof(struct list_options, sensors) },
};

static json_t *rule_json(const struct rule *rule)
{
	json_t *o = json_object(), *tags = json_array();

	json_object_set_new(o, "kind", json_string("rule"));
	json_put_string(o, "rule", rule->name);
	json_object_set_new(o, "priority", json_string(priority_names[rule->priority]));
	json_object_set_new(o, "enabled", json_boolean(rule->enabled));
	for (size_t i = 0; i < rule->n_tags; i++)
		json_array_append_new(tags, json_string(rule->tags[i]));
	json_object_set_new(o, "tags", tags);
	json_put_string(o, "file", rule->file);
	json_object_set_new(o, "line", json_integer(rule->line));
	return o;
}

/* Lines of text to a list. */
static json_t *lines_json(const struct buf *b)
{
	json_t *list = json_array();

	for (const char *p = b->data; p && *p; p = strchr(p, '\n') + 1)
		json_array_append_new(list, json_stringn(p, strcspn(p, "\n")));
	return list;
}

static void list_json(struct cmd *c, const struct rule *rule, enum quality q, const struct buf *why)
{
	json_t *o = rule_json(rule);

	json_object_set_new(o, "state", json_string(quality_names[q]));
	if (why->len)
		json_object_set_new(o, "why", lines_json(why));
	out_json(&c->out, o);
}

static void list_row(struct table *t, const struct rule *rule, enum quality q, struct buf *why)
{
	static const enum colour colours[QUALITY_COUNT] = { COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };

	for (size_t i = 0; i < why->len; i++)
		why->data[i] = why->data[i] == '\n' ? (i + 1 < why->len ? ';' : '\0') : why->data[i];
	table_cell(t, priority_names[rule->priority]);
	table_cell_colour(t, quality_names[q], colours[q]);
	table_printf(t, "%s%s", rule->name, rule->enabled ? "" : " (off)");
	table_cell(t, why->data);
}

static void list_rules(struct cmd *c, const struct rules *r, sensor_mask sensors)
{
	static const char *const titles[] = { "PRIORITY", "STATE", "RULE", "WHY" };
	_cleanup_table_ struct table t;
	size_t n[QUALITY_COUNT] = { 0 };

	table_init(&t, titles, ARRAY_SIZE(titles), 0);
	for (size_t i = 0; i < rules_count(r); i++) {
		_cleanup_buf_ struct buf why = BUF_INIT;
		const struct rule *rule = rules_get(r, i);
		enum quality q = rule_quality(rule, sensors, &why);

		n[q]++;
		if (c->json)
			list_json(c, rule, q, &why);
		else
			list_row(&t, rule, q, &why);
	}
	if (c->json)
		return;
	table_print(&t, &c->out, "");
	out_printf(&c->out, "%zu exact, %zu approximate, %zu blind\n", n[QUALITY_EXACT], n[QUALITY_APPROXIMATE],
		   n[QUALITY_BLIND]);
}

static int rules_list(struct cmd *c)
{
	const struct list_options *o = c->options;
	_cleanup_(rules_unref_p) struct rules *r = NULL;
	_cleanup_files_ struct files f = { .n = 0 };
	struct rules_messages m = { 0 };
	sensor_mask sensors = 0;
	int status;

	status = files_of(c, &f);
	if (status)
		return status;
	status = load(&f, c->verbose, &r, &m);
	if (!status)
		status = o->sensors ? parse_sensors(c, o->sensors, &sensors) : cmd_load(c);
	if (status)
		return status;
	if (!o->sensors)
		sensors = sensors_of_node(c->conf);
	list_rules(c, r, sensors);
	return 0;
}

/* --- test */

struct test_options {
	const char *events;
	uint64_t since;
	bool first;
};

static const struct cmd_option test_rows[] = {
	{ "events", 0, OPTION_STRING, "FILE", "events as `watch --json` prints them, one a line; - is stdin",
	  offsetof(struct test_options, events) },
	{ "since", 0, OPTION_TIME, "TIME", "this node's history from then on", offsetof(struct test_options, since) },
	{ "first", 0, OPTION_FLAG, NULL, "only the first rule that matches an event",
	  offsetof(struct test_options, first) },
};

struct test {
	struct cmd *c;
	struct rules_state *state;
	struct field_view *view;
	bool first;
	char host[256];
	uint64_t events, matches, bad;
};

static void print_match(struct test *t, const struct rule *rule, enum face face, struct buf *b)
{
	char time[TEXT_TIME_MAX];

	text_time(time, t->view->event->time, 3);
	rule_output(t->state, t->view, face, rule, b);
	out_printf(&t->c->out, "%s %s ", time, priority_names[rule->priority]);
	out_text(&t->c->out, rule->name);
	out_str(&t->c->out, ": ");
	out_str(&t->c->out, b->failed || !b->data ? "" : b->data);
	out_str(&t->c->out, "\n");
}

static void json_match(struct test *t, const struct rule *rule, enum face face, struct buf *b)
{
	json_t *o = json_object(), *tags = json_array();

	rule_output(t->state, t->view, face, rule, b);
	json_object_set_new(o, "time", json_time(t->view->event->time));
	json_put_string(o, "rule", rule->name);
	json_object_set_new(o, "priority", json_string(priority_names[rule->priority]));
	json_object_set_new(o, "source", json_string("syscall"));
	json_put_string(o, "hostname", t->host);
	json_put_bytes(o, "output", b->data ? b->data : "", b->len);
	for (size_t i = 0; i < rule->n_tags; i++)
		json_array_append_new(tags, json_string(rule->tags[i]));
	json_object_set_new(o, "tags", tags);
	json_object_set_new(o, "output_fields", rule_output_fields(t->state, t->view, face, rule));
	if (t->view->event->id)
		json_object_set_new(o, "id", json_integer(t->view->event->id));
	out_json(&t->c->out, o);
}

/* The view points at the event. */
static void test_event(struct test *t)
{
	const struct rule *rules[MATCHES_MAX];
	enum face faces[MATCHES_MAX];
	size_t n = rules_eval(t->state, t->view, t->first, rules, faces, MATCHES_MAX);

	t->events++;
	t->matches += n;
	for (size_t i = 0; i < MIN(n, (size_t)MATCHES_MAX); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		(t->c->json ? json_match : print_match)(t, rules[i], faces[i], &b);
	}
}

static void test_line(struct test *t, const char *name, uint64_t number, const char *line, size_t len)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_free_ struct sample *sample = malloc(sizeof(*sample));

	while (len && strchr(" \t\r\n", line[len - 1]))
		len--;
	if (!len)
		return;
	if (!sample || sample_parse(line, len, sample, &err) < 0) {
		fprintf(stderr, "%s:%llu: %s\n", name, (unsigned long long)number,
			err.data ? err.data : "out of memory");
		t->bad++;
		return;
	}
	sample_begin(sample, t->view);
	test_event(t);
	sample_free(sample);
}

static int test_file(struct test *t, const char *path)
{
	_cleanup_fclose_ FILE *own = streq(path, "-") ? NULL : fopen(path, "re");
	FILE *f = streq(path, "-") ? stdin : own;
	_cleanup_free_ char *line = NULL;
	size_t room = 0;
	uint64_t number = 0;
	ssize_t n;

	if (!f)
		return cmd_fail(-errno, NULL, "%s", path);
	while ((n = getline(&line, &room, f)) >= 0)
		test_line(t, path, ++number, line, (size_t)n);
	if (ferror(f))
		return cmd_fail(-EIO, NULL, "%s", path);
	return t->bad ? EX_DATAERR : 0;
}

static int test_row(struct event *e, void *data)
{
	struct test *t = data;

	field_view_begin(t->view, e);
	test_event(t);
	return t->c->out.error ? -t->c->out.error : 0;
}

static int test_history(struct test *t, uint64_t since)
{
	struct history_filter filter = { .since = since, .oldest_first = true };
	_cleanup_db_ struct db *d = NULL;
	int status = cmd_open(t->c, DB_READ, &d), r;

	if (status)
		return status;
	r = history_each(d, &filter, test_row, t);
	return r < 0 && !t->c->out.error ? cmd_fail_db(r, d, "history") : 0;
}

static int rules_test(struct cmd *c)
{
	const struct test_options *o = c->options;
	_cleanup_(rules_unref_p) struct rules *r = NULL;
	_cleanup_(rules_state_free_p) struct rules_state *state = NULL;
	_cleanup_(field_view_free_p) struct field_view *view = NULL;
	_cleanup_files_ struct files f = { .n = 0 };
	struct rules_messages m = { 0 };
	struct test t = { .c = c, .first = o->first };
	int status;

	if (!c->n_args)
		return cmd_usage(c, "which rule file?");
	if (!o->events == !o->since)
		return cmd_usage(c, "on what: --events FILE or --since TIME?");
	status = files_of(c, &f);
	if (status)
		return status;
	status = load(&f, c->verbose, &r, &m);
	if (status)
		return status;
	t.state = state = rules_state_new(r);
	t.view = view = field_view_new();
	if (!state || !view)
		return cmd_fail(-ENOMEM, NULL, "rules");
	gethostname(t.host, sizeof(t.host) - 1);
	status = o->events ? test_file(&t, o->events) : test_history(&t, o->since);
	if (!c->json && !c->quiet)
		out_printf(&c->out, "%llu events, %llu matches\n", (unsigned long long)t.events,
			   (unsigned long long)t.matches);
	return status;
}

/* --- the family */

static const struct command rules_check_command = {
	.name = "check",
	.usage = "[FILE...]",
	.summary = "says everything that is wrong with rule files: file:line:column",
	.details = "Exit status: 0, or 65 when there are errors. Without FILE: those of the configuration\n"
		   "(rules.files). Warnings are left out with --quiet.\n",
	.run = rules_check,
};

static const struct command rules_list_command = {
	.name = "list",
	.usage = "[--sensors LIST] [FILE...]",
	.summary = "the rules, and how well this node's sensors evaluate each: exact, approximate or blind, and why",
	.details =
		"Sensors: changes, opens-sensitive, opens-rules, opens, exec, exec-bpf, proc, runtime, layers, syscall,\n"
		"network, sessions, baseline, trust.\n",
	.options = list_rows,
	.n_options = ARRAY_SIZE(list_rows),
	.options_size = sizeof(struct list_options),
	.run = rules_list,
};

static const struct command rules_test_command = {
	.name = "test",
	.usage = "(--events FILE | --since TIME) [--first] FILE...",
	.summary = "what the rules would have raised over recorded events, or over this node's own history",
	.details = "What history does not keep (environment, capabilities, the container's image) has no value then.\n",
	.options = test_rows,
	.n_options = ARRAY_SIZE(test_rows),
	.options_size = sizeof(struct test_options),
	.run = rules_test,
};

static const struct command *const rules_sub[] = { &rules_check_command, &rules_list_command, &rules_test_command };

const struct command command_rules = {
	.name = "rules",
	.usage = "COMMAND",
	.summary = "check, list and try detection rules",
	.sub = rules_sub,
	.n_sub = ARRAY_SIZE(rules_sub),
};
