/*
 * The monitor: its parts in the order in which they start, and the main thread's loop (signals, timers, control
 * socket). Each part that started is stopped, in reverse order, whatever ends the run.
 */
#include "daemon/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/confine.h"
#include "daemon/monitor.h"
#include "lib/clock.h"

#define DAEMON_ARENAS 1 /* malloc arenas: threads are few and memory counts */
/* Tables that are mostly empty cost what is in them, and what was large goes back at once; glibc would raise it by
 * itself. */
#define DAEMON_MMAP    (256 * 1024)
#define DAEMON_TRIM_NS (60 * NSEC_PER_SEC)

/* --- parts */

static int start_output(struct monitor *m)
{
	const struct output_options o = { .fd = STDOUT_FILENO,
					  .json = m->o->json,
					  .colour = m->o->colour,
					  .blocked = pipeline_output_blocked,
					  .data = m };

	if (m->o->quiet)
		return 0;
	return output_start(&o, &m->output) < 0 ? EX_OSERR : 0;
}

static void stop_output(struct monitor *m)
{
	if (m->output)
		output_stop(m->output);
	m->output = NULL;
}

static int start_gaps(struct monitor *m)
{
	return gapbook_new(pipeline_emit, m, &m->gaps) < 0 ? EX_OSERR : 0;
}

static void stop_gaps(struct monitor *m)
{
	if (!m->left_behind)
		gapbook_free(TAKE_PTR(m->gaps));
}

static int start_writer(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct writer *w;
	int r = writer_start(&m->db, m->conf, pipeline_stored, m, &w, &err);

	if (r == 0) {
		pthread_mutex_lock(&m->emit_lock);
		m->writer = w;
		pthread_mutex_unlock(&m->emit_lock);
		return 0;
	}
	log_error("history cannot be written: %s", err.len ? err.data : strerror(-r));
	return r == -EACCES || r == -EPERM ? EX_NOPERM : EX_IOERR;
}

/* From here on nothing is stored: who still tells something finds no writer. */
static void stop_writer(struct monitor *m)
{
	struct writer *w;

	pthread_mutex_lock(&m->emit_lock);
	w = TAKE_PTR(m->writer);
	pthread_mutex_unlock(&m->emit_lock);
	writer_stop(w);
}

static int start_procs(struct monitor *m)
{
	return proc_table_new("/proc", m->conf->limits.processes, &m->procs) < 0 ? EX_OSERR : 0;
}

static void stop_procs(struct monitor *m)
{
	proc_table_free(TAKE_PTR(m->procs));
}

/* Without the connector /proc alone is asked: who is then unknown for short-lived processes, and that is a gap. */
static int start_connector(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct connector_options o = {
		.procs = m->procs,
		.source = m->conf->sensors.bpf == CONF_BPF_OFF ? CONNECTOR_NETLINK : CONNECTOR_BEST,
		.ring = m->conf->sensors.ring,
		.lost = pipeline_proc_lost,
		.data = m,
	};
	int r = connector_start(&o, &m->connector, &err);

	if (r < 0) {
		m->no_connector = strdup(err.len ? err.data : strerror(-r));
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, "proc connector",
			     m->no_connector ? m->no_connector : "not available", 0, 0);
	} else {
		signals_guard(m);
	}
	proc_table_scan(m->procs);
	return 0;
}

static void stop_connector(struct monitor *m)
{
	if (m->connector) {
		signals_unguard(m);
		connector_stop(m->connector);
	}
	m->connector = NULL;
	free(TAKE_PTR(m->no_connector));
}

/* There before live asks it about events and until live has ended. */
static int make_canary(struct monitor *m)
{
	const struct canary_options o = {
		.gaps = m->gaps,
		.state_dir = m->state_dir,
		.interval = m->conf->limits.canary,
		.deadline = m->conf->limits.canary_deadline,
	};

	return canary_new(&o, &m->canary) < 0 ? EX_OSERR : 0;
}

static void free_canary(struct monitor *m)
{
	canary_free(TAKE_PTR(m->canary));
}

static size_t weigh_batch(const void *item)
{
	const struct fs_batch *b = item;

	return sizeof(*b) + b->arena.used;
}

static int start_inbox(struct monitor *m)
{
	int r = guard_conf(m->conf, &m->scope, drift_part_marked(m, m->conf), &m->guard);

	if (r == 0)
		r = queue_new(m->conf->limits.queue, &m->inbox);
	if (r == 0)
		queue_set_weight(m->inbox, CONF_QUEUE_BYTES, weigh_batch);
	return r < 0 ? EX_OSERR : 0;
}

