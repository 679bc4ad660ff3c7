/*
 * System calls that rules ask about: a BPF program tells them, a thread ("calls") makes events of them and hands those
 * to the rules. Nothing is loaded while no rule asks, so that calls cost nothing then. Started, changed and ended on
 * the main thread.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include "daemon/monitor.h"
#include "lib/clock.h"
#include "watch/bpf_calls.h"

#define CALLS_ROUND   1024
#define CALLS_CALM_MS 1000 /* without loss: the gap is over */

struct calls {
	struct monitor *m;
	struct bpf_calls *bpf;
	int stop_fd;
	pthread_t thread;
	atomic_uint_fast64_t told, lost;
	uint64_t lost_told, gap, boot_offset; /* the thread's */
};

static void calls_take(const struct bpf_call_event *b, void *data)
{
	_cleanup_event_ struct event *e = event_new(EVENT_ACCESS);
	struct calls *c = data;
	uint64_t age = clock_mono_ns() - b->mono_ns;

	if (!e)
		return;
	e->time = clock_real_ns() - age;
	e->boot_time = b->mono_ns + c->boot_offset;
	e->count = 1;
	e->call = call_new(&e->arena, b->info, b->args, b->texts, b->result);
	e->process = proc_table_at(c->m->procs, b->tgid, b->start_ns, e->boot_time);
	if (!e->process)
		e->process_why = "gone before it could be asked";
	containers_place(c->m, e);
	if (e->call)
		engine_event(c->m->engine, e);
	c->told++;
}

static void calls_loss(struct calls *c, bool calm)
{
	uint64_t lost = bpf_calls_lost(c->bpf);

	if (lost != c->lost_told) {
		c->gap = gapbook_open(c->m->gaps, GAP_LIMIT, "system calls", "more than were read; the ring was full",
				      lost - c->lost_told, 0);
		c->lost = c->lost_told = lost;
	} else if (c->gap && calm) {
		gapbook_close(c->m->gaps, c->gap, "all of them are read again", 0);
		c->gap = 0;
	}
}

static void *calls_thread(void *data)
{
	struct calls *c = data;
	struct pollfd fds[] = { { .fd = bpf_calls_fd(c->bpf), .events = POLLIN },
				{ .fd = c->stop_fd, .events = POLLIN } };
	int n;

	pthread_setname_np(pthread_self(), "calls");
	for (;;) {
		n = poll(fds, ARRAY_SIZE(fds), c->gap ? CALLS_CALM_MS : -1);
		if (fds[1].revents)
			return NULL;
		clock_update_boot_offset(&c->boot_offset);
		while (bpf_calls_take(c->bpf, CALLS_ROUND, calls_take, c) == CALLS_ROUND)
			calls_loss(c, false);
		calls_loss(c, n == 0);
	}
}

static int calls_open(struct calls *c, const bool *wanted, struct buf *err)
{
	sigset_t all, before;
	int r = bpf_calls_open(wanted, c->m->conf->sensors.ring, &c->bpf, err);

	if (r < 0)
		return r;
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->stop_fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&c->thread, NULL, calls_thread, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static void calls_free(struct calls *c)
{
	bpf_calls_close(c->bpf);
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	free(c);
}

static void calls_start(struct monitor *m, const bool *wanted)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct calls *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;
	uint64_t key;

	if (c) {
		c->m = m;
		c->stop_fd = -1;
		r = calls_open(c, wanted, &err);
	}
	if (r == 0) {
		m->calls = c;
		if (gapbook_keys(m->gaps, GAP_WEAK_SENSOR, "system calls", &key, 1))
			gapbook_close(m->gaps, key, "they are told now", 0);
		return;
	}
	gapbook_open(m->gaps, GAP_WEAK_SENSOR, "system calls", err.len ? err.data : strerror(-r), 0, 0);
	if (c)
		calls_free(c);
}

void calls_stop(struct monitor *m)
{
	struct calls *c = TAKE_PTR(m->calls);
	uint64_t one = 1;

	if (!c)
		return;
	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: a fresh eventfd */
	pthread_join(c->thread, NULL);
	calls_free(c);
}

void calls_rules(struct monitor *m, const struct rules *rules)
{
	_cleanup_free_ bool *wanted = calloc(call_count, sizeof(*wanted));
	bool any = false;

	for (size_t i = 0; wanted && i < call_count; i++) {
		wanted[i] = rules_ask_call(rules, &call_table[i]);
		any |= wanted[i];
	}
	if (!any || m->conf->sensors.bpf == CONF_BPF_OFF)
		calls_stop(m);
	else if (m->calls)
		bpf_calls_want(m->calls->bpf, wanted);
	else
		calls_start(m, wanted);
}

json_t *calls_status(struct monitor *m)
{
	json_t *o = json_object();

	json_object_set_new(o, "source", m->calls ? json_string("BPF") : json_null());
	if (!m->calls)
		return o;
	json_object_set_new(o, "told", json_integer((json_int_t)m->calls->told));
	json_object_set_new(o, "lost", json_integer((json_int_t)m->calls->lost));
	return o;
}
