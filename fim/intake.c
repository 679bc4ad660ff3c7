/* What comes in to the live thread, and on it: batches of the sensor, and mail of other threads. */
#include "fim/live-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "watch/place.h"

#define INTAKE_FILE_OPS	 (FS_MODIFY | FS_CLOSE_WRITE | FS_CREATE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO | FS_ATTRIB)
#define INTAKE_FLOOD	 16 /* events in a batch */
#define INTAKE_APPEARING (FS_CREATE | FS_RENAME_TO)

static bool is_canary(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && strncmp(name + 1, WATCH_CANARY_PREFIX, strlen(WATCH_CANARY_PREFIX)) == 0;
}

static void take_event(struct live *l, const struct fs_event *event, bool flood)
{
	struct fs_event e = *event;
	bool ran = e.ops & FS_EXEC && place_is_temporary(e.path);
	attr_mask mask;

	l->counters.events++;
	if (e.ops & FS_RESCAN) {
		if (l->o.lost)
			l->o.lost(&e, l->o.data);
		else
			rescan_request(l, e.path, false, e.text ? e.text : "the sensor lost events", NULL);
		return;
	}
	if (e.ops & FS_LINK) {
		fresh_event(l, &e);
		return;
	}
	if (is_canary(e.path) && l->o.canary && l->o.canary(&e, l->o.data))
		return;
	if (e.ops & FS_DEVICE) {
		if (l->o.device)
			l->o.device(&e, l->o.data);
		return;
	}
	if (e.ops & FS_OPEN && e.pid != l->self && l->conf->opens != CONF_OPENS_OFF &&
	    (l->conf->opens == CONF_OPENS_ALL || conf_is_sensitive(l->conf, e.path)))
		merge_open(l, &e);
	if (e.ops & FS_EXEC)
		hold_exec(l, &e);
	e.ops &= INTAKE_FILE_OPS | (ran ? FS_EXEC : 0U);
	if (!e.ops)
		return;
	if (e.ops & INTAKE_APPEARING && l->o.noticed && conf_is_sensitive(l->conf, e.path))
		l->o.noticed(e.path, false, true, l->o.data);
	if (e.ops & FS_RENAME_TO && e.is_dir && e.path2)
		evaluate_note_move(l, &e);
	if (!live_mask(l, e.path, &mask))
		return;
	e.actor = hold_actor(l, &e);
	if (!(event->ops & FS_EXEC) && brief_event(l, &e, flood))
		return;
	if (settle_event(&l->settle, &e) < 0)
		live_overflow(l, e.path);
	else if (e.ops & FS_RENAME_TO && e.path2)
		hold_follow(l, e.path2, e.path);
}

void intake_batch(struct live *l, struct fs_batch *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		take_event(l, &b->events[i], b->n >= INTAKE_FLOOD);
	brief_end(l);
	fs_batch_free(b);
}

static void take_candidate(struct live *l, const struct message *m)
{
	bool scan = m->thing != NULL;
	struct pending *p;

	/* The caller left room for it; only memory can be short. */
	states_hear(l->states, m->path);
	if (settle_candidate(&l->settle, m->path, NULL, clock_boot_ns(), &p) < 0) {
		l->counters.errors++;
		return;
	}
	if (!p->facts.cause)
		p->facts.cause = scan && l->scan ? l->scan->cause : "periodic recheck";
	if (!scan || p->facts.scan)
		return;
	p->facts.scan = true;
	l->scan_outstanding++;
	if (!p->facts.process && l->scan && l->scan->process)
		p->facts.process = process_ref(l->scan->process);
}

static bool next_candidate(struct live *l)
{
	struct message *m;

	if (l->settle.map.n >= l->settle.limit)
		return false;
	pthread_mutex_lock(&l->lock);
	m = l->candidates.head;
	if (m) {
		l->candidates.head = m->next;
		if (!m->next)
			l->candidates.tail = &l->candidates.head;
		if (l->n_candidates-- == LIVE_CANDIDATES)
			pthread_cond_broadcast(&l->room);
	}
	pthread_mutex_unlock(&l->lock);
	if (!m)
		return false;
	take_candidate(l, m);
	free(m);
	return true;
}

int intake_scope(struct live *l)
{
	json_t *json = json_loads(states_baseline(l->states)->scope, 0, NULL);
	struct arena arena = ARENA_INIT;
	struct scope scope = { 0 };
	int r = json ? scope_from_json(&arena, json, &scope) : -EBADMSG;

	json_decref(json);
	if (r < 0) {
		arena_free(&arena);
		return r;
	}
	arena_free(&l->scope_arena);
	l->scope_arena = arena;
	l->scope = scope;
	l->read.algo = states_baseline(l->states)->algo;
	l->counters.guarded = states_counts(l->states)->entries;
	l->counters.unread = states_counts(l->states)->unread;
	l->counters.names = states_names(l->states);
	l->counters.baseline = states_baseline(l->states)->id;
	return 0;
}

static void forget(struct live *l, const char *path)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	if (*path) {
		states_forget(l->states, path);
		return;
	}
	r = states_reload(l->states, &err);
	if (r == 0)
		r = intake_scope(l);
	if (r < 0)
		log_error("the baseline could not be read again: %s", err.len ? err.data : strerror(-r));
}

static void reload(struct live *l, struct conf *conf)
{
	struct conf *old = l->conf;

	pthread_mutex_lock(&l->lock);
	l->conf = conf;
	pthread_mutex_unlock(&l->lock);
	conf_unref(old);
	l->settle.limit = conf->limits.pending;
	l->settle.settle = conf->limits.settle;
	l->settle.settle_max = MAX(conf->limits.settle_max, conf->limits.settle);
}

static void take_message(struct live *l, struct message *m)
{
	switch (m->kind) {
	case MESSAGE_RESULT:
		l->in_flight--;
		evaluate_finish(l, (struct job *)m);
		return; /* freed with the job */
	case MESSAGE_RESCAN:
		rescan_add(l, m->thing);
		break;
	case MESSAGE_SCANNED:
		rescan_scanned(l, (int)(intptr_t)m->thing);
		break;
	case MESSAGE_APPROVALS:
		approved_load(l);
		break;
	case MESSAGE_HOLD:
		hold_round_done(l);
		break;
	case MESSAGE_RELOAD:
		reload(l, m->thing);
		break;
	case MESSAGE_FORGET:
		forget(l, m->path);
		break;
	case MESSAGE_CANDIDATE:
		break;
	}
	free(m);
}

void intake_mail(struct live *l)
{
	struct message *m, *next;

	pthread_mutex_lock(&l->lock);
	m = mail_take(&l->mail);
	pthread_mutex_unlock(&l->lock);
	for (; m; m = next) {
		next = m->next;
		take_message(l, m);
	}
	while (next_candidate(l))
		;
}
