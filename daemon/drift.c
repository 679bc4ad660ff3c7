/*
 * Files of containers in the monitor: the part that follows them, which file systems are watched for it, and images
 * that have no baseline yet. The list of folders is the main thread's; what other threads find goes to it by its
 * wake-up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "conf/policy.h"
#include "daemon/monitor.h"
#include "fim/drift_live.h"
#include "lib/hash.h"
#include "watch/overlay.h"

#define DEVICES_MAX 64
#define SAID_MAX    256
#define SWEEP_NS    (10 * NSEC_PER_SEC)

struct drift {
	struct drift_live *live;
	struct sign_key *pub;
	pthread_mutex_t lock;
	uint64_t devices[DEVICES_MAX]; /* of file systems that hold a layer */
	char *uppers[DEVICES_MAX];     /* a layer on each of them; also marked when no store lies there */
	size_t n_devices, n_marked;
	uint64_t said[SAID_MAX]; /* images that were said to have no baseline, by hash */
	atomic_bool make_baselines;
	uint64_t gap;	    /* key of the open gap; 0: none */
	struct arena arena; /* of marked; the main thread's */
	struct conf_list marked;
	struct drift_baseline *baselines;
};

/* --- which file systems */

/* The gate's file systems follow those that are watched. */
static bool is_asked_for(const struct conf *conf)
{
	for (size_t i = 0; i < conf->containers.n_policies; i++) {
		const struct conf_policy *p = &conf->containers.policies[i];

		if (p->files == CONF_FILES_OBSERVE || (p->exec != CONF_DRIFT_OFF && conf->exec.mode != CONF_EXEC_OFF))
			return true;
	}
	return false;
}

static void mark_folder(struct drift *d, const char *path)
{
	const char *copy = arena_strdup(&d->arena, path);

	if (copy)
		d->marked.items[d->marked.n++] = copy;
}

/* State folders of runtimes are stores too, but hold no layers. */
static bool holds_layers(const char *store)
{
	static const char *const drivers[] = { "overlay", "overlay2", "io.containerd.snapshotter.v1.overlayfs" };
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(drivers) && !found; i++) {
		_cleanup_buf_ struct buf path = BUF_INIT;
		struct stat st;

		buf_printf(&path, "%s/%s", store, drivers[i]);
		found = !path.failed && stat(path.data, &st) == 0 && S_ISDIR(st.st_mode);
	}
	return found;
}

/* Stores that are configured, and a layer of each file system where containers were seen. */
static void find_folders(struct drift *d, const struct conf *conf)
{
	const struct conf_list *more = &conf->containers.stores;
	arena_reset(&d->arena);
	d->marked = (struct conf_list){ 0 };
	if (!is_asked_for(conf))
		return;
	d->marked.items = arena_zalloc(&d->arena, (more->n + DEVICES_MAX) * sizeof(*d->marked.items));
	for (size_t i = 0; d->marked.items && i < more->n; i++)
		if (holds_layers(more->items[i]))
			mark_folder(d, more->items[i]);
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; d->marked.items && i < d->n_devices; i++)
		mark_folder(d, d->uppers[i]);
	d->n_marked = d->n_devices;
	pthread_mutex_unlock(&d->lock);
}

const struct conf_list *drift_part_marked(struct monitor *m, const struct conf *conf)
{
	static const struct conf_list none;

	if (!m->drift)
		return &none;
	find_folders(m->drift, conf);
	return &m->drift->marked;
}

/* A container on a file system where none was seen before. */
static void note_device(struct monitor *m, const struct container *c)
{
	struct drift *d = m->drift;
	struct stat st;
	bool fresh = c->upper && stat(c->upper, &st) == 0;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; fresh && i < d->n_devices; i++)
		fresh = d->devices[i] != st.st_dev;
	fresh = fresh && d->n_devices < DEVICES_MAX;
	if (fresh) {
		d->uppers[d->n_devices] = strdup(c->upper);
		d->devices[d->n_devices] = st.st_dev;
		fresh = d->uppers[d->n_devices] != NULL;
		d->n_devices += fresh;
	}
	pthread_mutex_unlock(&d->lock);
	if (fresh && m->wake)
		loop_wake(m->wake);
}

bool drift_part_wants_marks(struct monitor *m)
{
	bool wants;

	if (!m->drift || !is_asked_for(m->latest ? m->latest : m->conf))
		return false;
	pthread_mutex_lock(&m->drift->lock);
	wants = m->drift->n_marked < m->drift->n_devices;
	pthread_mutex_unlock(&m->drift->lock);
	return wants;
}

/* --- what others tell it, and it tells */

static void known(struct container *c, void *data)
{
	struct monitor *m = data;

	if (drift_live_minds(m->drift->live, c))
		note_device(m, c);
	drift_live_container(m->drift->live, c);
}

void drift_part_accesses(struct monitor *m, const struct fs_batch *b)
{
	if (m->drift)
		drift_live_accesses(m->drift->live, b);
}

static void lost(uint64_t n, bool over, void *data)
{
	struct monitor *m = data;
	struct drift *d = m->drift;

	if (over && d->gap)
		gapbook_close(m->gaps, d->gap, "the layers of all containers were looked at", 0);
	if (over || d->gap) {
		d->gap = over ? 0 : d->gap;
		return;
	}
	d->gap = gapbook_open(m->gaps, GAP_QUEUE_OVERFLOW, "containers", "changes of their files came too fast", n, 0);
}

