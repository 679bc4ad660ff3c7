/*
 * The thread "gate": reads permission events and answers at once what the cache knows; the rest goes to the workers. It
 * opens no path, writes no log, touches no database, allocates nothing, and takes one lock, which nobody holds over
 * I/O. It also gives the answer for starts that were not judged in time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exec/gate-internal.h"
#include "lib/clock.h"
#include "lib/urgent.h"
#include "lib/util.h"

#define BEAT_MS 200

struct batch {
	_Alignas(struct fanotify_event_metadata) char data[GATE_BATCH_MAX * 64];
};

uint32_t gate_response(const struct gate *g, const struct judgement *j)
{
	if (!g->o.enforce || j->verdict != EXEC_DENIED)
		return FAN_ALLOW;
	return j->reason == GATE_WRITER && g->deny_errno ? FAN_DENY_ERRNO(ETXTBSY) : FAN_DENY;
}

static void respond(struct gate *g, int fd, uint32_t response)
{
	struct fanotify_response r = { .fd = fd, .response = response };

	if (!g->o.enforce)
		return; /* a notification: nobody waits */

	/* ENOENT: who waited was killed. There is no other failure to do anything about. */
	while (write(g->fanotify, &r, sizeof(r)) < 0 && errno == EINTR)
		;
}

void gate_answer(struct gate *g, struct slot *s, const struct judgement *j)
{
	uint64_t worst = atomic_load_explicit(&g->worst, memory_order_relaxed);

	respond(g, s->fd, gate_response(g, j));
	s->spent_ns = clock_mono_ns() - s->born_ns;
	while (s->spent_ns > worst && !atomic_compare_exchange_weak(&g->worst, &worst, s->spent_ns))
		;
}

void gate_by_policy(const struct gate *g, enum gate_reason reason, struct judgement *ret)
{
	ret->reason = reason;
	ret->verdict = g->o.enforce && g->o.fail_closed ? EXEC_DENIED : EXEC_UNJUDGED;
}

/* --- one event */

struct arrival {
	int fd, pidfd;
	int32_t pid;
	uint64_t now;
	struct stat st;
	struct judgement j;
	bool known; /* j is the verdict */
	bool leased, cached;
	bool layers, writer;
};

static int pidfd_of_event(const struct fanotify_event_metadata *m)
{
	const char *p = (const char *)m + m->metadata_len, *end = (const char *)m + m->event_len;

	while ((size_t)(end - p) >= sizeof(struct fanotify_event_info_header)) {
		const struct fanotify_event_info_header *h = (const void *)p;

		if (h->len < sizeof(*h) || h->len > (size_t)(end - p))
			break;
		if (h->info_type == FAN_EVENT_INFO_TYPE_PIDFD && h->len >= sizeof(struct fanotify_event_info_pidfd))
			return ((const struct fanotify_event_info_pidfd *)p)->pidfd;
		p += h->len;
	}
	return -1;
}

/* Under a lease nobody can open the file for writing without telling us, and nobody had it open when it was given. */
static void take_lease(struct gate *g, struct arrival *a)
{
	if (fcntl(a->fd, F_SETLEASE, F_RDLCK) == 0) {
		a->leased = true;
		return;
	}
	if (errno != EAGAIN) {
		gate_count(g, COUNT_UNLEASED, 1);
		return;
	}
	gate_count(g, COUNT_WRITERS, 1);
	a->known = a->writer = true;
	a->j.reason = GATE_WRITER;
	a->j.verdict = g->o.enforce ? EXEC_DENIED : EXEC_UNJUDGED;
}

/* With the lock held. The file that this process had opened before, when it may be of the same start. */
static bool opened_before(const struct gate *g, const struct arrival *a, struct opened *ret)
{
	const struct slot *s;

	*ret = g->opened[(uint32_t)a->pid % GATE_SIGHTINGS];
	/* The newest is the first. */
	LIST_FOREACH(s, &g->pids[(uint32_t)a->pid % GATE_BUCKETS], by_pid)
	{
		if (s->pid != a->pid || s->origin != SLOT_EVENT)
			continue;
		*ret = (struct opened){ s->pid, slot_role(s), s->j.type, s->answered ? s->answered_ns : a->now };
		/* Refused, or over: where starts wait all files are told before their exec is. */
		return !s->denied && !(g->o.enforce && s->seen);
	}
	return ret->pid == a->pid && a->now < ret->mono_ns + GATE_HOLD_NS;
}

