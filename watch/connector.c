/*
 * The proc connector: owns the netlink socket and the thread "proc", which alone reads it and alone applies messages to
 * the table. On that thread, between a message and the reading of /proc, lies the life of a short program: it must not
 * log, wait or touch any file but those of /proc.
 *
 * Loss. The kernel drops messages when the receive buffer is full (recv then fails with ENOBUFS once, and nothing more
 * is queued until all has been read) or when it has no memory for one (nothing is said). Both leave holes in the
 * sequence that each CPU counts for itself. The socket's drop counter tells at once how many went; holes are found when
 * that CPU speaks next, maybe much later. So holes are first set off against drops already told, and only what is left
 * is a loss of its own. No socket filter is used: what it dropped would be holes too.
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
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "lib/clock.h"
#include "lib/util.h"

#define BATCH	 32
#define MSG_SIZE 256 /* one message is 76 bytes */
#define ACK_NS	 NSEC_PER_SEC
#define RESCAN_NS                                                                                                      \
	NSEC_PER_SEC /* between two scans, so that a storm that overflows is not fed by the scans it causes            \
		      */

struct cpu_seq {
	uint32_t next;
	bool seen;
};

struct connector {
	struct proc_table *table;
	void (*lost)(uint64_t n, void *data);
	void *data;
	int fd, stop_fd;
	pthread_t thread;

	/* The thread's own. */
	struct cpu_seq *seq; /* CONNECTOR_CPU_MAX */
	uint64_t boot_offset;
	uint64_t drops_told; /* of the socket's counter, at the last overflow */
	uint64_t credit;     /* drops told whose holes in the sequences are still to be met */
	uint64_t holes;	     /* met and not set off */
	bool overflow, scan_due;
	uint64_t scan_after; /* monotonic */

	/* Shared. */
	_Atomic bool busy; /* messages were or may have been taken and are not applied */
	pthread_mutex_t lock;
	pthread_cond_t idle;
	uint64_t idles; /* how often it had applied all there was */
	struct connector_stats stats;
};

/* --- applying (the thread) */

static void apply_fork(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_fork(c->table, m->parent_tgid, m->tgid, boot_ns);
}

static void apply_exec(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_exec(c->table, m->tgid, boot_ns);
}

static void apply_ids(struct connector *c, const struct connector_msg *m, uint64_t boot_ns _unused_)
{
	proc_table_ids(c->table, m->tgid, m->what == PROC_EVENT_GID, m->real, m->effective);
}

static void apply_sid(struct connector *c, const struct connector_msg *m, uint64_t boot_ns _unused_)
{
	proc_table_sid(c->table, m->tgid);
}

static void apply_exit(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_exit(c->table, m->tgid, boot_ns);
}

/* What is not here (ptrace, comm, coredump) changes nothing that is kept. */
static const struct handler {
	uint32_t what;
	bool threads; /* also when another thread than the leader did it */
	void (*apply)(struct connector *c, const struct connector_msg *m, uint64_t boot_ns);
} handlers[] = {
	{ PROC_EVENT_FORK, false, apply_fork }, { PROC_EVENT_EXEC, true, apply_exec },
	{ PROC_EVENT_UID, false, apply_ids },	{ PROC_EVENT_GID, false, apply_ids },
	{ PROC_EVENT_SID, true, apply_sid },	{ PROC_EVENT_EXIT, false, apply_exit },
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
	if (m->sequenced)
		check_sequence(c, m);
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		const struct handler *h = &handlers[i];

		if (h->what != m->what)
			continue;
		if (h->threads || m->tid == m->tgid)
			h->apply(c, m, m->mono_ns + c->boot_offset);
		return;
	}
}

/* --- receiving */

struct batch {
	struct mmsghdr hdr[BATCH];
	struct iovec iov[BATCH];
	struct sockaddr_nl from[BATCH];
	char data[BATCH][MSG_SIZE] __attribute__((aligned(8)));
};

static void batch_init(struct batch *b)
{
	memset(b, 0, sizeof(*b));
	for (size_t i = 0; i < BATCH; i++) {
		b->iov[i] = (struct iovec){ .iov_base = b->data[i], .iov_len = MSG_SIZE };
		b->hdr[i].msg_hdr.msg_iov = &b->iov[i];
		b->hdr[i].msg_hdr.msg_iovlen = 1;
	}
}

