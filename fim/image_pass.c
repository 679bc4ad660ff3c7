/*
 * Asking the role unpack: one thread puts bytes in and takes bytes out, never waiting for one alone, so that neither
 * side can hold up the other. What comes out is as hostile as what went in.
 */
#include "fim/image_pass.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fim/image_error.h"
#include "lib/clock.h"
#include "lib/util.h"

#define PASS_STALL_NS (60 * NSEC_PER_SEC)
#define PASS_RATE     (64 * KIB) /* bytes in and out for each second that it is waited for, or it is ended */
#define PASS_LOOK_NS  NSEC_PER_SEC /* to the next look whether all of it is to end */
#define PASS_SAID_NS  (10 * NSEC_PER_SEC)

struct image_pass {
	struct image_roles *roles;
	struct role *role;
	struct image_stream *from;
	struct buf *err;
	int fd;
	const uint8_t *p; /* of the current piece: what the role has not taken yet */
	size_t left;
	bool fed;   /* all of it is in, or the role wants no more */
	bool ended; /* and everything out */
	uint64_t waited_ns, moved; /* since it was last looked whether it makes progress */
};

int image_roles_init(struct image_roles *r, struct spawner *s, const _Atomic int *stop)
{
	const struct role_options o = { .name = "unpack", .spawner = s };
	int e = 0;

	*r = (struct image_roles){ .stop = stop, .stall_ns = PASS_STALL_NS };
	for (size_t i = 0; i < IMAGE_ROLES && e == 0; i++)
		e = role_new(&o, &r->of[i]);
	return e;
}

void image_roles_done(struct image_roles *r)
{
	for (size_t i = 0; i < IMAGE_ROLES; i++)
		role_free(r->of[i]);
}

static int pass_failed(struct image_pass *p, int r)
{
	struct role_stats s;

	role_stop(p->role);
	role_get_stats(p->role, &s);
	return image_fail(p->err, r, "the process unpack: %s", s.why[0] ? s.why : strerror(-r));
}

int image_pass_new(struct image_roles *roles, enum image_role which, enum image_work work, enum digest_algo algo,
		   struct image_stream *from, struct buf *err, struct image_pass **ret)
{
	const uint8_t what[] = { (uint8_t)work, (uint8_t)algo };
	_cleanup_(image_pass_free_p) struct image_pass *p = calloc(1, sizeof(*p));
	int fds[2], r;

	if (!p)
		return -ENOMEM;
	p->roles = roles;
	p->role = roles->of[which];
	p->from = from;
	p->err = err;
	p->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	p->fd = fds[0];
	r = role_start(p->role);
	if (r == 0)
		r = role_put(p->role, ROLE_UNPACK, what, sizeof(what), fds[1]);
	close(fds[1]);
	if (r < 0)
		return pass_failed(p, r);
	*ret = TAKE_PTR(p);
	return 0;
}

void image_pass_free(struct image_pass *p)
{
	/* In the midst of it nobody would read the rest. */
	if (!p->ended)
		role_stop(p->role);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
}

/* One write of what comes next: 1 when something went in, 0 when it has to wait. */
static int pass_feed(struct image_pass *p)
{
	ssize_t n;

	if (p->left == 0) {
		n = image_stream_next(p->from, &p->p);
		if (n < 0)
			return (int)n;
		p->left = (size_t)n;
		p->fed = n == 0;
		if (p->fed)
			return shutdown(p->fd, SHUT_WR) < 0 ? -errno : 1;
	}
	n = send(p->fd, p->p, p->left, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		/* Its bytes ended before ours did, or it failed: it says which. */
		p->fed = true;
		return 1;
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	p->p += n;
	p->left -= (size_t)n;
	p->moved += (size_t)n;
	return 1;
}

/* What counts is the time that it is waited for: where its bytes come from, and who takes them, may be slow. */
static bool is_stalled(struct image_pass *p)
{
	bool stalled = p->moved < p->waited_ns / NSEC_PER_MSEC * PASS_RATE / 1000;

	if (p->waited_ns <= p->roles->stall_ns)
		return false;
	p->waited_ns = p->moved = 0;
	return stalled;
}

static int pass_wait(struct image_pass *p)
{
	struct pollfd fd = { .fd = p->fd, .events = (short)(POLLIN | (p->fed ? 0 : POLLOUT)) };
	uint64_t before = clock_mono_ns();
	int r;

	if (p->roles->stop && atomic_load_explicit(p->roles->stop, memory_order_relaxed))
		return -ECANCELED;
	if (is_stalled(p)) {
		role_fail(p->role, "it makes no progress");
		return pass_failed(p, -ETIMEDOUT);
	}
	r = poll(&fd, 1, PASS_LOOK_NS / NSEC_PER_MSEC) < 0 && errno != EINTR ? -errno : 0;
	p->waited_ns += clock_mono_ns() - before;
	return r;
}

/* How reading an image fails is for it to say, but not that we were told to stop, which is no failure. */
static int believed(int32_t result)
{
	static const int results[] = { 0, -EBADMSG, -E2BIG, -EOPNOTSUPP, -ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(results); i++)
		if (result == results[i])
			return result;
	return -EIO;
}

/* Its word on the whole: it has closed its end. */
static int pass_end(struct image_pass *p)
{
	struct role_message said;
	int r = role_wait(p->role, clock_mono_ns() + PASS_SAID_NS, ROLE_UNPACKED, &said);
	char text[ROLE_TEXT_MAX];
	uint32_t result;

	if (r < 0)
		return pass_failed(p, r);
	r = role_said(&said, &result, text);
	if (r < 0 || (int32_t)result > 0 || (int32_t)result < -4095) {
		role_fail(p->role, "it says what was not asked");
		return pass_failed(p, -EBADMSG);
	}
	p->ended = true;
	r = believed((int32_t)result);
	return r == 0 ? 0 : image_fail(p->err, r, "%s", text[0] ? text : strerror(-r));
}

ssize_t image_pass_read(void *pass, uint8_t *data, size_t room)
{
	struct image_pass *p = pass;
	int r = 0;

	while (r >= 0 && !p->ended) {
		ssize_t n = recv(p->fd, data, room, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return pass_end(p);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		r = n < 0 && !p->fed ? pass_feed(p) : 0;
		if (n > 0)
			p->moved += (size_t)n;
		if (n > 0)
			return n;
		if (r == 0)
			r = pass_wait(p);
	}
	return r < 0 ? r : 0;
}
