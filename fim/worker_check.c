/*
 * Workers in check: a range of a folder's names against the piece of the baseline that covers it. Content of large
 * files is read by whoever is free, with a copy of what the baseline has.
 */
#include "fim/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fim/compare.h"
#include "lib/util.h"

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

/* 0, or -EAGAIN: the caller reads it. */
static int check_hand_over(struct worker *w, struct folder *f, const char *name, const struct entry *e, attr_mask mask,
			   const struct record *meta)
{
	struct large *l = large_new(f, name, mask, meta);

	if (!l)
		return -ENOMEM;
	l->has_before = e != NULL;
	if (e && !record_dup(&l->arena, &e->rec, &l->before.rec)) {
		large_free(l);
		return -ENOMEM;
	}
	l->before.name = l->name;
	if (!jobs_push_large(w->scan->jobs, &l->job))
		return 0;
	large_free(l);
	return -EAGAIN;
}

/* One name that was looked at: r is -ENOENT, another error of the look, or 0 and there is a record. */
static int check_judge(struct worker *w, const struct folder *f, const char *name, const struct entry *e,
		       attr_mask mask, int r, const struct record *now)
{
	enum change change;
	attr_mask attributes;

	if (scan_stopped(w->scan))
		return -ECANCELED;
	if (r == -ENOENT || (!r && now->unread == RECORD_GONE))
		return e ? check_removed(w, f, e, mask) : 0;
	w->unread += r < 0 || worker_is_unread(now);
	if (r < 0)
		return 0;
	if (e)
		return check_read(w, f, e, mask, now);
	attributes = compare_records(NULL, now, mask, &change);
	return check_report(w, f, name, NULL, now, change, attributes);
}

/* One name: in the baseline (e), in the folder's listing, or in both. file: the listing calls it a regular file. */
static int check_entry(struct worker *w, struct folder *f, const char *name, bool file, const struct entry *e)
{
	struct record now;
	attr_mask mask = 0;
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
	if (r == FILE_READ_LATER) {
		r = check_hand_over(w, f, name, e, mask, &now);
		if (r != -EAGAIN)
			return r;
		file_read_content(w->reader, &w->arena, f->fd, name, mask, &now);
		r = 0;
	}
	return check_judge(w, f, name, e, mask, r, &now);
}

int check_large(struct worker *w, struct large *l)
{
	int r = check_judge(w, l->job.folder, l->name, l->has_before ? &l->before : NULL, l->mask, 0, &l->rec);

	large_free(l);
	return r;
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
	struct folder *f = j->folder;
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

int check_job(struct worker *w, const struct job *j)
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
