/* Lists of what a run did not cover: bounded by number, counted without bound. One thread at a time. */
#include <stdlib.h>
#include <string.h>

#include "cmd/report.h"
#include "event/json.h"
#include "lib/util.h"

static const struct {
	const char *one, *many;
	bool standing; /* the configuration's doing, the same each time: named when it is new to the reader */
} gap_words[GAP_REASON_COUNT] = {
	[GAP_FS_SKIPPED] = { "file system left out", "file systems left out", true },
	[GAP_UNREADABLE] = { "unreadable folder", "unreadable folders", false },
	[GAP_LIMIT] = { "path over a limit", "paths over a limit", false },
	[GAP_NO_PATH] = { "configured path missing", "configured paths missing", true },
};

void gap_list_add(struct gap_list *l, enum gap_reason reason, const char *path, const char *detail)
{
	struct gap_item *item;

	l->counts[reason]++;
	l->total++;
	if (l->n == GAPS_KEPT)
		return;
	if (!l->items)
		l->items = calloc(GAPS_KEPT, sizeof(*l->items));
	if (!l->items)
		return;
	item = &l->items[l->n];
	*item = (struct gap_item){
		.reason = reason,
		.path = arena_strdup(&l->arena, path),
		.detail = detail ? arena_strdup(&l->arena, detail) : NULL,
	};
	if (item->path)
		l->n++;
}

void gap_list_counts(const struct gap_list *l, struct buf *b)
{
	const char *comma = "";

	for (size_t i = 0; i < GAP_REASON_COUNT; i++) {
		const char *word = l->counts[i] == 1 ? gap_words[i].one : gap_words[i].many;

		if (!l->counts[i])
			continue;
		buf_printf(b, "%s%llu %s", comma, (unsigned long long)l->counts[i], word ? word : gap_reason_names[i]);
		comma = ", ";
	}
}

void gap_list_print(const struct gap_list *l, struct out *o, bool all)
{
	_cleanup_table_ struct table t = TABLE_INIT;
	uint64_t total = 0, shown = 0;

	for (size_t i = 0; i < GAP_REASON_COUNT; i++)
		total += all || !gap_words[i].standing ? l->counts[i] : 0;
	if (!total)
		return;
	out_colour(o, COLOUR_YELLOW);
	out_printf(o, "Not covered (%llu)\n", (unsigned long long)total);
	out_colour(o, COLOUR_NONE);
	table_init(&t, NULL, 3, 0);
	for (size_t i = 0; i < l->n && shown < GAPS_SHOWN; i++) {
		const char *word = gap_words[l->items[i].reason].one;

		if (!all && gap_words[l->items[i].reason].standing)
			continue;
		table_cell(&t, l->items[i].path);
		table_cell(&t, word ? word : gap_reason_names[l->items[i].reason]);
		table_cell(&t, l->items[i].detail);
		shown++;
	}
	table_print(&t, o, "  ");
	if (total > shown)
		out_printf(o, "  and %llu more\n", (unsigned long long)(total - shown));
	out_str(o, "\n");
}

json_t *gap_list_json(const struct gap_list *l)
{
	json_t *list = json_array();

	for (size_t i = 0; i < l->n; i++) {
		json_t *item = json_object();

		json_object_set_new(item, "reason", json_string(gap_reason_names[l->items[i].reason]));
		json_put_string(item, "path", l->items[i].path);
		json_put_string(item, "detail", l->items[i].detail);
		json_array_append_new(list, item);
	}
	return list;
}

void gap_list_free(struct gap_list *l)
{
	arena_free(&l->arena);
	free(l->items);
	*l = (struct gap_list){ 0 };
}
