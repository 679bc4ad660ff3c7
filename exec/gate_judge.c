/*
 * The workers: read and hash what the gate thread did not know, ask the trust snapshot, fill the cache and answer. They
 * may wait for disks, never for servers: what they read lies on file systems that are gated, or is memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "exec/gate_late.h"
#include "lib/clock.h"
#include "lib/util.h"

/* A lease that somebody wants broken is taken from us by and by (fs.lease-break-time, 45 s): after this it is asked. */
#define SETTLE_MS     20 /* between two looks at the lists of packages */
#define LEASE_SURE_NS (2 * NSEC_PER_SEC)

struct work {
	struct gate *g;
	struct slot *s;
	struct trust *trust;
	uint64_t generation;
	struct exec_hash *hash;
	struct exec_digests *digests;
	bool cacheable;
	enum conf_drift drift;
	uint64_t drift_key;
	char path_buffer[PATH_MAX];
	const char *path;
};

const char *gate_path(const struct gate *g, int fd, char ret[PATH_MAX])
{
	char link[16];
	ssize_t n;

	snprintf(link, sizeof(link), "%d", fd);
	n = readlinkat(g->files, link, ret, PATH_MAX);
	if (n <= 0 || n == PATH_MAX)
		return NULL;
	ret[n] = '\0';
	return ret;
}

static bool recall(struct work *w, struct judgement *ret)
{
	const struct judgement *known;

	pthread_mutex_lock(&w->g->lock);
	known = cache_find(w->g->cache, &w->s->id, w->generation ^ w->drift_key);
	/* As the gate's thread did, when it did not know the place; by now somebody may have judged it. */
	if (!known)
		known = cache_find(w->g->cache, &w->s->id, w->generation);
	if (known)
		*ret = *known;
	pthread_mutex_unlock(&w->g->lock);
	if (known)
		gate_count(w->g, COUNT_CACHED, 1);
	return known != NULL;
}

static void remember(struct work *w, const struct judgement *j)
{
	bool anywhere = drift_is_none(w->g, w->trust, w->s, j);

	/* A ctime from the future says nothing at all; nor does a no in the middle of an installation. */
	if ((int64_t)clock_real_ns() - w->s->id.ctime < (int64_t)GATE_FRESH_NS ||
	    (j->reason == GATE_NOT_TRUSTED && trust_unsettled(w->trust)) || (w->s->unplaced && !anywhere))
		return;
	/* Each start is to be killed by a worker. */
	if (j->reason == GATE_LISTED && !w->g->o.enforce)
		return;
	pthread_mutex_lock(&w->g->lock);
	cache_put(w->g->cache, &w->s->id, w->generation ^ (anywhere ? 0 : w->drift_key), j);
	pthread_mutex_unlock(&w->g->lock);
}

/* True when what was read is what runs: nobody wrote meanwhile, nor was about to. */
static bool unchanged(const struct slot *s, uint64_t started)
{
	struct file_id id;
	struct stat st;

	if (fstat(s->fd, &st) < 0)
		return false;
	known_identify(&st, &id);
	if (!s->leased)
		return id.ctime == s->id.ctime && id.size == s->id.size;
	/* Under a lease only names, owners and modes change. */
	return clock_mono_ns() - started < LEASE_SURE_NS ||
	       fcntl(s->real >= 0 ? s->real : s->fd, F_GETLEASE) == F_RDLCK;
}

static int read_file(struct work *w, const char *extra)
{
	int r = exec_hash_fd(w->hash, w->s->fd, w->s->id.size, trust_algos(w->trust), extra, w->digests);

	gate_count(w->g, COUNT_HASHED, 1);
	gate_count(w->g, COUNT_BYTES, w->digests->size);
	return r;
}

static void ask(struct work *w, const struct stat *st, struct trust_answer *ret)
{
	trust_ask(w->trust, w->path, st, w->digests, w->s->inside ? w->s->container : NULL, ret);
}

/*
 * While a package manager works, a program may stand there before its package's list does: it is waited for, for a part
 * of the deadline, by all workers but one.
 */
static void wait_for_packages(struct work *w, const struct stat *st, struct trust_answer *answer)
{
	uint64_t until = w->s->born_ns + w->g->o.deadline / 2;

	if (atomic_fetch_add(&w->g->settling, 1) + 1 < w->g->n_workers)
		while (answer->source == TRUST_NONE && clock_mono_ns() < until && trust_unsettled(w->trust)) {
			poll(NULL, 0, SETTLE_MS);
			ask(w, st, answer);
		}
	atomic_fetch_sub(&w->g->settling, 1);
}

