/*
 * holdfast baseline: what there is, and moving it about. One thread, one connection. The comparison of two baselines is
 * in baseline_diff.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/baseline_diff.h"
#include "cmd/command.h"
#include "cmd/report.h"
#include "conf/scope.h"
#include "db/history.h"
#include "event/json.h"
#include "lib/text.h"

/* --- list, show */

static json_t *info_json(const struct baseline_info *info)
{
	json_t *j = json_object();
	char time[TEXT_TIME_MAX];

	text_time(time, info->created, 3);
	json_object_set_new(j, "time", json_string(time));
	json_object_set_new(j, "kind", json_string("baseline"));
	json_put_string(j, "baseline", info->name);
	json_object_set_new(j, "id", json_integer(info->id));
	json_object_set_new(j, "type", json_string(baseline_kind_names[info->kind]));
	json_put_string(j, "root", info->root);
	json_put_string(j, "image", info->image_ref);
	json_put_string(j, "image_digest", info->image_digest);
	json_put_string(j, "image_id", info->image_id);
	json_object_set_new(j, "entries", json_integer((json_int_t)info->files));
	json_object_set_new(j, "bytes", json_integer((json_int_t)info->bytes));
	json_object_set_new(j, "unread", json_integer((json_int_t)info->unread));
	json_object_set_new(j, "algorithm", json_string(digest_table[info->algo].name));
	json_object_set_new(j, "state", json_string(info->state));
	json_put_string(j, "signed_by", info->signed_by);
	return j;
}

struct list {
	struct cmd *c;
	struct table table;
};

static int list_row(const struct baseline_info *info, void *data)
{
	struct list *l = data;
	_cleanup_buf_ struct buf size = BUF_INIT;
	char time[TEXT_TIME_MAX];

	if (l->c->json) {
		out_json(&l->c->out, info_json(info));
		return 0;
	}
	text_time(time, info->created, 0);
	text_size(&size, info->bytes);
	table_cell(&l->table, info->name);
	table_cell(&l->table, baseline_kind_names[info->kind]);
	table_cell(&l->table, info->image_ref ? info->image_ref : info->root);
	table_cell(&l->table, time);
	table_printf(&l->table, "%llu", (unsigned long long)info->files);
	table_cell(&l->table, size.data);
	table_cell(&l->table, info->state);
	table_cell(&l->table, info->signed_by);
	return 0;
}

static int list(struct cmd *c)
{
	static const char *const titles[] = {
		"name", "kind", "of", "taken", "entries", "content", "state", "signed by"
	};
	struct list l = { .c = c };
	_cleanup_db_ struct db *d = NULL;
	int status, r;

	if (c->n_args)
		return cmd_usage(c, "no arguments wanted");
	status = cmd_open(c, DB_READ, &d);
	if (status)
		return status;
	table_init(&l.table, titles, ARRAY_SIZE(titles), 1 << 4 | 1 << 5);
	r = baseline_each(d, list_row, &l);
	table_print(&l.table, &c->out, "");
	if (!r && !l.table.n && !c->json && !c->quiet)
		out_str(&c->out, "There is no baseline yet: `holdfast init` takes one.\n");
	table_free(&l.table);
	return r ? cmd_fail_db(r, d, "baselines") : 0;
}

static void show_scope(struct out *o, const struct scope *s)
{
	_cleanup_table_ struct table t = TABLE_INIT;

	out_str(o, "paths\n");
	table_init(&t, NULL, 2, 0);
	for (size_t i = 0; i < s->n_paths; i++) {
		_cleanup_buf_ struct buf names = BUF_INIT;

		attr_mask_text(&names, s->paths[i].attributes);
		table_cell(&t, s->paths[i].path);
		table_cell(&t, names.data);
	}
	table_print(&t, o, "  ");
	if (s->n_exclude)
		out_str(o, "left out\n");
	for (size_t i = 0; i < s->n_exclude; i++) {
		out_str(o, "  ");
		out_text(o, s->exclude[i]);
		out_str(o, "\n");
	}
}

static void show_layers(struct out *o, const struct baseline_info *info)
{
	_cleanup_table_ struct table t = TABLE_INIT;

	if (!info->n_layers)
		return;
	out_str(o, "layers\n");
	table_init(&t, NULL, 4, 1 << 0 | 1 << 2);
	for (uint32_t i = 0; i < info->n_layers; i++) {
		_cleanup_buf_ struct buf size = BUF_INIT;

		text_size(&size, info->layers[i].size);
		table_printf(&t, "%u", i + 1);
		table_printf(&t, "%.19s", info->layers[i].diff_id);
		table_cell(&t, size.data);
		table_printf(&t, "%.100s", info->layers[i].created_by ? info->layers[i].created_by : "");
	}
	table_print(&t, o, "  ");
}

