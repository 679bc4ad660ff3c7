/*
 * Batches of file events. Owns the batch being made until the queue takes it; runs on the notify thread alone. Nothing
 * is dropped without emit_lost.
 */
#include "watch/emit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/clock.h"
#include "lib/hash.h"

/* A consumer that stands still for longer than this loses events; the kernel keeps queueing meanwhile. */
#define EMIT_WAIT_NS   (5 * NSEC_PER_SEC)
#define EMIT_STEP_NS   NSEC_PER_MSEC
#define EMIT_ARENA_MAX MIB

#define RENAME_OPS (FS_RENAME_FROM | FS_RENAME_TO)

void emit_init(struct emit *e, const struct watch_options *o, const atomic_bool *stop)
{
	e->out = o->out;
	e->procs = o->procs;
	e->gap = o->gap;
	e->data = o->data;
	e->stop = stop;
	e->arena = (struct arena)ARENA_INIT;
	e->seen_until = clock_real_ns();
}

static void forget_process(struct emit *e)
{
	if (e->last_process)
		process_unref(e->last_process);
	e->last_process = NULL;
	e->last_pid = 0;
}

/* Back to an empty batch; what it held is somebody else's now, or gone. */
static void start_over(struct emit *e)
{
	forget_process(e);
	e->arena = (struct arena)ARENA_INIT;
	if (e->n)
		memset(e->index, 0, sizeof(e->index));
	e->n = 0;
}

static void drop_events(struct fs_event *events, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (events[i].process)
			process_unref(events[i].process);
}

void emit_free(struct emit *e)
{
	drop_events(e->events, e->n);
	arena_free(&e->arena);
	start_over(e);
}

void fs_batch_free(struct fs_batch *b)
{
	if (!b)
		return;
	drop_events(b->events, b->n);
	arena_free(&b->arena);
	free(b);
}

void emit_begin(struct emit *e, uint64_t boot_ns)
{
	e->boot_ns = boot_ns;
}

uint64_t emit_new_key(struct emit *e)
{
	return ++e->next_key;
}

/* Processes come in runs: the last one is remembered within a batch. */
static struct process *author(struct emit *e, int32_t pid)
{
	if (pid <= 0 || !e->procs)
		return NULL;
	if (pid != e->last_pid) {
		forget_process(e);
		e->last_process = proc_table_get(e->procs, pid, false);
		e->last_pid = pid;
	}
	return e->last_process ? process_ref(e->last_process) : NULL;
}

static bool same(const struct fs_event *have, const struct emit_event *ev)
{
	return have->pid == ev->pid && strcmp(have->path, ev->path) == 0;
}

/*
 * A rename joins what is known of the name, but a name has one second path only. A rescan stands alone, and so does
 * what is told of an inode.
 */
static bool can_merge(const struct fs_event *have, const struct emit_event *ev)
{
	if ((have->ops | ev->ops) & FS_LINK)
		return (have->ops & ev->ops & FS_LINK) && have->ino == ev->ino && have->dev == ev->dev;
	if ((have->ops | ev->ops) & (FS_RESCAN | FS_DEVICE))
		return have->ops == ev->ops;
	return !(ev->ops & RENAME_OPS) || !(have->ops & RENAME_OPS);
}

static bool merge(struct emit *e, struct fs_event *have, const struct emit_event *ev)
{
	const char *path2 = NULL;

	if (!can_merge(have, ev))
		return false;
	if (ev->path2 && !have->path2) {
		path2 = arena_strdup(&e->arena, ev->path2);
		if (!path2)
			return false;
		have->path2 = path2;
	}
	have->ops |= ev->ops;
	have->is_dir |= ev->is_dir;
	return true;
}

static bool append(struct emit *e, const struct emit_event *ev, uint32_t hash, uint16_t *slot)
{
	struct fs_event *have = &e->events[e->n];
	const char *path = arena_strndup(&e->arena, ev->path, ev->len);
	const char *path2 = ev->path2 ? arena_strdup(&e->arena, ev->path2) : NULL;
	const char *text = ev->text ? arena_strdup(&e->arena, ev->text) : NULL;

	if (!path || (ev->path2 && !path2) || (ev->text && !text))
		return false;
	*have = (struct fs_event){
		.ops = ev->ops,
		.is_dir = ev->is_dir,
		.pid = ev->pid,
		.process = author(e, ev->pid),
		.path = path,
		.path2 = path2,
		.text = text,
		.dev = ev->dev,
		.ino = ev->ino,
		.boot_ns = e->boot_ns,
	};
	e->hashes[e->n] = hash;
	*slot = (uint16_t)++e->n;
	return true;
}

