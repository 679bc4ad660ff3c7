/*
 * A role from the inside: checks that it was started as one, gives up its rights, then answers one message after the
 * other until the monitor closes its end. A process of its own, one thread; must not log: its answers are all it says.
 */
#include "daemon/role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/util.h"

#define ROLE_OPTION "--role="

const char *const role_calls_compute[ROLE_CALLS_COMPUTE] = {
	"read",	     "write",		"close",	"recvmsg",	  "sendmsg",	  "brk",
	"mmap",	     "munmap",		"mremap",	"mprotect",	  "madvise",	  "futex",
	"getrusage", "prlimit64",	"setrlimit",	"clock_gettime",  "gettimeofday", "time",
	"exit",	     "exit_group",	"rt_sigreturn", "sched_yield",	  "getpid",	  "gettid",
	"getrandom", "restart_syscall", "rt_sigaction", "rt_sigprocmask", "sigaltstack",
};

/* One that computes for ever is ended by the kernel, also when nobody is left who would. */
static void limit_time(unsigned seconds)
{
	struct rusage used;
	struct rlimit limit = { .rlim_max = RLIM_INFINITY };

	if (getrusage(RUSAGE_SELF, &used) < 0)
		return;
	limit.rlim_cur = (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec + seconds);
	setrlimit(RLIMIT_CPU, &limit);
}

/* Killed before the monitor is, when memory is short. */
static void offer_to_oom(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "500", 3) != 3)
		return;
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

static int greet(uint32_t holds)
{
	const uint8_t data[] = { (uint8_t)holds, (uint8_t)(holds >> 8), (uint8_t)(holds >> 16),
				 (uint8_t)(holds >> 24) };

	return role_send(STDIN_FILENO, ROLE_HELLO, data, sizeof(data), -1);
}

static int serve(const struct role_row *row)
{
	static struct role_message in, out;
	int r;

	for (;;) {
		_cleanup_close_ int body = -1;

		r = role_receive(STDIN_FILENO, 0, &in, &body);
		if (r < 0)
			return r == -EPIPE ? 0 : r;
		limit_time(row->seconds);
		out.len = 0;
		r = row->answer(&in, body, &out);
		if (r == 0)
			r = role_send(STDIN_FILENO, out.type, out.data, out.len, -1);
		if (r < 0)
			return r;
	}
}

static int run(const struct role_row *row)
{
	int type = 0, r;
	socklen_t len = sizeof(type);

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
		return EX_USAGE;
	prctl(PR_SET_NAME, row->comm);
	reset_signals();
	offer_to_oom();
	close_range(STDERR_FILENO + 1, ~0U, 0);
	r = row->prepare();
	if (r == 0)
		r = greet(role_confine(row));
	if (r == 0)
		r = serve(row);
	return r < 0 ? EX_SOFTWARE : 0;
}

bool role_main_of(const struct role_row *const *rows, size_t n, int argc, char **argv, int *ret_status)
{
	if (argc != 2 || strncmp(argv[1], ROLE_OPTION, strlen(ROLE_OPTION)) != 0)
		return false;
	*ret_status = EX_USAGE;
	for (size_t i = 0; i < n; i++) {
		/* Nothing is to run at exit any more: libraries would look for files. */
		if (streq(argv[1] + strlen(ROLE_OPTION), rows[i]->name))
			_exit(run(rows[i]));
	}
	return true;
}

bool role_main(int argc, char **argv, int *ret_status)
{
	static const struct role_row *const rows[] = { &role_inspect, &role_sink, &role_unpack };

	return role_main_of(rows, ARRAY_SIZE(rows), argc, argv, ret_status);
}
