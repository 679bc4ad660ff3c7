/*
 * Rescans: requests wait in order, those of the same place are merged, one runs at a time on a thread of its own
 * ("scan"), which only names paths that may differ. A rescan has ended when all of them have been judged. Everything
 * but scan_main and what it calls runs on the live thread.
 */
#include "fim/live-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

struct scan_work {
	struct live *l;
	struct conf *conf;
	struct arena arena; /* of scope */
	struct scope scope;
	struct db_options db;
	int64_t baseline;
	char *baseline_name;
	char *path;
	bool full;
	struct read_options read;
};

static void rescan_free(struct rescan *r)
{
	free(r->path);
	free(r->cause);
	if (r->process)
		process_unref(r->process);
	free(r);
}

static void rescan_end(struct rescan *r, int err, uint64_t found)
{
	struct rescan_done *d, *next;

	for (d = r->done; d; d = next) {
		next = d->next;
		d->fn(err, found, d->data);
		free(d);
	}
	rescan_free(r);
}

static void rescan_merge(struct rescan *into, struct rescan *r)
{
	struct rescan_done **tail = &into->done;

	while (*tail)
		tail = &(*tail)->next;
	*tail = TAKE_PTR(r->done);
	into->full |= r->full;
	rescan_free(r);
}

/* Too many: the one that waits longest grows until it holds the others. */
static void rescan_collapse(struct live *l)
{
	struct rescan *all = l->rescans, *r;
	char *root = strdup("/");

	if (root) {
		free(all->path);
		all->path = root;
	}
	while ((r = all->next)) {
		all->next = r->next;
		rescan_merge(all, r);
	}
	l->n_rescans = 1;
}

void rescan_add(struct live *l, struct rescan *r)
{
	struct rescan **at = &l->rescans;

	l->counters.rescans++;
	for (; *at; at = &(*at)->next) {
		struct rescan *w = *at;

		if (w->full >= r->full && (streq(w->path, r->path) || live_below(r->path, w->path))) {
			rescan_merge(w, r);
			return;
		}
	}
	*at = r;
	if (++l->n_rescans > LIVE_RESCANS_MAX)
		rescan_collapse(l);
}

void rescan_request(struct live *l, const char *path, bool full, const char *cause, struct process *process)
{
	struct rescan *r = calloc(1, sizeof(*r));

	if (r) {
		r->path = strdup(path);
		r->cause = strdup(cause);
		r->full = full;
		r->process = process ? process_ref(process) : NULL;
	}
	if (!r || !r->path || !r->cause) {
		l->counters.errors++;
		if (r)
			rescan_free(r);
		return;
	}
	rescan_add(l, r);
}

/* --- on threads of the scan */

static int scan_difference(void *data, const struct scan_difference *d)
{
	const struct scan_work *w = data;

	return live_post_candidate(w->l, d->path, true);
}

static int scan_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	const struct scan_work *w = data;
	struct live *l = w->l;

	/* A path that is merely not there yet is watched: the sensor tells when it comes. */
	if (reason == GAP_NO_PATH && !detail)
		return l->stopping ? -ECANCELED : 0;
	if (l->o.gap)
		l->o.gap(&(struct watch_gap){ .reason = reason, .scope = path, .detail = detail }, l->o.data);
	return l->stopping ? -ECANCELED : 0;
}

static int scan_name(const struct history_name *n, void *data)
{
	const struct scan_work *w = data;

	return n->change == CHANGE_REVERTED ? 0 : live_post_candidate(w->l, n->path, true);
}

/* What is known as a deviation may be gone or undone: the baseline alone does not tell. */
static int scan_names(struct scan_work *w, struct buf *err)
{
	_cleanup_db_ struct db *db = NULL;
	int r = db_open(&w->db, DB_READ, &db, err);

	return r < 0 ? r : history_each_name(db, w->baseline_name, w->path, scan_name, w);
}