static json_t *layers_json(const struct baseline_info *info)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < info->n_layers; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "layer", json_integer(i + 1));
		json_put_string(j, "layer_digest", info->layers[i].diff_id);
		json_put_string(j, "blob_digest", info->layers[i].digest);
		json_put_string(j, "created_by", info->layers[i].created_by);
		json_object_set_new(j, "size", json_integer((json_int_t)info->layers[i].size));
		json_array_append_new(list, j);
	}
	return list;
}

static void show_text(struct cmd *c, const struct baseline_info *info, json_t *scope)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_table_ struct table t = TABLE_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;
	struct scope s = { 0 };
	char time[TEXT_TIME_MAX];
	const struct {
		const char *key, *value;
	} rows[] = {
		{ "name", info->name },
		{ "kind", baseline_kind_names[info->kind] },
		{ "root", info->root },
		{ "image", info->image_ref },
		{ "manifest", info->image_digest },
		{ "image id", info->image_id },
		{ "taken", time },
		{ "digest", digest_table[info->algo].name },
		{ "state", info->state },
		{ "signed by", info->signed_by },
	};

	text_time(time, info->created, 0);
	table_init(&t, NULL, 2, 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].value)
			continue;
		table_cell(&t, rows[i].key);
		table_cell(&t, rows[i].value);
	}
	cmd_number(&b, info->files);
	if (info->unread)
		buf_printf(&b, " (%llu unread)", (unsigned long long)info->unread);
	table_cell(&t, "entries");
	table_cell(&t, b.data);
	buf_reset(&b);
	text_size(&b, info->bytes);
	table_cell(&t, "content");
	table_cell(&t, b.data);
	table_print(&t, &c->out, "");
	show_layers(&c->out, info);
	if (scope && !scope_from_json(&arena, scope, &s))
		show_scope(&c->out, &s);
}

static int show(struct cmd *c)
{
	const char *name = cmd_argument(c, "NAME");
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_json_ json_t *scope = NULL;
	_cleanup_db_ struct db *d = NULL;
	struct baseline_info info;
	int status;

	if (!name)
		return EX_USAGE;
	status = cmd_open(c, DB_READ, &d);
	if (!status)
		status = cmd_public(c, &pub);
	if (!status)
		status = cmd_find(d, name, pub, &arena, &info);
	if (status)
		return status;
	scope = json_loads(info.scope, 0, NULL);
	if (c->json) {
		json_t *j = info_json(&info);

		json_object_set(j, "scope", scope);
		if (info.kind == BASELINE_IMAGE)
			json_object_set_new(j, "layers", layers_json(&info));
		out_json(&c->out, j);
	} else if (!c->quiet) {
		show_text(c, &info, scope);
	}
	return 0;
}

/* --- diff */

static int diff(struct cmd *c)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_db_ struct db *d = NULL;
	struct baseline_info info[2];
	int status;

	if (c->n_args != 2)
		return cmd_usage(c, "two names wanted");
	status = cmd_open(c, DB_READ, &d);
	if (!status)
		status = cmd_public(c, &pub);
	for (int i = 0; i < 2 && !status; i++)
		status = cmd_find(d, c->args[i], pub, &arena, &info[i]);
	return status ? status : baseline_diff(c, d, &info[0], &info[1]);
}

/* --- verify */

struct verify {
	struct cmd *c;
	struct db *d;
	struct sign_key *pub;
	struct table table;
	struct {
		int64_t id;
		char *name;
	} items[1024];
	size_t n;
	int bad;
};

static int verify_collect(const struct baseline_info *info, void *data)
{
	struct verify *v = data;

	if (v->n == ARRAY_SIZE(v->items))
		return -E2BIG;
	v->items[v->n].id = info->id;
	v->items[v->n].name = strdup(info->name);
	return v->items[v->n++].name ? 0 : -ENOMEM;
}

static void verify_row(struct verify *v, const char *what, const char *name, int r, const struct buf *err)
{
	const char *why = r ? (err->len ? err->data : strerror(-r)) : NULL;

	v->bad |= r != 0;
	if (v->c->json) {
		json_t *j = json_object();

		json_object_set_new(j, "kind", json_string("verify"));
		json_object_set_new(j, "what", json_string(what));
		json_put_string(j, "baseline", name);
		json_object_set_new(j, "good", json_boolean(r == 0));
		json_put_string(j, "reason", why);
		out_json(&v->c->out, j);
		return;
	}
	table_cell(&v->table, what);
	table_cell(&v->table, name);
	table_cell_colour(&v->table, r ? "BAD" : "good", r ? COLOUR_RED : COLOUR_GREEN);
	table_cell_colour(&v->table, why, COLOUR_NONE);
}