static void judge_content(struct work *w, enum exec_type type, struct judgement *j)
{
	const struct stat st = {
		.st_dev = w->s->id.dev, .st_ino = w->s->id.ino, .st_uid = w->s->uid, .st_mode = w->s->mode
	};
	struct trust_answer answer;

	memcpy(j->digest, w->digests->digest[EXEC_DIGEST], sizeof(j->digest));
	j->has_digest = true;
	j->type = w->s->origin == SLOT_ARGV ? EXEC_TYPE_SCRIPT : type;
	ask(w, &st, &answer);
	if (answer.source == TRUST_NONE && !answer.denied && w->g->o.enforce && w->path && w->s->origin == SLOT_EVENT)
		wait_for_packages(w, &st, &answer);
	j->source = answer.source;
	j->image = answer.image;
	j->interpreter = answer.interpreter;
	memcpy(j->why, answer.why, sizeof(j->why));
	j->reason = answer.source != TRUST_NONE ? GATE_TRUSTED : GATE_NOT_TRUSTED;
	j->verdict = answer.source != TRUST_NONE ? EXEC_ALLOWED : w->g->o.enforce ? EXEC_DENIED : EXEC_UNEXPECTED;
	if (answer.denied)
		j->reason = GATE_LISTED;
	else
		drift_judge(w->g, w->s, w->drift, w->trust, w->digests, j);
	if (j->reason == GATE_NOT_TRUSTED && j->image && w->s->unplaced) {
		j->reason = GATE_GONE;
		j->verdict = EXEC_UNJUDGED;
	}
}

/* Somebody has read this version before, under a lease as we hold one now. */
static bool judge_known(struct work *w, const char *extra, struct judgement *j)
{
	enum exec_type type;

	if (!w->cacheable || !w->g->o.known ||
	    !known_find(w->g->o.known, &w->s->id, trust_algos(w->trust), extra, w->digests, &type))
		return false;
	judge_content(w, type, j);
	remember(w, j);
	return true;
}

static void judge_read(struct work *w, const char *extra, struct judgement *j)
{
	struct script_kind kind;

	script_sniff(w->digests->head, w->digests->head_len, &kind);
	judge_content(w, kind.type, j);
	if (!w->cacheable)
		return;
	remember(w, j);
	if (w->g->o.known)
		known_put(w->g->o.known, &w->s->id, extra, w->digests, kind.type);
}

static void judge_content_of(struct work *w, struct judgement *j)
{
	struct slot *s = w->s;
	uint64_t started = clock_mono_ns();
	const char *extra;
	int r;

	w->cacheable = s->leased && known_cacheable(s->fd);
	if (w->cacheable && recall(w, j)) {
		s->cached = true;
		return;
	}
	if (s->id.size > w->g->o.max_size) {
		gate_by_policy(w->g, GATE_TOO_LARGE, j);
		return;
	}
	extra = w->path ? trust_package_algo(w->trust, w->path) : NULL;
	if (judge_known(w, extra, j))
		return;
	r = read_file(w, extra);
	if (r == -EFBIG || r == -ENODATA || (r == 0 && !unchanged(s, started))) {
		j->reason = GATE_WRITER;
		j->verdict = w->g->o.enforce ? EXEC_DENIED : EXEC_UNJUDGED;
		return;
	}
	if (r < 0) {
		gate_by_policy(w->g, GATE_UNREADABLE, j);
		return;
	}
	judge_read(w, extra, j);
}

static void judge_file(struct work *w, struct judgement *j)
{
	struct slot *s = w->s;
	bool concerned;

	w->path = gate_path(w->g, s->fd, w->path_buffer);
	drift_place(w->g, s, w->path);
	w->drift = drift_mode(w->g, s, w->path, &concerned);
	w->drift_key = drift_key(w->g, w->trust, s, w->drift);
	if (s->layers && !concerned) {
		*j = (struct judgement){ .reason = s->unplaced ? GATE_GONE : GATE_TRUSTED,
					 .verdict = s->unplaced ? EXEC_UNJUDGED : EXEC_ALLOWED };
		s->silent = !s->unplaced;
		return;
	}
	real_lease(w->g, s, w->path);
	if (s->writer)
		*j = (struct judgement){ .reason = GATE_WRITER,
					 .verdict = w->g->o.enforce ? EXEC_DENIED : EXEC_UNJUDGED };
	else
		judge_content_of(w, j);
	/* On a file system that nobody asked to guard, a policy that does not enforce refuses nothing. */
	if (s->layers && w->drift != CONF_DRIFT_ENFORCE && j->verdict == EXEC_DENIED && j->reason != GATE_LISTED)
		j->verdict = j->has_digest ? EXEC_UNEXPECTED : EXEC_UNJUDGED;
}

