/*
 * What the parts of the sensors share: the struct behind watch.h, and what watch.c calls of each sensor. Everything
 * here belongs to the notify thread, but what says otherwise.
 */
#ifndef WATCH_INTERNAL_H
#define WATCH_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/fstype.h"
#include "watch/emit.h"
#include "watch/gaps.h"
#include "watch/linked.h"
#include "watch/mounts.h"
#include "watch/watch.h"

#define WATCH_MOUNTINFO "/proc/self/mountinfo"
/* Gap keys count up from 1; this one is told from other threads. */
#define WATCH_KEY_LINKED UINT64_MAX

struct fan;
struct ino;

/* Requests of other threads; the lock guards the whole struct. */
struct watch_inbox {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct conf *conf;    /* counted; NULL: no reload asked for */
	uint64_t reloads;     /* done */
	struct buf sensitive; /* paths, each with its NUL */
};

/* What status asks for: a copy, so that no lock is held while marks change. */
struct watch_published {
	pthread_mutex_t lock;
	struct arena arena;
	struct watch_mark *marks;
	size_t n;
};

/* Who follows the marks; the lock is held while it is called. */
struct watch_follower {
	pthread_mutex_t lock;
	void (*fn)(void *data);
	void *data;
};

struct watch {
	struct watch_options o; /* o.conf is not used: conf below is */
	struct conf *conf;	/* counted */
	struct emit emit;
	struct emit accesses; /* take is NULL when nobody wants them */
	struct gaps gaps;
	struct mount_table mounts;
	struct buf unmounted; /* mount points of disk file systems that went away, each with its NUL */
	int mountinfo;	      /* descriptor to poll; -1 when there is none */
	int wake;
	int32_t pid;	     /* our own */
	uint64_t mounts_due; /* CLOCK_MONOTONIC ns: when to look at the mounts again; 0: nothing changed */
	uint64_t mounts_read;
	struct fan *fan;       /* NULL: inotify alone */
	struct ino *ino;       /* NULL: nothing that fanotify cannot mark */
	struct linked *linked; /* thread-safe */
	pthread_t thread;
	bool running;
	bool weak; /* inotify stands in for fanotify as a whole */
	char *weak_why;
	atomic_bool linked_full;
	atomic_bool stop;
	/* For watch_seen. turn: odd while the thread is at work, even while it waits; fds: what it waits for then. */
	_Atomic uint64_t seen, turn; /* seen: boot ns */
	_Atomic int fds[2];
	struct watch_inbox inbox;
	struct watch_published published;
	struct watch_follower follower;
	_Atomic uint64_t events, dropped, stale, marks, wanted, watches, handle_hits, handle_misses;
};

static inline void watch_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* fanotify: -EPERM, -ENOSYS... when the group cannot be had (text in err). */
int fan_new(struct watch *w, struct fan **ret, struct buf *err);
void fan_free(struct fan *f);
int fan_fd(const struct fan *f);
/* Reads what is queued, with a bound. True: nothing was left. */
bool fan_read(struct fan *f);
/* It held a file system open for a moment, in which that could not be unmounted. */
bool fan_opened(const struct fan *f);
/*
 * Configuration or mounts changed: marks are set and taken away, gaps held. Between gaps_begin and gaps_end.
 * opens_changed: what the configuration says of opens may be different.
 */
void fan_update(struct fan *f);
/* What is known of folders follows from a configuration that is gone. */
void fan_forget(struct fan *f);
/* Opens of what is sensitive at or below path are watched from now on. */
void fan_mark_sensitive(struct fan *f, const char *path);
/* Adds the file systems to a. */
int fan_publish(const struct fan *f, struct arena *a, struct watch_mark **ret, size_t *ret_n);
/* Mount points that fanotify cannot mark and inotify could watch: fn for each. */
bool fan_is_stand_in(const struct fan *f, const struct mount *m);

/* inotify. alone: for everything, else just for the mounts for which fan_is_stand_in. */
int ino_new(struct watch *w, bool alone, struct ino **ret, struct buf *err);
void ino_free(struct ino *i);
int ino_fd(const struct ino *i);
/* As fan_read. */
bool ino_read(struct ino *i);
void ino_update(struct ino *i);
int ino_publish(const struct ino *i, struct arena *a, struct watch_mark **ret, size_t *ret_n);

#endif
