/* Others wait until all that the kernel told before a moment is applied. Any thread. */
#include "watch/connector-internal.h"

#include <poll.h>
#include <sys/eventfd.h>

#include "lib/clock.h"
#include "lib/util.h"

/*
 * That an event waits for its author at most: a wrong one is worse than a late one. Once the thread did not come to it
 * in that time, others wait for less, for as long as LATE_NS: what they read would overflow. Who says when its event
 * was has a queue of his own, and time.
 */
#define SYNC_NS	     (100 * NSEC_PER_MSEC)
#define SYNC_AT_NS   (2 * NSEC_PER_SEC)
#define SYNC_LATE_NS (5 * NSEC_PER_MSEC)
#define LATE_NS	     NSEC_PER_SEC

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
	struct timespec ts = clock_timespec(until);
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

int connector_sync_table(uint64_t boot_ns, void *data)
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

void connector_say_applied(struct connector *c, uint64_t messages, uint64_t newest)
{
	bool waited_for;

	pthread_mutex_lock(&c->lock);
	c->stats.messages += messages;
	if (newest > atomic_load(&c->applied_ns))
		atomic_store(&c->applied_ns, newest);
	waited_for = c->waiters;
	pthread_mutex_unlock(&c->lock);
	if (waited_for)
		pthread_cond_broadcast(&c->idle);
}
