/*
 * The daemon's one writer: a thread that takes events from a bounded queue, stores them and commits by time and
 * size. When the disk is full, or the database fails or is not in its place any more, it keeps up to its bound, counts
 * what it had to drop, tells a GAP_STORE gap (to stored alone), retries, and records it when writing works again.
 * Nothing else in the daemon waits for it.
 */
#ifndef DB_WRITER_H
#define DB_WRITER_H

#include "conf/conf.h"
#include "db/history.h"

struct writer;

struct writer_stats {
	uint64_t stored, dropped, commits, failures;
	uint64_t texts_trimmed; /* files whose content was given up for want of room */
	size_t depth;
	uint64_t db_size;
	bool failing;
	uint64_t failing_since; /* real ns */
	char why[160];		/* it fails */
};

/* stored: called on the writer's thread for each event after it has its id (before the commit); e is borrowed. May be
 * NULL. The thread opens its own connection. */
int writer_start(const struct db_options *o, const struct conf *conf, void (*stored)(struct event *e, void *data),
		 void *data, struct writer **ret, struct buf *err);
/* Takes over the caller's reference. Never blocks: when the queue is full the event is counted as dropped and a gap
 * follows. */
void writer_put(struct writer *w, struct event *e);
/* Returns when everything put before is committed. */
void writer_flush(struct writer *w);
/* The same for who must not wait for a slow disk: -ETIMEDOUT after ns, another negative errno when there is no room. */
int writer_flush_within(struct writer *w, uint64_t ns);
/*
 * Has fn change the store on the writer's thread, in a transaction with what was put before, and waits until that is
 * committed; what fn returns, or a negative errno. -EAGAIN: writing fails at present, or the writer ends; nothing was
 * changed. fn must be quick, and is called once. Any thread that holds no lock; calls wait for each other.
 */
int writer_change(struct writer *w, int (*fn)(struct db *d, void *data), void *data);
/* Commits what is queued, marks a clean exit, joins. */
void writer_stop(struct writer *w);
void writer_get_stats(struct writer *w, struct writer_stats *ret);

#endif
