/*
 * Events as one readable line: time, what, path, details, who. No state but the time zone of libc; any thread.
 * Everything from outside is escaped.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "event/event.h"
#include "lib/text.h"
#include "lib/util.h"

#define LINE_VERB_WIDTH 11
#define LINE_PATH_WIDTH 28

/* SGR parameters, ECMA-48 */
#define COLOUR_NONE    ""
#define COLOUR_RED     "31"
#define COLOUR_GREEN   "32"
#define COLOUR_YELLOW  "33"
#define COLOUR_BLUE    "34"
#define COLOUR_MAGENTA "35"
#define COLOUR_CYAN    "36"

static void line_escape(struct buf *b, const char *s)
{
	text_escape(b, s, strlen(s));
}

/* Words of ours or of a user, escaped when they come from the store: backslashes stay as they are. */
static void line_text(struct buf *b, const char *s)
{
	text_sanitize(b, s, strlen(s));
}

/* Pads what was appended since `start` to width columns, and always a gap of two. */
static void line_pad(struct buf *b, size_t start, size_t width)
{
	size_t columns = 0;

	for (size_t i = start; i < b->len; i++)
		columns += (b->data[i] & 0xc0) != 0x80; /* characters: wide ones are rare enough */
	for (; columns < width; columns++)
		buf_char(b, ' ');
	buf_str(b, "  ");
}

/* Two blanks, unless a padded column has just ended. */
static void line_next(struct buf *b)
{
	if (b->len && b->data[b->len - 1] != ' ')
		buf_str(b, "  ");
}

static void line_trim(struct buf *b)
{
	while (b->len && b->data[b->len - 1] == ' ')
		b->data[--b->len] = '\0';
}

/* "12:00:00.123", local. */
static void line_time(struct buf *b, uint64_t real_ns)
{
	time_t seconds = (time_t)(real_ns / NSEC_PER_SEC);
	struct tm tm;

	if (!localtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	buf_printf(b, "%02d:%02d:%02d.%03u", tm.tm_hour, tm.tm_min, tm.tm_sec,
		   (unsigned)(real_ns % NSEC_PER_SEC / NSEC_PER_MSEC));
}

static void line_verb(struct buf *b, const char *verb, const char *sgr, bool colour)
{
	size_t width = strlen(verb);

	colour = colour && *sgr;
	if (colour)
		buf_printf(b, "\x1b[%sm", sgr);
	buf_str(b, verb);
	if (colour)
		buf_str(b, "\x1b[0m");
	for (; width < LINE_VERB_WIDTH; width++)
		buf_char(b, ' ');
	buf_char(b, ' ');
}

static void line_path(struct buf *b, const struct event *e)
{
	size_t start = b->len;

	if (e->path)
		line_escape(b, e->path);
	if (e->path2) {
		buf_str(b, " -> ");
		line_escape(b, e->path2);
	}
	if (b->len > start)
		line_pad(b, start, LINE_PATH_WIDTH);
}

static void line_user(struct buf *b, uint32_t uid)
{
	const char *name = user_name(uid);

	if (name)
		line_escape(b, name);
	else
		buf_printf(b, "uid %" PRIu32, uid);
}

/* "by vim[1234] alice (login bob) on pts/0" */
static void line_process(struct buf *b, const struct event *e)
{
	const struct process *p = e->process;
	const char *name;

	if (!p) {
		if (e->process_why) {
			line_next(b);
			buf_str(b, "by ? (");
			line_escape(b, e->process_why);
			buf_char(b, ')');
		}
		return;
	}
	name = process_name(p);
	line_next(b);
	buf_str(b, "by ");
	line_escape(b, name ? name : "?");
	buf_printf(b, "[%d]", p->pid);
	if (p->known & PROCESS_IDS) {
		buf_char(b, ' ');
		line_user(b, p->uid);
	}
	if (p->known & PROCESS_LOGINUID && !(p->known & PROCESS_IDS && p->loginuid == p->uid)) {
		buf_str(b, " (login ");
		line_user(b, p->loginuid);
		buf_char(b, ')');
	}
	if (p->known & PROCESS_TTY && p->tty) {
		buf_str(b, " on ");
		line_escape(b, p->tty);
	}
}

/* "in web (shop/web-0)" */
static void line_container(struct buf *b, const struct container *c)
{
	char id[13];

	if (!c)
		return;
	line_next(b);
	buf_str(b, "in ");
	line_escape(b, container_shown(c, id));
	if (!c->pod)
		return;
	buf_str(b, " (");
	if (c->namespace) {
		line_escape(b, c->namespace);
		buf_char(b, '/');
	}
	line_escape(b, c->pod);
	buf_char(b, ')');
}

static void line_in_brackets(struct buf *b, const char *s)
{
	if (!s)
		return;
	line_next(b);
	buf_char(b, '(');
	line_text(b, s);
	buf_char(b, ')');
}

static void line_count(struct buf *b, const struct event *e)
{
	if (e->count < 2)
		return;
	line_next(b);
	buf_printf(b, "x%" PRIu64, e->count);
}

/* "mode digest" */
static void line_words(struct buf *b, attr_mask mask)
{
	_cleanup_buf_ struct buf words = BUF_INIT;

	attr_mask_text(&words, mask);
	for (size_t i = 0; i < words.len; i++)
		buf_char(b, words.data[i] == ',' ? ' ' : words.data[i]);
}

static void line_value(struct buf *b, enum attr a, const struct record *r)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	attr_table[a].format(&text, r);
	text_escape(b, text.data ? text.data : "", text.len);
}

