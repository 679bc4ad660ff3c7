/*
 * The responder: requests, and the thread "respond" that climbs ladders. Others reach it through the queue, and read
 * what is at work under a lock that is never held over an action (control.c).
 */
#include "respond/respond.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "event/json.h"
#include "lib/clock.h"
#include "lib/text.h"
#include "respond/internal.h"

#define RESPOND_TICK_NS	 (20 * NSEC_PER_MSEC) /* between two looks at programs that run */
#define RESPOND_YIELD_NS NSEC_PER_SEC	      /* for which a slow step lets others go before it */
#define RESPOND_IDLE_NS	 (3600 * NSEC_PER_SEC)

/* What waits in the queue. */
struct request {
	struct conf *conf;
	const struct conf_ladder *ladder;
	struct event *event, *about;
	char *rule, *container;
};

/* Wakes the thread. */
static struct request wake;

static void request_free(struct request *q)
{
	if (!q || q == &wake)
		return;
	conf_unref(q->conf);
	event_unref(q->event);
	event_unref(q->about);
	free(q->rule);
	free(q->container);
	free(q);
}

/* --- requests */

static struct conf *conf_now(struct respond *r)
{
	struct conf *c;

	pthread_mutex_lock(&r->lock);
	c = conf_ref(r->conf);
	pthread_mutex_unlock(&r->lock);
	return c;
}

static const struct conf_ladder *ladder_of(const struct conf *c, const struct respond_request *request)
{
	return c->respond.mode != CONF_RESPOND_OFF ? ladder_for(c, request) : NULL;
}

bool respond_answers(struct respond *r, const struct respond_request *request)
{
	struct conf *c = conf_now(r);
	bool answers = ladder_of(c, request);

	conf_unref(c);
	return answers;
}

int respond_put(struct respond *r, const struct respond_request *request)
{
	struct conf *c = conf_now(r);
	const struct conf_ladder *ladder = ladder_of(c, request);
	struct request *q;

	q = ladder ? calloc(1, sizeof(*q)) : NULL;
	if (!q) {
		conf_unref(c);
		return ladder ? -ENOMEM : 0;
	}
	*q = (struct request){ .conf = c,
			       .ladder = ladder,
			       .event = event_ref(request->event),
			       .about = event_ref(request->about ? request->about : request->event),
			       .rule = request->rule ? strdup(request->rule) : NULL,
			       .container = request->container ? strdup(request->container) : NULL };
	if (queue_try_push(r->queue, q) == 0)
		return 1;
	request_free(q);
	pthread_mutex_lock(&r->lock);
	r->stats.lost++;
	pthread_mutex_unlock(&r->lock);
	return -EAGAIN;
}

void respond_wake(struct respond *r)
{
	queue_try_push(r->queue, &wake);
}

/* --- one response */

static void response_free(struct respond *r, struct response *x)
{
	struct response old;

	pthread_mutex_lock(&r->lock);
	old = *x;
	*x = (struct response){ .target = TARGET_INIT, .group = CGROUP_INIT };
	pthread_mutex_unlock(&r->lock);
	target_close(&old.target);
	cgroup_close(&old.group);
	event_unref(old.event);
	event_unref(old.about);
	free(old.rule);
	free(old.container);
	free(old.released_by);
	conf_unref(old.conf);
}

static void response_thaw(struct respond *r, struct response *x, const char *because)
{
	_cleanup_buf_ struct buf why = BUF_INIT;
	int e;

	if (!x->frozen)
		return;
	e = action_thaw(r, x, &why);
	buf_printf(&why, ": %s%s%s", because, e < 0 ? "; " : "", e < 0 ? strerror(-e) : "");
	response_tell(r, x, ACTION_THAW, e < 0 ? RESULT_FAILED : RESULT_DONE, why.data);
}

static void response_end(struct respond *r, struct response *x)
{
	response_thaw(r, x, "the ladder has ended");
	r->dirty = true;
	response_free(r, x);
}

/* After a refusal or a limit nothing but words follow. */
static bool ends_ladder(enum action_result result)
{
	return result == RESULT_REFUSED || result == RESULT_LIMITED;
}

static void response_next(struct respond *r, struct response *x)
{
	pthread_mutex_lock(&r->lock);
	x->step++;
	x->due = clock_mono_ns() + (x->step < x->ladder->n_steps ? x->ladder->steps[x->step].after : 0);
	pthread_mutex_unlock(&r->lock);
	r->dirty |= x->due > clock_mono_ns();
}

/* What was frozen stays so for its time when that is what the ladder comes to; after anything harder it does not. */
static bool ends_frozen(const struct response *x)
{
	for (size_t i = x->ladder->n_steps; x->frozen && i > 0; i--) {
		enum action_kind action = x->ladder->steps[i - 1].action;

		if (action != ACTION_LOG && action != ACTION_ALERT && action != ACTION_EVIDENCE && action != ACTION_RUN)
			return action == ACTION_FREEZE;
	}
	return false;
}

