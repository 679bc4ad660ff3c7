/*
 * The table of starts in flight: fixed at start, each slot on one list, or with the thread that works on it. Everything
 * here runs with the gate's lock held and does no I/O.
 */
#include "exec/gate-internal.h"
#include "lib/cleanup.h"
#include "lib/util.h"

struct slot *slot_take(struct gate *g, int32_t pid)
{
	struct slot *s = TAILQ_FIRST(&g->free);

	if (!s)
		return NULL;
	TAILQ_REMOVE(&g->free, s, link);
	*s = (struct slot){ .fd = -1, .pidfd = -1, .real = -1, .pid = pid };
	LIST_INSERT_HEAD(&g->pids[(uint32_t)pid % GATE_BUCKETS], s, by_pid);
	g->in_flight++;
	return s;
}

void slot_move(struct gate *g, struct slot *s, struct slot_list *to)
{
	(void)g;
	if (s->list)
		TAILQ_REMOVE(s->list, s, link);
	s->list = to;
	if (to)
		TAILQ_INSERT_TAIL(to, s, link);
}

/* What comes behind a file of that type; what is not read yet is most likely a program. */
static const enum gate_role next_roles[EXEC_TYPE_COUNT] = {
	[EXEC_TYPE_UNKNOWN] = GATE_LOADER,     [EXEC_TYPE_STATIC] = GATE_MAIN,	     [EXEC_TYPE_DYNAMIC] = GATE_LOADER,
	[EXEC_TYPE_SCRIPT] = GATE_INTERPRETER, [EXEC_TYPE_OTHER] = GATE_INTERPRETER,
};

enum gate_role slot_role(const struct slot *s)
{
	enum gate_role role = s->role == GATE_LOADER ? next_roles[s->before] : s->role;

	/* A program that names its loader is none, and none is what the process runs. */
	return role == GATE_LOADER && (s->runs || s->j.type == EXEC_TYPE_DYNAMIC) ? GATE_MAIN : role;
}

void slot_judged(struct gate *g, struct slot *s)
{
	struct slot *newer = NULL, *i;

	s->judged = true;
	/* The newest is the first. */
	LIST_FOREACH(i, &g->pids[(uint32_t)s->pid % GATE_BUCKETS], by_pid)
	{
		if (i == s)
			break;
		if (i->pid == s->pid && i->origin == SLOT_EVENT)
			newer = i;
	}
	if (newer && s->origin == SLOT_EVENT)
		newer->before = s->j.type;
}

/* Its loader may be told when it is done with. */
static void note_opened(struct gate *g, const struct slot *s)
{
	struct opened *o = &g->opened[(uint32_t)s->pid % GATE_SIGHTINGS];

	if (!g->o.enforce && s->origin == SLOT_EVENT && (o->pid != s->pid || s->answered_ns >= o->mono_ns))
		*o = (struct opened){ s->pid, slot_role(s), s->j.type, s->answered_ns };
}

void slot_release(struct gate *g, struct slot *s)
{
	note_opened(g, s);
	LIST_REMOVE(s, by_pid);
	container_unref(TAKE_PTR(s->container));
	slot_move(g, s, NULL);
	TAILQ_INSERT_HEAD(&g->free, s, link);
	g->in_flight--;
}

void slot_queue(struct gate *g, struct slot *s)
{
	slot_move(g, s, &g->todo);
	pthread_cond_signal(&g->work);
}

void slot_settle(struct gate *g, struct slot *s)
{
	bool idle = TAILQ_EMPTY(&g->held) && TAILQ_EMPTY(&g->done);

	if (!s->judged || !s->answered || s->answering)
		return;
	if (s->recheck)
		slot_queue(g, s);
	else
		slot_move(g, s, s->denied || s->seen || s->ended || s->origin != SLOT_EVENT ? &g->done : &g->held);
	/* The verdict thread looks every tick while there is something: only the first has to wake it. */
	if (idle)
		pthread_cond_signal(&g->after);
}