/* "mode 0644 -> 0600, digest": values where they are short; times only when nothing else tells of the change. */
static void line_differences(struct buf *b, const struct event *e, attr_mask differ)
{
	const attr_mask valued = ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) |
				 ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_TARGET) | ATTR_BIT(ATTR_CAPS) |
				 ATTR_BIT(ATTR_FLAGS);
	const attr_mask times = ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME);
	bool first = true;

	if (differ & ~times)
		differ &= ~times;
	for (enum attr a = 0; a < ATTR_COUNT; a++) {
		if (!(differ & ATTR_BIT(a)))
			continue;
		buf_printf(b, "%s%s", first ? "" : ", ", attr_table[a].name);
		first = false;
		if (!(valued & ATTR_BIT(a) & e->before.have & e->after.have))
			continue;
		buf_char(b, ' ');
		line_value(b, a, &e->before);
		buf_str(b, " -> ");
		line_value(b, a, &e->after);
	}
}

/* What came or went: "file 0644, 1.2 KiB" */
static void line_file(struct buf *b, const struct record *r)
{
	if (!(r->have & ATTR_BIT(ATTR_TYPE)))
		return;
	line_value(b, ATTR_TYPE, r);
	if (r->type == 'l' && r->target) {
		buf_str(b, " -> ");
		text_escape(b, r->target, strlen(r->target));
		return;
	}
	if (r->have & ATTR_BIT(ATTR_MODE)) {
		buf_char(b, ' ');
		line_value(b, ATTR_MODE, r);
	}
	if (r->type == 'f' && r->have & ATTR_BIT(ATTR_SIZE)) {
		buf_str(b, ", ");
		text_size(b, r->size);
	}
}

