/*
 * containers.baseline_on_start: baselines of images that have none, made from the layers in the local store on a thread
 * of its own, with a connection of its own. Nothing of the running container is read. One that cannot be made is a gap.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/monitor.h"
#include "db/history.h"
#include "fim/drift.h"
#include "fim/image.h"
#include "lib/clock.h"

#define WAITING_MAX 64
#define FAILED_MAX  64
#define LOOK_NS	    (5 * NSEC_PER_SEC) /* between looks whether what failed still matters */
#define RETRY_MIN   (60 * NSEC_PER_SEC)
#define RETRY_MAX   (3600 * NSEC_PER_SEC)
#define MORE_SCOPE  "images without a baseline"

/* An image whose baseline could not be made: an open gap until there is one, or no container of it. */
struct failed {
	struct container *c; /* the one it was tried for */
	uint64_t gap, retry_at, backoff;
};

struct drift_baseline {
	struct monitor *m;
	pthread_t thread;
	bool running, stop, missed; /* there was no room for an image */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct container *waiting[WAITING_MAX];
	size_t n;
	struct failed failed[FAILED_MAX]; /* the thread's own */
	size_t n_failed;
	uint64_t look_at;
	struct scan_progress progress;
};

/* --- where the image lies, what its baseline is called */

/* Of podman, CRI-O: ROOT/overlay/LAYER/diff; docker: ROOT/overlay2/LAYER/diff; containerd:
 * ROOT/io.containerd.snapshotter.v1.overlayfs/... */
static bool find_source(struct buf *b, const struct container *c)
{
	static const struct {
		const char *folder, *prefix;
	} stores[] = { { "/overlay/", "containers-storage" }, { "/overlay2/", "docker-storage" } };
	const char *snapshotter = strstr(c->upper, "/io.containerd.snapshotter."), *end = c->upper + strlen(c->upper);

	if (snapshotter && (c->image_digest || c->image)) {
		buf_printf(b, "containerd:[%.*s]%s", (int)(snapshotter - c->upper), c->upper,
			   c->image_digest ?: c->image);
		return !b->failed;
	}
	for (int i = 0; i < 3; i++)
		while (end > c->upper && *--end != '/')
			;
	for (size_t i = 0; end > c->upper && c->image_id && i < ARRAY_SIZE(stores); i++) {
		if (strncmp(end, stores[i].folder, strlen(stores[i].folder)) != 0)
			continue;
		buf_printf(b, "%s:[%.*s]%s", stores[i].prefix, (int)(end - c->upper), c->upper, c->image_id);
		return !b->failed;
	}
	return false;
}

/* "nginx:1@0123456789ab": short, and different for each version of an image. */
static void find_name(struct buf *b, const struct container *c)
{
	const char *image = c->image ?: "image", *slash = strrchr(image, '/'), *digest = c->image_digest ?: c->image_id,
		   *hex = digest ? strchr(digest, ':') : NULL;

	for (const char *p = slash ? slash + 1 : image; *p && *p != '@' && b->len < 40; p++)
		buf_char(b, strchr("._:+-", *p) || (*p >= '0' && *p <= '9') || ((*p | 32) >= 'a' && (*p | 32) <= 'z')
				    ? *p
				    : '_');
	buf_printf(b, "@%.12s", hex ? hex + 1 : "");
}

/* --- making one */

static int take(struct drift_baseline *k, const struct container *c, const char *source, const char *name,
		struct buf *err)
{
	struct monitor *m = k->m;
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	_cleanup_db_ struct db *d = NULL;
	struct baseline_info info;
	struct fim_image_options o = {
		.init = { .common = { .rootfd = -1, .hash_size = m->conf->limits.hash_size, .progress = &k->progress },
			  .name = name,
			  .kind = BASELINE_IMAGE,
			  .root = "/",
			  .algo = DIGEST_SHA256 },
		.source = source,
		.spawner = m->spawner,
	};
	int r = db_open(&m->db, DB_WRITE, &d, err);

