/*
 * Notes of one deed become one. A small ring of deeds in the order in which they came; what was told stays for a while,
 * so that a late note of it is known. No thread of its own; calls of one at a time.
 */
#include "watch/sessions.h"

#include <stdlib.h>
#include <string.h>

#include "lib/hash.h"

struct deed {
	struct session_note n;
	uint64_t due, forget; /* mono ns */
	bool told;
};

struct failure {
	uint64_t at; /* mono ns */
	uint64_t place;
};

struct sessions {
	struct sessions_options o;
	struct deed deeds[SESSIONS_MAX]; /* oldest first */
	size_t n;
	struct failure failures[SESSIONS_FAILURES];
	size_t next_failure; /* counts up without end */
};

struct sessions *sessions_new(const struct sessions_options *o)
{
	struct sessions *s = calloc(1, sizeof(*s));

	if (s)
		s->o = *o;
	return s;
}

void sessions_free(struct sessions *s)
{
	free(s);
}

/* --- failed attempts */

/* Where it came from, else whose account it was. */
static uint64_t place_of(const struct session_note *n)
{
	const char *place = *n->remote ? n->remote : n->account;

	return hash_bytes(place == n->remote, place, strlen(place));
}

static uint32_t count_failure(struct sessions *s, const struct session_note *n, uint64_t now)
{
	uint64_t place = place_of(n);
	uint32_t count = 1;

	for (size_t i = 0; i < MIN(s->next_failure, (size_t)SESSIONS_FAILURES); i++)
		count += s->failures[i].place == place && now - s->failures[i].at < SESSIONS_MINUTE_NS;
	s->failures[s->next_failure++ % SESSIONS_FAILURES] = (struct failure){ now, place };
	return count;
}

/* --- telling */

static void deed_tell(struct sessions *s, struct deed *d, uint64_t now)
{
	if (d->told)
		return;
	d->told = true;
	d->forget = now + SESSIONS_WINDOW_NS;
	s->o.emit(&d->n, d->n.failed ? count_failure(s, &d->n, now) : 0, s->o.data);
}

static void deeds_drop(struct sessions *s, size_t n)
{
	s->n -= n;
	memmove(s->deeds, s->deeds + n, s->n * sizeof(s->deeds[0]));
}

uint64_t sessions_tick(struct sessions *s, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	size_t old = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct deed *d = &s->deeds[i];

		if (!d->told && now >= d->due)
			deed_tell(s, d, now);
		if (!d->told)
			next = MIN(next, d->due - now);
	}
	while (old < s->n && s->deeds[old].told && now >= s->deeds[old].forget)
		old++;
	if (old)
		deeds_drop(s, old);
	return next;
}

void sessions_flush(struct sessions *s)
{
	for (size_t i = 0; i < s->n; i++)
		deed_tell(s, &s->deeds[i], s->deeds[i].due);
}

/* --- merging */

enum class { CLASS_BEGIN, CLASS_END, CLASS_PASSWORD, CLASS_ACCOUNT };

static enum class class_of(enum session_op op)
{
	static const enum class classes[SESSION_OP_COUNT] = {
		[SESSION_LOGIN] = CLASS_BEGIN,	      [SESSION_LOGOUT] = CLASS_END,
		[SESSION_OPEN] = CLASS_BEGIN,	      [SESSION_CLOSE] = CLASS_END,
		[SESSION_SU] = CLASS_BEGIN,	      [SESSION_SUDO] = CLASS_BEGIN,
		[SESSION_BECOME] = CLASS_BEGIN,	      [SESSION_PASSWORD] = CLASS_PASSWORD,
		[SESSION_ACCOUNT] = CLASS_ACCOUNT,
	};

	return classes[op];
}

/* A session or a change of account of which it is not known by what it came may be any of those that are. */
static bool same_op(enum session_op a, enum session_op b)
{
	if (a == b || class_of(a) != CLASS_BEGIN)
		return class_of(a) == class_of(b);
	if (class_of(b) != CLASS_BEGIN)
		return false;
	if (a == SESSION_OPEN || b == SESSION_OPEN)
		return true;
	return (a == SESSION_BECOME && b != SESSION_LOGIN) || (b == SESSION_BECOME && a != SESSION_LOGIN);
}

static bool same_text(const char *a, const char *b)
{
	return *a && streq(a, b);
}

static bool same_pid(const struct session_note *a, const struct session_note *b)
{
	return (a->pid && (a->pid == b->pid || a->pid == b->maker)) || (a->maker && a->maker == b->pid);
}

static bool same_deed(const struct session_note *a, const struct session_note *b)
{
	if (a->failed != b->failed || a->found != b->found || a->record & b->record || !same_op(a->op, b->op))
		return false;
	if (*a->account && *b->account && !streq(a->account, b->account))
		return false;
	return same_pid(a, b) || (a->has_session && b->has_session && a->session == b->session) ||
	       same_text(a->tty, b->tty) || same_text(a->remote, b->remote);
}

static void add_text(char *to, const char *from, size_t size)
{
	if (!*to)
		memcpy(to, from, size);
}

/* OPEN and BECOME say least. */
static bool says_more(enum session_op a, enum session_op b)
{
	return b == SESSION_OPEN || (b == SESSION_BECOME && a != SESSION_OPEN) ||
	       (b == SESSION_CLOSE && a == SESSION_LOGOUT);
}

static void merge(struct session_note *to, const struct session_note *from)
{
	if (says_more(from->op, to->op))
		to->op = from->op;
	to->source |= from->source;
	to->record |= from->record;
	to->time = MIN(to->time, from->time);
	/* What was started is whose deeds they are; su itself is nobody's yet. */
	if (!to->pid || from->maker) {
		to->maker = from->maker ?: to->maker;
		to->pid = from->pid ?: to->pid;
	}
	if (from->has_session && !to->has_session) {
		to->has_session = true;
		to->session = from->session;
	}
	add_text(to->account, from->account, sizeof(to->account));
	add_text(to->by, from->by, sizeof(to->by));
	add_text(to->tty, from->tty, sizeof(to->tty));
	add_text(to->remote, from->remote, sizeof(to->remote));
	add_text(to->program, from->program, sizeof(to->program));
	add_text(to->command, from->command, sizeof(to->command));
}

void sessions_note(struct sessions *s, const struct session_note *n, uint64_t now)
{
	struct deed *d;

	sessions_tick(s, now);
	for (size_t i = 0; i < s->n; i++) {
		if (!same_deed(&s->deeds[i].n, n))
			continue;
		/* Told already: it is only remembered that this one came too. */
		if (s->deeds[i].told)
			s->deeds[i].n.record |= n->record;
		else
			merge(&s->deeds[i].n, n);
		return;
	}
	if (s->n == SESSIONS_MAX) {
		deed_tell(s, &s->deeds[0], now);
		deeds_drop(s, 1);
	}
	d = &s->deeds[s->n++];
	*d = (struct deed){ .n = *n, .due = now + SESSIONS_WINDOW_NS };
}
