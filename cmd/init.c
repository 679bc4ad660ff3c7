/*
 * holdfast init: takes a baseline. The thread of the command is the database writer; fim_init has the walker and the
 * workers.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/init.h"
#include "cmd/progress.h"
#include "db/history.h"
#include "fim/differ.h"
#include "fim/image.h"
#include "lib/clock.h"
#include "lib/spawner.h"
#include "lib/text.h"

#define AT(member) offsetof(struct init_options, member)
static const struct cmd_option init_rows[] = {
	{ "root", 0, OPTION_STRING, "DIR", "the folder that stands for /; all below it, unless PATHs say what",
	  AT(root) },
	{ "image", 0, OPTION_STRING, "SOURCE",
	  "a container image: root folder, OCI layout or archive, docker-archive, store", AT(image) },
	{ "platform", 0, OPTION_STRING, "OS/ARCH", "which image of an index (default: this node's)", AT(platform) },
	{ "digest", 0, OPTION_STRING, "ALGO", "sha256, sha512, sha3-256 or blake2b512 (default: store.digest)",
	  AT(digest) },
	{ "replace", 0, OPTION_FLAG, NULL, "replace an existing baseline of that name", AT(replace) },
	{ "threads", 'j', OPTION_NUMBER, "N", "threads that read (default: limits.hash_threads)", AT(threads) },
};

static void init_free(struct init *k)
{
	free(k->root);
	arena_free(&k->arena);
	gap_list_free(&k->gaps);
	table_free(&k->unread_names);
}
#define _cleanup_init_ __attribute__((cleanup(init_free)))

/* --- arguments */

static int init_scope_paths(struct init *k, int from)
{
	struct cmd *c = k->c;
	attr_mask all = 0;

	attr_apply("all", &all);
	if (from == c->n_args)
		return scope_add_path(&k->arena, &k->scope, "/", all);
	for (int i = from; i < c->n_args; i++) {
		_cleanup_free_ char *path = cmd_absolute(c->args[i], k->o->root);
		int r = path ? scope_add_path(&k->arena, &k->scope, path, all) : -ENOMEM;

		if (r)
			return r;
	}
	return 0;
}

static int init_scope_conf(struct init *k)
{
	const struct conf *conf = k->c->conf;

	if (!conf->scope.n_paths) {
		log_error("no paths are configured: give -c FILE with `paths:`, or a name and paths "
			  "(holdfast init mytree /srv/tree)%s%s",
			  k->c->conf_is_default ? "; there is no " : "",
			  k->c->conf_is_default ? CONF_DEFAULT_PATH : "");
		return EX_CONFIG;
	}
	k->scope = conf->scope;
	return 0;
}

static int init_image_arguments(struct init *k, bool named)
{
	struct cmd *c = k->c;

	if (!named)
		return cmd_usage(c, "the baseline of an image wants a NAME");
	if (k->o->root || c->n_args > 1)
		return cmd_usage(c, "a whole image: neither --root nor PATHs go with --image");
	k->kind = BASELINE_IMAGE;
	k->root = strdup("/");
	return k->root ? 0 : cmd_fail(-ENOMEM, NULL, "init");
}

static int init_arguments(struct init *k)
{
	struct cmd *c = k->c;
	bool named = c->n_args && cmd_is_name(c->args[0]);
	bool own_scope = k->o->root || k->o->image || c->n_args > named;
	int r;

	k->name = named ? c->args[0] : "host";
	if (own_scope && !named)
		return cmd_usage(c, "a baseline of other paths than the configuration's wants a NAME first");
	if (!cmd_name_valid(k->name))
		return cmd_usage(c, "'%s' is no name for a baseline: letters, digits and ._:@+- (64 at most)", k->name);
	k->algo = c->conf->store.digest;
	if (k->o->digest && digest_by_name(k->o->digest, &k->algo))
		return cmd_usage(c, "--digest %s: want sha256, sha512, sha3-256 or blake2b512", k->o->digest);
	if (k->o->image)
		return init_image_arguments(k, named);
	k->kind = own_scope ? BASELINE_TREE : BASELINE_HOST;
	k->root = realpath(k->o->root ? k->o->root : "/", NULL);
	if (!k->root)
		return cmd_fail(-errno, NULL, "--root %s", k->o->root);
	if (!own_scope)
		return init_scope_conf(k);
	r = init_scope_paths(k, named);
	return r ? cmd_fail(r, NULL, "paths") : 0;
}

