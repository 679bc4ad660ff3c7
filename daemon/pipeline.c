/*
 * How the parts are joined: what one tells, on its own thread, and what another does about it. Nothing here blocks:
 * events go into bounded queues, work for the main thread goes through its wake-up.
 */
#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/monitor.h"
#include "lib/clock.h"
#include "watch/mounts.h"

#define PIPELINE_KEYS_MAX 64

/* --- events on their way out: live and gap book, writer, standard output */

void pipeline_emit(struct event *e, void *data)
{
	struct monitor *m = data;

	containers_place(m, e);
	if (e->kind == EVENT_EXEC)
		users_exec(m, e);
	pthread_mutex_lock(&m->emit_lock);
	/* To history first: what rules raise for it refers to its row. */
	if (m->writer)
		writer_put(m->writer, event_ref(e));
	if (m->engine)
		engine_event(m->engine, e);
	pthread_mutex_unlock(&m->emit_lock);
	event_unref(e);
}

void pipeline_live(struct event *e, void *data)
{
	pipeline_emit(event_ref(e), data);
}

void pipeline_stored(struct event *e, void *data)
{
	struct monitor *m = data;

	/* Starts that somebody vouches for and connections are many, and in the history; so is an alert that people
	 * have just seen. */
	if ((e->kind == EVENT_EXEC && e->verdict == EXEC_ALLOWED) || e->kind == EVENT_CONNECTION)
		return;
	if (m->output && !(e->repeated && !m->o->json))
		output_put(m->output, e);
}

/* Half of the writer's queue is for live; while the store fails nothing is gained by waiting. */
size_t pipeline_room(void *data)
{
	struct monitor *m = data;
	size_t half = m->conf->limits.queue / 2 + 1;
	struct writer_stats stats;

	writer_get_stats(m->writer, &stats);
	return stats.failing ? SIZE_MAX : half - MIN(stats.depth, half);
}

void pipeline_output_blocked(bool blocked, uint64_t dropped, void *data)
{
	struct monitor *m = data;

	if (blocked)
		gapbook_open(m->gaps, GAP_LIMIT, "standard output",
			     "its reader does not keep up; history has everything", dropped, 0);
	else
		gapbook_end(m->gaps, GAP_LIMIT, "standard output", "it is read again");
}

/* --- what live tells */

void pipeline_noticed(const char *path, bool linked, bool sensitive, void *data)
{
	struct monitor *m = data;

	if (linked)
		watch_add_linked(m->watch, path);
	if (sensitive)
		watch_mark_sensitive(m->watch, path);
}

void pipeline_scan_gap(const struct watch_gap *g, void *data)
{
	struct monitor *m = data;

	gapbook_note(m->gaps, g->reason, g->scope, g->detail);
}

bool pipeline_canary(const struct fs_event *e, void *data)
{
	struct monitor *m = data;

	return canary_event(m->canary, e);
}

uint64_t pipeline_seen(void *data)
{
	struct monitor *m = data;
	uint64_t seen;

	pthread_mutex_lock(&m->watch_lock);
	seen = m->watch ? watch_seen(m->watch) : UINT64_MAX;
	pthread_mutex_unlock(&m->watch_lock);
	return seen;
}

/* --- rescans that close gaps */

struct healing {
	struct monitor *m;
	uint64_t round;
	char *path;
	size_t n;
	uint64_t keys[PIPELINE_KEYS_MAX];
};

static void healing_done(int err, uint64_t found, void *data)
{
	struct healing *h = data;
	char text[96];

	snprintf(text, sizeof(text), "rescan: %" PRIu64 " %s found", found, found == 1 ? "change" : "changes");
	for (size_t i = 0; i < h->n && err == 0; i++)
		gapbook_close(h->m->gaps, h->keys[i], text, 0);
	/* A mount that went took with it what could not be read there. */
	if (err == 0 && h->path)
		gapbook_round_end_below(h->m->gaps, h->round, h->path);
	free(h->path);
	free(h);
}

/* The gaps that are open now are over when everything below path was looked at. */
static void pipeline_heal(struct monitor *m, enum gap_reason reason, const char *scope, const char *path, bool full,
			  const char *cause)
{
	struct healing *h = calloc(1, sizeof(*h));

	if (h) {
		h->m = m;
		h->n = gapbook_keys(m->gaps, reason, scope, h->keys, PIPELINE_KEYS_MAX);
		h->round = gapbook_round_begin(m->gaps);
		h->path = strdup(path);
	}
	live_rescan(m->live, path, full, cause, h ? healing_done : NULL, h);
}

void pipeline_rescan(const struct fs_event *e, void *data)
{
	struct monitor *m = data;
	char cause[160];

	snprintf(cause, sizeof(cause), "rescan: %s", e->text ? e->text : "events were lost");
	pipeline_heal(m, GAP_QUEUE_OVERFLOW, NULL, e->path, false, cause);
}

/* The sensor opens an overflow's gap and leaves it to the rescan that it asks for to close it. */
void pipeline_sensor_gap(const struct watch_gap *g, void *data)
{
	struct monitor *m = data;

	gapbook_sensor(m->gaps, g);
}

