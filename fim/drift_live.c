/*
 * The thread "drift": takes events over, waits until paths are quiet, looks at layers as a whole where events are
 * missing. It never writes to the store and never waits for another thread; the sensor's thread leaves notes and goes
 * on.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fim/drift_live-internal.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/util.h"

/* A runtime has made its folders by then, and told events are taken over: what is found has no author. */
#define SCAN_DELAY (1500 * NSEC_PER_MSEC)
#define STOP_NS	   (300 * NSEC_PER_MSEC)
#define LIVE_OPS   (FS_MODIFY | FS_CLOSE_WRITE | FS_CREATE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO | FS_ATTRIB)

/* --- notes (any thread) */

static void note_free(struct drift_note *n)
{
	if (n->event.process)
		process_unref(n->event.process);
	free(n);
}

/* One allocation, with its strings behind it. */
static struct drift_note *note_new(const struct fs_event *e, const char *path, const char *path2, uint32_t ops)
{
	size_t len = strlen(path) + 1, len2 = path2 ? strlen(path2) + 1 : 0;
	struct drift_note *n = malloc(sizeof(*n) + len + len2);
	char *strings = (char *)(n + 1);

	if (!n)
		return NULL;
	memcpy(strings, path, len);
	if (path2)
		memcpy(strings + len, path2, len2);
	*n = (struct drift_note){ .event = { .ops = ops,
					     .is_dir = e->is_dir,
					     .pid = e->pid,
					     .path = strings,
					     .path2 = path2 ? strings + len : NULL,
					     .boot_ns = e->boot_ns } };
	n->event.process = e->process ? process_ref(e->process) : NULL;
	return n;
}

static void leave_note(struct drift_live *l, struct drift_note *n)
{
	bool first = false;

	pthread_mutex_lock(&l->lock);
	if (n && l->n_notes < DRIFT_NOTES_MAX) {
		first = !l->notes;
		*l->notes_end = n;
		l->notes_end = &n->next;
		l->n_notes++;
		n = NULL;
	} else {
		l->lost++;
	}
	if (first)
		pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	if (n)
		note_free(n);
}

/* Whether the host path lies in a layer whose container a policy wants looked after, and may not change there. */
static bool is_minded(struct drift_live *l, struct conf *conf, const char *path)
{
	const char *inner;
	_cleanup_container_ struct container *c = path ? containers_by_path(l->o.containers, path, &inner) : NULL;
	const struct conf_policy *p = c ? conf_policy_of(conf, c) : NULL;

	return p && p->files == CONF_FILES_OBSERVE && drift_left_out(p, c, inner) == DRIFT_COMPARED;
}

static struct conf *conf_now(struct drift_live *l)
{
	struct conf *conf;

	pthread_mutex_lock(&l->lock);
	conf = conf_ref(l->conf);
	pthread_mutex_unlock(&l->lock);
	return conf;
}

bool drift_live_minds(struct drift_live *l, const struct container *c)
{
	_cleanup_conf_ struct conf *conf = conf_now(l);
	const struct conf_policy *p = conf_policy_of(conf, c);

	return p && (p->files == CONF_FILES_OBSERVE || p->exec != CONF_DRIFT_OFF);
}

/* A rename is two notes: a name that went, a name that came. What overlayfs does in its work folder is no name. */
static void take_event(struct drift_live *l, struct conf *conf, const struct fs_event *e)
{
	uint32_t ops = e->ops & LIVE_OPS;
	bool here = is_minded(l, conf, e->path), there = e->path2 && is_minded(l, conf, e->path2);

	if (!ops || (!here && !there))
		return;
	l->counters.events++;
	if (there)
		leave_note(l, note_new(e, e->path2, here ? e->path : NULL, FS_RENAME_TO));
	if (here)
		leave_note(l, note_new(e, e->path, there ? e->path2 : NULL, ops));
}

void drift_live_accesses(struct drift_live *l, const struct fs_batch *b)
{
	_cleanup_conf_ struct conf *conf = conf_now(l);

	if (!conf->containers.n_policies)
		return;
	for (uint32_t i = 0; i < b->n; i++)
		take_event(l, conf, &b->events[i]);
}

void drift_live_container(struct drift_live *l, struct container *c)
{
	bool known = false;

	if (!c->upper)
		return;
	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->n_scans && !known; i++)
		known = streq(l->scans[i].container->id, c->id);
	if (!known && l->n_scans < DRIFT_SCANS_MAX)
		l->scans[l->n_scans++] = (struct drift_scan){ container_ref(c), clock_boot_ns() + SCAN_DELAY, true };
	else if (!known)
		l->lost++;
	l->mounted = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void drift_live_reload(struct drift_live *l, const struct conf *conf)
{
	struct conf *old = NULL;

	pthread_mutex_lock(&l->lock);
	if (conf) {
		old = l->conf;
		l->conf = conf_ref((struct conf *)(uintptr_t)conf);
	}
	l->forget = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	if (old)
		conf_unref(old);
}

