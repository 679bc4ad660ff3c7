/*
 * Programs that actions start: with an absolute path, no shell, their input in a file of memory (so that a program that
 * does not read holds nobody up), a bounded number of them, killed when they take too long. Of the thread "respond".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/clock.h"
#include "respond/internal.h"

extern char **environ;

static int input_fd(const char *input)
{
	_cleanup_close_ int fd = memfd_create("event", MFD_CLOEXEC);
	size_t len = input ? strlen(input) : 0;

	if (fd < 0)
		return -errno;
	if (len && (write(fd, input, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0))
		return -EIO;
	return TAKE_FD(fd);
}

static int spawn_attr(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	/* Signals that we block or ignore are nothing that it should know of; a session of its own, to be ended whole.
	 */
	if (posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID) != 0 ||
	    posix_spawnattr_setsigmask(attr, &none) != 0 || posix_spawnattr_setsigdefault(attr, &all) != 0)
		return -ENOMEM;
	return 0;
}

static int spawn_files(posix_spawn_file_actions_t *files, int input)
{
	if (posix_spawn_file_actions_adddup2(files, input, STDIN_FILENO) != 0 ||
	    posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
	    posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0) != 0 ||
	    posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1) != 0)
		return -ENOMEM;
	return 0;
}

static int spawn(const char *const *argv, int input, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	int r = -posix_spawn_file_actions_init(&files);

	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attr);
	if (r == 0) {
		r = spawn_attr(&attr);
		if (r == 0)
			r = spawn_files(&files, input);
		if (r == 0)
			r = -posix_spawn(ret, argv[0], &files, &attr, (char *const *)(uintptr_t)argv, environ);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&files);
	return r;
}

int children_run(struct respond *r, const struct response *x, enum action_kind action, const char *const *argv,
		 const char *input, uint64_t timeout_ns)
{
	_cleanup_close_ int in = -1;
	struct child *c = r->children;
	int e;

	while (c < r->children + RESPOND_CHILDREN && c->pid)
		c++;
	if (c == r->children + RESPOND_CHILDREN)
		return -EAGAIN;
	in = input_fd(input);
	if (in < 0)
		return in;
	*c = (struct child){ .response = x->id, .action = action };
	e = spawn(argv, in, &c->pid);
	if (e < 0) {
		c->pid = 0;
		return e;
	}
	c->until = clock_mono_ns() + timeout_ns;
	return 0;
}

/* It is ours and not waited for: its number, and that of its group, is still its own. */
static void child_kill(struct child *c)
{
	kill(-c->pid, SIGKILL);
	kill(c->pid, SIGKILL);
	c->killed = true;
}

bool children_poll(struct respond *r, void (*done)(struct respond *r, const struct child *c, int status))
{
	bool any = false;

	for (size_t i = 0; i < RESPOND_CHILDREN; i++) {
		struct child *c = &r->children[i], ended;
		int status;

		if (!c->pid)
			continue;
		if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
			ended = *c;
			c->pid = 0;
			done(r, &ended, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
			continue;
		}
		any = true;
		if (!c->killed && clock_mono_ns() >= c->until)
			child_kill(c);
	}
	return any;
}

void children_end(struct respond *r)
{
	for (size_t i = 0; i < RESPOND_CHILDREN; i++) {
		struct child *c = &r->children[i];

		if (!c->pid)
			continue;
		child_kill(c);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
		c->pid = 0;
	}
}
