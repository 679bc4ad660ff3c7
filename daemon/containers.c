/*
 * Containers in the monitor: the table of who they are, and how events get theirs. The table has a thread of its own;
 * events are placed on the thread that tells them, before they are told.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "daemon/monitor.h"
#include "proc/cgroup.h"
#include "watch/mountns.h"

static void containers_seen(const char *cgroup, int32_t pid, void *data)
{
	struct cgroup_container in[CGROUP_NEST_MAX];
	size_t n = cgroup_containers(cgroup, in);
	struct monitor *m = data;

	if (n == 0)
		return;
	containers_hint(m->containers, cgroup, pid);
	entered_seen(m->entered, in[n - 1].id, pid);
	mountns_seen(m->mountns, in[n - 1].id, pid);
}

static bool follows_files(const struct conf *conf)
{
	for (size_t i = 0; i < conf->containers.n_policies; i++)
		if (conf->containers.policies[i].files == CONF_FILES_OBSERVE)
			return true;
	return false;
}

/* On the thread "mounts". */
static void mounts_state(const struct mountns_stats *s, void *data)
{
	struct monitor *m = data;
	const struct {
		bool open;
		enum gap_reason reason;
		const char *detail;
		uint64_t lost;
	} gaps[] = {
		{ !s->told, GAP_WEAK_SENSOR,
		  "the kernel does not tell of them: looked at every 10 s, and nobody knows who", 0 },
		{ s->untold, GAP_MARK_FAILED,
		  "the kernel does not tell of some of them: looked at every 10 s, and nobody "
		  "knows who",
		  0 },
		{ s->full, GAP_LIMIT,
		  "more mount namespaces than are followed: one is, from the next program in it on "
		  "for which there is room",
		  s->passed - m->mounts_passed },
	};

	for (size_t i = 0; i < ARRAY_SIZE(gaps); i++) {
		if (s->wanted && gaps[i].open)
			gapbook_lose(m->gaps, gaps[i].reason, "mounts in containers", gaps[i].detail, gaps[i].lost, 0);
		else
			gapbook_end(m->gaps, gaps[i].reason, "mounts in containers", "no longer so");
	}
	m->mounts_passed = s->passed;
}

static int start_mountns(struct monitor *m)
{
	const struct mountns_options o = { .procfs = "/proc", .procs = m->procs, .state = mounts_state, .data = m };
	int r = mountns_new(&o, &m->mountns);

	if (r == 0)
		mountns_want(m->mountns, follows_files(m->conf));
	return r;
}

void containers_part_reload(struct monitor *m, const struct conf *conf)
{
	mountns_want(m->mountns, follows_files(conf));
	if (follows_files(conf))
		proc_table_scan(m->procs);
}

int containers_part_start(struct monitor *m)
{
	const struct containers_options o = {
		.root = "/",
		.procfs = "/proc",
		.stores = m->conf->containers.stores.items,
		.n_stores = m->conf->containers.stores.n,
	};
	int r = containers_new(&o, &m->containers);

	if (r == 0)
		r = containers_start(m->containers);
	if (r == 0)
		r = start_mountns(m);
	if (r == 0)
		r = entered_new("/proc", &m->entered);
	if (r < 0) {
		log_error("containers cannot be looked at: %s", strerror(-r));
		containers_part_stop(m);
		return EX_OSERR;
	}
	proc_table_set_seen(m->procs, containers_seen, m);
	return 0;
}

void containers_part_stop(struct monitor *m)
{
	proc_table_set_seen(m->procs, NULL, NULL);
	if (m->mountns)
		mountns_free(TAKE_PTR(m->mountns));
	containers_free(TAKE_PTR(m->containers));
	entered_free(TAKE_PTR(m->entered));
}

/* --- where */

