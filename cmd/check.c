/*
 * holdfast check: compares a tree with its baseline, reports, and records what is new in history, so that accept and
 * history know it. fim_check calls back from its threads, never two at once, while this thread waits in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/check_containers.h"
#include "cmd/command.h"
#include "cmd/findings.h"
#include "cmd/progress.h"
#include "fim/baseline.h"
#include "fim/differ.h"
#include "lib/clock.h"
#include "lib/text.h"

struct check_options {
	const char *root;
	bool full, no_record, all_containers, open;
	struct option_list containers;
	uint64_t threads;
};

#define AT(member) offsetof(struct check_options, member)
static const struct cmd_option check_rows[] = {
	{ "root", 0, OPTION_STRING, "DIR", "the folder that stands for / (default: the baseline's)", AT(root) },
	{ "full", 0, OPTION_FLAG, NULL, "read all content again, not only what metadata says may differ", AT(full) },
	{ "no-record", 0, OPTION_FLAG, NULL, "leave history alone", AT(no_record) },
	{ "open", 0, OPTION_FLAG, NULL, "leave out what package transactions and approvals explain", AT(open) },
	{ "container", 0, OPTION_LIST, "NAME|ID",
	  "this container, against the baseline of its image; may be given again", AT(containers) },
	{ "all-containers", 0, OPTION_FLAG, NULL, "every container of this node", AT(all_containers) },
	{ "threads", 'j', OPTION_NUMBER, "N", "threads that read (default: limits.hash_threads)", AT(threads) },
};

struct check {
	struct cmd *c;
	const struct check_options *o;
	struct findings found;
	struct differ *differ;
	int rootfd; /* borrowed */
	char **only;
	size_t n_only;
};

static void check_free(struct check *k)
{
	findings_reset(&k->found);
	differ_free(k->differ);
	for (size_t i = 0; i < k->n_only; i++)
		free(k->only[i]);
	free(k->only);
}
#define _cleanup_check_ __attribute__((cleanup(check_free)))

/* --- callbacks */

static int check_difference(void *data, const struct scan_difference *d)
{
	struct check *k = data;
	_cleanup_event_ struct event *e = findings_event(&k->found, d);

	if (!e)
		return -ENOMEM;
	if (k->differ)
		differ_event(k->differ, k->c->conf, k->rootfd, e);
	return findings_add(&k->found, e);
}

static int check_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct check *k = data;

	return findings_gap(&k->found, reason, path, detail);
}

/* --- the report's end */

static void check_summary_json(struct check *k, const struct scan_progress *progress, uint64_t took)
{
	json_t *j = findings_summary_json(&k->found, progress);

	json_object_set_new(j, "seconds", json_real((double)took / NSEC_PER_SEC));
	out_json(&k->c->out, j);
}

static void check_found(struct check *k, struct buf *b)
{
	uint64_t total = findings_count(&k->found);

	if (total) {
		cmd_number(b, total);
		buf_printf(b, " difference%s: ", total == 1 ? "" : "s");
		report_counts(b, k->found.report.counts);
	} else {
		buf_str(b, "No differences");
	}
	report_excused(b, &k->found.report);
}

static void check_summary(struct check *k, const struct scan_progress *progress, uint64_t took)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	char taken[TEXT_TIME_MAX];

	text_time(taken, k->found.info.created, 0);
	check_found(k, &b);
	buf_str(&b, "\n");
	cmd_number(&b, progress->files);
	buf_str(&b, " entries compared with baseline ");
	buf_printf(&b, "%s (taken %s, %s), ", k->found.info.name, taken, k->found.info.signed_by);
	if (progress->bytes) {
		text_size(&b, progress->bytes);
		buf_str(&b, " read, ");
	}
	text_duration(&b, took);
	buf_str(&b, "\n");
	findings_summary(&k->found, progress, &b);
	if (!b.failed)
		out_str(&k->c->out, b.data);
}

/* --- the run */

static int check_paths(struct check *k, const char *root, int from)
{
	struct cmd *c = k->c;

	k->only = calloc((size_t)(c->n_args - from) + 1, sizeof(*k->only));
	if (!k->only)
		return cmd_fail(-ENOMEM, NULL, "check");
	for (int i = from; i < c->n_args; i++) {
		k->only[k->n_only] = cmd_absolute(c->args[i], k->o->root || !streq(root, "/"));
		if (!k->only[k->n_only++])
			return cmd_fail(-ENOMEM, NULL, "check");
	}
	return 0;
}

/* Whether this check's findings are findings of the baseline's own tree, so that history is the place for them. */
static int check_recorder(struct check *k, const char *root)
{
	if (!streq(root, k->found.info.root)) {
		if (!k->c->quiet)
			log_info("another root than the baseline's (%s): history is left alone", k->found.info.root);
		return 0;
	}
	if (!k->o->no_record)
		cmd_tell(k->c->conf->control, "flush", NULL); /* what the monitor knows is not recorded twice */
	return findings_record(&k->found, k->o->no_record);
}

