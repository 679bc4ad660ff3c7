/*
 * What outputs with a network have in common: their process (role sink, daemon/role_sink.c) is told once where to and
 * how, then asked one body at a time. On the output's thread, which goes on taking alerts into the spool meanwhile.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "alert/output.h"
#include "alert/post.h"
#include "lib/clock.h"

#define SINK_START_NS (10 * NSEC_PER_SEC) /* until it has taken the settings */

static int put(struct output *o, uint32_t type, const struct buf *body)
{
	_cleanup_close_ int fd = role_body_new(body->data, body->len);
	int r = fd < 0 ? fd : role_put(o->role, type, NULL, 0, fd);

	return r < 0 ? output_fail(o, r, "its process") : 0;
}

static int outcome_of(struct output *o, const struct role_message *m)
{
	static const int results[] = {
		[POST_DONE] = 0, [POST_REFUSED] = OUTPUT_REFUSED, [POST_FAILED] = -EIO, [POST_LATE] = -ETIMEDOUT
	};
	char why[ROLE_TEXT_MAX];
	uint32_t outcome;

	if (role_said(m, &outcome, why) < 0 || outcome >= ARRAY_SIZE(results)) {
		role_fail(o->role, "it says what was not asked");
		return output_fail(o, -EBADMSG, "its process");
	}
	snprintf(o->why, sizeof(o->why), "%.*s", (int)sizeof(o->why) - 1, why);
	return results[outcome];
}

static int answer(struct output *o, uint64_t deadline)
{
	struct role_message m;
	int r = role_take(o->role, ROLE_POSTED, &m);

	while (r == -EAGAIN) {
		r = output_wait(o, role_fd(o->role), POLLIN, deadline);
		if (r == -ETIMEDOUT)
			role_fail(o->role, "it does not answer");
		if (r == 0)
			r = role_take(o->role, ROLE_POSTED, &m);
	}
	return r < 0 ? output_fail(o, r, "its process") : outcome_of(o, &m);
}

int output_sink_open(struct output *o, const struct buf *settings)
{
	int r = role_start(o->role);

	if (r < 0)
		return output_fail(o, r, "its process");
	r = put(o, ROLE_POST_AS, settings);
	if (r == 0)
		r = answer(o, clock_mono_ns() + SINK_START_NS);
	if (r)
		role_stop(o->role);
	return r > 0 ? -EINVAL : r;
}

int output_sink_send(struct output *o, const struct buf *body)
{
	int r = put(o, ROLE_POST, body);

	/* Its own deadline is first. */
	return r < 0 ? r : answer(o, output_deadline(o) + NSEC_PER_SEC);
}

void output_sink_close(struct output *o)
{
	role_stop(o->role);
}
