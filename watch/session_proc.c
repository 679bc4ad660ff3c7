/* Transitions of users among processes. State: which sessions and processes were told, in rings. */
#include "watch/session_proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "watch/audit.h"

#define SEEN_MAX 256

struct session_proc {
	uint64_t since_ns;
	uint32_t sessions[SEEN_MAX];
	size_t n_sessions; /* counts up without end */
	struct {
		int32_t pid;
		uint64_t start_ns;
	} told[SEEN_MAX];
	size_t n_told; /* counts up without end */
};

struct session_proc *session_proc_new(uint64_t since_ns)
{
	struct session_proc *s = calloc(1, sizeof(*s));

	if (s)
		s->since_ns = since_ns;
	return s;
}

void session_proc_free(struct session_proc *s)
{
	free(s);
}

/* --- notes */

static void put_command(char *ret, size_t size, const struct process *p)
{
	size_t n = p->known & PROCESS_CMDLINE && p->cmdline ? MIN((size_t)p->cmdline_len, size - 1) : 0;

	if (n)
		memcpy(ret, p->cmdline, n);
	while (n && !ret[n - 1])
		n--;
	for (size_t i = 0; i < n; i++)
		if (!ret[i])
			ret[i] = ' ';
	ret[n] = '\0';
}

static void note_begin(struct session_note *n, const struct process *p, const struct process *by_program)
{
	*n = (struct session_note){ .source = SESSION_BY_PROC,
				    .record = SESSION_RECORD_PROC,
				    .time = clock_real_ns(),
				    .pid = p->pid,
				    .has_session = p->known & PROCESS_SESSION,
				    .session = p->session };
	if (p->known & PROCESS_TTY && p->tty)
		snprintf(n->tty, sizeof(n->tty), "%s", p->tty);
	if (by_program && by_program->known & PROCESS_EXE && by_program->exe)
		snprintf(n->program, sizeof(n->program), "%s", by_program->exe);
}

/* --- who became whom */

static enum session_op op_of(const struct process *p)
{
	return p->known & PROCESS_EXE && p->exe ? audit_program_op(p->exe) : SESSION_OPEN;
}

static bool is_of_another(enum session_op op)
{
	return op == SESSION_SU || op == SESSION_SUDO || op == SESSION_BECOME;
}

/* A program that makes another account of one: by name, or with the rights of root that its user does not have. */
static bool is_changer(const struct process *p)
{
	return is_of_another(op_of(p)) || (p->known & PROCESS_IDS && p->uid != 0 && p->euid == 0);
}

static bool was_told(struct session_proc *s, const struct process *p)
{
	for (size_t i = 0; i < MIN(s->n_told, (size_t)SEEN_MAX); i++)
		if (s->told[i].pid == p->pid && s->told[i].start_ns == p->start_ns)
			return true;
	s->told[s->n_told % SEEN_MAX].pid = p->pid;
	s->told[s->n_told++ % SEEN_MAX].start_ns = p->start_ns;
	return false;
}

static void become(struct session_proc *s, const struct process *p,
		   void (*fn)(const struct session_note *n, void *data), void *data)
{
	const struct process *from = p->parent, *maker = NULL;
	struct session_note n;
	uint32_t before;

	for (; from && is_changer(from); from = from->parent)
		maker = maker ?: from;
	if (!(p->known & PROCESS_IDS) || (!maker && !from) || (from && !(from->known & PROCESS_IDS)))
		return;
	before = from ? from->uid : maker->uid;
	/* Root may make children of any account: that is what daemons do. An account without a name is a user
	 * namespace's. */
	if (p->uid == before || (!maker && before == 0) || (p->uid && !user_name(p->uid)) || was_told(s, p))
		return;
	note_begin(&n, p, maker);
	n.op = maker && op_of(maker) != SESSION_OPEN ? op_of(maker) : SESSION_BECOME;
	n.maker = maker ? maker->pid : 0;
	user_text(p->uid, n.account, sizeof(n.account));
	user_text(p->known & PROCESS_LOGINUID ? p->loginuid : before, n.by, sizeof(n.by));
	if (n.op == SESSION_SUDO)
		put_command(n.command, sizeof(n.command), p);
	fn(&n, data);
}

/* --- new sessions */

static bool is_known(struct session_proc *s, uint32_t session)
{
	for (size_t i = 0; i < MIN(s->n_sessions, (size_t)SEEN_MAX); i++)
		if (s->sessions[i] == session)
			return true;
	s->sessions[s->n_sessions++ % SEEN_MAX] = session;
	return false;
}

static bool is_login_program(const struct process *p)
{
	static const char *const names[] = { "sshd",	    "sshd-session", "sshd-auth", "login", "gdm-session-worker",
					     "sddm-helper", "lightdm",	    "xdm" };
	const char *slash = p->known & PROCESS_EXE && p->exe ? strrchr(p->exe, '/') : NULL;

	for (size_t i = 0; slash && i < ARRAY_SIZE(names); i++)
		if (streq(slash + 1, names[i]))
			return true;
	return false;
}

static void session_begins(struct session_proc *s, const struct process *p,
			   void (*fn)(const struct session_note *n, void *data), void *data)
{
	const struct process *first = p;
	struct session_note n;

	if (!(p->known & PROCESS_SESSION) || !(p->known & PROCESS_LOGINUID) || is_known(s, p->session))
		return;
	while (first->parent && first->parent->known & PROCESS_SESSION && first->parent->session == p->session)
		first = first->parent;
	if (first->start_ns < s->since_ns)
		return;
	note_begin(&n, p, first);
	n.op = is_login_program(first) ? SESSION_LOGIN : SESSION_OPEN;
	/* What opened it, which the records of PAM name. */
	n.maker = first == p ? 0 : first->pid;
	user_text(p->loginuid, n.account, sizeof(n.account));
	fn(&n, data);
}

void session_proc_exec(struct session_proc *s, const struct process *p,
		       void (*fn)(const struct session_note *n, void *data), void *data)
{
	session_begins(s, p, fn, data);
	become(s, p, fn, data);
}

void session_proc_refused(struct session_note *n, const struct process *p)
{
	enum session_op op = op_of(p);

	if (!is_of_another(op))
		return;
	n->op = op;
	snprintf(n->program, sizeof(n->program), "%s", p->exe);
	if (p->known & PROCESS_LOGINUID)
		user_text(p->loginuid, n->by, sizeof(n->by));
	else if (p->known & PROCESS_IDS)
		user_text(p->uid, n->by, sizeof(n->by));
	n->has_session = p->known & PROCESS_SESSION;
	n->session = p->session;
}
