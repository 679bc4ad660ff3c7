/*
 * holdfast accept: what a person has seen and says is fine. The recorded state after the change goes into the baseline
 * (not what stands there by now), the decision goes into history. One thread, one connection, one transaction.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "cmd/approve.h"
#include "db/history.h"
#include "event/json.h"
#include "fim/read.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "proc/table.h"

#define ACCEPT_MAX    100000 /* in one run: all of them are one transaction */
#define WARNINGS_MAX  20
#define FORGET_SINGLE 100 /* more paths than that: the monitor is told to forget all */

struct accept_options {
	bool all, excused;
	struct option_list ids;
	const char *reason, *until, *baseline, *control;
	struct approve_options ahead;
};

#define AT(member) offsetof(struct accept_options, member)
static const struct cmd_option accept_rows[] = {
	{ "all", 0, OPTION_FLAG, NULL, "every open deviation of the baseline", AT(all) },
	{ "excused", 0, OPTION_FLAG, NULL,
	  "what package transactions and approvals explained, and nothing has changed since", AT(excused) },
	{ "id", 0, OPTION_LIST, "N", "the deviation of this number (of holdfast history); may be given again",
	  AT(ids) },
	{ "reason", 'r', OPTION_STRING, "TEXT", "why it is fine; wanted, and kept in history", AT(reason) },
	{ "until", 0, OPTION_STRING, "TIME", "only until then (2026-01-31, or in how long: 7d); the baseline stays",
	  AT(until) },
	{ "baseline", 0, OPTION_STRING, "NAME", "the baseline (default: host)", AT(baseline) },
	{ "control", 0, OPTION_STRING, "FILE", "control socket of the monitor", AT(control) },
	{ "path", 0, OPTION_STRING, "GLOB", "approve changes to come: of this path and what is below it, or of a glob",
	  AT(ahead.path) },
	{ "digest", 0, OPTION_STRING, "HEX", "with --path: only changes to this content", AT(ahead.digest) },
	{ "by", 0, OPTION_STRING, "USER", "with --path: whose decision it is (default: who runs this)", AT(ahead.by) },
	{ "list", 0, OPTION_FLAG, NULL, "the approvals in force; with --all also those that are not any more",
	  AT(ahead.list) },
	{ "revoke", 0, OPTION_STRING, "ID", "end this approval now", AT(ahead.revoke) },
};

/* The newest open deviation of one path, and with it what the baseline is to say. */
struct item {
	const char *path;
	int64_t id;
	bool exists, skip;
	struct record after;
	UT_hash_handle hh;
};

struct accept {
	struct cmd *c;
	struct db *d;
	const struct accept_options *o;
	struct baseline_info info;
	struct arena arena;
	struct item *items; /* hash by path, in order of insertion */
	size_t n;
	uint64_t ids[1024];
	size_t n_ids;
	uint64_t until;
	struct process *process;
};

static void accept_free(struct accept *k)
{
	HASH_CLEAR(hh, k->items); /* the items lie in the arena */
	arena_free(&k->arena);
	process_unrefp(&k->process);
}
#define _cleanup_accept_ __attribute__((cleanup(accept_free)))

/* --- arguments */

static int accept_ids(struct accept *k)
{
	const struct option_list *l = &k->o->ids;

	if (l->n > ARRAY_SIZE(k->ids))
		return cmd_usage(k->c, "more than %zu ids", ARRAY_SIZE(k->ids));
	for (size_t i = 0; i < l->n; i++) {
		char *end;

		errno = 0;
		k->ids[i] = strtoull(l->items[i], &end, 10);
		if (errno || *end || *l->items[i] < '0' || *l->items[i] > '9')
			return cmd_usage(k->c, "--id %s: want the number of a deviation", l->items[i]);
	}
	k->n_ids = l->n;
	return 0;
}

static int accept_arguments(struct accept *k)
{
	struct cmd *c = k->c;
	int status;

	if (!k->o->reason || !*k->o->reason)
		return cmd_usage(c, "--reason TEXT is wanted: why is this fine?");
	if (strlen(k->o->reason) > 4096)
		return cmd_usage(c, "--reason: 4096 bytes at most");
	if (!k->o->all && !k->o->excused && !k->o->ids.n && !c->n_args)
		return cmd_usage(c, "what? Give PATHs, globs, --id N, --excused or --all");
	if (k->o->excused && (k->o->all || k->o->ids.n || k->o->until))
		return cmd_usage(c, "--excused stands alone, or with PATHs");
	if (k->o->all && (k->o->ids.n || c->n_args))
		return cmd_usage(c, "--all stands alone");
	status = accept_ids(k);
	if (!status && k->o->until)
		status = cmd_until(c, k->o->until, &k->until);
	return status;
}

