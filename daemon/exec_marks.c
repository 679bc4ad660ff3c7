/*
 * The gate's marks follow the sensor's: one round works out which file systems are wanted now, marks them, and forgets
 * those that are not. Rounds run on the sensor's thread "notify" (the first on the main thread) and open mount points
 * of local file systems only.
 */
#include "daemon/exec_marks.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/exec_essential.h"
#include "daemon/exec_trust.h"
#include "lib/fstype.h"
#include "watch/mounts.h"

struct gated {
	uint64_t dev;
	char *point;
	bool wanted, marked;
	bool layers;	/* wanted for layers of containers alone */
	bool as_layers; /* marked so */
	uint64_t gap;	/* key while it cannot be marked */
	uint64_t asked; /* number of the load of trust, plus one, by which it must not be: nobody could log in */
};

struct exec_marks {
	struct monitor *m;
	struct gate *gate;
	bool host;
	bool layers;	      /* a policy of containers asks for it */
	bool rereading;	      /* another configuration, not another mount */
	bool running;	      /* the first round is through: what it marked was checked before */
	pthread_mutex_t lock; /* rounds and count */
	struct gated *list;
	size_t n, room;
};

/* --- what is wanted */

static struct gated *find(struct exec_marks *x, uint64_t dev)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->list[i].dev == dev)
			return &x->list[i];
	return NULL;
}

static void want(struct exec_marks *x, uint64_t dev, const char *point, bool layers)
{
	struct gated *g = find(x, dev);
	char *copy;

	if (g && g->wanted) {
		g->layers &= layers;
		return;
	}
	if (!g && x->n == x->room) {
		size_t room = x->room ? x->room * 2 : 16;
		struct gated *more = reallocarray(x->list, room, sizeof(*more));

		if (!more)
			return;
		x->list = more;
		x->room = room;
	}
	copy = strdup(point);
	if (!copy)
		return;
	if (!g) {
		g = &x->list[x->n++];
		*g = (struct gated){ .dev = dev };
	}
	free(g->point);
	g->point = copy;
	g->wanted = true;
	g->layers = layers;
}

static int want_mark(const struct watch_mark *mark, void *data)
{
	struct exec_marks *x = data;

	/* What is watched for layers alone is the host's file system as well, and nobody asked to gate that. */
	if (mark->marked && (x->layers || !mark->layers))
		want(x, mark->dev, mark->mountpoint, mark->layers);
	return 0;
}

/* Programs can be put on any file system that is mounted, whether or not its files are guarded. */
static void want_local(struct exec_marks *x, const struct mount_table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct mount *m = &t->mounts[i];
		enum fstype_class class = fstype_by_name(m->fstype)->class;

		/* What lies under another mount cannot be reached by its name. */
		if ((class == FSTYPE_DISK || class == FSTYPE_MEMORY) && mounts_find(t, m->point) == m)
			want(x, m->dev, m->point, false);
	}
}

/* Where the kernel does not tell of what runs through them on the file system of their layers. */
static void want_overlays(struct exec_marks *x, const struct mount_table *t)
{
	for (size_t i = 0; i < t->n && (x->host || x->layers); i++) {
		const struct mount *m = &t->mounts[i];

		if (fstype_by_name(m->fstype)->class == FSTYPE_OVERLAY && mounts_find(t, m->point) == m)
			want(x, m->dev, m->point, !x->host);
	}
}

/* --- a round */

/*
 * A file system that comes under a configured path later (the one below, when what was mounted there goes) may hold the
 * programs without which nobody logs in: where these would be refused, it is not gated (or goes on to be gated for the
 * layers that it holds, where the host's programs are never refused), and that is a gap.
 */
static bool would_lock_out(struct exec_marks *x, struct gated *g)
{
	_cleanup_buf_ struct buf refused = BUF_INIT, detail = BUF_INIT;
	struct exec_trust_state state;
	struct trust *t;

	if (!x->running || g->layers || (g->marked && !g->as_layers) || x->m->conf->exec.mode != CONF_EXEC_ENFORCE ||
	    x->m->o->force)
		return false;
	exec_trust_get_state(x->m->vouch, &state);
	if (g->asked == state.loaded + 1)
		return true;
	t = exec_trust_ref(x->m->vouch);
	if (exec_essential_refused(x->m, t, g->dev, &refused) < 0)
		buf_str(&refused, "what could not be looked at");
	trust_unref(t);
	g->asked = refused.len ? state.loaded + 1 : 0;
	if (!refused.len)
		return false;
	buf_printf(&detail, "program starts there are not gated: nobody vouches for %s", refused.data);
	log_error("%s: %s", g->point, detail.data);
	if (!g->gap)
		g->gap = gapbook_open(x->m->gaps, GAP_MARK_FAILED, g->point, detail.data, 0, 0);
	return true;
}

