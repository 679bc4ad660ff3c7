/*
 * File events from the kernel, whatever the sensor: fanotify group N (watch/fanotify.c) or, where that cannot be,
 * inotify (watch/inotify.c). Both run one thread ("notify") that reads, decodes, filters by scope and hands over
 * batches.
 */
#ifndef WATCH_WATCH_H
#define WATCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/conf.h"
#include "event/event.h"
#include "lib/arena.h"
#include "lib/queue.h"
#include "proc/table.h"

enum fs_op {
	FS_OPEN = 1 << 0,
	FS_MODIFY = 1 << 1,
	FS_CLOSE_WRITE = 1 << 2,
	FS_CREATE = 1 << 3,
	FS_DELETE = 1 << 4,
	FS_RENAME_FROM = 1 << 5, /* the name went away by rename; path2 is where to, NULL when out of scope */
	FS_RENAME_TO = 1 << 6,	 /* the name came by rename; path2 is where from, NULL when from outside the scope */
	FS_ATTRIB = 1 << 7,
	FS_EXEC = 1 << 8, /* of names for files in the making (place_is_temporary), and of package managers anywhere */
	FS_RESCAN = 1 << 9,  /* not an event: everything below path is to be looked at again (why in text) */
	FS_LINK = 1 << 11,   /* inode dev:ino, perhaps that of a guarded file, got a name by link(2), or was changed
				shortly after that: the other ops tell what happened to it, path is that name, or just the
				mount point of its file system */
	FS_DEVICE = 1 << 10, /* path is the device node of a watched file system, and somebody wrote to it */
};

/* One event, after the kernel's merging: several ops of one process on one name, order unknown. */
struct fs_event {
	uint32_t ops;
	bool is_dir;
	int32_t pid;
	struct process *process; /* counted; NULL when unknown */
	const char *path;	 /* absolute, as the host sees it */
	const char *path2;
	const char *text;
	uint64_t dev, ino; /* FS_LINK, as statx has them */
	uint64_t boot_ns;  /* when it was read */
	uint8_t actor;	   /* for whoever takes it (fim/hold.h); sensors leave it 0 */
};

struct fs_batch {
	struct arena arena;
	uint64_t real_ns, boot_ns;
	uint32_t n;
	struct fs_event *events;
};

void fs_batch_free(struct fs_batch *b); /* drops the process references too */

/* What the sensor tells the daemon, on the sensor's thread. Closing: same key, closed true. */
struct watch_gap {
	enum gap_reason reason;
	const char *scope;
	const char *detail;
	uint64_t lost;
	uint64_t key;
	bool closed;
	uint64_t from; /* real ns: up to then nothing is missing; 0: now */
};

struct watch_mark {
	const char *mountpoint; /* path that is used to open and mark */
	const char *fstype;
	const char *source;
	uint64_t dev;
	bool marked;
	bool layers;	 /* it is watched for layers of containers alone: nothing there is guarded */
	const char *why; /* when it is not */
};

struct watch_stats {
	uint64_t events, kept, dropped, overflows, marks, wanted; /* wanted: file systems that hold a configured path */
	uint64_t handle_hits, handle_misses;
	uint64_t merged;  /* events that joined an earlier one of their batch */
	uint64_t stale;	  /* events in folders that were gone before their name could be asked for */
	uint64_t watches; /* folders that inotify watches */
	uint64_t linked;  /* names of guarded files with several links */
	size_t depth;	  /* batches in the queue */
};

struct watch_options {
	const struct conf *conf;
	struct proc_table *procs;
	struct queue *out; /* of struct fs_batch; when it is full the sensor counts, tells a gap and asks for FS_RESCAN
			      later */
	void (*gap)(const struct watch_gap *g, void *data);
	/*
	 * Every access (create, close of a written file, rename, removal, attributes; opens as configured) on the
	 * marked file systems (with conf.marked also writes), guarded or not, canaries and the daemon's own left out:
	 * takes over b. On the sensor's
	 * thread; must not wait. A rename is one event: path from, path2 to. NULL: they are not asked for. fanotify
	 * alone tells them.
	 */
	void (*accesses)(struct fs_batch *b, void *data);
	void *data;
	const char *state_dir; /* events of the daemon's own files below here are dropped (but canary files) */
	bool small_queue;      /* tests: the kernel's default queue (16384 events) instead of an unlimited one */
};

/*
 * Files whose last name begins so are passed on wherever they are on a marked file system, whoever writes them: the
 * daemon's end-to-end test of the event path.
 */
#define WATCH_CANARY_PREFIX ".holdfast-canary-"

struct watch;

/* sensor NULL: fanotify, else inotify with a GAP_WEAK_SENSOR; "fanotify" or "inotify": just that one. Marks are in
 * place when this returns. */
int watch_start(const struct watch_options *o, const char *sensor, struct watch **ret, struct buf *err);
void watch_stop(struct watch *w);
/* New configuration: marks are added first, then taken away. */
int watch_reload(struct watch *w, const struct conf *conf);
const char *watch_sensor(const struct watch *w);
/*
 * Boot ns: whatever happened before was read and handed over, to `out` and to `accesses`. What a file is now may be
 * ahead of that on a machine that is late. Any thread.
 */
uint64_t watch_seen(struct watch *w);
void watch_get_stats(struct watch *w, struct watch_stats *ret);
/* Each file system in scope, for status and canary. fn non-zero ends. */
int watch_each_mark(struct watch *w, int (*fn)(const struct watch_mark *m, void *data), void *data);
/*
 * fn is called after each round that set marks (a mount came or went, another configuration), on the sensor's thread.
 * NULL: no more, and no call is running when this returns.
 */
void watch_on_marks(struct watch *w, void (*fn)(void *data), void *data);
/* Sensitive files and folders in `path` (or path itself) are marked for opens (again): after create, rename, at start.
 * Any thread. */
void watch_mark_sensitive(struct watch *w, const char *path);
/*
 * `path` is a guarded file with more than one link: a change made through another name of it, in scope or not, is
 * reported under this path too. Any thread; may be called again for the same path. Bounded (65536 paths); beyond that a
 * GAP_LIMIT is told. Without effect where inotify watches: it follows names.
 */
void watch_add_linked(struct watch *w, const char *path);

#endif
