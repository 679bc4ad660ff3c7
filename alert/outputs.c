/*
 * The threads of outputs. Each owns its struct output; others reach it through its queue, its eventfd and atomics. An
 * alert that comes goes into the spool before anything else happens to it, also while a delivery is waiting.
 */
#include "alert/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>

#include "alert/output.h"
#include "lib/clock.h"
#include "lib/log.h"

#define OUTPUT_QUEUE	   4096
#define OUTPUT_BATCH_BYTES (256 * KIB)
#define OUTPUT_BACKOFF_MIN (200 * NSEC_PER_MSEC)
#define OUTPUT_BACKOFF_MAX (60 * NSEC_PER_SEC)
#define OUTPUT_STOP_NS	   (400 * NSEC_PER_MSEC)
#define OUTPUT_JOIN_NS	   (300 * NSEC_PER_MSEC)
#define OUTPUT_IDLE_NS	   (10 * NSEC_PER_SEC)
#define OUTPUT_ROLE_NS	   (120 * NSEC_PER_SEC) /* a process that sent nothing for so long is ended */

struct outputs {
	struct outputs_options o;
	struct conf *conf; /* counted */
	char host[256];
	size_t n;
	struct output list[CONF_OUTPUTS_MAX];
};

static const struct output_type *const output_types[CONF_OUTPUT_TYPE_COUNT] = {
	[CONF_OUTPUT_STDOUT] = &output_stdout, [CONF_OUTPUT_FILE] = &output_file,
	[CONF_OUTPUT_SYSLOG] = &output_syslog, [CONF_OUTPUT_JOURNALD] = &output_journald,
	[CONF_OUTPUT_UNIX] = &output_unix,     [CONF_OUTPUT_PROGRAM] = &output_program,
	[CONF_OUTPUT_HTTP] = &output_http,
};

static const struct output_type *type_of(const struct conf_output *c)
{
	return c->type == CONF_OUTPUT_SYSLOG && c->address ? &output_syslog_remote : output_types[c->type];
}

/* --- intake */

static void output_take(struct output *o, const struct alert *a)
{
	int r;

	buf_reset(&o->record);
	if (o->type->format)
		o->type->format(o, &o->record, a);
	else
		alert_format(&o->record, a, o->c->format, o->host);
	r = o->record.failed ? -ENOMEM : spool_append(o->spool, o->record.data, o->record.len);
	if (r < 0)
		o->lost++;
	o->record.failed = false;
	o->pending = spool_pending(o->spool);
}

static void tell_loss(struct output *o)
{
	uint64_t lost = o->lost + o->lost_on_push;
	void (*tell)(const char *, bool, uint64_t, void *) = o->all->o.lost;

	if (lost != o->lost_told && !o->losing) {
		o->losing = true;
		if (tell)
			tell(o->c->name, true, lost - o->lost_told, o->all->o.data);
	} else if (lost == o->lost_told && o->losing && !o->pending) {
		o->losing = false;
		if (tell)
			tell(o->c->name, false, lost, o->all->o.data);
	}
	o->lost_told = lost;
}