static void line_change(struct buf *b, const struct event *e, bool colour)
{
	static const char *const colours[CHANGE_COUNT] = {
		[CHANGE_ADDED] = COLOUR_GREEN,	  [CHANGE_REMOVED] = COLOUR_RED,
		[CHANGE_CHANGED] = COLOUR_YELLOW, [CHANGE_REPLACED] = COLOUR_YELLOW,
		[CHANGE_RENAMED] = COLOUR_YELLOW, [CHANGE_ATTRIBUTES] = COLOUR_YELLOW,
		[CHANGE_REVERTED] = COLOUR_BLUE,  [CHANGE_TRANSIENT] = COLOUR_NONE,
	};
	const attr_mask differ = e->attributes & ATTR_ALL;

	line_verb(b, change_names[e->change], colours[e->change], colour);
	line_path(b, e);
	if (e->has_before && e->has_after)
		line_differences(b, e, differ);
	else if (e->has_before || e->has_after)
		line_file(b, e->has_after ? &e->after : &e->before);
	else
		line_words(b, differ);
	if (e->has_after && e->after.unread && e->attributes & ATTR_BIT(ATTR_DIGEST))
		line_in_brackets(b, record_unread_text(e->after.unread));
	if (e->status != STATUS_OPEN && e->change != CHANGE_REVERTED) {
		line_next(b);
		buf_printf(b, "[%s]", status_names[e->status]);
	}
}

static void line_open(struct buf *b, const struct event *e, bool colour)
{
	line_verb(b, "opened", COLOUR_CYAN, colour);
	line_path(b, e);
}

static void line_exec(struct buf *b, const struct event *e, bool colour)
{
	static const char *const colours[EXEC_VERDICT_COUNT] = {
		[EXEC_UNJUDGED] = COLOUR_MAGENTA, [EXEC_ALLOWED] = COLOUR_NONE, [EXEC_UNEXPECTED] = COLOUR_YELLOW,
		[EXEC_DENIED] = COLOUR_RED,	  [EXEC_KILLED] = COLOUR_RED,
	};

	line_verb(b, e->verdict == EXEC_ALLOWED ? "exec" : exec_verdict_names[e->verdict], colours[e->verdict], colour);
	line_path(b, e);
	if (e->reason && e->verdict != EXEC_ALLOWED)
		line_text(b, e->reason);
	if (e->entry != ENTRY_NONE) {
		line_next(b);
		buf_str(b, e->entry == ENTRY_RUNTIME ? "started from outside of the container"
						     : "came into the container past its runtime");
	}
	if (e->text && !streq(e->text, EVENT_ENVIRONMENT_UNKNOWN)) {
		if (e->entry != ENTRY_NONE)
			line_next(b);
		line_text(b, e->text);
	}
}

static void line_gap(struct buf *b, const struct event *e, bool colour)
{
	line_verb(b, e->gap_to ? "gap closed" : "gap", e->gap_to ? COLOUR_GREEN : COLOUR_MAGENTA, colour);
	if (e->gap_scope) {
		size_t start = b->len;

		line_escape(b, e->gap_scope);
		line_pad(b, start, LINE_PATH_WIDTH);
	}
	buf_str(b, gap_reason_names[e->gap_reason]);
	line_in_brackets(b, e->gap_detail);
	if (e->gap_lost)
		buf_printf(b, "  lost %" PRIu64, e->gap_lost);
	if (e->gap_to >= e->gap_from && e->gap_from && e->gap_to) {
		buf_str(b, "  after ");
		text_duration(b, e->gap_to - e->gap_from);
	}
	if (e->gap_healed) {
		buf_str(b, "  ");
		line_text(b, e->gap_healed);
	}
}

/* The rule's output names path and process itself. */
static void line_alert(struct buf *b, const struct event *e, bool colour)
{
	static const char *const colours[PRIORITY_COUNT] = {
		[PRIORITY_EMERGENCY] = COLOUR_RED,	[PRIORITY_ALERT] = COLOUR_RED,
		[PRIORITY_CRITICAL] = COLOUR_RED,	[PRIORITY_ERROR] = COLOUR_RED,
		[PRIORITY_WARNING] = COLOUR_YELLOW,	[PRIORITY_NOTICE] = COLOUR_CYAN,
		[PRIORITY_INFORMATIONAL] = COLOUR_NONE, [PRIORITY_DEBUG] = COLOUR_NONE,
	};

	line_verb(b, "ALERT", colours[e->priority], colour);
	buf_str(b, priority_names[e->priority]);
	buf_str(b, "  ");
	line_text(b, e->reason ? e->reason : "?");
	buf_str(b, ": ");
	line_text(b, e->text ? e->text : "");
}

