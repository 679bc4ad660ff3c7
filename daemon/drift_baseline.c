/*
 * containers.baseline_on_start: baselines of images that have none, made from the layers in the local store on a thread
 * of its own, with a connection of its own. Nothing of the running container is read.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/monitor.h"
#include "db/history.h"
#include "fim/image.h"

#define WAITING_MAX 64

struct drift_baseline {
	struct monitor *m;
	pthread_t thread;
	bool running, stop;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct container *waiting[WAITING_MAX];
	size_t n;
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

static int make(struct drift_baseline *k, const char *source, const char *name, struct buf *err)
{
	struct monitor *m = k->m;
	_cleanup_sign_key_ struct sign_key *key = NULL;
	_cleanup_db_ struct db *d = NULL;
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
	return fim_init_image(d, &o, NULL, err);
}

static void make_and_say(struct drift_baseline *k, struct container *c)
{
	_cleanup_buf_ struct buf source = BUF_INIT, name = BUF_INIT, err = BUF_INIT;
	int r;

	find_name(&name, c);
	if (!find_source(&source, c) || name.failed) {
		log_error("no baseline of image %s: its layers lie in no store that can be read; holdfast init --image "
			  "takes one from an archive",
			  c->image ?: c->id);
		return;
	}
	r = make(k, source.data, name.data, &err);
	if (r == -EEXIST)
		r = 0;
	if (r < 0) {
		if (r != -ECANCELED)
			log_error("no baseline of image %s: %s", c->image ?: c->id, err.len ? err.data : strerror(-r));
		return;
	}
	log_info("baseline %s of image %s was taken from %s", name.data, c->image ?: c->id, source.data);
	drift_part_baselines(k->m);
	exec_part_baselines(k->m);
}

/* --- the thread */

static void *run(void *data)
{
	struct drift_baseline *k = data;

	pthread_setname_np(pthread_self(), "baselines");
	pthread_mutex_lock(&k->lock);
	while (!k->stop) {
		struct container *c;

		if (!k->n) {
			pthread_cond_wait(&k->wake, &k->lock);
			continue;
		}
		c = k->waiting[0];
		memmove(k->waiting, k->waiting + 1, --k->n * sizeof(struct container *));
		pthread_mutex_unlock(&k->lock);
		make_and_say(k, c);
		container_unref(c);
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
	pthread_cond_init(&k->wake, NULL);
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
	pthread_mutex_destroy(&k->lock);
	pthread_cond_destroy(&k->wake);
	free(k);
}
