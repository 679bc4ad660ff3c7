/*
 * The report of a check, for people: differences grouped by kind of change and folder, with before and after of each
 * attribute. Keeps REPORT_MAX of them; beyond that it prints what it has, and each further one as it comes.
 */
#ifndef CMD_REPORT_H
#define CMD_REPORT_H

#include "cmd/print.h"
#include "event/event.h"

#define REPORT_MAX  10000
#define DIFFS_SHOWN 20

struct report {
	bool whole; /* -v: digests and long values uncut, all attributes of added and removed files */
	struct event **events;
	size_t n, cap;
	bool streaming;
	uint64_t counts[CHANGE_COUNT];
	bool open_only;	  /* ones that are excused are left out */
	uint64_t excused; /* of those counted; with open_only: beside them */
};

/* False: it is left out. */
bool report_count(struct report *r, const struct event *e);
/* Counts it too. Takes a reference of its own. 0 or -ENOMEM. */
int report_add(struct report *r, struct out *o, struct event *e);
/* Prints what is kept. */
void report_print(struct report *r, struct out *o);
void report_free(struct report *r);
#define _cleanup_report_ __attribute__((cleanup(report_free)))

/* The text of a change, indented. */
void event_diff(struct out *o, const struct event *e);

/* "3 added, 1 removed", nothing for none. */
void report_counts(struct buf *b, const uint64_t counts[CHANGE_COUNT]);
/* ", 2 of them excused" */
void report_excused(struct buf *b, const struct report *r);
/* Exit status of check: the sum of 1 added, 2 removed, 4 changed. */
int report_status(const uint64_t counts[CHANGE_COUNT]);

/* --- what was not covered, by reason; the first ones by name */

#define GAPS_SHOWN 20
#define GAPS_KEPT  1000

struct gap_list {
	struct arena arena;
	struct gap_item {
		enum gap_reason reason;
		const char *path, *detail; /* detail may be NULL */
	} * items;
	size_t n;
	uint64_t counts[GAP_REASON_COUNT], total;
};

/* Never fails: what cannot be kept is still counted. */
void gap_list_add(struct gap_list *l, enum gap_reason reason, const char *path, const char *detail);
/* all: also what the configuration leaves out each time. */
void gap_list_print(const struct gap_list *l, struct out *o, bool all);
/* "2 file systems skipped, 1 path missing" */
void gap_list_counts(const struct gap_list *l, struct buf *b);
/* New reference: [{"reason":..., "path":..., "detail":...}], as many as are kept. */
json_t *gap_list_json(const struct gap_list *l);
void gap_list_free(struct gap_list *l);
#define _cleanup_gap_list_ __attribute__((cleanup(gap_list_free)))

#endif
