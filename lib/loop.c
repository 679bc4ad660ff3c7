/*
 * Event loop over epoll. Owns its sources and the descriptors it made itself (timers, signals, wake-ups); descriptors
 * given to loop_add_fd stay the caller's. One thread runs it; only loop_wake may be called from others.
 */
#include "lib/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "lib/clock.h"
#include "lib/util.h"

#define LOOP_BATCH 32

enum loop_kind { LOOP_FD, LOOP_TIMER, LOOP_SIGNAL, LOOP_WAKE };

struct loop_source {
	struct loop *loop;
	struct loop_source *next; /* in loop->live, or once removed in loop->dead */
	struct loop_source **prev;
	enum loop_kind kind;
	int fd;
	loop_fn fn;
	void *data;
	bool removed;
	int32_t sender; /* of the signal that came last */
	uint32_t sender_uid;
};

struct loop {
	int epoll_fd;
	atomic_bool stop;
	struct loop_source *live;
	/* Removed ones wait here until the events of the current batch, which may name them, are through. */
	struct loop_source *dead;
};

int loop_new(struct loop **ret)
{
	_cleanup_free_ struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0)
		return -errno;
	*ret = TAKE_PTR(l);
	return 0;
}

static void loop_bury(struct loop *l)
{
	while (l->dead) {
		struct loop_source *source = l->dead;

		l->dead = source->next;
		free(source);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->live)
		loop_remove(l->live);
	loop_bury(l);
	close(l->epoll_fd);
	free(l);
}

static int loop_add(struct loop *l, const struct loop_source *values, uint32_t epoll_events, struct loop_source **ret)
{
	_cleanup_free_ struct loop_source *source = malloc(sizeof(*source));
	struct epoll_event event = { .events = epoll_events };

	if (!source)
		return -ENOMEM;
	*source = *values;
	source->loop = l;
	event.data.ptr = source;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return -errno;
	source->next = l->live;
	source->prev = &l->live;
	if (l->live)
		l->live->prev = &source->next;
	l->live = source;
	if (ret)
		*ret = source;
	TAKE_PTR(source);
	return 0;
}

/* As loop_add, but the descriptor is the loop's own: closed when it fails. */
static int loop_add_own(struct loop *l, const struct loop_source *values, struct loop_source **ret)
{
	int r;

	if (values->fd < 0)
		return -errno;
	r = loop_add(l, values, EPOLLIN, ret);
	if (r < 0)
		close(values->fd);
	return r;
}

int loop_add_fd(struct loop *l, int fd, uint32_t epoll_events, loop_fn fn, void *data, struct loop_source **ret)
{
	const struct loop_source values = { .kind = LOOP_FD, .fd = fd, .fn = fn, .data = data };

	return loop_add(l, &values, epoll_events, ret);
}

static int loop_arm(int fd, uint64_t first_ns, uint64_t interval_ns)
{
	struct itimerspec spec = { .it_interval = clock_timespec(interval_ns), .it_value = clock_timespec(first_ns) };

	if (!first_ns && interval_ns) /* a zero first time would disarm */
		spec.it_value.tv_nsec = 1;
	return timerfd_settime(fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

int loop_add_timer(struct loop *l, uint64_t first_ns, uint64_t interval_ns, loop_fn fn, void *data,
		   struct loop_source **ret)
{
	const struct loop_source values = { .kind = LOOP_TIMER,
					    .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
					    .fn = fn,
					    .data = data };
	int r;

	if (values.fd < 0)
		return -errno;
	r = loop_arm(values.fd, first_ns, interval_ns);
	if (r < 0) {
		close(values.fd);
		return r;
	}
	return loop_add_own(l, &values, ret);
}

int loop_set_timer(struct loop_source *timer, uint64_t first_ns, uint64_t interval_ns)
{
	return loop_arm(timer->fd, first_ns, interval_ns);
}

int loop_add_signal(struct loop *l, int signo, loop_fn fn, void *data, struct loop_source **ret)
{
	struct loop_source values = { .kind = LOOP_SIGNAL, .fn = fn, .data = data };
	sigset_t set;
	int r;

	sigemptyset(&set);
	if (sigaddset(&set, signo) < 0)
		return -errno;
	r = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (r)
		return -r;
	values.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return loop_add_own(l, &values, ret);
}

int loop_add_wake(struct loop *l, loop_fn fn, void *data, struct loop_source **ret)
{
	const struct loop_source values = {
		.kind = LOOP_WAKE, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = fn, .data = data
	};

	return loop_add_own(l, &values, ret);
}

void loop_wake(struct loop_source *wake)
{
	const uint64_t one = 1;
	ssize_t n;

	/* EAGAIN: the counter is at its top, so the loop will wake anyway. */
	do
		n = write(wake->fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR);
}

int32_t loop_signal_sender(const struct loop_source *signal, uint32_t *ret_uid)
{
	*ret_uid = signal->sender_uid;
	return signal->sender;
}

int loop_source_fd(const struct loop_source *source)
{
	return source->fd;
}

void loop_remove(struct loop_source *source)
{
	struct loop *l;

	if (!source || source->removed)
		return;
	l = source->loop;
	source->removed = true;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (source->kind != LOOP_FD)
		close(source->fd);
	*source->prev = source->next;
	if (source->next)
		source->next->prev = source->prev;
	source->next = l->dead;
	l->dead = source;
}

/* Takes what the kernel has to say; false when there is nothing (the timer was set anew in between). */
static bool loop_drain(struct loop_source *source)
{
	union {
		uint64_t count;
		struct signalfd_siginfo info;
	} in;
	ssize_t n;

	if (source->kind == LOOP_FD)
		return true;
	do
		n = read(source->fd, &in, source->kind == LOOP_SIGNAL ? sizeof(in.info) : sizeof(in.count));
	while (n < 0 && errno == EINTR);
	if (source->kind == LOOP_SIGNAL && n == (ssize_t)sizeof(in.info)) {
		source->sender = in.info.ssi_code == SI_KERNEL ? 0 : (int32_t)in.info.ssi_pid;
		source->sender_uid = in.info.ssi_uid;
	}
	return n > 0;
}

static int loop_dispatch(struct loop_source *source, uint32_t epoll_events)
{
	int r;

	if (source->removed || !loop_drain(source))
		return 0;
	r = source->fn(source, epoll_events, source->data);
	return MIN(r, 0);
}

int loop_run(struct loop *l)
{
	struct epoll_event events[LOOP_BATCH];
	int n, r = 0;

	while (!r && !atomic_load(&l->stop)) {
		n = epoll_wait(l->epoll_fd, events, LOOP_BATCH, -1);
		if (n < 0 && errno != EINTR)
			r = -errno;
		for (int i = 0; i < n && !r && !atomic_load(&l->stop); i++)
			r = loop_dispatch(events[i].data.ptr, events[i].events);
		loop_bury(l);
	}
	atomic_store(&l->stop, false);
	return r;
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
}
