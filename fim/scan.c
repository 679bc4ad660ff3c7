/*
 * A scan's run. The calling thread walks: it lists folders and cuts them into bounded jobs (fim/jobs.h); N workers
 * (fim/worker.c) do the rest. At the end the walker goes through the folders that the baseline has and the
 * walk did not meet. Everything stops at the first failure, at a sink's non-zero value, or when progress->stop is set.
 */
#include "fim/scan.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fim/compare.h"
#include "fim/idset.h"
#include "fim/worker.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "lib/util.h"

#define SCAN_THREADS_MAX 256
#define SCAN_NAP_MIN	 (10 * NSEC_PER_MSEC) /* a rate is kept on average, not by naps for every file */
#define SCAN_NAP_MAX	 (100 * NSEC_PER_MSEC)

/* The walker's side. */
struct scanner {
	struct scan scan;
	struct source source;
	struct arena arena;  /* bounds of the folder at hand */
	struct idset seen;   /* folders of the baseline that the walk met */
	struct buf unwalked; /* paths of folders that were left out or could not be read, each with its NUL */
	struct chunk chunk;
	struct buf path;
	struct masks masks;
};

/* --- shared with workers */

bool scan_stopped(struct scan *s)
{
	return atomic_load_explicit(&s->status, memory_order_relaxed) ||
	       atomic_load_explicit(&s->progress->stop, memory_order_relaxed);
}

int scan_fail(struct scan *s, int r)
{
	int none = 0;

	atomic_compare_exchange_strong(&s->status, &none, r);
	return r;
}

void scan_error(struct scan *s, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	pthread_mutex_lock(&s->err_lock);
	if (s->err && text && !s->err->len)
		text_escape(s->err, text, strlen(text));
	pthread_mutex_unlock(&s->err_lock);
	free(text);
}

/* Time already spoken for runs ahead of the clock: whoever finds it too far ahead naps. */
void scan_spend(struct scan *s, uint64_t bytes)
{
	uint64_t now, cost, until, next;

	if (!s->o->rate)
		return;
	now = clock_mono_ns();
	cost = (uint64_t)((double)bytes * (double)NSEC_PER_SEC / (double)s->o->rate);
	until = atomic_load(&s->budget);
	do
		next = MAX(until, now) + cost;
	while (!atomic_compare_exchange_weak(&s->budget, &until, next));
	while (next > now + SCAN_NAP_MIN && !scan_stopped(s)) {
		nanosleep(&(struct timespec){ .tv_nsec = (long)MIN(next - now, SCAN_NAP_MAX) }, NULL);
		now = clock_mono_ns();
	}
}

int scan_report(struct scan *s, const char *path, const struct record *before, const struct record *after,
		enum change change, attr_mask attributes)
{
	struct scan_difference d = {
		.path = path, .change = change, .attributes = attributes, .before = before, .after = after
	};

	return s->sink->difference(s->sink->data, &d);
}

int source_open(struct scan *s, struct source *ret)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct db_options o = *s->o->db;
	int r;

	/* Who started the scan has it open. To compare all tables and views again takes each worker 10 ms. */
	o.checked = true;
	r = db_open(&o, DB_READ, &ret->db, &err);

	if (r < 0) {
		scan_error(s, "%s", err.len ? err.data : "cannot open the database");
		return r;
	}
	r = baseline_reader_new(ret->db, s->o->baseline, &ret->reader);
	return r < 0 ? r : digest_new(DIGEST_BLAKE2B512, &ret->blake);
}

void source_close(struct source *src)
{
	if (src->reader)
		baseline_reader_free(src->reader);
	if (src->db)
		db_close(src->db);
	digest_free(src->blake);
	buf_free(&src->scratch);
}

int source_load(struct scan *s, struct source *src, int64_t dir, const char *path, uint32_t seq, struct chunk *c)
{
	int r = baseline_load_chunk(src->reader, dir, path, seq, c, src->blake, &src->scratch);

	if (r == -ENOENT)
		r = -EBADMSG; /* its bounds were there a moment ago */
	if (r == -EBADMSG)
		scan_error(s, "baseline: %s, piece %u: rows do not match their digest", path, seq);
	else if (r < 0)
		scan_error(s, "baseline: %s: %s", path, db_error(src->db));
	return r;
}

/* --- cutting folders into jobs */

