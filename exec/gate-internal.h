/* What the files of the gate share. Nothing outside exec/gate*.c includes this. */
#ifndef EXEC_GATE_INTERNAL_H
#define EXEC_GATE_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "exec/gate.h"

/* linux/fanotify.h of 6.13 (FD_ERROR, DENY_ERRNO), for builds with older headers. */
#ifndef FAN_REPORT_FD_ERROR
#define FAN_REPORT_FD_ERROR 0x00002000
#endif
#ifndef FAN_DENY_ERRNO
#define FAN_DENY_ERRNO(err) (FAN_DENY | (((uint32_t)(err)&0xff) << 24))
#endif

#define GATE_HOLD_NS   NSEC_PER_SEC	    /* longest life of a lease after the answer */
#define GATE_TICK_NS   (10 * NSEC_PER_MSEC) /* results are handed over in bunches */
#define GATE_CROWD_NS  (25 * NSEC_PER_MSEC) /* the same, where the last bunch was of GATE_CROWD and more */
#define GATE_CROWD     6
#define GATE_FRESH_NS  (20 * NSEC_PER_MSEC) /* ctime may be this coarse: a younger one does not tell versions apart */
#define GATE_WORKERS   4
#define GATE_BUCKETS   1024
#define GATE_BATCH_MAX 128
#define GATE_DEVS_MAX  1024
#define GATE_SIGHTINGS 4096

struct judgement {
	enum exec_verdict verdict;
	enum gate_reason reason;
	enum trust_source source;
	enum exec_type type;
	bool has_digest;
	const char *interpreter; /* as in struct trust_answer */
	bool image;		 /* the baseline of an image holds it: elsewhere the verdict may be another */
	uint8_t digest[EXEC_DIGEST_SIZE];
	char why[TRUST_WHY_MAX];
};

enum slot_origin {
	SLOT_EVENT,   /* a permission event; fd is its descriptor and names it in the answer */
	SLOT_LATE,    /* a process that runs something not judged before: /proc/PID/exe */
	SLOT_ARGV,    /* a script of its command line: fd */
	SLOT_LIBRARY, /* a file that it has mapped to run: fd */
};

/* One start in flight. Under the gate's lock, but for the members that its present owner works on. */
struct slot {
	TAILQ_ENTRY(slot) link; /* free, todo, held or done */
	TAILQ_ENTRY(slot) wait; /* unanswered, oldest first */
	LIST_ENTRY(slot) by_pid;
	TAILQ_HEAD(slot_list, slot) * list; /* which; NULL while a worker or the verdict thread has it */
	enum slot_origin origin;
	int fd, pidfd;
	int real; /* of the layer, when fd is an overlay's; leased in its place */
	int32_t pid;
	bool layers;	/* from a file system that is gated for layers of containers alone */
	bool writer;	/* somebody has it open for writing */
	bool silent;	/* concerns nobody */
	bool answered;	/* somebody gave, or is about to give, the answer */
	bool answering; /* is about to: the descriptor must stay open */
	bool overruled; /* answered before it was judged: the verdict stays what was answered */
	bool judged, denied, seen, ended, leased, cached, recheck, check_argv;
	enum gate_role
		role; /* see slot_role: of an event GATE_MAIN, or GATE_LOADER when the process had opened `before` */
	enum exec_type before; /* what that is, once it is judged */
	bool runs;	       /* its exec was told, and the process runs this file */
	enum gate_reason late_reason;
	const char *interpreter; /* of an argument: what its process runs, by its content; NULL: by its name */
	struct file_id id;
	uint32_t uid, gid, mode;
	uint64_t born_ns, answered_ns; /* monotonic */
	uint64_t exec_ns;	       /* the same: its exec; 0: not told */
	uint64_t real_ns, boot_ns, spent_ns;
	struct judgement j;
	struct container *container; /* counted */
	bool inside;		     /* the process has the container's files before it, no longer the host's */
	bool unplaced;		     /* nobody knows where it ran: it was gone */
};

/*
 * What the connector told of the newest exec of a process. In observe mode the two sources of one start come in any
 * order.
 */
struct sighting {
	int32_t pid;
	uint64_t mono_ns;
	struct file_id exe;
	bool have_exe;
	bool gated; /* starts are held there, or told of */
};

