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

#include "daemon/monitor.h"
#include "db/sign.h"
#include "exec/gate.h"
#include "exec/trust_store.h"
#include "fim/mime.h"
#include "lib/clock.h"

#define EXEC_BEAT_NS   (250 * NSEC_PER_MSEC)
#define EXEC_RELOAD_NS (2 * NSEC_PER_SEC)

struct exec {
	struct monitor *m;
	struct gate *gate;
	struct packages *packages;
	struct mime *mime; /* the verdict thread's */
	struct loop_source *beat, *reload;
	size_t marks, digests;
	uint64_t lost;	    /* results that have a gap row */
	atomic_bool ending; /* what is still told is told without looking anything up */
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
	int r = exec_enforces(m) ? watchdog_start(m->conf->exec.stall, &m->watchdog) : 0;

	if (r == 0)
		return 0;
	log_error("the watchdog does not start: %s", strerror(-r));
	return EX_OSERR;
}

void watchdog_part_stop(struct monitor *m)
{
	watchdog_stop(TAKE_PTR(m->watchdog));
}

/* --- trust */

static const enum trust_source exec_sources[CONF_TRUST_COUNT] = {
	[CONF_TRUST_BASELINES] = TRUST_BASELINES,
	[CONF_TRUST_DPKG] = TRUST_PACKAGES,
};

static bool exec_asks(const struct monitor *m, enum conf_exec_trust source)
{
	for (unsigned i = 0; i < m->conf->exec.trust.n; i++)
		if (m->conf->exec.trust.word[i] == source)
			return true;
	return false;
}

static int exec_load_packages(struct exec *x)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	struct packages *p;
	int r = packages_load("/", &p, &warnings);

	if (r < 0)
		return r;
	if (x->packages)
		packages_unref(x->packages);
	x->packages = p;
	return 0;
}

static int exec_load_baselines(struct monitor *m, struct trust *t, struct buf *warnings)
{
	_cleanup_db_ struct db *db = NULL;
	_cleanup_sign_key_ struct sign_key *pub = NULL;
	_cleanup_buf_ struct buf key = BUF_INIT;
	int r = db_open(&m->db, DB_READ, &db, warnings);

	if (r == 0)
		r = db_key_path(&m->db, &key);
	if (r == 0)
		r = sign_key_load_public(key.data, &pub, warnings);
	if (r == 0)
		r = trust_add_baselines(t, db, pub, m->conf->exec.scripts != CONF_SCRIPTS_OFF, warnings);
	return r;
}

/* The loop is not there yet, or waits for us: nobody else sees that the monitor is to end. */
static bool exec_is_over(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static int exec_make_trust(struct exec *x, struct trust **ret)
{
	_cleanup_buf_ struct buf warnings = BUF_INIT;
	_cleanup_trust_ struct trust *t = NULL;
	struct monitor *m = x->m;
	enum trust_source order[CONF_WORDS_MAX];
	int r = exec_asks(m, CONF_TRUST_DPKG) ? exec_load_packages(x) : 0;

	for (unsigned i = 0; i < m->conf->exec.trust.n; i++)
		order[i] = exec_sources[m->conf->exec.trust.word[i]];
	if (r == 0)
		r = trust_new(order, m->conf->exec.trust.n, x->packages, &t);
	if (r == 0 && exec_asks(m, CONF_TRUST_BASELINES) && !exec_is_over())
		r = exec_load_baselines(m, t, &warnings);
	if (r == 0)
		r = trust_seal(t);
	if (warnings.len)
		log_warn("trust: %s", warnings.data);
	if (r < 0)
		return r;
	x->digests = trust_digest_count(t);
	*ret = TAKE_PTR(t);
	return 0;
}

/* --- programs without which nobody logs in or ends us */

static bool exec_is_trusted(struct trust *t, struct exec_hash *h, struct exec_digests *d, const char *path, int fd,
			    const struct stat *st)
{
	struct trust_answer answer;

	if (exec_hash_fd(h, fd, (uint64_t)st->st_size, trust_algos(t), trust_package_algo(t, path), d) < 0)
		return false;
	trust_ask(t, path, st, d, &answer);
	return answer.source != TRUST_NONE;
}

static bool exec_is_marked(struct exec *x, const struct stat *st);

static void exec_check_path(struct exec *x, struct trust *t, struct exec_hash *h, struct exec_digests *d,
			    const char *name, struct buf *refused)
{
	_cleanup_free_ char *path = realpath(name, NULL);
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || !exec_is_marked(x, &st))
		return;
	if (!exec_is_trusted(t, h, d, path, fd, &st))
		buf_printf(refused, "%s%s", refused->len ? ", " : "", path);
}

