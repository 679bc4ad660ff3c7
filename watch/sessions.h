/*
 * What several sources tell of sessions made into one: a note is one source's word of one deed; notes of one deed that
 * come within SESSIONS_WINDOW_NS of each other become one event.
 *
 * They are of one deed when they say the same kind of thing with the same result of the same account, each from a
 * record of another type, and share a process, an audit session, a terminal or the place they came from. Two records of
 * one type are two deeds, so that each failed attempt counts. What one note knows and another does not is added up; a
 * login outranks the session that PAM opens for it.
 */
#ifndef WATCH_SESSIONS_H
#define WATCH_SESSIONS_H

#include "event/session.h"
#include "lib/cleanup.h"
#include "lib/util.h"

#define SESSIONS_WINDOW_NS (1 * NSEC_PER_SEC)
#define SESSIONS_MINUTE_NS (60 * NSEC_PER_SEC)
#define SESSIONS_MAX	   128	/* deeds that wait, or were told a moment ago; beyond, the oldest is told at once */
#define SESSIONS_FAILURES  1024 /* of the last minute that are counted */

/* Types of records beside those of the audit, which are 1u << their row in audit_decode.c. */
#define SESSION_RECORD_UTMP (1u << 29)
#define SESSION_RECORD_WTMP (1u << 30)
#define SESSION_RECORD_PROC (1u << 31)

/* Texts are "" where they are not known, and cut where they do not fit. */
struct session_note {
	enum session_op op;
	bool failed;
	bool found;	 /* it happened before the monitor started */
	unsigned source; /* enum session_source */
	uint32_t record; /* type; once merged, all of them */
	uint64_t time;	 /* real ns */
	int32_t pid;	 /* 0: unknown */
	int32_t maker;	 /* su or sudo, when pid is what it started; 0 */
	bool has_session;
	uint32_t session;
	char account[64], by[64], tty[64], remote[256], program[256], command[1024];
};

struct sessions;

/* failures: see struct event_session. */
struct sessions_options {
	void (*emit)(const struct session_note *n, uint32_t failures, void *data);
	void *data;
};

struct sessions *sessions_new(const struct sessions_options *o);
void sessions_free(struct sessions *s);
/* now: CLOCK_MONOTONIC ns. Not thread-safe; emit may be called from within. */
void sessions_note(struct sessions *s, const struct session_note *n, uint64_t now);
/* Tells what is due. ns until more will be, UINT64_MAX when nothing waits. */
uint64_t sessions_tick(struct sessions *s, uint64_t now);
/* Tells all that waits. */
void sessions_flush(struct sessions *s);

DEFINE_CLEANUP(struct sessions *, sessions_free)

#endif
