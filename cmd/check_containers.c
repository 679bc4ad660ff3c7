/*
 * Containers as they lie on this node, running or not, against the baselines of their images. Reads the runtimes' own
 * files and the writable layers; talks to no runtime. One thread.
 */
#include "cmd/check_containers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/progress.h"
#include "cmd/record.h"
#include "cmd/report.h"
#include "db/history.h"
#include "fim/drift.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "proc/containers.h"

#define ID_WORTH_GIVING 6 /* digits */

struct checker {
	struct cmd *c;
	const struct check_containers_options *o;
	struct db *d;
	struct sign_key *pub;
	struct containers *containers;
	bool *found; /* for each of o->names */
	size_t checked, failed;
	uint64_t counts[CHANGE_COUNT]; /* of all */
	int64_t verified;	       /* baseline that was verified last */

	/* the container at hand */
	struct container *container;
	char shown_id[13];
	const char *shown;
	struct baseline_info info;
	struct report report;
	struct gap_list gaps;
	struct recorder *recorder;
};

/* --- what drift_check tells */

static struct event *difference_event(const struct checker *k, const struct scan_difference *d, const char *host)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->path = arena_strdup(&e->arena, d->path);
	e->host_path = arena_strdup(&e->arena, host);
	e->container = container_ref(k->container);
	e->baseline = arena_strdup(&e->arena, k->info.name);
	e->baseline_id = k->info.id;
	e->change = d->change;
	e->status = STATUS_OPEN;
	e->attributes = d->attributes;
	e->process_why = "found by check";
	e->count = 1;
	e->has_before = d->before && record_dup(&e->arena, d->before, &e->before);
	e->has_after = d->after && record_dup(&e->arena, d->after, &e->after);
	if (!e->path || !e->host_path || !e->baseline || e->has_before != !!d->before || e->has_after != !!d->after)
		return NULL;
	return TAKE_PTR(e);
}

static void recorded(struct event *e, void *data)
{
	struct checker *k = data;

	if (k->c->json && !k->c->quiet && !(k->o->open && e->status == STATUS_EXCUSED))
		out_json(&k->c->out, event_json(e));
}

static int difference(void *data, const struct scan_difference *d, const char *host)
{
	struct checker *k = data;
	_cleanup_event_ struct event *e = difference_event(k, d, host);
	int r;

	if (!e)
		return -ENOMEM;
	r = recorder_add(k->recorder, e);
	if (r < 0)
		return r;
	if (!k->c->json && !k->c->quiet)
		return report_add(&k->report, &k->c->out, e);
	report_count(&k->report, e);
	return 0;
}

static void gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct checker *k = data;

	gap_list_add(&k->gaps, reason, path, detail);
}

/* --- the report's end */

static void summary_json(struct checker *k, const struct scan_progress *progress)
{
	json_t *j = json_object(), *changes = json_object();
	char time[TEXT_TIME_MAX];

	text_time(time, clock_real_ns(), 3);
	json_object_set_new(j, "time", json_string(time));
	json_object_set_new(j, "kind", json_string("summary"));
	json_object_set_new(j, "container", container_json(k->container));
	json_object_set_new(j, "baseline", json_string(k->info.name));
	json_object_set_new(j, "entries", json_integer((json_int_t)progress->files));
	json_object_set_new(j, "bytes", json_integer((json_int_t)progress->bytes));
	json_object_set_new(j, "unread", json_integer((json_int_t)progress->unread));
	for (size_t i = 0; i < CHANGE_COUNT; i++) {
		if (k->report.counts[i])
			json_object_set_new(changes, change_names[i], json_integer((json_int_t)k->report.counts[i]));
	}
	json_object_set_new(j, "changes", changes);
	json_object_set_new(j, "excused", json_integer((json_int_t)k->report.excused));
	json_object_set_new(j, "recorded", json_integer((json_int_t)recorder_stored(k->recorder)));
	json_object_set_new(j, "not_covered", json_integer((json_int_t)k->gaps.total));
	json_object_set_new(j, "gaps", gap_list_json(&k->gaps));
	out_json(&k->c->out, j);
}