static int exec_check_essential(struct exec *x, struct trust *t)
{
	static const char *const essential[] = { "/sbin/init",
						 "/bin/sh",
						 "/bin/bash",
						 "/usr/sbin/sshd",
						 "/bin/login",
						 "/bin/systemctl",
						 "/lib64/ld-linux-x86-64.so.2",
						 "/bin/kill",
						 "/proc/self/exe" };
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	_cleanup_buf_ struct buf refused = BUF_INIT;
	_cleanup_free_ struct exec_digests *d = malloc(sizeof(*d));

	if (!d || exec_hash_new(&h) < 0)
		return EX_OSERR;
	for (size_t i = 0; i < ARRAY_SIZE(essential); i++)
		exec_check_path(x, t, h, d, essential[i], &refused);
	if (refused.len == 0)
		return 0;
	log_error("exec.mode is enforce, but nobody vouches for %s: nobody could log in or stop this monitor. Take a "
		  "baseline "
		  "that holds them, or widen exec.trust",
		  refused.data);
	return EX_CONFIG;
}

/* --- marks */

struct exec_dev {
	const struct stat *st;
	bool found;
};

static int exec_match_dev(const struct watch_mark *mark, void *data)
{
	struct exec_dev *d = data;

	d->found |= mark->marked && mark->dev == d->st->st_dev;
	return 0;
}

static bool exec_is_marked(struct exec *x, const struct stat *st)
{
	struct exec_dev d = { st, false };

	watch_each_mark(x->m->watch, exec_match_dev, &d);
	return d.found;
}

static int exec_mark(const struct watch_mark *mark, void *data)
{
	struct exec *x = data;
	int r = mark->marked ? gate_mark(x->gate, mark->mountpoint) : -ENODEV;

	if (r == 0)
		x->marks++;
	else if (mark->marked && r != -EOPNOTSUPP)
		gapbook_note(x->m->gaps, GAP_MARK_FAILED, mark->mountpoint, "program starts there are not gated");
	return 0;
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
	if (v->verdict == EXEC_ALLOWED || !x->mime || x->ending)
		return;
	n = pread(v->fd, head, sizeof(head), 0);
	if (n > 0)
		r->mime = mime_type(x->mime, &e->arena, head, (size_t)n);
	r->have |= r->mime ? ATTR_BIT(ATTR_MIME) : 0;
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
	e->process = x->ending ? NULL : proc_table_get(x->m->procs, v->pid, false);
	if (!e->process)
		e->process_why = x->ending ? "the monitor was ending" : "gone before it could be asked";
	exec_describe(x, v, e);
	pipeline_emit(e, x->m);
}

/* --- part */

static void exec_hook_exec(int32_t pid, uint64_t mono_ns, void *data)
{
	gate_exec_seen(data, pid, mono_ns);
}

static void exec_hook_exit(int32_t pid, void *data)
{
	gate_exit_seen(data, pid);
}

static int exec_on_beat(struct loop_source *source _unused_, uint32_t events _unused_, void *data)
{
	struct exec *x = data;

	watchdog_beat(x->m->watchdog, WATCHDOG_MAIN);
	return 0;
}

/* Starts that were judged but of which nobody could be told: they have no row, so they are a gap. */
static void exec_tell_lost(struct exec *x)
{
	struct gate_stats s;
	uint64_t key;

	gate_get_stats(x->gate, &s);
	if (s.lost == x->lost)
		return;
	key = gapbook_open(x->m->gaps, GAP_LIMIT, "program starts", "more at once than could be recorded",
			   s.lost - x->lost, 0);
	gapbook_close(x->m->gaps, key, "judged, not recorded", 0);
	x->lost = s.lost;
}

