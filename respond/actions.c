/*
 * What can be done: the table of actions. Of the thread "respond". Each checks, right before it acts, that what it acts
 * upon is what was meant and is not on the never-touch list; a dry run stops after the checks.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/text.h"
#include "respond/file.h"
#include "respond/internal.h"
#include "respond/tree.h"

#define ACTION_FREEZE_NS (500 * NSEC_PER_MSEC)
#define ACTION_KILL_NS	 NSEC_PER_SEC
#define ACTION_TREE_NS	 (3 * NSEC_PER_SEC)

static struct never never_of(const struct respond *r, const struct response *x)
{
	return (struct never){ r->procfd, x->conf->respond.never_touch.items, x->conf->respond.never_touch.n };
}

bool action_is_dry(const struct response *x)
{
	return x->conf->respond.mode != CONF_RESPOND_ACT;
}

/* --- who */

/* Of a process that is gone: where it was. Both hierarchies call a container's cgroup alike. */
static void locate_by_path(struct respond *r, struct response *x, const struct process *p)
{
	_cleanup_free_ char *path = NULL;
	char id[CGROUP_ID_LEN + 1];
	size_t len;

	if (!(p->known & PROCESS_CGROUP) || cgroup_parse_container(p->cgroup, strlen(p->cgroup), NULL, &len, id) < 0)
		return;
	path = strndup(p->cgroup, len);
	if (path && cgroup_reopen(&r->cgroups, false, path, 0, &x->group) < 0)
		cgroup_reopen(&r->cgroups, true, path, 0, &x->group);
}

void action_locate(struct respond *r, struct response *x)
{
	const struct process *p = x->event->process;

	if (!p || !(p->known & PROCESS_START))
		return;
	if (target_open(r->procfd, p->pid, p->start_ns, &x->target) == 0) {
		if (cgroup_of(&r->cgroups, &x->target, NULL, &x->group) < 0)
			x->group = (struct cgroup)CGROUP_INIT;
		return;
	}
	locate_by_path(r, x, p);
}

void action_say_process(const struct response *x, struct buf *why)
{
	const char *name = x->event->process ? process_name(x->event->process) : NULL;

	buf_printf(why, "pid %d", x->target.pid);
	if (!name)
		return;
	buf_str(why, " (");
	text_escape(why, name, strlen(name));
	buf_char(why, ')');
}

static void say_container(const struct response *x, struct buf *why)
{
	buf_printf(why, "container %.12s", x->group.id);
}

/* --- checks: RESULT_COUNT: go on */

static int check_process(struct respond *r, struct response *x, struct buf *why)
{
	const struct never never = never_of(r, x);

	if (x->target.pidfd < 0 || target_wait(&x->target, 0) == 0) {
		buf_str(why, x->event->process ? "the process has ended" : "the process is not known");
		return RESULT_GONE;
	}
	return never_touch(&never, &x->target, why) ? RESULT_REFUSED : RESULT_COUNT;
}

struct member_check {
	const struct never *never;
	struct buf *why;
	unsigned n;
};

static int check_member(const struct target *t, void *data)
{
	struct member_check *c = data;

	c->n++;
	return never_touch(c->never, t, c->why);
}

static int check_container(struct respond *r, struct response *x, struct buf *why)
{
	const struct never never = never_of(r, x);
	struct member_check c = { &never, why, 0 };
	int found;

	if (x->group.fd < 0) {
		buf_str(why, "it is in no container that is known");
		return RESULT_GONE;
	}
	found = cgroup_each(&x->group, r->procfd, check_member, &c);
	if (found > 0)
		return RESULT_REFUSED;
	if (found == 0 && c.n)
		return RESULT_COUNT;
	say_container(x, why);
	buf_str(why, " has ended");
	return RESULT_GONE;
}

int action_failed(struct buf *why, int err)
{
	buf_printf(why, "%s%s", why->len ? ": " : "", strerror(-err));
	return err == -ESRCH ? RESULT_GONE : RESULT_FAILED;
}

/* --- freezing */

static int hold(struct respond *r, struct response *x, struct buf *why)
{
	uint64_t most = x->conf->respond.thaw;
	_cleanup_close_ int fd = -1;
	const char *word;
	enum warden_kind kind = x->group.fd < 0 ? WARDEN_PROCESS : x->group.legacy ? WARDEN_LEGACY : WARDEN_UNIFIED;
	int e;

	if (!r->o.warden) {
		buf_str(why, "nobody would thaw it if this monitor ended");
		return -ENOSYS;
	}
	if (x->group.fd >= 0) {
		fd = cgroup_open_thaw(&x->group, &word);
		if (fd < 0)
			return fd;
	}
	/* The monitor thaws by itself, and in time; the warden is for when it does not. */
	e = warden_hold(r->o.warden, kind, fd >= 0 ? fd : x->target.pidfd, most + NSEC_PER_SEC, &x->slot);
	if (e < 0)
		buf_str(why, e == -EBUSY ? "too much is frozen already" : "the process that would thaw it is gone");
	return e;
}

