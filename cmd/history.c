/*
 * holdfast history: what happened, newest first; with --follow the last ones and then each new one as it is committed.
 * One thread; waits on inotify of the store's write-ahead log, and looks every second anyway.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cmd/command.h"
#include "cmd/report.h"
#include "db/history.h"
#include "event/event.h"
#include "lib/text.h"

#define FOLLOW_FIRST	   10
#define FOLLOW_FIRST_MAX   10000
#define FOLLOW_INTERVAL_MS 1000

struct history_options {
	uint64_t since, until, limit, pid;
	const char *path, *kinds, *baseline, *container, *user;
	bool open, follow;
};

#define AT(member) offsetof(struct history_options, member)
static const struct cmd_option history_rows[] = {
	{ "since", 0, OPTION_TIME, "TIME",
	  "from then on: 2026-01-31, 2026-01-31T12:00:00Z, @SECONDS, or how long ago (2h)", AT(since) },
	{ "until", 0, OPTION_TIME, "TIME", "up to then", AT(until) },
	{ "path", 0, OPTION_STRING, "PATH", "this path, what is below it, or a glob", AT(path) },
	{ "kind", 0, OPTION_STRING, "KIND[,KIND]",
	  "change, open, exec, connection, session, alert, action, gap, accept, note", AT(kinds) },
	{ "pid", 0, OPTION_NUMBER, "N", "by this process", AT(pid) },
	{ "baseline", 0, OPTION_STRING, "NAME", "of this baseline", AT(baseline) },
	{ "container", 0, OPTION_STRING, "NAME", "in this container: its name, id, pod, or NAMESPACE/POD",
	  AT(container) },
	{ "user", 0, OPTION_STRING, "NAME", "by this person, by name or number, also after su and sudo", AT(user) },
	{ "open", 0, OPTION_FLAG, NULL, "only deviations that are still open", AT(open) },
	{ "limit", 'n', OPTION_NUMBER, "N", "at most so many", AT(limit) },
	{ "follow", 'f', OPTION_FLAG, NULL, "the last 10 (or --limit), then each new one; Ctrl-C ends", AT(follow) },
};

struct history {
	struct cmd *c;
	struct db *d;
	struct history_filter filter;
	struct event **kept; /* --follow: the first ones, newest first */
	size_t n, cap;
};

static int history_kinds(const struct cmd *c, const char *list, uint32_t *ret)
{
	char word[32];

	for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
		size_t len = strcspn(p, ",");
		enum event_kind kind;

		if (len >= sizeof(word))
			return cmd_usage(c, "--kind %s: no such kind", p);
		memcpy(word, p, len);
		word[len] = '\0';
		if (event_kind_by_name(word, &kind)) {
			const char *near = text_nearest(word, event_kind_names, EVENT_KIND_COUNT);

			return near ? cmd_usage(c, "--kind %s: did you mean %s?", word, near)
				    : cmd_usage(c, "--kind %s: no such kind", word);
		}
		*ret |= 1u << kind;
	}
	return 0;
}

/* --- printing */

static int history_print(struct event *e, void *data)
{
	struct history *h = data;
	struct out *o = &h->c->out;
	_cleanup_buf_ struct buf line = BUF_INIT;

	h->filter.after_id = MAX(h->filter.after_id, e->id);
	if (h->c->json) {
		out_json(o, event_json(e));
	} else {
		char day[TEXT_TIME_MAX];

		text_time(day, e->time, 0);
		buf_printf(&line, "%.10s ", day);
		if (e->id)
			buf_printf(&line, "%6lld ", (long long)e->id);
		event_line(&line, e, o->colour);
		buf_char(&line, '\n');
		if (!line.failed)
			out_str(o, line.data);
		if (h->c->verbose && e->kind == EVENT_CHANGE)
			event_diff(o, e);
	}
	return o->error ? -o->error : 0;
}

static int history_keep(struct event *e, void *data)
{
	struct history *h = data;

	if (h->n == h->cap)
		return 1; /* the limit was asked of the store; not reached */
	h->kept[h->n++] = event_ref(e);
	return 0;
}

/* --- follow */

static int follow_first(struct history *h)
{
	uint64_t limit = h->filter.limit ? h->filter.limit : FOLLOW_FIRST;
	int r = 0;

	h->cap = MIN(limit, (uint64_t)FOLLOW_FIRST_MAX);
	h->filter.limit = h->cap;
	h->kept = calloc(h->cap, sizeof(struct event *));
	if (!h->kept)
		return -ENOMEM;
	r = history_each(h->d, &h->filter, history_keep, h);
	for (size_t i = h->n; i-- > 0;) {
		if (r >= 0)
			history_print(h->kept[i], h);
		event_unref(h->kept[i]);
	}
	free(h->kept);
	h->kept = NULL;
	return r < 0 ? r : 0;
}