static int exec_on_tick(struct loop_source *source _unused_, uint32_t events _unused_, void *data)
{
	struct exec *x = data;

	exec_tell_lost(x);
	if (x->packages && packages_outdated(x->packages))
		exec_part_reload(x->m);
	return 0;
}

void exec_part_reload(struct monitor *m)
{
	_cleanup_trust_ struct trust *t = NULL;
	int r;

	if (!m->exec)
		return;
	r = exec_make_trust(m->exec, &t);
	if (r == 0)
		gate_set_trust(m->exec->gate, t);
	else
		log_warn("trust could not be loaded again, the old one stays in force: %s", strerror(-r));
}

static int exec_open(struct exec *x, struct trust *t)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	const struct conf *c = x->m->conf;
	struct stat root;
	const struct gate_options o = { .enforce = exec_enforces(x->m),
					.host = stat("/usr/bin", &root) == 0 && exec_is_marked(x, &root),
					.fail_closed = c->exec.fail == CONF_FAIL_CLOSED,
					.deadline = c->exec.deadline,
					.max_size = c->exec.max_size,
					.scripts = (enum gate_scripts)c->exec.scripts,
					.watchdog = x->m->watchdog,
					.verdict = exec_verdict,
					.data = x };
	int r = gate_start(&o, t, &x->gate, &err);

	if (r == 0)
		return 0;
	if (exec_enforces(x->m)) {
		log_error("%s", err.data);
		return r == -EPERM ? EX_NOPERM : EX_OSERR;
	}
	gapbook_note(x->m->gaps, GAP_WEAK_SENSOR, "program starts", err.data);
	return 0;
}

static int exec_begin(struct exec *x)
{
	_cleanup_trust_ struct trust *t = NULL;
	struct monitor *m = x->m;
	int r, status;

	if (exec_is_over())
		return 0;
	r = exec_make_trust(x, &t);
	if (exec_is_over())
		return 0;
	if (r < 0) {
		log_error("trust for program starts cannot be loaded: %s", strerror(-r));
		return EX_IOERR;
	}
	status = exec_enforces(m) ? exec_check_essential(x, t) : 0;
	if (!status)
		status = exec_open(x, t);
	if (status || !x->gate)
		return status;
	if (m->connector)
		connector_set_hooks(m->connector, &(struct connector_hooks){ exec_hook_exec, exec_hook_exit, x->gate });
	if (m->watchdog && loop_add_timer(m->loop, EXEC_BEAT_NS, EXEC_BEAT_NS, exec_on_beat, x, &x->beat) < 0)
		return EX_OSERR;
	if (loop_add_timer(m->loop, EXEC_RELOAD_NS, EXEC_RELOAD_NS, exec_on_tick, x, &x->reload) < 0)
		return EX_OSERR;
	watch_each_mark(m->watch, exec_mark, x);
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
	if (mime_new(&m->exec->mime) < 0)
		m->exec->mime = NULL;
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
	if (m->connector)
		connector_set_hooks(m->connector, NULL);
	gate_stop(x->gate);
	if (x->beat)
		loop_remove(x->beat);
	if (x->reload)
		loop_remove(x->reload);
	if (x->packages)
		packages_unref(x->packages);
	mime_free(x->mime);
	free(x);
	m->exec = NULL;
}

/* --- status */

static void exec_number(json_t *o, const char *key, uint64_t value)
{
	json_object_set_new(o, key, json_integer((json_int_t)value));
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
	exec_number(o, "file_systems", x->marks);
	exec_number(o, "trusted_digests", x->digests);
	exec_number(o, "packages", x->packages ? packages_count(x->packages) : 0);
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
		{ "in_flight", s.in_flight }, { "worst_ns", s.worst_ns },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		exec_number(o, numbers[i].key, numbers[i].value);
	return o;
}
