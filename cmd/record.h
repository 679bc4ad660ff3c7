/*
 * Recording what a check found: new deviations go into history, ones that are open with the same state are not recorded
 * twice, and open ones that are gone are closed. A store that cannot be written (another user, read-only) is said, and
 * is no failure of the check. Used by one thread at a time.
 */
#ifndef CMD_RECORD_H
#define CMD_RECORD_H

#include "cmd/command.h"
#include "event/event.h"

struct recorder;

struct recorder_options {
	const struct baseline_info *info;
	bool read_only; /* history only says what it knows */
	/* Called for each event that was added, in order, when it is stored (then it has its id) or need not be. */
	void (*done)(struct event *e, void *data);
	void *data;
};

/* 0 or a status. */
int recorder_new(struct cmd *c, const struct recorder_options *o, struct recorder **ret);
void recorder_free(struct recorder *r);
/*
 * Takes a reference of its own. What a package transaction or an approval explains gets status and cause here: what
 * history knows as excused and is still so, and what an approval in force covers.
 */
int recorder_add(struct recorder *r, struct event *e);
/* Open deviations (of these paths when n_only) that are again as the baseline has them are closed. */
int recorder_revert(struct recorder *r, int rootfd, const char *const *only, size_t n_only);
/* Stores what is pending. */
int recorder_finish(struct recorder *r);
uint64_t recorder_stored(const struct recorder *r);
uint64_t recorder_reverted(const struct recorder *r);
/* "3 recorded in history, 2 were open already" as a line; why not, when not. */
void recorder_summary(const struct recorder *r, struct buf *b);

#endif
