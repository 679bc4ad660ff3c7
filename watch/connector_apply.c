/*
 * What each message of the kernel does to the table, and to those who want to know at once. On the thread "proc". Of
 * forks, starts and ends either the BPF programs are heard or netlink; ids and sessions come by netlink alone.
 */
#include "watch/connector-internal.h"

#include <linux/cn_proc.h>

#include "lib/util.h"

/* --- netlink */

static void apply_fork(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_fork(c->table, m->parent_tgid, m->tgid, boot_ns);
}

static void tell_exec(struct connector *c, int32_t tgid, uint64_t mono_ns, const struct bpf_proc_event *told)
{
	pthread_mutex_lock(&c->hook_lock);
	if (c->hooks.exec)
		c->hooks.exec(tgid, mono_ns, told, c->hooks.data);
	pthread_mutex_unlock(&c->hook_lock);
}

static void end_process(struct connector *c, int32_t tgid, uint64_t boot_ns)
{
	proc_table_exit(c->table, tgid, boot_ns);
	pthread_mutex_lock(&c->hook_lock);
	if (c->hooks.exit)
		c->hooks.exit(tgid, c->hooks.data);
	pthread_mutex_unlock(&c->hook_lock);
}

static void apply_exec(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_exec(c->table, m->tgid, boot_ns);
	tell_exec(c, m->tgid, m->mono_ns, NULL);
}

static void apply_ids(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_ids(c->table, m->tgid, m->what == PROC_EVENT_GID, m->real, m->effective, boot_ns);
}

static void apply_sid(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	proc_table_sid(c->table, m->tgid, boot_ns);
}

static void apply_exit(struct connector *c, const struct connector_msg *m, uint64_t boot_ns)
{
	end_process(c, m->tgid, boot_ns);
}

/* What is not here (ptrace, comm, coredump) changes nothing that is kept. */
static const struct handler {
	uint32_t what;
	bool threads;  /* also when another thread than the leader did it */
	bool with_bpf; /* also when BPF programs own what is above */
	void (*apply)(struct connector *c, const struct connector_msg *m, uint64_t boot_ns);
} handlers[] = {
	{ PROC_EVENT_FORK, false, false, apply_fork }, { PROC_EVENT_EXEC, true, false, apply_exec },
	{ PROC_EVENT_UID, false, true, apply_ids },    { PROC_EVENT_GID, false, true, apply_ids },
	{ PROC_EVENT_SID, true, true, apply_sid },     { PROC_EVENT_EXIT, false, false, apply_exit },
};

static void check_sequence(struct connector *c, const struct connector_msg *m)
{
	struct cpu_seq *s = &c->seq[m->cpu];
	uint32_t hole = m->seq - s->next;

	/* Half the circle and more is not a hole but a sequence begun anew. */
	if (s->seen && hole && hole < UINT32_MAX / 2) {
		uint64_t told = MIN((uint64_t)hole, c->credit);

		c->credit -= told;
		c->holes += hole - told;
	}
	s->seen = true;
	s->next = m->seq + 1;
}

void connector_apply(struct connector *c, const struct connector_msg *m)
{
	/* Beside BPF only some are sent. */
	if (m->sequenced && !c->bpf)
		check_sequence(c, m);
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++) {
		const struct handler *h = &handlers[i];

		if (h->what != m->what)
			continue;
		if ((h->threads || m->tid == m->tgid) && (h->with_bpf || !c->bpf))
			h->apply(c, m, m->mono_ns + c->boot_offset);
		return;
	}
}

/* --- BPF */

static void apply_bpf_fork(struct connector *c, const struct bpf_proc_event *e)
{
	proc_table_forked(c->table, e->maker, &e->told);
}

static bool was_refused(struct connector *c, int32_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(c->refused); i++) {
		if (c->refused[i] != pid)
			continue;
		c->refused[i] = 0;
		return true;
	}
	return false;
}

/* The kernel goes through with a refused exec all the same; then the process dies of the signal. */
static void apply_bpf_exec(struct connector *c, const struct bpf_proc_event *e)
{
	proc_table_execed(c->table, &e->told, e->cgroup_sure ? 0 : e->cgroups, e->mono_ns + c->boot_offset);
	if (!was_refused(c, e->told.pid))
		tell_exec(c, e->told.pid, e->mono_ns, e);
}

static void apply_bpf_refused(struct connector *c, const struct bpf_proc_event *e)
{
	c->refused[c->refused_next++ % ARRAY_SIZE(c->refused)] = e->told.pid;
	pthread_mutex_lock(&c->hook_lock);
	if (c->hooks.refused)
		c->hooks.refused(e, c->hooks.data);
	pthread_mutex_unlock(&c->hook_lock);
}

static void apply_bpf_exit(struct connector *c, const struct bpf_proc_event *e)
{
	was_refused(c, e->told.pid);
	end_process(c, e->told.pid, e->mono_ns + c->boot_offset);
}

static void (*const bpf_handlers[BPF_RECORD_KINDS])(struct connector *c, const struct bpf_proc_event *e) = {
	[BPF_RECORD_FORK] = apply_bpf_fork,
	[BPF_RECORD_EXEC] = apply_bpf_exec,
	[BPF_RECORD_EXIT] = apply_bpf_exit,
	[BPF_RECORD_REFUSED] = apply_bpf_refused,
};

void connector_apply_bpf(struct connector *c, const struct bpf_proc_event *e)
{
	bpf_handlers[e->kind](c, e);
}