static int scanner_push(struct scanner *w, struct folder *f, uint32_t from, uint32_t to, int64_t dir, uint32_t seq)
{
	struct job *j = malloc(sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	*j = (struct job){ .folder = folder_ref(f), .from = from, .to = to, .dir = dir, .seq = seq };
	r = jobs_push(w->scan.jobs, j);
	if (r < 0) {
		folder_unref(j->folder);
		free(j);
	}
	return r;
}

/* Where name stands among the folder's names, or would. */
static uint32_t scanner_bound(const struct folder *f, const char *name)
{
	uint32_t low = 0, high = f->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (strcmp(folder_name(f, mid), name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int scanner_cut_evenly(struct scanner *w, struct folder *f)
{
	int r = 0;

	for (uint32_t from = 0, seq = 0; !r && from < f->n; from += CHUNK_MAX, seq++) {
		if (scan_stopped(&w->scan))
			return -ECANCELED;
		r = scanner_push(w, f, from, MIN(from + CHUNK_MAX, f->n), 0, seq);
	}
	return r;
}

/* At the stored bounds, so that one job needs one piece of the baseline. Names beyond either end go to the first and
 * last. */
static int scanner_cut_stored(struct scanner *w, struct folder *f, int64_t dir, const char *const *first, size_t n)
{
	uint32_t from = 0, to;
	int r = 0;

	for (size_t i = 0; !r && i < n; i++) {
		if (scan_stopped(&w->scan))
			return -ECANCELED;
		to = i + 1 < n ? MAX(scanner_bound(f, first[i + 1]), from) : f->n;
		r = scanner_push(w, f, from, to, dir, (uint32_t)i);
		from = to;
	}
	return r;
}

static int scanner_cut(struct scanner *w, struct folder *f)
{
	const char **first;
	int64_t dir;
	size_t n;
	int r;

	if (w->scan.o->mode == SCAN_INIT)
		return scanner_cut_evenly(w, f);
	r = baseline_dir(w->source.reader, f->path, &dir);
	if (r == -ENOENT)
		return scanner_cut_evenly(w, f);
	if (!r)
		r = idset_add(&w->seen, dir);
	arena_reset(&w->arena);
	if (!r)
		r = baseline_dir_chunks(w->source.reader, dir, &w->arena, &first, &n);
	if (r < 0)
		return r;
	return n ? scanner_cut_stored(w, f, dir, first, n) : scanner_cut_evenly(w, f);
}

/* --- what the walk tells */

static int scanner_folder(void *data, struct folder *f)
{
	struct scanner *w = data;
	int r;

	atomic_fetch_add_explicit(&w->scan.progress->listed, f->n, memory_order_relaxed);
	r = scanner_cut(w, f);
	folder_unref(f);
	return r;
}

static int scanner_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	struct scanner *w = data;

	/* What was not looked at is not to be called removed. */
	if (reason != GAP_NO_PATH)
		buf_add(&w->unwalked, path, strlen(path) + 1);
	if (w->unwalked.failed)
		return -ENOMEM;
	return w->scan.sink->gap ? w->scan.sink->gap(w->scan.sink->data, reason, path, detail) : 0;
}

static bool scanner_stopped(void *data)
{
	return scan_stopped(&((struct scanner *)data)->scan);
}

/* --- folders of the baseline that are gone */

static bool scanner_unwalked(const struct scanner *w, const char *path)
{
	for (size_t i = 0; i < w->unwalked.len; i += strlen(w->unwalked.data + i) + 1) {
		const char *left = w->unwalked.data + i;

		if (streq(path, left) || plan_below(path, left))
			return true;
	}
	return false;
}

static int gone_entry(struct scanner *w, const char *dir, const struct entry *e)
{
	enum change change;
	attr_mask mask = 0, attributes;

	plan_join(&w->path, dir, e->name);
	if (w->path.failed)
		return -ENOMEM;
	if (plan_match(&w->scan.plan, w->path.data, &mask) != PLAN_IN ||
	    !masks_of(&w->masks, e->name, &w->source.scratch, &mask))
		return 0;
	attributes = compare_records(&e->rec, NULL, mask, &change);
	return scan_report(&w->scan, w->path.data, &e->rec, NULL, change, attributes);
}

static int gone_chunk(struct scanner *w, int64_t dir, const char *path, uint32_t seq)
{
	int r = source_load(&w->scan, &w->source, dir, path, seq, &w->chunk);

	for (uint32_t i = 0; !r && i < w->chunk.n; i++)
		r = gone_entry(w, path, &w->chunk.entries[i]);
	return r;
}

static int gone_folder(int64_t dir, const char *path, void *data)
{
	struct scanner *w = data;
	const char **first;
	size_t n;
	int r;

	if (scan_stopped(&w->scan))
		return -ECANCELED;
	if (idset_has(&w->seen, dir) || scanner_unwalked(w, path))
		return 0;
	r = idset_add(&w->seen, dir);
	arena_reset(&w->arena);
	if (!r)
		r = baseline_dir_chunks(w->source.reader, dir, &w->arena, &first, &n);
	masks_enter(&w->masks, &w->scan, path);
	for (size_t i = 0; !r && i < n; i++)
		r = gone_chunk(w, dir, path, (uint32_t)i);
	return r;
}

/* A path that was asked for and whose folder is gone has no listing to be missing from. */
static int gone_parent(struct scanner *w, const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir = NULL;
	int64_t id;
	int r;

	if (!slash || !slash[1])
		return 0;
	dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!dir)
		return -ENOMEM;
	r = baseline_dir(w->source.reader, dir, &id);
	return r ? (r == -ENOENT ? 0 : r) : gone_folder(id, dir, w);
}

static int scanner_gone(struct scanner *w)
{
	const struct scan_options *o = w->scan.o;
	int r = 0;

	if (!o->n_only)
		return baseline_each_dir(w->source.reader, "/", gone_folder, w);
	for (size_t i = 0; !r && i < o->n_only; i++) {
		r = baseline_each_dir(w->source.reader, o->only[i], gone_folder, w);
		if (!r)
			r = gone_parent(w, o->only[i]);
	}
	return r;
}

/* --- the run */

static int scanner_walk(struct scanner *w)
{
	struct walk_options walk = {
		.rootfd = w->scan.o->rootfd,
		.plan = &w->scan.plan,
		.data = w,
		.stopped = scanner_stopped,
		.folder = scanner_folder,
		.gap = scanner_gap,
	};
	int r = 0;

	if (w->scan.o->mode != SCAN_INIT)
		r = source_open(&w->scan, &w->source);
	if (!r)
		r = walk_run(&walk);
	if (!r)
		atomic_store(&w->scan.progress->walked, 1);
	if (!r && w->scan.o->mode != SCAN_INIT)
		r = scanner_gone(w);
	return r;
}

/* Signals are for the caller's threads. */
static unsigned scan_start(struct scan *s, pthread_t *threads, unsigned n)
{
	sigset_t all, old;
	unsigned i;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 0; i < n; i++) {
		r = pthread_create(&threads[i], NULL, worker_main, s);
		if (r)
			break;
		pthread_setname_np(threads[i], "hash");
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!i)
		scan_fail(s, -r);
	return i;
}

static void scan_threads(struct scanner *w)
{
	pthread_t threads[SCAN_THREADS_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = w->scan.o->threads ? w->scan.o->threads : (unsigned)MAX(cpus, 1);
	int r;

	n = scan_start(&w->scan, threads, MIN(n, SCAN_THREADS_MAX));
	if (n) {
		r = scanner_walk(w);
		if (r)
			scan_fail(&w->scan, r);
	}
	jobs_close(w->scan.jobs);
	while (n)
		pthread_join(threads[--n], NULL);
}

int scan_run(const struct scan_options *o, const struct scan_sink *sink, struct buf *err)
{
	struct scanner w = {
		.scan = {
			.o = o,
			.sink = sink,
			.plan = { o->scope, o->only, o->n_only },
			.policy = { .scope = o->policy },
			.err_lock = PTHREAD_MUTEX_INITIALIZER,
			.err = err,
		},
	};
	struct mime *own = NULL;
	int r = jobs_new(&w.scan.jobs);

	if (r < 0)
		return r;
	r = o->read.mime ? 0 : mime_new(&own);
	if (r < 0) {
		jobs_free(w.scan.jobs);
		return r;
	}
	w.scan.mime = own ?: o->read.mime;
	w.scan.progress = o->progress ? o->progress : &w.scan.own;
	scan_threads(&w);
	r = atomic_load(&w.scan.status);
	if (!r && atomic_load(&w.scan.progress->stop))
		r = -ECANCELED;
	jobs_free(w.scan.jobs);
	mime_free(own);
	source_close(&w.source);
	idset_free(&w.seen);
	arena_free(&w.arena);
	arena_free(&w.chunk.arena);
	buf_free(&w.unwalked);
	buf_free(&w.path);
	pthread_mutex_destroy(&w.scan.err_lock);
	return r;
}
