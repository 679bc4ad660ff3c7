/*
 * Bounded queue of pointers between threads, any number of producers and consumers. Ownership of an item
 * moves with it.
 */
#ifndef LIB_QUEUE_H
#define LIB_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/cleanup.h"

struct queue;

int queue_new(size_t capacity, struct queue **ret);
/* The queue must be empty or its items owned elsewhere. */
void queue_free(struct queue *q);
/* Blocks while full. 0, or -EPIPE when the queue is closed (the caller keeps the item). */
int queue_push(struct queue *q, void *item);
/* Never blocks: 0, -EAGAIN when full, -EPIPE when closed. */
int queue_try_push(struct queue *q, void *item);
/* Blocks while empty. NULL only when the queue is closed and drained. */
void *queue_pop(struct queue *q);
/* As queue_pop, but gives up at the CLOCK_MONOTONIC time deadline_ns: then NULL, and *ret_timed_out is 1. */
void *queue_pop_until(struct queue *q, uint64_t deadline_ns, int *ret_timed_out);
/*
 * For a queue with one consumer, before it is used: items that come in quick succession, less than two pace_ns apart,
 * wake it once for what came in pace_ns, or when the queue is half full; what comes alone wakes it at once.
 */
void queue_set_pace(struct queue *q, uint64_t pace_ns);
/*
 * Before it is used: it is full, too, when what is in it weighs more than max with another item, unless it is empty.
 * weigh is called with the queue locked, and says the same as long as the item is inside.
 */
void queue_set_weight(struct queue *q, size_t max, size_t (*weigh)(const void *item));
/* No more pushes; consumers drain what is there and then get NULL. */
void queue_close(struct queue *q);
size_t queue_depth(struct queue *q);
size_t queue_high_water(struct queue *q);

DEFINE_CLEANUP(struct queue *, queue_free)
#define _cleanup_queue_ _cleanup_(queue_free_p)

#endif
