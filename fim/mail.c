/*
 * How other threads reach the live thread, and what its files know about paths. Messages go into lists under the lock
 * of struct live; an empty batch in the inbox wakes the live thread. The public functions that any thread may call are
 * here. Nothing here waits but the threads that name candidates.
 */
#include "fim/live-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

static void mail_add(struct mail *mail, struct message *m)
{
	m->next = NULL;
	*mail->tail = m;
	mail->tail = &m->next;
}

struct message *mail_take(struct mail *mail)
{
	struct message *m = mail->head;

	mail->head = NULL;
	mail->tail = &mail->head;
	return m;
}

/* When the inbox is full the live thread is awake anyway, and looks at its mail after each batch. */
void live_wake(struct live *l)
{
	struct fs_batch *b;

	if (atomic_exchange(&l->woken, true))
		return;
	b = calloc(1, sizeof(*b));
	if (b && queue_try_push(l->o.in, b) == 0)
		return;
	free(b);
	atomic_store(&l->woken, false);
}

void live_post(struct live *l, struct message *m)
{
	pthread_mutex_lock(&l->lock);
	mail_add(&l->mail, m);
	pthread_mutex_unlock(&l->lock);
	live_wake(l);
}

static struct message *message_new(enum message_kind kind, const char *path, void *thing)
{
	size_t len = path ? strlen(path) : 0;
	struct message *m = malloc(sizeof(*m) + len + 1);

	if (!m)
		return NULL;
	m->next = NULL;
	m->kind = kind;
	m->thing = thing;
	m->path = memcpy(m + 1, path ? path : "", len + 1);
	return m;
}

int live_post_candidate(struct live *l, const char *path, bool scan)
{
	struct message *m = message_new(MESSAGE_CANDIDATE, path, scan ? l : NULL);
	bool stopping;

	if (!m)
		return -ENOMEM;
	pthread_mutex_lock(&l->lock);
	while (l->n_candidates >= LIVE_CANDIDATES && !l->stopping)
		pthread_cond_wait(&l->room, &l->lock);
	stopping = l->stopping;
	if (!stopping) {
		mail_add(&l->candidates, m);
		l->n_candidates++;
	}
	pthread_mutex_unlock(&l->lock);
	if (stopping) {
		free(m);
		return -ECANCELED;
	}
	live_wake(l);
	return 0;
}

/* --- paths */

void live_dirname(struct buf *b, const char *path)
{
	const char *slash = strrchr(path, '/');

	buf_reset(b);
	buf_add(b, path, slash && slash > path ? (size_t)(slash - path) : 1);
}

bool live_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	if (streq(folder, "/"))
		return path[0] == '/' && path[1];
	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

bool live_mask(const struct live *l, const char *path, attr_mask *ret)
{
	attr_mask guarded;
	enum scope_answer answer;

	if (scope_match(&l->scope, path, &guarded) != SCOPE_IN)
		return false;
	if (l->o.state_dir && (streq(path, l->o.state_dir) || live_below(path, l->o.state_dir)))
		return false;
	*ret = guarded;
	answer = scope_match(&l->conf->scope, path, ret);
	if (answer != SCOPE_IN)
		*ret = guarded;
	return answer != SCOPE_EXCLUDED;
}

void live_overflow(struct live *l, const char *path)
{
	_cleanup_buf_ struct buf dir = BUF_INIT;

	l->counters.dropped++;
	live_dirname(&dir, path);
	if (!dir.failed)
		rescan_request(l, dir.data, false, "more changes at once than limits.pending", NULL);
}

/* --- from other threads */

void live_rescan(struct live *l, const char *path, bool full, const char *cause,
		 void (*done)(int err, uint64_t found, void *data), void *data)
{
	struct rescan *r = calloc(1, sizeof(*r));
	struct rescan_done *d = done ? calloc(1, sizeof(*d)) : NULL;
	struct message *m = message_new(MESSAGE_RESCAN, NULL, r);

	if (r) {
		r->path = strdup(path);
		r->cause = strdup(cause);
		r->full = full;
		r->done = d;
	}
	if (!r || !m || !r->path || !r->cause || (done && !d)) {
		l->counters.errors++;
		free(r ? r->path : NULL);
		free(r ? r->cause : NULL);
		free(r);
		free(d);
		free(m);
		return;
	}
	if (d)
		*d = (struct rescan_done){ NULL, done, data };
	live_post(l, m);
}

int live_reload(struct live *l, const struct conf *conf)
{
	struct message *m = message_new(MESSAGE_RELOAD, NULL, conf_ref((struct conf *)conf));

	if (!m)
		return -ENOMEM;
	live_post(l, m);
	return 0;
}

void live_forget(struct live *l, const char *path)
{
	struct message *m = message_new(MESSAGE_FORGET, path, NULL);

	if (m)
		live_post(l, m);
}

void live_approvals(struct live *l)
{
	struct message *m = message_new(MESSAGE_APPROVALS, NULL, NULL);

	if (m)
		live_post(l, m);
}

void live_get_stats(struct live *l, struct live_stats *ret)
{
	struct live_counters *c = &l->counters;

	*ret = (struct live_stats){
		.events = c->events,
		.evaluated = c->evaluated,
		.changes = c->changes,
		.transient = c->transient,
		.opens = c->opens,
		.rescans = c->rescans,
		.dropped = c->dropped,
		.errors = c->errors,
		.latency_max_ns = atomic_exchange(&c->latency_max, 0),
		.pending = c->pending,
		.pending_max = c->pending_max,
		.merging = c->merging,
		.held = c->held,
		.excused = c->excused,
		.approvals = c->approvals,
		.undiffed = c->undiffed,
		.rescans_waiting = c->rescans_waiting,
		.guarded = c->guarded,
		.names = c->names,
		.unread = c->unread,
		.rechecked = c->rechecked,
		.recheck_rounds = c->recheck_rounds,
		.baseline = c->baseline,
	};
}
