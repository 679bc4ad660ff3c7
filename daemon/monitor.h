/* What the files of daemon/ share: the monitor and its parts. Nothing outside daemon/ includes this. */
#ifndef DAEMON_MONITOR_H
#define DAEMON_MONITOR_H

#include <pthread.h>
#include <stdatomic.h>

#include "alert/engine.h"
#include "alert/outputs.h"
#include "conf/conf.h"
#include "daemon/canary.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/gapbook.h"
#include "daemon/output.h"
#include "db/writer.h"
#include "exec/known.h"
#include "fim/mime.h"
#include "exec/watchdog.h"
#include "fim/live.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/queue.h"
#include "proc/containers.h"
#include "proc/entered.h"
#include "proc/table.h"
#include "respond/respond.h"
#include "watch/bpf_exits.h"
#include "watch/connector.h"
#include "watch/watch.h"

#define MONITOR_OLD_GAPS_MAX 10000

struct monitor {
	const struct daemon_options *o;
	struct conf *conf;   /* as loaded at the start: what the parts were made with */
	struct conf *latest; /* as loaded last; NULL: not since the start */
	struct conf *guard;  /* conf, its scope widened to all that the baseline holds */
	struct loop *loop;
	struct loop_source *wake, *end, *trim;

	struct db_options db;
	char *state_dir;
	const char *baseline; /* name */
	struct arena scope_arena;
	struct scope scope; /* the baseline's */
	int lock;	    /* descriptor of the lock file */
	uint64_t last_alive;
	bool last_clean;
	char last_killed[96];	 /* by whom; empty: not known */
	struct event **old_gaps; /* left open by an earlier run */
	size_t n_old_gaps;

	struct output *output;
	struct gapbook *gaps;
	pthread_mutex_t emit_lock; /* of writer, for those who may still tell something when it ends */
	struct writer *writer;
	struct packages_store *packages; /* what is installed, read once for all */
	struct proc_table *procs;
	struct containers *containers;
	struct mountns *mountns; /* of containers whose files are followed */
	uint64_t mounts_passed;	 /* namespaces that were told to be passed over; the thread "mounts" alone has it */
	struct entered *entered;
	struct drift *drift;
	bool mark_overlays; /* what happens through overlays is not told on the file system of their layers */
	struct connector *connector;
	char *no_connector; /* why there is none */
	struct queue *inbox;
	struct watch *watch;
	pthread_mutex_t watch_lock; /* for those who outlive it */
	struct live *live;
	bool left_behind; /* a thread of live, which uses what its parts share: that is not freed, and the process ends
			     by _exit */
	struct canary *canary;
	struct control *control;
	struct mime *mime;	   /* the role inspect */
	struct known *known;	   /* digests of programs, for live and the gate; NULL: exec.mode is off */
	struct watchdog *watchdog; /* NULL unless exec.mode is enforce */
	struct handover *handover;
	struct exec *exec;
	pthread_mutex_t vouch_lock; /* of vouch, for those who may ask when the gate ends */
	struct exec_trust *vouch;
	struct warden *warden;
	struct respond *respond;
	struct users *users; /* NULL: users.record is no, or it could not be */
	struct looks *looks; /* NULL while connections are not recorded, or told as they are made */
	struct bpf_exits exits; /* of calls and opens; main thread */
	struct calls *calls; /* NULL while no rule asks for system calls, or they cannot be had */
	pthread_mutex_t opens_lock;
	struct opens_part *opens; /* NULL while no rule asks for opens, or they cannot be had; guarded by it */
	pthread_mutex_t network_lock;
	struct network *network; /* NULL: no policies of the network are in force; guarded by it for other threads */
	struct engine *engine;	 /* rules; guarded by emit_lock as writer is */
	struct spawner *spawner; /* of programs and roles */
	pthread_mutex_t outputs_lock;
	struct outputs *outputs;   /* guarded by it: reload replaces them */
	struct conf *outputs_conf; /* what they were made from; main thread */

