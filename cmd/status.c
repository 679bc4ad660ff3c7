/*
 * holdfast status: asks the running monitor how it is and lays its answer out for people. What there is to show is the
 * monitor's to say: an object becomes a section, a list of objects a table. One thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "daemon/control.h"
#include "db/history.h"
#include "lib/text.h"

#define STATUS_TIMEOUT (5 * NSEC_PER_SEC)
#define STATUS_COLUMNS 12

enum { STATUS_GREEN = 0, STATUS_NOT_RUNNING = 1, STATUS_DEGRADED = 2 };

struct status_options {
	const char *control;
};

#define AT(member) offsetof(struct status_options, member)
static const struct cmd_option status_rows[] = {
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor (default: control in the configuration)",
	  AT(control) },
};

/* --- values */

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && streq(s + n - m, end);
}

/* The unit stands at the end of the key. */
static void status_integer(struct buf *b, const char *key, json_int_t v)
{
	if (v < 0)
		buf_printf(b, "%lld", (long long)v);
	else if (ends_with(key, "_ns"))
		text_duration(b, (uint64_t)v);
	else if (ends_with(key, "_ms"))
		text_duration(b, (uint64_t)v * NSEC_PER_MSEC);
	else if (ends_with(key, "seconds"))
		text_duration(b, (uint64_t)v * NSEC_PER_SEC);
	else if (ends_with(key, "bytes") || ends_with(key, "size"))
		text_size(b, (uint64_t)v);
	else if (streq(key, "pid"))
		buf_printf(b, "%lld", (long long)v);
	else
		cmd_number(b, (uint64_t)v);
}

static void status_value(struct buf *b, const char *key, const json_t *v)
{
	const char *comma = "";
	const json_t *item;
	size_t i;

	switch (json_typeof(v)) {
	case JSON_STRING:
		text_escape(b, json_string_value(v), json_string_length(v));
		break;
	case JSON_INTEGER:
		status_integer(b, key, json_integer_value(v));
		break;
	case JSON_REAL:
		buf_printf(b, ends_with(key, "percent") ? "%.1f %%" : "%.3f", json_real_value(v));
		break;
	case JSON_TRUE:
		buf_str(b, "yes");
		break;
	case JSON_FALSE:
		buf_str(b, "no");
		break;
	case JSON_ARRAY:
		json_array_foreach(v, i, item)
		{
			buf_str(b, comma);
			if (!json_is_object(item) && !json_is_array(item))
				status_value(b, key, item);
			comma = ", ";
		}
		break;
	default:
		break;
	}
}

/* "latency_max_ns" -> "latency max": the unit is in the value. */
static void status_key(struct buf *b, const char *key)
{
	static const char *const units[] = { "_ns", "_ms", "_seconds", "_bytes", "_percent" };
	size_t len = strlen(key);

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (ends_with(key, units[i]))
			len = strlen(key) - strlen(units[i]);
	}
	for (size_t i = 0; i < len; i++)
		buf_char(b, key[i] == '_' ? ' ' : key[i]);
}

static enum colour status_colour(const char *key, const char *value)
{
	static const struct {
		const char *word;
		enum colour colour;
	} words[] = {
		{ "green", COLOUR_GREEN }, { "yellow", COLOUR_YELLOW }, { "red", COLOUR_RED }, { "ok", COLOUR_GREEN }
	};

	if (!streq(key, "health") && !streq(key, "state"))
		return COLOUR_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (streq(value, words[i].word))
			return words[i].colour;
	}
	return COLOUR_NONE;
}

/* --- layout */

static void status_row(struct table *t, const char *key, const json_t *v)
{
	_cleanup_buf_ struct buf name = BUF_INIT, value = BUF_INIT;

	status_key(&name, key);
	status_value(&value, key, v);
	if (!value.len) /* an empty list */
		return;
	table_cell(t, name.data);
	table_cell_colour(t, value.data, status_colour(key, value.data ? value.data : ""));
}

static bool status_is_list(const json_t *v)
{
	return json_is_array(v) && json_is_object(json_array_get(v, 0));
}

static void status_list(struct out *o, json_t *list)
{
	_cleanup_table_ struct table t = TABLE_INIT;
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	const char *titles[STATUS_COLUMNS], *keys[STATUS_COLUMNS], *key;
	json_t *row, *v;
	size_t n = 0, i;

	/* A key that is absent in one row is there in another. */
	json_array_foreach(list, i, row)
	{
		json_object_foreach(row, key, v)
		{
			_cleanup_buf_ struct buf title = BUF_INIT;
			size_t at = 0;

			while (at < n && !streq(keys[at], key))
				at++;
			if (at < n || n == STATUS_COLUMNS)
				continue;
			status_key(&title, key);
			titles[n] = arena_strdup(&arena, title.data ? title.data : "");
			keys[n] = key;
			n += titles[n] != NULL;
		}
	}
	table_init(&t, titles, n, 0);
	json_array_foreach(list, i, row)
	{
		for (size_t at = 0; at < n; at++) {
			_cleanup_buf_ struct buf value = BUF_INIT;

			v = json_object_get(row, keys[at]);
			if (v)
				status_value(&value, keys[at], v);
			table_cell_colour(&t, value.data, status_colour(keys[at], value.data ? value.data : ""));
		}
	}
	if (n)
		table_print(&t, o, "  ");
}