	if (r == 0)
		r = sign_key_load(m->conf->store.key, 0, &key, err);
	if (r < 0)
		return r;
	history_set_key(d, key);
	o.init.key = key;
	r = fim_init_image(d, &o, NULL, err);
	/* Somebody else took it, or has the name for another one. */
	return r == -EEXIST && drift_find_baseline(d, c, &arena, &info) == 0 ? 0 : r;
}

/* err is a text for people, whenever it fails. */
static int make(struct drift_baseline *k, const struct container *c, struct buf *err)
{
	_cleanup_buf_ struct buf source = BUF_INIT, name = BUF_INIT;
	int r;

	find_name(&name, c);
	if (name.failed)
		return -ENOMEM;
	if (!find_source(&source, c)) {
		buf_str(err,
			"its layers lie in no store that can be read; holdfast init --image takes one from an archive");
		return -ENOENT;
	}
	r = take(k, c, source.data, name.data, err);
	if (r < 0) {
		if (!err->len)
			buf_str(err, strerror(-r));
		return r;
	}
	log_info("baseline %s of image %s was taken from %s", name.data, c->image ?: c->id, source.data);
	return 0;
}

/* --- those that could not be made */

static struct failed *find_failed(struct drift_baseline *k, const struct container *c)
{
	for (size_t i = 0; i < k->n_failed; i++)
		if (streq(drift_image_key(k->failed[i].c), drift_image_key(c)))
			return &k->failed[i];
	return NULL;
}

/* One gap for each image: two versions of it differ by their digest. */
static void gap_scope(struct buf *b, const struct container *c)
{
	const char *digest = c->image_digest ?: c->image_id, *hex = digest ? strchr(digest, ':') : NULL;

	buf_printf(b, "image %s", c->image ?: drift_image_key(c));
	if (c->image && hex)
		buf_printf(b, "@%.12s", hex + 1);
}

/* With the lock, so that it is not healed before it is told. */
static void note_missed(struct drift_baseline *k)
{
	k->missed = true;
	gapbook_lose(k->m->gaps, GAP_LIMIT, MORE_SCOPE, "more than there is room for", 1, 0);
}

static void note_failed(struct drift_baseline *k, struct container *c, const char *why)
{
	_cleanup_buf_ struct buf scope = BUF_INIT, detail = BUF_INIT;
	struct failed *f = find_failed(k, c);

	log_error("no baseline of image %s: %s", c->image ?: c->id, why);
	if (!f && k->n_failed == FAILED_MAX) {
		pthread_mutex_lock(&k->lock);
		note_missed(k);
		pthread_mutex_unlock(&k->lock);
		return;
	}
	if (!f) {
		f = &k->failed[k->n_failed++];
		*f = (struct failed){ .c = container_ref(c) };
	}
	f->backoff = MIN(MAX(f->backoff * 2, RETRY_MIN), RETRY_MAX);
	f->retry_at = clock_mono_ns() + f->backoff;
	gap_scope(&scope, c);
	buf_printf(&detail, "no baseline: %s", why);
	if (!scope.failed && !detail.failed)
		f->gap = gapbook_open(k->m->gaps, GAP_UNREADABLE, scope.data, detail.data, 0, 0);
}

static void failed_over(struct drift_baseline *k, struct failed *f, const char *healed)
{
	gapbook_close(k->m->gaps, f->gap, healed, 0);
	container_unref(f->c);
	*f = k->failed[--k->n_failed];
}

/* Containers are compared with it, and starts in them allowed by it, from now on. */
static void tell_parts(struct drift_baseline *k)
{
	drift_part_baselines(k->m);
	exec_part_baselines(k->m);
}

static void make_and_say(struct drift_baseline *k, struct container *c)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct failed *f = find_failed(k, c);
	int r;

	if (f && clock_mono_ns() < f->retry_at)
		return;
	r = make(k, c, &err);
	if (r < 0 && r != -ECANCELED)
		note_failed(k, c, err.len && !err.failed ? err.data : strerror(-r));
	if (r < 0)
		return;
	if (f)
		failed_over(k, f, "a baseline was taken");
	tell_parts(k);
}

static int is_of_failed(struct container *c, void *failed)
{
	const struct failed *f = failed;
	struct stat st;

	return c->upper && streq(drift_image_key(c), drift_image_key(f->c)) && stat(c->upper, &st) == 0;
}

