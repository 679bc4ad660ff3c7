/* holdfast trust list: the entries, as a table or as JSON. Reads only. */
#include <errno.h>
#include <string.h>

#include "cmd/trust.h"
#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"

#define DIGEST_SHOWN 16 /* hex digits in a table; all of them with -v and in JSON */

struct trust_list_options {
	bool all;
};

static const struct cmd_option list_options[] = {
	{ "all", 'a', OPTION_FLAG, NULL, "also what was removed or has run out",
	  offsetof(struct trust_list_options, all) },
};

struct list {
	struct cmd *c;
	struct table table;
	uint64_t now;
	size_t n;
};

static const char *state_of(const struct trusted *e, uint64_t now)
{
	if (e->removed)
		return "removed";
	if (!trusted_in_force(e, now))
		return "expired";
	return e->kind == TRUSTED_DENIED ? "denied" : "trusted";
}

static void put_hex(json_t *o, const char *key, const uint8_t *digest)
{
	_cleanup_buf_ struct buf hex = BUF_INIT;

	buf_hex(&hex, digest, TRUSTED_DIGEST_SIZE);
	if (!hex.failed)
		json_put_string(o, key, hex.data);
}

static void list_json(struct list *l, const struct trusted *e)
{
	json_t *o = json_object();

	json_put_string(o, "kind", "trust");
	json_object_set_new(o, "id", json_u64((uint64_t)e->id));
	json_put_string(o, "by", e->kind == TRUSTED_PATH ? "path" : "digest");
	if (e->digest)
		put_hex(o, "digest", e->digest);
	json_put_string(o, "path", e->path);
	json_put_string(o, "reason", e->reason);
	json_object_set_new(o, "added", json_time(e->added));
	json_put_string(o, "added_by", e->added_by);
	if (e->until)
		json_object_set_new(o, "until", json_time(e->until));
	if (e->removed)
		json_object_set_new(o, "removed", json_time(e->removed));
	json_put_string(o, "removed_by", e->removed_by);
	json_put_string(o, "removed_reason", e->removed_reason);
	json_put_string(o, "state", state_of(e, l->now));
	out_json(&l->c->out, o);
}

static void list_row(struct list *l, const struct trusted *e)
{
	_cleanup_buf_ struct buf hex = BUF_INIT, note = BUF_INIT;
	char added[TEXT_TIME_MAX], until[TEXT_TIME_MAX] = "";

	text_time(added, e->added, 0);
	if (e->until)
		text_time(until, e->until, 0);
	if (e->digest)
		buf_hex(&hex, e->digest, l->c->verbose ? TRUSTED_DIGEST_SIZE : DIGEST_SHOWN / 2);
	buf_str(&note, e->reason ? e->reason : "");
	if (e->removed)
		buf_printf(&note, " (removed by %s: %s)", e->removed_by ? e->removed_by : "",
			   e->removed_reason ? e->removed_reason : "");
	table_printf(&l->table, "%lld", (long long)e->id);
	table_cell(&l->table, state_of(e, l->now));
	table_cell(&l->table, hex.data);
	table_cell(&l->table, e->path);
	table_cell(&l->table, added);
	table_cell(&l->table, until);
	table_cell(&l->table, e->added_by);
	table_cell(&l->table, note.failed ? "" : note.data);
}

static int list_entry(const struct trusted *e, void *data)
{
	struct list *l = data;

	l->n++;
	if (l->c->json)
		list_json(l, e);
	else
		list_row(l, e);
	return l->c->out.error ? -l->c->out.error : 0;
}

static int trust_list(struct cmd *c)
{
	static const char *const titles[] = { "ID", "STATE", "SHA-256", "PATH", "ADDED", "UNTIL", "BY", "REASON" };
	const struct trust_list_options *o = c->options;
	_cleanup_db_ struct db *d = NULL;
	struct list l = { .c = c, .now = clock_real_ns() };
	int status, r;

	if (c->n_args)
		return cmd_usage(c, "no arguments are wanted");
	status = cmd_open(c, DB_READ, &d);
	if (status)
		return status;
	table_init(&l.table, titles, ARRAY_SIZE(titles), 1);
	r = trusted_each(d, o->all, l.now, list_entry, &l);
	if (r == 0 && l.n && !c->json)
		table_print(&l.table, &c->out, "");
	table_free(&l.table);
	if (r == 0 && !l.n && !c->json && !c->quiet)
		out_str(&c->out, "nothing is trusted or denied by hand\n");
	return r && !c->out.error ? cmd_fail_db(r, d, "trust") : 0;
}

const struct command command_trust_list = {
	.name = "list",
	.usage = "[--all]",
	.summary = "what is trusted or denied by hand, who says so and why",
	.options = list_options,
	.n_options = ARRAY_SIZE(list_options),
	.options_size = sizeof(struct trust_list_options),
	.run = trust_list,
};
