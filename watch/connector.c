/*
 * What the kernel tells of processes: owns the netlink socket, the ring of the BPF programs, and the thread "proc",
 * which alone reads them and alone applies messages to the table. On that thread, between a message and the reading of
 * /proc, lies the life of a short program: it must not log, wait or touch any file but those of /proc.
 *
 * Loss of the ring is counted by the programs themselves. Loss of netlink: the kernel drops messages when the receive
 * buffer is full (recv then fails with ENOBUFS once, and nothing more is queued until all has been read) or when it has
 * no memory for one (nothing is said). Both leave holes in the sequence that each CPU counts for itself. The socket's
 * drop counter tells at once how many went; holes are found when that CPU speaks next, maybe much later. So holes are
 * first set off against drops already told, and only what is left is a loss of its own. No socket filter is used: what
 * it dropped would be holes too.
 */
#include "watch/connector.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <linux/cn_proc.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/proc_socket.h"

/*
 * That an event waits for its author at most: a wrong one is worse than a late one. Once the thread did not come to it
 * in that time, others wait for less, for as long as LATE_NS: what they read would overflow. Who says when its event
 * was has a queue of his own, and time.
 */
#define SYNC_NS	     (100 * NSEC_PER_MSEC)
#define SYNC_AT_NS   (2 * NSEC_PER_SEC)
#define SYNC_LATE_NS (5 * NSEC_PER_MSEC)
#define LATE_NS	     NSEC_PER_SEC
/* Between two scans, so that a storm that overflows is not fed by the scans it causes. */
#define RESCAN_NS NSEC_PER_SEC
/* So that it is known since when nothing was read, should something be lost; and for records that wake nobody. */
#define IDLE_MS 1000
#define RING_MS 50
/* Without a record for this long the thread dozes: the next one wakes it. */
#define DOZE_NS (4 * RING_MS * NSEC_PER_MSEC)

struct cpu_seq {
	uint32_t next;
	bool seen;
};

struct connector {
	struct proc_table *table;
	void (*lost)(uint64_t n, uint64_t since, void *data);
	void *data;
	int fd, wake_fd;       /* fd: -1 without netlink */
	struct bpf_procs *bpf; /* NULL: netlink owns forks, starts and ends */
	char *weakness;
	pthread_t thread;

	/* The thread's own. */
	struct cpu_seq *seq;		       /* CONNECTOR_CPU_MAX */
	uint64_t boot_offset;		       /* from the clock of the messages to that of /proc */
	uint32_t drops_told;		       /* of the socket's counter, at the last overflow */
	uint64_t credit;		       /* drops told whose holes in the sequences are still to be met */
	uint64_t holes;			       /* met and not set off */
	uint64_t kinds_told[BPF_RECORD_KINDS]; /* of the programs' counters */
	bool overflow, scan_due;
	uint64_t scan_after; /* monotonic */
	uint64_t told_until; /* real: all that the kernel told before is applied */
	uint64_t newest_bpf;
	uint64_t taken_at;   /* monotonic: records of the ring */
	int32_t refused[64]; /* processes whose start was refused and not told yet */
	unsigned int refused_next;

	/* Shared. */
	pthread_mutex_t hook_lock; /* held while they are called */
	struct connector_hooks hooks;
	_Atomic bool stopping;
	_Atomic bool busy; /* messages were or may have been taken and are not applied */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned int waiters;
	_Atomic uint64_t applied_ns;	/* time of the newest message applied */
	_Atomic uint64_t late_until[2]; /* monotonic; see LATE_NS; of those that say when, too */
	struct connector_stats stats;
};

/* --- applying (the thread) */

static void apply_fork(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_fork(c->table, m->parent_tgid, m->tgid, boot_ns);
}

static void tell_exec(struct connector *c, int32_t tgid, uint64_t mono_ns, const struct bpf_proc_event *told)
{
	pthread_mutex_lock(&c->hook_lock);
	if (c->hooks.exec)
		c->hooks.exec(tgid, mono_ns, told, c->hooks.data);
	pthread_mutex_unlock(&c->hook_lock);
}

static void end_process(struct connector *c, int32_t tgid, uint64_t boot_ns)
{
	proc_table_exit(c->table, tgid, boot_ns);
	pthread_mutex_lock(&c->hook_lock);
	if (c->hooks.exit)
		c->hooks.exit(tgid, c->hooks.data);
	pthread_mutex_unlock(&c->hook_lock);
}

static void apply_exec(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_exec(c->table, m->tgid, boot_ns);
	tell_exec(c, m->tgid, m->mono_ns, NULL);
}