static void stop_inbox(struct monitor *m)
{
	struct fs_batch *b;

	queue_close(m->inbox);
	while ((b = queue_pop(m->inbox)))
		fs_batch_free(b);
	if (!m->left_behind)
		queue_free(TAKE_PTR(m->inbox));
	conf_unref(TAKE_PTR(m->guard));
}

static int start_watch(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct watch_options o = {
		.conf = m->guard,
		.procs = m->procs,
		.out = m->inbox,
		.gap = pipeline_sensor_gap,
		.accesses = alerts_accesses,
		.data = m,
		.state_dir = m->state_dir,
	};
	struct watch *w;
	int r = watch_start(&o, m->o->sensor, &w, &err);

	if (r == 0) {
		pthread_mutex_lock(&m->watch_lock);
		m->watch = w;
		pthread_mutex_unlock(&m->watch_lock);
		engine_set_accesses(m->engine, streq(watch_sensor(m->watch), "fanotify"));
		return 0;
	}
	log_error("the files cannot be watched: %s", err.len ? err.data : strerror(-r));
	return r == -EACCES || r == -EPERM ? EX_NOPERM : EX_OSERR;
}

static void stop_watch(struct monitor *m)
{
	struct watch *w;

	pthread_mutex_lock(&m->watch_lock);
	w = TAKE_PTR(m->watch);
	pthread_mutex_unlock(&m->watch_lock);
	watch_stop(w);
}

static int start_live(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct live_options o = {
		.conf = m->conf,
		.db = &m->db,
		.baseline = m->baseline,
		.state_dir = m->state_dir,
		.in = m->inbox,
		.emit = pipeline_live,
		.room = pipeline_room,
		.noticed = pipeline_noticed,
		.gap = pipeline_scan_gap,
		.canary = pipeline_canary,
		.seen = pipeline_seen,
		.device = pipeline_device,
		.lost = pipeline_rescan,
		.known = m->known ? pipeline_known : NULL,
		.packages = m->packages,
		.mime = m->mime,
		.data = m,
	};
	int r = live_start(&o, &m->live, &err);

	if (r < 0) {
		log_error("%s", err.len ? err.data : strerror(-r));
		return r == -ENOENT ? EX_NOINPUT : EX_IOERR;
	}
	pipeline_reconcile(m);
	return 0;
}

static void stop_live(struct monitor *m)
{
	/* What it judges and reports while it ends still asks for it by this pointer. */
	m->left_behind = live_stop(m->live);
	m->live = NULL;
}

static int start_canary(struct monitor *m)
{
	return m->conf->limits.canary && canary_start(m->canary, m->watch) < 0 ? EX_OSERR : 0;
}

static void stop_canary(struct monitor *m)
{
	canary_stop(m->canary);
}

/* The monitor runs without it: nobody can ask, and that is said. */
static int start_control(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const char *path = m->o->control ? m->o->control : m->conf->control;
	int r = path && *path ? control_listen(m->loop, path, requests_answer, m, &m->control, &err) : 0;

	if (r < 0)
		log_warn("%s; holdfast status will not find this monitor", err.len ? err.data : strerror(-r));
	return 0;
}

static void stop_control(struct monitor *m)
{
	if (m->control)
		control_close(m->control);
	m->control = NULL;
}

/*
 * What forks before there is a thread or a fanotify group. Standard output and history before anything that tells;
 * who before what; what before the check of what it missed.
 */
/* clang-format off */
static const struct part parts[] = {
	{ "programs", spawner_part_start, spawner_part_stop },
	{ "handover", handover_part_start, handover_part_stop },
	{ "watchdog", watchdog_part_start, watchdog_part_stop },
	{ "handover's bound", handover_bound_start, handover_bound_stop },
	{ "overlays", overlays_part_start, overlays_part_stop },
	{ "warden", warden_part_start, warden_part_stop },
	{ "store", store_check, store_release },
	{ "gaps", start_gaps, stop_gaps },
	{ "output", start_output, stop_output },
	{ "writer", start_writer, stop_writer },
	{ "packages", packages_part_start, packages_part_stop },
	{ "processes", start_procs, stop_procs },
	{ "containers", containers_part_start, containers_part_stop },
	{ "connector", start_connector, stop_connector },
	{ "canary", make_canary, free_canary },
	{ "actions", respond_part_start, respond_part_stop },
	{ "outputs", outputs_part_start, outputs_part_stop },
	{ "alerts", alerts_part_start, alerts_part_stop },
	{ "digests", known_part_start, known_part_stop },
	{ "inspect", inspect_part_start, inspect_part_stop },
	{ "files of containers", drift_part_start, drift_part_stop },
	{ "inbox", start_inbox, stop_inbox },
	{ "watch", start_watch, stop_watch },
	{ "live", start_live, stop_live },
	{ "canary tests", start_canary, stop_canary },
	{ "control", start_control, stop_control },
	{ "users", users_part_start, users_part_stop },
	{ "gate", exec_part_start, exec_part_stop },
};
/* clang-format on */

