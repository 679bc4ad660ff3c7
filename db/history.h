/*
 * History: an append-only table of events (changes, opens, gaps, accepts...), chained by digest in batches. Every
 * commit that added rows seals one batch: digest over the batch before it and every new row, signed, and written to the
 * head file outside the database. Rows never change: what became of a deviation (accepted, reverted, excused) is a
 * later row that refers to it, and the views work out the status.
 */
#ifndef DB_HISTORY_H
#define DB_HISTORY_H

#include "db/db.h"
#include "db/sign.h"
#include "event/event.h"

/* The key that seals batches on this connection; borrowed. Without one, adding is refused (-ENOKEY). */
void history_set_key(struct db *d, const struct sign_key *key);
/* Adds one row inside a transaction; sets e->id. A closing EVENT_GAP (gap_to set) refers to its opening by gap_key. */
int history_add(struct db *d, struct event *e);

/*
 * Chain and signatures from the oldest kept batch to the head; the head file must agree. 0, or -EBADMSG with what is
 * wrong in err
 * ("row 17 of batch 3 was changed", "history ends at 812, the head file says 900: rows were removed or an older
 * database was put in place", "head file missing").
 */
int history_verify(struct db *d, const struct sign_key *pub, struct buf *err);
/* Only the newest batch against the head file: cheap, at each start. */
int history_check_head(struct db *d, const struct sign_key *pub, struct buf *err);

struct history_filter {
	uint64_t since, until; /* real ns; 0: open */
	const char *path;      /* exact, folder (everything below), or glob; NULL: all */
	uint32_t kinds;	       /* 1u << enum event_kind; 0: all */
	int32_t pid;	       /* 0: all */
	int64_t after_id;      /* only rows with a larger id (for --follow) */
	uint64_t limit;	       /* 0: none */
	bool oldest_first;
	const char *baseline;  /* NULL: all */
	const char *container; /* name, id (or its first 12 digits or more), pod, namespace/pod; NULL: all */
	/*
	 * What a person did, by account name or number: processes of that login user, whoever they became; where there
	 * is no login user, processes of that user and, but for root, what descends from them; sessions that the
	 * account began, and attempts to. NULL: all.
	 */
	const char *user;
	bool open_only;	   /* deviations that are still open */
	int64_t answers;   /* only actions that answer the alert of this number; 0: all */
	uint64_t response; /* only actions of the response of this number; 0: all */
};
/* Rebuilds each event (status worked out) and hands it to fn; fn non-zero ends with it. */
int history_each(struct db *d, const struct history_filter *f, int (*fn)(struct event *e, void *data), void *data);
/* A name that history tells of, by the newest change of it. */
struct history_name {
	const char *path;
	enum change change;
	struct record rec; /* with have != 0: what was there after it */
};
/*
 * Each path at which, at or below the folder `below`, something changed against the baseline of that name; a path that a
 * file was renamed onto by itself, too. Linear in the rows of history, however many there are of one path, and with no
 * statement open while fn runs; fn non-zero ends with it, and is returned.
 */
int history_each_name(struct db *d, const char *baseline, const char *below,
		      int (*fn)(const struct history_name *n, void *data), void *data);
/* The row of that number; new reference. -ENOENT: there is none (any more). */
int history_get(struct db *d, int64_t id, struct event **ret);
/* The newest deviation of a path (as history_last_state), when it is excused; new reference. -ENOENT: it is not. */
int history_last_excused(struct db *d, int64_t baseline, const char *layer, const char *path, struct event **ret);

/*
 * The state of a path as history last saw it: 0 with *ret_exists false (removed) or true and the record (in a); -ENOENT
 * when history has nothing newer than the baseline's record. A reverted path is as it was when it was reverted: its
 * times and inode need not be those of the baseline.
 */
int history_last_state(struct db *d, int64_t baseline, const char *path, struct arena *a, bool *ret_exists,
		       struct record *ret);
/* The same in a container: baseline is its image's, path as in the container, layer the host path of its writable one.
 */
int history_last_layer_state(struct db *d, int64_t baseline, const char *layer, const char *path, struct arena *a,
			     bool *ret_exists, struct record *ret);
/*
 * What is mounted over a path in the container of that id, as cause says (and perhaps by whom, behind it), when it was
 * told and is not over. A new reference; ret NULL: only whether. -ENOENT.
 */
int history_mounted(struct db *d, int64_t baseline, const char *container, const char *path, const char *cause,
		    struct event **ret);
/* All that is mounted so, in all containers, oldest first; fn non-zero ends with it. */
int history_open_mounts(struct db *d, int (*fn)(struct event *e, void *data), void *data);
/* Gap rows left open by an earlier run. */
int history_open_gaps(struct db *d, int (*fn)(struct event *e, void *data), void *data);
/* When an earlier run last wrote (its heartbeat or last row), 0 when never. The daemon calls history_alive at each
 * commit interval at most once in 10 s; it is how the DOWN gap knows its start after kill -9. */
int history_alive(struct db *d, uint64_t now_ns, bool clean_exit);
int history_last_alive(struct db *d, uint64_t *ret_ns, bool *ret_clean);
/* The first heartbeat of a run. down_since: what history_last_alive said before; it goes on saying that until the row
 * of a GAP_DOWN is there, or a run that ends as it starts would hide since when there was none. */
int history_begin(struct db *d, uint64_t down_since, uint64_t now_ns);

/*
 * Bounds: removes whole batches, oldest first, until the file fits max_size and holds nothing older than max_age;
 * records what it pruned (signed), keeps open deviations' and open gaps' rows. Bounded work per call; *ret_more says
 * call again.
 */
int history_prune(struct db *d, uint64_t max_size, uint64_t max_age, uint64_t now_ns, bool *ret_more);

#endif