static void apply_ids(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_ids(c->table, m->tgid, m->what == PROC_EVENT_GID, m->real, m->effective, boot_ns);
}

static void apply_sid(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_sid(c->table, m->tgid, boot_ns);
}

static void apply_exit(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	end_process(c, m->tgid, boot_ns);
}

/* What is not here (ptrace, comm, coredump) changes nothing that is kept. */
static const struct handler {
	uint32_t what;
	bool threads;  /* also when another thread than the leader did it */
	bool with_bpf; /* also when BPF programs own what is above */
	void (*apply)(struct connector *c, const struct connector_msg *m, uint64_t boot_ns);
} handlers[] = {
	{ PROC_EVENT_FORK, false, false, apply_fork }, { PROC_EVENT_EXEC, true, false, apply_exec },
	{ PROC_EVENT_UID, false, true, apply_ids },    { PROC_EVENT_GID, false, true, apply_ids },
	{ PROC_EVENT_SID, true, true, apply_sid },     { PROC_EVENT_EXIT, false, false, apply_exit },
};

static void apply_bpf_fork(struct connector *c, const struct bpf_proc_event *e)
{
	proc_table_forked(c->table, e->maker, &e->told);
}

static bool was_refused(struct connector *c, int32_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->refused); i++) {
		if (c->refused[i] != pid)
			continue;
		c->refused[i] = 0;
		return true;
	}
	return false;
}

/* The kernel goes through with a refused exec all the same; then the process dies of the signal. */
static void apply_bpf_exec(struct connector *c, const struct bpf_proc_event *e)
{
	proc_table_execed(c->table, &e->told, e->cgroup_sure ? 0 : e->cgroups, e->mono_ns + c->boot_offset);
	if (!was_refused(c, e->told.pid))
		tell_exec(c, e->told.pid, e->mono_ns, e);
}

static void apply_bpf_refused(struct connector *c, const struct bpf_proc_event *e)
{
	c->refused[c->refused_next++ % ARRAY_SIZE(c->refused)] = e->told.pid;
	pthread_mutex_lock(&c->hook_lock);
	if (c->hooks.refused)
		c->hooks.refused(e, c->hooks.data);
	pthread_mutex_unlock(&c->hook_lock);
}

static void apply_bpf_exit(struct connector *c, const struct bpf_proc_event *e)
{
	was_refused(c, e->told.pid);
	end_process(c, e->told.pid, e->mono_ns + c->boot_offset);
}

static void (*const bpf_handlers[BPF_RECORD_KINDS])(struct connector *c, const struct bpf_proc_event *e) = {
	[BPF_RECORD_FORK] = apply_bpf_fork,
	[BPF_RECORD_EXEC] = apply_bpf_exec,
	[BPF_RECORD_EXIT] = apply_bpf_exit,
	[BPF_RECORD_REFUSED] = apply_bpf_refused,
};

static void check_sequence(struct connector *c, const struct connector_msg *m)
{
	struct cpu_seq *s = &c->seq[m->cpu];
	uint32_t hole = m->seq - s->next;

	/* Half the circle and more is not a hole but a sequence begun anew. */
	if (s->seen && hole && hole < UINT32_MAX / 2) {
		uint64_t told = MIN((uint64_t)hole, c->credit);

		c->credit -= told;
		c->holes += hole - told;
	}
	s->seen = true;
	s->next = m->seq + 1;
}

static void apply(struct connector *c, const struct connector_msg *m)
{
	/* Beside BPF only some are sent. */
	if (m->sequenced && !c->bpf)
		check_sequence(c, m);
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		const struct handler *h = &handlers[i];

		if (h->what != m->what)
			continue;
		if ((h->threads || m->tid == m->tgid) && (h->with_bpf || !c->bpf))
			h->apply(c, m, m->mono_ns + c->boot_offset);
		return;
	}
}

/* --- receiving */

static void say_applied(struct connector *c, uint64_t messages, uint64_t newest)
{
	pthread_mutex_lock(&c->lock);
	c->stats.messages += messages;
	if (newest > atomic_load(&c->applied_ns))
		atomic_store(&c->applied_ns, newest);
	if (c->waiters)
		pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
}

static void batch_apply(struct connector *c, const struct proc_batch *b, int n)
{
	uint64_t messages = 0, newest = 0;

	clock_update_boot_offset(&c->boot_offset);
	for (int i = 0; i < n; i++) {
		struct connector_msg m;
		size_t pos = 0;

		if (!proc_batch_from_kernel(b, i))
			continue;
		while (connector_decode(b->data[i], b->hdr[i].msg_len, &pos, &m)) {
			apply(c, &m);
			newest = MAX(newest, m.mono_ns);
			messages++;
		}
	}
	/* Those of the owner count. */
	say_applied(c, c->bpf ? 0 : messages, c->bpf ? 0 : newest);
}

