/*
 * Logins, sessions, su and sudo: a thread ("users") reads the audit's records and utmp, wtmp and btmp as they change;
 * program starts are looked at on the thread that tells them. What they say of one deed becomes one event, after
 * SESSIONS_WINDOW_NS at most. Started and ended on the main thread.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sysexits.h>

#include "daemon/monitor.h"
#include "event/json.h"
#include "lib/clock.h"
#include "watch/audit.h"
#include "watch/session_proc.h"
#include "watch/sessions.h"
#include "watch/utmp.h"

#define USERS_FILES_MAX	  16
#define USERS_WAITING_MAX 64	/* notes of program starts that the thread has not read yet */
#define USERS_CALM_MS	  1000	/* without loss: the gap is over */
#define USERS_LOOK_MS	  10000 /* where a file cannot be watched */
#define USERS_FOLDER	  (IN_CREATE | IN_MOVED_TO | IN_ONLYDIR)

struct users {
	struct monitor *m;
	struct audit_reader *audit; /* NULL: not asked for, or not to be had */
	char *no_audit;		    /* why */
	struct utmp_file *files[USERS_FILES_MAX];
	size_t n_files;
	int inotify, wake, stop;
	pthread_t thread;

	struct sessions *sessions; /* the thread's */

	pthread_mutex_t lock; /* of the next four; held for no system call */
	struct session_proc *proc;
	struct session_note waiting[USERS_WAITING_MAX];
	size_t n_waiting;
	uint64_t overrun;

	atomic_uint_fast64_t told, failed, records, lost;
	uint64_t gap;	/* the thread's, as the next */
	bool unwatched; /* one of the files */
};

/* --- events */

static const char *known(const char *s)
{
	return *s ? s : NULL;
}

static void describe(struct event *e, const struct session_note *n, uint32_t failures)
{
	struct event_session s = { .op = n->op,
				   .failed = n->failed,
				   .account = known(n->account),
				   .by = known(n->by),
				   .tty = known(n->tty),
				   .remote = known(n->remote),
				   .program = known(n->program),
				   .command = known(n->command),
				   .has_session = n->has_session,
				   .session = n->session,
				   .sources = n->source,
				   .failures = failures };
	_cleanup_buf_ struct buf text = BUF_INIT, details = BUF_INIT;
	json_t *json = session_json(&s);

	if (json)
		json_ascii(&details, json);
	json_decref(json);
	session_text(&text, &s);
	e->session_op = n->op;
	e->session_failed = n->failed;
	e->session = session_copy(&e->arena, &s);
	e->text = text.failed ? NULL : arena_strdup(&e->arena, text.data);
	e->details = details.failed ? NULL : arena_strdup(&e->arena, details.data);
	e->user = e->session ? e->session->by ?: e->session->account : NULL;
	e->cause = n->found ? "while the monitor was not running" : NULL;
}

static void users_emit(const struct session_note *n, uint32_t failures, void *data)
{
	struct event *e = event_new(EVENT_SESSION);
	struct users *u = data;

	if (!e)
		return;
	e->time = n->time;
	e->boot_time = clock_boot_ns() - MIN(clock_boot_ns(), clock_real_ns() - MIN(clock_real_ns(), n->time));
	describe(e, n, failures);
	if (n->pid && !n->found)
		e->process = proc_table_get(u->m->procs, n->pid, false);
	if (!e->process)
		e->process_why = n->found ? "it was before the start" : "gone before it could be asked";
	u->told++;
	u->failed += n->failed;
	pipeline_emit(e, u->m);
}

static void users_take(const struct session_note *n, void *data)
{
	struct users *u = data;

	sessions_note(u->sessions, n, clock_mono_ns());
}

/* Of utmp and the like. They do not say by what program somebody was refused: its process does, while it is known. */
static void users_take_file(const struct session_note *n, void *data)
{
	_cleanup_process_ struct process *p = NULL;
	struct session_note note = *n;
	struct users *u = data;

	if (n->failed && !n->found && n->pid)
		p = proc_table_get(u->m->procs, n->pid, false) ?: proc_table_get(u->m->procs, n->pid, true);
	if (p)
		session_proc_refused(&note, p);
	users_take(&note, u);
}

/* Lock held. */
static void users_put(const struct session_note *n, void *data)
{
	struct users *u = data;

	if (u->n_waiting < USERS_WAITING_MAX)
		u->waiting[u->n_waiting++] = *n;
	else
		u->overrun++;
}

