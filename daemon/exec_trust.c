/*
 * Loads trust on a thread of its own: it reads the store and the package databases for as long as that takes, and
 * neither the main thread's beat nor a start that waits at the gate waits with it. Must not exec.
 */
#include "daemon/exec_trust.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "daemon/exec_ungated.h"
#include "lib/clock.h"

#define LOOK_NS NSEC_PER_SEC /* at package databases and the clock */

struct exec_trust {
	struct monitor *m;
	struct gate *gate;
	struct conf *policies;	 /* counted: the newest configuration, of which only these are taken while it runs */
	bool fresh;		 /* the gate does not have it yet */
	struct trust_loaded now; /* the thread's, once there is one */
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* never held over I/O */
	pthread_cond_t wake;
	bool end;
	bool everything; /* of what is wanted; else the list that was made by hand */
	struct exec_trust_state state;
};

static void tell(const struct buf *warnings)
{
	if (warnings->len)
		log_warn("trust: %s", warnings->data);
}

static void take(struct exec_trust *x, struct trust_loaded *l)
{
	trust_loaded_free(&x->now);
	x->now = *l;
	x->state.digests = trust_digest_count(l->trust);
	x->state.denied = trust_denied_count(l->trust);
	x->state.paths = trust_path_count(l->trust);
	known_want(x->m->known, trust_algos(l->trust), l->packages && packages_count(l->packages) ? "MD5" : NULL);
	x->state.packages = l->packages ? packages_count(l->packages) : 0;
}

int packages_part_start(struct monitor *m)
{
	return packages_store_new(&m->packages) < 0 ? EX_OSERR : 0;
}

void packages_part_stop(struct monitor *m)
{
	if (!m->left_behind)
		packages_store_free(TAKE_PTR(m->packages));
}

int exec_trust_new(struct monitor *m, bool (*over)(void), struct exec_trust **ret, struct trust **ret_trust)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct exec_trust *x = calloc(1, sizeof(*x));
	struct trust_loaded l;
	int r;

	if (!x)
		return -ENOMEM;
	x->m = m;
	x->policies = conf_ref((struct conf *)(uintptr_t)m->conf);
	pthread_mutex_init(&x->lock, NULL);
	clock_cond_init(&x->wake);
	r = trust_load(m->conf, m->conf, &m->db, m->packages, over, &l, &warnings);
	tell(&warnings);
	if (r < 0) {
		exec_trust_free(x);
		return r;
	}
	take(x, &l);
	*ret = x;
	*ret_trust = l.trust;
	return 0;
}

/* --- the thread */

static struct conf *take_conf(struct exec_trust *x, bool *ret_fresh)
{
	struct conf *conf;

	pthread_mutex_lock(&x->lock);
	conf = conf_ref(x->policies);
	*ret_fresh = x->fresh;
	x->fresh = false;
	pthread_mutex_unlock(&x->lock);
	return conf;
}

enum what { LOAD_NOTHING, LOAD_EVERYTHING, LOAD_LIST, LOAD_PACKAGES };

static int load_what(struct exec_trust *x, enum what what, const struct conf *policies, struct trust_loaded *ret,
		     struct buf *warnings)
{
	switch (what) {
	case LOAD_LIST:
		return trust_load_list(x->m->conf, &x->m->db, &x->now, ret, warnings);
	case LOAD_PACKAGES:
		return trust_load_packages(&x->now, x->m->packages, ret, warnings);
	default:
		return trust_load(x->m->conf, policies, &x->m->db, x->m->packages, NULL, ret, warnings);
	}
}

static void load(struct exec_trust *x, enum what what)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	bool fresh = false;
	_cleanup_conf_ struct conf *policies = what == LOAD_EVERYTHING ? take_conf(x, &fresh) : NULL;
	struct trust_loaded l;
	int r = load_what(x, what, policies, &l, &warnings);

	tell(&warnings);
	if (r < 0)
		log_warn("trust could not be loaded again, the old one stays in force: %s", strerror(-r));
	else {
		gate_set_trust(x->gate, l.trust);
		exec_ungated_callers(x->m, l.trust);
	}
	/* Policies come with the images that they ask about: before, these would be refused. */
	if (fresh)
		gate_set_conf(x->gate, policies);
	pthread_mutex_lock(&x->lock);
	x->state.failed = r < 0;
	if (r == 0)
		take(x, &l);
	pthread_mutex_unlock(&x->lock);
}