void pipeline_device(const struct fs_event *e, void *data)
{
	struct monitor *m = data;
	const char *last = NULL;
	struct mount_table mounts;
	struct stat st;

	if (stat(e->path, &st) < 0 || !S_ISBLK(st.st_mode))
		return;
	gapbook_open(m->gaps, GAP_DEVICE_WRITTEN, e->path, "written past the file system", 0, 0);
	if (mounts_read("/proc/self/mountinfo", &mounts, NULL) < 0) {
		pipeline_heal(m, GAP_DEVICE_WRITTEN, e->path, "/", true, "block device written");
		return;
	}
	/* Rescans run in order: the last one closes the gap. */
	for (size_t i = 0; i < mounts.n; i++) {
		if (mounts.mounts[i].dev != st.st_rdev)
			continue;
		if (last)
			live_rescan(m->live, last, true, "block device written", NULL, NULL);
		last = mounts.mounts[i].point;
	}
	if (last)
		pipeline_heal(m, GAP_DEVICE_WRITTEN, e->path, last, true, "block device written");
	mounts_free(&mounts);
}

/* --- processes */

void pipeline_proc_lost(uint64_t n, uint64_t since, void *data)
{
	struct monitor *m = data;

	m->proc_lost += n;
	gapbook_lose(m->gaps, GAP_PROC_LOST, "processes", "messages of the kernel were lost", n, since);
	/* After the gap is there: whoever sees this closes it. */
	m->procs_lost = true;
	loop_wake(m->wake);
}

void pipeline_scan_procs(struct monitor *m)
{
	uint64_t keys[PIPELINE_KEYS_MAX];
	size_t n = gapbook_keys(m->gaps, GAP_PROC_LOST, NULL, keys, PIPELINE_KEYS_MAX);
	struct proc_stats stats;
	char text[96];

	/* What was lost meanwhile may be newer than what was read: the next scan closes the gap. */
	if (proc_table_scan(m->procs) < 0 || m->procs_lost)
		return;
	proc_table_get_stats(m->procs, &stats);
	snprintf(text, sizeof(text), "process table read again: %" PRIu64 " processes", stats.live);
	for (size_t i = 0; i < n; i++)
		gapbook_close(m->gaps, keys[i], text, 0);
}

/* --- the start's check */

static void pipeline_sum_up(struct monitor *m, uint64_t found)
{
	struct event *e = event_new(EVENT_NOTE);
	struct live_stats live;
	struct watch_stats watch;
	size_t gaps = gapbook_count(m->gaps);
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (!e)
		return;
	live_get_stats(m->live, &live);
	watch_get_stats(m->watch, &watch);
	buf_printf(&text,
		   "guarding %" PRIu64 " files and folders of baseline %s on %" PRIu64 " %s by %s; %" PRIu64
		   " %s found at "
		   "the start",
		   live.guarded, m->baseline, watch.marks, watch.marks == 1 ? "file system" : "file systems",
		   watch_sensor(m->watch), found, found == 1 ? "change" : "changes");
	if (gaps)
		buf_printf(&text, "; %zu %s open (holdfast status)", gaps, gaps == 1 ? "gap" : "gaps");
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->count = 1;
	e->text = text.failed ? NULL : arena_strdup(&e->arena, text.data);
	pipeline_emit(e, m);
}

/* A look over everything: what it does not find to be missing is no gap any more. */
struct look {
	struct monitor *m;
	uint64_t round;
};

static struct look *look_begin(struct monitor *m)
{
	struct look *look = malloc(sizeof(*look));

	if (!look)
		return NULL;
	*look = (struct look){ m, gapbook_round_begin(m->gaps) };
	guard_uncovered(m->latest ? m->latest : m->conf, &m->scope, m->gaps);
	return look;
}

static void look_done(int err, uint64_t found _unused_, void *data)
{
	struct look *look = data;

	if (err == 0)
		gapbook_round_end(look->m->gaps, look->round);
	free(look);
}

void pipeline_look(struct monitor *m, const char *cause)
{
	struct look *look = look_begin(m);

	live_rescan(m->live, "/", false, cause, look ? look_done : NULL, look);
}

static void pipeline_reconciled(int err, uint64_t found, void *data)
{
	struct monitor *m = data;
	char text[96];

	m->reconcile_found = found;
	m->reconciled = err == 0;
	m->reconcile_failed = err < 0 && err != -ECANCELED;
	if (err < 0) {
		if (err != -ECANCELED)
			log_error("the check at the start did not succeed: %s; health is red until one does",
				  strerror(-err));
		return;
	}
	snprintf(text, sizeof(text), "check at start: %" PRIu64 " %s found", found, found == 1 ? "change" : "changes");
	if (m->down_key)
		gapbook_close(m->gaps, m->down_key, text, m->started);
	m->down_key = 0;
	pipeline_sum_up(m, found);
	loop_wake(m->wake);
}

void pipeline_reconcile(struct monitor *m)
{
	char ended[160] = "ended without notice: killed, crashed or power lost";

	for (size_t i = 0; i < m->n_old_gaps; i++)
		gapbook_close_old(m->gaps, m->old_gaps[i]);
	if (*m->last_killed)
		snprintf(ended, sizeof(ended), "ended without notice: SIGKILL, sent by %s", m->last_killed);
	if (m->last_alive)
		m->down_key =
			gapbook_open(m->gaps, GAP_DOWN, "monitor", m->last_clean ? "stopped" : ended, 0, m->last_alive);
	guard_uncovered(m->conf, &m->scope, m->gaps);
	live_rescan(m->live, "/", false,
		    m->last_alive ? "changed while the monitor was down" : "changed before the first start",
		    pipeline_reconciled, m);
}

int pipeline_known(void *data, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX])
{
	struct monitor *m = data;

	return known_digest(m->known, fd, algo, ret);
}