/* Copying and digesting takes its time; whoever has just been alerted about is not to run on meanwhile. */
static bool lets_others_go(struct respond *r, const struct response *x, enum action_kind action)
{
	bool slow = action == ACTION_EVIDENCE || action == ACTION_QUARANTINE || action == ACTION_DENY;

	return slow && queue_depth(r->queue) && clock_mono_ns() < x->due + RESPOND_YIELD_NS;
}

/* Does what is due. */
static void response_climb(struct respond *r, struct response *x)
{
	while (!x->waiting && x->step < x->ladder->n_steps && x->due <= clock_mono_ns()) {
		const struct conf_step *step = &x->ladder->steps[x->step];
		_cleanup_buf_ struct buf why = BUF_INIT;
		int result;

		if (x->released || lets_others_go(r, x, step->action))
			return;
		result = action_run(r, x, step, &why);
		if (result == RESULT_WAITING) {
			x->waiting = true;
			return;
		}
		response_tell(r, x, step->action, (enum action_result)result, why.data);
		if (ends_ladder((enum action_result)result)) {
			response_end(r, x);
			return;
		}
		response_next(r, x);
	}
	if (!x->waiting && x->step >= x->ladder->n_steps && !ends_frozen(x))
		response_end(r, x);
}

static void response_tick(struct respond *r, struct response *x)
{
	if (!x->waiting && x->released) {
		response_tell(r, x, ACTION_RELEASE, RESULT_DONE, NULL);
		response_end(r, x);
		return;
	}
	if (x->frozen && x->thaw_at <= clock_mono_ns())
		response_thaw(r, x, "it was frozen for as long as respond.thaw allows");
	response_climb(r, x);
}

static uint64_t response_wakes(const struct response *x)
{
	uint64_t at = UINT64_MAX;

	if (x->frozen)
		at = x->thaw_at;
	if (!x->waiting && x->step < x->ladder->n_steps)
		at = MIN(at, x->due);
	return !x->waiting && x->released ? 0 : at;
}

/* --- new ones */

static void count(struct respond *r, uint64_t *counter)
{
	pthread_mutex_lock(&r->lock);
	(*counter)++;
	pthread_mutex_unlock(&r->lock);
}

static void drop(struct response *x)
{
	target_close(&x->target);
	cgroup_close(&x->group);
	free(x->rule);
	free(x->container);
	event_unref(x->event);
	event_unref(x->about);
	conf_unref(x->conf);
}

static void take_request(struct respond *r, struct request *q)
{
	struct response x = { .conf = q->conf,
			      .ladder = q->ladder,
			      .event = q->event,
			      .about = q->about,
			      .rule = q->rule,
			      .container = q->container,
			      .target = TARGET_INIT,
			      .group = CGROUP_INIT };
	struct response *slot = r->responses;
	bool first = false;

	free(q);
	count(r, &r->stats.requests);
	action_locate(r, &x);
	if (response_is_at_work(r, &x)) {
		count(r, &r->stats.merged);
		drop(&x);
		return;
	}
	while (slot < r->responses + RESPOND_MAX && slot->id)
		slot++;
	x.id = r->next_id++;
	if (slot == r->responses + RESPOND_MAX || !limits_allow(r, &x, &first)) {
		first |= slot == r->responses + RESPOND_MAX;
		/* The first one is told of; more would only fill the history. */
		if (first)
			response_tell(r, &x, x.ladder->steps[0].action, RESULT_LIMITED,
				      "too much was done in the last minute: nothing but alerts until it is over");
		drop(&x);
		return;
	}
	x.due = clock_mono_ns() + x.ladder->steps[0].after;
	pthread_mutex_lock(&r->lock);
	*slot = x;
	pthread_mutex_unlock(&r->lock);
	response_climb(r, slot);
}

/* --- programs that ended */

static void child_done(struct respond *r, const struct child *c, int status)
{
	char text[64];

	for (size_t i = 0; i < RESPOND_MAX; i++) {
		struct response *x = &r->responses[i];

		if (x->id != c->response || !x->waiting)
			continue;
		x->waiting = false;
		if (c->killed)
			snprintf(text, sizeof(text), "it took too long and was killed");
		else if (status)
			snprintf(text, sizeof(text), "it ended with status %d", status);
		/* A runtime that cannot do it is no reason to leave it undone. */
		if (c->action == ACTION_STOP_CONTAINER && (c->killed || status)) {
			const struct conf_step kill = { .action = ACTION_KILL_CONTAINER };
			_cleanup_buf_ struct buf why = BUF_INIT;
			int result;

			response_tell(r, x, c->action, RESULT_FAILED, text);
			result = action_run(r, x, &kill, &why);
			response_tell(r, x, ACTION_KILL_CONTAINER, (enum action_result)result, why.data);
		} else {
			response_tell(r, x, c->action, c->killed || status ? RESULT_FAILED : RESULT_DONE,
				      c->killed || status ? text : NULL);
		}
		response_next(r, x);
		return;
	}
}