/* --- history: what it does not cover (that it was taken is noted by the store) */

static int init_record_gap(struct init *k, struct db *d, const struct gap_item *item, uint64_t key, uint64_t from)
{
	_cleanup_event_ struct event *e = event_new(EVENT_GAP);
	_cleanup_buf_ struct buf detail = BUF_INIT;
	int r;

	if (!e)
		return -ENOMEM;
	buf_printf(&detail, "not in baseline %s", k->name);
	if (item->detail)
		buf_printf(&detail, ": %s", item->detail);
	e->time = from;
	e->boot_time = clock_boot_ns();
	e->baseline = k->info.name;
	e->baseline_id = k->info.id;
	e->path = item->path;
	e->gap_reason = item->reason;
	e->gap_scope = item->path;
	e->gap_detail = detail.data;
	e->gap_from = from;
	e->gap_key = key;
	r = history_add(d, e);
	if (r)
		return r;
	/* The interval of this gap is the run; whether the path is watched later is for the monitor to say. */
	e->id = 0;
	e->time = clock_real_ns();
	e->gap_to = e->time;
	e->gap_healed = "end of init";
	return history_add(d, e);
}

static int init_record(struct init *k, struct db *d, uint64_t from)
{
	int r = k->gaps.n ? db_begin(d) : 0;

	if (r || !k->gaps.n)
		return r;
	for (size_t i = 0; i < k->gaps.n && !r; i++)
		r = init_record_gap(k, d, &k->gaps.items[i], from + i, from);
	if (!r)
		r = db_commit(d);
	if (r)
		db_rollback(d);
	return r;
}

/* --- the run */

static int init_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct init *k = data;

	gap_list_add(&k->gaps, reason, path, detail);
	return 0;
}

static int init_run(struct init *k, struct db *d, const struct sign_key *key, int rootfd, int64_t *ret_id)
{
	struct cmd *c = k->c;
	struct scan_progress scan = { 0 };
	struct progress_options line = { .scan = &scan, .verb = "reading", .quiet = c->quiet };
	_cleanup_(spawner_stop_p) struct spawner *spawner = NULL;
	_cleanup_progress_ struct progress *p = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct fim_init_options options = {
		.common = { .rootfd = rootfd,
			    .threads = (unsigned)(k->o->threads ? k->o->threads : c->conf->limits.hash_threads),
			    .hash_size = c->conf->limits.hash_size,
			    .progress = &scan,
			    .gap = init_gap,
			    .data = k },
		.name = k->name,
		.kind = k->kind,
		.root = k->root,
		.scope = &k->scope,
		.algo = k->algo,
		.replace = k->o->replace,
		.key = key,
	};
	int r = k->o->image ? spawner_start(&spawner) : 0;

	if (r == 0)
		r = progress_start(&line, &p);

	if (r)
		return cmd_fail(r, NULL, "init");
	if (k->o->image) {
		const struct fim_image_options image = { options, k->o->image, k->o->platform, 0, spawner };

		r = fim_init_image(d, &image, ret_id, &err);
	} else {
		r = fim_init(d, &options, ret_id, &err);
	}
	progress_stop(TAKE_PTR(p));
	if (r == 0)
		return 0;
	if (r == -ECANCELED)
		return cmd_fail(r, NULL, "ended by a signal: no baseline was stored");
	if (k->o->image && (r == -EBADMSG || r == -E2BIG || r == -EOPNOTSUPP)) {
		cmd_fail(r, &err, "baseline %s", k->name);
		return EX_DATAERR;
	}
	if (k->o->image && r == -ENOENT)
		return cmd_fail(r, &err, "baseline %s", k->name);
	r = cmd_fail(r, &err, "baseline %s", k->name);
	return r == EX_USAGE || r == EX_NOINPUT ? EX_IOERR : r;
}

