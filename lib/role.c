/*
 * The asking side of a role: starts its process, asks, ends it. Owns the socket and a pidfd. The thread that asks does
 * all of it; others read counters. Never waits longer than it was told to.
 */
#include "lib/role.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/clock.h"

#define ROLE_BACKOFF_MIN (200 * NSEC_PER_MSEC)
#define ROLE_BACKOFF_MAX (60 * NSEC_PER_SEC)

struct role {
	struct role_options o;
	int fd, pidfd;
	bool greeted;
	uint64_t asked_ns, retry_at, backoff;
	_Atomic int32_t pid;
	_Atomic uint64_t starts, failures;
	_Atomic uint32_t holds;
	atomic_bool failing;
	pthread_mutex_t lock; /* of why */
	char why[96];
};

int role_new(const struct role_options *o, struct role **ret)
{
	struct role *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->o = *o;
	r->fd = r->pidfd = -1;
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

void role_free(struct role *r)
{
	if (!r)
		return;
	role_stop(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

void role_stop(struct role *r)
{
	if (r->fd < 0)
		return;
	/* It holds nothing that would have to be brought to an end. */
	syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
	close(TAKE_FD(r->pidfd));
	close(TAKE_FD(r->fd));
	r->pid = 0;
}

static void role_set_failing(struct role *r, bool failing, const char *why)
{
	bool change = r->failing != failing;

	r->failing = failing;
	if (change && r->o.told)
		r->o.told(r->o.name, failing, why, r->o.data);
}

void role_fail(struct role *r, const char *why)
{
	role_stop(r);
	r->failures++;
	pthread_mutex_lock(&r->lock);
	snprintf(r->why, sizeof(r->why), "%s", why);
	pthread_mutex_unlock(&r->lock);
	r->backoff = MIN(MAX(r->backoff * 2, ROLE_BACKOFF_MIN), ROLE_BACKOFF_MAX);
	r->retry_at = clock_mono_ns() + r->backoff;
	role_set_failing(r, true, why);
}

int role_start(struct role *r)
{
	int fds[2], e;
	pid_t pid;

	if (r->fd >= 0)
		return 0;
	if (clock_mono_ns() < r->retry_at)
		return -EHOSTDOWN;
	if (!r->o.spawner)
		return -ENOTSUP;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	e = spawner_role(r->o.spawner, r->o.name, fds[1], &pid, &r->pidfd);
	close(fds[1]);
	if (e < 0) {
		close(fds[0]);
		role_fail(r, "it cannot be started");
		return e;
	}
	r->fd = fds[0];
	r->pid = pid;
	r->greeted = false;
	r->starts++;
	r->asked_ns = clock_mono_ns();
	return 0;
}

int role_fd(const struct role *r)
{
	return r->fd;
}

int role_put(struct role *r, uint32_t type, const void *data, size_t len, int passed)
{
	int e = r->fd < 0 ? -EPIPE : role_send(r->fd, type, data, len, passed);

	r->asked_ns = clock_mono_ns();
	if (e < 0 && r->fd >= 0)
		role_fail(r, e == -EAGAIN ? "it takes no messages" : "it ended");
	return e;
}

/* The first message, and none but it. */
static bool role_greet(struct role *r, const struct role_message *m)
{
	struct reader in = { m->data, m->data + m->len, false };

	if (r->greeted || m->len != sizeof(uint32_t))
		return false;
	r->holds = reader_u32(&in);
	return r->greeted = true;
}

int role_take(struct role *r, uint32_t type, struct role_message *ret)
{
	int e;

	if (r->fd < 0)
		return -EPIPE;
	do
		e = role_receive(r->fd, MSG_DONTWAIT, ret, NULL);
	while (e == 0 && ret->type == ROLE_HELLO && role_greet(r, ret));
	if (e == -EAGAIN)
		return e;
	if (e == 0 && (!r->greeted || ret->type != type))
		e = -EBADMSG;
	if (e < 0) {
		role_fail(r, e == -EBADMSG ? "it says what was not asked" : "it ended");
		return e;
	}
	r->backoff = 0;
	role_set_failing(r, false, NULL);
	return 0;
}

int role_wait(struct role *r, uint64_t deadline, uint32_t type, struct role_message *ret)
{
	int e = 0;

	while (e == 0) {
		struct pollfd p = { .fd = r->fd, .events = POLLIN };
		uint64_t now = clock_mono_ns();

		e = role_take(r, type, ret);
		if (e != -EAGAIN)
			return e;
		if (now >= deadline) {
			role_fail(r, "it does not answer");
			return -ETIMEDOUT;
		}
		e = poll(&p, 1, (int)((deadline - now) / NSEC_PER_MSEC) + 1) < 0 && errno != EINTR ? -errno : 0;
	}
	return e;
}

int role_ask(struct role *r, uint32_t type, const void *data, size_t len, int passed, uint64_t deadline,
	     uint32_t answer, struct role_message *ret)
{
	int e = role_start(r);

	if (e == 0)
		e = role_put(r, type, data, len, passed);
	return e == 0 ? role_wait(r, deadline, answer, ret) : e;
}

void role_rest(struct role *r, uint64_t idle_ns)
{
	struct pollfd p = { .fd = r->fd };
	uint64_t now = clock_mono_ns();

	/* Told when it happened, not when somebody asks again. */
	if (r->fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR))
		role_fail(r, "it ended");
	if (r->fd >= 0 && now - r->asked_ns > idle_ns)
		role_stop(r);
	if (r->failing && now >= r->retry_at)
		role_set_failing(r, false, NULL);
}

void role_get_stats(struct role *r, struct role_stats *ret)
{
	*ret = (struct role_stats){ .name = r->o.name,
				    .pid = r->pid,
				    .starts = r->starts,
				    .failures = r->failures,
				    .failing = r->failing,
				    .holds = r->holds };
	pthread_mutex_lock(&r->lock);
	memcpy(ret->why, r->why, sizeof(ret->why));
	pthread_mutex_unlock(&r->lock);
}