/* Something may be mounted otherwise. Any thread. */
static void mounts_changed(void *data)
{
	struct drift_live *l = data;

	pthread_mutex_lock(&l->lock);
	l->mounted = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* --- the thread */

static void take_notes(struct drift_live *l, struct drift_note *n)
{
	for (struct drift_note *next; n; n = next) {
		next = n->next;
		if (settle_event(&l->settle, &n->event) < 0) {
			pthread_mutex_lock(&l->lock);
			l->lost++;
			pthread_mutex_unlock(&l->lock);
		}
		note_free(n);
	}
}

static int scan_one(struct container *c, void *data)
{
	drift_live_container(data, c);
	return 0;
}

/* Everything is looked at again; over when that was done. */
static void heal(struct drift_live *l, uint64_t lost)
{
	if (lost) {
		l->counters.lost += lost;
		l->o.lost(lost, false, l->o.data);
		l->losing = true;
		l->cause = "found by looking at the layers, after events were lost";
		containers_each(l->o.containers, scan_one, l);
	}
}

static void sweep(struct drift_live *l)
{
	uint64_t now = clock_boot_ns();

	if (!l->o.sweep || now - l->swept < l->o.sweep)
		return;
	l->swept = now;
	containers_each(l->o.containers, scan_one, l);
}

/* The one that is due. */
static bool take_scan(struct drift_live *l, uint64_t now, struct drift_scan *ret)
{
	bool found = false;

	pthread_mutex_lock(&l->lock);
	for (size_t i = 0; i < l->n_scans && !found; i++) {
		found = l->scans[i].due <= now;
		if (found) {
			*ret = l->scans[i];
			l->scans[i] = l->scans[--l->n_scans];
		}
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

static void scan_due(struct drift_live *l)
{
	struct drift_scan s;

	while (take_scan(l, clock_boot_ns(), &s)) {
		l->counters.scans++;
		drift_scan(l, s.container, "/", NULL, l->cause);
		container_unref(s.container);
	}
	pthread_mutex_lock(&l->lock);
	if (l->losing && !l->n_scans && !l->lost) {
		l->losing = false;
		l->cause = "found by looking at the layer";
		pthread_mutex_unlock(&l->lock);
		l->o.lost(0, true, l->o.data);
		return;
	}
	pthread_mutex_unlock(&l->lock);
}

static void look_at_mounts(struct drift_live *l, bool changed)
{
	uint64_t now = clock_boot_ns();
	bool again;

	if (changed && (!l->mounts_due || l->mounts_waits || l->mounts_idle)) {
		l->mounts_due = MAX(now + DRIFT_MOUNTS_NS, l->mounts_rest);
		l->mounts_idle = false;
	}
	if (!l->mounts_due || l->mounts_due > now)
		return;
	l->mounts_waits = changed ? 0 : l->mounts_waits;
	l->mounts_due = 0;
	again = drift_mounts_look(l) && l->mounts_waits++ < DRIFT_MOUNTS_WAITS;
	l->mounts_rest = now + (clock_boot_ns() - now) * DRIFT_MOUNTS_COST;
	l->mounts_idle = !again && drift_mounts_stand(l);
	if (again || l->mounts_idle)
		l->mounts_due = MAX(now + (again ? DRIFT_YOUNG_NS : DRIFT_STANDING_NS), l->mounts_rest);
}

/* With the lock held: until there is something to do. False: the end. */
static bool wait_for_work(struct drift_live *l, uint64_t next)
{
	while (!l->stop && !l->notes && !l->forget && !l->lost && !l->mounted) {
		uint64_t now = clock_boot_ns(), due = MIN(next, l->mounts_due ?: UINT64_MAX), until;
		struct timespec t;

		for (size_t i = 0; i < l->n_scans; i++)
			due = MIN(due, l->scans[i].due);
		if (due <= now)
			break;
		until = clock_mono_ns() + MIN(due - now, 5 * NSEC_PER_SEC);
		t = clock_timespec(until);
		if (pthread_cond_timedwait(&l->wake, &l->lock, &t) == ETIMEDOUT)
			break;
	}
	return !l->stop;
}

/* deadline: mono ns. */
static void look_at_due(struct drift_live *l, uint64_t now, uint64_t deadline)
{
	struct pending *p;

	while (clock_mono_ns() < deadline && (p = settle_take(&l->settle, now)))
		drift_look(l, p);
}

static void *drift_main(void *data)
{
	struct drift_live *l = data;
	uint64_t next = UINT64_MAX;

	pthread_setname_np(pthread_self(), "drift");
	pthread_mutex_lock(&l->lock);
	while (wait_for_work(l, next)) {
		struct drift_note *notes;
		uint64_t lost, seen;
		bool forget, mounted;

		/* Before the notes are taken: what was handed over by then is among them. */
		pthread_mutex_unlock(&l->lock);
		seen = l->o.seen ? l->o.seen(l->o.data) : UINT64_MAX;
		pthread_mutex_lock(&l->lock);
		notes = TAKE_PTR(l->notes);
		lost = l->lost;
		forget = l->forget;
		mounted = l->mounted;

		l->notes_end = &l->notes;
		l->n_notes = 0;
		l->lost = 0;
		l->forget = l->mounted = false;
		conf_unref(l->now);
		l->now = conf_ref(l->conf);
		pthread_mutex_unlock(&l->lock);
		if (forget) {
			drift_images_forget(l->images);
			containers_each(l->o.containers, scan_one, l);
		}
		take_notes(l, notes);
		l->seen = seen;
		heal(l, lost);
		sweep(l);
		look_at_due(l, clock_boot_ns(), UINT64_MAX);
		scan_due(l);
		look_at_mounts(l, mounted || forget);
		next = settle_next(&l->settle);
		l->counters.pending = settle_count(&l->settle);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	/* What is pending is judged as it is now: the monitor's end waits for no path to be quiet. */
	l->seen = UINT64_MAX;
	look_at_due(l, UINT64_MAX, clock_mono_ns() + STOP_NS);
	return NULL;
}

/* --- start and stop */

static void drift_free(struct drift_live *l)
{
	for (struct drift_note *n = l->notes, *next; n; n = next) {
		next = n->next;
		note_free(n);
	}
	for (size_t i = 0; i < l->n_scans; i++)
		container_unref(l->scans[i].container);
	drift_mounts_free(l);
	settle_free(&l->settle);
	lately_free(&l->lately);
	if (l->images)
		drift_images_free(l->images);
	if (l->db)
		db_close(l->db);
	arena_free(&l->arena);
	conf_unref(l->conf);
	conf_unref(l->now);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->wake);
	free(l);
}

static int drift_init(struct drift_live *l, struct buf *err)
{
	const struct conf *conf = l->o.conf;
	const struct read_options read = { .hash_size = conf->limits.hash_size, .mime = l->o.mime };
	int r;

	l->notes_end = &l->notes;
	l->mounted = l->o.mounts != NULL; /* what history says is mounted, perhaps in containers that are gone */
	l->cause = "found by looking at the layer";
	l->conf = conf_ref((struct conf *)(uintptr_t)conf);
	l->now = conf_ref(l->conf);
	pthread_mutex_init(&l->lock, NULL);
	clock_cond_init(&l->wake);
	r = db_open(l->o.db, DB_READ, &l->db, err);
	if (r == 0)
		r = settle_init(&l->settle, DRIFT_PENDING, conf->limits.settle,
				MAX(conf->limits.settle_max, conf->limits.settle));
	if (r == 0)
		r = lately_init(&l->lately);
	return r < 0 ? r : drift_images_new(l->db, l->o.pub, &read, &l->images);
}

int drift_live_start(const struct drift_live_options *o, struct drift_live **ret, struct buf *err)
{
	struct drift_live *l = calloc(1, sizeof(*l));
	sigset_t all, old;
	int r;

	if (!l)
		return -ENOMEM;
	l->o = *o;
	r = drift_init(l, err);
	if (r == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		r = -pthread_create(&l->thread, NULL, drift_main, l);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (r < 0) {
		drift_free(l);
		return r;
	}
	if (l->o.mounts)
		mountns_on_change(l->o.mounts, mounts_changed, l);
	*ret = l;
	return 0;
}

void drift_live_stop(struct drift_live *l)
{
	if (l->o.mounts)
		mountns_on_change(l->o.mounts, NULL, NULL);
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	pthread_join(l->thread, NULL);
	drift_free(l);
}

void drift_live_get_stats(struct drift_live *l, struct drift_live_stats *ret)
{
	*ret = (struct drift_live_stats){
		.events = l->counters.events,
		.looks = l->counters.looks,
		.changes = l->counters.changes,
		.scans = l->counters.scans,
		.lost = l->counters.lost,
		.errors = l->counters.errors,
		.no_baseline = l->counters.no_baseline,
		.pending = (size_t)l->counters.pending,
	};
}