static int scan_files(struct scan_work *w, int rootfd, struct buf *err)
{
	const char *const only[] = { w->path };
	const struct scan_options o = {
		.mode = w->full ? SCAN_FULL : SCAN_QUICK,
		.rootfd = rootfd,
		.scope = &w->scope,
		.only = only,
		.n_only = streq(w->path, "/") ? 0 : 1,
		.policy = &w->conf->scope,
		.read = w->read,
		.threads = LIVE_WORKERS_MAX,
		.db = &w->db,
		.baseline = w->baseline,
		.progress = &w->l->progress,
	};
	const struct scan_sink sink = { .data = w, .difference = scan_difference, .gap = scan_gap };

	return scan_run(&o, &sink, err);
}

static void scan_work_free(struct scan_work *w)
{
	if (w->conf)
		conf_unref(w->conf);
	arena_free(&w->arena);
	free(w->baseline_name);
	free(w->path);
	free(w);
}

static void *scan_main(void *data)
{
	struct scan_work *w = data;
	struct live *l = w->l;
	_cleanup_close_ int rootfd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct message *m = calloc(1, sizeof(*m));
	int r;

	pthread_setname_np(pthread_self(), "scan");
	r = rootfd < 0 ? -errno : scan_files(w, rootfd, &err);
	if (r == 0)
		r = scan_names(w, &err);
	if (r < 0 && r != -ECANCELED)
		log_error("rescan of %s: %s", w->path, err.len ? err.data : strerror(-r));
	scan_work_free(w);
	if (m) {
		m->kind = MESSAGE_SCANNED;
		m->path = "";
		m->thing = (void *)(intptr_t)r;
		live_post(l, m);
	}
	return NULL;
}

/* --- on the live thread */

static struct scan_work *scan_work_new(struct live *l, const struct rescan *r)
{
	struct scan_work *w = calloc(1, sizeof(*w));
	json_t *json = json_loads(states_baseline(l->states)->scope, 0, NULL);

	if (w) {
		w->l = l;
		w->conf = conf_ref(l->conf);
		w->db = *l->o.db;
		w->baseline = states_baseline(l->states)->id;
		w->baseline_name = strdup(states_baseline(l->states)->name);
		w->path = strdup(r->path);
		w->full = r->full;
		w->read = l->read;
		w->read.known = NULL;
	}
	if (!w || !w->path || !w->baseline_name || !json || scope_from_json(&w->arena, json, &w->scope) < 0) {
		if (w)
			scan_work_free(w);
		w = NULL;
	}
	json_decref(json);
	return w;
}

static void rescan_start(struct live *l)
{
	struct rescan *r = l->rescans;
	struct scan_work *w = scan_work_new(l, r);

	l->rescans = r->next;
	r->next = NULL;
	l->n_rescans--;
	l->scan = r;
	l->scanned = false;
	l->scan_found = 0;
	l->scan_outstanding = 0;
	l->progress.files = l->progress.bytes = l->progress.unread = l->progress.listed = 0;
	l->progress.walked = 0;
	if (w && pthread_create(&l->scan_thread, NULL, scan_main, w) == 0)
		return;
	if (w)
		scan_work_free(w);
	l->counters.errors++;
	l->scan = NULL;
	rescan_end(r, -ENOMEM, 0);
}

void rescan_scanned(struct live *l, int error)
{
	pthread_join(l->scan_thread, NULL);
	l->scanned = true;
	l->scan_error = error;
}

static bool rescan_candidates_left(struct live *l)
{
	bool left;

	pthread_mutex_lock(&l->lock);
	left = l->candidates.head != NULL;
	pthread_mutex_unlock(&l->lock);
	return left;
}

void rescan_step(struct live *l)
{
	if (l->scan && l->scanned && !l->scan_outstanding && !rescan_candidates_left(l)) {
		struct rescan *r = TAKE_PTR(l->scan);

		rescan_end(r, l->scan_error, l->scan_found);
	}
	if (!l->scan && l->rescans && !l->stopping)
		rescan_start(l);
}

void rescan_stop(struct live *l, bool *ret_stuck)
{
	struct rescan *r;

	if (l->scan && !l->scanned && !live_join(l, l->scan_thread))
		*ret_stuck = true;
	if (l->scan)
		rescan_end(TAKE_PTR(l->scan), -ECANCELED, l->scan_found);
	while ((r = l->rescans)) {
		l->rescans = r->next;
		rescan_end(r, -ECANCELED, 0);
	}
	l->n_rescans = 0;
}