	uint64_t started;  /* real ns */
	uint64_t down_key; /* gap of the time before, until the start's check is through */
	atomic_bool reconciled, reconcile_failed;
	_Atomic uint64_t reconcile_found;
	atomic_bool procs_lost; /* the process table has to be read anew */
	_Atomic uint64_t proc_lost;
	_Atomic uint64_t store_dropped_told;
};

/* One row of the table of parts. start: 0 or a sysexits value, having said why. stop is called when start gave 0. */
struct part {
	const char *name;
	int (*start)(struct monitor *m);
	void (*stop)(struct monitor *m);
};

/* --- store.c: the lock, and what has to hold before anything is watched */
int store_check(struct monitor *m);
/* Scope of the baseline as it is now, in a; sysexits. */
int store_read_scope(struct monitor *m, struct arena *a, struct scope *ret);
void store_release(struct monitor *m);
int store_public_key(struct monitor *m, struct sign_key **ret);

/* --- guard.c */
/* Configuration for the sensor: conf, or a copy whose scope holds all of the baseline's paths too. */
/* marked: folders whose file systems are marked all the same. */
int guard_conf(struct conf *conf, const struct scope *baseline, const struct conf_list *marked, struct conf **ret);
/* Configured paths that the baseline does not hold become gaps: nothing is known of what they were. */
void guard_uncovered(const struct conf *conf, const struct scope *baseline, struct gapbook *gaps);

/* --- pipeline.c: what parts tell each other */
void pipeline_emit(struct event *e, void *data);   /* takes over e: gap book */
void pipeline_live(struct event *e, void *data);   /* borrows e: live */
void pipeline_stored(struct event *e, void *data); /* writer */
size_t pipeline_room(void *data);
void pipeline_noticed(const char *path, bool linked, bool sensitive, void *data);
void pipeline_scan_gap(const struct watch_gap *g, void *data);
bool pipeline_canary(const struct fs_event *e, void *data);
uint64_t pipeline_seen(void *data); /* watch_seen; any thread */
void pipeline_device(const struct fs_event *e, void *data);
void pipeline_rescan(const struct fs_event *e, void *data);
void pipeline_sensor_gap(const struct watch_gap *g, void *data);
void pipeline_proc_lost(uint64_t n, uint64_t since, void *data);
void pipeline_output_blocked(bool blocked, uint64_t dropped, void *data);
int pipeline_known(void *data, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX]);
/* Scans the process table again; on the main thread. */
void pipeline_scan_procs(struct monitor *m);
/* The check after the start. */
void pipeline_reconcile(struct monitor *m);
/* Everything is looked at again, and what stands as a gap that is none any more ends. Main thread. */
void pipeline_look(struct monitor *m, const char *cause);

/* --- exec.c: program starts */
int watchdog_part_start(struct monitor *m);
void watchdog_part_stop(struct monitor *m);
int handover_part_start(struct monitor *m);
void handover_part_stop(struct monitor *m);
int handover_bound_start(struct monitor *m);
void handover_bound_stop(struct monitor *m);
int packages_part_start(struct monitor *m);
void packages_part_stop(struct monitor *m);
int known_part_start(struct monitor *m);
void known_part_stop(struct monitor *m);
int exec_part_start(struct monitor *m);
void exec_part_stop(struct monitor *m);
/* Baselines, packages or entries of trust may be others now. The number of the load that will hold them (0: nothing is
 * judged). */
uint64_t exec_part_reload(struct monitor *m);
/* The same of just what was trusted or denied by hand. */
uint64_t exec_part_relist(struct monitor *m);
/* The same from other threads, also while the gate ends. */
void exec_part_baselines(struct monitor *m);
/* Policies of containers as they are now. Main thread. */
void exec_part_policies(struct monitor *m, const struct conf *conf);
json_t *exec_status(struct monitor *m);
/*
 * The program of that SHA-256 is on the list of those denied: 1; 0: not; -ENOSYS: nothing judges starts. And: the list
 * has changed, it is read again by and by. Any thread.
 */
