/*
 * Approvals: recorded in history before the changes that they are for; a running monitor is told and follows at once.
 * One thread, one connection, one transaction.
 */
#include "cmd/approve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db/approvals.h"
#include "db/history.h"
#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "proc/table.h"

#define TEXT_LIMIT 4096

bool approve_wanted(const struct approve_options *o)
{
	return o->path || o->list || o->revoke || o->digest || o->by;
}

/* --- list */

struct list {
	struct cmd *c;
	struct table table;
	uint64_t now;
	size_t n;
};

static const char *approve_state(const struct approval *a, uint64_t now)
{
	return a->revoked ? "revoked" : a->until > now ? "in force" : "expired";
}

static void approve_json(struct cmd *c, const struct approval *a, uint64_t now)
{
	_cleanup_buf_ struct buf hex = BUF_INIT;
	json_t *o = json_object();

	buf_hex(&hex, a->digest, a->digest_len);
	json_put_string(o, "kind", "approval");
	json_object_set_new(o, "id", json_integer(a->id));
	json_put_string(o, "path", a->path);
	json_put_string(o, "digest", a->digest_len ? hex.data : NULL);
	json_object_set_new(o, "since", json_time(a->since));
	json_object_set_new(o, "until", json_time(a->until));
	json_put_string(o, "user", a->user);
	json_put_string(o, "reason", a->reason);
	if (a->revoked)
		json_object_set_new(o, "revoked", json_time(a->revoked));
	json_put_string(o, "revoked_by", a->revoked_by);
	json_put_string(o, "state", approve_state(a, now));
	out_json(&c->out, o);
}

static void approve_row(struct list *l, const struct approval *a)
{
	_cleanup_buf_ struct buf hex = BUF_INIT, left = BUF_INIT;
	char until[TEXT_TIME_MAX];

	text_time(until, a->until, 0);
	buf_hex(&hex, a->digest, l->c->verbose ? a->digest_len : MIN(a->digest_len, (size_t)8));
	if (!a->revoked && a->until > l->now) {
		buf_str(&left, "in ");
		text_duration(&left, (a->until - l->now) / NSEC_PER_SEC * NSEC_PER_SEC);
	}
	table_printf(&l->table, "%lld", (long long)a->id);
	table_cell(&l->table, approve_state(a, l->now));
	table_cell(&l->table, a->path);
	table_cell(&l->table, a->digest_len ? hex.data : "any");
	table_cell(&l->table, until);
	table_cell(&l->table, left.len ? left.data : "");
	table_cell(&l->table, a->user);
	table_cell(&l->table, a->reason);
}

static int approve_entry(const struct approval *a, void *data)
{
	struct list *l = data;

	l->n++;
	if (l->c->json)
		approve_json(l->c, a, l->now);
	else
		approve_row(l, a);
	return l->c->out.error ? -l->c->out.error : 0;
}

static int approve_list(struct cmd *c, bool all)
{
	static const char *const titles[] = { "ID", "STATE", "PATH", "DIGEST", "UNTIL", "ENDS", "BY", "REASON" };
	_cleanup_db_ struct db *d = NULL;
	struct list l = { .c = c, .now = clock_real_ns() };
	int status = cmd_open(c, DB_READ, &d), r;

	if (status)
		return status;
	table_init(&l.table, titles, ARRAY_SIZE(titles), 1);
	r = approvals_each(d, all, l.now, approve_entry, &l);
	if (r == 0 && l.n && !c->json)
		table_print(&l.table, &c->out, "");
	table_free(&l.table);
	if (r < 0)
		return cmd_fail_db(r, d, "approvals");
	if (!l.n && !c->json && !c->quiet)
		out_str(&c->out, "nothing is approved\n");
	return 0;
}

/* --- changing */

static int approve_digest(const struct cmd *c, const char *hex, struct approval *a)
{
	int n = text_parse_hex(hex, strlen(hex), a->digest, sizeof(a->digest));

	if (n != 32 && n != 64)
		return cmd_usage(c, "--digest %s: want 64 or 128 hex digits, as the baseline's algorithm has them",
				 hex);
	a->digest_len = (size_t)n;
	return 0;
}

