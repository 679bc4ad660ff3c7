/* The report of check, and the lists of what was not covered. Used by one thread at a time. */
#include "cmd/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"
#include "lib/text.h"

static const struct {
	const char *title;
	enum colour colour;
	int status; /* bit of the exit status */
} change_rows[CHANGE_COUNT] = {
	[CHANGE_ADDED] = { "Added", COLOUR_GREEN, 1 },	     [CHANGE_REMOVED] = { "Removed", COLOUR_RED, 2 },
	[CHANGE_CHANGED] = { "Changed", COLOUR_YELLOW, 4 },  [CHANGE_REPLACED] = { "Replaced", COLOUR_YELLOW, 4 },
	[CHANGE_RENAMED] = { "Renamed", COLOUR_YELLOW, 4 },  [CHANGE_ATTRIBUTES] = { "Attributes", COLOUR_YELLOW, 4 },
	[CHANGE_REVERTED] = { "Reverted", COLOUR_GREEN, 0 }, [CHANGE_TRANSIENT] = { "Came and went", COLOUR_DIM, 0 },
};

int report_status(const uint64_t counts[CHANGE_COUNT])
{
	int status = 0;

	for (size_t i = 0; i < CHANGE_COUNT; i++) {
		if (counts[i])
			status |= change_rows[i].status;
	}
	return status;
}

void report_counts(struct buf *b, const uint64_t counts[CHANGE_COUNT])
{
	const char *comma = "";

	for (size_t i = 0; i < CHANGE_COUNT; i++) {
		if (!counts[i])
			continue;
		buf_str(b, comma);
		cmd_number(b, counts[i]);
		buf_printf(b, " %s", change_names[i]);
		comma = ", ";
	}
}

void report_excused(struct buf *b, const struct report *r)
{
	if (!r->excused)
		return;
	buf_str(b, r->open_only ? "; excused and left out: " : ", ");
	cmd_number(b, r->excused);
	buf_str(b, r->open_only ? "" : " of them excused");
}

/* --- one difference */

#define VALUE_WIDTH 44 /* longer values are cut in the middle, but with -v */

static void report_value(struct table *t, const struct record *r, enum attr a, bool whole)
{
	_cleanup_buf_ struct buf raw = BUF_INIT;
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (!(r->have & ATTR_BIT(a))) {
		const char *why = a == ATTR_DIGEST ? record_unread_text(r->unread) : NULL;

		table_cell_colour(t, why ? why : "none", COLOUR_DIM);
		return;
	}
	attr_table[a].format(&raw, r);
	if (raw.data)
		text_sanitize(&b, raw.data, raw.len);
	if (!b.data || whole || b.len <= VALUE_WIDTH) {
		table_cell_colour(t, b.data ? b.data : "", COLOUR_NONE);
		return;
	}
	if (a == ATTR_DIGEST)
		table_printf(t, "%.16s...", b.data);
	else
		table_printf(t, "%.*s...", VALUE_WIDTH - 3, b.data);
}

/* An added or removed file in one line: "file 0644 root, 300 B, digest 0a1b2c3d4e5f6071..." */
static void report_brief(struct buf *b, const struct record *r)
{
	const char *user = user_name(r->uid);

	buf_str(b, attr_type_name(r->type));
	if (r->have & ATTR_BIT(ATTR_MODE))
		buf_printf(b, " %04o", r->mode);
	if (r->have & ATTR_BIT(ATTR_UID)) {
		buf_char(b, ' ');
		if (user)
			text_escape(b, user, strlen(user));
		else
			buf_printf(b, "%u", r->uid);
	}
	if (r->type == 'f' && r->have & ATTR_BIT(ATTR_SIZE)) {
		buf_str(b, ", ");
		text_size(b, r->size);
	}
	if (r->have & ATTR_BIT(ATTR_TARGET)) {
		buf_str(b, ", to ");
		attr_table[ATTR_TARGET].format(b, r);
	}
	if (r->have & ATTR_BIT(ATTR_DIGEST)) {
		buf_str(b, ", digest ");
		buf_hex(b, r->digest, MIN((size_t)r->digest_len, (size_t)8));
		buf_str(b, "...");
	} else if (record_unread_text(r->unread)) {
		buf_printf(b, ", unread: %s", record_unread_text(r->unread));
	}
	if (r->have & ATTR_BIT(ATTR_LAYER))
		buf_printf(b, ", layer %u", r->layer);
}

#define NAME_WIDTH 40

/* A long name is a line of its own. Returns what stands before the values. */
static const char *report_name(struct table *t, const char *name)
{
	if (strlen(name) <= NAME_WIDTH)
		return name;
	table_cell(t, name);
	for (int i = 0; i < 4; i++)
		table_cell(t, NULL);
	return "";
}

/* Cells: name, attribute, before, "->", after. */
static void report_rows(struct table *t, const struct event *e, const char *name, bool whole)
{
	const struct record *one = !e->has_before ? &e->after : !e->has_after ? &e->before : NULL;
	_cleanup_buf_ struct buf b = BUF_INIT;

	name = report_name(t, name);
	if (one) {
		if (e->has_before || e->has_after)
			report_brief(&b, one);
		table_cell(t, name);
		table_cell_colour(t, b.data, COLOUR_NONE);
		for (int i = 0; i < 3; i++)
			table_cell(t, NULL);
		return;
	}
	for (unsigned a = 0; a < ATTR_COUNT; a++) {
		if (!(e->attributes & ATTR_BIT(a)))
			continue;
		table_cell(t, name);
		table_cell(t, attr_table[a].name);
		report_value(t, &e->before, a, whole);
		table_cell(t, "->");
		report_value(t, &e->after, a, whole);
		name = NULL;
	}
	if (name) { /* differs in nothing that has a row */
		table_cell(t, name);
		for (int i = 0; i < 4; i++)
			table_cell(t, NULL);
	}
}