int exec_part_denies(struct monitor *m, const uint8_t digest[32]);
void exec_part_renew(struct monitor *m);
/* Somebody vouches for the program of that SHA-256, wherever it lies. False while nothing judges starts. */
bool exec_part_vouches(struct monitor *m, const uint8_t digest[32]);

/* --- respond.c: actions that alerts lead to */
int warden_part_start(struct monitor *m);
void warden_part_stop(struct monitor *m);
int respond_part_start(struct monitor *m);
void respond_part_stop(struct monitor *m);
bool respond_answered(const struct alert *a, void *data);
void respond_raised(struct alert *a, void *data);
json_t *respond_status(struct monitor *m);
json_t *respond_request_list(struct monitor *m, json_t *body);
json_t *respond_request_release(struct monitor *m, json_t *body);

/* --- signals.c */
/* Blocks them: before any thread. */
int signals_add(struct monitor *m);
/* With a connector: it is kept who kills or stops the monitor, and m->last_killed said by whom the last one was. */
void signals_guard(struct monitor *m);
void signals_unguard(struct monitor *m);

/* --- roles.c */
int inspect_part_start(struct monitor *m);
void inspect_part_stop(struct monitor *m);
/* A role of that scope fails or is over it; meanwhile: what that means. Any thread. */
void roles_told(struct monitor *m, const char *scope, bool failing, const char *why, const char *meanwhile);
/* New references. */
json_t *roles_status_one(const struct role_stats *s);
json_t *inspect_status(struct monitor *m);

/* --- alerts.c: rules over all that happens */
int spawner_part_start(struct monitor *m);
void spawner_part_stop(struct monitor *m);
int outputs_part_start(struct monitor *m);
void outputs_part_stop(struct monitor *m);
int alerts_part_start(struct monitor *m);
void alerts_part_stop(struct monitor *m);
/* On the sensor's thread; takes over b. */
void alerts_accesses(struct fs_batch *b, void *data);
/* Loads the rules of conf; what is wrong with them is appended to err. */
int alerts_load(const struct monitor *m, const struct conf *conf, struct rules **ret, struct buf *err);
void alerts_reload(struct monitor *m, struct conf *conf, struct rules *rules);
json_t *alerts_status(struct monitor *m);

/* --- users.c: logins, sessions, su and sudo */
int users_part_start(struct monitor *m);
void users_part_stop(struct monitor *m);
/* A program start, placed in its container; before it is told. While the part runs, or before and after. */
void users_exec(struct monitor *m, const struct event *e);
json_t *users_status(struct monitor *m);

/* --- containers.c: who is in which container, in events */
int containers_part_start(struct monitor *m);
void containers_part_stop(struct monitor *m);
/* Fills in e->container, and turns a path on the host into that in the container. Before e is told; may read files. */
void containers_place(struct monitor *m, struct event *e);
/* Whose mounts are looked at under this configuration. Main thread. */
void containers_part_reload(struct monitor *m, const struct conf *conf);
json_t *containers_status(struct monitor *m);

/* --- drift.c: files of containers */
int overlays_part_start(struct monitor *m);
void overlays_part_stop(struct monitor *m);
int drift_part_start(struct monitor *m);
void drift_part_stop(struct monitor *m);
/* Folders whose file systems are watched for it under this configuration; borrowed until the next call. Main thread. */
const struct conf_list *drift_part_marked(struct monitor *m, const struct conf *conf);
/* There are more than when that was asked last. */
bool drift_part_wants_marks(struct monitor *m);
int drift_part_known(struct container *c, void *monitor);
/* On the sensor's thread; borrows b. */
void drift_part_accesses(struct monitor *m, const struct fs_batch *b);
void drift_part_reload(struct monitor *m, const struct conf *conf);
/* Baselines came, went or were replaced. Any thread. */
void drift_part_baselines(struct monitor *m);
/* An image that was said to have no baseline is said again when a container of it is seen. Any thread. */
void drift_part_unsaid(struct monitor *m, const struct container *c);
/* What tells its image from others; borrowed. */
const char *drift_image_key(const struct container *c);
json_t *drift_status(struct monitor *m);

