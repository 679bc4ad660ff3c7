/*
 * Who came, went, and became whom: logins, sessions, su and sudo, passwords and accounts. Rules see it as hf.session*,
 * history as the view `sessions`.
 */
#ifndef EVENT_SESSION_H
#define EVENT_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/arena.h"
#include "lib/buf.h"

/* What was done; stored by number: append only. */
enum session_op {
	SESSION_LOGIN,
	SESSION_LOGOUT,
	SESSION_OPEN, /* a session of PAM or of the kernel's audit that is no login of a person as far as known: cron */
	SESSION_CLOSE,
	SESSION_SU,
	SESSION_SUDO,
	SESSION_BECOME, /* another account by another program than su and sudo */
	SESSION_PASSWORD,
	SESSION_ACCOUNT, /* an account or group was made, changed, locked or removed */
	SESSION_OP_COUNT
};
extern const char *const session_op_names[SESSION_OP_COUNT];

/* Who told of it; several may. */
enum session_source {
	SESSION_BY_AUDIT = 1 << 0, /* the kernel's audit records */
	SESSION_BY_UTMP = 1 << 1,  /* utmp, wtmp, btmp */
	SESSION_BY_PROC = 1 << 2,  /* the process table */
};

struct event_session {
	enum session_op op;
	bool failed;
	const char *
		account; /* that logged in, that somebody became, that was changed; NULL unknown, as all strings here */
	const char *by;	 /* who did it, of su, sudo and changes: the login user, else the user */
	const char *tty; /* "pts/0" */
	const char *remote;  /* host or address that it came from */
	const char *program; /* that asked for it */
	const char *command; /* of sudo */
	bool has_session;
	uint32_t session;  /* the audit session's number */
	unsigned sources;  /* enum session_source */
	uint32_t failures; /* attempts that failed in the last minute from the same place, else of the same account,
			      with this one; 0: it did not fail */
};

/* "alice -> root  pts/0  from 10.0.0.1" */
void session_text(struct buf *b, const struct event_session *s);
/* Keys result, account, by, tty, remote, program, command, session, failures, sources (list). New reference. */
json_t *session_json(const struct event_session *s);
/* The same read back from what session_json made, as JSON text; op and failed are the caller's. NULL: it is none. */
const struct event_session *session_parse(struct arena *a, const char *json, enum session_op op, bool failed);
/* A copy in a; NULL: out of memory. */
const struct event_session *session_copy(struct arena *a, const struct event_session *s);

#endif
