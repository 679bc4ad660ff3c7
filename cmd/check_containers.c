/*
 * Containers as they lie on this node, running or not, against the baselines of their images. Reads the runtimes' own
 * files, the writable layers and the mount tables of processes; talks to no runtime. One thread.
 */
#include "cmd/check_containers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/findings.h"
#include "cmd/progress.h"
#include "db/history.h"
#include "fim/drift.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "proc/cgroup.h"
#include "proc/containers.h"
#include "watch/mountns.h"

#define ID_WORTH_GIVING 6 /* digits */

struct checker {
	struct cmd *c;
	const struct check_containers_options *o;
	struct db *d;
	struct sign_key *pub;
	struct containers *containers;
	struct mountns *mounts; /* of their processes */
	bool *asked;		/* that it was found, for each of o->names */
	size_t checked, failed;
	uint64_t counts[CHANGE_COUNT]; /* of all */
	int64_t verified;	       /* baseline that was verified last */

	/* the container at hand */
	struct container *container;
	char shown_id[13];
	const char *shown;
	struct findings found;
};

/* --- what drift_check tells */

static int difference(void *data, const struct scan_difference *d, const char *host, const char *cause)
{
	struct checker *k = data;
	_cleanup_event_ struct event *e = findings_event(&k->found, d);

	if (!e)
		return -ENOMEM;
	e->host_path = host ? arena_strdup(&e->arena, host) : NULL;
	e->cause = cause ? arena_strdup(&e->arena, cause) : NULL;
	e->container = container_ref(k->container);
	return !host == !e->host_path && !cause == !e->cause ? findings_add(&k->found, e) : -ENOMEM;
}

static void gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct checker *k = data;

	findings_gap(&k->found, reason, path, detail);
}

/* --- the report's end */

static void summary_json(struct checker *k, const struct scan_progress *progress)
{
	json_t *j = findings_summary_json(&k->found, progress);

	json_object_set_new(j, "container", container_json(k->container));
	out_json(&k->c->out, j);
}

static void summary(struct checker *k, const struct scan_progress *progress)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	buf_str(&b, "Container ");
	text_sanitize(&b, k->shown, strlen(k->shown));
	buf_str(&b, findings_count(&k->found) ? ": " : ": no differences");
	report_counts(&b, k->found.report.counts);
	report_excused(&b, &k->found.report);
	buf_str(&b, " from image ");
	text_escape(&b, k->container->image ?: "?", strlen(k->container->image ?: "?"));
	buf_printf(&b, " (baseline %s), ", k->found.info.name);
	cmd_number(&b, progress->files);
	buf_str(&b, " entries of its own looked at\n");
	findings_summary(&k->found, progress, &b);
	if (!b.failed)
		out_str(&k->c->out, b.data);
}

static void finish(struct checker *k, const struct scan_progress *progress, bool good)
{
	uint64_t counts[CHANGE_COUNT];

	memcpy(counts, k->found.report.counts, sizeof(counts));
	recorder_finish(k->found.recorder);
	report_print(&k->found.report, &k->c->out);
	memcpy(k->found.report.counts, counts, sizeof(counts));
	if (good && k->c->json && !k->c->quiet) {
		summary_json(k, progress);
	} else if (good && !k->c->quiet) {
		gap_list_print(&k->found.gaps, &k->c->out, k->c->verbose);
		summary(k, progress);
	}
	for (size_t i = 0; i < CHANGE_COUNT; i++)
		k->counts[i] += counts[i];
}

/* --- one container */

/* Said, and the others are checked all the same. */
static int cannot(struct checker *k, const char *why)
{
	_cleanup_buf_ struct buf name = BUF_INIT;

	text_escape(&name, k->shown, strlen(k->shown));
	log_error("container %s: %s", name.data ? name.data : "", why);
	k->failed++;
	return 0;
}

static int no_baseline(struct checker *k)
{
	const struct container *c = k->container;
	_cleanup_buf_ struct buf b = BUF_INIT;
	const char *image = c->image ?: c->image_id ?: c->image_digest;

	if (!image) {
		buf_printf(&b, "its image is not known: %s", c->unknown ?: "its runtime does not tell");
	} else {
		buf_str(&b, "no baseline of its image ");
		text_escape(&b, image, strlen(image));
		buf_str(&b, ": `holdfast init --image SOURCE NAME` takes one (SOURCE: an archive, or "
			    "containers-storage:IMAGE, containerd:IMAGE)");
	}
	return cannot(k, b.data ? b.data : "no baseline of its image");
}

/* Rows are asked for one by one later: all of them are verified before. */
static int verify(struct checker *k)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = k->verified == k->found.info.id ? 0 : baseline_verify(k->d, k->found.info.id, k->pub, &err);

	if (r < 0) {
		cmd_fail(r, &err, "BASELINE %s IS NOT TO BE TRUSTED", k->found.info.name);
		return EX_IOERR;
	}
	k->verified = k->found.info.id;
	return 0;
}