/* What program starts told, as long as there is some. */
static void users_take_waiting(struct users *u)
{
	struct session_note n;
	bool any = true;

	while (any) {
		pthread_mutex_lock(&u->lock);
		any = u->n_waiting > 0;
		if (any) {
			n = u->waiting[0];
			u->n_waiting--;
			memmove(u->waiting, u->waiting + 1, u->n_waiting * sizeof(n));
		}
		pthread_mutex_unlock(&u->lock);
		if (any)
			users_take(&n, u);
	}
}

void users_exec(struct monitor *m, const struct event *e)
{
	struct users *u = m->users;
	uint64_t one = 1;
	bool any;

	if (!u || !e->process || e->verdict == EXEC_DENIED || e->exec_type == EXEC_TYPE_LIBRARY || e->container)
		return;
	pthread_mutex_lock(&u->lock);
	session_proc_exec(u->proc, e->process, users_put, u);
	any = u->n_waiting;
	pthread_mutex_unlock(&u->lock);
	if (any && write(u->wake, &one, sizeof(one)) < 0)
		return; /* it is awake */
}

/* --- files */

static int watch_one(struct users *u, const char *path, uint32_t mask)
{
	return inotify_add_watch(u->inotify, path, mask) < 0 && errno != ENOENT ? -errno : 0;
}

/* The folder for files that come to be, the file itself for what is written; both may be other ones by now. */
static int watch_file(struct users *u, const char *path)
{
	_cleanup_free_ char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int r;

	if (!slash)
		return folder ? -EINVAL : -ENOMEM;
	slash[slash == folder] = '\0';
	r = watch_one(u, folder, USERS_FOLDER);
	return r < 0 ? r : watch_one(u, path, IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW);
}

static void say_unwatched(struct users *u, const char *path, int error)
{
	_cleanup_buf_ struct buf why = BUF_INIT;

	if (!error) {
		gapbook_end(u->m->gaps, GAP_MARK_FAILED, path, "it is watched");
		return;
	}
	u->unwatched = true;
	buf_printf(&why, "it cannot be watched (%s): read every %d s", strerror(-error), USERS_LOOK_MS / 1000);
	gapbook_open(u->m->gaps, GAP_MARK_FAILED, path, why.failed ? strerror(-error) : why.data, 0, 0);
}

/* What is passed over in utmp stays so while it stands there, in a log it is a loss once. */
static void say_passed(struct users *u, const struct utmp_file *f, int n)
{
	const char *path = utmp_path(f);

	if (n > 0 && utmp_kind(f) == UTMP_NOW)
		gapbook_open(u->m->gaps, GAP_LIMIT, path, "more records than are read", (uint64_t)n, 0);
	else if (n > 0)
		gapbook_once(u->m->gaps, GAP_LIMIT, path, "more records at once than are read", (uint64_t)n,
			     "later ones are read");
	else if (n == 0)
		gapbook_end(u->m->gaps, GAP_LIMIT, path, "all are read");
	if (n < 0 && n != -ENOENT)
		gapbook_open(u->m->gaps, GAP_UNREADABLE, path, strerror(-n), 0, 0);
	else
		gapbook_end(u->m->gaps, GAP_UNREADABLE, path, "it is read");
}

static void read_files(struct users *u)
{
	u->unwatched = false;
	for (size_t i = 0; i < u->n_files; i++) {
		/* Before it is read: what comes after that wakes again. */
		say_unwatched(u, utmp_path(u->files[i]), watch_file(u, utmp_path(u->files[i])));
		say_passed(u, u->files[i], utmp_read(u->files[i], users_take_file, u));
	}
}

static void drain(int fd)
{
	char events[4096] __attribute__((aligned(8)));

	while (read(fd, events, sizeof(events)) > 0)
		;
}

/* --- the thread */

static void users_loss(struct users *u, bool calm)
{
	struct audit_stats s = { 0 };
	uint64_t overrun;

	pthread_mutex_lock(&u->lock);
	overrun = u->overrun;
	u->overrun = 0;
	pthread_mutex_unlock(&u->lock);
	if (overrun)
		gapbook_once(u->m->gaps, GAP_LIMIT, "sessions", "more at once than are kept", overrun,
			     "later ones are told");
	if (!u->audit)
		return;
	audit_get_stats(u->audit, &s);
	u->records = s.records;
	if (s.lost > u->lost)
		u->gap = gapbook_lose(u->m->gaps, GAP_LIMIT, "audit records", "more than were read", s.lost - u->lost,
				      0);
	else if (u->gap && calm) {
		gapbook_close(u->m->gaps, u->gap, "they are read again", 0);
		u->gap = 0;
	}
	u->lost = s.lost;
}

