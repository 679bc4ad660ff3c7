/*
 * The live thread: owns the table of pending paths, the last states and everything else of struct live; takes what
 * comes in (intake.c) and decides when a path is looked at. It reads no guarded file itself (hash workers do), never
 * writes to the store, and never waits for another thread.
 */
#include "fim/live-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/util.h"
#include "watch/place.h"

#define LIVE_STOP_NS (400 * NSEC_PER_MSEC)
#define LIVE_JOIN_NS (500 * NSEC_PER_MSEC) /* of all threads together, in which readers notice that they should end */
#define LIVE_BUSY_NS (10 * NSEC_PER_MSEC)
#define LIVE_IDLE_NS (5 * NSEC_PER_SEC)

/* --- the thread */

/* Starts looks at what is due; UINT64_MAX for now: at everything. Returns when to come back. */
static uint64_t live_dispatch(struct live *l, uint64_t now)
{
	size_t room = l->o.room ? l->o.room(l->o.data) : LIVE_JOBS_MAX, limit = MIN(room, LIVE_JOBS_MAX);
	struct pending *p;

	while (l->in_flight < limit && (p = settle_take(&l->settle, now)))
		evaluate_start(l, p);
	if (l->in_flight < limit)
		return settle_next(&l->settle);
	/* With all workers busy the next result wakes this thread. */
	return limit < LIVE_JOBS_MAX ? clock_boot_ns() + LIVE_BUSY_NS : UINT64_MAX;
}

static uint64_t live_deadline(uint64_t boot)
{
	uint64_t now = clock_boot_ns(), mono = clock_mono_ns();

	if (boot == UINT64_MAX)
		return mono + NSEC_PER_SEC;
	return boot > now ? mono + MIN(boot - now, NSEC_PER_SEC) : mono;
}

/* One batch or the time `boot`, whichever is first. False: the inbox is closed. */
static bool live_wait(struct live *l, uint64_t boot)
{
	int timed_out = 0;
	struct fs_batch *b = queue_pop_until(l->o.in, live_deadline(boot), &timed_out);

	if (b && !b->n)
		atomic_store(&l->woken, false);
	if (b)
		intake_batch(l, b);
	return b || timed_out;
}

static void live_count(struct live *l)
{
	l->counters.pending = settle_count(&l->settle) + (l->brief.first != 0);
	l->counters.merging = l->merged.n;
	l->counters.pending_max = l->settle.high_water;
	l->counters.rescans_waiting = l->n_rescans + (l->scan != NULL);
}

/* What is left is judged as it is now, as far as time allows. */
static void live_finish(struct live *l)
{
	uint64_t deadline = clock_boot_ns() + LIVE_STOP_NS;
	size_t batches = queue_depth(l->o.in);

	l->seen = UINT64_MAX;
	/* The sensor goes on until it is stopped after us: only what was there counts. */
	for (; clock_boot_ns() < deadline; batches -= batches > 0) {
		intake_mail(l);
		live_dispatch(l, UINT64_MAX);
		if (!l->in_flight && !batches)
			break;
		if (!live_wait(l, clock_boot_ns() + LIVE_BUSY_NS))
			usleep(1000); /* the inbox is closed: only results are to come */
	}
	merge_flush(l, 0, true);
	hold_flush(l);
}

/* What the sensor says it handed over has been taken over once the inbox is empty. */
static void live_seen(struct live *l)
{
	uint64_t seen = l->o.seen && !l->stopping ? l->o.seen(l->o.data) : UINT64_MAX;

	if (queue_depth(l->o.in) == 0)
		l->seen = seen;
}

static void *live_main(void *data)
{
	struct live *l = data;

	pthread_setname_np(pthread_self(), "live");
	while (!l->stopping) {
		uint64_t next, merged, fresh, held, brief;

		live_seen(l);
		intake_mail(l);
		rescan_step(l);
		fresh = fresh_flush(l, clock_boot_ns());
		next = live_dispatch(l, clock_boot_ns());
		merged = merge_flush(l, clock_boot_ns(), false);
		held = hold_step(l);
		brief = brief_step(l, clock_boot_ns());
		live_count(l);
		if (!live_wait(l, MIN(MIN(fresh, MIN(held, brief)), MIN(next, merged))))
			usleep(1000); /* the inbox was closed: mail still comes */
	}
	live_finish(l);
	return NULL;
}

/* --- workers */

static int live_step(void *data, uint64_t bytes)
{
	const struct live *l = data;

	(void)bytes;
	return l->abort;
}

/* The reader is given up when there was nothing to do for a while: it has large buffers. */
static struct job *live_next_job(struct live *l, struct file_reader **reader)
{
	int timed_out = 0;
	struct job *j = queue_pop_until(l->jobs, clock_mono_ns() + LIVE_IDLE_NS, &timed_out);

	if (j || !timed_out)
		return j;
	if (*reader)
		file_reader_free(TAKE_PTR(*reader));
	return queue_pop(l->jobs);
}

static void *live_worker(void *data)
{
	struct live *l = data;
	_cleanup_close_ int rootfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(file_reader_free_p) struct file_reader *reader = NULL;
	struct job *j;

	pthread_setname_np(pthread_self(), "hash");
	while ((j = live_next_job(l, &reader))) {
		int r = rootfd < 0 ? -EIO : reader ? 0 : file_reader_new(&l->read, &reader);

		if (r < 0)
			j->error = r;
		else
			evaluate_read(reader, rootfd, j);
		live_post(l, &j->message);
	}
	return NULL;
}

