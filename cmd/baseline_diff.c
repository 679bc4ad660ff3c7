/*
 * Two baselines side by side: folder by folder, chunk by chunk, so that memory does not grow with the number of files.
 * One thread, one connection.
 */
#include "cmd/baseline_diff.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/report.h"
#include "fim/compare.h"
#include "lib/text.h"

/* Entries of one folder of one baseline, in order of names. */
struct cursor {
	struct baseline_reader *reader;
	int64_t dir;
	const char *path;
	uint32_t seq, i;
	struct chunk *chunk;
	bool end;
};

struct diff {
	struct cmd *c;
	const struct baseline_info *info[2];
	struct cursor cursors[2];
	struct digest *blake;
	struct buf scratch;
	struct report report;
	attr_mask mask;
};

/* The entry under the cursor, NULL behind the last one. */
static int cursor_get(struct diff *k, struct cursor *c, const struct entry **ret)
{
	while (!c->end && c->i >= c->chunk->n) {
		int r = baseline_load_chunk(c->reader, c->dir, c->path, c->seq, c->chunk, k->blake, &k->scratch);

		if (r && r != -ENOENT)
			return r;
		c->end = r == -ENOENT;
		if (c->end)
			c->chunk->n = 0;
		c->seq++;
		c->i = 0;
	}
	*ret = c->end ? NULL : &c->chunk->entries[c->i];
	return 0;
}

static int diff_cursor(struct cursor *c, const char *path)
{
	int r = baseline_dir(c->reader, path, &c->dir);

	c->path = path;
	c->seq = c->i = c->chunk->n = 0;
	c->end = r == -ENOENT;
	return r == -ENOENT ? 0 : r;
}

static int diff_event(struct diff *k, const char *dir, const char *name, const struct record *before,
		      const struct record *after, enum change change, attr_mask attributes)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);
	_cleanup_buf_ struct buf path = BUF_INIT;

	if (!e)
		return -ENOMEM;
	buf_printf(&path, "%s%s%s", dir, streq(dir, "/") ? "" : "/", name);
	e->path = path.failed ? NULL : arena_strdup(&e->arena, path.data);
	e->baseline = arena_strdup(&e->arena, k->info[1]->name);
	e->baseline_id = k->info[1]->id;
	e->time = k->info[1]->created;
	e->change = change;
	e->attributes = attributes;
	e->count = 1;
	e->has_before = before && record_dup(&e->arena, before, &e->before);
	e->has_after = after && record_dup(&e->arena, after, &e->after);
	if (!e->path || !e->baseline || e->has_before != !!before || e->has_after != !!after)
		return -ENOMEM;
	if (!k->c->json && !k->c->quiet)
		return report_add(&k->report, &k->c->out, e);
	k->report.counts[change]++;
	if (k->c->json && !k->c->quiet)
		out_json(&k->c->out, event_json(e));
	return 0;
}

/* Not by its number: the layers of two images are the same as far as their digests are. */
static bool diff_other_layer(const struct diff *k, const struct record *a, const struct record *b)
{
	const struct record *recs[] = { a, b };
	const char *ids[2];

	for (int i = 0; i < 2; i++) {
		if (!(recs[i]->have & ATTR_BIT(ATTR_LAYER)) || !recs[i]->layer || recs[i]->layer > k->info[i]->n_layers)
			return false;
		ids[i] = k->info[i]->layers[recs[i]->layer - 1].diff_id;
	}
	return !streq(ids[0], ids[1]);
}

static int diff_pair(struct diff *k, const char *dir, const struct entry *a, const struct entry *b)
{
	attr_mask mask = k->mask, differ;
	enum change change = CHANGE_CHANGED;

	if (!a)
		return diff_event(k, dir, b->name, NULL, &b->rec, CHANGE_ADDED, 0);
	if (!b)
		return diff_event(k, dir, a->name, &a->rec, NULL, CHANGE_REMOVED, 0);
	differ = compare_records(&a->rec, &b->rec, mask, &change);
	if (differ && diff_other_layer(k, &a->rec, &b->rec))
		differ |= ATTR_BIT(ATTR_LAYER);
	return differ ? diff_event(k, dir, a->name, &a->rec, &b->rec, change, differ) : 0;
}

