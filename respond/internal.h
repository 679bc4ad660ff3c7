/* Inside of the responder, shared by its files: respond.c (thread, ladders), match.c, control.c, actions.c,
 * actions_file.c, children.c, limits.c, state.c.
 */
#ifndef RESPOND_INTERNAL_H
#define RESPOND_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/queue.h"
#include "respond/cgroup.h"
#include "respond/never.h"
#include "respond/quarantine.h"
#include "respond/respond.h"

#define RESULT_WAITING RESULT_COUNT /* a program was started for it; its end brings the result */

/* One ladder at work. Of the thread "respond"; members up to `lock`'s mark are read by others under the lock. */
struct response {
	uint64_t id; /* 0: free */
	struct conf *conf;
	const struct conf_ladder *ladder; /* in conf */
	size_t step;			  /* the next one */
	uint64_t due;			  /* of it, CLOCK_MONOTONIC ns */
	struct event *event;
	struct event *about; /* row that its actions refer to; NULL after a restart */
	char *rule, *container;
	_Atomic bool released; /* by whoever asks for it, who has set released_by before; seen by its thread */
	char *released_by;
	/* From here on of the thread alone. */
	struct target target; /* pidfd -1: none, or gone */
	struct cgroup group;  /* fd -1: in no container */
	bool resumed;
	atomic_bool frozen; /* by us */
	bool frozen_group;
	uint64_t thaw_at; /* CLOCK_MONOTONIC ns */
	unsigned slot;	  /* the warden's */
	bool entry;	  /* in quarantine */
	bool waiting;	  /* for a program */
};

/* A program that runs for a response. */
struct child {
	pid_t pid;	/* 0: free */
	uint64_t until; /* CLOCK_MONOTONIC ns: killed then */
	uint64_t response;
	enum action_kind action;
	bool killed;
};

/* How often something was acted upon; see limits.c. */
#define LIMITS_MAX 1024
struct limit {
	uint64_t key; /* hash; 0: free */
	uint64_t since;
	uint64_t n;
};

struct respond {
	struct respond_options o;
	char *state_dir;
	int procfd;
	struct cgroups cgroups;
	struct queue *queue;
	pthread_t thread;

	pthread_mutex_t lock; /* of conf, responses, stats */
	struct conf *conf;
	struct response responses[RESPOND_MAX];
	struct respond_stats stats;

	/* Of the thread. */
	struct child children[RESPOND_CHILDREN];
	struct limit limits[LIMITS_MAX];
	struct limit total;
	uint64_t next_id, saved_id; /* ids below saved_id are never given again */
	bool dirty;		    /* the state file is to be written */
	uint64_t lost_told;
	bool losing;
	atomic_bool ending;
};

/* --- match.c */

/* In c; NULL: none. */
const struct conf_ladder *ladder_for(const struct conf *c, const struct respond_request *q);

/* The same ladder is at work on it. On the thread. */
bool response_is_at_work(const struct respond *r, const struct response *x);

/* --- control.c */

/* As an event; text may be NULL. Counts. */
void response_tell(struct respond *r, const struct response *x, enum action_kind action, enum action_result result,
		   const char *text);

/* --- respond.c */

/* The thread looks at everything once more. Any thread. */
void respond_wake(struct respond *r);

/* --- actions.c; act_evidence and those behind it: actions_file.c */

bool action_is_dry(const struct response *x);
void action_say_process(const struct response *x, struct buf *why);
/* The result that the error stands for; why gets its text. */
int action_failed(struct buf *why, int err);
int act_evidence(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why);
int act_quarantine(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why);
int act_deny(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why);

/* Does one step, or says what would be done; why gets a sentence. RESULT_WAITING: later, by the child's end. */
int action_run(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why);
/* Thaws what x froze. 0, or a negative errno; why gets a sentence. */
int action_thaw(struct respond *r, struct response *x, struct buf *why);
/* Finds process and container of x. */
void action_locate(struct respond *r, struct response *x);
/* Freezes again what was frozen before the monitor ended. */
int action_freeze_again(struct respond *r, struct response *x, struct buf *why);

/* --- children.c */

/* Runs a program without a shell, input (a JSON text, may be NULL) on its stdin. -EAGAIN: too many run. */
int children_run(struct respond *r, const struct response *x, enum action_kind action, const char *const *argv,
		 const char *input, uint64_t timeout_ns);
/* Those that ended: done is called for each with its exit status, or -1: killed. When there is one to wait for, true.
 */
bool children_poll(struct respond *r, void (*done)(struct respond *r, const struct child *c, int status));
void children_end(struct respond *r);

/* --- limits.c */

/* May something be done to the container or executable of x? Counts. *ret_first: the first time it may not in this
 * minute. */
bool limits_allow(struct respond *r, const struct response *x, bool *ret_first);

/* --- state.c */

int state_load(struct respond *r, struct buf *err);
/* Writes it when it is to be written. Those at work that wait are kept. */
void state_save(struct respond *r);

#endif