/*
 * The file that a process had opened last to run something: behind a script comes its interpreter, behind a program its
 * loader or the next start. Of those in no slot any more, in observe mode.
 */
struct opened {
	int32_t pid;
	enum gate_role role;
	enum exec_type type;
	uint64_t mono_ns;
};

enum counter {
	COUNT_EVENTS,
	COUNT_CACHED,
	COUNT_HASHED,
	COUNT_BYTES,
	COUNT_WRITERS,
	COUNT_DEADLINES,
	COUNT_FULL,
	COUNT_KERNEL,
	COUNT_SWAPPED,
	COUNT_LATE,
	COUNT_SCRIPTS,
	COUNT_UNLEASED,
	COUNT_EARLY,
	COUNT_LOST,
	COUNT_LIBRARIES,
	COUNT_UNLOOKED,
	COUNT_MAX
};

struct cache;
struct libraries;
struct overlay;

struct gate {
	struct gate_options o;
	int fanotify, wake, proc;
	int files; /* /proc/self/fd */
	const char *class_name;
	bool deny_errno, pidfds;
	size_t batch;  /* events taken at once */
	uint64_t seed; /* of drift_key: nobody names an image so that it is taken for another */
	pid_t self;
	_Atomic bool stopping, kept;

	pthread_mutex_t lock; /* never held over a system call on a file */
	pthread_cond_t work;  /* for workers */
	pthread_cond_t after; /* for the verdict thread */
	struct slot *slots;
	size_t n_slots, in_flight;
	struct slot_list free, todo, held, done;
	TAILQ_HEAD(, slot) waiting;
	LIST_HEAD(, slot) pids[GATE_BUCKETS];
	struct cache *cache;
	struct sighting *sightings;  /* by pid; observe mode */
	struct opened *opened;	     /* the same */
	struct libraries *libraries; /* NULL: nobody looks */
	struct trust *trust;
	struct conf *conf;   /* policies of containers; NULL: none */
	uint64_t generation; /* of trust and policies */
	bool workers_end, after_end;
	struct gate_dev {
		uint64_t dev; /* of what is marked, as mountinfo names it */
		bool layers;  /* for layers of containers alone */
	} devs[GATE_DEVS_MAX];
	size_t n_devs;
	uint64_t devs_generation;
	struct overlay *overlays; /* that are mounted; written by whoever calls gate_set_mounts, with the lock */
	size_t n_overlays;
	uint64_t overlays_generation; /* of the file systems by which they were looked at */

	pthread_t reader, verdict;
	struct worker {
		struct gate *g;
		pthread_t thread;
		struct exec_hash *hash;
		struct exec_digests *digests;
	} workers[GATE_WORKERS];
	unsigned n_workers, busy; /* those that are at work */
	atomic_uint settling; /* workers that wait for a package manager */
	bool have_reader, have_verdict;

	_Atomic uint64_t counts[COUNT_MAX];
	_Atomic uint64_t verdicts[EXEC_VERDICT_COUNT];
	_Atomic uint64_t worst;
};

static inline void gate_count(struct gate *g, enum counter c, uint64_t n)
{
	atomic_fetch_add_explicit(&g->counts[c], n, memory_order_relaxed);
}

/* --- gate_group.c: g->fanotify as o.group and o.enforce say; text in err */
int gate_open_group(struct gate *g, struct buf *err);

/* --- gate_devs.c: which file systems are gated; with the lock held */
const struct gate_dev *devs_find(const struct gate *g, uint64_t dev);
/*
 * Of an event whose file has this st_dev. On btrfs that is a number of the subvolume which no mark was set by; that
 * there is an event at all says that one of the marks is of its file system. NULL: no mark is left.
 */
const struct gate_dev *devs_serving(const struct gate *g, uint64_t dev);
/* -ENOSPC. What was judged is given up where layers is another than it was. */
int devs_set(struct gate *g, uint64_t dev, bool layers);
void devs_remove(struct gate *g, uint64_t dev);

/* --- gate_overlay.c: with the lock held. It is an overlay whose layers are all gated. */
bool overlays_find(const struct gate *g, uint64_t dev);