static int compare(struct checker *k)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct scan_progress progress = { 0 };
	struct progress_options line = { .scan = &progress, .verb = "comparing", .quiet = k->c->quiet };
	_cleanup_progress_ struct progress *p = NULL;
	const struct drift_options o = {
		.policy = conf_policy_of(k->c->conf, k->container),
		.container = k->container,
		.db = k->d,
		.baseline = &k->found.info,
		.mounts = k->mounts,
		.hash_size = k->c->conf->limits.hash_size,
		.progress = &progress,
		.difference = difference,
		.gap = gap,
		.data = k,
	};
	int r = progress_start(&line, &p);

	if (r)
		return cmd_fail(r, NULL, "check");
	r = drift_check(&o, &err);
	progress_stop(TAKE_PTR(p));
	finish(k, &progress, r == 0);
	if (r == -ECANCELED)
		return cmd_fail(r, NULL, "ended by a signal: the check is not complete");
	if (r < 0)
		return cannot(k, err.len ? err.data : strerror(-r));
	k->checked++;
	return 0;
}

static int check_one(struct checker *k)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	int r = drift_find_baseline(k->d, k->container, &arena, &k->found.info), status;

	if (r == -ENOENT)
		return no_baseline(k);
	if (r < 0)
		return cmd_fail_db(r, k->d, "baseline");
	if (!k->container->upper)
		return cannot(k, k->container->unknown ?: "where its layers lie is not known");
	status = verify(k);
	if (!status)
		status = findings_record(&k->found, k->o->no_record);
	if (status)
		return status;
	k->found.report.open_only = k->o->open;
	status = compare(k);
	findings_reset(&k->found);
	return status;
}

/* --- which */

static bool is_called(const struct container *c, const char *name)
{
	size_t len = strlen(name);

	return (c->name && streq(c->name, name)) || streq(c->id, name) ||
	       (len >= ID_WORTH_GIVING && strncmp(c->id, name, len) == 0);
}

static bool is_wanted(struct checker *k, const struct container *c)
{
	bool wanted = !k->o->names->n;

	for (size_t i = 0; i < k->o->names->n; i++) {
		if (!is_called(c, k->o->names->items[i]))
			continue;
		k->asked[i] = wanted = true;
	}
	return wanted;
}

static int each(struct container *c, void *data)
{
	struct checker *k = data;

	if (!is_wanted(k, c))
		return 0;
	k->container = c;
	k->shown = container_shown(c, k->shown_id);
	return check_one(k);
}

static void process_seen(const char *cgroup, int32_t pid, void *data)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	size_t n = cgroup_containers(cgroup, in);
	struct checker *k = data;

	if (n)
		mountns_seen(k->mounts, in[n - 1].id, pid);
}

/* Mount namespaces go by the processes in them. */
static int find_mounts(struct checker *k)
{
	const struct mountns_options o = { .procfs = "/proc", .look = true };
	_cleanup_proc_table_ struct proc_table *procs = NULL;
	int r = proc_table_new("/proc", k->c->conf->limits.processes, &procs);

	if (r == 0)
		r = mountns_new(&o, &k->mounts);
	if (r < 0)
		return r;
	mountns_want(k->mounts, true);
	proc_table_set_seen(procs, process_seen, k);
	return proc_table_scan(procs);
}

static int check_all(struct checker *k)
{
	const struct containers_options o = { .root = "/",
					      .procfs = "/proc",
					      .stores = k->c->conf->containers.stores.items,
					      .n_stores = k->c->conf->containers.stores.n };
	int r = containers_new(&o, &k->containers);

	if (r == 0)
		r = find_mounts(k);
	if (r < 0)
		return cmd_fail(r, NULL, "containers");
	r = containers_each(k->containers, each, k);
	if (r < 0)
		return cmd_fail(r, NULL, "containers");
	for (size_t i = 0; r == 0 && i < k->o->names->n; i++) {
		_cleanup_buf_ struct buf name = BUF_INIT;

		if (k->asked[i])
			continue;
		text_escape(&name, k->o->names->items[i], strlen(k->o->names->items[i]));
		log_error("there is no container %s on this node (containers.stores names stores in unusual places)",
			  name.data ? name.data : "");
		k->failed++;
	}
	return r;
}

int check_containers(struct cmd *c, const struct check_containers_options *o)
{
	_cleanup_db_ struct db *d = NULL;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_free_ bool *found = calloc(o->names->n + 1, sizeof(*found));
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct checker k = { .c = c, .o = o, .asked = found, .found = { .c = c, .report.whole = c->verbose } };
	int status = found ? cmd_open(c, DB_READ, &d) : cmd_fail(-ENOMEM, NULL, "check");

	if (!status)
		status = cmd_public(c, &pub);
	if (!status && history_check_head(d, pub, &err)) {
		log_error("HISTORY IS NOT TO BE TRUSTED: %s", err.data ? err.data : "");
		status = EX_IOERR;
	}
	if (status)
		return status;
	k.d = d;
	k.pub = pub;
	cmd_tell(c->conf->control, "flush", NULL); /* what the monitor knows is not recorded twice */
	status = check_all(&k);
	containers_free(k.containers);
	if (k.mounts)
		mountns_free(k.mounts);
	if (status)
		return status;
	if (!k.checked && !k.failed && !c->quiet && !c->json)
		out_str(&c->out, "No containers on this node\n");
	return k.failed ? EX_NOINPUT : report_status(k.counts);
}
