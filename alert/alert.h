/*
 * An alert: a rule matched an event. Counted and immutable once raised; made on the thread "alert" (alert/engine.c),
 * read by outputs, actions and history.
 */
#ifndef ALERT_ALERT_H
#define ALERT_ALERT_H

#include <jansson.h>
#include <stdatomic.h>

#include "rules/rules.h"

#define ALERT_ID_SIZE 37 /* a random UUID as text, with its NUL */

struct alert {
	atomic_uint refs;
	struct arena arena;	/* owns the strings below */
	char id[ALERT_ID_SIZE]; /* for whoever gets an alert twice */
	uint64_t time;		/* of the event, CLOCK_REALTIME ns */
	const char *rule;
	enum priority priority;
	const char *const *tags;
	size_t n_tags;
	const char *source;    /* "syscall" */
	const char *output;    /* the rule's, filled in; escaped */
	json_t *fields;	       /* output_fields; owned */
	json_t *looked_at;     /* what else of the event the condition saw: condition_fields, of history alone; owned */
	const char *container; /* 12 digits or "host"; NULL: not known */
	/*
	 * What it was raised for. Counted. An event of kind EVENT_ACCESS is in no history; of the others the id is set
	 * by the writer's thread some time later.
	 */
	struct event *event;
	bool answered;	     /* a ladder of actions is for it: history gets a row that these refer to */
	struct event *row;   /* that row; counted; NULL: there is none (yet) */
	bool repeated;	     /* like one that was sent a moment ago: outputs get it summed up */
	uint64_t suppressed; /* of a sum: how many were not sent since `since`; 0: it stands for itself */
	uint64_t since;	     /* CLOCK_REALTIME ns */
};

/* For the rule that matched v's event as that face; event is referenced. NULL: out of memory. */
struct alert *alert_new(struct rules_state *s, struct field_view *v, enum face face, const struct rule *rule,
			struct event *event);
/* The sum of what was suppressed since then, told by the last of them. NULL: out of memory. */
struct alert *alert_sum(const struct alert *last, uint64_t suppressed, uint64_t since);
struct alert *alert_ref(struct alert *a);
void alert_unref(struct alert *a);
DEFINE_CLEANUP(struct alert *, alert_unref)
#define _cleanup_alert_ _cleanup_(alert_unref_p)

/* The row for history: count alerts like this one. NULL: out of memory. */
struct event *alert_event(const struct alert *a, uint64_t count);

#endif
