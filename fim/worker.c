/*
 * One worker of a scan: looks at the entries of a range of names, reads them, merges them with the baseline's piece.
 * Owns a file reader, a database connection and its buffers. Memory is one piece and one file's record at a time.
 */
#include "fim/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/compare.h"
#include "lib/util.h"

#define WORKER_FLUSH MIB

struct worker {
	struct scan *scan;
	struct file_reader *reader;
	struct digest *blake; /* SCAN_INIT */
	struct source source; /* else */
	struct chunk stored;
	struct arena arena; /* of the entry at hand */
	struct buf path;
	struct buf scratch;
	struct masks masks;
	uint64_t files, bytes, unread; /* not yet in the scan's progress */
};

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

static bool worker_is_unread(const struct record *rec)
{
	return rec->unread && rec->unread != RECORD_NOT_ASKED;
}

/* A whole record. */
static int worker_read(struct worker *w, struct arena *a, const struct folder *f, const char *name, bool file,
		       attr_mask mask, struct record *ret)
{
	int r;

	if (file)
		return file_read_listed(w->reader, a, f->fd, name, mask, ret);
	r = file_read_meta(w->reader, a, f->fd, name, ret);
	if (!r)
		file_read_content(w->reader, a, f->fd, name, mask, ret);
	return r;
}

/* --- init: a piece of the tree becomes a chunk */

/* Positive: it is no longer there. */
static int init_entry(struct worker *w, struct chunk *c, const struct folder *f, const char *name, bool file)
{
	struct entry *e = &c->entries[c->n];
	attr_mask mask = 0;
	int r;

	if (!masks_of(&w->masks, name, &w->scratch, &mask))
		return 1;
	r = worker_read(w, &c->arena, f, name, file, mask, &e->rec);
	if (r == -ENOENT)
		return 1;
	if (r < 0)
		e->rec = (struct record){ .unread = (uint16_t)-r };
	if (e->rec.unread == RECORD_GONE)
		return 1;
	e->name = arena_strdup(&c->arena, name);
	if (!e->name)
		return -ENOMEM;
	w->files++;
	w->unread += worker_is_unread(&e->rec);
	scan_spend(w->scan, 4 * KIB);
	c->n++;
	return 0;
}

/*
 * The bounds of a folder's pieces are the names they begin with. A piece whose files have all gone while the tree was
 * read keeps the first name, as gone, unless it is the folder's last.
 */
static int init_hold_place(struct chunk *c, const struct job *j)
{
	if (c->n || j->to == j->folder->n)
		return 0;
	c->entries[0] =
		(struct entry){ arena_strdup(&c->arena, folder_name(j->folder, j->from)), .rec.unread = RECORD_GONE };
	c->n = 1;
	return c->entries[0].name ? 0 : -ENOMEM;
}

static int init_fill(struct worker *w, struct chunk *c, const struct job *j)
{
	int r = 0;

	c->dir = arena_strdup(&c->arena, j->folder->path);
	c->dir_seq = j->folder->seq;
	c->seq = j->seq;
	c->entries = arena_alloc(&c->arena, (j->to - j->from) * sizeof(*c->entries));
	if (!c->dir || !c->entries)
		return -ENOMEM;
	for (uint32_t i = j->from; i < j->to && r >= 0; i++) {
		if (scan_stopped(w->scan))
			return -ECANCELED;
		if (folder_kind(j->folder, i) != FOLDER_SKIPPED)
			r = init_entry(w, c, j->folder, folder_name(j->folder, i),
				       folder_kind(j->folder, i) == FOLDER_FILE);
	}
	return r < 0 ? r : init_hold_place(c, j);
}

static int init_job(struct worker *w, const struct job *j)
{
	_cleanup_chunk_ struct chunk *c = chunk_new();
	int r;

	if (!c)
		return -ENOMEM;
	r = init_fill(w, c, j);
	if (r < 0 || !c->n)
		return r;
	r = chunk_seal(c, w->blake, &w->scratch);
	return r < 0 ? r : w->scan->sink->chunk(w->scan->sink->data, TAKE_PTR(c));
}

/* --- check: a piece of the tree against a piece of the baseline */

static int check_report(struct worker *w, const struct folder *f, const char *name, const struct record *before,
			const struct record *after, enum change change, attr_mask attributes)
{
	plan_join(&w->path, f->path, name);
	if (w->path.failed)
		return -ENOMEM;
	return scan_report(w->scan, w->path.data, before, after, change, attributes);
}

static int check_removed(struct worker *w, const struct folder *f, const struct entry *e, attr_mask mask)
{
	enum change change;
	attr_mask attributes = compare_records(&e->rec, NULL, mask, &change);

	return check_report(w, f, e->name, &e->rec, NULL, change, attributes);
}

/* For logs: what the baseline has is still the beginning of the file. */
static attr_mask check_growing(struct worker *w, const struct folder *f, const struct entry *e,
			       const struct record *now, attr_mask differing)
{
	uint8_t prefix[DIGEST_MAX];

	if (now->type != 'f' || e->rec.type != 'f' || !(e->rec.have & ATTR_BIT(ATTR_DIGEST)) ||
	    now->size < e->rec.size || file_read_prefix(w->reader, f->fd, e->name, e->rec.size, prefix) < 0)
		return differing;
	return compare_growing(&e->rec, now, prefix, differing);
}

