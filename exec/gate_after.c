/*
 * After the answer: what the process connector tells (on its thread), and the thread "verdict", which ends leases,
 * looks for scripts on command lines, hands results over and closes what they held.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "exec/gate_late.h"
#include "lib/clock.h"
#include "lib/util.h"

/* Between an exec that was told and its event, in observe mode. */
#define GATE_SIGHT_NS (100 * NSEC_PER_MSEC)

/* --- what the connector tells */

static bool same_inode(const struct file_id *a, const struct file_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

/*
 * What is run from an overlay is judged as a file of its layer. The overlay has a device of its own, and for a file
 * that was copied up the number of the one below: only ctime and size are the layer's.
 */
bool gate_same_program(const struct gate *g, const struct file_id *judged, const struct file_id *exe)
{
	return same_inode(judged, exe) ||
	       (judged->ctime == exe->ctime && judged->size == exe->size && overlays_find(g, exe->dev));
}

/* The exec may be that of the slot's start, by what it runs: the loader's and the interpreter's parts cannot be told
 * apart. */
static bool may_be_of(const struct gate *g, const struct slot *s, const struct sighting *v)
{
	return slot_role(s) != GATE_MAIN || !v->have_exe || gate_same_program(g, &s->id, &v->exe);
}

/*
 * Waits to be told: a start of this process that was answered when the exec happened. Where nothing waits for answers
 * the exec may be over before its event is read, and be told after.
 */
static bool is_of(const struct gate *g, const struct slot *s, const struct sighting *v)
{
	if (s->pid != v->pid || s->origin != SLOT_EVENT || !s->answered || s->seen || s->denied)
		return false;
	return s->answered_ns <= v->mono_ns ||
	       (!g->o.enforce && s->answered_ns - v->mono_ns <= GATE_SIGHT_NS && may_be_of(g, s, v));
}

static void see_slot(struct gate *g, struct slot *s, const struct sighting *v)
{
	bool runs = v->have_exe && gate_same_program(g, &s->id, &v->exe);

	s->seen = true;
	/* One told before the answer may be an earlier start of the same program. */
	s->exec_ns = v->mono_ns >= s->answered_ns ? v->mono_ns : 0;
	s->runs |= runs;
	s->check_argv = slot_role(s) == GATE_MAIN && runs && g->o.scripts != GATE_SCRIPTS_OFF;
	s->recheck = runs && s->j.has_digest && (s->id.ctime != v->exe.ctime || s->id.size != v->exe.size);
	/* With a worker or on a list of theirs it is settled by them. */
	if (s->list == &g->held)
		slot_settle(g, s);
}

static void queue_late(struct gate *g, int32_t pid, enum slot_origin origin, enum gate_reason reason, bool layers,
		       const char *interpreter)
{
	struct slot *s = slot_take(g, pid);

	if (!s) {
		gate_count(g, COUNT_LOST, 1);
		return;
	}
	s->origin = origin;
	s->layers = layers;
	s->late_reason = reason;
	s->interpreter = interpreter;
	s->role = origin == SLOT_ARGV ? GATE_SCRIPT : GATE_MAIN;
	s->seen = s->answered = true;
	s->born_ns = clock_mono_ns();
	s->boot_ns = clock_boot_ns();
	s->real_ns = clock_real_ns();
	slot_queue(g, s);
}

/* By the mark itself where the kernel told of it: a device number may be that of another file system by now. */
static bool is_gated(const struct gate *g, uint64_t dev, const struct bpf_proc_event *told)
{
	if (overlays_find(g, dev) || (told && told->exe_gated))
		return true;
	return !(told && told->exe_ungated) && devs_find(g, dev);
}

/* True when it has to be looked at now: no event told of it, or of another file. */
static bool is_late(const struct gate *g, const struct sighting *v, bool any, bool runs)
{
	if (!v->have_exe || runs)
		return false;
	if (!v->gated)
		return g->o.host;
	/* Where nothing waits the event may still be on its way. */
	return g->o.enforce && (any || g->o.host);
}

static bool is_expected(struct gate *g, int32_t pid, const struct file_id *exe)
{
	bool found = false;
	struct slot *s;

	pthread_mutex_lock(&g->lock);
	LIST_FOREACH(s, &g->pids[(uint32_t)pid % GATE_BUCKETS], by_pid)
	found |= s->pid == pid && s->origin == SLOT_EVENT && same_inode(&s->id, exe);
	pthread_mutex_unlock(&g->lock);
	return found;
}

/* What is to be acted on is looked at twice: stat may name a file otherwise than the kernel does. */
static void identify(struct gate *g, struct sighting *v, const struct bpf_proc_event *told)
{
	bool exact = told && told->exe_gated && told->exe_as_stat;
	struct file_id id = { 0 };

	if (exact)
		id = (struct file_id){ told->exe_dev, told->exe_ino, told->exe_size, told->exe_ctime };
	v->have_exe = !(exact && is_expected(g, v->pid, &id)) && late_identify(v->pid, &v->exe) == 0;
	if (exact && !v->have_exe)
		v->exe = id;
	v->have_exe |= exact;
}

void gate_exec_seen(struct gate *g, int32_t pid, uint64_t mono_ns, const struct bpf_proc_event *told)
{
	struct sighting v = { .pid = pid, .mono_ns = mono_ns ?: clock_mono_ns() };
	bool any = false, runs = false;
	struct slot *s;
	uint64_t dev;

	identify(g, &v, told);
	dev = told ? told->exe_dev : v.exe.dev;
	pthread_mutex_lock(&g->lock);
	v.gated = is_gated(g, dev, told);
	LIST_FOREACH(s, &g->pids[(uint32_t)pid % GATE_BUCKETS], by_pid)
	{
		/* The process may be an exec further already: that one will be told too. */
		runs |= v.have_exe && s->pid == pid && s->origin == SLOT_EVENT && gate_same_program(g, &s->id, &v.exe);
		if (!is_of(g, s, &v))
			continue;
		any = true;
		see_slot(g, s, &v);
	}
	if (!g->o.enforce)
		g->sightings[(uint32_t)pid % GATE_SIGHTINGS] = v;
	/* Where nothing waits the event may still be on its way. */
	if (is_late(g, &v, any, runs)) {
		const struct gate_dev *d = devs_find(g, dev);

		gate_count(g, any ? COUNT_SWAPPED : COUNT_LATE, 1);
		queue_late(g, pid, SLOT_LATE, any ? GATE_SWAPPED : GATE_UNGATED, d && d->layers, NULL);
	}
	pthread_mutex_unlock(&g->lock);
}

void sighting_recall(struct gate *g, struct slot *s)
{
	const struct sighting *v = &g->sightings[(uint32_t)s->pid % GATE_SIGHTINGS];

	/* A start by the same process a moment ago is taken for this one at most for the loader's part in it. */
	if (g->o.enforce || v->pid != s->pid || clock_mono_ns() - v->mono_ns > GATE_SIGHT_NS)
		return;
	if (may_be_of(g, s, v))
		see_slot(g, s, v);
}

void gate_exit_seen(struct gate *g, int32_t pid)
{
	struct slot *s;

	pthread_mutex_lock(&g->lock);
	LIST_FOREACH(s, &g->pids[(uint32_t)pid % GATE_BUCKETS], by_pid)
	{
		if (s->pid != pid || s->origin != SLOT_EVENT)
			continue;
		s->ended = true;
		if (s->list == &g->held)
			slot_settle(g, s);
	}
	pthread_mutex_unlock(&g->lock);
}

/* --- the thread "verdict" */

static void hand_over(struct gate *g, struct slot *s)
{
	char path[PATH_MAX];
	const struct gate_verdict v = {
		.pid = s->pid,
		.role = s->role,
		.path = s->fd >= 0 ? gate_path(g, s->fd, path) : NULL,
		.fd = s->fd,
		.dev = s->id.dev,
		.ino = s->id.ino,
		.size = s->id.size,
		.ctime = s->id.ctime,
		.uid = s->uid,
		.gid = s->gid,
		.mode = s->mode,
		.has_digest = s->j.has_digest,
		.digest = { 0 },
		.type = s->origin == SLOT_LIBRARY ? EXEC_TYPE_LIBRARY : s->j.type,
		.verdict = s->j.verdict,
		.reason = s->j.reason,
		.source = s->j.source,
		.why = s->j.why,
		.container = s->container,
		.leased = s->leased,
		.cached = s->cached,
		.seen = s->seen,
		.exec_ns = s->exec_ns,
		.real_ns = s->real_ns,
		.boot_ns = s->boot_ns,
		.spent_ns = s->spent_ns,
	};

	memcpy((uint8_t *)v.digest, s->j.digest, sizeof(v.digest));
	atomic_fetch_add_explicit(&g->verdicts[v.verdict], 1, memory_order_relaxed);
	if (g->o.verdict)
		g->o.verdict(&v, g->o.data);
}

static void conclude(struct gate *g, struct slot *s)
{
	int fd = s->fd, pidfd = s->pidfd, real = s->real;
	bool script = s->check_argv && s->j.type != EXEC_TYPE_SCRIPT && !s->silent;

	/* An interpreter that was given no script, or a process that came and went: nothing to tell. */
	if (!s->silent && (s->origin != SLOT_ARGV || s->j.reason != GATE_GONE))
		hand_over(g, s);
	pthread_mutex_lock(&g->lock);
	if (script)
		queue_late(g, s->pid, SLOT_ARGV, GATE_ARGUMENT, s->layers, s->j.interpreter);
	slot_release(g, s);
	pthread_mutex_unlock(&g->lock);
	/* Which ends the lease. */
	if (fd >= 0)
		close(fd);
	if (real >= 0)
		close(real);
	if (pidfd >= 0)
		close(pidfd);
}

/* With the lock held: leases that were held long enough, or all of them. */
static void expire(struct gate *g, bool all)
{
	uint64_t now = clock_mono_ns();
	struct slot *s;

	while ((s = TAILQ_FIRST(&g->held)) && (all || s->answered_ns + GATE_HOLD_NS <= now)) {
		s->ended = true;
		slot_settle(g, s);
	}
}

static void wait_for_work(struct gate *g, bool crowd)
{
	uint64_t tick = crowd ? GATE_CROWD_NS : GATE_TICK_NS, due = clock_mono_ns() + tick;
	struct timespec until;

	if (TAILQ_EMPTY(&g->held) && TAILQ_EMPTY(&g->done)) {
		pthread_cond_wait(&g->after, &g->lock);
		due = clock_mono_ns() + tick;
	}
	until = clock_timespec(due);
	while (!g->after_end && pthread_cond_timedwait(&g->after, &g->lock, &until) != ETIMEDOUT)
		;
}

/* With the lock held, but for the time that it takes: execs may have been told that nobody was woken for. */
static void hear_execs(struct gate *g)
{
	if (!g->o.procs)
		return;
	pthread_mutex_unlock(&g->lock);
	proc_table_sync(g->o.procs);
	pthread_mutex_lock(&g->lock);
}

void *gate_after(void *data)
{
	struct gate *g = data;
	bool last = false;
	size_t bunch = 0;

	pthread_setname_np(pthread_self(), "verdict");
	pthread_mutex_lock(&g->lock);
	while (!last) {
		struct slot *s;

		if (!g->after_end)
			wait_for_work(g, bunch >= GATE_CROWD);
		last = g->after_end;
		if (!last && !TAILQ_EMPTY(&g->held))
			hear_execs(g);
		expire(g, last);
		for (bunch = 0; (s = TAILQ_FIRST(&g->done)); bunch++) {
			slot_move(g, s, NULL);
			s->role = slot_role(s);
			pthread_mutex_unlock(&g->lock);
			conclude(g, s);
			pthread_mutex_lock(&g->lock);
		}
	}
	pthread_mutex_unlock(&g->lock);
	return NULL;
}
