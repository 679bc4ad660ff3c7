/*
 * Program starts: the watchdog, the gate over the file systems that the sensor marked, and what becomes of verdicts.
 * Parts run on the main thread; verdicts come on the gate's thread "verdict", which may wait.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/exec_environment.h"
#include "daemon/exec_essential.h"
#include "daemon/exec_keep.h"
#include "daemon/exec_mapped.h"
#include "daemon/exec_marks.h"
#include "daemon/exec_trust.h"
#include "daemon/exec_ungated.h"
#include "daemon/exec_vouch.h"
#include "daemon/handover.h"
#include "daemon/monitor.h"
#include "exec/gate.h"
#include "fim/mime.h"
#include "lib/clock.h"
#include "watch/mounts.h"

#define EXEC_BEAT_NS (250 * NSEC_PER_MSEC)
#define EXEC_LOSSES  6
#define EXEC_TICK_NS (2 * NSEC_PER_SEC)

/* Other threads may know the offset of the clocks a little otherwise. No process runs two programs within that. */
#define EXEC_SLACK_NS 20000

struct exec {
	struct monitor *m;
	struct gate *gate;
	struct exec_trust *trust;
	struct exec_marks *marks;
	struct exec_keep *keep;
	struct exec_environment *environment; /* NULL: exec.libraries is off */
	struct exec_mapped *mapped;
	struct loop_source *beat, *tick;
	bool host;
	uint64_t told[EXEC_LOSSES]; /* of exec_losses: what has a gap row */
	uint64_t boot_offset;	    /* the verdicts' thread's */
	atomic_bool ending;	    /* what is still told is told without looking anything up */
};

_Static_assert((int)GATE_SCRIPTS_REPORT == CONF_SCRIPTS_REPORT && (int)GATE_SCRIPTS_ENFORCE == CONF_SCRIPTS_ENFORCE,
	       "the configuration's words are the gate's");

/* --- watchdog: before there is a group or a thread */

static bool exec_enforces(const struct monitor *m)
{
	return m->conf->exec.mode == CONF_EXEC_ENFORCE;
}

int watchdog_part_start(struct monitor *m)
{
	struct watchdog_options o = { .stall = m->conf->exec.stall };
	int r;

	o.release = handover_release(m, &o.notify);
	r = exec_enforces(m) ? watchdog_start(&o, &m->watchdog) : 0;

	if (r == 0)
		return 0;
	log_error("the watchdog does not start: %s", strerror(-r));
	return EX_OSERR;
}

void watchdog_part_stop(struct monitor *m)
{
	watchdog_stop(TAKE_PTR(m->watchdog));
}

/* --- digests that live and the gate share: before the one, and after both */

int known_part_start(struct monitor *m)
{
	return m->conf->exec.mode != CONF_EXEC_OFF && known_new(&m->known) < 0 ? EX_OSERR : 0;
}

void known_part_stop(struct monitor *m)
{
	if (m->left_behind)
		return;
	known_free(TAKE_PTR(m->known));
}

/* The loop is not there yet, or waits for us: nobody else sees that the monitor is to end. */
static bool exec_is_over(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* --- verdicts */

static void exec_describe(struct exec *x, const struct gate_verdict *v, struct event *e)
{
	struct record *r = &e->after;
	char head[MIME_HEAD];
	ssize_t n;

	if (v->fd < 0)
		return;
	e->has_after = true;
	r->have = ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) |
		  ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_CTIME) | ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO);
	r->type = 'f';
	r->mode = v->mode & 07777;
	r->uid = v->uid;
	r->gid = v->gid;
	r->size = v->size;
	r->ctime = v->ctime;
	r->dev = v->dev;
	r->ino = v->ino;
	if (v->has_digest) {
		r->have |= ATTR_BIT(ATTR_DIGEST);
		r->digest_len = EXEC_DIGEST_SIZE;
		memcpy(r->digest, v->digest, EXEC_DIGEST_SIZE);
	}
	if (v->verdict == EXEC_ALLOWED || x->ending)
		return;
	n = pread(v->fd, head, sizeof(head), 0);
	if (n > 0)
		r->mime = mime_type(x->m->mime, &e->arena, head, (size_t)n);
	r->have |= r->mime ? ATTR_BIT(ATTR_MIME) : 0;
}