static bool has_baseline(struct db *d, const struct container *c)
{
	_cleanup_arena_ struct arena arena = ARENA_INIT;
	struct baseline_info info;

	return d && drift_find_baseline(d, c, &arena, &info) == 0;
}

static void look_at_failed(struct drift_baseline *k)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	_cleanup_db_ struct db *d = NULL;
	bool found = false;

	if (k->n_failed && db_open(&k->m->db, DB_READ, &d, &err) < 0)
		log_warn("baselines cannot be looked for: %s", err.len ? err.data : "out of memory");
	for (size_t i = k->n_failed; i-- > 0;) {
		struct failed *f = &k->failed[i];
		_cleanup_container_ struct container *c = container_ref(f->c);

		if (has_baseline(d, c)) {
			failed_over(k, f, "there is a baseline");
			found = true;
		} else if (!containers_each(k->m->containers, is_of_failed, f)) {
			failed_over(k, f, "no container of it is left");
			drift_part_unsaid(k->m, c);
		} else {
			make_and_say(k, c);
		}
	}
	if (found)
		tell_parts(k);
}

/* Those there was no room for are named again, by who looks at their containers. */
static void look_at_missed(struct drift_baseline *k)
{
	bool missed;

	pthread_mutex_lock(&k->lock);
	missed = k->missed && k->n == 0 && k->n_failed < FAILED_MAX;
	if (missed) {
		k->missed = false;
		gapbook_end(k->m->gaps, GAP_LIMIT, MORE_SCOPE, "there is room again");
	}
	pthread_mutex_unlock(&k->lock);
	if (missed)
		drift_part_baselines(k->m);
}

/* --- the thread */

/* With the lock. NULL: it is time to look at what failed, or to end. */
static struct container *next_waiting(struct drift_baseline *k)
{
	while (!k->stop && !k->n) {
		struct timespec until;

		if (!k->n_failed && !k->missed) {
			pthread_cond_wait(&k->wake, &k->lock);
			continue;
		}
		until = clock_timespec(k->look_at);
		if (pthread_cond_timedwait(&k->wake, &k->lock, &until) == ETIMEDOUT)
			return NULL;
	}
	return k->stop ? NULL : k->waiting[0];
}

static void *run(void *data)
{
	struct drift_baseline *k = data;

	pthread_setname_np(pthread_self(), "baselines");
	pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		struct container *c = next_waiting(k);

		if (k->stop)
			break;
		if (c)
			memmove(k->waiting, k->waiting + 1, --k->n * sizeof(struct container *));
		pthread_mutex_unlock(&k->lock);
		if (c) {
			make_and_say(k, c);
			container_unref(c);
		}
		if (clock_mono_ns() >= k->look_at) {
			look_at_failed(k);
			look_at_missed(k);
			k->look_at = clock_mono_ns() + LOOK_NS;
		}
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

bool drift_baseline_make(struct drift_baseline *k, struct container *c)
{
	sigset_t all, old;
	bool taken = false;

	if (!c->upper)
		return false;
	pthread_mutex_lock(&k->lock);
	if (!k->running) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		k->running = pthread_create(&k->thread, NULL, run, k) == 0;
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	taken = k->running && k->n < WAITING_MAX;
	if (taken)
		k->waiting[k->n++] = container_ref(c);
	else if (k->running)
		note_missed(k);
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	return taken;
}

int drift_baseline_new(struct monitor *m, struct drift_baseline **ret)
{
	struct drift_baseline *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->m = m;
	pthread_mutex_init(&k->lock, NULL);
	clock_cond_init(&k->wake);
	*ret = k;
	return 0;
}

void drift_baseline_free(struct drift_baseline *k)
{
	if (!k)
		return;
	atomic_store(&k->progress.stop, 1);
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->wake);
	pthread_mutex_unlock(&k->lock);
	if (k->running)
		pthread_join(k->thread, NULL);
	for (size_t i = 0; i < k->n; i++)
		container_unref(k->waiting[i]);
	for (size_t i = 0; i < k->n_failed; i++)
		container_unref(k->failed[i].c);
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	free(k);
}
