/*
 * Sessions as the process table shows them: a program that runs as another account than who started su, sudo or the
 * like, and the first program of an audit session that is new.
 */
#ifndef WATCH_SESSION_PROC_H
#define WATCH_SESSION_PROC_H

#include "event/process.h"
#include "lib/cleanup.h"
#include "watch/sessions.h"

struct session_proc;

/* since_ns: boot time; sessions whose first process started before are known already. */
struct session_proc *session_proc_new(uint64_t since_ns);
void session_proc_free(struct session_proc *s);
/*
 * p has just started its program, on the host (in containers users are others). fn is called for each note, at most
 * twice. Not thread-safe; quick, no system call but what user_name does.
 */
void session_proc_exec(struct session_proc *s, const struct process *p,
		       void (*fn)(const struct session_note *n, void *data), void *data);
/*
 * n is a failed login of btmp, which su writes as login does; p the process that it names. Where that is su or the
 * like, n becomes what it is: somebody who was refused to become another; else it stays as it is.
 */
void session_proc_refused(struct session_note *n, const struct process *p);

DEFINE_CLEANUP(struct session_proc *, session_proc_free)

#endif
