/*
 * The book of gaps: every interval in which something is not watched is opened and closed here and nowhere else, so
 * that each is one event when it begins and one when it ends. Any thread; bounded, beyond that gaps are counted under
 * one GAP_LIMIT.
 */
#ifndef DAEMON_GAPBOOK_H
#define DAEMON_GAPBOOK_H

#include <stdbool.h>

#include "event/event.h"
#include "lib/cleanup.h"
#include "watch/watch.h"

struct gapbook;

#define GAPBOOK_MAX 4096

struct gap_open {
	enum gap_reason reason;
	const char *scope, *detail;
	uint64_t key;
	uint64_t from; /* real ns */
	uint64_t lost;
	bool standing; /* found by looking, not by an event; holds as long as each look finds it */
};

/* emit: takes over the event. */
int gapbook_new(void (*emit)(struct event *e, void *data), void *data, struct gapbook **ret);
void gapbook_free(struct gapbook *b);
/* from 0: now. One that is open already with this reason and scope is the same. Its key; 0: out of memory. */
uint64_t gapbook_open(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost,
		      uint64_t from);
/* As gapbook_open, but lost is counted on top of what the open one has lost. */
uint64_t gapbook_lose(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost,
		      uint64_t from);
/* to 0: now. Nothing when there is none. */
void gapbook_close(struct gapbook *b, uint64_t key, const char *healed, uint64_t to);
/* The same for the open one with this reason and scope. */
void gapbook_end(struct gapbook *b, enum gap_reason reason, const char *scope, const char *healed);
/* A loss that is over when it is found: told as one that begins and ends. One that is open with its scope stays so. */
void gapbook_once(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail, uint64_t lost,
		  const char *healed);
/* What a sensor tells, with its own keys. */
void gapbook_sensor(struct gapbook *b, const struct watch_gap *g);
/* Keys of those open now, at most max; scope NULL: any. For gaps that a rescan closes when it is through. */
size_t gapbook_keys(struct gapbook *b, enum gap_reason reason, const char *scope, uint64_t *ret, size_t max);
/*
 * Standing gaps that a look over everything finds, and only those: begin, note each, end closes what was not noted
 * since that begin. A round may begin while another one is on its way: what was noted since belongs to both.
 */
uint64_t gapbook_round_begin(struct gapbook *b);
void gapbook_note(struct gapbook *b, enum gap_reason reason, const char *scope, const char *detail);
void gapbook_round_end(struct gapbook *b, uint64_t round);
/* The look was at path and all below alone: of standing gaps there, those that reading folders and files finds are
 * over. */
void gapbook_round_end_below(struct gapbook *b, uint64_t round, const char *path);
/* Ends a gap that an earlier run left open: e as history gave it. */
void gapbook_close_old(struct gapbook *b, const struct event *e);
/* fn borrows; called with the book locked: it must not call back. */
void gapbook_each(struct gapbook *b, void (*fn)(const struct gap_open *g, void *data), void *data);
size_t gapbook_count(struct gapbook *b);

DEFINE_CLEANUP(struct gapbook *, gapbook_free)

#endif
