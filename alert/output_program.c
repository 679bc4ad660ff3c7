/*
 * Output program: lines to the standard input of one child, which is started when the first alert comes and again when
 * it ended. The helper of lib/spawner.h starts it. On the output's thread.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alert/output.h"
#include "lib/util.h"

#define LINES_MAX 64

struct program {
	int pidfd;
};

static int program_open(struct output *o)
{
	struct program *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return output_fail(o, -ENOMEM, o->c->command.items[0]);
	r = o->spawner ? spawner_run(o->spawner, o->c->command.items, o->c->command.n, &o->fd, &p->pidfd) : -ENOTSUP;
	if (r < 0) {
		free(p);
		o->fd = -1;
		return output_fail(o, r,
				   o->spawner ? o->c->command.items[0] : "a program needs a monitor started with it");
	}
	o->self = p;
	return 0;
}

/* The end of its input ends it; one that hangs, or does not read, is killed. */
static void program_close(struct output *o)
{
	struct program *p = o->self;
	struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };

	output_close_fd(o);
	if (o->stopping || poll(&ended, 1, 100) == 0)
		if (poll(&ended, 1, o->stopping ? 100 : 0) == 0)
			syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	close(p->pidfd);
	free(p);
	o->self = NULL;
}

static int program_send(struct output *o, const struct buf *b, size_t n)
{
	struct program *p = o->self;
	struct pollfd ended = { .fd = p->pidfd, .events = POLLIN };

	/* A pipe takes bytes for a moment after its reader is gone. */
	if (poll(&ended, 1, 0) > 0) {
		snprintf(o->why, sizeof(o->why), "%s ended", o->c->command.items[0]);
		return -EPIPE;
	}
	return output_send_read(o, b, n, FIONREAD);
}

const struct output_type output_program = {
	.name = "program",
	.on_disk = true,
	.batch_max = LINES_MAX,
	.open = program_open,
	.send = program_send,
	.close = program_close,
};