static void status_section(struct out *o, const char *key, json_t *v);

/* Plain members first, aligned; then one section for each object and list. */
static void status_object(struct out *o, json_t *object, const char *indent)
{
	_cleanup_table_ struct table t = TABLE_INIT;
	const char *key;
	json_t *v;

	table_init(&t, NULL, 2, 0);
	json_object_foreach(object, key, v)
	{
		if (!json_is_object(v) && !status_is_list(v) && !json_is_null(v) && !streq(key, "ok"))
			status_row(&t, key, v);
	}
	table_print(&t, o, indent);
	json_object_foreach(object, key, v)
	{
		if (json_is_object(v) || status_is_list(v))
			status_section(o, key, v);
	}
}

static void status_section(struct out *o, const char *key, json_t *v)
{
	_cleanup_buf_ struct buf title = BUF_INIT;

	status_key(&title, key);
	out_str(o, "\n");
	out_colour(o, COLOUR_BOLD);
	out_text(o, title.data ? title.data : "");
	out_colour(o, COLOUR_NONE);
	out_str(o, "\n");
	if (json_is_object(v))
		status_object(o, v, "  ");
	else
		status_list(o, v);
}

/* --- not running */

static int status_absent(struct cmd *c, const char *socket)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_db_ struct db *d = NULL;
	char time[TEXT_TIME_MAX];
	uint64_t last = 0;
	bool clean = false;

	if (db_open(&c->db, DB_READ, &d, &err) == 0)
		history_last_alive(d, &last, &clean);
	text_time(time, last, 0);
	if (c->json && !c->quiet) {
		json_t *j = json_object();

		json_object_set_new(j, "running", json_false());
		if (last)
			json_object_set_new(j, "last_alive", json_string(time));
		if (last)
			json_object_set_new(j, "ended_cleanly", json_boolean(clean));
		out_json(&c->out, j);
		return STATUS_NOT_RUNNING;
	}
	if (c->quiet)
		return STATUS_NOT_RUNNING;
	out_str(&c->out, "The monitor is not running: nobody answers at ");
	out_text(&c->out, socket);
	out_str(&c->out, "\n");
	if (last)
		out_printf(&c->out, "It was last alive %s and %s.\n", time,
			   clean ? "ended as asked" : "did not end by itself (killed, or the machine went down)");
	return STATUS_NOT_RUNNING;
}

/* --- the command */

static int status_answer(struct cmd *c, json_t *reply)
{
	const char *health = json_string_value(json_object_get(reply, "health"));
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (!json_is_true(json_object_get(reply, "ok"))) {
		log_error("the monitor refused: %s", error ? error : "no reason given");
		return EX_PROTOCOL;
	}
	if (c->json && !c->quiet)
		out_json(&c->out, json_incref(reply));
	else if (!c->quiet)
		status_object(&c->out, reply, "");
	return health && !streq(health, "green") ? STATUS_DEGRADED : STATUS_GREEN;
}

static int status(struct cmd *c)
{
	const struct status_options *o = c->options;
	_cleanup_json_ json_t *request = json_object(), *reply = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	const char *socket;
	int r = cmd_load(c);

	if (r)
		return r;
	if (c->n_args)
		return cmd_usage(c, "no arguments wanted");
	socket = o->control ? o->control : c->conf->control;
	json_object_set_new(request, "request", json_string("status"));
	r = control_call(socket, request, STATUS_TIMEOUT, &reply, &err);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return status_absent(c, socket);
	if (r) {
		r = cmd_fail(r, &err, "%s", socket);
		if (r == EX_NOPERM)
			log_error("only root and members of group holdfast may ask");
		return r;
	}
	return status_answer(c, reply);
}

const struct command command_status = {
	.name = "status",
	.usage = "[--control FILE]",
	.summary = "health, coverage, counters of the running monitor",
	.details = "exit status: 0 health is green, 1 the monitor is not running, 2 it runs, but something is missing "
		   "or was lost;\n"
		   "64 and above: sysexits(3).\n",
	.options = status_rows,
	.n_options = ARRAY_SIZE(status_rows),
	.options_size = sizeof(struct status_options),
	.run = status,
};