/* An entry that both have, read in full. */
static int check_read(struct worker *w, const struct folder *f, const struct entry *e, attr_mask mask,
		      const struct record *now)
{
	enum change change;
	attr_mask differing = compare_records(&e->rec, now, mask, &change);

	if (differing && mask & ATTR_GROWING) {
		differing = check_growing(w, f, e, now, differing);
		if (change == CHANGE_CHANGED && !(differing & (ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST))))
			change = CHANGE_ATTRIBUTES;
	}
	return differing ? check_report(w, f, e->name, &e->rec, now, change, differing) : 0;
}

/*
 * True when the entry is as the baseline has it without being read. Any change of content, xattrs or flags moves ctime;
 * what the version does not cover is compared all the same.
 */
static bool check_is_same(struct worker *w, const struct folder *f, const struct entry *e, attr_mask mask)
{
	struct record now;
	enum change change;

	return file_read_meta(w->reader, &w->arena, f->fd, e->name, &now) == 0 && record_same_version(&e->rec, &now) &&
	       !compare_records(&e->rec, &now, mask, &change);
}

/* One name: in the baseline (e), in the folder's listing, or in both. file: the listing calls it a regular file. */
static int check_entry(struct worker *w, const struct folder *f, const char *name, bool file, const struct entry *e)
{
	struct record now;
	enum change change;
	attr_mask mask = 0, attributes;
	int r;

	if (!masks_of(&w->masks, name, &w->scratch, &mask))
		return 0;
	arena_reset(&w->arena);
	w->files++;
	scan_spend(w->scan, 4 * KIB);
	if (e && w->scan->o->mode == SCAN_QUICK && check_is_same(w, f, e, mask))
		return 0;
	/* Also for names that were not listed: a file that is being replaced may be missing from a listing. */
	r = worker_read(w, &w->arena, f, name, file, mask, &now);
	if (scan_stopped(w->scan))
		return -ECANCELED;
	if (r == -ENOENT || (!r && now.unread == RECORD_GONE))
		return e ? check_removed(w, f, e, mask) : 0;
	w->unread += r < 0 || worker_is_unread(&now);
	if (r < 0)
		return 0;
	if (e)
		return check_read(w, f, e, mask, &now);
	attributes = compare_records(NULL, &now, mask, &change);
	return check_report(w, f, name, NULL, &now, change, attributes);
}

/* True when a stored entry is among what this walk looks at: in a folder that is only gone through, not all are. */
static bool check_concerns(struct worker *w, const struct folder *f, const char *name)
{
	attr_mask mask;

	if (!f->partial)
		return true;
	plan_join(&w->scratch, f->path, name);
	return !w->scratch.failed && plan_match(&w->scan->plan, w->scratch.data, &mask) == PLAN_IN;
}

static int check_merge(struct worker *w, const struct job *j)
{
	const struct folder *f = j->folder;
	uint32_t i = j->from, k = 0;
	int r = 0;

	while (!r && (i < j->to || k < w->stored.n)) {
		const struct entry *e = k < w->stored.n ? &w->stored.entries[k] : NULL;
		const char *name = i < j->to ? folder_name(f, i) : NULL;
		int order = !name ? 1 : !e ? -1 : strcmp(name, e->name);
		bool skipped = order <= 0 && folder_kind(f, i) == FOLDER_SKIPPED;

		if (scan_stopped(w->scan))
			return -ECANCELED;
		if (order > 0)
			r = check_concerns(w, f, e->name) ? check_entry(w, f, e->name, false, e) : 0;
		else if (!skipped)
			r = check_entry(w, f, name, folder_kind(f, i) == FOLDER_FILE, order ? NULL : e);
		i += order <= 0;
		k += order >= 0;
	}
	return r;
}

static int check_job(struct worker *w, const struct job *j)
{
	int r;

	chunk_reset(&w->stored);
	if (j->dir) {
		r = source_load(w->scan, &w->source, j->dir, j->folder->path, j->seq, &w->stored);
		if (r < 0)
			return r;
	}
	return check_merge(w, j);
}

static void worker_job(struct worker *w, const struct job *j)
{
	int r;

	masks_enter(&w->masks, w->scan, j->folder->path);
	r = w->scan->o->mode == SCAN_INIT ? init_job(w, j) : check_job(w, j);
	if (r)
		scan_fail(w->scan, r);
	worker_flush_counts(w);
}

void *worker_main(void *data)
{
	struct scan *s = data;
	struct worker w = { 0 };
	struct job *j;
	int r = worker_init(&w, s);

	if (r < 0)
		scan_fail(s, r);
	while ((j = queue_pop(s->jobs))) {
		if (!scan_stopped(s))
			worker_job(&w, j);
		folder_unref(j->folder);
		free(j);
	}
	worker_done(&w);
	return NULL;
}