/* The newest id there is, whatever its kind, so that following does not begin with old rows that the limit left out. */
static int follow_id(struct event *e, void *data)
{
	int64_t *id = data;

	*id = MAX(*id, e->id);
	return 0;
}

/* The folder of the store: its log is made and removed as connections come and go. -1: by time only. */
static int follow_inotify(const char *db_path)
{
	_cleanup_free_ char *dir = strdup(db_path);
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir || fd < 0)
		return -1;
	if (slash)
		*slash = '\0';
	if (inotify_add_watch(fd, slash ? (*dir ? dir : "/") : ".", IN_MODIFY | IN_CREATE) < 0)
		return -1;
	return TAKE_FD(fd);
}

static void follow_drain(int fd)
{
	char events[4096];

	while (read(fd, events, sizeof(events)) > 0)
		;
}

static int follow_loop(struct history *h, int signals, int changes)
{
	struct pollfd fds[] = { { .fd = signals, .events = POLLIN },
				{ .fd = changes, .events = POLLIN },
				{ .fd = h->c->out.fd, .events = 0 } }; /* POLLERR: the reader of a pipe went away */
	int r;

	for (;;) {
		r = history_each(h->d, &h->filter, history_print, h);
		out_flush(&h->c->out);
		if (r || h->c->out.error)
			return h->c->out.error ? 0 : r;
		if (poll(fds, 3, FOLLOW_INTERVAL_MS) < 0 && errno != EINTR)
			return -errno;
		if (fds[0].revents || (fds[2].revents & POLLERR))
			return 0;
		if (fds[1].revents)
			follow_drain(changes);
	}
}

static int follow(struct history *h)
{
	struct history_filter newest = { .limit = 1 };
	_cleanup_close_ int signals = -1, changes = follow_inotify(h->c->db.path);
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (signals < 0)
		return -errno;
	r = history_each(h->d, &newest, follow_id, &h->filter.after_id);
	if (!r) {
		int64_t from = h->filter.after_id;

		h->filter.after_id = 0;
		r = follow_first(h);
		h->filter.after_id = MAX(h->filter.after_id, from);
	}
	if (r)
		return r;
	h->filter.limit = 0;
	h->filter.oldest_first = true;
	return follow_loop(h, signals, changes);
}

/* --- the command */

static int history(struct cmd *c)
{
	const struct history_options *o = c->options;
	_cleanup_free_ char *path = NULL;
	_cleanup_db_ struct db *d = NULL;
	struct history h = { .c = c };
	int status = 0, r;

	if (c->n_args)
		return cmd_usage(c, "unexpected argument '%s': did you mean --path %s?", c->args[0], c->args[0]);
	h.filter = (struct history_filter){ .since = o->since,
					    .until = o->until,
					    .pid = (int32_t)o->pid,
					    .limit = o->limit,
					    .baseline = o->baseline,
					    .container = o->container,
					    .user = o->user,
					    .open_only = o->open };
	if (o->pid > INT32_MAX)
		return cmd_usage(c, "--pid %llu: there is no such process", (unsigned long long)o->pid);
	if (o->kinds)
		status = history_kinds(c, o->kinds, &h.filter.kinds);
	if (o->open)
		h.filter.kinds = 1u << EVENT_CHANGE;
	if (o->path)
		path = text_is_glob(o->path) ? strdup(o->path) : cmd_absolute(o->path, false);
	h.filter.path = path;
	if (!status)
		status = cmd_open(c, DB_READ, &d);
	if (status)
		return status;
	h.d = d;
	r = o->follow ? follow(&h) : history_each(d, &h.filter, history_print, &h);
	if (r && !c->out.error) /* lost output is told, or for a closed pipe not, by out_finish */
		return cmd_fail_db(r, d, "history");
	return 0;
}

const struct command command_history = {
	.name = "history",
	.usage = "[--since TIME] [--until TIME] [--path PATH] [--kind KIND] [--pid N] [--user NAME] [--open] "
		 "[--limit N] [--follow]",
	.summary = "what happened, newest first",
	.details = "Times are UTC. The second column is the number that `holdfast accept --id` takes. sqlite3 shows "
		   "the same and more:\n"
		   "the views are described in holdfast-db(5).\n",
	.options = history_rows,
	.n_options = ARRAY_SIZE(history_rows),
	.options_size = sizeof(struct history_options),
	.run = history,
};