/* After the exec the file's ctime was another one: a new name or mode, or new bytes? */
static void judge_again(struct work *w, struct judgement *j)
{
	struct stat st;

	if (fstat(w->s->fd, &st) < 0)
		return;
	known_identify(&st, &w->s->id);
	if (read_file(w, NULL) == 0 && memcmp(w->digests->digest[EXEC_DIGEST], j->digest, sizeof(j->digest)) == 0)
		return;
	gate_count(w->g, COUNT_SWAPPED, 1);
	*j = (struct judgement){ .reason = GATE_SWAPPED, .verdict = EXEC_UNJUDGED };
	if (w->g->o.enforce && late_kill_running(w->g, w->s) == 0)
		j->verdict = EXEC_KILLED;
}

/* What runs already: a verdict of no is a kill. */
static void judge_late(struct work *w, struct judgement *j)
{
	struct slot *s = w->s;
	bool enforced = s->origin == SLOT_LATE || (s->origin == SLOT_ARGV && w->g->o.scripts == GATE_SCRIPTS_ENFORCE);
	int r = 0;

	if (s->origin == SLOT_LIBRARY)
		gate_count(w->g, COUNT_LIBRARIES, 1);
	else
		r = s->origin == SLOT_ARGV ? late_open_script(w->g, s) : late_open_exe(w->g, s);

	if (r == -ESRCH)
		*j = (struct judgement){ .reason = GATE_GONE, .verdict = EXEC_UNJUDGED };
	else if (r < 0)
		gate_by_policy(w->g, s->late_reason, j);
	else
		judge_file(w, j);
	if (r == 0 && j->reason == GATE_NOT_TRUSTED)
		j->reason = s->late_reason;
	if (j->verdict != EXEC_DENIED)
		return;
	j->verdict = enforced && late_kill(s->pidfd) == 0 ? EXEC_KILLED : EXEC_UNEXPECTED;
}

/* What is denied does not run, even where nobody else is stopped. */
static void stop_listed(const struct slot *s, struct judgement *j)
{
	if (j->reason == GATE_LISTED && j->verdict == EXEC_UNEXPECTED && late_kill(s->pidfd) == 0)
		j->verdict = EXEC_KILLED;
}

static void finish(struct work *w, const struct judgement *j)
{
	struct gate *g = w->g;
	struct slot *s = w->s;
	bool answer;

	pthread_mutex_lock(&g->lock);
	answer = !s->answered;
	if (answer) {
		TAILQ_REMOVE(&g->waiting, s, wait);
		s->answered = s->answering = true;
		s->answered_ns = clock_mono_ns();
		s->denied = j->verdict == EXEC_DENIED;
	}
	if (s->overruled) {
		enum exec_verdict verdict = s->j.verdict;
		enum gate_reason reason = s->j.reason;

		s->j = *j;
		s->j.verdict = verdict;
		s->j.reason = reason;
	} else {
		s->j = *j;
	}
	slot_judged(g, s);
	s->recheck = false;
	s->ended |= s->silent; /* its lease is for nothing */
	pthread_mutex_unlock(&g->lock);

	if (answer)
		gate_answer(g, s, j);
	pthread_mutex_lock(&g->lock);
	if (answer)
		s->answering = false;
	slot_settle(g, s);
	pthread_mutex_unlock(&g->lock);
}

static void work_on(struct work *w)
{
	struct judgement j = w->s->judged ? w->s->j : (struct judgement){ 0 };

	if (w->s->judged)
		judge_again(w, &j);
	else if (w->s->origin == SLOT_EVENT)
		judge_file(w, &j);
	else
		judge_late(w, &j);
	stop_listed(w->s, &j);
	finish(w, &j);
}

void *gate_worker(void *data)
{
	const struct worker *self = data;
	struct gate *g = self->g;
	struct work w = { .g = g, .hash = self->hash, .digests = self->digests };

	pthread_setname_np(pthread_self(), "judge");
	pthread_mutex_lock(&g->lock);
	while (!g->workers_end) {
		w.s = TAILQ_FIRST(&g->todo);
		if (!w.s) {
			pthread_cond_wait(&g->work, &g->lock);
			continue;
		}
		slot_move(g, w.s, NULL);
		w.trust = trust_ref(g->trust);
		w.generation = g->generation;
		g->busy++;
		pthread_mutex_unlock(&g->lock);
		work_on(&w);
		trust_unref(w.trust);
		pthread_mutex_lock(&g->lock);
		g->busy--;
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}