static void bpf_apply(const struct bpf_proc_event *e, void *data)
{
	struct connector *c = data;

	bpf_handlers[e->kind](c, e);
	c->newest_bpf = e->mono_ns;
}

/* --- loss */

/* What the BPF programs could not tell since this was last asked. */
static uint64_t ring_losses(struct connector *c)
{
	uint64_t now[BPF_RECORD_KINDS], n = 0;

	if (!c->bpf)
		return 0;
	bpf_procs_lost(c->bpf, now);
	for (size_t i = 0; i < BPF_RECORD_KINDS; i++)
		n += now[i] - c->kinds_told[i];
	if (!n)
		return 0;
	memcpy(c->kinds_told, now, sizeof(now));
	pthread_mutex_lock(&c->lock);
	memcpy(c->stats.lost_kinds, now, sizeof(now));
	pthread_mutex_unlock(&c->lock);
	return n;
}

/* Called when all that was queued is applied: only then the kernel queues again, so that the scan comes after all that
 * was lost. */
static void tell_loss(struct connector *c)
{
	uint32_t drops = c->overflow ? proc_socket_drops(c->fd) : c->drops_told;
	uint64_t dropped = (uint32_t)(drops - c->drops_told), ring = ring_losses(c), n = dropped + c->holes + ring;

	if (!c->overflow && !c->holes && !ring)
		return;
	c->credit += dropped;
	c->drops_told = drops;
	c->overflow = false;
	c->holes = 0;
	c->scan_due = true;
	pthread_mutex_lock(&c->lock);
	c->stats.lost += n;
	c->stats.overflows++;
	pthread_mutex_unlock(&c->lock);
	if (c->lost)
		c->lost(n, c->told_until, c->data);
}

static void heal(struct connector *c)
{
	if (!c->scan_due || clock_mono_ns() < c->scan_after)
		return;
	c->scan_due = false;
	proc_table_scan(c->table);
	c->scan_after = clock_mono_ns() + RESCAN_NS;
	pthread_mutex_lock(&c->lock);
	c->stats.scans++;
	pthread_mutex_unlock(&c->lock);
}

/* --- the thread */

/*
 * What netlink tells has to be read from /proc before the process is gone: ahead of all others, on whatever processor.
 * The programs have told it all; a real-time thread would push the process that has just started from its processor
 * while another one idles.
 */
static void raise_priority(const struct connector *c)
{
	struct sched_param rr = { .sched_priority = 1 };

	if (c->bpf || pthread_setschedparam(pthread_self(), SCHED_RR, &rr))
		setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -20);
}

static void say_idle(struct connector *c)
{
	pthread_mutex_lock(&c->lock);
	atomic_store(&c->busy, false);
	pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
}

/* Batches at one go, so that a storm without an end does not keep the thread from being stopped. */
#define ROUND 256

/* Records of the ring at one go. */
#define RING_ROUND 4096

static bool drain_ring(struct connector *c)
{
	int n;

	if (!c->bpf)
		return true;
	clock_update_boot_offset(&c->boot_offset);
	n = bpf_procs_take(c->bpf, RING_ROUND, bpf_apply, c);
	if (n > 0) {
		say_applied(c, (uint64_t)n, c->newest_bpf);
		c->taken_at = clock_mono_ns();
	}
	return n < RING_ROUND;
}

/* Applies what is queued; true when nothing is left. */
static bool drain_netlink(struct connector *c, struct proc_batch *b)
{
	if (c->fd < 0)
		return true;
	for (int i = 0; i < ROUND; i++) {
		int n = proc_batch_receive(b, c->fd);

		/* What the programs told before these messages were sent comes first: forks of those whose ids changed.
		 */
		for (int k = 0; n > 0 && k < ROUND && !drain_ring(c); k++)
			;
		if (n > 0)
			batch_apply(c, b, n);
		else if (n == -ENOBUFS)
			c->overflow = true;
		else if (n != -EINTR)
			return true;
	}
	return false;
}

/*
 * What is in the ring when it is waited for is seen at once. A record whose program has not heard yet that it is to
 * wake lies for IDLE_MS.
 */
