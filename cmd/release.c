/* holdfast release: ends ladders of actions that are at work, or lists them. Asks the running monitor. One thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "daemon/control.h"
#include "lib/text.h"

#define RELEASE_TIMEOUT (5 * NSEC_PER_SEC)

struct release_options {
	const char *control;
};

#define AT(member) offsetof(struct release_options, member)
static const struct cmd_option release_rows[] = {
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor (default: control in the configuration)",
	  AT(control) },
};

/* Takes over request. */
static int release_ask(struct cmd *c, json_t *request, json_t **ret)
{
	const struct release_options *o = c->options;
	_cleanup_buf_ struct buf err = BUF_INIT;
	const char *error;
	int r = request ? control_call(o->control ? o->control : c->conf->control, request, RELEASE_TIMEOUT, ret, &err)
			: -ENOMEM;

	json_decref(request);
	if (r < 0)
		return cmd_fail(r, &err, "the monitor cannot be asked");
	error = json_string_value(json_object_get(*ret, "error"));
	if (json_is_true(json_object_get(*ret, "ok")))
		return 0;
	log_error("%s", error ? error : "the monitor refused");
	return EX_NOINPUT;
}

static void list_row(struct table *t, const json_t *o)
{
	const char *container = json_string_value(json_object_get(o, "container")),
		   *exe = json_string_value(json_object_get(json_object_get(o, "process"), "exe")),
		   *next = json_string_value(json_object_get(o, "next")),
		   *ladder = json_string_value(json_object_get(o, "ladder")),
		   *rule = json_string_value(json_object_get(o, "rule"));
	json_int_t pid = json_integer_value(json_object_get(json_object_get(o, "process"), "pid"));
	_cleanup_buf_ struct buf in = BUF_INIT;

	if (next)
		text_duration(&in, (uint64_t)json_integer_value(json_object_get(o, "in_ms")) * NSEC_PER_MSEC);
	table_printf(t, "%lld", (long long)json_integer_value(json_object_get(o, "id")));
	table_cell(t, ladder ? ladder : "");
	table_cell(t, json_is_true(json_object_get(o, "frozen")) ? "frozen" : "");
	table_cell(t, next ? next : "thaw");
	table_cell(t, in.len ? in.data : "");
	if (pid)
		table_printf(t, "%lld", (long long)pid);
	else
		table_cell(t, "");
	table_cell(t, exe ? exe : "");
	table_printf(t, "%.12s", container ? container : "");
	table_cell(t, rule ? rule : "");
}

static int release_list(struct cmd *c)
{
	static const char *const titles[] = { "id",  "ladder",	"state",     "next", "in",
					      "pid", "program", "container", "rule" };
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_table_ struct table t = TABLE_INIT;
	const json_t *list;
	json_t *one;
	size_t i;
	int status = release_ask(c, json_pack("{s:s}", "request", "responses"), &reply);

	if (status)
		return status;
	list = json_object_get(reply, "responses");
	table_init(&t, titles, ARRAY_SIZE(titles), 1u << 5);
	json_array_foreach(list, i, one)
	{
		if (c->json)
			out_json(&c->out, json_incref(one));
		else
			list_row(&t, one);
	}
	if (!c->json && json_array_size(list))
		table_print(&t, &c->out, "");
	else if (!c->json && !c->quiet)
		out_str(&c->out, "nothing is at work\n");
	return 0;
}

static int release_one(struct cmd *c, const char *arg, const char *user)
{
	_cleanup_json_ json_t *reply = NULL;
	char *end;
	long long id;
	int status;

	errno = 0;
	id = strtoll(arg, &end, 10);
	if (errno || *end || id <= 0)
		return cmd_usage(c, "%s: want the number of a response", arg);
	status = release_ask(c, json_pack("{s:s, s:I, s:s}", "request", "release", "id", (json_int_t)id, "user", user),
			     &reply);
	if (!status && !c->quiet)
		out_printf(&c->out, "%lld released\n", id);
	return status;
}

static int release_run(struct cmd *c)
{
	_cleanup_buf_ struct buf user = BUF_INIT;
	int status = cmd_load(c);

	if (status || !c->n_args)
		return status ? status : release_list(c);
	cmd_user(&user);
	if (user.failed)
		return cmd_fail(-ENOMEM, NULL, "release");
	for (int i = 0; i < c->n_args; i++) {
		int one = release_one(c, c->args[i], user.len ? user.data : "");

		status = status ? status : one;
	}
	return status;
}

const struct command command_release = {
	.name = "release",
	.usage = "[ID...]",
	.summary = "end actions that are at work, or list them",
	.details = "What such a ladder froze is thawed, and what it would still have done is not done. Without ID: "
		   "what is at\n"
		   "work, and what comes next.\n",
	.options = release_rows,
	.n_options = ARRAY_SIZE(release_rows),
	.options_size = sizeof(struct release_options),
	.run = release_run,
};