/* The process as it was when it began to run the program: a shell that runs another at once is a shell. */
static struct process *exec_process(struct exec *x, const struct gate_verdict *v)
{
	if (!v->seen)
		return proc_table_get(x->m->procs, v->pid, false);
	clock_update_boot_offset(&x->boot_offset);
	return proc_table_told(x->m->procs, v->pid, v->exec_ns ? v->exec_ns + x->boot_offset + EXEC_SLACK_NS : 0);
}

static void exec_verdict(const struct gate_verdict *v, void *data)
{
	struct exec *x = data;
	struct event *e;

	/* The loader and the interpreter of every program there is are worth a row only when something is wrong with
	 * them. */
	if (v->role != GATE_MAIN && v->verdict == EXEC_ALLOWED)
		return;
	e = event_new(EVENT_EXEC);
	if (!e)
		return;
	e->time = v->real_ns;
	e->boot_time = v->boot_ns;
	e->path = v->path ? arena_strdup(&e->arena, v->path) : NULL;
	e->verdict = v->verdict;
	e->exec_type = v->type;
	e->exec_ns = v->spent_ns;
	e->reason = gate_reason_texts[v->reason];
	e->cause = *v->why ? arena_strdup(&e->arena, v->why) : NULL;
	e->container = v->container ? container_ref(v->container) : NULL;
	if (!x->ending)
		e->process = exec_process(x, v);
	if (!e->process)
		e->process_why = x->ending ? "the monitor was ending" : "gone before it could be asked";
	exec_describe(x, v, e);
	if (v->role == GATE_MAIN && x->environment)
		e->text = exec_environment_of(x->environment, v, &e->arena);
	pipeline_emit(e, x->m);
}

/* --- part */

static void exec_hook_exec(int32_t pid, uint64_t mono_ns, const struct bpf_proc_event *told, void *data)
{
	struct exec *x = data;
	bool named;

	if (!exec_concerns(x->m, pid))
		return;
	named = x->environment && exec_environment_note(x->environment, pid, told);
	gate_exec_seen(x->gate, pid, mono_ns, told);
	if (named || x->m->conf->exec.libraries == CONF_LIBRARIES_ALL)
		gate_look_at_libraries(x->gate, pid, named);
}

static void exec_hook_exit(int32_t pid, void *data)
{
	struct exec *x = data;

	gate_exit_seen(x->gate, pid);
}

static void exec_hook_refused(const struct bpf_proc_event *r, void *data)
{
	struct exec *x = data;
	struct event *e = x->ending ? NULL : exec_ungated_event(x->m, r);

	if (e)
		pipeline_emit(e, x->m);
}

static int exec_on_beat(struct loop_source *source _unused_, uint32_t events _unused_, void *data)
{
	struct exec *x = data;

	watchdog_beat(x->m->watchdog, WATCHDOG_MAIN);
	return 0;
}

/* What the gate counts and no row of a program tells, or not as what it is: time without a verdict is a gap. */
static const struct exec_loss {
	size_t counter; /* in struct gate_stats */
	const char *detail, *healed;
} exec_losses[EXEC_LOSSES] = {
	{ offsetof(struct gate_stats, lost), "more at once than could be recorded", "judged, not recorded" },
	{ offsetof(struct gate_stats, deadlines), "not judged within exec.deadline", "answered by exec.fail" },
	{ offsetof(struct gate_stats, full), "more at once than there is room for", "answered by exec.fail" },
	{ offsetof(struct gate_stats, kernel),
	  "the kernel could not open the program for the gate (a foreign lease, no descriptors left)",
	  "refused by the kernel" },
	{ offsetof(struct gate_stats, early), "leases given back before the start was seen, for want of room",
	  "judged, not held still" },
	{ offsetof(struct gate_stats, unlooked), "more processes at once than libraries could be looked for in",
	  "their libraries are not known" },
};

static void exec_tell_losses(struct exec *x)
{
	struct gate_stats s;

	gate_get_stats(x->gate, &s);
	for (size_t i = 0; i < ARRAY_SIZE(exec_losses); i++) {
		const struct exec_loss *l = &exec_losses[i];
		uint64_t n = *(const uint64_t *)((const char *)&s + l->counter);

		if (n == x->told[i])
			continue;
		gapbook_once(x->m->gaps, GAP_LIMIT, "program starts", l->detail, n - x->told[i], l->healed);
		x->told[i] = n;
	}
}

