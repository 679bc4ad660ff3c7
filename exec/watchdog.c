/*
 * The watchdog process and its handle. The child shares one page of counters with the daemon and holds nothing else but
 * a pidfd of the daemon, one end of a pipe, a socket of the service manager and what it needs of cgroups
 * (watchdog_cgroup.h); it never execs, allocates, opens or logs after its start, so nothing that the daemon could block
 * on blocks it too.
 */
#include "exec/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "exec/watchdog_cgroup.h"
#include "lib/clock.h"
#include "lib/util.h"

struct page {
	_Atomic uint64_t beats[WATCHDOG_BEATS]; /* 0: not watched */
	_Atomic bool held;			/* a manager keeps the group */
	_Atomic bool apart;			/* the child does not stop with the daemon's cgroups */
};

struct watchdog {
	struct page *page;
	int pipe; /* its closing ends the child */
	int pidfd;
	pid_t pid;
};

struct ward {
	uint64_t beat;
	uint64_t waited;
};

static int pidfd_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* What the child keeps; the rest is closed: nothing of the daemon's may live on in it. */
struct kept {
	int fd[3 + WATCHDOG_CGROUP_FDS]; /* the daemon's pidfd, the pipe, the manager, cgroups; or -1 */
	struct watchdog_cgroups cgroups;
};

static void close_others(const struct kept *k)
{
	int low = 0;

	for (;;) {
		int next = -1;

		for (size_t i = 0; i < ARRAY_SIZE(k->fd); i++)
			if (k->fd[i] >= low && (next < 0 || k->fd[i] < next))
				next = k->fd[i];
		if (next < 0)
			break;
		if (next > low)
			syscall(SYS_close_range, (unsigned)low, (unsigned)next - 1, 0);
		low = next + 1;
	}
	syscall(SYS_close_range, (unsigned)low, ~0U, 0);
}

/* True when some beat is overdue. `passed` is at most two ticks, however late the child itself was woken. */
static bool stalled(struct page *page, struct ward wards[WATCHDOG_BEATS], uint64_t passed, uint64_t stall)
{
	for (unsigned i = 0; i < WATCHDOG_BEATS; i++) {
		uint64_t beat = atomic_load(&page->beats[i]);

		if (beat == 0 || beat != wards[i].beat)
			wards[i] = (struct ward){ beat, 0 };
		else
			wards[i].waited += passed;
		if (wards[i].waited >= stall)
			return true;
	}
	return false;
}

/* A manager listens to what is in the service's own cgroup. */
static void release(const struct page *page, const struct kept *k, const struct watchdog_options *o)
{
	if (!o->release || !atomic_load(&page->held))
		return;
	watchdog_return(&k->cgroups);
	send(o->notify, o->release, strlen(o->release), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The daemon is gone, and the next one may be on its way. */
static _Noreturn void linger(const struct page *page, const struct kept *k, const struct watchdog_options *o)
{
	if (o->release && atomic_load(&page->held)) {
		poll(NULL, 0, (int)MIN(o->stall / NSEC_PER_MSEC, (uint64_t)INT_MAX));
		release(page, k, o);
	}
	_exit(0);
}

/* When the machine or this process slept, the daemon did too: that is no stall of its own. */
static _Noreturn void watch(struct page *page, const struct kept *k, const struct watchdog_options *o)
{
	const uint64_t tick = MAX(o->stall / 20, NSEC_PER_MSEC);
	struct ward wards[WATCHDOG_BEATS] = { { 0 } };
	uint64_t last = clock_mono_ns();

	for (;;) {
		struct pollfd p[] = { { .fd = k->fd[0], .events = POLLIN }, { .fd = k->fd[1], .events = POLLIN } };
		int n = poll(p, ARRAY_SIZE(p), (int)((tick + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
		uint64_t now = clock_mono_ns();

		if (n > 0)
			linger(page, k, o);
		if (stalled(page, wards, MIN(now - last, 2 * tick), o->stall)) {
			syscall(SYS_pidfd_send_signal, k->fd[0], SIGKILL, NULL, 0);
			watchdog_thaw(&k->cgroups);
			release(page, k, o);
			_exit(1);
		}
		last = now;
	}
}

static _Noreturn void child(struct page *page, struct kept *k, const struct watchdog_options *o)
{
	sigset_t all;
	bool apart = watchdog_leave(getppid(), &k->cgroups);

	memcpy(k->fd + 3, k->cgroups.fd, sizeof(k->cgroups.fd));
	atomic_store(&page->apart, apart);

	/* Signals of the terminal and of the service manager are the daemon's business. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "hf-watchdog");
	prctl(PR_SET_DUMPABLE, 0);
	close_others(k);
	mlockall(MCL_CURRENT);
	watch(page, k, o);
}

static int start_child(struct watchdog *w, const struct watchdog_options *o)
{
	_cleanup_close_ int self = pidfd_of(getpid()), read_end = -1;
	int ends[2];

	if (self < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	read_end = ends[0];
	w->pipe = ends[1];
	w->pid = fork();
	if (w->pid < 0)
		return -errno;
	if (w->pid == 0)
		child(w->page, &(struct kept){ .fd = { self, read_end, o->release ? o->notify : -1 } }, o);
	w->pidfd = pidfd_of(w->pid);
	return w->pidfd < 0 ? -errno : 0;
}

int watchdog_start(const struct watchdog_options *o, struct watchdog **ret)
{
	struct watchdog *w = malloc(sizeof(*w));
	void *page;
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct watchdog){ .pipe = -1, .pidfd = -1 };
	page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		free(w);
		return -ENOMEM;
	}
	w->page = page;
	r = start_child(w, o);
	if (r < 0)
		watchdog_stop(w);
	else
		*ret = w;
	return r;
}

void watchdog_hold(struct watchdog *w, bool held)
{
	if (w)
		atomic_store(&w->page->held, held);
}

void watchdog_beat(struct watchdog *w, enum watchdog_beat which)
{
	if (w)
		atomic_fetch_add_explicit(&w->page->beats[which], 1, memory_order_relaxed);
}

void watchdog_end(struct watchdog *w, enum watchdog_beat which)
{
	if (w)
		atomic_store(&w->page->beats[which], 0);
}

bool watchdog_alive(const struct watchdog *w)
{
	struct pollfd p = { .fd = w->pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

bool watchdog_apart(const struct watchdog *w)
{
	return atomic_load(&w->page->apart);
}

void watchdog_stop(struct watchdog *w)
{
	if (!w)
		return;
	cleanup_close(&w->pipe);
	if (w->pid > 0 && !atomic_load(&w->page->held))
		while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
			;
	cleanup_close(&w->pidfd);
	munmap(w->page, sizeof(*w->page));
	free(w);
}
