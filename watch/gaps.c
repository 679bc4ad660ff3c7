/*
 * Standing gaps of the sensors. Owns the notes; notify thread (and, before it runs, whoever starts it).
 */
#include "watch/gaps.h"

#include <stdlib.h>
#include <string.h>

struct gap_note {
	struct gap_note *next;
	enum gap_reason reason;
	bool holds;
	uint64_t key, lost;
	char *detail;
	char scope[];
};

void gaps_begin(struct gaps *g)
{
	for (struct gap_note *note = g->first; note; note = note->next)
		note->holds = false;
}

static struct gap_note *find(struct gaps *g, enum gap_reason reason, const char *scope)
{
	for (struct gap_note *note = g->first; note; note = note->next)
		if (note->reason == reason && streq(note->scope, scope))
			return note;
	return NULL;
}

static void tell(struct gaps *g, const struct gap_note *note, bool closed)
{
	const struct watch_gap gap = { .reason = note->reason,
				       .scope = note->scope,
				       .detail = note->detail ? note->detail : "",
				       .lost = note->lost,
				       .key = note->key,
				       .closed = closed };

	g->emit->gap(&gap, g->emit->data);
}

static struct gap_note *add(struct gaps *g, enum gap_reason reason, const char *scope, const char *detail)
{
	size_t size = strlen(scope) + 1;
	struct gap_note *note = calloc(1, sizeof(*note) + size);

	if (!note)
		return NULL;
	memcpy(note->scope, scope, size);
	note->reason = reason;
	note->detail = detail ? strdup(detail) : NULL;
	note->key = emit_new_key(g->emit);
	note->next = g->first;
	g->first = note;
	g->n++;
	return note;
}

void gaps_hold(struct gaps *g, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost)
{
	struct gap_note *note = find(g, reason, scope);
	bool is_new = !note;

	if (is_new && g->n >= GAPS_MAX) {
		reason = GAP_LIMIT;
		scope = "/";
		detail = "too many gaps: no further ones are named";
		note = find(g, reason, scope);
		is_new = !note;
	}
	if (is_new)
		note = add(g, reason, scope, detail);
	if (!note)
		return;
	note->holds = true;
	if (is_new || lost > note->lost) {
		note->lost = lost;
		tell(g, note, false);
	}
}

void gaps_keep(struct gaps *g, enum gap_reason reason, const char *scope)
{
	struct gap_note *note = find(g, reason, scope);

	if (note)
		note->holds = true;
}

void gaps_end(struct gaps *g)
{
	for (struct gap_note **link = &g->first, *note; (note = *link);) {
		if (note->holds) {
			link = &note->next;
			continue;
		}
		tell(g, note, true);
		*link = note->next;
		g->n--;
		free(note->detail);
		free(note);
	}
}

void gaps_free(struct gaps *g)
{
	for (struct gap_note *note = g->first, *next; note; note = next) {
		next = note->next;
		free(note->detail);
		free(note);
	}
	g->first = NULL;
	g->n = 0;
}