/* "action  freeze done  container 0123456789ab" */
static void line_action(struct buf *b, const struct event *e, bool colour)
{
	line_verb(b, "action", e->result == RESULT_DONE ? COLOUR_MAGENTA : COLOUR_YELLOW, colour);
	buf_printf(b, "%s %s", action_names[e->action], action_result_names[e->result]);
	if (e->response)
		buf_printf(b, " #%llu", (unsigned long long)e->response);
	if (e->text) {
		buf_str(b, "  ");
		line_text(b, e->text);
	}
	if (e->path) {
		buf_str(b, "  ");
		line_text(b, e->path);
	}
}

/* "connect  10.0.0.1:40000->10.0.0.2:443" */
static void line_connection(struct buf *b, const struct event *e, bool colour)
{
	line_verb(b, socket_op_names[e->socket_op], COLOUR_CYAN, colour);
	if (e->text)
		line_text(b, e->text);
	line_in_brackets(b, e->reason);
}

/* "su  alice -> root  pts/0", "login  FAILED  bob  from 10.0.0.1" */
static void line_session(struct buf *b, const struct event *e, bool colour)
{
	line_verb(b, session_op_names[e->session_op], e->session_failed ? COLOUR_RED : COLOUR_CYAN, colour);
	if (e->session_failed)
		buf_str(b, "FAILED  ");
	if (e->text)
		line_text(b, e->text);
	line_in_brackets(b, e->reason);
}

/* accept, note, and the kinds to come: verb, path, text. */
static void line_other(struct buf *b, const struct event *e, bool colour)
{
	static const struct {
		const char *verb, *sgr;
	} verbs[EVENT_KIND_COUNT] = {
		[EVENT_ACCEPT] = { "accepted", COLOUR_BLUE },
		[EVENT_NOTE] = { "note", COLOUR_NONE },
		[EVENT_ACCESS] = { "access", COLOUR_NONE },
	};

	line_verb(b, verbs[e->kind].verb, verbs[e->kind].sgr, colour);
	line_path(b, e);
	if (e->text)
		line_text(b, e->text);
	if (e->user) {
		line_next(b);
		buf_str(b, "by ");
		line_text(b, e->user);
	}
	if (e->reason) {
		line_next(b);
		buf_str(b, "reason: ");
		line_text(b, e->reason);
	}
}

static void (*const line_kinds[EVENT_KIND_COUNT])(struct buf *b, const struct event *e, bool colour) = {
	[EVENT_CHANGE] = line_change,	      [EVENT_OPEN] = line_open,	      [EVENT_EXEC] = line_exec,
	[EVENT_ALERT] = line_alert,	      [EVENT_ACTION] = line_action,   [EVENT_GAP] = line_gap,
	[EVENT_ACCEPT] = line_other,	      [EVENT_NOTE] = line_other,      [EVENT_ACCESS] = line_other,
	[EVENT_CONNECTION] = line_connection, [EVENT_SESSION] = line_session,
};

void event_line(struct buf *b, const struct event *e, bool colour)
{
	_cleanup_buf_ struct buf line = BUF_INIT;

	line_time(&line, e->time);
	buf_str(&line, "  ");
	line_kinds[e->kind](&line, e, colour);
	line_count(&line, e);
	if (e->kind != EVENT_ALERT) {
		line_process(&line, e);
		line_container(&line, e->container);
	}
	line_in_brackets(&line, e->cause);
	line_trim(&line);
	if (line.failed)
		b->failed = true;
	else
		buf_add(b, line.data, line.len);
}