/* --- collecting */

static int accept_take(struct accept *k, const char *path, int64_t id, const struct record *after)
{
	struct item *item;

	HASH_FIND_STR(k->items, path, item);
	if (item) /* history comes newest first: an older state of the path does not matter */
		return 0;
	if (k->n == ACCEPT_MAX)
		return -E2BIG;
	item = arena_zalloc(&k->arena, sizeof(*item));
	if (!item)
		return -ENOMEM;
	item->path = arena_strdup(&k->arena, path);
	item->id = id;
	item->exists = after != NULL;
	if (!item->path || (after && !record_dup(&k->arena, after, &item->after)))
		return -ENOMEM;
	HASH_ADD_KEYPTR(hh, k->items, item->path, strlen(item->path), item);
	k->n++;
	return 0;
}

/* The newest of a path decides: --excused takes only what is still as it was excused, and not accepted yet. */
static int accept_newest(struct accept *k, const char *path, const struct event *e, const struct record *after)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	struct record last;
	struct item *item;
	bool exists;
	int r;

	HASH_FIND_STR(k->items, path, item);
	r = item ? 0 : accept_take(k, path, e->id, after);
	if (r || item || !k->o->excused)
		return r;
	HASH_FIND_STR(k->items, path, item);
	r = e->status == STATUS_EXCUSED && e->change < CHANGE_REVERTED
		    ? history_last_state(k->d, k->info.id, path, &arena, &exists, &last)
		    : -ENOENT;
	item->skip = r == -ENOENT;
	return r == -ENOENT ? 0 : r;
}

static void accept_drop_skipped(struct accept *k)
{
	struct item *item, *next;

	HASH_ITER(hh, k->items, item, next)
	{
		if (!item->skip)
			continue;
		HASH_DEL(k->items, item);
		k->n--;
	}
}

static bool accept_wanted(const struct accept *k, const struct event *e)
{
	if (e->baseline_id != k->info.id || !e->path || e->change == CHANGE_TRANSIENT ||
	    (e->change >= CHANGE_REVERTED && !k->o->excused))
		return false;
	for (size_t i = 0; i < k->n_ids; i++) {
		if (k->ids[i] == (uint64_t)e->id)
			return true;
	}
	return !k->n_ids;
}

static int accept_event(struct event *e, void *data)
{
	struct accept *k = data;
	int r;

	if (!accept_wanted(k, e))
		return 0;
	if (e->change != CHANGE_RENAMED || !e->path2)
		return accept_newest(k, e->path, e, e->has_after ? &e->after : NULL);
	r = accept_newest(k, e->path, e, NULL);
	return r ? r : accept_newest(k, e->path2, e, e->has_after ? &e->after : NULL);
}

/* path NULL: all. */
static int accept_find(struct accept *k, struct db *d, const char *path)
{
	struct history_filter filter = {
		.open_only = !k->o->excused, .kinds = 1u << EVENT_CHANGE, .path = path, .baseline = k->info.name
	};
	size_t before = k->n;
	int r = history_each(d, &filter, accept_event, k);

	if (r == -E2BIG)
		return cmd_fail(r, NULL, "more than %d deviations at once: accept them folder by folder", ACCEPT_MAX);
	if (r)
		return cmd_fail_db(r, d, "history");
	if (path && k->n == before)
		log_warn("no open deviation of %s at %s (see holdfast history --open)", k->info.name, path);
	return 0;
}

static int accept_collect(struct accept *k, struct db *d)
{
	struct cmd *c = k->c;
	size_t n_ids = k->n_ids;
	int status = 0;

	if (k->o->all || n_ids || (k->o->excused && !c->n_args))
		status = accept_find(k, d, NULL);
	k->n_ids = 0; /* paths are asked without them */
	for (int i = 0; i < c->n_args && !status; i++) {
		_cleanup_free_ char *path = text_is_glob(c->args[i]) && *c->args[i] == '/'
						    ? strdup(c->args[i])
						    : cmd_absolute(c->args[i], !streq(k->info.root, "/"));

		status = path ? accept_find(k, d, path) : cmd_fail(-ENOMEM, NULL, "accept");
	}
	accept_drop_skipped(k);
	if (!status && !k->n) {
		log_error("nothing to accept");
		return EX_NOINPUT;
	}
	return status;
}

