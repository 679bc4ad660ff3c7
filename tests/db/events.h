/* Events as the tests of the history store them. */
#ifndef TESTS_DB_EVENTS_H
#define TESTS_DB_EVENTS_H

#include "tests/db/store.h"

#include "lib/clock.h"

static inline struct event *change(struct store *s _unused_, int64_t baseline, const char *path, enum change c)
{
	struct event *e = event_new(EVENT_CHANGE);

	e->time = 1700000000000000000u + 1000000u * (unsigned)c;
	e->boot_time = 55;
	e->path = arena_strdup(&e->arena, path);
	e->baseline = "host";
	e->baseline_id = baseline;
	e->change = c;
	e->has_before = c != CHANGE_ADDED;
	e->has_after = c != CHANGE_REMOVED;
	e->before = record_file(1);
	e->after = record_file(2);
	if (e->has_before && e->has_after)
		e->attributes = ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_SIZE);
	return e;
}

static inline int64_t add(struct store *s, struct event *e)
{
	int64_t id;
	int r = db_begin(s->d);

	if (r == 0)
		r = history_add(s->d, e);
	if (r == 0)
		r = db_commit(s->d);
	if (r < 0)
		fail_msg("history_add: %d %s", r, db_error(s->d));
	id = e->id;
	event_unref(e);
	return id;
}

static inline int64_t accept(struct store *s, int64_t baseline, const char *path, int64_t ref, uint64_t until)
{
	struct event *e = event_new(EVENT_ACCEPT);

	e->time = clock_real_ns();
	e->path = path;
	e->baseline = "host";
	e->baseline_id = baseline;
	e->status = STATUS_ACCEPTED;
	e->reason = "ticket 7\n\x1b[2J";
	e->user = "root";
	e->ref = ref;
	e->until = until;
	return add(s, e);
}

static inline struct process *some_process(int depth)
{
	static const char cmdline[] = "vim\0/etc/a b\0\x1b[31m";
	_cleanup_process_ struct process *parent = depth > 0 ? some_process(depth - 1) : NULL;
	struct process v = {
		.known = PROCESS_START | PROCESS_PPID | PROCESS_EXE | PROCESS_CMDLINE | PROCESS_CWD | PROCESS_IDS |
			 PROCESS_TTY | PROCESS_CGROUP | PROCESS_COMM | PROCESS_SESSION,
		.pid = 100 + depth,
		.ppid = 99 + depth,
		.start_ns = 5000 + (unsigned)depth,
		.exec_count = 2,
		.euid = 33,
		.session = 4,
		.comm = "vim",
		.exe = depth % 2 ? "/usr/bin/vim" : "/tmp/\xff\x1b",
		.cmdline = cmdline,
		.cmdline_len = sizeof(cmdline),
		.cwd = "/root",
		.tty = "pts/0",
		.cgroup = "/user.slice",
		.parent = parent,
		.depth = (unsigned)depth,
	};

	if (depth == 0)
		v.known &= ~(unsigned)(PROCESS_EXE | PROCESS_CMDLINE | PROCESS_IDS);
	return process_new(&v);
}

#endif
