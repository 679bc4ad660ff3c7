/*
 * Event loop over epoll, for the main thread: descriptors, timers (timerfd), signals (signalfd), and a wake-up
 * from other threads (eventfd). Callbacks return 0, or a negative errno that ends loop_run with it.
 */
#ifndef LIB_LOOP_H
#define LIB_LOOP_H

#include <signal.h>
#include <stdint.h>

#include "lib/cleanup.h"

struct loop;
struct loop_source;

typedef int (*loop_fn)(struct loop_source *source, uint32_t epoll_events, void *data);

int loop_new(struct loop **ret);
void loop_free(struct loop *l);
/* The descriptor stays the caller's. A source lives until loop_remove or loop_free. */
int loop_add_fd(struct loop *l, int fd, uint32_t epoll_events, loop_fn fn, void *data, struct loop_source **ret);
/* CLOCK_MONOTONIC. First after first_ns, then every interval_ns (0: once); both 0: not armed. */
int loop_add_timer(struct loop *l, uint64_t first_ns, uint64_t interval_ns, loop_fn fn, void *data,
		   struct loop_source **ret);
int loop_set_timer(struct loop_source *timer, uint64_t first_ns, uint64_t interval_ns);
/* Blocks the signal in the calling thread (start threads after this so that they inherit the mask). */
int loop_add_signal(struct loop *l, int signo, loop_fn fn, void *data, struct loop_source **ret);
/* fn runs on the loop's thread after any thread called loop_wake on the source; calls merge. */
int loop_add_wake(struct loop *l, loop_fn fn, void *data, struct loop_source **ret);
void loop_wake(struct loop_source *wake);
/* Of a signal's source, in its callback: who sent it. 0: the kernel, or somebody in another pid namespace. */
int32_t loop_signal_sender(const struct loop_source *signal, uint32_t *ret_uid);
int loop_source_fd(const struct loop_source *source);
/* Safe inside any callback, also for the source being called. */
void loop_remove(struct loop_source *source);
/* Runs until loop_stop (0) or a callback's error. */
int loop_run(struct loop *l);
/* On the loop's thread; before loop_run it makes that return at once. */
void loop_stop(struct loop *l);

DEFINE_CLEANUP(struct loop *, loop_free)

#endif
