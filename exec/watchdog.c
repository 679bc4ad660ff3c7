/*
 * The watchdog process and its handle. The child shares one page of counters with the daemon and holds nothing else but
 * a pidfd of the daemon and one end of a pipe; it never execs, allocates, opens or logs after its start, so nothing
 * that the daemon could block on blocks it too.
 */
#include "exec/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/clock.h"
#include "lib/util.h"

struct page {
	_Atomic uint64_t beats[WATCHDOG_BEATS]; /* 0: not watched */
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

/* Everything but the two; nothing of the daemon's may live on in the child. */
static void close_others(int a, int b)
{
	unsigned low = (unsigned)MIN(a, b), high = (unsigned)MAX(a, b);

	if (low > 0)
		syscall(SYS_close_range, 0, low - 1, 0);
	if (high > low + 1)
		syscall(SYS_close_range, low + 1, high - 1, 0);
	syscall(SYS_close_range, high + 1, ~0U, 0);
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

/* When the machine or this process slept, the daemon did too: that is no stall of its own. */
static _Noreturn void watch(struct page *page, int parent, int pipe, uint64_t stall)
{
	const uint64_t tick = MAX(stall / 20, NSEC_PER_MSEC);
	struct ward wards[WATCHDOG_BEATS] = { { 0 } };
	uint64_t last = clock_mono_ns();

	for (;;) {
		struct pollfd p[] = { { .fd = pipe, .events = POLLIN }, { .fd = parent, .events = POLLIN } };
		int n = poll(p, ARRAY_SIZE(p), (int)((tick + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));
		uint64_t now = clock_mono_ns();

		if (n > 0)
			_exit(0);
		if (stalled(page, wards, MIN(now - last, 2 * tick), stall)) {
			syscall(SYS_pidfd_send_signal, parent, SIGKILL, NULL, 0);
			_exit(1);
		}
		last = now;
	}
}

static _Noreturn void child(struct page *page, int parent, int pipe, uint64_t stall)
{
	sigset_t all;

	/* Signals of the terminal and of the service manager are the daemon's business. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "hf-watchdog");
	prctl(PR_SET_DUMPABLE, 0);
	close_others(parent, pipe);
	mlockall(MCL_CURRENT);
	watch(page, parent, pipe, stall);
}

static int start_child(struct watchdog *w, uint64_t stall)
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
		child(w->page, self, read_end, stall);
	w->pidfd = pidfd_of(w->pid);
	return w->pidfd < 0 ? -errno : 0;
}

int watchdog_start(uint64_t stall_ns, struct watchdog **ret)
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
	r = start_child(w, stall_ns);
	if (r < 0)
		watchdog_stop(w);
	else
		*ret = w;
	return r;
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

pid_t watchdog_pid(const struct watchdog *w)
{
	return w->pid;
}

void watchdog_stop(struct watchdog *w)
{
	if (!w)
		return;
	cleanup_close(&w->pipe);
	if (w->pid > 0)
		while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
			;
	cleanup_close(&w->pidfd);
	munmap(w->page, sizeof(*w->page));
	free(w);
}