static int exec_on_tick(struct loop_source *source _unused_, uint32_t events _unused_, void *data)
{
	struct exec *x = data;

	exec_tell_losses(x);
	if (x->keep)
		exec_keep_look(x->keep);
	return 0;
}

uint64_t exec_part_reload(struct monitor *m)
{
	return m->exec && m->exec->gate ? exec_trust_want(m->exec->trust) : 0;
}

uint64_t exec_part_relist(struct monitor *m)
{
	return m->exec && m->exec->gate ? exec_trust_want_list(m->exec->trust) : 0;
}

void exec_part_policies(struct monitor *m, const struct conf *conf)
{
	if (!m->exec || !m->exec->gate)
		return;
	exec_trust_set_policies(m->exec->trust, conf);
	exec_marks_policies(m->exec->marks, conf);
}

static int exec_open(struct exec *x, struct trust *t)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct conf *c = x->m->conf;
	struct gate_options o = { .enforce = exec_enforces(x->m),
				  .host = x->host,
				  .fail_closed = c->exec.fail == CONF_FAIL_CLOSED,
				  .deadline = c->exec.deadline,
				  .max_size = c->exec.max_size,
				  .scripts = (enum gate_scripts)c->exec.scripts,
				  .libraries = c->exec.libraries != CONF_LIBRARIES_OFF,
				  .containers = x->m->containers,
				  .procs = x->m->procs,
				  .conf = c,
				  .watchdog = x->m->watchdog,
				  .known = x->m->known,
				  .verdict = exec_verdict,
				  .data = x };
	int group = handover_take(x->m), r;

	o.group = MAX(group, 0);
	r = gate_start(&o, t, &x->gate, &err);
	if (r == -EMEDIUMTYPE) {
		close(group);
		o.group = 0;
		buf_reset(&err);
		r = gate_start(&o, t, &x->gate, &err);
	}
	if (r == 0)
		return 0;
	if (exec_enforces(x->m)) {
		log_error("%s", err.data);
		return r == -EPERM ? EX_NOPERM : EX_OSERR;
	}
	gapbook_open(x->m->gaps, GAP_WEAK_SENSOR, "program starts", err.data, 0, 0);
	return 0;
}