/* The file on the host that is `inner` in the container, when it is this one. */
static bool is_at(const char *layer, const char *inner, const struct record *r, char ret[PATH_MAX])
{
	struct stat st;
	int n = snprintf(ret, PATH_MAX, "%s%s", layer, inner);

	return n < PATH_MAX && lstat(ret, &st) == 0 && st.st_dev == r->dev && st.st_ino == r->ino;
}

/* A program's file is named as its own mount shows it: the host's name for it is looked for in the layers. */
static void find_host_path(struct event *e)
{
	const struct container *c = e->container;
	const struct record *r = &e->after;
	char path[PATH_MAX];
	bool found = false, upper;
	const char *inner = container_inner_path(c, e->path, &upper);

	if (inner) {
		e->host_path = e->path;
		e->path = inner;
		return;
	}
	if (!e->has_after || !(r->have & ATTR_BIT(ATTR_INO)) || !(r->have & ATTR_BIT(ATTR_DEV)) || e->path[0] != '/')
		return;
	found = c->upper && is_at(c->upper, e->path, r, path);
	for (size_t i = 0; !found && c->lowers && c->lowers[i]; i++)
		found = is_at(c->lowers[i], e->path, r, path);
	if (found)
		e->host_path = arena_strdup(&e->arena, path);
}

/* The other end of a rename, when it is in the same layer. */
static void place_second(struct event *e)
{
	bool upper;
	const char *inner = e->path2 ? container_inner_path(e->container, e->path2, &upper) : NULL;

	e->path2 = inner ?: e->path2;
}

/* Who is in a container's namespaces is in it, whatever its cgroup says. */
static void place_entered(struct monitor *m, struct event *e)
{
	char id[CGROUP_ID_MAX];
	enum entered_how how = entered_namespaces(m->entered, e->process, id);

	if (how == ENTERED_NOT)
		return;
	e->entry = how == ENTERED_NOW ? ENTRY_NAMESPACES : ENTRY_NONE;
	container_unrefp(&e->container);
	e->container = containers_by_id(m->containers, id);
}

void containers_place(struct monitor *m, struct event *e)
{
	bool start = e->kind == EVENT_EXEC && e->process && e->exec_type != EXEC_TYPE_LIBRARY;
	const char *inner;

	if (!m->containers)
		return;
	/* An alert is where that is which it was raised for. */
	if (e->kind == EVENT_ALERT) {
		if (!e->container && e->about && e->about->container)
			e->container = container_ref(e->about->container);
		return;
	}
	if (start)
		place_entered(m, e);
	/* Whose file it is comes before who did it: a change of a container's files from the host is the container's.
	 */
	if (!e->container && e->path && e->path[0] == '/') {
		e->container = containers_by_path(m->containers, e->path, &inner);
		/* What a baseline guards keeps the name that the baseline has for it. */
		if (e->container && !e->baseline_id) {
			e->host_path = e->path;
			e->path = inner;
			place_second(e);
			return;
		}
	}
	if (!e->container && e->process && e->process->known & PROCESS_CGROUP)
		e->container = containers_get(m->containers, e->process->cgroup, e->process->pid,
					      e->kind == EVENT_EXEC ? e->boot_time : 0);
	if (e->container && e->kind == EVENT_EXEC && e->path && !e->host_path)
		find_host_path(e);
	if (e->container && start && e->entry == ENTRY_NONE &&
	    entered_from_outside(m->entered, e->container, e->process, e->time, e->boot_time))
		e->entry = ENTRY_RUNTIME;
}

/* --- status */

json_t *containers_status(struct monitor *m)
{
	struct containers_stats s;
	json_t *o;

	containers_get_stats(m->containers, &s);
	o = json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "known", (json_int_t)s.known, "unknown", (json_int_t)s.unknown,
		      "runtimes", (json_int_t)s.stores, "reads", (json_int_t)s.reads, "evicted", (json_int_t)s.evicted,
		      "lost", (json_int_t)s.lost);
	if (*s.why)
		json_object_set_new(o, "why", json_string(s.why));
	return o;
}
