/*
 * exec.ungated: kill. Tells the BPF programs who may run more than what the gate judges, and makes events of what they
 * refused. Called on the main thread and that of trust; the event on the connector's, which must not wait.
 */
#include "daemon/exec_ungated.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/exec_trust.h"
#include "exec/hash.h"
#include "lib/clock.h"

/* Runtimes that begin by running a copy of themselves from memory, so that a container cannot write to their file. */
static const char *const runtimes[] = {
	"/usr/bin/runc", "/usr/sbin/runc", "/usr/local/bin/runc", "/usr/local/sbin/runc",
	"/usr/bin/crun", "/usr/sbin/crun", "/usr/local/bin/crun", "/usr/local/sbin/crun",
};

static bool wanted(const struct monitor *m)
{
	return m->connector && m->conf->exec.mode == CONF_EXEC_ENFORCE && m->conf->exec.ungated == CONF_UNGATED_KILL;
}

static void allow_caller(struct monitor *m, struct trust *t, struct exec_hash *h, struct exec_digests *d,
			 const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && exec_trust_vouches(t, h, d, path, fd, &st))
		connector_caller(m->connector, mounts_dev(fd, &st), st.st_ino);
}

void exec_ungated_callers(struct monitor *m, struct trust *t)
{
	_cleanup_exec_hash_ struct exec_hash *h = NULL;
	_cleanup_free_ struct exec_digests *d = wanted(m) ? calloc(1, sizeof(*d)) : NULL;

	if (!d || exec_hash_new(&h) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(runtimes); i++)
		allow_caller(m, t, h, d, runtimes[i]);
}

void exec_ungated_start(struct monitor *m, struct trust *t)
{
	int r;

	if (m->conf->exec.ungated != CONF_UNGATED_KILL)
		return;
	exec_ungated_callers(m, t);
	r = m->connector ? connector_refuse(m->connector, true, m->o->session) : -ENOTSUP;
	if (r < 0)
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, "program starts",
			     "exec.ungated: kill needs BPF on Linux 6.10 or later: judged late", 0, 0);
}

void exec_ungated_stop(struct monitor *m)
{
	if (m->connector)
		connector_refuse(m->connector, false, 0);
}

struct event *exec_ungated_event(struct monitor *m, const struct bpf_proc_event *refused)
{
	static const char *const reasons[BPF_REFUSED_KINDS] = {
		[BPF_REFUSED_UNGATED] = "its file system is not gated; killed before its first instruction",
		[BPF_REFUSED_MEMORY] = "a memory file; killed before its first instruction",
		[BPF_REFUSED_FUSE] = "served by a process (FUSE); killed before its first instruction",
	};
	struct event *e = event_new(EVENT_EXEC);

	if (!e)
		return NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->path = refused->told.exe ? arena_strdup(&e->arena, refused->told.exe) : NULL;
	e->verdict = EXEC_KILLED;
	e->reason = reasons[refused->refused];
	e->has_after = true;
	e->after.have = ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO);
	e->after.type = 'f';
	e->after.dev = refused->exe_dev;
	e->after.ino = refused->exe_ino;
	e->process = proc_table_get(m->procs, refused->told.pid, false);
	if (!e->process)
		e->process_why = "gone before it could be asked";
	return e;
}