/* Number of datagrams, or a negative errno. */
static int batch_receive(struct batch *b, int fd)
{
	int n;

	/* The kernel overwrites the lengths. */
	for (size_t i = 0; i < BATCH; i++) {
		b->hdr[i].msg_hdr.msg_name = &b->from[i];
		b->hdr[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
	}
	n = recvmmsg(fd, b->hdr, BATCH, MSG_DONTWAIT, NULL);
	return n < 0 ? -errno : n;
}

/* Others with CAP_NET_ADMIN could write to the socket too: only the kernel's port is believed. */
static bool from_kernel(const struct batch *b, int i)
{
	return b->hdr[i].msg_hdr.msg_namelen == sizeof(b->from[i]) && b->from[i].nl_pid == 0;
}

/*
 * From the clock of the messages to that of /proc: the time spent suspended. Kept as it is unless it changed by more
 * than what lies between two readings, so that times stay in order; a pair of readings that was interrupted is no
 * measure.
 */
static void update_offset(struct connector *c)
{
	uint64_t before = clock_mono_ns(), offset = clock_boot_ns() - before, took = clock_mono_ns() - before;

	if (took < 10000 && offset - c->boot_offset + NSEC_PER_MSEC > 2 * NSEC_PER_MSEC)
		c->boot_offset = offset;
}

static void batch_apply(struct connector *c, const struct batch *b, int n)
{
	uint64_t messages = 0;

	update_offset(c);
	for (int i = 0; i < n; i++) {
		struct connector_msg m;
		size_t pos = 0;

		if (!from_kernel(b, i))
			continue;
		while (connector_decode(b->data[i], b->hdr[i].msg_len, &pos, &m)) {
			apply(c, &m);
			messages++;
		}
	}
	pthread_mutex_lock(&c->lock);
	c->stats.messages += messages;
	pthread_mutex_unlock(&c->lock);
}

/* --- loss */

static uint64_t socket_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 || len < (SK_MEMINFO_DROPS + 1) * sizeof(info[0]))
		return 0;
	return info[SK_MEMINFO_DROPS];
}

/* Called when all that was queued is applied: only then the kernel queues again, so that the scan comes after all that
 * was lost. */
static void tell_loss(struct connector *c)
{
	uint64_t drops = c->overflow ? socket_drops(c->fd) : c->drops_told;
	uint64_t n = (uint32_t)(drops - c->drops_told) + c->holes;

	if (!c->overflow && !c->holes)
		return;
	c->credit += (uint32_t)(drops - c->drops_told);
	c->drops_told = drops;
	c->overflow = false;
	c->holes = 0;
	c->scan_due = true;
	pthread_mutex_lock(&c->lock);
	c->stats.lost += n;
	c->stats.overflows++;
	pthread_mutex_unlock(&c->lock);
	if (c->lost)
		c->lost(n, c->data);
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

static void raise_priority(void)
{
	struct sched_param rr = { .sched_priority = 1 };

	if (pthread_setschedparam(pthread_self(), SCHED_RR, &rr))
		setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), -20);
}

static void say_idle(struct connector *c)
{
	pthread_mutex_lock(&c->lock);
	c->idles++;
	atomic_store(&c->busy, false);
	pthread_cond_broadcast(&c->idle);
	pthread_mutex_unlock(&c->lock);
}

/* Batches at one go, so that a storm without an end does not keep the thread from being stopped. */
#define ROUND 256

/* Applies what is queued; true when nothing is left. */
static bool drain(struct connector *c, struct batch *b)
{
	for (int i = 0; i < ROUND; i++) {
		int n = batch_receive(b, c->fd);

		if (n > 0)
			batch_apply(c, b, n);
		else if (n == -ENOBUFS)
			c->overflow = true;
		else if (n != -EINTR)
			return true;
	}
	return false;
}

static int wait_ms(const struct connector *c)
{
	uint64_t now = clock_mono_ns();

	if (!c->scan_due)
		return -1;
	return c->scan_after <= now ? 0 : (int)((c->scan_after - now) / NSEC_PER_MSEC) + 1;
}

static void *connector_thread(void *data)
{
	struct connector *c = data;
	struct pollfd fds[] = { { .fd = c->fd, .events = POLLIN }, { .fd = c->stop_fd, .events = POLLIN } };
	struct batch b;
	bool empty;

	pthread_setname_np(pthread_self(), "proc");
	raise_priority();
	batch_init(&b);
	for (;;) {
		atomic_store(&c->busy, true);
		/* Between messages the rest of what was exec'ed, one process at a time. */
		do
			empty = drain(c, &b);
		while (empty && proc_table_read_rest(c->table));
		if (empty) {
			tell_loss(c);
			heal(c);
			say_idle(c);
		}
		poll(fds, ARRAY_SIZE(fds), wait_ms(c));
		if (fds[1].revents)
			return NULL;
	}
}

/* --- start and stop */

/* Asks for the messages. Kernels of all ages take this form; 6.6 and later one that selects, which would leave holes.
 */
