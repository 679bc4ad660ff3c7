/* Processes by pidfd and start time. No state; whatever thread calls, chiefly the responder's. Never signals a pid. */
#include "respond/target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "proc/read.h"

void target_close(struct target *t)
{
	cleanup_close(&t->pidfd);
	cleanup_close(&t->dirfd);
	t->pidfd = t->dirfd = -1;
}

int target_read(const struct target *t, const char *name, size_t max, struct buf *b, bool *ret_cut)
{
	_cleanup_close_ int fd = openat(t->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char piece[4096];
	size_t got = 0;
	ssize_t n = 0;

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	while (got <= max && (n = read(fd, piece, MIN(sizeof(piece), max + 1 - got))) > 0) {
		buf_add(b, piece, MIN((size_t)n, max - got));
		got += (size_t)n;
	}
	if (ret_cut)
		*ret_cut = got > max;
	/* What was read before the process ended counts. */
	if (n < 0 && !got)
		return -errno;
	return b->failed ? -ENOMEM : 0;
}

int target_stat(const struct target *t, struct proc_stat *ret)
{
	_cleanup_buf_ struct buf b = BUF_INIT;
	int r = target_read(t, "stat", 2048, &b, NULL);

	return r < 0 ? r : proc_parse_stat(b.data ? b.data : "", b.len, ret);
}

int target_open(int procfd, int32_t pid, uint64_t start_ns, struct target *ret)
{
	_cleanup_target_ struct target t = TARGET_INIT;
	struct proc_stat st;
	int r;

	if (pid <= 0)
		return -EINVAL;
	t.pid = pid;
	t.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (t.pidfd < 0)
		return -errno;
	t.dirfd = proc_open(procfd, pid);
	if (t.dirfd < 0)
		return t.dirfd;
	r = target_stat(&t, &st);
	if (r < 0)
		return r;
	/*
	 * The folder was opened while the pidfd's process was there only if that is there still: else the pid may have
	 * changed hands between the two.
	 */
	if ((start_ns && st.start_ns != start_ns) || target_wait(&t, 0) == 0)
		return -ESRCH;
	t.start_ns = st.start_ns;
	*ret = t;
	t = (struct target)TARGET_INIT;
	return 0;
}

int target_signal(const struct target *t, int signo)
{
	return syscall(SYS_pidfd_send_signal, t->pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int target_wait(const struct target *t, uint64_t timeout_ns)
{
	uint64_t end = clock_mono_ns() + timeout_ns;

	for (;;) {
		struct pollfd p = { .fd = t->pidfd, .events = POLLIN };
		uint64_t now = clock_mono_ns(), left = now < end ? end - now : 0;
		int n = poll(&p, 1, (int)((left + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC));

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0 && !left)
			return -ETIMEDOUT;
	}
}
