/*
 * The `out` thread: takes events from its queue, formats and writes them. It alone writes to the descriptor. It waits
 * by poll before each piece, so that it can be told to end while nobody reads.
 */
#include "daemon/output.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/output_alike.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/queue.h"
#include "lib/util.h"

#define OUTPUT_QUEUE   8192
#define OUTPUT_POLL_MS 50
#define OUTPUT_STOP_NS (200 * NSEC_PER_MSEC)

struct output {
	struct output_options o;
	struct queue *queue;
	pthread_t thread;
	struct buf line;
	struct alikes alikes; /* not in JSON */
	bool summed_up;
	atomic_bool stopping, blocked, closed;
	atomic_bool left; /* by the thread, or by who waited for it in vain: the other one frees it */
	_Atomic uint64_t printed, dropped, deadline;
};

/* False: give up on this piece. */
static bool output_ready(struct output *o)
{
	struct pollfd p = { .fd = o->o.fd, .events = POLLOUT };

	for (;;) {
		int r = poll(&p, 1, OUTPUT_POLL_MS);

		if (r > 0)
			return true;
		if (r < 0 && errno != EINTR)
			return false;
		if (o->stopping && clock_mono_ns() > o->deadline)
			return false;
	}
}

static void output_close(struct output *o)
{
	if (!atomic_exchange(&o->closed, true))
		log_warn("nobody reads standard output any more; the history goes on");
}

/* Pieces that a pipe takes whole once poll has said that there is room. */
static bool output_write(struct output *o, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n;

		if (!output_ready(o))
			return false;
		n = write(o->o.fd, data, MIN(len, PIPE_BUF));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			output_close(o);
			return false;
		}
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* more: 0, or how many starts like e are told with it. */
static void output_format(struct output *o, const struct event *e, uint64_t more)
{
	buf_reset(&o->line);
	if (o->o.json) {
		json_t *json = event_json(e);
		char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;

		if (text)
			buf_str(&o->line, text);
		free(text);
		json_decref(json);
	} else {
		event_line(&o->line, e, o->o.colour);
		if (more)
			buf_printf(&o->line, "  (%" PRIu64 " more since)", more);
	}
	buf_char(&o->line, '\n');
}

/*
 * People get the gaps that stand at the start as a number in the summary that ends it, not as a page of lines; what was
 * not watched while the monitor was down is news.
 */
static bool output_is_held(struct output *o, const struct event *e)
{
	if (e->kind == EVENT_NOTE)
		o->summed_up = true;
	return !o->o.json && !o->summed_up && e->kind == EVENT_GAP && e->gap_reason != GAP_DOWN;
}

static void output_line(const struct event *e, uint64_t more, void *data)
{
	struct output *o = data;

	if (o->closed)
		return;
	output_format(o, e, more);
	if (!o->line.failed && o->line.len > 1 && output_write(o, o->line.data, o->line.len))
		o->printed++;
	else
		o->dropped++;
}

static void output_event(struct output *o, struct event *e)
{
	if (o->closed || output_is_held(o, e))
		return;
	if (o->o.json || !alikes_take(&o->alikes, e, clock_mono_ns()))
		output_line(e, 0, o);
	if (o->blocked && queue_depth(o->queue) == 0) {
		o->blocked = false;
		if (o->o.blocked)
			o->o.blocked(false, o->dropped, o->o.data);
	}
}

static void output_free(struct output *o)
{
	queue_free(o->queue);
	buf_free(&o->line);
	free(o);
}

static void *output_main(void *data)
{
	struct output *o = data;
	uint64_t look_at = UINT64_MAX;

	pthread_setname_np(pthread_self(), "out");
	for (;;) {
		int timed_out = 0;
		struct event *e = queue_pop_until(o->queue, look_at, &timed_out);

		if (e)
			output_event(o, e);
		else if (!timed_out)
			break;
		event_unref(e);
		look_at = alikes_tick(&o->alikes, clock_mono_ns());
	}
	alikes_end(&o->alikes);
	if (atomic_exchange(&o->left, true))
		output_free(o);
	return NULL;
}

void output_put(struct output *o, struct event *e)
{
	event_ref(e);
	if (!o->closed && queue_try_push(o->queue, e) == 0)
		return;
	event_unref(e);
	if (o->closed)
		return;
	o->dropped++;
	if (!atomic_exchange(&o->blocked, true) && o->o.blocked)
		o->o.blocked(true, o->dropped, o->o.data);
}

int output_start(const struct output_options *options, struct output **ret)
{
	struct output *o = calloc(1, sizeof(*o));
	int r = o ? queue_new(OUTPUT_QUEUE, &o->queue) : -ENOMEM;

	if (r == 0) {
		o->o = *options;
		o->alikes.tell = output_line;
		o->alikes.data = o;
		r = -pthread_create(&o->thread, NULL, output_main, o);
	}
	if (r < 0) {
		if (o && o->queue)
			queue_free(o->queue);
		free(o);
		return r;
	}
	*ret = o;
	return 0;
}

void output_stop(struct output *o)
{
	struct timespec until = clock_timespec(clock_mono_ns() + OUTPUT_STOP_NS + OUTPUT_STOP_NS / 2);

	o->deadline = clock_mono_ns() + OUTPUT_STOP_NS;
	o->stopping = true;
	queue_close(o->queue);
	/* A terminal that is held (^S) can keep the thread inside write: it ends with the process. */
	if (pthread_clockjoin_np(o->thread, NULL, CLOCK_MONOTONIC, &until) != 0) {
		pthread_detach(o->thread);
		if (!atomic_exchange(&o->left, true))
			return;
	}
	output_free(o);
}

void output_get_stats(struct output *o, struct output_stats *ret)
{
	*ret = (struct output_stats){ .printed = o->printed, .dropped = o->dropped, .closed = o->closed };
}