static int users_wait_ms(const struct users *u, uint64_t next)
{
	int ms = next == UINT64_MAX ? -1 : (int)MIN(next / NSEC_PER_MSEC + 1, (uint64_t)INT_MAX);

	if (u->unwatched && (ms < 0 || ms > USERS_LOOK_MS))
		ms = USERS_LOOK_MS;
	return u->gap && (ms < 0 || ms > USERS_CALM_MS) ? USERS_CALM_MS : ms;
}

static void *users_thread(void *data)
{
	struct users *u = data;
	struct pollfd fds[] = { { .fd = u->stop, .events = POLLIN },
				{ .fd = u->wake, .events = POLLIN },
				{ .fd = u->inotify, .events = POLLIN },
				{ .fd = audit_fd(u->audit), .events = POLLIN } };

	pthread_setname_np(pthread_self(), "users");
	read_files(u);
	for (;;) {
		int n = poll(fds, ARRAY_SIZE(fds), users_wait_ms(u, sessions_tick(u->sessions, clock_mono_ns())));

		if (fds[0].revents)
			break;
		if (fds[1].revents) {
			drain(u->wake);
			users_take_waiting(u);
		}
		if (fds[2].revents || (u->unwatched && n == 0)) {
			drain(u->inotify);
			read_files(u);
		}
		if (fds[3].revents)
			audit_read(u->audit, users_take, u);
		users_loss(u, n == 0);
	}
	users_take_waiting(u);
	sessions_flush(u->sessions);
	return NULL;
}

/* --- part */

static void users_free(struct users *u)
{
	for (size_t i = 0; i < u->n_files; i++)
		utmp_close(u->files[i]);
	audit_close(u->audit);
	sessions_free(u->sessions);
	session_proc_free(u->proc);
	free(u->no_audit);
	if (u->inotify >= 0)
		close(u->inotify);
	if (u->wake >= 0)
		close(u->wake);
	if (u->stop >= 0)
		close(u->stop);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static void open_audit(struct users *u, const struct conf *conf)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	if (conf->users.audit == CONF_AUDIT_OFF)
		return;
	r = audit_open(conf->users.audit == CONF_AUDIT_ENABLE, &u->audit, &err);
	if (r < 0)
		u->no_audit = strdup(err.len ? err.data : strerror(-r));
}

static int users_open(struct users *u, const struct conf *conf)
{
	const struct sessions_options o = { .emit = users_emit, .data = u };

	u->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	u->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->inotify < 0 || u->wake < 0 || u->stop < 0)
		return -errno;
	u->sessions = sessions_new(&o);
	u->proc = session_proc_new(clock_boot_ns());
	if (!u->sessions || !u->proc)
		return -ENOMEM;
	for (size_t i = 0; i < conf->users.files.n && u->n_files < USERS_FILES_MAX; i++) {
		int r = utmp_open(conf->users.files.items[i], u->m->last_alive, &u->files[u->n_files]);

		if (r < 0)
			return r;
		u->n_files++;
	}
	open_audit(u, conf);
	return 0;
}

int users_part_start(struct monitor *m)
{
	struct users *u;
	sigset_t all, before;
	int r;

	if (m->conf->users.record == CONF_NO)
		return 0;
	u = calloc(1, sizeof(*u));
	if (!u)
		return EX_OSERR;
	u->m = m;
	u->inotify = u->wake = u->stop = -1;
	pthread_mutex_init(&u->lock, NULL);
	r = users_open(u, m->conf);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (r == 0)
		r = -pthread_create(&u->thread, NULL, users_thread, u);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r < 0) {
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, "sessions", strerror(-r), 0, 0);
		users_free(u);
		return 0;
	}
	m->users = u;
	return 0;
}

void users_part_stop(struct monitor *m)
{
	struct users *u = TAKE_PTR(m->users);
	uint64_t one = 1;

	if (!u)
		return;
	if (write(u->stop, &one, sizeof(one)) < 0)
		log_error("sessions: %s", strerror(errno)); /* cannot be: a fresh eventfd */
	pthread_join(u->thread, NULL);
	users_free(u);
}

json_t *users_status(struct monitor *m)
{
	const struct users *u = m->users;
	json_t *o = json_object();

	if (!u)
		return o;
	json_object_set_new(o, "told", json_integer((json_int_t)u->told));
	json_object_set_new(o, "failed", json_integer((json_int_t)u->failed));
	json_object_set_new(o, "audit", json_boolean(u->audit));
	json_put_string(o, "no_audit", u->no_audit);
	json_object_set_new(o, "records", json_integer((json_int_t)u->records));
	json_object_set_new(o, "lost", json_integer((json_int_t)u->lost));
	return o;
}