static void set_mark(struct exec_marks *x, struct gated *g)
{
	bool lock_out = would_lock_out(x, g), fresh = x->running && !x->rereading && !g->marked && g->layers;
	int r;

	if (lock_out && !g->marked)
		return;
	g->as_layers = g->layers || lock_out;
	r = gate_mark(x->gate, g->point, g->dev, g->as_layers);
	g->marked = r == 0;
	if (r == 0 && fresh)
		gapbook_close(x->m->gaps,
			      gapbook_open(x->m->gaps, GAP_MARK_FAILED, g->point,
					   "a container was there before its file system was gated", 0, 0),
			      "gated from here on", 0);
	if (lock_out)
		return;
	if (r == 0 && g->gap)
		gapbook_close(x->m->gaps, g->gap, "marked", 0);
	else if (r < 0 && r != -EOPNOTSUPP && !g->gap)
		g->gap =
			gapbook_open(x->m->gaps, GAP_MARK_FAILED, g->point, "program starts there are not gated", 0, 0);
	if (r == 0)
		g->gap = 0;
}

static void forget(struct exec_marks *x, struct gated *g)
{
	if (g->marked)
		gate_unmark(x->gate, g->point, g->dev);
	if (g->gap)
		gapbook_close(x->m->gaps, g->gap, "not wanted any more", 0);
	free(g->point);
	*g = x->list[--x->n];
}

static void round_marks(void *data)
{
	struct exec_marks *x = data;
	struct mount_table t = { .n = 0 };

	pthread_mutex_lock(&x->lock);
	/* Rather what was than nothing. */
	if (mounts_read("/proc/self/mountinfo", &t, NULL) < 0 && x->running) {
		pthread_mutex_unlock(&x->lock);
		return;
	}
	for (size_t i = 0; i < x->n; i++)
		x->list[i].wanted = false;
	watch_each_mark(x->m->watch, want_mark, x);
	if (x->host)
		want_local(x, &t);
	if (x->m->mark_overlays)
		want_overlays(x, &t);
	/* Set again each time: a device number may have come back with another file system. */
	for (size_t i = 0; i < x->n; i++)
		if (x->list[i].wanted)
			set_mark(x, &x->list[i]);
	for (size_t i = x->n; i-- > 0;)
		if (!x->list[i].wanted)
			forget(x, &x->list[i]);
	if (!x->m->mark_overlays)
		gate_set_mounts(x->gate, &t);
	if (t.n)
		mounts_free(&t);
	pthread_mutex_unlock(&x->lock);
}

/* --- the rest */

struct covers {
	uint64_t dev;
	bool found;
};

static int match_dev(const struct watch_mark *mark, void *data)
{
	struct covers *c = data;

	c->found |= mark->marked && !mark->layers && mark->dev == c->dev;
	return 0;
}

bool exec_marks_covers(struct monitor *m, uint64_t dev)
{
	struct covers c = { .dev = dev };

	watch_each_mark(m->watch, match_dev, &c);
	return c.found;
}

static bool asks_for_layers(const struct conf *conf)
{
	for (size_t i = 0; i < conf->containers.n_policies; i++)
		if (conf->containers.policies[i].exec != CONF_DRIFT_OFF)
			return true;
	return false;
}

void exec_marks_policies(struct exec_marks *x, const struct conf *conf)
{
	bool layers = asks_for_layers(conf), changed;

	pthread_mutex_lock(&x->lock);
	changed = x->layers != layers;
	x->layers = layers;
	x->rereading = true;
	pthread_mutex_unlock(&x->lock);
	if (changed)
		round_marks(x);
	pthread_mutex_lock(&x->lock);
	x->rereading = false;
	pthread_mutex_unlock(&x->lock);
}

int exec_marks_start(struct monitor *m, struct gate *g, bool host, struct exec_marks **ret)
{
	struct exec_marks *x = calloc(1, sizeof(*x));

	if (!x)
		return -ENOMEM;
	x->m = m;
	x->gate = g;
	x->host = host;
	x->layers = asks_for_layers(m->conf);
	pthread_mutex_init(&x->lock, NULL);
	/* First the hook: what is mounted from here on is in a round of its own. */
	watch_on_marks(m->watch, round_marks, x);
	round_marks(x);
	pthread_mutex_lock(&x->lock);
	x->running = true;
	pthread_mutex_unlock(&x->lock);
	*ret = x;
	return 0;
}

void exec_marks_stop(struct exec_marks *x)
{
	if (!x)
		return;
	watch_on_marks(x->m->watch, NULL, NULL);
	for (size_t i = 0; i < x->n; i++)
		free(x->list[i].point);
	free(x->list);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

size_t exec_marks_count(struct exec_marks *x)
{
	size_t n = 0;

	pthread_mutex_lock(&x->lock);
	for (size_t i = 0; i < x->n; i++)
		n += x->list[i].marked;
	pthread_mutex_unlock(&x->lock);
	return n;
}
