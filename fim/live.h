/*
 * Live integrity: takes file events, lets each path settle, reads what is there now, compares it with the last known state
 * (baseline, or the newest open deviation) and emits semantic changes. One thread ("live") owns all state; hash workers read
 * files; nothing else decides what a change is. A rescan only names paths that may differ: they go through the same door.
 */
#ifndef FIM_LIVE_H
#define FIM_LIVE_H

#include "conf/conf.h"
#include "db/baseline.h"
#include "db/history.h"
#include "event/event.h"
#include "watch/watch.h"

struct live;

struct live_stats {
	uint64_t events, evaluated, changes, transient, opens, rescans, dropped;
	uint64_t latency_max_ns; /* from the event's reading to the emitted change, since the last call */
	size_t pending, pending_max;
	uint64_t guarded; /* entries in the baseline */
	uint64_t unread;  /* of them without a digest though one is due */
	bool reconciled;  /* the start's check is through */
};

struct live_options {
	const struct conf *conf;
	const struct db_options *db; /* live opens its own read connections */
	int64_t baseline;	     /* the host baseline that is guarded */
	const char *baseline_name;
	struct queue *in; /* of struct fs_batch, from the sensor */
	struct proc_table *procs;
	/* Takes a reference of its own when it keeps e. Called on the live thread. */
	void (*emit)(struct event *e, void *data);
	/* Guarded file with several links, sensitive path (re)appeared: told to the sensor (watch_add_linked, watch_mark_sensitive). */
	void (*noticed)(const char *path, bool linked, bool sensitive, void *data);
	void *data;
};

int live_start(const struct live_options *o, struct live **ret, struct buf *err);
/* Judges what is pending, then ends. */
void live_stop(struct live *l);
/*
 * Looks at everything below path again (quick: metadata, reading where it may differ; full: all content). Any thread, returns at once. cause is put on changes
 * that have no author of their own. done (may be NULL) is called on the live thread when every difference has been judged: found
 * is the number of changes emitted.
 */
void live_rescan(struct live *l, const char *path, bool full, const char *cause, void (*done)(uint64_t found, void *data),
		 void *data);
int live_reload(struct live *l, const struct conf *conf);
/* The baseline was changed by accept: forget cached states of these paths (NULL: all). Any thread. */
void live_forget(struct live *l, const char *path);
void live_get_stats(struct live *l, struct live_stats *ret);

#endif