/* --- the thread */

static uint64_t next_wake(const struct respond *r, bool children)
{
	uint64_t now = clock_mono_ns(), at = now + (children ? RESPOND_TICK_NS : RESPOND_IDLE_NS);

	for (size_t i = 0; i < RESPOND_MAX; i++)
		if (r->responses[i].id)
			at = MIN(at, response_wakes(&r->responses[i]));
	return at;
}

static void resume(struct respond *r)
{
	for (size_t i = 0; i < RESPOND_MAX; i++) {
		struct response *x = &r->responses[i];
		_cleanup_buf_ struct buf why = BUF_INIT;
		int result;

		if (!x->id)
			continue;
		action_locate(r, x);
		if (!x->resumed)
			continue;
		result = action_freeze_again(r, x, &why);
		response_tell(r, x, ACTION_FREEZE, (enum action_result)result, why.data);
		if (ends_ladder((enum action_result)result))
			response_end(r, x);
	}
	r->dirty = true;
}

/* Told from here: whoever loses a request may hold locks that telling wants. */
static void tell_loss(struct respond *r)
{
	uint64_t lost;

	pthread_mutex_lock(&r->lock);
	lost = r->stats.lost;
	pthread_mutex_unlock(&r->lock);
	if (lost != r->lost_told && !r->losing) {
		r->losing = true;
		if (r->o.lost)
			r->o.lost(true, lost - r->lost_told, r->o.data);
	} else if (lost == r->lost_told && r->losing && !queue_depth(r->queue)) {
		r->losing = false;
		if (r->o.lost)
			r->o.lost(false, lost, r->o.data);
	}
	r->lost_told = lost;
}

static void *respond_thread(void *data)
{
	struct respond *r = data;
	bool children = false;

	prctl(PR_SET_NAME, "respond");
	resume(r);
	while (!atomic_load(&r->ending)) {
		int timed_out = 0;
		struct request *q = queue_pop_until(r->queue, next_wake(r, children), &timed_out);

		if (q && q != &wake)
			take_request(r, q);
		else if (!q && !timed_out)
			break;
		for (size_t i = 0; i < RESPOND_MAX; i++)
			if (r->responses[i].id)
				response_tick(r, &r->responses[i]);
		children = children_poll(r, child_done);
		state_save(r);
		tell_loss(r);
	}
	return NULL;
}

/* --- start, stop */

static void respond_free(struct respond *r)
{
	cgroups_close(&r->cgroups);
	cleanup_close(&r->procfd);
	if (r->queue)
		queue_free(r->queue);
	if (r->conf)
		conf_unref(r->conf);
	for (size_t i = 0; i < RESPOND_MAX; i++)
		if (r->responses[i].id)
			response_free(r, &r->responses[i]);
	pthread_mutex_destroy(&r->lock);
	free(r->state_dir);
	free(r);
}

static int respond_open(struct respond *r, struct buf *err)
{
	int e;

	r->procfd = open(r->o.procfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->procfd < 0)
		return -errno;
	e = cgroups_open("/proc/self/mountinfo", &r->cgroups);
	if (e == 0)
		e = queue_new(RESPOND_QUEUE, &r->queue);
	return e == 0 ? state_load(r, err) : e;
}

int respond_start(const struct respond_options *o, struct respond **ret, struct buf *err)
{
	struct respond *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	r->o = *o;
	r->procfd = -1;
	r->cgroups = (struct cgroups){ .unified.fd = -1, .freezer.fd = -1 };
	pthread_mutex_init(&r->lock, NULL);
	r->conf = conf_ref(o->conf);
	r->state_dir = strdup(o->state_dir);
	for (size_t i = 0; i < RESPOND_MAX; i++)
		r->responses[i] = (struct response){ .target = TARGET_INIT, .group = CGROUP_INIT };
	e = r->state_dir ? respond_open(r, err) : -ENOMEM;
	if (e == 0)
		e = -pthread_create(&r->thread, NULL, respond_thread, r);
	if (e < 0) {
		if (!err->len)
			buf_str(err, strerror(-e));
		respond_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void respond_stop(struct respond *r)
{
	struct request *q;

	if (!r)
		return;
	atomic_store(&r->ending, true);
	queue_try_push(r->queue, &wake);
	queue_close(r->queue);
	pthread_join(r->thread, NULL);
	/* Kept first, with what was frozen: that is frozen again when it goes on. */
	r->dirty = true;
	state_save(r);
	for (size_t i = 0; i < RESPOND_MAX; i++)
		if (r->responses[i].id)
			response_thaw(r, &r->responses[i], "the monitor ends");
	children_end(r);
	while ((q = queue_pop(r->queue)))
		request_free(q);
	respond_free(r);
}