static void summary(struct checker *k, const struct scan_progress *progress)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	uint64_t total = 0;

	for (size_t i = 0; i < CHANGE_COUNT; i++)
		total += k->report.counts[i];
	buf_str(&b, "Container ");
	text_sanitize(&b, k->shown, strlen(k->shown));
	buf_str(&b, total ? ": " : ": no differences");
	report_counts(&b, k->report.counts);
	report_excused(&b, &k->report);
	buf_str(&b, " from image ");
	text_escape(&b, k->container->image ?: "?", strlen(k->container->image ?: "?"));
	buf_printf(&b, " (baseline %s), ", k->info.name);
	cmd_number(&b, progress->files);
	buf_str(&b, " entries of its own looked at\n");
	if (progress->unread) {
		cmd_number(&b, progress->unread);
		buf_str(&b, " files could not be read\n");
	}
	if (k->gaps.total) {
		buf_str(&b, "Not covered: ");
		gap_list_counts(&k->gaps, &b);
		buf_str(&b, k->c->verbose ? "\n" : " (-v names them)\n");
	}
	recorder_summary(k->recorder, &b);
	if (!b.failed)
		out_str(&k->c->out, b.data);
}

static void finish(struct checker *k, const struct scan_progress *progress, bool good)
{
	uint64_t counts[CHANGE_COUNT];

	memcpy(counts, k->report.counts, sizeof(counts));
	recorder_finish(k->recorder);
	report_print(&k->report, &k->c->out);
	memcpy(k->report.counts, counts, sizeof(counts));
	if (good && k->c->json && !k->c->quiet) {
		summary_json(k, progress);
	} else if (good && !k->c->quiet) {
		gap_list_print(&k->gaps, &k->c->out, k->c->verbose);
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
	int r = k->verified == k->info.id ? 0 : baseline_verify(k->d, k->info.id, k->pub, &err);

	if (r < 0) {
		cmd_fail(r, &err, "BASELINE %s IS NOT TO BE TRUSTED", k->info.name);
		return EX_IOERR;
	}
	k->verified = k->info.id;
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
		.baseline = &k->info,
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
	const struct recorder_options recorder = { &k->info, k->o->no_record, recorded, k };
	int r = drift_find_baseline(k->d, k->container, &arena, &k->info), status;

	if (r == -ENOENT)
		return no_baseline(k);
	if (r < 0)
		return cmd_fail_db(r, k->d, "baseline");
	if (!k->container->upper)
		return cannot(k, k->container->unknown ?: "where its layers lie is not known");
	status = verify(k);
	if (!status)
		status = recorder_new(k->c, &recorder, &k->recorder);
	if (status)
		return status;
	k->report = (struct report){ .whole = k->c->verbose, .open_only = k->o->open };
	status = compare(k);
	report_free(&k->report);
	gap_list_free(&k->gaps);
	recorder_free(TAKE_PTR(k->recorder));
	k->report = (struct report){ 0 };
	k->gaps = (struct gap_list){ 0 };
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
		k->found[i] = wanted = true;
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

static int check_all(struct checker *k)
{
	const struct containers_options o = { .root = "/",
					      .procfs = "/proc",
					      .stores = k->c->conf->containers.stores.items,
					      .n_stores = k->c->conf->containers.stores.n };
	int r = containers_new(&o, &k->containers);

	if (r < 0)
		return cmd_fail(r, NULL, "containers");
	r = containers_each(k->containers, each, k);
	if (r < 0)
		return cmd_fail(r, NULL, "containers");
	for (size_t i = 0; r == 0 && i < k->o->names->n; i++) {
		_cleanup_buf_ struct buf name = BUF_INIT;

		if (k->found[i])
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
	struct checker k = { .c = c, .o = o, .found = found };
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
	if (status)
		return status;
	if (!k.checked && !k.failed && !c->quiet && !c->json)
		out_str(&c->out, "No containers on this node\n");
	return k.failed ? EX_NOINPUT : report_status(k.counts);
}