static int approve_fill(struct cmd *c, const struct approve_options *o, char **ret_path, struct approval *a)
{
	int status = 0;

	if (!o->path)
		return cmd_usage(c, "--path GLOB is wanted: what may change?");
	if (!o->until)
		return cmd_usage(c, "--until TIME is wanted: an approval ends");
	if (!o->reason || !*o->reason)
		return cmd_usage(c, "--reason TEXT is wanted: a ticket, for one");
	if (strlen(o->reason) > TEXT_LIMIT || strlen(o->path) > TEXT_LIMIT || (o->by && strlen(o->by) > TEXT_LIMIT))
		return cmd_usage(c, "--path, --by, --reason: %d bytes at most", TEXT_LIMIT);
	if (text_is_glob(o->path) && *o->path != '/' && strncmp(o->path, "**", 2) != 0)
		return cmd_usage(c, "--path %s: a pattern begins with / or **", o->path);
	status = cmd_until(c, o->until, &a->until);
	if (!status && o->digest)
		status = approve_digest(c, o->digest, a);
	if (status)
		return status;
	*ret_path = text_is_glob(o->path) ? strdup(o->path) : cmd_absolute(o->path, false);
	a->path = *ret_path;
	a->reason = o->reason;
	return a->path ? 0 : cmd_fail(-ENOMEM, NULL, "accept");
}

static int approve_store(struct db *d, const struct approve_options *o, struct approval *a, struct process *process)
{
	int r = db_begin(d);

	if (r < 0)
		return r;
	r = o->revoke ? approval_revoke(d, a->id, a->user, o->reason, process) : approval_add(d, a, process, &a->id);
	if (r == 0)
		r = db_commit(d);
	if (r < 0)
		db_rollback(d);
	return r;
}

static int approve_write(struct cmd *c, const struct approve_options *o, struct approval *a)
{
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_db_ struct db *d = NULL;
	_cleanup_buf_ struct buf user = BUF_INIT;
	_cleanup_process_ struct process *process = NULL;
	struct proc_table *procs = NULL;
	int status = cmd_open(c, DB_WRITE, &d), r;

	if (!status)
		status = cmd_sign(c, d, false, &key);
	if (status)
		return status;
	/* --by names whose decision it is; the process says who recorded it. */
	if (o->by)
		buf_str(&user, o->by);
	else
		cmd_user(&user);
	if (proc_table_new("/proc", 64, &procs) == 0) {
		process = proc_table_get(procs, getpid(), false);
		proc_table_free(procs);
	}
	a->user = user.data;
	a->since = clock_real_ns();
	r = user.failed ? -ENOMEM : approve_store(d, o, a, process);
	if (r == -ENOENT)
		return cmd_fail(r, NULL, "no approval %lld is in force (holdfast accept --list)", (long long)a->id);
	if (r == -E2BIG)
		return cmd_fail(r, NULL, "more than %d approvals in force: revoke some", APPROVALS_MAX);
	if (r < 0)
		return cmd_fail_db(r, d, "nothing was approved");
	cmd_tell(o->socket ? o->socket : c->conf->control, "approvals", NULL);
	return 0;
}

static int approve_add(struct cmd *c, const struct approve_options *o)
{
	_cleanup_free_ char *path = NULL;
	struct approval a = { 0 };
	char until[TEXT_TIME_MAX];
	int status = approve_fill(c, o, &path, &a);

	if (!status)
		status = approve_write(c, o, &a);
	if (status || c->quiet)
		return status;
	if (c->json) {
		a.user = o->by; /* the other one went with its buffer */
		approve_json(c, &a, a.since);
		return 0;
	}
	text_time(until, a.until, 0);
	out_printf(&c->out, "approval %lld: changes of ", (long long)a.id);
	out_text(&c->out, a.path);
	out_printf(&c->out, "%s are excused from now until %s\n", a.digest_len ? " to that digest" : "", until);
	return 0;
}

static int approve_revoke(struct cmd *c, const struct approve_options *o)
{
	struct approval a = { 0 };
	char *end;

	errno = 0;
	a.id = strtoll(o->revoke, &end, 10);
	if (errno || *end || a.id <= 0)
		return cmd_usage(c, "--revoke %s: want the number of an approval (holdfast accept --list)", o->revoke);
	if (o->path || o->digest || o->until)
		return cmd_usage(c, "--revoke stands with --by and --reason alone");
	return approve_write(c, o, &a);
}

int approve(struct cmd *c, const struct approve_options *o)
{
	if (c->n_args)
		return cmd_usage(c, "--path, --list and --revoke take no other arguments");
	if (o->list)
		return o->path || o->revoke ? cmd_usage(c, "--list stands alone (or with --all)")
					    : approve_list(c, o->all);
	return o->revoke ? approve_revoke(c, o) : approve_add(c, o);
}