/* A store that cannot be trusted gets no new baseline on top: that would seal over what gives it away. */
static int init_may(struct init *k, struct db *d, const struct sign_key *key)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct baseline_info info;
	int r = history_check_head(d, key, &err);

	if (r) {
		cmd_fail(r, &err, "HISTORY IS NOT TO BE TRUSTED");
		log_error("nothing was changed; move %s, its head file and its key away to begin anew", k->c->db.path);
		return EX_IOERR;
	}
	if (k->o->replace || baseline_find(d, k->name, &arena, &info) || !streq(info.state, "signed"))
		return 0;
	log_error(
		"there is a baseline '%s' already: `holdfast check %s` compares with it, `holdfast init %s --replace` "
		"gives it up for a new one",
		k->name, k->name, k->name);
	return EX_CANTCREAT;
}

static int init_take(struct init *k, struct db *d, const struct sign_key *key)
{
	_cleanup_close_ int rootfd = open(k->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t from = clock_real_ns(), started = clock_mono_ns();
	int64_t id = 0;
	int status, r;

	if (rootfd < 0)
		return cmd_fail(-errno, NULL, "%s", k->root);
	status = init_run(k, d, key, rootfd, &id);
	if (status)
		return status;
	k->took = clock_mono_ns() - started;
	/* What is not kept is only not shown later. */
	r = k->kind == BASELINE_IMAGE ? 0 : differ_keep_baseline(d, k->c->conf, rootfd, id, k->algo, &k->kept);
	if (r)
		log_warn("content of configuration files is not kept (diffs): %s", db_error(d));
	r = init_look(k, d, id, false);
	if (!r && k->info.unread) {
		k->folders = 0;
		r = init_look(k, d, id, true);
	}
	if (!r)
		r = init_record(k, d, from);
	if (r)
		return cmd_fail_db(r, d, "the baseline was taken, but what it does not cover is not in history");
	if (k->o->replace)
		cmd_tell(k->c->conf->control, "forget", NULL);
	if (!k->c->quiet)
		init_summary(k);
	return 0;
}

static int init(struct cmd *c)
{
	_cleanup_db_ struct db *d = NULL;
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_init_ struct init k = { .c = c, .o = c->options };
	int status = cmd_load(c);

	table_init(&k.unread_names, NULL, 2, 0);
	if (!status)
		status = init_arguments(&k);
	if (!status)
		status = cmd_open(c, DB_CREATE, &d);
	if (!status)
		status = cmd_sign(c, d, true, &key);
	if (!status)
		status = init_may(&k, d, key);
	return status ? status : init_take(&k, d, key);
}

const struct command command_init = {
	.name = "init",
	.usage = "[NAME] [--root DIR | --image SOURCE] [--digest ALGO] [--replace] [PATH...]",
	.summary = "take a baseline",
	.details = "Without arguments: the baseline \"host\" of the paths in the configuration, the one that `holdfast "
		   "watch` guards.\n"
		   "With PATHs or --root: a baseline of that tree, under the NAME that must be given. With --root, "
		   "PATHs are\n"
		   "names inside that folder. Every attribute of every file is recorded; the result is signed.\n"
		   "With --image: a baseline of the image, from its layers, which are verified and not unpacked.\n"
		   "\n"
		   "exit status: 0 taken, else sysexits(3): 65 not the image it should be, 66 no such image, 73 exists "
		   "already, 74 the store failed, 77 permission, 78 "
		   "configuration.\n",
	.options = init_rows,
	.n_options = ARRAY_SIZE(init_rows),
	.options_size = sizeof(struct init_options),
	.run = init,
};
