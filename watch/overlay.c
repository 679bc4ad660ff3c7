/*
 * A probe: an overlay over a tmpfs, a mark on the tmpfs, an open through the overlay. Forks; the child calls nothing
 * that needs a lock somebody else may hold, and its mounts end with it.
 */
#include "watch/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_SECONDS 5
#define PROBE_POLL_MS 1000
#define PROBE_SEEN    254
#define PROBE_UNSEEN  255

static int build(const char *dir)
{
	char option[256];
	int fd;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("holdfast", dir, "tmpfs", 0, "size=1m"))
		return -errno;
	if (chdir(dir) || mkdir("lower", 0700) || mkdir("upper", 0700) || mkdir("work", 0700) || mkdir("merged", 0700))
		return -errno;
	fd = open("lower/f", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	snprintf(option, sizeof(option), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir);
	return mount("holdfast", "merged", "overlay", 0, option) ? -errno : 0;
}

/* PROBE_*, or an errno. */
static int try(const char *dir)
{
	struct pollfd wait = { .events = POLLIN };
	int r = build(dir);

	if (r < 0)
		return -r;
	wait.fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	if (wait.fd < 0 || fanotify_mark(wait.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM, FAN_OPEN, AT_FDCWD, dir) ||
	    open("merged/f", O_RDONLY | O_CLOEXEC) < 0)
		return errno;
	return poll(&wait, 1, PROBE_POLL_MS) == 1 ? PROBE_SEEN : PROBE_UNSEEN;
}

static int run(const char *dir)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		signal(SIGALRM, SIG_DFL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		alarm(PROBE_SECONDS);
		_exit(try(dir));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (!WIFEXITED(status))
		return -ETIMEDOUT;
	if (WEXITSTATUS(status) == PROBE_SEEN || WEXITSTATUS(status) == PROBE_UNSEEN)
		return WEXITSTATUS(status) == PROBE_SEEN;
	return -WEXITSTATUS(status);
}

int overlay_events(void)
{
	char dir[] = "/tmp/holdfast-overlay.XXXXXX";
	int r;

	if (!mkdtemp(dir))
		return -errno;
	r = run(dir);
	rmdir(dir);
	return r;
}
