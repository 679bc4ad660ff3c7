/*
 * Signals to the monitor: what each does, and who sent it, which is told: somebody who ends, reloads or stops the
 * monitor is news, unless it is the service manager. Main thread. Who sent a SIGKILL or a SIGSTOP nobody is told; a
 * SIGCONT says that there may have been one.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/monitor.h"
#include "lib/clock.h"

static void signal_end(struct monitor *m)
{
	loop_stop(m->loop);
}

static void signal_reload(struct monitor *m)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (monitor_reload(m, &err) < 0)
		log_error("configuration not read again, the old one stays in force:\n%s", err.len ? err.data : "");
}

static void signal_nothing(struct monitor *m _unused_)
{
}

static void signal_tell(struct monitor *m, struct loop_source *source, const char *text)
{
	uint32_t uid;
	int32_t pid = loop_signal_sender(source, &uid);
	struct event *e;
	char all[128];

	/* A terminal, init: nobody that there would be more to say of. */
	if (pid <= 1 || pid == getpid())
		return;
	e = event_new(EVENT_NOTE);
	if (!e)
		return;
	snprintf(all, sizeof(all), "%s, sent by process %d of user %u", text, pid, uid);
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->count = 1;
	e->text = arena_strdup(&e->arena, all);
	e->process = proc_table_get(m->procs, pid, false);
	if (!e->process)
		e->process = proc_table_get(m->procs, pid, true);
	if (!e->process)
		e->process_why = "gone before it could be asked";
	pipeline_emit(e, m);
}

/* One for each, since a callback is told nothing but its source. */
#define SIGNAL(name, text, act)                                                                                        \
	static int on_##name(struct loop_source *source, uint32_t events _unused_, void *data)                         \
	{                                                                                                              \
		signal_tell(data, source, #name ": " text);                                                            \
		act(data);                                                                                             \
		return 0;                                                                                              \
	}
SIGNAL(SIGTERM, "the monitor ends", signal_end)
SIGNAL(SIGINT, "the monitor ends", signal_end)
SIGNAL(SIGHUP, "the configuration is read again", signal_reload)
SIGNAL(SIGCONT, "the monitor goes on, if it was stopped", signal_nothing)

int signals_add(struct monitor *m)
{
	static const struct {
		int signo;
		loop_fn fn;
	} rows[] = { { SIGTERM, on_SIGTERM }, { SIGINT, on_SIGINT }, { SIGHUP, on_SIGHUP }, { SIGCONT, on_SIGCONT } };
	struct loop_source *source;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows) && r == 0; i++)
		r = loop_add_signal(m->loop, rows[i].signo, rows[i].fn, m, &source);
	return r;
}
