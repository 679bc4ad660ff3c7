/*
 * The thread "alert": takes events from everywhere behind a bounded queue, asks the rules, raises alerts. Whoever hands
 * it an event never waits; what finds no room is lost and counted.
 *
 * Rules speak of calls (open, rename, chmod): accesses (batches of the sensor, guarded or not) stand for those, changes
 * and gaps for what only this program knows (hf.change, hf.gap). Where there are no accesses (inotify, a rescan) the
 * change stands for the calls that must have led to it.
 */
#ifndef ALERT_ENGINE_H
#define ALERT_ENGINE_H

#include "alert/alert.h"
#include "conf/conf.h"
#include "watch/watch.h"

struct engine;

struct engine_stats {
	uint64_t events, accesses; /* asked about */
	uint64_t alerts, repeated, sums;
	uint64_t lost; /* events and accesses for which there was no room */
	size_t depth;  /* of them in the queue */
	size_t rules;  /* in force */
};

/* The callbacks run on the thread "alert"; a is borrowed. NULL: nobody wants to know. */
struct engine_options {
	const struct conf *conf;
	struct rules *rules;				     /* referenced */
	const char *procfs;				     /* "/proc" */
	size_t room;					     /* events and accesses held; 0: ENGINE_ROOM */
	size_t bytes;					     /* that they take; 0: ENGINE_BYTES */
	bool (*answered)(const struct alert *a, void *data); /* whether actions are for it: its row is stored before */
	void (*raised)(struct alert *a, void *data);	     /* each, at once, repeated ones too: for actions */
	void (*send)(struct alert *a, void *data);	     /* for outputs: first ones and sums */
	void (*store)(struct event *e, void *data);	     /* for history: each one, like ones merged; takes over e */
	/* Fills in whose container an access was in; may read files. NULL: nobody knows. */
	void (*place)(struct event *e, void *data);
	/* Whether it does to files what no call tells of: rules that ask for calls are asked about what came of it.
	 * NULL: none. */
	bool (*past_calls)(const struct process *p, void *data);
	void (*lost)(bool losing, uint64_t lost, void *data); /* begin and end of an episode of loss */
	struct packages_store *packages;		      /* NULL: lists of packages are read for rules alone */
	void *data;
};

#define ENGINE_ROOM  131072
#define ENGINE_BYTES (64 * MIB)

int engine_start(const struct engine_options *o, struct engine **ret);
/* Evaluates what is queued as long as there is time, ends. */
void engine_stop(struct engine *g);
/* References e, which is not changed any more but for its id. Any thread; never blocks. */
void engine_event(struct engine *g, struct event *e);
/* Whether these (FACE_BIT) are events of their own, as calls, for rules that ask for those (rules_ask_call). Any
 * thread. */
void engine_set_told(struct engine *g, uint32_t faces, bool told);
/* Whether accesses are told: then changes and merged opens do not stand for calls. At first they do. */
void engine_set_accesses(struct engine *g, bool accesses);
/* Takes over b. Any thread; never blocks. */
void engine_accesses(struct engine *g, struct fs_batch *b);
/* Other rules and settings from the next event on; both are referenced. Any thread. */
void engine_reload(struct engine *g, const struct conf *conf, struct rules *rules);
void engine_get_stats(struct engine *g, struct engine_stats *ret);

DEFINE_CLEANUP(struct engine *, engine_stop)

#endif