/* One folder: both lists are in the order of names. */
static int diff_folder(struct diff *k, const char *path)
{
	const struct entry *e[2];
	int r = 0;

	for (int i = 0; i < 2 && !r; i++)
		r = diff_cursor(&k->cursors[i], path);
	while (!r) {
		int order;

		for (int i = 0; i < 2 && !r; i++)
			r = cursor_get(k, &k->cursors[i], &e[i]);
		if (r || (!e[0] && !e[1]))
			break;
		order = !e[0] ? 1 : !e[1] ? -1 : strcmp(e[0]->name, e[1]->name);
		r = diff_pair(k, path, order <= 0 ? e[0] : NULL, order >= 0 ? e[1] : NULL);
		k->cursors[0].i += order <= 0;
		k->cursors[1].i += order >= 0;
	}
	return r;
}

static int diff_first(int64_t id _unused_, const char *path, void *data)
{
	return diff_folder(data, path);
}

/* Folders that only the second has. */
static int diff_second(int64_t id _unused_, const char *path, void *data)
{
	struct diff *k = data;
	int64_t dir;
	int r = baseline_dir(k->cursors[0].reader, path, &dir);

	return r == -ENOENT ? diff_folder(k, path) : r;
}

/* Folders are listed by readers of their own: the cursors' ones run statements meanwhile. */
static int diff_folders(struct diff *k, struct db *d)
{
	int (*const fns[])(int64_t, const char *, void *) = { diff_first, diff_second };
	int r = 0;

	for (int i = 0; i < 2 && !r; i++) {
		_cleanup_(baseline_reader_free_p) struct baseline_reader *folders = NULL;

		r = baseline_reader_new(d, k->info[i]->id, &folders);
		if (!r)
			r = baseline_each_dir(folders, "/", fns[i], k);
	}
	return r;
}

static int diff_run(struct diff *k, struct db *d)
{
	int r = digest_new(DIGEST_BLAKE2B512, &k->blake);

	attr_apply("all", &k->mask);
	/* Two trees never share change times; two algorithms never digests. */
	if (!streq(k->info[0]->root, k->info[1]->root))
		k->mask &= ~ATTR_BIT(ATTR_CTIME);
	if (k->info[0]->algo != k->info[1]->algo)
		k->mask &= ~ATTR_BIT(ATTR_DIGEST);
	for (int i = 0; i < 2 && !r; i++) {
		k->cursors[i].chunk = chunk_new();
		r = k->cursors[i].chunk ? baseline_reader_new(d, k->info[i]->id, &k->cursors[i].reader) : -ENOMEM;
	}
	return r ? r : diff_folders(k, d);
}

int baseline_diff(struct cmd *c, struct db *d, const struct baseline_info *a, const struct baseline_info *b)
{
	struct diff k = { .c = c, .info = { a, b }, .report = { .whole = c->verbose } };
	_cleanup_buf_ struct buf text = BUF_INIT;
	int r = diff_run(&k, d), status;

	report_print(&k.report, &c->out);
	status = report_status(k.report.counts);
	report_counts(&text, k.report.counts);
	if (!r && !c->json && !c->quiet)
		out_printf(&c->out, "%s\n", text.len ? text.data : "No differences");
	report_free(&k.report);
	for (int i = 0; i < 2; i++) {
		baseline_reader_free_p(&k.cursors[i].reader);
		chunk_free_p(&k.cursors[i].chunk);
	}
	digest_free_p(&k.blake);
	buf_free(&k.scratch);
	return r ? cmd_fail_db(r, d, "diff") : status;
}
