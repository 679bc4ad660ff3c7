/* Of alert/engine.c, which owns the thread and its queue, and alert/engine_ask.c, which asks the rules, alone. */
#ifndef ALERT_ENGINE_INTERNAL_H
#define ALERT_ENGINE_INTERNAL_H

#include "alert/engine.h"

#include <pthread.h>

#include "alert/access.h"
#include "alert/repeat.h"
#include "rules/fetch.h"

struct queue;

struct engine {
	struct engine_options o;
	struct queue *queue;
	pthread_t thread;
	atomic_bool stopping;
	atomic_bool told;	     /* accesses are */
	_Atomic uint32_t faces_told; /* as calls */
	_Atomic uint64_t deadline;   /* monotonic, once stopping */

	pthread_mutex_t lock;
	struct rules *next_rules; /* counted; NULL: the ones in force stay */
	struct conf *next_conf;

	/* The thread's own. */
	struct conf *conf;
	struct rules_state *state;
	struct field_view *view;
	struct rules_fetch *fetch;
	struct packages *packages;
	uint64_t packages_at;
	struct access access;
	struct repeat *repeat;
	uint64_t lost_told;
	bool losing;

	_Atomic uint64_t held, bytes, lost, events, accesses, alerts, repeated, sums, rules;
};

/* All of them run on the thread "alert". */

/* Rules are asked about one event, one access; what they raise is told. */
void engine_take_event(struct engine *g, struct event *e);
void engine_take_access(struct engine *g, const struct fs_batch *b, const struct fs_event *e);

/* What fields of a group need: field_view.fetch. */
void engine_fetch(struct field_view *v, enum field_group group);

/* repeat_options.told and sum: data is the engine. */
void engine_told(struct alert *a, uint64_t count, void *data);
void engine_summed(struct alert *a, void *data);

#endif
