/*
 * What the responder tells of an action, and what others ask of it: what is at work, its end, other settings. Any
 * thread; under the lock that is never held over an action.
 */
#include <errno.h>
#include <string.h>

#include "event/json.h"
#include "lib/clock.h"
#include "respond/internal.h"

static void copy_text(struct event *e, const char **member, const char *text)
{
	*member = text ? arena_strdup(&e->arena, text) : NULL;
}

void response_tell(struct respond *r, const struct response *x, enum action_kind action, enum action_result result,
		   const char *text)
{
	struct event *e = event_new(EVENT_ACTION);

	if (!e)
		return;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->action = action;
	e->result = result;
	e->response = x->id;
	e->process = x->event->process ? process_ref(x->event->process) : NULL;
	e->about = x->about ? event_ref(x->about) : NULL;
	e->container = x->event->container ? container_ref(x->event->container) : NULL;
	copy_text(e, &e->path, x->event->path);
	copy_text(e, &e->host_path, x->event->host_path);
	copy_text(e, &e->reason, x->rule);
	copy_text(e, &e->cause, x->ladder->name);
	copy_text(e, &e->text, text && *text ? text : NULL);
	copy_text(e, &e->user, x->released_by);
	pthread_mutex_lock(&r->lock);
	r->stats.actions++;
	r->stats.refused += result == RESULT_REFUSED;
	r->stats.limited += result == RESULT_LIMITED;
	r->stats.failed += result == RESULT_FAILED;
	pthread_mutex_unlock(&r->lock);
	r->o.tell(e, r->o.data);
}

int respond_release(struct respond *r, uint64_t id, const char *user)
{
	int e = -ENOENT;

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < RESPOND_MAX; i++) {
		struct response *x = &r->responses[i];

		if (!id || x->id != id || x->released)
			continue;
		x->released_by = user ? strdup(user) : NULL;
		x->released = true;
		e = 0;
	}
	pthread_mutex_unlock(&r->lock);
	/* A full queue wakes it as well. */
	if (e == 0)
		respond_wake(r);
	return e;
}

json_t *respond_list(struct respond *r)
{
	uint64_t now = clock_mono_ns();
	json_t *list = json_array();

	pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < RESPOND_MAX; i++) {
		const struct response *x = &r->responses[i];
		const struct conf_step *next;
		json_t *o;

		if (!x->id || x->released)
			continue;
		o = json_object();
		json_object_set_new(o, "id", json_u64(x->id));
		json_put_string(o, "ladder", x->ladder->name);
		json_put_string(o, "rule", x->rule);
		json_put_string(o, "path", x->event->path);
		if (x->event->process)
			json_object_set_new(o, "process", process_json(x->event->process));
		json_put_string(o, "container", x->group.fd >= 0 ? x->group.id : x->container);
		if (x->frozen)
			json_object_set_new(o, "frozen", json_true());
		if (x->step < x->ladder->n_steps) {
			next = &x->ladder->steps[x->step];
			json_object_set_new(o, "next", json_string(action_names[next->action]));
			json_object_set_new(o, "in_ms", json_u64(x->due > now ? (x->due - now) / NSEC_PER_MSEC : 0));
		}
		json_array_append_new(list, o);
	}
	pthread_mutex_unlock(&r->lock);
	return list;
}

void respond_reload(struct respond *r, struct conf *conf)
{
	struct conf *old;

	pthread_mutex_lock(&r->lock);
	old = r->conf;
	r->conf = conf_ref(conf);
	pthread_mutex_unlock(&r->lock);
	conf_unref(old);
}

void respond_get_stats(struct respond *r, struct respond_stats *ret)
{
	pthread_mutex_lock(&r->lock);
	*ret = r->stats;
	ret->active = ret->frozen = 0;
	for (size_t i = 0; i < RESPOND_MAX; i++) {
		ret->active += r->responses[i].id != 0;
		ret->frozen += r->responses[i].frozen;
	}
	pthread_mutex_unlock(&r->lock);
}
