/*
 * The warden process and its handle. The handle belongs to the responder's thread; the child runs one loop over a
 * socket whose end tells that the monitor is gone.
 */
#include "respond/warden.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/io.h"
#include "lib/util.h"

#define WARDEN_ACK_MS 2000

struct warden {
	int socket;
	pid_t pid;
	bool used[WARDEN_SLOTS];
};

struct message {
	uint32_t hold; /* else release */
	uint32_t slot, kind;
	uint64_t timeout_ns;
};

/* --- the child */

struct held {
	int fd; /* -1: free */
	uint32_t kind;
	uint64_t until; /* CLOCK_MONOTONIC ns */
};

static void thaw(struct held *h)
{
	static const char *const words[] = { [WARDEN_UNIFIED] = "0", [WARDEN_LEGACY] = "THAWED" };

	if (h->fd < 0)
		return;
	if (h->kind == WARDEN_PROCESS)
		syscall(SYS_pidfd_send_signal, h->fd, SIGCONT, NULL, 0);
	else if (write(h->fd, words[h->kind], strlen(words[h->kind])) < 0)
		(void)errno; /* the cgroup is gone */
	close(h->fd);
	h->fd = -1;
}

/* One message; false when the monitor is gone. */
static bool child_read(int socket, struct held held[WARDEN_SLOTS])
{
	struct message m;
	const struct iovec iov = { &m, sizeof(m) };
	size_t n_fds = 1;
	int fd = -1;
	ssize_t n = io_receive(socket, &iov, 1, &fd, &n_fds, 0);

	if (n <= 0)
		return false;
	if (n != sizeof(m) || m.slot >= WARDEN_SLOTS || m.kind > WARDEN_PROCESS) {
		cleanup_close(&fd);
		return true;
	}
	cleanup_close(&held[m.slot].fd);
	held[m.slot] = (struct held){ m.hold ? fd : -1, m.kind, clock_mono_ns() + m.timeout_ns };
	if (m.hold)
		return send(socket, &m.slot, sizeof(m.slot), MSG_NOSIGNAL) == sizeof(m.slot);
	return true;
}

static int child_wait(const struct held held[WARDEN_SLOTS])
{
	uint64_t next = UINT64_MAX, now = clock_mono_ns();

	for (unsigned i = 0; i < WARDEN_SLOTS; i++)
		if (held[i].fd >= 0)
			next = MIN(next, held[i].until);
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)MIN((next - now) / NSEC_PER_MSEC + 1, (uint64_t)3600000);
}

static _Noreturn void child_run(int socket)
{
	struct held held[WARDEN_SLOTS];

	for (unsigned i = 0; i < WARDEN_SLOTS; i++)
		held[i].fd = -1;
	for (;;) {
		struct pollfd p = { .fd = socket, .events = POLLIN };
		int n = poll(&p, 1, child_wait(held));
		uint64_t now = clock_mono_ns();

		if (n > 0 && !child_read(socket, held))
			break;
		for (unsigned i = 0; i < WARDEN_SLOTS; i++)
			if (held[i].fd >= 0 && held[i].until <= now)
				thaw(&held[i]);
	}
	for (unsigned i = 0; i < WARDEN_SLOTS; i++)
		thaw(&held[i]);
	_exit(0);
}

static _Noreturn void child(int socket)
{
	sigset_t all;

	/* Signals of the terminal and of the service manager are the monitor's business. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "hf-warden");
	prctl(PR_SET_DUMPABLE, 0);
	if (socket > 0)
		syscall(SYS_close_range, 0, (unsigned)socket - 1, 0);
	syscall(SYS_close_range, (unsigned)socket + 1, ~0U, 0);
	child_run(socket);
}

/* --- the handle */

int warden_start(struct warden **ret)
{
	struct warden *w = calloc(1, sizeof(*w));
	int ends[2];

	if (!w)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
		free(w);
		return -errno;
	}
	w->pid = fork();
	if (w->pid == 0)
		child(ends[1]);
	close(ends[1]);
	w->socket = ends[0];
	if (w->pid < 0) {
		int r = -errno;

		close(ends[0]);
		free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void warden_stop(struct warden *w)
{
	if (!w)
		return;
	close(w->socket);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(w);
}

static int warden_send(struct warden *w, const struct message *m, int fd)
{
	const struct iovec iov = { (void *)(uintptr_t)m, sizeof(*m) };

	return io_send(w->socket, &iov, 1, &fd, fd >= 0, 0) == (ssize_t)sizeof(*m) ? 0 : -EPIPE;
}

int warden_hold(struct warden *w, enum warden_kind kind, int fd, uint64_t timeout_ns, unsigned *ret_slot)
{
	struct message m = { .hold = 1, .kind = kind, .timeout_ns = timeout_ns };
	struct pollfd p = { .fd = w->socket, .events = POLLIN };
	uint32_t slot;
	int r;

	while (m.slot < WARDEN_SLOTS && w->used[m.slot])
		m.slot++;
	if (m.slot == WARDEN_SLOTS)
		return -EBUSY;
	r = warden_send(w, &m, fd);
	if (r < 0)
		return r;
	/* A warden that does not answer does not thaw either. */
	if (poll(&p, 1, WARDEN_ACK_MS) != 1 || recv(w->socket, &slot, sizeof(slot), 0) != sizeof(slot) ||
	    slot != m.slot)
		return -EPIPE;
	w->used[m.slot] = true;
	*ret_slot = m.slot;
	return 0;
}

void warden_release(struct warden *w, unsigned slot)
{
	const struct message m = { .slot = slot };

	warden_send(w, &m, -1);
	w->used[slot] = false;
}