/* --- the loop */

static int on_end(struct loop_source *source _unused_, uint32_t events _unused_, void *data)
{
	struct monitor *m = data;

	loop_stop(m->loop);
	return 0;
}

static int on_wake(struct loop_source *source, uint32_t events, void *data)
{
	struct monitor *m = data;

	(void)source;
	(void)events;
	if (m->procs_lost) {
		m->procs_lost = false;
		pipeline_scan_procs(m);
	}
	if (drift_part_wants_marks(m))
		monitor_remark(m);
	if (m->reconciled)
		malloc_trim(0);
	return 0;
}

static int on_trim(struct loop_source *source, uint32_t events, void *data)
{
	const struct monitor *m = data;

	(void)source;
	(void)events;
	mime_rest(m->mime);
	malloc_trim(0);
	return 0;
}

static int daemon_sources(struct monitor *m)
{
	int r = signals_add(m);

	if (r == 0)
		r = loop_add_wake(m->loop, on_wake, m, &m->wake);
	if (r == 0)
		r = loop_add_timer(m->loop, DAEMON_TRIM_NS, DAEMON_TRIM_NS, on_trim, m, &m->trim);
	if (r == 0 && m->o->seconds)
		r = loop_add_timer(m->loop, m->o->seconds * NSEC_PER_SEC, 0, on_end, m, &m->end);
	return r;
}

static void part_stop(struct monitor *m, const struct part *part)
{
	uint64_t start = clock_mono_ns();

	part->stop(m);
	log_debug("%s ended in %llu ms", part->name, (unsigned long long)((clock_mono_ns() - start) / NSEC_PER_MSEC));
}

static int daemon_parts(struct monitor *m)
{
	size_t n = 0;
	int status = 0, r;

	while (n < ARRAY_SIZE(parts) && !status) {
		status = parts[n].start(m);
		n += !status;
	}
	if (!status) {
		r = loop_run(m->loop);
		if (r < 0) {
			log_error("%s", strerror(-r));
			status = EX_OSERR;
		}
	}
	while (n > 0)
		part_stop(m, &parts[--n]);
	/* All is stored and said. What that thread may still use is given back by the kernel, and by nobody before. */
	if (m->left_behind) {
		fflush(NULL);
		_exit(status);
	}
	return status;
}

int daemon_run(const struct daemon_options *o)
{
	struct monitor m = { .o = o, .conf = conf_ref(o->conf), .lock = -1, .started = clock_real_ns() };
	int status = EX_OSERR;

	pthread_mutex_init(&m.emit_lock, NULL);
	pthread_mutex_init(&m.watch_lock, NULL);
	pthread_mutex_init(&m.vouch_lock, NULL);
	pthread_mutex_init(&m.outputs_lock, NULL);
	pthread_mutex_init(&m.network_lock, NULL);
	pthread_mutex_init(&m.opens_lock, NULL);
	m.baseline = o->baseline ? o->baseline : "host";
	mallopt(M_ARENA_MAX, DAEMON_ARENAS);
	mallopt(M_MMAP_THRESHOLD, DAEMON_MMAP);
	signal(SIGPIPE, SIG_IGN);
	confine();
	/* Signals are blocked before any thread exists, so that all of them go to the loop. */
	if (loop_new(&m.loop) == 0) {
		if (daemon_sources(&m) == 0)
			status = daemon_parts(&m);
		loop_free(m.loop);
	}
	conf_unref(m.conf);
	if (m.latest)
		conf_unref(m.latest);
	pthread_mutex_destroy(&m.emit_lock);
	pthread_mutex_destroy(&m.watch_lock);
	pthread_mutex_destroy(&m.vouch_lock);
	pthread_mutex_destroy(&m.outputs_lock);
	pthread_mutex_destroy(&m.network_lock);
	pthread_mutex_destroy(&m.opens_lock);
	return status;
}