/* With the lock held: until something is wanted, or it is time to look. False: the end. */
static bool sleep_a_while(struct exec_trust *x)
{
	uint64_t until = clock_mono_ns() + LOOK_NS;
	struct timespec t = clock_timespec(until);

	while (!x->end && x->state.wanted == x->state.loaded &&
	       pthread_cond_timedwait(&x->wake, &x->lock, &t) != ETIMEDOUT)
		;
	return !x->end;
}

/* With the lock held. */
static enum what what_is_due(struct exec_trust *x)
{
	if (x->state.wanted == x->state.loaded)
		return x->now.expires && x->now.expires <= clock_real_ns() ? LOAD_LIST : LOAD_NOTHING;
	return x->everything ? LOAD_EVERYTHING : LOAD_LIST;
}

static void *run(void *data)
{
	struct exec_trust *x = data;

	pthread_setname_np(pthread_self(), "trust");
	pthread_mutex_lock(&x->lock);
	while (sleep_a_while(x)) {
		uint64_t wanted = x->state.wanted;
		enum what what = what_is_due(x);

		x->everything = false;
		pthread_mutex_unlock(&x->lock);
		if (what == LOAD_NOTHING && x->now.packages && packages_touched(x->now.packages))
			what = LOAD_PACKAGES;
		if (what != LOAD_NOTHING)
			load(x, what);
		pthread_mutex_lock(&x->lock);
		x->state.loaded = wanted;
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
}

int exec_trust_start(struct exec_trust *x, struct gate *g)
{
	sigset_t all, old;
	int r;

	x->gate = g;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&x->thread, NULL, run, x);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	x->running = r == 0;
	return r;
}

static uint64_t want(struct exec_trust *x, bool everything)
{
	uint64_t number;

	pthread_mutex_lock(&x->lock);
	x->everything |= everything;
	number = ++x->state.wanted;
	pthread_cond_signal(&x->wake);
	pthread_mutex_unlock(&x->lock);
	return number;
}

uint64_t exec_trust_want(struct exec_trust *x)
{
	return want(x, true);
}

uint64_t exec_trust_want_list(struct exec_trust *x)
{
	return want(x, false);
}

void exec_trust_set_policies(struct exec_trust *x, const struct conf *conf)
{
	struct conf *old;

	pthread_mutex_lock(&x->lock);
	old = x->policies;
	x->policies = conf_ref((struct conf *)(uintptr_t)conf);
	x->fresh = true;
	pthread_mutex_unlock(&x->lock);
	conf_unref(old);
}

void exec_trust_get_state(struct exec_trust *x, struct exec_trust_state *ret)
{
	pthread_mutex_lock(&x->lock);
	*ret = x->state;
	pthread_mutex_unlock(&x->lock);
}

struct trust *exec_trust_ref(struct exec_trust *x)
{
	struct trust *t;

	pthread_mutex_lock(&x->lock);
	t = trust_ref(x->now.trust);
	pthread_mutex_unlock(&x->lock);
	return t;
}

void exec_trust_stop(struct exec_trust *x)
{
	if (!x || !x->running)
		return;
	pthread_mutex_lock(&x->lock);
	x->end = true;
	pthread_cond_signal(&x->wake);
	pthread_mutex_unlock(&x->lock);
	pthread_join(x->thread, NULL);
	x->running = false;
}

void exec_trust_free(struct exec_trust *x)
{
	if (!x)
		return;
	exec_trust_stop(x);
	trust_loaded_free(&x->now);
	conf_unref(x->policies);
	pthread_cond_destroy(&x->wake);
	pthread_mutex_destroy(&x->lock);
	free(x);
}

bool exec_trust_vouches(struct trust *t, struct exec_hash *h, struct exec_digests *d, const char *path, int fd,
			const struct stat *st)
{
	struct trust_answer answer;

	if (exec_hash_fd(h, fd, (uint64_t)st->st_size, trust_algos(t), trust_package_algo(t, path), d) < 0)
		return false;
	trust_ask(t, path, st, d, NULL, &answer);
	return answer.source != TRUST_NONE;
}