static int live_start_workers(struct live *l)
{
	unsigned n = l->conf->limits.hash_threads ? (unsigned)MIN(l->conf->limits.hash_threads, LIVE_WORKERS_MAX)
						  : (unsigned)MIN(sysconf(_SC_NPROCESSORS_ONLN), LIVE_WORKERS_MAX);
	int r = queue_new(LIVE_JOBS_MAX, &l->jobs);

	for (unsigned i = 0; r == 0 && i < MAX(n, 1); i++) {
		r = -pthread_create(&l->workers[i], NULL, live_worker, l);
		l->n_workers += r == 0;
	}
	return r;
}

/* --- start and stop */

static void live_linked(const char *path, void *data)
{
	struct live *l = data;

	if (l->o.noticed)
		l->o.noticed(path, true, false, l->o.data);
}

static void live_free(struct live *l)
{
	struct message *m, *next;

	for (m = mail_take(&l->mail); m; m = next) {
		next = m->next;
		if (m->kind == MESSAGE_RESULT)
			evaluate_free((struct job *)m);
		else
			free(m);
	}
	for (m = mail_take(&l->candidates); m; m = next) {
		next = m->next;
		free(m);
	}
	for (size_t i = 0; i < LIVE_MOVES_MAX; i++) {
		free(l->moves[i].from);
		free(l->moves[i].to);
		if (l->moves[i].process)
			process_unref(l->moves[i].process);
	}
	fresh_free(l);
	hold_free(l);
	approved_free(l->approved);
	differ_free(l->differ);
	cleanup_close(&l->rootfd);
	brief_end(l);
	buf_free(&l->brief.dir);
	buf_free(&l->brief.doubts);
	buf_free(&l->brief.above);
	settle_free(&l->settle);
	if (l->states)
		states_close(l->states);
	if (l->jobs)
		queue_free(l->jobs);
	pathmap_free(&l->merged);
	arena_free(&l->scope_arena);
	if (l->conf)
		conf_unref(l->conf);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->room);
	pthread_cond_destroy(&l->recheck_wake);
	free(l);
}

bool live_join(struct live *l, pthread_t thread)
{
	struct timespec until = clock_timespec(l->join_until);

	return pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0;
}

/* Readers give up at their next block. */
static void live_abort(struct live *l)
{
	l->abort = 1;
	l->join_until = clock_mono_ns() + LIVE_JOIN_NS;
}

static void live_join_workers(struct live *l, bool *ret_stuck)
{
	if (l->jobs)
		queue_close(l->jobs);
	for (unsigned i = 0; i < l->n_workers; i++)
		*ret_stuck |= !live_join(l, l->workers[i]);
}

/* A read that hangs (a dead disk) cannot be interrupted: its thread ends with the process and keeps what it uses. */
static void live_leave(struct live *l, bool stuck)
{
	if (stuck)
		log_warn("a read hangs; leaving it behind");
	else
		live_free(l);
}

static int live_init(struct live *l, const struct live_options *o, struct buf *err)
{
	int r;

	l->o = *o;
	l->conf = conf_ref((struct conf *)o->conf);
	l->self = getpid();
	l->rootfd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	l->brief.fd = -1;
	l->mail.tail = &l->mail.head;
	l->candidates.tail = &l->candidates.head;
	l->merge_tail = &l->merge_first;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->room, NULL);
	clock_cond_init(&l->recheck_wake);
	r = settle_init(&l->settle, o->conf->limits.pending, o->conf->limits.settle, o->conf->limits.settle_max);
	if (r == 0)
		r = pathmap_init(&l->merged);
	if (r == 0)
		r = states_open(o->db, o->baseline, live_linked, l, &l->stopping, &l->states, err);
	if (r < 0)
		return r;
	l->read = (struct read_options){ .hash_size = o->conf->limits.hash_size,
					 .step = live_step,
					 .step_data = l,
					 .mime = o->mime,
					 .known = o->known,
					 .known_data = o->data };
	r = intake_scope(l);
	if (r < 0)
		buf_printf(err, "baseline %s: its scope cannot be read", o->baseline);
	if (r == 0)
		approved_load(l);
	if (r == 0 && differ_new(o->db, states_baseline(l->states)->algo, false, &l->differ) < 0)
		l->differ = NULL;
	return r < 0 ? r : hold_init(l);
}

int live_start(const struct live_options *o, struct live **ret, struct buf *err)
{
	struct live *l = calloc(1, sizeof(*l));
	bool stuck = false;
	int r = l ? live_init(l, o, err) : -ENOMEM;

	if (r == 0)
		r = live_start_workers(l);
	/* The callbacks may come before this returns, and may want it. */
	if (r == 0) {
		*ret = l;
		r = -pthread_create(&l->thread, NULL, live_main, l);
	}
	if (r == 0) {
		recheck_start(l);
		return 0;
	}
	*ret = NULL;
	if (!err->len)
		buf_printf(err, "live integrity: %s", strerror(-r));
	if (l) {
		live_abort(l);
		live_join_workers(l, &stuck);
		live_leave(l, stuck);
	}
	return r;
}

int live_stop(struct live *l)
{
	bool stuck = false;

	pthread_mutex_lock(&l->lock);
	l->stopping = 1;
	l->progress.stop = 1;
	pthread_cond_broadcast(&l->room);
	pthread_cond_broadcast(&l->recheck_wake);
	pthread_mutex_unlock(&l->lock);
	live_wake(l);
	recheck_stop(l);
	pthread_join(l->thread, NULL);
	live_abort(l);
	rescan_stop(l, &stuck);
	hold_stop(l, &stuck);
	live_join_workers(l, &stuck);
	live_leave(l, stuck);
	return stuck;
}
