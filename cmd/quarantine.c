/*
 * holdfast quarantine: what actions took away and the evidence they kept: list it, put it back, delete it. Works on the
 * folder beside the store, with or without a monitor; what it does is a row of history. One thread.
 */
#include "respond/quarantine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "db/history.h"
#include "lib/clock.h"

struct quarantine_options {
	const char *to;
};

#define AT(member) offsetof(struct quarantine_options, member)
static const struct cmd_option restore_rows[] = {
	{ "to", 0, OPTION_STRING, "FILE", "put it there instead; an absolute path", AT(to) },
};

static int folder_open(struct cmd *c, bool write, struct quarantine *ret)
{
	_cleanup_free_ char *dir = NULL;
	const char *slash;
	int r, status = cmd_load(c);

	if (status)
		return status;
	slash = strrchr(c->db.path, '/');
	dir = slash ? strndup(c->db.path, (size_t)(slash - c->db.path)) : strdup(".");
	r = dir ? quarantine_open(*dir ? dir : "/", false, NULL, ret) : -ENOMEM;
	if (r == -ENOENT && !write)
		return 0;
	return r < 0 ? cmd_fail(r, NULL, "the quarantine of %s", c->db.path) : 0;
}

/* --- list */

struct listing {
	struct cmd *c;
	struct table *t;
};

