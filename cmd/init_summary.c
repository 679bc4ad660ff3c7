/* What holdfast init says of the baseline that it took. */
#include <errno.h>
#include <string.h>

#include "cmd/init.h"
#include "cmd/print.h"
#include "db/baseline.h"
#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"

/* --- what could not be read: asked of the store afterwards, and only when there is any */

struct unread_walk {
	struct init *k;
	struct baseline_reader *reader;
	struct digest *blake;
	struct buf scratch;
	struct chunk *chunk;
	bool entries; /* look into them, or count folders only */
};

static void unread_count(struct init *k, const char *dir, const struct entry *e)
{
	struct unread *u = k->unread, *end = k->unread + k->n_unread;
	_cleanup_buf_ struct buf path = BUF_INIT;

	if (!e->rec.unread || e->rec.unread == RECORD_NOT_ASKED)
		return;
	while (u < end && u->reason != e->rec.unread)
		u++;
	if (u == end) {
		if (k->n_unread == ARRAY_SIZE(k->unread))
			return;
		*u = (struct unread){ .reason = e->rec.unread };
		k->n_unread++;
	}
	u->n++;
	if (k->unread_names.n >= (size_t)GAPS_SHOWN * 2)
		return;
	buf_printf(&path, "%s%s%s", dir, streq(dir, "/") ? "" : "/", e->name);
	table_cell(&k->unread_names, path.data);
	table_cell(&k->unread_names, record_unread_text(e->rec.unread));
}

static int unread_folder(int64_t id, const char *path, void *data)
{
	struct unread_walk *w = data;
	int r = 0;

	w->k->folders++;
	for (uint32_t seq = 0; w->entries && !r; seq++) {
		r = baseline_load_chunk(w->reader, id, path, seq, w->chunk, w->blake, &w->scratch);
		for (uint32_t i = 0; !r && i < w->chunk->n; i++)
			unread_count(w->k, path, &w->chunk->entries[i]);
	}
	return r == -ENOENT ? 0 : r;
}

int init_look(struct init *k, struct db *d, int64_t id, bool entries)
{
	struct unread_walk w = { .k = k, .entries = entries, .chunk = chunk_new() };
	int r = w.chunk ? baseline_find_id(d, id, &k->arena, &k->info) : -ENOMEM;

	if (!r)
		r = baseline_reader_new(d, id, &w.reader);
	if (!r)
		r = digest_new(DIGEST_BLAKE2B512, &w.blake);
	if (!r)
		r = baseline_each_dir(w.reader, "/", unread_folder, &w);
	chunk_free_p(&w.chunk);
	buf_free(&w.scratch);
	baseline_reader_free_p(&w.reader);
	digest_free_p(&w.blake);
	return r;
}

/* --- the summary */

static void init_unread_text(const struct init *k, struct buf *b)
{
	cmd_number(b, k->info.unread);
	for (size_t i = 0; i < k->n_unread; i++) {
		buf_str(b, i ? ", " : ": ");
		cmd_number(b, k->unread[i].n);
		buf_printf(b, " %s", record_unread_text(k->unread[i].reason));
	}
}

static void init_row(struct table *t, const char *key, struct buf *value)
{
	table_cell(t, key);
	table_cell_colour(t, value->data, COLOUR_NONE);
	buf_reset(value);
}

static void init_image_rows(const struct init *k, struct table *t)
{
	const struct {
		const char *key, *value;
	} rows[] = { { "image", k->info.image_ref },
		     { "manifest", k->info.image_digest },
		     { "image id", k->info.image_id } };

	if (k->kind != BASELINE_IMAGE)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!rows[i].value)
			continue;
		table_cell(t, rows[i].key);
		table_cell(t, rows[i].value);
	}
}

static void init_summary_text(struct init *k)
{
	struct out *o = &k->c->out;
	_cleanup_table_ struct table t = TABLE_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (k->unread_names.n) {
		out_str(o, "Without a digest\n");
		table_print(&k->unread_names, o, "  ");
		out_str(o, "\n");
	}
	gap_list_print(&k->gaps, o, true);
	out_printf(o, "Baseline %s taken\n", k->name);
	table_init(&t, NULL, 2, 0);
	init_image_rows(k, &t);
	cmd_number(&b, k->info.files);
	init_row(&t, "entries", &b);
	cmd_number(&b, k->folders);
	init_row(&t, "folders", &b);
	text_size(&b, k->info.bytes);
	buf_printf(&b, ", %s", digest_table[k->info.algo].name);
	init_row(&t, "content", &b);
	init_unread_text(k, &b);
	init_row(&t, "unread", &b);
	if (k->gaps.total)
		gap_list_counts(&k->gaps, &b);
	else
		buf_str(&b, "nothing");
	init_row(&t, "left out", &b);
	buf_str(&b, k->info.signed_by);
	init_row(&t, "signed by", &b);
	text_duration(&b, k->took);
	init_row(&t, "took", &b);
	text_sanitize(&b, k->c->db.path, strlen(k->c->db.path));
	init_row(&t, "store", &b);
	table_print(&t, o, "  ");
}

static void init_summary_json(struct init *k)
{
	json_t *j = json_object(), *unread = json_object();
	char time[TEXT_TIME_MAX];

	text_time(time, k->info.created, 3);
	json_object_set_new(j, "time", json_string(time));
	json_object_set_new(j, "kind", json_string("baseline"));
	json_object_set_new(j, "baseline", json_string(k->name));
	json_object_set_new(j, "id", json_integer(k->info.id));
	json_put_string(j, "root", k->root);
	json_put_string(j, "image", k->info.image_ref);
	json_put_string(j, "image_digest", k->info.image_digest);
	json_put_string(j, "image_id", k->info.image_id);
	json_object_set_new(j, "entries", json_integer((json_int_t)k->info.files));
	json_object_set_new(j, "folders", json_integer((json_int_t)k->folders));
	json_object_set_new(j, "bytes", json_integer((json_int_t)k->info.bytes));
	json_object_set_new(j, "algorithm", json_string(digest_table[k->info.algo].name));
	json_object_set_new(j, "unread", json_integer((json_int_t)k->info.unread));
	for (size_t i = 0; i < k->n_unread; i++)
		json_object_set_new(unread, record_unread_text(k->unread[i].reason),
				    json_integer((json_int_t)k->unread[i].n));
	json_object_set_new(j, "unread_reasons", unread);
	json_object_set_new(j, "not_covered", json_integer((json_int_t)k->gaps.total));
	json_object_set_new(j, "gaps", gap_list_json(&k->gaps));
	json_object_set_new(j, "signed_by", json_string(k->info.signed_by));
	json_object_set_new(j, "seconds", json_real((double)k->took / NSEC_PER_SEC));
	out_json(&k->c->out, j);
}

void init_summary(struct init *k)
{
	if (k->c->json)
		init_summary_json(k);
	else
		init_summary_text(k);
}