static int freeze_now(struct respond *r, struct response *x, struct buf *why)
{
	int e = hold(r, x, why);

	if (e < 0)
		return action_failed(why, e);
	if (x->group.fd >= 0) {
		e = cgroup_freeze(&x->group, ACTION_FREEZE_NS);
		say_container(x, why);
	} else {
		e = target_signal(&x->target, SIGSTOP);
		action_say_process(x, why);
	}
	if (e == 1 || (e < 0 && e != -ETIMEDOUT)) {
		warden_release(r->o.warden, x->slot);
		if (e < 0)
			return action_failed(why, e);
		buf_str(why, " was frozen already, by somebody else");
		return RESULT_DONE;
	}
	if (e == -ETIMEDOUT)
		buf_str(why, ": some of it has not stopped yet");
	x->frozen = true;
	x->frozen_group = x->group.fd >= 0;
	x->thaw_at = clock_mono_ns() + x->conf->respond.thaw;
	return RESULT_DONE;
}

static int act_freeze(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	int result = x->group.fd >= 0 ? check_container(r, x, why) : check_process(r, x, why);

	if (result != RESULT_COUNT)
		return result;
	if (x->frozen) {
		buf_str(why, "it is frozen already");
		return RESULT_DONE;
	}
	if (!action_is_dry(x))
		return freeze_now(r, x, why);
	(x->group.fd >= 0 ? say_container : action_say_process)(x, why);
	return RESULT_DRY_RUN;
}

int action_freeze_again(struct respond *r, struct response *x, struct buf *why)
{
	return act_freeze(r, x, NULL, why);
}

int action_thaw(struct respond *r, struct response *x, struct buf *why)
{
	int e;

	if (!x->frozen)
		return 0;
	e = x->frozen_group ? cgroup_thaw(&x->group) : target_signal(&x->target, SIGCONT);
	(x->frozen_group ? say_container : action_say_process)(x, why);
	/* What is gone is not frozen. If it could not be done, the warden goes on trying for its time. */
	if (e == 0 || e == -ESRCH || e == -ENODEV || e == -ENOENT) {
		warden_release(r->o.warden, x->slot);
		x->frozen = false;
		return 0;
	}
	return e;
}

static int act_thaw(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	int e;

	if (!x->frozen) {
		buf_str(why, "it is not frozen");
		return action_is_dry(x) ? RESULT_DRY_RUN : RESULT_DONE;
	}
	e = action_thaw(r, x, why);
	return e < 0 ? action_failed(why, e) : RESULT_DONE;
}

/* --- ending */

/* In a frozen legacy cgroup nothing dies. */
static void thaw_legacy(struct respond *r, struct response *x)
{
	_cleanup_buf_ struct buf unused = BUF_INIT;

	if (x->frozen && x->frozen_group && x->group.legacy)
		action_thaw(r, x, &unused);
}

static int ended(struct buf *why, int e)
{
	if (e == -ETIMEDOUT)
		buf_str(why, ": it was told to, but has not ended yet");
	else if (e < 0)
		return action_failed(why, e);
	return RESULT_DONE;
}

static int act_kill(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	int result = check_process(r, x, why), e;

	if (result != RESULT_COUNT)
		return result;
	action_say_process(x, why);
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	e = target_signal(&x->target, SIGKILL);
	thaw_legacy(r, x);
	return ended(why, e < 0 ? e : target_wait(&x->target, ACTION_KILL_NS));
}

static int act_kill_tree(struct respond *r, struct response *x, const struct conf_step *step _unused_, struct buf *why)
{
	const struct never never = never_of(r, x);
	struct tree_result tree;
	int result = check_process(r, x, why), e;

	if (result != RESULT_COUNT)
		return result;
	action_say_process(x, why);
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	/* It is stopped again before anything else of it runs for long. */
	target_signal(&x->target, SIGSTOP);
	thaw_legacy(r, x);
	e = tree_kill(&never, &x->target, ACTION_TREE_NS, &tree);
	buf_printf(why, ", %u %s", tree.killed, tree.killed == 1 ? "process" : "processes");
	if (tree.spared)
		buf_printf(why, ", %u spared", tree.spared);
	if (e == -E2BIG) {
		buf_str(why, ": there were more than can be followed");
		return RESULT_FAILED;
	}
	return ended(why, e);
}

static int act_kill_container(struct respond *r, struct response *x, const struct conf_step *step _unused_,
			      struct buf *why)
{
	int result = check_container(r, x, why), e;
	unsigned n = 0;