static const char *member(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void list_json(struct cmd *c, uint64_t id, const json_t *meta)
{
	json_t *o = meta ? json_deep_copy(meta) : json_object();

	json_object_set_new(o, "id", json_integer((json_int_t)id));
	if (!meta)
		json_object_set_new(o, "unreadable", json_true());
	out_json(&c->out, o);
}

static int list_entry(uint64_t id, const json_t *meta, void *data)
{
	struct listing *l = data;
	const json_t *file = json_object_get(meta, "file"), *process = json_object_get(meta, "process");
	bool restored = json_is_true(json_object_get(meta, "restored"));

	if (l->c->json) {
		list_json(l->c, id, meta);
		return 0;
	}
	table_printf(l->t, "%llu", (unsigned long long)id);
	table_printf(l->t, "%.19s", meta ? member(meta, "time") : "unreadable");
	table_cell(l->t, file ? (restored ? "restored" : "file") : "evidence");
	table_cell(l->t, file ? member(file, "path") : member(process, "exe"));
	table_printf(l->t, "%.16s", member(file ? file : process, "sha256"));
	table_cell(l->t, member(meta, "rule"));
	return 0;
}

static int list_run(struct cmd *c)
{
	static const char *const titles[] = { "id", "time", "what", "path", "sha256", "rule" };
	_cleanup_quarantine_ struct quarantine q = { .fd = -1 };
	_cleanup_table_ struct table t = TABLE_INIT;
	struct listing l = { c, &t };
	int r, status = folder_open(c, false, &q);

	if (status || q.fd < 0)
		return status;
	table_init(&t, titles, ARRAY_SIZE(titles), 1);
	r = quarantine_each(&q, list_entry, &l);
	if (r < 0)
		return cmd_fail(r, NULL, "quarantine");
	if (!c->json && t.n)
		table_print(&t, &c->out, "");
	return 0;
}

/* --- restore, delete */

static struct event *row_new(enum action_kind action, uint64_t id, const char *path)
{
	_cleanup_event_ struct event *e = event_new(EVENT_ACTION);
	_cleanup_buf_ struct buf user = BUF_INIT;

	cmd_user(&user);
	if (!e || user.failed)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->action = action;
	e->result = RESULT_DONE;
	e->response = id;
	e->path = path && *path ? arena_strdup(&e->arena, path) : NULL;
	e->user = user.len ? arena_strdup(&e->arena, user.data) : NULL;
	return TAKE_PTR(e);
}

static int row_store(struct db *d, struct event *e)
{
	int r = db_begin(d);

	if (r < 0)
		return r;
	r = e ? history_add(d, e) : -ENOMEM;
	if (r == 0)
		r = db_commit(d);
	if (r < 0)
		db_rollback(d);
	return r;
}

/* One that cannot be recorded is not done: the store is opened first. */
static int act(struct cmd *c, enum action_kind action, const struct quarantine *q, struct db *d, uint64_t id)
{
	const struct quarantine_options *o = c->options;
	_cleanup_buf_ struct buf why = BUF_INIT;
	_cleanup_event_ struct event *e = NULL;
	_cleanup_json_ json_t *meta = NULL;
	const char *path;
	int r = quarantine_meta(q, id, &meta);

	path = action == ACTION_RESTORE && o->to ? o->to : member(json_object_get(meta, "file"), "path");
	if (action == ACTION_RESTORE)
		r = r < 0 ? r : quarantine_restore(q, id, o->to, &why);
	else if (r != -ENOENT)
		r = quarantine_delete(q, id);
	if (r == -ENODATA)
		buf_str(&why, "it holds no file");
	if (r == -EBADMSG)
		buf_str(&why, "what lies there is not what was taken away");
	if (r < 0)
		return cmd_fail(r, why.len ? &why : NULL, "entry %llu", (unsigned long long)id);
	e = row_new(action, id, path);
	r = row_store(d, e);
	if (r < 0)
		return cmd_fail_db(r, d, "history");
	if (c->json)
		out_json(&c->out, event_json(e));
	else if (!c->quiet)
		out_printf(&c->out, "entry %llu %s%s%s\n", (unsigned long long)id,
			   action == ACTION_RESTORE ? "restored" : "deleted", *path ? ": " : "", path);
	return 0;
}

static int act_run(struct cmd *c, enum action_kind action)
{
	_cleanup_quarantine_ struct quarantine q = { .fd = -1 };
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_db_ struct db *d = NULL;
	int status;

	if (!c->n_args)
		return cmd_usage(c, "which? Give ID (of holdfast quarantine list)");
	status = folder_open(c, true, &q);
	if (!status)
		status = cmd_open(c, DB_WRITE, &d);
	if (!status)
		status = cmd_sign(c, d, false, &key);
	for (int i = 0; i < c->n_args && !status; i++) {
		char *end;
		long long id;

		errno = 0;
		id = strtoll(c->args[i], &end, 10);
		if (errno || *end || id <= 0)
			return cmd_usage(c, "%s: want the number of an entry", c->args[i]);
		status = act(c, action, &q, d, (uint64_t)id);
	}
	return status;
}

static int restore_run(struct cmd *c)
{
	const struct quarantine_options *o = c->options;

	if (o->to && (*o->to != '/' || c->n_args != 1))
		return cmd_usage(c, "--to wants an absolute path, and one ID");
	return act_run(c, ACTION_RESTORE);
}

static int delete_run(struct cmd *c)
{
	return act_run(c, ACTION_DELETE);
}

/* --- the family */

static const struct command quarantine_list = {
	.name = "list",
	.usage = "",
	.summary = "what was taken away, and what was kept as evidence",
	.run = list_run,
};

static const struct command quarantine_restore_row = {
	.name = "restore",
	.usage = "[--to FILE] ID...",
	.summary = "put a file back as it was",
	.details = "Only the very bytes that were taken are put back, and never over something.\n",
	.options = restore_rows,
	.n_options = ARRAY_SIZE(restore_rows),
	.options_size = sizeof(struct quarantine_options),
	.run = restore_run,
};

static const struct command quarantine_delete_row = {
	.name = "delete",
	.usage = "ID...",
	.summary = "remove entries with all that is in them",
	.run = delete_run,
};

static const struct command *const quarantine_commands[] = {
	&quarantine_list,
	&quarantine_restore_row,
	&quarantine_delete_row,
};

const struct command command_quarantine = {
	.name = "quarantine",
	.usage = "COMMAND [ARGUMENT...]",
	.summary = "list, restore, delete what actions took away",
	.sub = quarantine_commands,
	.n_sub = ARRAY_SIZE(quarantine_commands),
};
