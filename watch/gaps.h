/*
 * Conditions that leave something unwatched for as long as they last. Each is told once when it begins and once when it
 * ends: a round marks what still holds, and what was not marked is over. One thread.
 */
#ifndef WATCH_GAPS_H
#define WATCH_GAPS_H

#include "watch/emit.h"

struct gap_note;

struct gaps {
	struct emit *emit; /* keys and the callback */
	struct gap_note *first;
	size_t n;
};

#define GAPS_MAX 4096

void gaps_begin(struct gaps *g);
/* Holds (still). lost: how many folders, files; told again when it grew. Beyond GAPS_MAX conditions nothing more is
 * told but one GAP_LIMIT. */
void gaps_hold(struct gaps *g, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost);
/* Holds if it held before the round. */
void gaps_keep(struct gaps *g, enum gap_reason reason, const char *scope);
void gaps_end(struct gaps *g);
void gaps_free(struct gaps *g);

#endif