static void crowded(uint64_t n, void *data)
{
	struct monitor *m = data;

	if (n)
		gapbook_open(m->gaps, GAP_LIMIT, "mounted in containers",
			     "more than is followed: what has no room is not told", n, 0);
	else
		gapbook_end(m->gaps, GAP_LIMIT, "mounted in containers", "there is room for all");
}

const char *drift_image_key(const struct container *c)
{
	return c->image_digest ?: c->image ?: c->image_id ?: c->id;
}

/* Whether it was said before, and whether it is from now on. */
static bool set_said(struct drift *d, const struct container *c, bool said)
{
	const char *key = drift_image_key(c);
	uint64_t hash = hash_bytes(0, key, strlen(key)) | 1, *slot = &d->said[hash / 2 % SAID_MAX];
	bool before;

	pthread_mutex_lock(&d->lock);
	before = *slot == hash;
	if (said || before)
		*slot = said ? hash : 0;
	pthread_mutex_unlock(&d->lock);
	return before;
}

void drift_part_unsaid(struct monitor *m, const struct container *c)
{
	set_said(m->drift, c, false);
}

static void no_baseline(struct container *c, void *data)
{
	struct monitor *m = data;
	struct drift *d = m->drift;
	const char *image = c->image ?: c->image_id ?: drift_image_key(c);

	if (set_said(d, c, true) || (d->make_baselines && drift_baseline_make(d->baselines, c)))
		return;
	log_warn("containers of image %s have no baseline to be compared with: holdfast init --image SOURCE NAME takes "
		 "one, containers.baseline_on_start lets the monitor do it",
		 image);
}

void drift_part_baselines(struct monitor *m)
{
	if (!m->drift)
		return;
	pthread_mutex_lock(&m->drift->lock);
	memset(m->drift->said, 0, sizeof(m->drift->said));
	pthread_mutex_unlock(&m->drift->lock);
	drift_live_reload(m->drift->live, NULL);
}

void drift_part_reload(struct monitor *m, const struct conf *conf)
{
	if (!m->drift)
		return;
	m->drift->make_baselines = conf->containers.baseline_on_start == CONF_YES;
	containers_part_reload(m, conf);
	drift_live_reload(m->drift->live, conf);
}

/* --- start and stop */

static void drift_free(struct drift *d)
{
	for (size_t i = 0; i < d->n_devices; i++)
		free(d->uppers[i]);
	if (d->pub)
		sign_key_free(d->pub);
	arena_free(&d->arena);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* Before there are threads: it forks. */
int overlays_part_start(struct monitor *m)
{
	const struct conf *c = m->conf;
	bool looks = is_asked_for(c) || c->exec.mode != CONF_EXEC_OFF;

	m->mark_overlays = looks && (c->sensors.overlays == CONF_OVERLAYS_MARK || overlay_events() == 0);
	return 0;
}

void overlays_part_stop(struct monitor *m _unused_)
{
}

int drift_part_start(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct drift *d = calloc(1, sizeof(*d));
	struct drift_live_options o = {
		.conf = m->conf,
		.db = &m->db,
		.containers = m->containers,
		.mounts = m->mountns,
		.mime = m->mime,
		.emit = pipeline_live,
		.lost = lost,
		.crowded = crowded,
		.seen = pipeline_seen,
		.no_baseline = no_baseline,
		.sweep = m->mark_overlays ? SWEEP_NS : 0,
		.data = m,
	};
	int r;

	if (!d)
		return EX_OSERR;
	pthread_mutex_init(&d->lock, NULL);
	r = store_public_key(m, &d->pub);
	if (r) {
		drift_free(d);
		return r;
	}
	o.pub = d->pub;
	m->drift = d;
	d->make_baselines = m->conf->containers.baseline_on_start == CONF_YES;
	r = drift_baseline_new(m, &d->baselines);
	if (r == 0)
		r = drift_live_start(&o, &d->live, &err);
	if (r < 0) {
		log_error("files of containers cannot be followed: %s", err.len ? err.data : strerror(-r));
		drift_baseline_free(d->baselines);
		drift_free(TAKE_PTR(m->drift));
		return EX_OSERR;
	}
	if (m->mark_overlays)
		gapbook_open(
			m->gaps, GAP_WEAK_SENSOR, "containers",
			"writes through overlays are not told on their layers: found by looking; each overlay is gated "
			"when its mount is seen",
			0, 0);
	containers_on_known(m->containers, known, m);
	containers_each(m->containers, drift_part_known, m);
	return 0;
}

int drift_part_known(struct container *c, void *data)
{
	known(c, data);
	return 0;
}

void drift_part_stop(struct monitor *m)
{
	containers_on_known(m->containers, NULL, NULL);
	drift_baseline_free(m->drift->baselines);
	drift_live_stop(m->drift->live);
	drift_free(TAKE_PTR(m->drift));
}

json_t *drift_status(struct monitor *m)
{
	struct drift_live_stats s;

	drift_live_get_stats(m->drift->live, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "events", (json_int_t)s.events, "looks",
			 (json_int_t)s.looks, "changes", (json_int_t)s.changes, "scans", (json_int_t)s.scans, "lost",
			 (json_int_t)s.lost, "errors", (json_int_t)s.errors, "without_baseline",
			 (json_int_t)s.no_baseline, "pending", (json_int_t)s.pending);
}
