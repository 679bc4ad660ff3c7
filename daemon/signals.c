/*
 * Signals to the monitor: what each does, and who sent it, which is told: somebody who ends, reloads or stops the
 * monitor is news, unless it is the service manager. Main thread. Of SIGKILL and SIGSTOP a process is not told: who
 * sent them BPF keeps, and it is told after the SIGCONT, or by the next monitor.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

static void signal_note(struct monitor *m, const char *text, int32_t pid, uint32_t uid)
{
	struct event *e = event_new(EVENT_NOTE);
	char all[128];

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

static void signal_tell(struct monitor *m, struct loop_source *source, const char *text)
{
	uint32_t uid;
	int32_t pid = loop_signal_sender(source, &uid);

	/* A terminal, init: nobody that there would be more to say of. */
	if (pid > 1 && pid != getpid())
		signal_note(m, text, pid, uid);
}

static void signal_stopped(struct monitor *m)
{
	struct bpf_sender by;

	if (m->connector && connector_stopped(m->connector, &by) && !by.by_kernel)
		signal_note(m, "SIGSTOP: the monitor was stopped", by.pid, by.uid);
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
SIGNAL(SIGCONT, "the monitor goes on, if it was stopped", signal_stopped)

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

/* --- what it cannot be told of */

/* One for each store. */
static int signals_pin(const struct monitor *m, char pin[96])
{
	struct stat st;

	if (stat(m->state_dir, &st) < 0)
		return -errno;
	snprintf(pin, 96, "/sys/fs/bpf/holdfast-%" PRIx64 "-%" PRIx64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
	return 0;
}

void signals_guard(struct monitor *m)
{
	struct bpf_sender by = { .mono_ns = 0 };
	char pin[96];
	int r = signals_pin(m, pin);

	if (r == 0)
		r = connector_guard(m->connector, pin, &by);
	if (r < 0)
		log_debug("who ends the monitor by SIGKILL will not be known: %s", strerror(-r));
	if (!by.mono_ns)
		return;
	for (char *p = by.comm; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	if (by.by_kernel)
		snprintf(m->last_killed, sizeof(m->last_killed), "the kernel (out of memory?)");
	else
		snprintf(m->last_killed, sizeof(m->last_killed), "process %d (%s) of user %u", by.pid, by.comm, by.uid);
}

void signals_unguard(struct monitor *m)
{
	char pin[96];

	if (signals_pin(m, pin) == 0)
		unlink(pin);
}