static int wait_ms(const struct connector *c)
{
	uint64_t now = clock_mono_ns();
	bool doze = now - c->taken_at > DOZE_NS;

	if (c->bpf)
		bpf_procs_doze(c->bpf, doze);
	if (!c->scan_due)
		return c->bpf && !doze ? RING_MS : IDLE_MS;
	return c->scan_after <= now ? 0 : (int)((c->scan_after - now) / NSEC_PER_MSEC) + 1;
}

static void *connector_thread(void *data)
{
	struct connector *c = data;
	struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN },
				{ .fd = c->wake_fd, .events = POLLIN },
				{ .fd = c->bpf ? bpf_procs_fd(c->bpf) : -1, .events = POLLIN } };
	struct proc_batch b;
	eventfd_t woken;
	bool empty;

	pthread_setname_np(pthread_self(), "proc");
	raise_priority(c);
	proc_batch_init(&b);
	for (;;) {
		uint64_t now = clock_real_ns();

		atomic_store(&c->busy, true);
		/* Between messages what the next exec will need, and the rest of those that were, one process at a
		 * time. */
		do {
			empty = drain_netlink(c, &b);
			empty = drain_ring(c) && empty;
		} while (empty && (proc_table_prepare(c->table) || proc_table_read_rest(c->table)));
		if (empty) {
			tell_loss(c);
			c->told_until = now;
			heal(c);
			say_idle(c);
		}
		poll(fds, ARRAY_SIZE(fds), wait_ms(c));
		if (atomic_load(&c->stopping))
			return NULL;
		if (fds[1].revents)
			eventfd_read(c->wake_fd, &woken);
	}
}

/* --- others wait for it */

/*
 * Messages of different processors may be queued in another order than that of their times, which are taken just
 * before; by no more than this.
 */
#define SKEW_NS 200000ULL

/* All that was told before `since` is applied. Queue before hand: the thread says busy before it takes. */
static bool caught_up(struct connector *c, uint64_t since)
{
	struct pollfd p[] = { { .fd = c->fd, .events = POLLIN },
			      { .fd = c->bpf ? bpf_procs_fd(c->bpf) : -1, .events = POLLIN } };

	return (poll(p, ARRAY_SIZE(p), 0) == 0 && !atomic_load(&c->busy)) ||
	       atomic_load(&c->applied_ns) > since + SKEW_NS;
}

/* Until what was told before `since` is applied. */
static int wait_for(struct connector *c, uint64_t since, uint64_t timeout_ns)
{
	uint64_t until = clock_mono_ns() + timeout_ns;
	struct timespec ts = { .tv_sec = (time_t)(until / NSEC_PER_SEC), .tv_nsec = (long)(until % NSEC_PER_SEC) };
	int r = 0;

	if (pthread_equal(pthread_self(), c->thread) || caught_up(c, since))
		return 0;
	pthread_mutex_lock(&c->lock);
	c->waiters++;
	while (r == 0 && !caught_up(c, since)) {
		/* What waits may be records that wake nobody, and there may be more of them by now. */
		eventfd_write(c->wake_fd, 1);
		r = pthread_cond_timedwait(&c->idle, &c->lock, &ts);
	}
	c->waiters--;
	pthread_mutex_unlock(&c->lock);
	return -r;
}

int connector_sync(struct connector *c, uint64_t timeout_ns)
{
	return wait_for(c, clock_mono_ns(), timeout_ns);
}

static int sync_table(uint64_t boot_ns, void *data)
{
	struct connector *c = data;
	uint64_t now = clock_mono_ns(), ahead = clock_boot_ns() - now, since = boot_ns > ahead ? boot_ns - ahead : now;
	_Atomic uint64_t *late_until = &c->late_until[boot_ns != 0];
	uint64_t patience = now < atomic_load(late_until) ? SYNC_LATE_NS : boot_ns ? SYNC_AT_NS : SYNC_NS;
	int r = wait_for(c, MIN(since, now), patience);

	if (r < 0)
		atomic_store(late_until, clock_mono_ns() + LATE_NS);
	return r;
}

/* --- start and stop */

static void connector_free(struct connector *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	bpf_procs_close(c->bpf);
	free(c->weakness);
	pthread_cond_destroy(&c->idle);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->hook_lock);
	free(c->seq);
	free(c);
}
DEFINE_CLEANUP(struct connector *, connector_free)

