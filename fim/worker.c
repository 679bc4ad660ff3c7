/*
 * One worker of a scan: takes ranges of names and large files, one at a time. Owns a file reader, a database connection
 * and its buffers. Memory is one piece and one file's record at a time.
 */
#include "fim/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

#define WORKER_FLUSH MIB
#define WORKER_LARGE (4 * MIB) /* reading it takes milliseconds: worth handing over */

/* --- masks */

void masks_enter(struct masks *m, struct scan *s, const char *dir)
{
	*m = (struct masks){ .plan = s->o->policy ? &s->policy : &s->plan, .dir = dir };
	m->answer = plan_match(m->plan, dir, &m->mask);
	/* What the scope leaves out was never listed or stored; a policy may leave out more. */
	m->uniform =
		m->answer == PLAN_IN && plan_is_uniform(m->plan, dir) && (!s->o->policy || !m->plan->scope->n_exclude);
}

bool masks_of(const struct masks *m, const char *name, struct buf *scratch, attr_mask *ret_mask)
{
	if (m->uniform || (m->answer == PLAN_IN && !*name)) {
		*ret_mask = m->mask;
		return true;
	}
	if (m->answer == PLAN_IN)
		return plan_match_child(m->plan, m->dir, m->mask, name, scratch, ret_mask) == PLAN_IN;
	plan_join(scratch, m->dir, name);
	return !scratch->failed && plan_match(m->plan, scratch->data, ret_mask) == PLAN_IN;
}

/* --- the thread */

/* Counters that all threads share are touched once in a while, not for every small file. */
static void worker_flush_counts(struct worker *w)
{
	struct scan_progress *p = w->scan->progress;

	atomic_fetch_add_explicit(&p->files, w->files, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->bytes, w->bytes, memory_order_relaxed);
	if (w->unread)
		atomic_fetch_add_explicit(&p->unread, w->unread, memory_order_relaxed);
	w->files = w->bytes = w->unread = 0;
}

static int worker_step(void *data, uint64_t bytes)
{
	struct worker *w = data;

	w->bytes += bytes;
	if (w->bytes >= WORKER_FLUSH)
		worker_flush_counts(w);
	scan_spend(w->scan, bytes);
	return scan_stopped(w->scan);
}

static int worker_init(struct worker *w, struct scan *s)
{
	struct read_options o = s->o->read;
	int r;

	w->scan = s;
	o.mime = s->mime;
	o.later = WORKER_LARGE;
	o.step = worker_step;
	o.step_data = w;
	r = file_reader_new(&o, &w->reader);
	if (r < 0)
		return r;
	if (s->o->mode == SCAN_INIT)
		return digest_new(DIGEST_BLAKE2B512, &w->blake);
	return source_open(s, &w->source);
}

static void worker_done(struct worker *w)
{
	file_reader_free(w->reader);
	digest_free(w->blake);
	source_close(&w->source);
	arena_free(&w->stored.arena);
	arena_free(&w->arena);
	buf_free(&w->path);
	buf_free(&w->scratch);
}

bool worker_is_unread(const struct record *rec)
{
	return rec->unread && rec->unread != RECORD_NOT_ASKED;
}

int worker_read(struct worker *w, struct arena *a, const struct folder *f, const char *name, bool file, attr_mask mask,
		struct record *ret)
{
	int r;

	if (file)
		return file_read_listed(w->reader, a, f->fd, name, mask, ret);
	r = file_read_meta(w->reader, a, f->fd, name, ret);
	if (!r)
		file_read_content(w->reader, a, f->fd, name, mask, ret);
	return r;
}

/* --- large files */

struct large *large_new(struct folder *f, const char *name, attr_mask mask, const struct record *meta)
{
	_cleanup_(large_free_p) struct large *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->job = (struct job){ .folder = folder_ref(f), .large = l, .size = meta->size };
	l->name = arena_strdup(&l->arena, name);
	l->mask = mask;
	l->rec = *meta; /* of a regular file: points to nothing yet */
	return l->name ? TAKE_PTR(l) : NULL;
}

void large_free(struct large *l)
{
	if (!l)
		return;
	folder_unref(l->job.folder);
	arena_free(&l->arena);
	free(l);
}

/* --- jobs */

static int worker_large(struct worker *w, struct large *l)
{
	if (!scan_stopped(w->scan))
		file_read_content(w->reader, &l->arena, l->job.folder->fd, l->name, l->mask, &l->rec);
	return w->scan->o->mode == SCAN_INIT ? init_large(w, l) : check_large(w, l);
}

static int worker_range(struct worker *w, struct job *j)
{
	int r = 0;

	if (!scan_stopped(w->scan)) {
		masks_enter(&w->masks, w->scan, j->folder->path);
		r = w->scan->o->mode == SCAN_INIT ? init_job(w, j) : check_job(w, j);
	}
	folder_unref(j->folder);
	free(j);
	return r;
}

void *worker_main(void *data)
{
	struct scan *s = data;
	struct worker w = { 0 };
	struct job *j;
	int r = worker_init(&w, s);

	if (r < 0)
		scan_fail(s, r);
	while ((j = jobs_take(s->jobs))) {
		r = j->large ? worker_large(&w, j->large) : worker_range(&w, j);
		if (r)
			scan_fail(s, r);
		worker_flush_counts(&w);
		jobs_done(s->jobs);
	}
	worker_done(&w);
	return NULL;
}
