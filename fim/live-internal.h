/* What the files of live integrity share: live.c (thread, intake), evaluate.c (reading and judging one path), merge.c
 * (opens and transients), brief.c (came and went), fresh.c (new hard links), rescan.c, recheck.c. */
#ifndef FIM_LIVE_INTERNAL_H
#define FIM_LIVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "fim/hold.h"
#include "fim/judge.h"
#include "fim/differ.h"
#include "fim/live.h"
#include "fim/read.h"
#include "fim/scan.h"
#include "fim/settle.h"
#include "fim/states.h"
#include "lib/clock.h"
#include "lib/log.h"

#define LIVE_WORKERS_MAX 2
#define LIVE_JOBS_MAX	 64   /* in flight */
#define LIVE_CANDIDATES	 1024 /* named by a rescan and not taken over yet: then it waits */
#define LIVE_LIST_MAX	 1024 /* names of a new folder that are looked at one by one; more: a rescan */
#define LIVE_RESCANS_MAX 64   /* that wait; then they become one of everything */
#define LIVE_MERGED_MAX	 4096
#define LIVE_MOVES_MAX	 64
#define LIVE_RETRIES	 5
#define LIVE_FRESH_MAX	 256 /* inodes with a new link whose name the baseline is to be asked for */

/* --- mail: how other threads reach the live thread. Only rescans wait for room; the live thread never posts with
 * waiting. */

enum message_kind {
	MESSAGE_RESULT,
	MESSAGE_CANDIDATE,
	MESSAGE_RESCAN,
	MESSAGE_SCANNED,
	MESSAGE_RELOAD,
	MESSAGE_FORGET,
	MESSAGE_HOLD,
	MESSAGE_APPROVALS
};

struct message {
	struct message *next;
	enum message_kind kind;
	void *thing;	  /* struct conf, struct rescan; owned */
	const char *path; /* candidate, forget; "" for none; in the same memory */
};

struct mail {
	struct message *head, **tail;
};

/* --- a look at one path */

struct job {
	struct message message;
	struct arena arena;
	struct pending *p; /* the live thread's; a worker only reads node.path */
	const char *path, *from;
	attr_mask mask;
	bool create_only; /* created and not closed: ask whether it may still be open */
	bool list;	  /* when it is a folder, its names are wanted */
	uint64_t prefix_size;
	bool want_prefix;
	const char *extra_algo; /* a second digest is wanted; NULL: not */
	/* results */
	int error;
	bool still_open;
	struct side now, from_now;
	uint64_t looked; /* boot ns, at its begin */
	bool has_prefix;
	uint8_t prefix[DIGEST_MAX];
	uint8_t extra[DIGEST_MAX];
	size_t extra_len;
	const char **names;
	size_t n_names;
	bool more_names;
	uint64_t cost;
};

/* A guarded inode got a new link. */
struct fresh {
	uint64_t dev, ino, boot_ns;
	uint32_t ops;
	int32_t pid;
	struct process *process; /* counted */
};

struct rescan_done {
	struct rescan_done *next;
	void (*fn)(int err, uint64_t found, void *data);
	void *data;
};

struct rescan {
	struct rescan *next;
	char *path, *cause;
	bool full;
	struct process *process; /* who moved the folder away; NULL */
	struct rescan_done *done;
};

/* A folder that was renamed a moment ago: its content follows. */
struct move {
	char *from, *to;
	struct process *process;
};

struct brief {
	struct buf dir; /* the folder that is asked for names; fd -1: it cannot be */
	int fd;
	struct buf doubts;    /* paths, each with its NUL, that are to be looked up when it is calm */
	struct buf above;     /* a folder above all that there was no room for; empty: none */
	uint64_t first, last; /* boot ns, of them; first 0: none */
};

struct live_counters {
	_Atomic uint64_t events, evaluated, changes, transient, opens, rescans, dropped, errors, latency_max, pending,
		pending_max, merging, rescans_waiting, guarded, unread, rechecked, recheck_rounds, held, excused,
		approvals, undiffed, names;
	_Atomic int64_t baseline;
};

struct live {
	struct live_options o;
	struct conf *conf;
	struct arena scope_arena;
	struct scope scope; /* the baseline's */
	struct read_options read;
	pid_t self;

	pthread_t thread;
	pthread_t workers[LIVE_WORKERS_MAX];
	unsigned n_workers;
	struct queue *jobs;
	unsigned in_flight;

	pthread_mutex_t lock; /* of the mail */
	pthread_cond_t room;
	struct mail mail, candidates;
	size_t n_candidates;
	atomic_bool woken;    /* an empty batch lies in the inbox to wake the live thread */
	_Atomic int stopping; /* scans look at it too */
	_Atomic int abort;    /* readers give up */
	uint64_t join_until;  /* monotonic ns: threads that have not ended by then are left behind */

	struct settle settle;
	uint64_t seen; /* boot ns: all events until then are in it */
	struct states *states;
	struct move moves[LIVE_MOVES_MAX];
	size_t next_move;

	struct brief brief;

	struct fresh fresh[LIVE_FRESH_MAX];
	size_t n_fresh;
	bool fresh_full; /* told already */
	uint64_t fresh_due;