void output_ingest(struct output *o)
{
	int timed_out = 0;
	uint64_t count;
	struct alert *a;

	while (read(o->wake, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	while ((a = queue_pop_until(o->queue, 0, &timed_out))) {
		output_take(o, a);
		alert_unref(a);
	}
	tell_loss(o);
}

/* --- delivery */

static void set_why(struct output *o, bool failing)
{
	pthread_mutex_lock(&o->why_lock);
	memcpy(o->last_why, o->why, sizeof(o->last_why));
	pthread_mutex_unlock(&o->why_lock);
	if (failing && !o->failing)
		log_warn("output %s: %s; alerts are kept and sent later", o->c->name, o->why);
	else if (!failing && o->failing)
		log_info("output %s: takes alerts again", o->c->name);
	o->failing = failing;
}

static void output_failed(struct output *o)
{
	o->failures++;
	if (o->ready)
		o->type->close(o);
	o->ready = false;
	o->backoff = MIN(MAX(o->backoff * 2, OUTPUT_BACKOFF_MIN), OUTPUT_BACKOFF_MAX);
	o->retry_at = clock_mono_ns() + o->backoff;
	if (!o->stopping)
		set_why(o, true);
}

static void output_sent(struct output *o, size_t n, bool refused)
{
	if (spool_done(o->spool, n) < 0)
		log_warn("output %s: its spool cannot be written", o->c->name);
	if (refused)
		o->lost += n;
	else
		o->delivered += n;
	if (refused)
		log_warn("output %s: %s; %zu alerts dropped", o->c->name, o->why, n);
	o->pending = spool_pending(o->spool);
	o->backoff = 0;
	if (o->failing)
		set_why(o, false);
}

/* One batch. False: not now. */
static bool output_deliver(struct output *o)
{
	size_t n = 0, max = o->type->batch_max ?: o->c->batch;
	int r = spool_peek(o->spool, max, OUTPUT_BATCH_BYTES, &o->batch, &n);

	if (r == -EBADMSG) {
		o->lost += o->pending;
		o->pending = 0;
		return true;
	}
	if (r < 0 || !n)
		return false;
	if (!o->ready) {
		o->why[0] = '\0';
		r = o->type->open(o);
		if (r < 0) {
			output_failed(o);
			return false;
		}
		o->ready = true;
	}
	r = o->type->send(o, &o->batch, n);
	if (r < 0) {
		output_failed(o);
		return false;
	}
	output_sent(o, n, r == OUTPUT_REFUSED);
	return true;
}

static void output_round(struct output *o)
{
	output_ingest(o);
	if (atomic_exchange(&o->reopen, false) && o->ready) {
		o->type->close(o);
		o->ready = false;
	}
	/* Once it is to end each output gets one more try, whatever its backoff says. */
	while (spool_pending(o->spool) && (o->stopping || clock_mono_ns() >= o->retry_at) && !output_is_over(o)) {
		if (!output_deliver(o))
			break;
		output_ingest(o);
	}
}

static void output_rest(struct output *o)
{
	if (!o->role)
		return;
	role_rest(o->role, OUTPUT_ROLE_NS);
	if (o->ready && role_fd(o->role) < 0) {
		o->type->close(o);
		o->ready = false;
	}
}

static void output_role(const char *role _unused_, bool failing, const char *why, void *data)
{
	const struct output *o = data;

	if (o->all->o.role)
		o->all->o.role(o->c->name, failing, why, o->all->o.data);
}

static void *output_main(void *data)
{
	struct output *o = data;
	char name[16];

	snprintf(name, sizeof(name), "out-%.11s", o->c->name);
	pthread_setname_np(pthread_self(), name);
	while (!o->stopping) {
		uint64_t now;

		output_round(o);
		output_rest(o);
		now = clock_mono_ns();
		output_wait(o, -1, 0, spool_pending(o->spool) ? MAX(o->retry_at, now) : now + OUTPUT_IDLE_NS);
	}
	output_round(o);
	if (o->ready)
		o->type->close(o);
	return NULL;
}

/* --- others */

static void output_wake(struct output *o)
{
	uint64_t one = 1;

	while (write(o->wake, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void outputs_put(struct outputs *os, struct alert *a)
{
	for (size_t i = 0; i < os->n; i++) {
		struct output *o = &os->list[i];

		if (a->priority > o->c->minimum)
			continue;
		alert_ref(a);
		if (queue_try_push(o->queue, a) < 0) {
			alert_unref(a);
			o->lost_on_push++;
		}
		output_wake(o);
	}
}

void outputs_reopen(struct outputs *os)
{
	for (size_t i = 0; i < os->n; i++) {
		os->list[i].reopen = true;
		output_wake(&os->list[i]);
	}
}

size_t outputs_count(const struct outputs *os)
{
	return os->n;
}

void outputs_get_stats(struct outputs *os, size_t i, struct outputs_stats *ret)
{
	struct output *o = &os->list[i];

	*ret = (struct outputs_stats){
		.name = o->c->name,
		.type = o->type->name,
		.delivered = o->delivered,
		.failures = o->failures,
		.lost = o->lost + o->lost_on_push,
		.pending = o->pending,
		.queue = queue_depth(o->queue),
		.failing = o->failing,
	};
	pthread_mutex_lock(&o->why_lock);
	memcpy(ret->why, o->last_why, sizeof(ret->why));
	pthread_mutex_unlock(&o->why_lock);
	ret->has_role = o->role;
	if (o->role)
		role_get_stats(o->role, &ret->role);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && streq(a, b));
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	bool same = a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = streq(a->items[i], b->items[i]);
	return same;
}

static bool same_output(const struct conf_output *a, const struct conf_output *b)
{
	return a->type == b->type && a->format == b->format && a->minimum == b->minimum && a->batch == b->batch &&
	       a->timeout == b->timeout && a->spool == b->spool && a->rotate == b->rotate && a->keep == b->keep &&
	       streq(a->name, b->name) && same_text(a->path, b->path) && same_text(a->address, b->address) &&
	       same_text(a->url, b->url) && same_text(a->ca, b->ca) && same_text(a->cert, b->cert) &&
	       same_text(a->key, b->key) && same_list(&a->command, &b->command) && same_list(&a->headers, &b->headers);
}

bool outputs_same(const struct conf *a, const struct conf *b)
{
	bool same = a->n_outputs == b->n_outputs;

	for (size_t i = 0; same && i < a->n_outputs; i++)
		same = same_output(&a->outputs[i], &b->outputs[i]);
	return same;
}

/* --- life */

static int spool_path(const struct outputs *os, const struct output *o, struct buf *ret)
{
	buf_printf(ret, "%s/spool", os->o.state_dir);
	if (ret->failed)
		return -ENOMEM;
	if (mkdir(ret->data, 0700) < 0 && errno != EEXIST)
		return -errno;
	buf_printf(ret, "/%s", o->c->name);
	return ret->failed ? -ENOMEM : 0;
}

static int output_start(struct outputs *os, struct output *o, const struct conf_output *c, struct buf *err)
{
	_cleanup_buf_ struct buf path = BUF_INIT;
	bool on_disk;
	int r = 0;

	*o = (struct output){ .type = type_of(c), .c = c, .all = os, .host = os->host, .fd = -1, .wake = -1 };
	on_disk = o->type->on_disk && os->o.state_dir;
	o->spawner = os->o.spawner;
	pthread_mutex_init(&o->why_lock, NULL);
	if (on_disk)
		r = spool_path(os, o, &path);
	if (r == 0)
		r = spool_open(on_disk ? path.data : NULL, c->spool, &o->spool);
	if (r < 0) {
		buf_printf(err, "output %s: its spool cannot be opened: %s", c->name, strerror(-r));
		return r;
	}
	o->pending = spool_pending(o->spool);
	r = queue_new(OUTPUT_QUEUE, &o->queue);
	if (r == 0 && o->type->role)
		r = role_new(&(struct role_options){ o->type->role, o->spawner, output_role, o }, &o->role);
	o->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r == 0 && o->wake < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&o->thread, NULL, output_main, o);
	o->running = r == 0;
	return r;
}

static void output_free(struct output *o)
{
	struct alert *a;

	if (o->queue) {
		queue_close(o->queue);
		while ((a = queue_pop(o->queue)))
			alert_unref(a);
		queue_free(o->queue);
	}
	role_free(o->role);
	if (o->spool)
		spool_close(o->spool);
	if (o->wake >= 0)
		close(o->wake);
	buf_free(&o->record);
	buf_free(&o->batch);
	pthread_mutex_destroy(&o->why_lock);
}

static bool output_join(struct output *o)
{
	struct timespec until = clock_timespec(clock_mono_ns() + OUTPUT_STOP_NS + OUTPUT_JOIN_NS);

	return !o->running || pthread_clockjoin_np(o->thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}

void outputs_stop(struct outputs *os)
{
	bool stuck = false;

	for (size_t i = 0; i < os->n; i++) {
		os->list[i].deadline = clock_mono_ns() + OUTPUT_STOP_NS;
		os->list[i].stopping = true;
		if (os->list[i].running)
			output_wake(&os->list[i]);
	}
	for (size_t i = 0; i < os->n; i++) {
		if (output_join(&os->list[i]))
			output_free(&os->list[i]);
		else
			stuck = true;
	}
	/* A name service or disk that does not answer cannot be interrupted: the thread ends with the process. */
	if (stuck)
		return;
	conf_unref(os->conf);
	free(os);
}

int outputs_start(const struct outputs_options *o, struct outputs **ret, struct buf *err)
{
	struct outputs *os = calloc(1, sizeof(*os));
	int r = 0;

	if (!os)
		return -ENOMEM;
	os->o = *o;
	os->conf = conf_ref((struct conf *)(uintptr_t)o->conf);
	if (gethostname(os->host, sizeof(os->host) - 1) < 0)
		snprintf(os->host, sizeof(os->host), "localhost");
	for (size_t i = 0; i < os->conf->n_outputs && r == 0; i++)
		r = output_start(os, &os->list[os->n++], &os->conf->outputs[i], err);
	if (r == 0) {
		*ret = os;
		return 0;
	}
	if (!err->len)
		buf_printf(err, "outputs: %s", strerror(-r));
	outputs_stop(os);
	return r;
}
