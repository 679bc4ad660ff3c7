/*
 * Differences of configuration files as text: which files' content is kept (key `diffs`), and what became of it. Kept
 * is only what anybody may read on that system: a regular text file of mode o+r, not below `sensitive`, of 64 KiB at
 * most. What people see of it has its secrets hidden (fim/redact.h). One thread.
 */
#ifndef FIM_DIFFER_H
#define FIM_DIFFER_H

#include "conf/conf.h"
#include "db/baseline.h"
#include "db/db.h"
#include "event/event.h"

#define DIFFER_PER_SECOND 64 /* in a flood of changes the others are told without */

struct differ;

/*
 * db: where content is kept; a connection of its own is opened when it is first needed. Both outlive it. wait: false for
 * a thread that must not wait for a disk: what the kernel does not have in memory any more is not compared then.
 */
int differ_new(const struct db_options *db, enum digest_algo algo, bool wait, struct differ **ret);
/* Changes that were told without a difference though one is due: too many at once, not in memory. */
uint64_t differ_skipped(const struct differ *d);
void differ_free(struct differ *d);

/*
 * For a change of content: the new content is put into the event (history keeps it), and the difference, when the old
 * one is known, is its text. rootfd: the folder that paths begin at. What cannot be done is left out.
 */
void differ_event(struct differ *d, const struct conf *conf, int rootfd, struct event *e);

/* Keeps the content of what a baseline has below `diffs`, as far as it still is as recorded. ret_n: how many. */
int differ_keep_baseline(struct db *d, const struct conf *conf, int rootfd, int64_t baseline, enum digest_algo algo,
			 size_t *ret_n);

DEFINE_CLEANUP(struct differ *, differ_free)

#endif