	struct hold *hold;
	struct approved *approved;
	struct differ *differ; /* NULL: no memory for it */
	int rootfd;	       /* -1: none */

	struct pathmap merged;
	struct merge *merge_first, **merge_tail;

	struct rescan *rescans; /* waiting, in order */
	size_t n_rescans;
	struct rescan *scan; /* the one that runs */
	pthread_t scan_thread;
	struct scan_progress progress;
	bool scanned; /* its thread is through */
	int scan_error;
	uint64_t scan_found;
	uint64_t scan_outstanding;

	pthread_t recheck_thread;
	bool recheck_running;
	pthread_cond_t recheck_wake;

	struct live_counters counters;
};

/* --- mail.c */
/* All of a list, in order. The caller holds the lock. */
struct message *mail_take(struct mail *mail);
void live_wake(struct live *l);
void live_post(struct live *l, struct message *m);
/* A path to look at; waits for room. -ECANCELED when stopping. For the threads of rescans. scan: the running rescan
 * counts it. */
int live_post_candidate(struct live *l, const char *path, bool scan);
/* Policy: the configuration's when it covers the path, else the baseline's. False: not guarded. */
bool live_mask(const struct live *l, const char *path, attr_mask *ret);
/* The table is full: the folder of path is looked at as a whole later. */
void live_overflow(struct live *l, const char *path);
/* Folder of a path, in a buffer of the caller. */
void live_dirname(struct buf *b, const char *path);
bool live_below(const char *path, const char *folder);

/* --- live.c */
/* Joins a thread that is about to end; false when it does not. */
bool live_join(struct live *l, pthread_t thread);

/* --- evaluate.c */
/* Starts looking at a pending path that was taken. */
void evaluate_start(struct live *l, struct pending *p);
/* On a worker. */
void evaluate_read(struct file_reader *reader, int rootfd, struct job *j);
/* Judges what a worker found; frees j. */
void evaluate_finish(struct live *l, struct job *j);
void evaluate_free(struct job *j);
/* A folder has another name now (path2 is the old one): what is in it follows. */
void evaluate_note_move(struct live *l, const struct fs_event *e);

/* --- tell.c */
struct told {
	const struct judge_input *in;
	const struct judgement *judgement;
	const struct facts *facts;
	const uint8_t *extra; /* digest by the algorithm of packages; NULL: not read */
	size_t extra_len;
};
/* Tells it, or holds it back until it is known whether a package explains it. */
void tell_change(struct live *l, const struct told *t);
struct change_parts {
	const char *path, *path2;
	enum change change;
	enum deviation_status status;
	attr_mask attributes;
	const struct record *before, *after; /* NULL: absent */
	struct process *process;
	const char *why, *cause; /* why nobody is named; NULL where not */
	uint64_t boot_ns;
};
void tell_parts(struct live *l, const struct change_parts *c);
/* An event of kind about a path, by a process or not. NULL: out of memory. */
struct event *tell_new(struct live *l, enum event_kind kind, const char *path, struct process *process,
		       uint64_t boot_ns);
void tell_emit(struct live *l, struct event *e);

/* --- intake.c */
/* Takes over the batch. */
void intake_batch(struct live *l, struct fs_batch *b);
/* All that has come. */
void intake_mail(struct live *l);
/* What the baseline guards: from it to the live thread's own. */
int intake_scope(struct live *l);

/* --- approved.c */
struct approved;
/* Reads the approvals in force; on failure, which is logged, the old ones stay. */
void approved_load(struct live *l);
void approved_free(struct approved *k);
/* True: somebody approved of this change before it happened; ret_cause says who. */
bool approved_change(const struct live *l, const struct facts *f, const struct change_parts *c, struct buf *ret_cause);

/* --- merge.c */
void merge_open(struct live *l, const struct fs_event *e);
void merge_transient(struct live *l, const char *path, const struct facts *facts);
/* Emits what is due (all: everything). Returns when the next one is due, UINT64_MAX: none. */
uint64_t merge_flush(struct live *l, uint64_t now, bool all);

/* --- brief.c */
/* True: the file of the event came and went, nobody knows it, and that is told now. */
bool brief_event(struct live *l, const struct fs_event *e, bool flood);
/* After a batch of events. */
void brief_end(struct live *l);
/* Looks up what was not certain, when it is time. Returns when it will be; UINT64_MAX: nothing to look up. */
uint64_t brief_step(struct live *l, uint64_t now);

/* --- fresh.c */
void fresh_event(struct live *l, const struct fs_event *e);
/* Asks the baseline for names, when it is time. Returns when it will be; UINT64_MAX: nothing to ask. */
uint64_t fresh_flush(struct live *l, uint64_t now);
void fresh_free(struct live *l);

/* --- rescan.c */
void rescan_request(struct live *l, const char *path, bool full, const char *cause, struct process *process);
void rescan_add(struct live *l, struct rescan *r);
/* Starts the next one, ends the one that is through. */
void rescan_step(struct live *l);
void rescan_scanned(struct live *l, int error);
void rescan_stop(struct live *l, bool *ret_stuck);

/* --- recheck.c */
int recheck_start(struct live *l);
void recheck_stop(struct live *l);

#endif