static void fill_slot(struct gate *g, struct slot *s, const struct arrival *a, const struct opened *before)
{
	s->fd = a->fd;
	s->pidfd = a->pidfd;
	known_identify(&a->st, &s->id);
	s->uid = a->st.st_uid;
	s->gid = a->st.st_gid;
	s->mode = a->st.st_mode;
	s->leased = a->leased;
	s->cached = a->cached;
	s->layers = a->layers;
	s->writer = a->writer;
	/* Behind a loader comes the next start. */
	s->role = before && before->role != GATE_LOADER ? GATE_LOADER : GATE_MAIN;
	s->before = before ? before->type : EXEC_TYPE_UNKNOWN;
	s->born_ns = a->now;
	s->boot_ns = clock_boot_ns();
	s->real_ns = clock_real_ns();
	s->j = a->j;
	s->judged = a->known;
	/* In observe mode the answer does not wait for the verdict. */
	s->answered = s->answering = a->known || !g->o.enforce;
	s->answered_ns = clock_mono_ns();
	s->denied = a->known && a->j.verdict == EXEC_DENIED;
}

/* With the lock held: room by giving up the oldest lease of a start that was answered; what to close is the caller's.
 */
static struct slot *steal(struct gate *g, int32_t pid, int ret_close[3])
{
	struct slot *old = TAILQ_FIRST(&g->held);

	if (!old)
		return NULL;
	ret_close[0] = old->fd;
	ret_close[1] = old->pidfd;
	ret_close[2] = old->real;
	slot_release(g, old);
	gate_count(g, COUNT_EARLY, 1);
	gate_count(g, COUNT_LOST, 1);
	return slot_take(g, pid);
}