/* --- gate_slot.c: with the lock held, all of them */
/* An empty slot, in flight; NULL when there is none left. */
struct slot *slot_take(struct gate *g, int32_t pid);
/* What must be closed is the caller's to close. */
void slot_release(struct gate *g, struct slot *s);
void slot_move(struct gate *g, struct slot *s, struct slot_list *to);
/* Puts a slot that nobody works on where it belongs now, and wakes who is to take it. */
void slot_settle(struct gate *g, struct slot *s);
/* Hands it to the workers. */
void slot_queue(struct gate *g, struct slot *s);

/* --- gate_cache.c: what is known of a version of a file; with the lock held */
int cache_new(struct cache **ret);
void cache_free(struct cache *c);
const struct judgement *cache_find(const struct cache *c, const struct file_id *id, uint64_t generation);
void cache_put(struct cache *c, const struct file_id *id, uint64_t generation, const struct judgement *j);

/* --- gate_read.c: the thread that reads events */
void *gate_reader(void *data);
/* The kernel's answer for a verdict. */
uint32_t gate_response(const struct gate *g, const struct judgement *j);
/* Writes it, and notes how long it took. The slot's `answering` is set by the caller before. */
void gate_answer(struct gate *g, struct slot *s, const struct judgement *j);
/* Answers what has waited too long; returns when the next one is due, 0 for none. */
uint64_t gate_answer_overdue(struct gate *g, uint64_t now);
/* After the thread has ended: nothing is held or told any more, what was is taken as the thread would, until then; and
 * what waits after that is let go. */
void gate_unmark_all(struct gate *g);
void gate_read_rest(struct gate *g, uint64_t until);
void gate_drain(struct gate *g);
/* What exec.fail makes of a start that could not be judged. */
void gate_by_policy(const struct gate *g, enum gate_reason reason, struct judgement *ret);

/* --- gate_judge.c: the workers */
/* The kernel's name of an open file, in ret; NULL when it has none that fits. */
const char *gate_path(const struct gate *g, int fd, char ret[PATH_MAX]);
void *gate_worker(void *data);

/* --- gate_real.c: on the workers. When the slot's file is an overlay's: the layer's is leased in its place, or there
 * is a writer. */
void real_lease(struct gate *g, struct slot *s, const char *path);

/* --- gate_libraries.c: the thread that looks at what is mapped to run */
int libraries_start(struct gate *g);
void libraries_stop(struct gate *g);

/* --- gate_drift.c: programs in containers; on the workers */
/* In which container the process of the slot is. It waits for the answer, or did a moment ago: /proc has it. */
void drift_place(struct gate *g, struct slot *s, const char *path);
/*
 * What the policy for its container says of this path; OFF where there is none. *ret_concerned: there is one that does
 * not say off.
 */
enum conf_drift drift_mode(const struct gate *g, const struct slot *s, const char *path, bool *ret_concerned);
/*
 * Tells verdicts in different images and under different policies apart in the cache; 0 where the place makes no
 * difference to any verdict.
 */
uint64_t drift_key(const struct gate *g, const struct trust *t, const struct slot *s, enum conf_drift mode);
/* This verdict does not depend on where the program runs. */
bool drift_is_none(const struct gate *g, const struct trust *t, const struct slot *s, const struct judgement *j);
/* After the ordinary judgement: what becomes of it in a container. */
void drift_judge(const struct gate *g, const struct slot *s, enum conf_drift mode, const struct trust *t,
		 const struct exec_digests *digests, struct judgement *j);

/*
 * With the lock held. What a file is goes by the one that its process had opened before, for a process may have started
 * the next program before anybody is told that it runs the one before.
 */
enum gate_role slot_role(const struct slot *s);
/* With the lock held: it is judged. */
void slot_judged(struct gate *g, struct slot *s);

/* --- gate_after.c: the thread that hands results over */
/* Observe mode, with the lock held: the exec of this new slot may have been told already. */
void sighting_recall(struct gate *g, struct slot *s);
/* With the lock held: the file that was judged is the one that a process runs. */
bool gate_same_program(const struct gate *g, const struct file_id *judged, const struct file_id *exe);
void *gate_after(void *data);

#endif
