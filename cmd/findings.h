/* What a check has found: into the report or the JSON output, and into history. One thread at a time. */
#ifndef CMD_FINDINGS_H
#define CMD_FINDINGS_H

#include "cmd/record.h"
#include "cmd/report.h"
#include "fim/scan.h"

struct findings {
	struct cmd *c;
	struct baseline_info info; /* of the baseline that it is compared with */
	struct report report;
	struct gap_list gaps;
	struct recorder *recorder; /* NULL: history is left alone */
};

/*
 * What is found from here on is recorded as a finding of f->info, which is set. read_only: history just says what it
 * knows of it. An exit status.
 */
int findings_record(struct findings *f, bool read_only);
/* The change that a difference is; NULL: out of memory. */
struct event *findings_event(const struct findings *f, const struct scan_difference *d);
/* Borrows e. */
int findings_add(struct findings *f, struct event *e);
/* A walk's callback; data is the findings. */
int findings_gap(void *data, enum gap_reason reason, const char *path, const char *detail);
/* Of all kinds together. */
uint64_t findings_count(const struct findings *f);
/* The object that ends --json; the caller may add to it, and drops it. */
json_t *findings_summary_json(const struct findings *f, const struct scan_progress *progress);
/* The last lines of the text: what was not read, not covered, and what history has of it. */
void findings_summary(const struct findings *f, const struct scan_progress *progress, struct buf *b);
/* Leaves f as new, but for c. */
void findings_reset(struct findings *f);

#endif