/* The host's own programs are on a file system that is gated. */
static bool exec_covers_host(struct monitor *m)
{
	_cleanup_close_ int fd = open("/usr/bin", O_PATH | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && exec_marks_covers(m, mounts_dev(fd, &st));
}

static int exec_begin(struct exec *x)
{
	struct monitor *m = x->m;
	struct trust *t;
	int r, status;

	if (exec_is_over())
		return 0;
	r = exec_trust_new(m, exec_is_over, &x->trust, &t);
	if (exec_is_over())
		return 0;
	x->host = exec_covers_host(m);
	if (r < 0) {
		log_error("trust for program starts cannot be loaded: %s", strerror(-r));
		return EX_IOERR;
	}
	status = exec_enforces(m) ? exec_check_essential(m, t) : 0;
	if (!status)
		status = exec_open(x, t);
	if (status || !x->gate)
		return status;
	if (m->conf->exec.libraries != CONF_LIBRARIES_OFF && exec_environment_new(&x->environment) < 0)
		return EX_OSERR;
	if (m->connector) {
		/* Where that cannot be, it is asked for by device numbers. */
		connector_gate(m->connector, gate_group(x->gate));
		connector_set_hooks(m->connector,
				    &(struct connector_hooks){ exec_hook_exec, exec_hook_exit, exec_hook_refused,
							       m->conf->exec.libraries == CONF_LIBRARIES_ALL, x });
	}
	if (m->watchdog && loop_add_timer(m->loop, EXEC_BEAT_NS, EXEC_BEAT_NS, exec_on_beat, x, &x->beat) < 0)
		return EX_OSERR;
	exec_vouch_from(m, x->trust);
	if (loop_add_timer(m->loop, EXEC_TICK_NS, EXEC_TICK_NS, exec_on_tick, x, &x->tick) < 0 ||
	    exec_trust_start(x->trust, x->gate) < 0 || exec_marks_start(m, x->gate, x->host, &x->marks) < 0 ||
	    exec_keep_new(m, x->gate, x->trust, &x->keep) < 0)
		return EX_OSERR;
	x->mapped = exec_mapped_start(m, x->gate);
	if (x->host && exec_enforces(m))
		exec_ungated_start(m, t);
	return 0;
}

int exec_part_start(struct monitor *m)
{
	int status;

	if (m->conf->exec.mode == CONF_EXEC_OFF)
		return 0;
	m->exec = calloc(1, sizeof(*m->exec));
	if (!m->exec)
		return EX_OSERR;
	m->exec->m = m;
	status = exec_begin(m->exec);
	if (status)
		exec_part_stop(m);
	return status;
}

void exec_part_stop(struct monitor *m)
{
	struct exec *x = m->exec;

	if (!x)
		return;
	/* From here on nobody waits for us: ending may take its time. */
	x->ending = true;
	watchdog_end(m->watchdog, WATCHDOG_MAIN);
	exec_ungated_stop(m);
	if (m->connector) {
		connector_set_hooks(m->connector, NULL);
		connector_gate(m->connector, -1);
	}
	exec_mapped_stop(x->mapped);
	exec_marks_stop(x->marks);
	exec_vouch_from(m, NULL);
	exec_trust_stop(x->trust);
	gate_stop(x->gate);
	exec_keep_free(x->keep);
	exec_trust_free(x->trust);
	if (x->beat)
		loop_remove(x->beat);
	if (x->tick)
		loop_remove(x->tick);
	exec_environment_free(x->environment);
	free(x);
	m->exec = NULL;
}

/* --- status */

static void exec_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void exec_status_trust(json_t *o, struct exec *x)
{
	struct exec_trust_state t;
	struct known_stats k;

	exec_trust_get_state(x->trust, &t);
	known_get_stats(x->m->known, &k);
	exec_number(o, "read_ahead", k.read);
	exec_number(o, "shared", k.shared);
	exec_number(o, "trusted_digests", t.digests);
	exec_number(o, "trusted_paths", t.paths);
	exec_number(o, "denied_digests", t.denied);
	exec_number(o, "packages", t.packages);
	exec_number(o, "trust_loaded", t.loaded);
	json_object_set_new(o, "trust_failed", json_boolean(t.failed));
}

json_t *exec_status(struct monitor *m)
{
	static const char *const modes[] = { "off", "observe", "enforce" };
	struct exec *x = m->exec;
	struct gate_stats s;
	json_t *o = json_object();
	bool deny_errno;

	json_object_set_new(o, "mode", json_string(modes[m->conf->exec.mode]));
	if (!x || !x->gate)
		return o;
	gate_get_stats(x->gate, &s);
	json_object_set_new(o, "class", json_string(gate_class(x->gate, &deny_errno)));
	json_object_set_new(o, "deny_errno", json_boolean(deny_errno));
	json_object_set_new(o, "watchdog", json_boolean(m->watchdog && watchdog_alive(m->watchdog)));
	json_object_set_new(o, "watchdog_apart", json_boolean(m->watchdog && watchdog_apart(m->watchdog)));
	exec_number(o, "file_systems", x->marks ? exec_marks_count(x->marks) : 0);
	exec_status_trust(o, x);
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{ "events", s.events },	      { "allowed", s.allowed },	  { "unexpected", s.unexpected },
		{ "denied", s.denied },	      { "killed", s.killed },	  { "unjudged", s.unjudged },
		{ "cached", s.cached },	      { "hashed", s.hashed },	  { "writers", s.writers },
		{ "deadlines", s.deadlines }, { "full", s.full },	  { "refused_by_kernel", s.kernel },
		{ "swapped", s.swapped },     { "late", s.late },	  { "scripts", s.scripts },
		{ "unleased", s.unleased },   { "early", s.early },	  { "lost", s.lost },
		{ "libraries", s.libraries }, { "unlooked", s.unlooked }, { "in_flight", s.in_flight },
		{ "worst_ns", s.worst_ns },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		exec_number(o, numbers[i].key, numbers[i].value);
	return o;
}