/* --- drift_baseline.c: baselines of images that have none */
struct drift_baseline;
int drift_baseline_new(struct monitor *m, struct drift_baseline **ret);
void drift_baseline_free(struct drift_baseline *k);
/* True: one will be taken of the image of c. */
bool drift_baseline_make(struct drift_baseline *k, struct container *c);

/* --- calls.c: system calls that rules ask about, connections that are recorded; main thread */
/* What they and the configuration ask for is told from now on. */
void calls_rules(struct monitor *m, const struct conf *conf, const struct rules *rules);
void calls_stop(struct monitor *m);
json_t *calls_status(struct monitor *m);

/* --- connections.c */
/* Fills in what history keeps of e->socket and e->call. */
void connection_describe(struct event *e);
/* Takes over an event of a socket: one of kind connection is recorded, else it is for the rules alone. Any thread. */
void connection_tell(struct monitor *m, struct event *e);
/*
 * One that is there: an event. call: what rules take it for; NULL: nothing. Any thread. Whether it was told.
 */
bool connection_found(struct monitor *m, int32_t pid, const struct event_socket *s, const struct call_info *call,
		      bool recorded);
/*
 * Connections that are there already are recorded, and counted in recorded, from now on, on a thread of its own; bpf is
 * told whose the TCP ones are, for their end. Both are borrowed. NULL: a gap says why. Main thread.
 */
struct finder;
struct bpf_calls;
struct finder *finder_new(struct monitor *m, struct bpf_calls *bpf, atomic_uint_fast64_t *recorded);
/* Ends it, wherever it is. */
void finder_free(struct finder *f);

/* --- looks.c: connections where no BPF program tells them; main thread */

/* Whether they are recorded too, or for the rules alone; also when they are looked for already. */
void looks_start(struct monitor *m, bool recorded);
/* Nothing when they are not. */
void looks_stop(struct monitor *m);
/* While they are looked for. */
json_t *looks_status(struct monitor *m);

/* --- opens.c: opens that rules ask about, told by BPF */
/* As these rules ask. Main thread. */
void opens_part_rules(struct monitor *m, const struct conf *conf, struct rules *rules);
void opens_part_stop(struct monitor *m);
/* Takes out of b what was told to the rules already. */
void opens_part_accesses(struct monitor *m, struct fs_batch *b);
json_t *opens_part_status(struct monitor *m);

/* --- network.c: policies of the network; main thread */
/* What conf says is in force from now on. */
void network_rules(struct monitor *m, struct conf *conf);
void network_stop(struct monitor *m);
/*
 * Whether a call that ended then with EPERM is one that a policy denied, which is told already: the same thread was
 * denied the same peer and port, since two seconds before (it may have waited for a processor between verdict and end).
 * A denial after it counts too, only the last one is known. Calls whose peer another thread exchanged, or a program of
 * another cgroup, are not found: they are told as calls too. Any thread.
 */
bool network_denied(struct monitor *m, int32_t tid, const struct event_socket *s, uint64_t mono_ns);
json_t *network_status(struct monitor *m);

/* --- status.c */
json_t *status_answer(struct monitor *m);

/* --- requests.c: what the control socket can be asked */
json_t *requests_answer(const char *request, json_t *body, void *data);

/* --- reload.c: what is guarded, put in force anew; main thread */
/* A container is on a file system that is not watched yet. */
void monitor_remark(struct monitor *m);
/* Another baseline may stand under the name: what is guarded is worked out anew. */
void monitor_rescope(struct monitor *m);
/* Reads the configuration again. 0, or -EINVAL with the errors in err; the old one stays. */
int monitor_reload(struct monitor *m, struct buf *err);

/* --- fixed.c */
/* Says in the log what a configuration that was just read asks for and this run of the monitor will not do. */
void fixed_report(const struct conf *in_force, const struct conf *read);

#endif