static void close_all(const int *fd, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

static void refuse_room(struct gate *g, struct arrival *a)
{
	struct judgement j = a->j;

	gate_count(g, COUNT_FULL, 1);
	gate_count(g, COUNT_LOST, 1);
	if (!a->known)
		gate_by_policy(g, GATE_FULL, &j);
	atomic_fetch_add_explicit(&g->verdicts[j.verdict], 1, memory_order_relaxed);
	respond(g, a->fd, gate_response(g, &j));
	close_all((int[]){ a->fd, a->pidfd }, 2);
}

static void look_up(struct gate *g, struct arrival *a)
{
	const struct judgement *known;
	struct file_id id;

	known_identify(&a->st, &id);
	known = cache_find(g->cache, &id, g->generation);
	if (!known)
		return;
	a->j = *known;
	a->known = a->cached = true;
	gate_count(g, COUNT_CACHED, 1);
}

/* With the lock held. There all depends on who starts it, and that is for the workers to find out. */
static bool is_for_layers(const struct gate *g, const struct arrival *a)
{
	const struct gate_dev *d = devs_serving(g, a->st.st_dev);

	return d && d->layers;
}

static void admit(struct gate *g, struct arrival *a)
{
	int spare[3] = { -1, -1, -1 };
	struct opened before;
	struct slot *s;

	pthread_mutex_lock(&g->lock);
	a->layers = is_for_layers(g, a);
	if (a->layers)
		a->known = false;
	else if (a->leased && !a->known)
		look_up(g, a);
	bool any_before = opened_before(g, a, &before);
	s = slot_take(g, a->pid) ?: steal(g, a->pid, spare);
	if (s) {
		fill_slot(g, s, a, any_before ? &before : NULL);
		sighting_recall(g, s);
		if (!s->answered)
			TAILQ_INSERT_TAIL(&g->waiting, s, wait);
		if (!a->known && !s->answered)
			slot_queue(g, s);
	}
	pthread_mutex_unlock(&g->lock);
	close_all(spare, ARRAY_SIZE(spare));
	if (!s) {
		refuse_room(g, a);
		return;
	}
	if (!a->known && g->o.enforce)
		return;
	gate_answer(g, s, &a->j);
	pthread_mutex_lock(&g->lock);
	s->answering = false;
	if (a->known)
		slot_settle(g, s);
	else
		slot_queue(g, s);
	pthread_mutex_unlock(&g->lock);
}

/* The kernel could not open the file for us: somebody holds a write lease on it, or there are no descriptors left. It
 * has refused the start by itself. */
static void kernel_refused(struct gate *g, struct arrival *a)
{
	struct slot *s;

	gate_count(g, COUNT_KERNEL, 1);
	pthread_mutex_lock(&g->lock);
	s = slot_take(g, a->pid);
	if (s) {
		s->pidfd = a->pidfd;
		s->boot_ns = clock_boot_ns();
		s->real_ns = clock_real_ns();
		s->j.verdict = g->o.enforce ? EXEC_DENIED : EXEC_UNJUDGED;
		s->j.reason = GATE_KERNEL;
		s->judged = s->answered = s->denied = true;
		slot_settle(g, s);
	} else {
		gate_count(g, COUNT_LOST, 1);
	}
	pthread_mutex_unlock(&g->lock);
	if (!s)
		close_all(&a->pidfd, 1);
}

static void take_event(struct gate *g, const struct fanotify_event_metadata *m)
{
	struct arrival a = { .fd = m->fd, .pid = m->pid, .pidfd = g->pidfds ? pidfd_of_event(m) : -1 };

	if (m->mask & FAN_Q_OVERFLOW)
		return; /* cannot be: the queue has no bound */
	gate_count(g, COUNT_EVENTS, 1);
	a.now = clock_mono_ns();
	if (a.fd < 0) {
		kernel_refused(g, &a);
		return;
	}
	/* Our own starts would wait for ourselves; the kernel itself runs only regular files. */
	if (a.pid == g->self || fstat(a.fd, &a.st) < 0 || !S_ISREG(a.st.st_mode)) {
		respond(g, a.fd, FAN_ALLOW);
		close_all((int[]){ a.fd, a.pidfd }, 2);
		return;
	}
	take_lease(g, &a);
	admit(g, &a);
}

/* --- the loop */

/* False: there was none. */
static bool read_events(struct gate *g, struct batch *b)
{
	size_t room = sizeof(struct fanotify_event_metadata) + sizeof(struct fanotify_event_info_pidfd);
	ssize_t n = read(g->fanotify, b->data, MIN(sizeof(b->data), g->batch * room));
	const struct fanotify_event_metadata *m = (const void *)b->data;

	/* Kernels before 6.13 fail the whole read where later ones tell it in the event: they have refused the start.
	 */
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		gate_count(g, COUNT_KERNEL, 1);
	for (ssize_t left = n; left > 0 && FAN_EVENT_OK(m, left); m = FAN_EVENT_NEXT(m, left))
		take_event(g, m);
	return n > 0;
}

uint64_t gate_answer_overdue(struct gate *g, uint64_t now)
{
	for (;;) {
		struct judgement j;
		struct slot *s;
		uint64_t due;

		pthread_mutex_lock(&g->lock);
		s = TAILQ_FIRST(&g->waiting);
		due = s ? s->born_ns + g->o.deadline : 0;
		if (!s || due > now) {
			pthread_mutex_unlock(&g->lock);
			return due;
		}
		TAILQ_REMOVE(&g->waiting, s, wait);
		s->answered = s->answering = true;
		s->answered_ns = clock_mono_ns();
		gate_by_policy(g, GATE_DEADLINE, &s->j);
		s->overruled = true;
		s->denied = s->j.verdict == EXEC_DENIED;
		j = s->j;
		pthread_mutex_unlock(&g->lock);

		gate_count(g, COUNT_DEADLINES, 1);
		gate_answer(g, s, &j);
		pthread_mutex_lock(&g->lock);
		s->answering = false;
		slot_settle(g, s);
		pthread_mutex_unlock(&g->lock);
	}
}

/* Without a watchdog nobody asks for beats. */
static int wait_ms(const struct gate *g, uint64_t now, uint64_t due)
{
	int beat_ms = g->o.watchdog ? BEAT_MS : -1;
	uint64_t ms = due > now ? (due - now + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC : 0;

	return due ? (int)MIN(ms, (uint64_t)BEAT_MS) : beat_ms;
}

void *gate_reader(void *data)
{
	struct gate *g = data;
	struct batch b;
	struct urgent urgent;

	urgent_begin(&urgent);
	pthread_setname_np(pthread_self(), "gate");
	while (!atomic_load(&g->stopping)) {
		struct pollfd p[] = { { .fd = g->fanotify, .events = POLLIN }, { .fd = g->wake, .events = POLLIN } };
		uint64_t now = clock_mono_ns();

		watchdog_beat(g->o.watchdog, WATCHDOG_GATE);
		poll(p, ARRAY_SIZE(p), wait_ms(g, now, gate_answer_overdue(g, now)));
		if (p[0].revents)
			read_events(g, &b);
		urgent_look(&urgent, now);
	}
	urgent_end(&urgent);
	watchdog_end(g->o.watchdog, WATCHDOG_GATE);
	return NULL;
}

void gate_unmark_all(struct gate *g)
{
	fanotify_mark(g->fanotify, FAN_MARK_FLUSH | FAN_MARK_FILESYSTEM, 0, AT_FDCWD, "/");
}

void gate_read_rest(struct gate *g, uint64_t until)
{
	struct batch b;

	while (clock_mono_ns() < until && read_events(g, &b))
		;
}

void gate_drain(struct gate *g)
{
	struct fanotify_event_metadata *m;
	struct batch b;
	ssize_t n;

	while ((n = read(g->fanotify, b.data, sizeof(b.data))) > 0) {
		for (m = (void *)b.data; FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
			if (m->fd < 0)
				continue;
			gate_count(g, COUNT_LOST, 1);
			respond(g, m->fd, FAN_ALLOW);
			close_all((int[]){ m->fd, g->pidfds ? pidfd_of_event(m) : -1 }, 2);
		}
	}
}