static int check_run(struct check *k, struct db *d, int rootfd, struct scan_progress *progress)
{
	struct cmd *c = k->c;
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct progress_options line = { .scan = progress,
					 .verb = k->o->full ? "reading" : "comparing",
					 .expected = k->n_only ? 0 : k->found.info.files,
					 .expected_bytes = k->o->full && !k->n_only ? k->found.info.bytes : 0,
					 .quiet = c->quiet };
	struct fim_check_options options = {
		.common = { .rootfd = rootfd,
			    .threads = (unsigned)(k->o->threads ? k->o->threads : c->conf->limits.hash_threads),
			    .hash_size = c->conf->limits.hash_size,
			    .progress = progress,
			    .gap = check_gap,
			    .data = k },
		.baseline = k->found.info.id,
		.db = &c->db,
		.full = k->o->full,
		.only = (const char *const *)k->only,
		.n_only = k->n_only,
		.difference = check_difference,
	};
	_cleanup_progress_ struct progress *p = NULL;
	int r = progress_start(&line, &p);

	if (r)
		return cmd_fail(r, NULL, "check");
	r = fim_check(d, &options, &err);
	if (r == 0 && k->found.recorder)
		r = recorder_revert(k->found.recorder, rootfd, options.only, options.n_only);
	progress_stop(TAKE_PTR(p));
	if (r == 0)
		return 0;
	if (r == -ECANCELED)
		return cmd_fail(r, NULL, "ended by a signal: the check is not complete");
	r = cmd_fail(r, &err, "check of %s", k->found.info.name);
	return r == EX_USAGE || r == EX_NOINPUT ? EX_IOERR : r;
}

static int check_report(struct check *k, struct db *d, int rootfd)
{
	struct scan_progress progress = { 0 };
	struct cmd *c = k->c;
	uint64_t started = clock_mono_ns();
	int status = check_run(k, d, rootfd, &progress);
	int r = recorder_finish(k->found.recorder);

	report_print(&k->found.report, &c->out);
	if (!c->quiet && !c->json)
		gap_list_print(&k->found.gaps, &c->out, c->verbose);
	if (status)
		return status;
	if (r)
		return cmd_fail(r, NULL, "history");
	if (c->json && !c->quiet)
		check_summary_json(k, &progress, clock_mono_ns() - started);
	else if (!c->quiet)
		check_summary(k, &progress, clock_mono_ns() - started);
	return report_status(k->found.report.counts);
}

static int check_of_containers(struct cmd *c, const struct check_options *o)
{
	const struct option_list none = { NULL, 0 };
	const struct check_containers_options containers = { o->all_containers ? &none : &o->containers, o->no_record,
							     o->open };

	if (c->n_args || o->root)
		return cmd_usage(c, "a container is compared as a whole, with the baseline of its image");
	if (o->all_containers && o->containers.n)
		return cmd_usage(c, "--all-containers stands alone");
	return check_containers(c, &containers);
}

static int check(struct cmd *c)
{
	const struct check_options *o = c->options;
	_cleanup_db_ struct db *d = NULL;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_check_ struct check k = {
		.c = c, .o = o, .found = { .c = c, .report = { .whole = c->verbose, .open_only = o->open } }
	};
	_cleanup_close_ int rootfd = -1;
	bool named = c->n_args && cmd_is_name(c->args[0]);
	const char *name = named ? c->args[0] : "host", *root;
	int status;

	if (o->containers.n || o->all_containers)
		return check_of_containers(c, o);
	status = cmd_open(c, DB_READ, &d);
	if (!status)
		status = cmd_public(c, &pub);
	if (!status)
		status = cmd_find(d, name, pub, &arena, &k.found.info);
	if (status)
		return status;
	if (k.found.info.kind == BASELINE_IMAGE && !o->root)
		return cmd_usage(c, "baseline %s is of an image: --root DIR says where it is unpacked or mounted",
				 name);
	root = o->root ? o->root : k.found.info.root;
	rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rootfd < 0)
		return cmd_fail(-errno, NULL, "%s", root);
	status = check_paths(&k, root, named);
	if (status)
		return status;
	status = check_recorder(&k, root);
	if (status)
		return status;
	k.rootfd = rootfd;
	status = differ_new(&c->db, k.found.info.algo, true, &k.differ);
	return status < 0 ? cmd_fail(status, NULL, "check") : check_report(&k, d, rootfd);
}

const struct command command_check = {
	.name = "check",
	.usage = "[NAME] [--root DIR] [--full] [--no-record] [--open] [PATH...] | --container NAME|ID... | "
		 "--all-containers",
	.summary = "compare files with a baseline",
	.details =
		"NAME is a baseline, \"host\" when left out; with PATHs only these and what is below them is "
		"compared.\n"
		"Metadata of everything is read; content only where metadata says that it may differ, or with --full.\n"
		"With --container what a container has written, removed and changed is compared with the baseline of\n"
		"its image, whether it runs or not; what is mounted in it is left out.\n"
		"What a package transaction or an approval explains is marked as excused, with its cause; --open "
		"leaves\n"
		"it out of report and exit status.\n"
		"New differences are recorded in history, so that `holdfast accept` can refer to them.\n"
		"\n"
		"exit status: 0 no differences, else the sum of 1 added, 2 removed, 4 changed; 64 and above: "
		"sysexits(3)\n"
		"(66 no such baseline or container, or one of the containers could not be compared, 74 the store "
		"cannot be read or trusted, 77 permission, 78 configuration).\n",
	.options = check_rows,
	.n_options = ARRAY_SIZE(check_rows),
	.options_size = sizeof(struct check_options),
	.run = check,
};