static struct connector *connector_new(const struct connector_options *o)
{
	struct connector *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	*c = (struct connector){
		.table = o->procs,
		.lost = o->lost,
		.data = o->data,
		.fd = -1,
		.wake_fd = -1,
		.busy = true,
		.told_until = clock_real_ns(),
	};
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->hook_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->idle, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

/* Both, where they can be had; the one that was asked for must be. */
static int open_sources(struct connector *c, const struct connector_options *o, struct buf *err)
{
	_cleanup_buf_ struct buf no_bpf = BUF_INIT, no_netlink = BUF_INIT;
	int r = o->source == CONNECTOR_NETLINK ? -ECANCELED : bpf_procs_open(o->ring, &c->bpf, &no_bpf), s;

	s = proc_socket_open(CONNECTOR_BUFFER, &c->fd, &no_netlink);
	if (r < 0 && o->source == CONNECTOR_BPF) {
		buf_str(err, no_bpf.data);
		return r;
	}
	if (r < 0 && s < 0) {
		buf_printf(err, "%s%s%s", no_netlink.data, no_bpf.len ? "; " : "", no_bpf.len ? no_bpf.data : "");
		return s;
	}
	/* The programs tell the rest. */
	if (c->bpf && c->fd >= 0)
		proc_socket_select(c->fd, PROC_EVENT_UID | PROC_EVENT_GID | PROC_EVENT_SID);
	if (no_bpf.len)
		c->weakness = strdup(no_bpf.data);
	else if (s < 0 && no_netlink.len)
		c->weakness = strdup(no_netlink.data);
	return 0;
}

/* The thread takes no signals: they are for the main loop. */
static int start_thread(struct connector *c)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&c->thread, NULL, connector_thread, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int connector_start(const struct connector_options *o, struct connector **ret, struct buf *err)
{
	_cleanup_(connector_free_p) struct connector *c = connector_new(o);
	struct proc_table *t = o->procs;
	int r;

	if (!c)
		return -ENOMEM;
	c->seq = calloc(CONNECTOR_CPU_MAX, sizeof(*c->seq));
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!c->seq || c->wake_fd < 0)
		return c->seq ? -errno : -ENOMEM;
	r = open_sources(c, o, err);
	if (r < 0)
		return r;
	r = proc_table_scan(t);
	if (r < 0) {
		buf_printf(err, "cannot read /proc: %s", strerror(-r));
		return r;
	}
	proc_table_set_fed(t, true);
	r = start_thread(c);
	if (r < 0) {
		proc_table_set_fed(t, false);
		buf_printf(err, "proc connector: thread: %s", strerror(-r));
		return r;
	}
	proc_table_set_sync(t, sync_table, c);
	*ret = TAKE_PTR(c);
	return 0;
}

void connector_stop(struct connector *c)
{
	if (!c)
		return;
	proc_table_set_sync(c->table, NULL, NULL);
	atomic_store(&c->stopping, true);
	eventfd_write(c->wake_fd, 1);
	pthread_join(c->thread, NULL);
	proc_table_set_fed(c->table, false);
	if (c->fd >= 0)
		proc_socket_ignore(c->fd);
	connector_free(c);
}

void connector_set_hooks(struct connector *c, const struct connector_hooks *h)
{
	pthread_mutex_lock(&c->hook_lock);
	c->hooks = h ? *h : (struct connector_hooks){ 0 };
	pthread_mutex_unlock(&c->hook_lock);
	if (c->bpf)
		bpf_procs_prompt(c->bpf, !h ? BPF_PROMPT_NONE : h->prompt ? BPF_PROMPT_ALL : BPF_PROMPT_OPEN);
}

void connector_get_stats(struct connector *c, struct connector_stats *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	pthread_mutex_unlock(&c->lock);
}

int connector_guard(struct connector *c, const char *pin, struct bpf_sender *ret)
{
	return c->bpf ? bpf_procs_guard(c->bpf, pin, ret) : -ENOTSUP;
}

bool connector_stopped(struct connector *c, struct bpf_sender *ret)
{
	return c->bpf && bpf_procs_stopped(c->bpf, ret);
}

int connector_refuse(struct connector *c, bool on, int32_t session)
{
	return c->bpf ? bpf_procs_refuse(c->bpf, on, session) : -ENOTSUP;
}

int connector_judged(struct connector *c, uint64_t dev, bool judged)
{
	return c->bpf ? bpf_procs_judged(c->bpf, dev, judged) : -ENOTSUP;
}

int connector_caller(struct connector *c, uint64_t dev, uint64_t ino)
{
	return c->bpf ? bpf_procs_caller(c->bpf, dev, ino) : -ENOTSUP;
}

enum connector_source connector_source(const struct connector *c)
{
	return c->bpf ? CONNECTOR_BPF : CONNECTOR_NETLINK;
}

const char *connector_weakness(const struct connector *c)
{
	return c->weakness;
}

int connector_set_buffer(struct connector *c, int bytes)
{
	return proc_socket_set_buffer(c->fd, bytes);
}
