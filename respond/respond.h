/*
 * The responder: answers alerts with ladders of actions (conf/respond.h), on a thread of its own ("respond") behind a
 * bounded queue. Nobody waits for it; what finds no room is counted. Everything it does, would have done (dry run) or
 * refuses to do is told as an event of kind EVENT_ACTION.
 *
 * A response is one ladder at work on one process or container. It ends with its last step, or when somebody releases
 * it: what it froze is thawed then, and what it would still have done is not done. Responses that wait survive the
 * monitor in a file of the state folder; nothing frozen does (respond/warden.h).
 */
#ifndef RESPOND_RESPOND_H
#define RESPOND_RESPOND_H

#include <jansson.h>

#include "conf/conf.h"
#include "event/event.h"
#include "lib/buf.h"
#include "respond/warden.h"

#define RESPOND_QUEUE	  1024 /* requests that wait */
#define RESPOND_MAX	  256  /* responses at work */
#define RESPOND_CHILDREN  8    /* programs that run */
#define RESPOND_RESUME_NS (10 * NSEC_PER_SEC)

struct respond;

struct respond_stats {
	uint64_t requests, merged, lost; /* merged: the same ladder was at work on it already */
	uint64_t actions, limited, refused, failed;
	size_t active, frozen;
};

struct respond_options {
	struct conf *conf;     /* referenced */
	const char *state_dir; /* quarantine and state file */
	const char *procfs;    /* "/proc" */
	struct warden *warden; /* NULL: nothing is frozen; outlives it */
	uint64_t resume_ns;    /* responses of an earlier run go on at the earliest after; 0: RESPOND_RESUME_NS */
	/* What was done; takes over e. */
	void (*tell)(struct event *e, void *data);
	/* Begin and end of an episode in which requests found no room, on the thread "respond". NULL: not told. */
	void (*lost)(bool losing, uint64_t lost, void *data);
	/*
	 * Programs with that SHA-256 are refused from now on, until then (real ns; 0: for good). 1: they are already;
	 * -ENOSYS: nothing judges starts. NULL: nothing ever does here.
	 */
	int (*deny)(const uint8_t digest[32], const char *path, const char *reason, uint64_t until, void *data);
	/* Somebody vouches for that program: it is neither denied nor quarantined. NULL: nobody is asked. */
	bool (*trusted)(const uint8_t digest[32], const char *path, void *data);
	void *data;
};

/* What happened; all of it is borrowed for the call. */
struct respond_request {
	struct event *event; /* its process and file are acted upon */
	struct event *about; /* row of the alert, which actions refer to; NULL: event */
	const char *rule;
	enum priority priority;
	const char *const *tags;
	size_t n_tags;
	const char *container;	    /* id, at least 12 digits; NULL: not known here */
	const char *container_name; /* NULL: not known */
	const char *image;
};

/* -errno with text in err: the state folder cannot be used. */
int respond_start(const struct respond_options *o, struct respond **ret, struct buf *err);
/* Thaws everything, keeps what waits for the next start, ends programs that run. */
void respond_stop(struct respond *r);
/* Any thread: a ladder is for it. */
bool respond_answers(struct respond *r, const struct respond_request *request);
/* Any thread; never blocks. 0: no ladder is for it; 1: taken; -EAGAIN: no room, counted. */
int respond_put(struct respond *r, const struct respond_request *request);
/* Ends a response; user: who wants that, for the record. Any thread. -ENOENT: none of that number is at work. */
int respond_release(struct respond *r, uint64_t id, const char *user);
/* Those at work: a list of objects. New reference. */
json_t *respond_list(struct respond *r);
void respond_reload(struct respond *r, struct conf *conf);
void respond_get_stats(struct respond *r, struct respond_stats *ret);

#endif
