/*
 * Workers in init: a range of a folder's names becomes a chunk. Its large files are read by whoever is free; the last
 * of those who are at it seals the chunk and hands it on, so that nobody waits for anybody.
 */
#include "fim/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/util.h"

/* A chunk in the making. Until the last reference is gone its records belong to the worker that fills it, and each
 * large file's to who reads it. */
struct piece {
	atomic_uint refs; /* of the worker that fills it, and one for each large file under way */
	struct chunk *chunk;
	struct folder *folder;
	uint32_t from;	     /* its first name in the folder */
	bool is_last;	     /* of the folder */
	struct large *large; /* all that were handed over */
};

static void piece_free(struct piece *p)
{
	struct large *l;

	while ((l = p->large)) {
		p->large = l->next;
		large_free(l);
	}
	chunk_free(p->chunk);
	folder_unref(p->folder);
	free(p);
}

static struct piece *piece_new(const struct job *j)
{
	struct piece *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->refs = 1;
	p->folder = folder_ref(j->folder);
	p->from = j->from;
	p->is_last = j->to == j->folder->n;
	p->chunk = chunk_new();
	if (p->chunk)
		return p;
	folder_unref(p->folder);
	free(p);
	return NULL;
}

/* --- the end of a piece */

/* The records of its large files; those that are gone leave no entry behind. */
static int piece_collect(struct piece *p)
{
	struct chunk *c = p->chunk;
	uint32_t n = 0;

	for (struct large *l = p->large; l; l = l->next)
		if (!record_dup(&c->arena, &l->rec, &c->entries[l->index].rec))
			return -ENOMEM;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->entries[i].rec.unread != RECORD_GONE)
			c->entries[n++] = c->entries[i];
	c->n = n;
	return 0;
}

/*
 * The bounds of a folder's pieces are the names they begin with. A piece whose files have all gone while the tree was
 * read keeps the first name, as gone, unless it is the folder's last.
 */
static int piece_hold_place(struct piece *p)
{
	struct chunk *c = p->chunk;

	if (c->n || p->is_last)
		return 0;
	c->entries[0] =
		(struct entry){ arena_strdup(&c->arena, folder_name(p->folder, p->from)), .rec.unread = RECORD_GONE };
	c->n = 1;
	return c->entries[0].name ? 0 : -ENOMEM;
}

static int piece_finish(struct worker *w, struct piece *p)
{
	int r = piece_collect(p);

	if (!r)
		r = piece_hold_place(p);
	if (r < 0 || !p->chunk->n)
		return r;
	r = chunk_seal(p->chunk, w->blake, &w->scratch);
	return r < 0 ? r : w->scan->sink->chunk(w->scan->sink->data, TAKE_PTR(p->chunk));
}

/* Gives a reference back. error: what became of the part that it stood for. */
static int piece_done(struct worker *w, struct piece *p, int error)
{
	if (error)
		scan_fail(w->scan, error);
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return error;
	if (!error && !scan_stopped(w->scan))
		error = piece_finish(w, p);
	piece_free(p);
	return error;
}

/* --- filling one */

/* 0, or -EAGAIN: the caller reads it. */
static int piece_hand_over(struct worker *w, struct piece *p, const char *name, attr_mask mask,
			   const struct record *meta)
{
	struct large *l = large_new(p->folder, name, mask, meta);

	if (!l)
		return -ENOMEM;
	l->piece = p;
	l->index = p->chunk->n;
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	if (jobs_push_large(w->scan->jobs, &l->job) < 0) {
		atomic_fetch_sub_explicit(&p->refs, 1, memory_order_relaxed);
		large_free(l);
		return -EAGAIN;
	}
	l->next = p->large; /* looked at by the last one only */
	p->large = l;
	return 0;
}

/* 0, or positive: it is no longer there. */
static int piece_read(struct worker *w, struct piece *p, const char *name, bool file, attr_mask mask,
		      struct record *rec)
{
	struct arena *a = &p->chunk->arena;
	int r = worker_read(w, a, p->folder, name, file, mask, rec);

	if (r == FILE_READ_LATER) {
		r = piece_hand_over(w, p, name, mask, rec);
		if (r != -EAGAIN)
			return r;
		file_read_content(w->reader, a, p->folder->fd, name, mask, rec);
		r = 0;
	}
	if (r == -ENOENT || (!r && rec->unread == RECORD_GONE))
		return 1;
	if (r < 0)
		*rec = (struct record){ .unread = (uint16_t)-r };
	w->unread += worker_is_unread(rec);
	return 0;
}

static int piece_add(struct worker *w, struct piece *p, const char *name, bool file)
{
	struct chunk *c = p->chunk;
	struct entry *e = &c->entries[c->n];
	attr_mask mask = 0;
	int r;

	if (!masks_of(&w->masks, name, &w->scratch, &mask))
		return 0;
	e->name = arena_strdup(&c->arena, name);
	if (!e->name)
		return -ENOMEM;
	r = piece_read(w, p, name, file, mask, &e->rec);
	if (r)
		return MIN(r, 0);
	w->files++;
	scan_spend(w->scan, 4 * KIB);
	c->n++;
	return 0;
}

static int piece_fill(struct worker *w, struct piece *p, const struct job *j)
{
	struct chunk *c = p->chunk;
	int r = 0;

	c->dir = arena_strdup(&c->arena, j->folder->path);
	c->dir_seq = j->folder->seq;
	c->seq = j->seq;
	c->entries = arena_alloc(&c->arena, (j->to - j->from) * sizeof(*c->entries));
	if (!c->dir || !c->entries)
		return -ENOMEM;
	for (uint32_t i = j->from; i < j->to && !r; i++) {
		char kind = folder_kind(j->folder, i);

		if (scan_stopped(w->scan))
			return -ECANCELED;
		if (kind != FOLDER_SKIPPED)
			r = piece_add(w, p, folder_name(j->folder, i), kind == FOLDER_FILE);
	}
	return r;
}

int init_job(struct worker *w, const struct job *j)
{
	struct piece *p = piece_new(j);

	return p ? piece_done(w, p, piece_fill(w, p, j)) : -ENOMEM;
}

int init_large(struct worker *w, struct large *l)
{
	w->unread += worker_is_unread(&l->rec) && l->rec.unread != RECORD_GONE;
	return piece_done(w, l->piece, 0);
}