/* --- what has happened since */

static bool accept_differs(const struct item *item, struct file_reader *reader, int rootfd)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_close_ int dirfd = -1;
	struct record now;
	const char *name;
	int r = file_open_parent(rootfd, item->path, &dirfd, &name);

	if (!r)
		r = file_read_meta(reader, &arena, dirfd, name, &now);
	if (r)
		return item->exists;
	/* ctime tells of any change; reading the content again would tell no more. */
	return !item->exists ||
	       attr_compare(&item->after, &now,
			    ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME));
}

static int accept_warn(const struct accept *k)
{
	struct read_options options = { .algo = k->info.algo };
	_cleanup_(file_reader_free_p) struct file_reader *reader = NULL;
	_cleanup_close_ int rootfd = open(k->info.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t warned = 0;
	int r = file_reader_new(&options, &reader);

	if (r || rootfd < 0)
		return r; /* a tree that is not there now can be accepted all the same */
	for (const struct item *item = k->items; item; item = item->hh.next) {
		if (!accept_differs(item, reader, rootfd))
			continue;
		if (warned++ < WARNINGS_MAX)
			log_warn("%s has changed since: what is accepted is the state of deviation %lld, not what is "
				 "there now",
				 item->path, (long long)item->id);
	}
	if (warned > WARNINGS_MAX)
		log_warn("%zu more have changed since", warned - WARNINGS_MAX);
	return 0;
}

/* --- storing */

static int accept_apply(struct accept *k, struct db *d, const struct sign_key *key)
{
	_cleanup_free_ struct baseline_edit *edits = calloc(k->n, sizeof(*edits));
	size_t n = 0;

	if (k->until)
		return 0;
	if (!edits)
		return -ENOMEM;
	for (const struct item *item = k->items; item; item = item->hh.next)
		edits[n++] = (struct baseline_edit){ .path = item->path, .rec = item->exists ? &item->after : NULL };
	return baseline_apply(d, k->info.id, edits, n, key);
}

static struct event *accept_row(const struct accept *k, const struct item *item, const char *user)
{
	struct event *e = event_new(EVENT_ACCEPT);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->path = arena_strdup(&e->arena, item->path);
	e->baseline = arena_strdup(&e->arena, k->info.name);
	e->reason = arena_strdup(&e->arena, k->o->reason);
	e->user = arena_strdup(&e->arena, user);
	e->baseline_id = k->info.id;
	e->ref = item->id;
	e->until = k->until;
	e->process = k->process ? process_ref(k->process) : NULL;
	if (!e->path || !e->baseline || !e->reason || !e->user) {
		event_unref(e);
		return NULL;
	}
	return e;
}

static int accept_record(struct accept *k, struct db *d)
{
	_cleanup_buf_ struct buf user = BUF_INIT;
	int r = 0;

	cmd_user(&user);
	if (user.failed)
		return -ENOMEM;
	for (const struct item *item = k->items; item && !r; item = item->hh.next) {
		_cleanup_event_ struct event *e = accept_row(k, item, user.data);

		r = e ? history_add(d, e) : -ENOMEM;
		if (!r && k->c->json && !k->c->quiet)
			out_json(&k->c->out, event_json(e));
	}
	return r;
}

static int accept_store(struct accept *k, struct db *d, const struct sign_key *key)
{
	int r = db_begin(d);

	if (r)
		return r;
	r = accept_apply(k, d, key);
	if (!r)
		r = accept_record(k, d);
	if (!r)
		r = db_commit(d);
	if (r)
		db_rollback(d);
	return r;
}

/* --- the running monitor: it keeps states in memory; without one there is nobody to tell */

static bool accept_tells_each(const struct accept *k)
{
	for (const struct item *item = k->items; item && k->n <= FORGET_SINGLE; item = item->hh.next) {
		if (!text_utf8_valid(item->path, strlen(item->path)))
			return false; /* no such path can stand in JSON */
	}
	return k->n <= FORGET_SINGLE;
}

static const char *accept_socket(const struct accept *k)
{
	return k->o->control ? k->o->control : k->c->conf->control;
}

static void accept_notify(const struct accept *k)
{
	const char *socket = accept_socket(k);

	if (!accept_tells_each(k)) {
		cmd_tell(socket, "forget", NULL);
		return;
	}
	for (const struct item *item = k->items; item; item = item->hh.next) {
		if (cmd_tell(socket, "forget", item->path))
			return;
	}
}

/* --- the command */

static void accept_summary(const struct accept *k)
{
	char until[TEXT_TIME_MAX];

	text_time(until, k->until, 0);
	out_printf(&k->c->out, "%zu deviation%s of baseline %s accepted%s%s%s\n", k->n, k->n == 1 ? "" : "s",
		   k->info.name, k->until ? " until " : "", k->until ? until : "",
		   k->until ? "; the baseline stays as it is" : "");
	if (!k->c->verbose)
		return;
	for (const struct item *item = k->items; item; item = item->hh.next) {
		out_str(&k->c->out, "  ");
		out_text(&k->c->out, item->path);
		out_str(&k->c->out, "\n");
	}
}

static int accept_run(struct accept *k, struct db *d, const struct sign_key *key)
{
	struct proc_table *procs = NULL;
	int status = cmd_find(d, k->o->baseline ? k->o->baseline : "host", key, &k->arena, &k->info), r;

	/* Its digest says what it is, and every container of the image is compared with it. */
	if (!status && k->info.kind == BASELINE_IMAGE && !k->o->until)
		return cmd_usage(k->c,
				 "baseline %s is what the image is: what may change in its containers, "
				 "containers.policies[].exclude says, or --until for a while",
				 k->info.name);
	if (!status) {
		k->d = d;
		cmd_tell(accept_socket(k), "flush", NULL); /* what was just printed can be accepted */
		status = accept_collect(k, d);
	}
	if (status)
		return status;
	if (proc_table_new("/proc", 64, &procs) == 0) {
		k->process = proc_table_get(procs, getpid(), false);
		proc_table_free(procs);
	}
	r = accept_warn(k);
	if (!r)
		r = accept_store(k, d, key);
	if (r)
		return cmd_fail_db(r, d, "nothing was accepted");
	accept_notify(k);
	if (!k->c->json && !k->c->quiet)
		accept_summary(k);
	return 0;
}

static int accept(struct cmd *c)
{
	_cleanup_accept_ struct accept k = { .c = c, .o = c->options };
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_db_ struct db *d = NULL;
	struct approve_options ahead = k.o->ahead;
	int status;

	if (approve_wanted(&ahead)) {
		ahead.all = k.o->all;
		ahead.until = k.o->until;
		ahead.reason = k.o->reason;
		ahead.socket = k.o->control;
		return approve(c, &ahead);
	}
	status = accept_arguments(&k);
	if (!status)
		status = cmd_open(c, DB_WRITE, &d);
	if (!status)
		status = cmd_sign(c, d, false, &key);
	return status ? status : accept_run(&k, d, key);
}

const struct command command_accept = {
	.name = "accept",
	.usage = "[--all | --excused] [--id N]... [PATH|GLOB]... --reason TEXT [--until TIME] [--baseline NAME]\n"
		 "--path GLOB [--digest HEX] [--by USER] --until TIME --reason TEXT | --list [--all] | --revoke ID",
	.summary = "say that deviations are fine",
	.details = "Deviations are those that history knows: `holdfast check` and `holdfast watch` record them, "
		   "`holdfast history --open`\n"
		   "lists them. A PATH stands for what is below it too. The state that was recorded is accepted, not "
		   "what is there\n"
		   "now; a file that has changed since is named. With --until the baseline stays, and the deviation is "
		   "open again then.\n"
		   "\n"
		   "With --path nothing that has happened is accepted: what the running monitor sees change from now "
		   "until "
		   "then, inside\n"
		   "the GLOB (and to that content), is recorded as excused, with the approval as cause.\n"
		   "\n"
		   "exit status: 0 accepted, else sysexits(3): 66 nothing to accept, 74 the store failed, 77 "
		   "permission.\n",
	.options = accept_rows,
	.n_options = ARRAY_SIZE(accept_rows),
	.options_size = sizeof(struct accept_options),
	.run = accept,
};
