/*
 * The table of paths that something happened to and that are not judged yet. Each waits until it is quiet, so that many
 * writes are one change and a temporary file renamed over another is one change. One thread; no I/O.
 *
 * When a path is due:
 *  - written and closed, renamed, removed, attributes set: `settle` after the last event, at the latest `settle_max`
 * after the first one;
 *  - written and still open: when it is closed, at the latest after `settle_max`;
 *  - each time a path had to be judged without having come to rest, its patience doubles, up to SETTLE_PATIENCE_MAX, so
 * that a log that is written all the time is not read all the time;
 *  - a path whose reading took long is not read again before SETTLE_COST_FACTOR times as long has passed;
 *  - names that package managers and editors use for files in the making get SETTLE_TEMPORARY;
 *  - candidates (paths a rescan named) after SETTLE_CANDIDATE: the event that tells who did it may still be on its way.
 */
#ifndef FIM_SETTLE_H
#define FIM_SETTLE_H

#include <stdbool.h>

#include "fim/pathmap.h"
#include "watch/watch.h"

#define SETTLE_PATIENCE_MAX (60 * NSEC_PER_SEC)
#define SETTLE_COST_FACTOR  20
#define SETTLE_TEMPORARY    (10 * NSEC_PER_SEC)
#define SETTLE_CANDIDATE    (250 * NSEC_PER_MSEC)
#define SETTLE_GONE_MAX	    (10 * NSEC_PER_SEC)
#define SETTLE_GONE_STEP    (5 * NSEC_PER_MSEC)
#define SETTLE_BYTES	    1024 /* for each entry of the limit; long names use up more than one's share */

/* What events and rescans told about a path. */
struct facts {
	uint32_t ops;		 /* enum fs_op */
	uint64_t first, last;	 /* boot ns of the first and last event */
	struct process *process; /* the last that changed it; owned reference */
	char *from;		 /* renamed from; NULL: not, or from outside */
	char *to;		 /* renamed to; "" for out of scope */
	const char *cause;	 /* of a candidate; borrowed from the one that named it */
	int32_t pid;
	bool is_dir;
	bool candidate; /* somebody asked for a look */
	bool scan;	/* the running rescan did, and counts it */
	uint8_t actors; /* enum hold_actor: everybody who had a hand in it */
};

struct pending {
	struct path_node node; /* node.path: the path, owned */
	struct facts facts;    /* not looked at yet */
	struct facts taken;    /* being judged, while busy */
	size_t heap;	       /* position, SIZE_MAX when not in the heap */
	uint64_t due;
	uint64_t patience;   /* 0: settle_max */
	uint64_t rest_until; /* not judged before */
	uint64_t gone_ns;    /* boot ns: it was found gone, and no event had told so; 0: it was not */
	uint16_t waited;     /* times it gave way to the other end of its rename */
	bool writer_open;    /* written or created, and not closed since */
	bool busy;
	bool impatient; /* taken without having come to rest */
};

struct settle {
	struct pathmap map;
	struct pending **heap;
	size_t n_heap, heap_size;
	size_t limit, high_water;
	size_t bytes; /* of all entries, with names as long as a rename may make them */
	uint64_t settle, settle_max;
};

int settle_init(struct settle *s, size_t limit, uint64_t settle_ns, uint64_t settle_max_ns);
void settle_free(struct settle *s);
struct pending *settle_find(const struct settle *s, const char *path);
/* Takes note of an event. -ENOSPC: the table is full (by count or by bytes), nothing was noted. -ENOMEM. */
int settle_event(struct settle *s, const struct fs_event *e);
/* A path to look at now. An entry that is there keeps what it knows and becomes due. from may be NULL. */
int settle_candidate(struct settle *s, const char *path, const char *from, uint64_t now, struct pending **ret);
/* Takes the next one that is due: busy, its facts moved to `taken`, until settle_done or settle_put_back. NULL: none.
 */
struct pending *settle_take(struct settle *s, uint64_t now);
/* When the next one is due; UINT64_MAX: none. */
uint64_t settle_next(const struct settle *s);
/* Puts one that was taken back, due at `due`, with everything it had and what came meanwhile. */
void settle_put_back(struct settle *s, struct pending *p, uint64_t due);
/*
 * A look that began at `looked` found gone one that was there. True: no event has told of that yet, and it was put back
 * until the sensor has handed over all that happened by then (seen, boot ns, taken over by the caller), for
 * SETTLE_GONE_MAX at most: it may have been renamed.
 */
bool settle_doubts(struct settle *s, struct pending *p, uint64_t looked, uint64_t seen, uint64_t now);
/* Makes it due no later than `due`. */
void settle_hasten(struct settle *s, struct pending *p, uint64_t due);
/* It was judged: cost is the time its reading took. Forgotten unless events came meanwhile or it has to rest. */
void settle_done(struct settle *s, struct pending *p, uint64_t now, uint64_t cost);
static inline size_t settle_count(const struct settle *s)
{
	return s->map.n;
}

#endif