static int verify_run(struct verify *v)
{
	struct cmd *c = v->c;
	const char *name = c->n_args ? c->args[0] : NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	size_t seen = 0;
	int r = baseline_each(v->d, verify_collect, v);

	if (r)
		return cmd_fail_db(r, v->d, "baselines");
	for (size_t i = 0; i < v->n; i++) {
		if (name && !streq(name, v->items[i].name))
			continue;
		seen++;
		buf_reset(&err);
		verify_row(v, "baseline", v->items[i].name, baseline_verify(v->d, v->items[i].id, v->pub, &err), &err);
	}
	if (name && !seen) {
		log_error("there is no baseline '%s'", name);
		return EX_NOINPUT;
	}
	buf_reset(&err);
	verify_row(v, "history", NULL, history_verify(v->d, v->pub, &err), &err);
	buf_reset(&err);
	verify_row(v, "newest head", NULL, history_check_head(v->d, v->pub, &err), &err);
	if (!c->quiet)
		table_print(&v->table, &c->out, "");
	if (v->bad)
		log_error("the store is NOT to be trusted");
	return v->bad ? EX_IOERR : 0;
}

static int verify(struct cmd *c)
{
	_cleanup_free_ struct verify *v = calloc(1, sizeof(*v));
	int status;

	if (!v)
		return cmd_fail(-ENOMEM, NULL, "verify");
	if (c->n_args > 1)
		return cmd_usage(c, "just one NAME");
	v->c = c;
	table_init(&v->table, NULL, 4, 0);
	status = cmd_open(c, DB_READ, &v->d);
	if (!status)
		status = cmd_public(c, &v->pub);
	if (!status)
		status = verify_run(v);
	for (size_t i = 0; i < v->n; i++)
		free(v->items[i].name);
	table_free(&v->table);
	sign_key_free_p(&v->pub);
	db_closep(&v->d);
	return status;
}

/* --- delete */

static int delete (struct cmd *c)
{
	const char *name = cmd_argument(c, "NAME");
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_db_ struct db *d = NULL;
	struct baseline_info info;
	int status, r;

	if (!name)
		return EX_USAGE;
	status = cmd_open(c, DB_WRITE, &d);
	if (!status)
		status = cmd_sign(c, d, false, &key);
	if (status)
		return status;
	r = baseline_find(d, name, &arena, &info);
	if (r == -ENOENT) {
		log_error("there is no baseline '%s'", name);
		return EX_NOINPUT;
	}
	if (!r)
		r = baseline_delete(d, info.id, &err);
	if (r)
		return cmd_fail(r, &err, "baseline %s", name);
	if (!c->quiet && !c->json)
		out_printf(&c->out, "Baseline %s deleted; its history stays.\n", info.name);
	return 0;
}

/* --- the family */

static const struct command baseline_list_row = {
	.name = "list",
	.usage = "",
	.summary = "the baselines there are",
	.run = list,
};

static const struct command baseline_show_row = {
	.name = "show",
	.usage = "NAME",
	.summary = "one baseline: when, what, signed by whom",
	.details = "exit status: 0 it is there and its signature is good, 66 there is none, 74 it cannot be trusted.\n",
	.run = show,
};

static const struct command baseline_diff_row = {
	.name = "diff",
	.usage = "NAME NAME",
	.summary = "what differs between two baselines",
	.details = "exit status: as of holdfast check.\n",
	.run = diff,
};

static const struct command baseline_verify_row = {
	.name = "verify",
	.usage = "[NAME]",
	.summary = "signatures, every row, the chain of history, the head file",
	.details = "exit status: 0 all is good, 74 something is not.\n",
	.run = verify,
};

static const struct command baseline_delete_row = {
	.name = "delete",
	.usage = "NAME",
	.summary = "remove a baseline; history stays",
	.run = delete,
};

static const struct command *const baseline_commands[] = {
	&baseline_list_row,	  &baseline_show_row,	&baseline_diff_row,   &command_baseline_export,
	&command_baseline_import, &baseline_verify_row, &baseline_delete_row,
};

const struct command command_baseline = {
	.name = "baseline",
	.usage = "COMMAND [ARGUMENT...]",
	.summary = "list, show, diff, export, import, verify, delete baselines",
	.sub = baseline_commands,
	.n_sub = ARRAY_SIZE(baseline_commands),
};
