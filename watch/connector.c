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
#include "watch/connector-internal.h"

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

/* Between two scans, so that a storm that overflows is not fed by the scans it causes. */
#define RESCAN_NS NSEC_PER_SEC
/* So that it is known since when nothing was read, should something be lost; and for records that wake nobody. */
#define IDLE_MS 1000
#define RING_MS 50
/* Without a record for this long the thread dozes: the next one wakes it. */
#define DOZE_NS (4 * RING_MS * NSEC_PER_MSEC)

/* --- receiving */

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
			connector_apply(c, &m);
			newest = MAX(newest, m.mono_ns);
			messages++;
		}
	}
	/* Those of the owner count. */
	connector_say_applied(c, c->bpf ? 0 : messages, c->bpf ? 0 : newest);
}

static void bpf_apply(const struct bpf_proc_event *e, void *data)
{
	struct connector *c = data;

	connector_apply_bpf(c, e);
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
		connector_say_applied(c, (uint64_t)n, c->newest_bpf);
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
	clock_cond_init(&c->idle);
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
	proc_table_set_sync(t, connector_sync_table, c);
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

bool connector_uring_files(const struct connector *c, const struct process *p)
{
	return c->bpf && bpf_procs_uring_files(c->bpf, p->pid, p->start_ns);
}

bool connector_stopped(struct connector *c, struct bpf_sender *ret)
{
	return c->bpf && bpf_procs_stopped(c->bpf, ret);
}

int connector_refuse(struct connector *c, bool on, int32_t session)
{
	return c->bpf ? bpf_procs_refuse(c->bpf, on, session) : -ENOTSUP;
}

int connector_gate(struct connector *c, int group)
{
	return c->bpf ? bpf_procs_gate(c->bpf, group) : -ENOTSUP;
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
