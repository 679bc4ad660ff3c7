/*
 * Events on their way out: collects them into batches, merges what repeats, pushes batches to the queue, and keeps
 * account of what could not be handed over. One thread.
 */
#ifndef WATCH_EMIT_H
#define WATCH_EMIT_H

#include <stdatomic.h>

#include "watch/watch.h"

#define EMIT_BATCH_MAX 2048
#define EMIT_INDEX     (EMIT_BATCH_MAX * 2)

struct emit {
	struct queue *out;
	struct proc_table *procs; /* NULL: authors stay unknown */
	void (*gap)(const struct watch_gap *g, void *data);
	void *data;
	void (*take)(struct fs_batch *b, void *data); /* in place of out: gets each batch; nothing is ever lost here */
	const atomic_bool *stop;		      /* ends a wait for room */
	uint64_t next_key;

	struct arena arena; /* strings of the batch being made */
	uint64_t boot_ns;
	uint32_t n;
	struct fs_event events[EMIT_BATCH_MAX];
	uint32_t hashes[EMIT_BATCH_MAX];
	uint16_t index[EMIT_INDEX]; /* 1 + number of an event; 0 free */
	int32_t last_pid;
	struct process *last_process;

	/* An episode of loss: from the first event that could not be handed over until its rescan is on its way. */
	bool losing;
	uint64_t lost_key, lost, lost_from;
	const char *lost_why;
	uint64_t seen_until; /* real ns: all that happened before was read; whoever reads sets it */

	_Atomic uint64_t kept, merged, overflows;
};

struct emit_event {
	uint32_t ops;
	bool is_dir;
	int32_t pid; /* 0: unknown */
	const char *path;
	size_t len; /* of path */
	const char *path2;
	const char *text;
	uint64_t dev, ino; /* FS_LINK */
};

void emit_init(struct emit *e, const struct watch_options *o, const atomic_bool *stop);
void emit_free(struct emit *e);
/* Time that the following events carry. */
void emit_begin(struct emit *e, uint64_t boot_ns);
/* Copies what it keeps. Merged into an earlier event of the batch with the same path and pid when neither has a second
 * path. */
void emit_add(struct emit *e, const struct emit_event *ev);
/* Everything below path is to be looked at again. */
void emit_rescan(struct emit *e, const char *path, const char *text);
/* Hands the batch over. While the queue is full it waits, with a bound; then the batch is lost and accounted for. */
void emit_flush(struct emit *e);
/* n events (0: unknown) were lost: opens a GAP_QUEUE_OVERFLOW and asks for a rescan of everything as soon as there is
 * room. */
void emit_lost(struct emit *e, uint64_t n, const char *why);
/* To be called now and then while e->losing. */
void emit_retry(struct emit *e);
uint64_t emit_new_key(struct emit *e);

#endif