static int ask(int fd, enum proc_cn_mcast_op op)
{
	char buf[NLMSG_SPACE(sizeof(struct cn_msg) + sizeof(op))] __attribute__((aligned(8))) = { 0 };
	struct nlmsghdr h = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof(op)), .nlmsg_type = NLMSG_DONE };
	struct cn_msg cn = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(op) };

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + NLMSG_HDRLEN, &cn, sizeof(cn));
	memcpy(buf + NLMSG_HDRLEN + sizeof(cn), &op, sizeof(op));
	return send(fd, buf, h.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* The kernel's answer; none comes outside of the initial pid and user namespaces. Events met on the way are covered by
 * the scan. */
static int await_answer(int fd)
{
	uint64_t deadline = clock_mono_ns() + ACK_NS;
	struct batch b;

	batch_init(&b);
	while (clock_mono_ns() < deadline) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		struct connector_msg m;
		int n;

		poll(&p, 1, 100);
		n = batch_receive(&b, fd);
		for (int i = 0; i < n; i++) {
			size_t pos = 0;

			if (from_kernel(&b, i) && connector_decode(b.data[i], b.hdr[i].msg_len, &pos, &m) &&
			    m.what == PROC_EVENT_NONE)
				return -(int)MIN(m.err, 4095U);
		}
	}
	return -ENOTSUP;
}

static int set_buffer(int fd, int bytes)
{
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) == 0)
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) < 0 ? -errno : 0;
}

static int listen_proc(struct connector *c, struct buf *err)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int r;

	c->fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
	if (c->fd < 0) {
		r = errno == EPROTONOSUPPORT ? -ENOTSUP : -errno;
		buf_printf(err, "proc connector: socket: %s (it exists in the initial network namespace only)",
			   strerror(-r));
		return r;
	}
	set_buffer(c->fd, CONNECTOR_BUFFER);
	r = bind(c->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : ask(c->fd, PROC_CN_MCAST_LISTEN);
	if (r == 0)
		r = await_answer(c->fd);
	/* In another network namespace nobody listens at the other end. */
	if (r == -ECONNREFUSED)
		r = -ENOTSUP;
	if (r == -ENOTSUP)
		buf_str(err, "proc connector: no answer: not in the initial network, pid and user namespaces, or "
			     "a kernel without it");
	else if (r < 0)
		buf_printf(err, "proc connector: %s (needs CAP_NET_ADMIN)", strerror(-r));
	return r;
}

static void connector_free(struct connector *c)
{
	if (c->fd >= 0)
		close(c->fd);
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	pthread_cond_destroy(&c->idle);
	pthread_mutex_destroy(&c->lock);
	free(c->seq);
	free(c);
}
DEFINE_CLEANUP(struct connector *, connector_free)

static struct connector *connector_new(struct proc_table *t, void (*lost)(uint64_t n, void *data), void *data)
{
	struct connector *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	*c = (struct connector){ .table = t, .lost = lost, .data = data, .fd = -1, .stop_fd = -1, .busy = true };
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->idle, &attr);
	pthread_condattr_destroy(&attr);
	return c;
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

int connector_start(struct proc_table *t, void (*lost)(uint64_t n, void *data), void *data, struct connector **ret,
		    struct buf *err)
{
	_cleanup_(connector_free_p) struct connector *c = connector_new(t, lost, data);
	int r;

	if (!c)
		return -ENOMEM;
	c->seq = calloc(CONNECTOR_CPU_MAX, sizeof(*c->seq));
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!c->seq || c->stop_fd < 0)
		return c->seq ? -errno : -ENOMEM;
	r = listen_proc(c, err);
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
	*ret = TAKE_PTR(c);
	return 0;
}

void connector_stop(struct connector *c)
{
	uint64_t one = 1;

	if (!c)
		return;
	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: a fresh eventfd */
	pthread_join(c->thread, NULL);
	proc_table_set_fed(c->table, false);
	ask(c->fd, PROC_CN_MCAST_IGNORE);
	connector_free(c);
}

int connector_sync(struct connector *c, uint64_t timeout_ns)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	uint64_t until = clock_mono_ns() + timeout_ns, seen;
	struct timespec ts = { .tv_sec = (time_t)(until / NSEC_PER_SEC), .tv_nsec = (long)(until % NSEC_PER_SEC) };
	int r = 0;

	/* Nothing queued, and then nothing in hand: the order matters, since the thread says busy before it takes. */
	if (poll(&p, 1, 0) == 0 && !atomic_load(&c->busy))
		return 0;
	pthread_mutex_lock(&c->lock);
	seen = c->idles;
	/*
	 * Messages may be queued while the thread is about to sleep after its last round (it wakes at once) or may have
	 * come after the last recv of a round that is ending: two rounds cover both.
	 */
	while (r == 0 && c->idles < seen + 2 && (poll(&p, 1, 0) > 0 || atomic_load(&c->busy)))
		r = pthread_cond_timedwait(&c->idle, &c->lock, &ts);
	pthread_mutex_unlock(&c->lock);
	return -r;
}

void connector_get_stats(struct connector *c, struct connector_stats *ret)
{
	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	pthread_mutex_unlock(&c->lock);
}

int connector_set_buffer(struct connector *c, int bytes)
{
	return set_buffer(c->fd, bytes);
}