	if (result != RESULT_COUNT)
		return result;
	say_container(x, why);
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	e = cgroup_kill(&x->group, r->procfd, ACTION_TREE_NS, &n);
	buf_printf(why, ", %u %s", n, n == 1 ? "process" : "processes");
	return ended(why, e);
}

/* Who runs containers of that name, and how it is told to stop one. */
static const struct runtime {
	const char *mark; /* in the cgroup's path */
	const char *program;
	const char *verb, *option;
} runtimes[] = {
	{ "libpod", "podman", "stop", "--time" },
	{ "docker", "docker", "stop", "--time" },
	{ "cri-containerd", "crictl", "stop", "--timeout" },
	{ "crio", "crictl", "stop", "--timeout" },
	{ "kubepods", "crictl", "stop", "--timeout" },
};

static const struct runtime *runtime_of(const struct response *x, char *path, size_t size)
{
	static const char *const folders[] = { "/usr/bin", "/usr/local/bin", "/usr/sbin" };

	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++) {
		if (!strstr(x->group.path, runtimes[i].mark))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(folders); k++) {
			snprintf(path, size, "%s/%s", folders[k], runtimes[i].program);
			if (access(path, X_OK) == 0)
				return &runtimes[i];
		}
	}
	return NULL;
}

static int act_stop_container(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why)
{
	int result = check_container(r, x, why), e;
	char path[64], seconds[24];
	const struct runtime *runtime;

	if (result != RESULT_COUNT)
		return result;
	say_container(x, why);
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	runtime = runtime_of(x, path, sizeof(path));
	if (!runtime) {
		buf_str(why, ": no runtime to ask");
		return act_kill_container(r, x, step, why);
	}
	/* Frozen processes do not take the signal by which they are asked to end. */
	if (x->frozen) {
		_cleanup_buf_ struct buf unused = BUF_INIT;

		action_thaw(r, x, &unused);
	}
	snprintf(seconds, sizeof(seconds), "%llu", (unsigned long long)(x->conf->respond.grace / NSEC_PER_SEC));
	const char *const argv[] = { path, runtime->verb, runtime->option, seconds, x->group.id, NULL };

	e = children_run(r, x, ACTION_STOP_CONTAINER, argv, NULL, x->conf->respond.grace + 20 * NSEC_PER_SEC);
	return e < 0 ? action_failed(why, e) : RESULT_WAITING;
}

/* --- log, alert, run */

static int act_log(struct respond *r _unused_, struct response *x, const struct conf_step *step _unused_,
		   struct buf *why _unused_)
{
	return action_is_dry(x) ? RESULT_DRY_RUN : RESULT_DONE;
}

/* Says what comes next, and how to stop it. */
static int act_alert(struct respond *r _unused_, struct response *x, const struct conf_step *step _unused_,
		     struct buf *why)
{
	const struct conf_ladder *l = x->ladder;

	if (x->step + 1 < l->n_steps) {
		const struct conf_step *next = &l->steps[x->step + 1];

		buf_printf(why, "%s follows", action_names[next->action]);
		if (next->after) {
			buf_str(why, " in ");
			text_duration(why, next->after);
		}
		buf_printf(why, " unless released: holdfast release %llu", (unsigned long long)x->id);
	}
	return action_is_dry(x) ? RESULT_DRY_RUN : RESULT_DONE;
}

static int act_run(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *o;
	int e;

	text_escape(why, step->argv[0], strlen(step->argv[0]));
	if (action_is_dry(x))
		return RESULT_DRY_RUN;
	o = file_json(x);
	json_line(&text, o);
	json_decref(o);
	buf_char(&text, '\n');
	e = text.failed ? -ENOMEM : children_run(r, x, ACTION_RUN, step->argv, text.data, x->conf->respond.run_timeout);
	if (e == -EAGAIN) {
		buf_str(why, ": too many programs run");
		return RESULT_FAILED;
	}
	return e < 0 ? action_failed(why, e) : RESULT_WAITING;
}

static int (*const actions[ACTION_COUNT])(struct respond *r, struct response *x, const struct conf_step *step,
					  struct buf *why) = {
	[ACTION_LOG] = act_log,
	[ACTION_ALERT] = act_alert,
	[ACTION_FREEZE] = act_freeze,
	[ACTION_THAW] = act_thaw,
	[ACTION_EVIDENCE] = act_evidence,
	[ACTION_KILL] = act_kill,
	[ACTION_KILL_TREE] = act_kill_tree,
	[ACTION_STOP_CONTAINER] = act_stop_container,
	[ACTION_KILL_CONTAINER] = act_kill_container,
	[ACTION_QUARANTINE] = act_quarantine,
	[ACTION_DENY] = act_deny,
	[ACTION_RUN] = act_run,
};

int action_run(struct respond *r, struct response *x, const struct conf_step *step, struct buf *why)
{
	return actions[step->action] ? actions[step->action](r, x, step, why) : RESULT_FAILED;
}