void emit_add(struct emit *e, const struct emit_event *ev)
{
	uint32_t hash = (uint32_t)(hash_bytes((uint32_t)ev->pid, ev->path, ev->len) >> 32);
	uint32_t i;

	if (e->n == EMIT_BATCH_MAX || e->arena.used > EMIT_ARENA_MAX)
		emit_flush(e);
	/* The newest event of a path is found: one that could not be merged took over the slot. */
	for (i = hash % EMIT_INDEX; e->index[i]; i = (i + 1) % EMIT_INDEX) {
		uint32_t at = e->index[i] - 1U;

		if (e->hashes[at] != hash || !same(&e->events[at], ev))
			continue;
		if (merge(e, &e->events[at], ev)) {
			atomic_fetch_add_explicit(&e->merged, 1, memory_order_relaxed);
			return;
		}
		break;
	}
	if (!append(e, ev, hash, &e->index[i]))
		emit_lost(e, 1, "out of memory");
	else
		atomic_fetch_add_explicit(&e->kept, 1, memory_order_relaxed);
}

void emit_rescan(struct emit *e, const char *path, const char *text)
{
	struct emit_event ev = { .ops = FS_RESCAN, .is_dir = true, .path = path, .len = strlen(path), .text = text };

	emit_add(e, &ev);
}

static int push(struct emit *e, struct fs_batch *b)
{
	const struct timespec step = { 0, EMIT_STEP_NS };
	uint64_t deadline = 0;
	int r;

	while ((r = queue_try_push(e->out, b)) == -EAGAIN) {
		uint64_t now = clock_mono_ns();

		if (!deadline)
			deadline = now + EMIT_WAIT_NS;
		/* Once events are lost, waiting again for each batch would only lose more. */
		if (e->losing || now > deadline || atomic_load(e->stop))
			break;
		nanosleep(&step, NULL);
	}
	return r;
}

static struct fs_batch *make_batch(struct emit *e)
{
	struct fs_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->events = arena_dup(&e->arena, e->events, e->n * sizeof(e->events[0]));
	if (!b->events) {
		free(b);
		return NULL;
	}
	b->n = e->n;
	b->real_ns = clock_real_ns();
	b->boot_ns = e->boot_ns;
	b->arena = e->arena;
	return b;
}

void emit_flush(struct emit *e)
{
	struct fs_batch *b;
	uint32_t n = e->n;

	if (!n)
		return;
	b = make_batch(e);
	if (!b) {
		emit_free(e);
		emit_lost(e, n, "out of memory");
		return;
	}
	start_over(e);
	if (e->take) {
		e->take(b, e->data);
		return;
	}
	if (push(e, b) < 0) {
		fs_batch_free(b);
		emit_lost(e, n, "the monitor does not keep up");
	}
}

static void tell_loss(struct emit *e)
{
	const struct watch_gap g = { .reason = GAP_QUEUE_OVERFLOW,
				     .scope = "/",
				     .detail = e->lost_why,
				     .lost = e->lost,
				     .key = e->lost_key,
				     .from = e->lost_from };

	e->gap(&g, e->data);
}

void emit_lost(struct emit *e, uint64_t n, const char *why)
{
	atomic_fetch_add_explicit(&e->overflows, 1, memory_order_relaxed);
	if (e->take)
		return;
	e->lost += n;
	if (e->losing)
		return;
	e->losing = true;
	e->lost_key = emit_new_key(e);
	e->lost_why = why;
	e->lost_from = e->seen_until;
	tell_loss(e);
}

/* A batch of its own that holds nothing but the request. */
static struct fs_batch *rescan_all(struct emit *e)
{
	struct fs_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->events = arena_zalloc(&b->arena, sizeof(*b->events));
	if (!b->events) {
		free(b);
		return NULL;
	}
	b->events[0] = (struct fs_event){ .ops = FS_RESCAN, .is_dir = true, .path = "/", .boot_ns = e->boot_ns };
	b->events[0].text = e->lost_why;
	b->n = 1;
	b->real_ns = clock_real_ns();
	b->boot_ns = e->boot_ns;
	return b;
}

void emit_retry(struct emit *e)
{
	struct fs_batch *b;

	if (!e->losing)
		return;
	b = rescan_all(e);
	if (!b || queue_try_push(e->out, b) < 0) {
		fs_batch_free(b);
		return;
	}
	/* The number is final now; whoever keeps the gap closes it when the rescan is through. */
	tell_loss(e);
	e->losing = false;
	e->lost = 0;
}