static void report_excuse(struct table *t, const struct event *e, bool whole)
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	if (e->status != STATUS_EXCUSED)
		return;
	text_sanitize(&b, e->cause ?: "", strlen(e->cause ?: ""));
	table_cell(t, "");
	table_cell(t, "excused");
	if (whole || b.len <= VALUE_WIDTH)
		table_cell_colour(t, b.data ?: "", COLOUR_NONE);
	else
		table_printf(t, "%.*s...", VALUE_WIDTH - 3, b.data);
	for (int i = 0; i < 2; i++)
		table_cell(t, NULL);
}

/* --- all of them */

static size_t report_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
}

/* By kind of change, then folder, then name. */
static int report_order(const void *a, const void *b)
{
	const struct event *x = *(struct event *const *)a, *y = *(struct event *const *)b;
	size_t nx = report_folder(x->path), ny = report_folder(y->path);
	int r = x->change != y->change ? (int)x->change - (int)y->change : memcmp(x->path, y->path, MIN(nx, ny));

	return r ? r : nx != ny ? (nx < ny ? -1 : 1) : strcmp(x->path + nx, y->path + ny);
}

static bool report_same_group(const struct event *a, const struct event *b)
{
	size_t len = report_folder(a->path);

	return a->change == b->change && report_folder(b->path) == len && memcmp(a->path, b->path, len) == 0;
}

/* The events of one folder, from i; returns the one behind them. */
static size_t report_group(const struct report *r, struct out *o, size_t i)
{
	_cleanup_table_ struct table t = TABLE_INIT;
	const struct event *first = r->events[i];
	_cleanup_buf_ struct buf folder = BUF_INIT;

	text_escape(&folder, first->path, report_folder(first->path));
	out_str(o, "  ");
	out_str(o, folder.data ? folder.data : "");
	out_str(o, "\n");
	table_init(&t, NULL, 5, 0);
	for (; i < r->n && report_same_group(first, r->events[i]); i++) {
		const char *path = r->events[i]->path, *slash = strrchr(path, '/');

		report_rows(&t, r->events[i], slash && slash[1] ? slash + 1 : path, r->whole);
		report_excuse(&t, r->events[i], r->whole);
	}
	table_print(&t, o, "    ");
	return i;
}

void event_diff(struct out *o, const struct event *e)
{
	for (const char *p = e->text; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		char sign = *p;
		_cleanup_free_ char *line = strndup(p, strcspn(p, "\n"));

		out_str(o, "    ");
		out_colour(o, sign == '-' ? COLOUR_RED : sign == '+' ? COLOUR_GREEN : COLOUR_NONE);
		out_sanitized(o, line ? line : "");
		out_colour(o, COLOUR_NONE);
		out_str(o, "\n");
	}
}

/* Without -v just the first ones. */
static void report_diffs(const struct report *r, struct out *o)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n && (r->whole || n < DIFFS_SHOWN); i++) {
		if (!r->events[i]->text)
			continue;
		n++;
		out_text(o, r->events[i]->path);
		out_str(o, "\n");
		event_diff(o, r->events[i]);
		out_str(o, "\n");
	}
}

void report_print(struct report *r, struct out *o)
{
	uint64_t counts[CHANGE_COUNT] = { 0 };

	if (r->n)
		qsort(r->events, r->n, sizeof(*r->events), report_order);
	for (size_t i = 0; i < r->n; i++)
		counts[r->events[i]->change]++;
	for (size_t i = 0; i < r->n;) {
		enum change change = r->events[i]->change;

		out_colour(o, change_rows[change].colour);
		out_printf(o, "%s (%llu)", change_rows[change].title, (unsigned long long)counts[change]);
		out_colour(o, COLOUR_NONE);
		out_str(o, "\n");
		while (i < r->n && r->events[i]->change == change)
			i = report_group(r, o, i);
		out_str(o, "\n");
	}
	report_diffs(r, o);
	report_free(r);
}

static void report_stream(struct out *o, const struct event *e)
{
	_cleanup_buf_ struct buf line = BUF_INIT;

	event_line(&line, e, o->colour);
	buf_char(&line, '\n');
	if (!line.failed)
		out_str(o, line.data);
}

bool report_count(struct report *r, const struct event *e)
{
	bool excused = e->status == STATUS_EXCUSED;

	r->excused += excused;
	if (excused && r->open_only)
		return false;
	r->counts[e->change]++;
	return true;
}

int report_add(struct report *r, struct out *o, struct event *e)
{
	if (!report_count(r, e))
		return 0;
	if (!r->streaming && r->n == REPORT_MAX) {
		report_print(r, o);
		out_printf(o, "More than %d differences: the rest as they are found\n", REPORT_MAX);
		r->streaming = true;
	}
	if (r->streaming) {
		report_stream(o, e);
		return 0;
	}
	if (r->n == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 64;
		struct event **events = realloc(r->events, cap * sizeof(struct event *));

		if (!events)
			return -ENOMEM;
		r->events = events;
		r->cap = cap;
	}
	r->events[r->n++] = event_ref(e);
	return 0;
}

void report_free(struct report *r)
{
	for (size_t i = 0; i < r->n; i++)
		event_unref(r->events[i]);
	free(r->events);
	r->events = NULL;
	r->n = r->cap = 0;
}
