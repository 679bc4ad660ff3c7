/*
 * Events of connections, and those that are there when the monitor begins to record them: found once, on a thread
 * ("sockets") that enters other network namespaces.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/monitor.h"
#include "event/json.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "proc/sockets.h"
#include "watch/bpf_calls.h"

#define FINDER_SCOPE  "connections at the start"
#define FINDER_HEALED "those that are made from here on are told"
#define ROOM_MS	      2

struct finder {
	struct monitor *m;
	struct bpf_calls *bpf;
	atomic_uint_fast64_t *recorded;
	pthread_t thread;
	atomic_bool stop;
	uint64_t unadopted; /* the thread's: connections whose end nobody is told */
};

void connection_describe(struct event *e)
{
	_cleanup_buf_ struct buf tuple = BUF_INIT, details = BUF_INIT;
	char number[24];
	bool failed = e->call && e->call->result < 0 && e->call->result != -EINPROGRESS;
	json_t *json;

	e->socket_op = e->socket->op;
	e->reason = failed ? arena_strdup(&e->arena, call_result(e->call, number, sizeof(number))) : NULL;
	socket_text(&tuple, e->socket);
	e->text = arena_strndup(&e->arena, tuple.data ? tuple.data : "", tuple.len);
	json = socket_json(e->socket, e->reason);
	if (json)
		json_ascii(&details, json);
	json_decref(json);
	e->details = json && !details.failed ? arena_strdup(&e->arena, details.data) : NULL;
}

void connection_tell(struct monitor *m, struct event *e)
{
	if (e->kind == EVENT_CONNECTION) {
		connection_describe(e);
		pipeline_emit(e, m);
		return;
	}
	containers_place(m, e);
	engine_event(m->engine, e);
	event_unref(e);
}

bool connection_found(struct monitor *m, int32_t pid, const struct event_socket *s, const struct call_info *call,
		      bool recorded)
{
	static const uint64_t no_args[CALL_ARGS];
	static const char *const no_texts[CALL_TEXTS];
	struct event *e = event_new(recorded ? EVENT_CONNECTION : EVENT_ACCESS);

	if (!e)
		return false;
	e->call = call ? call_new(&e->arena, call, no_args, no_texts, 0) : NULL;
	e->time = clock_real_ns();
	e->boot_time = clock_boot_ns();
	e->count = 1;
	e->socket = socket_copy(&e->arena, s);
	e->process = proc_table_get(m->procs, pid, false);
	if (!e->process)
		e->process_why = "gone before it could be asked";
	if (!e->socket || (call && !e->call)) {
		event_unref(e);
		return false;
	}
	connection_tell(m, e);
	return true;
}

/* There may be a hundred thousand: what happens meanwhile must find room on its way to history. */
static void wait_for_room(const struct finder *f)
{
	while (!f->stop && f->m->writer && pipeline_room(f->m) == 0)
		poll(NULL, 0, ROOM_MS);
}

static void finder_take(int32_t pid, const struct event_socket *s, void *data)
{
	struct finder *f = data;
	struct process *p;
	int r;

	wait_for_room(f);
	*f->recorded += connection_found(f->m, pid, s, NULL, true);
	if (s->protocol != IPPROTO_TCP || !s->connected || !s->cookie)
		return;
	p = proc_table_get(f->m->procs, pid, false);
	r = p ? bpf_calls_adopt(f->bpf, s, pid, p->start_ns) : 0;
	/* Where ends are not told at all, that is a gap of its own; one that is known already was adopted before. */
	f->unadopted += r < 0 && r != -ENOTSUP && r != -EEXIST;
	process_unref(p);
}

static void *finder_thread(void *data)
{
	struct finder *f = data;
	struct sockets_found found = { 0 };
	int r;

	pthread_setname_np(pthread_self(), "sockets");
	r = sockets_each("/proc", 0, &f->stop, finder_take, f, &found);
	if (r < 0)
		gapbook_once(f->m->gaps, GAP_WEAK_SENSOR, FINDER_SCOPE, strerror(-r), 0, FINDER_HEALED);
	else if (found.missed)
		gapbook_once(f->m->gaps, GAP_LIMIT, FINDER_SCOPE, "not all of them could be listed", found.missed,
			     FINDER_HEALED);
	if (f->unadopted)
		gapbook_once(f->m->gaps, GAP_LIMIT, FINDER_SCOPE, "the end of some cannot be told", f->unadopted,
			     FINDER_HEALED);
	return NULL;
}

struct finder *finder_new(struct monitor *m, struct bpf_calls *bpf, atomic_uint_fast64_t *recorded)
{
	struct finder *f = calloc(1, sizeof(*f));
	sigset_t all, before;
	int r = f ? 0 : ENOMEM;

	if (f) {
		f->m = m;
		f->bpf = bpf;
		f->recorded = recorded;
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = pthread_create(&f->thread, NULL, finder_thread, f);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (r == 0)
		return f;
	gapbook_once(m->gaps, GAP_WEAK_SENSOR, FINDER_SCOPE, strerror(r), 0, FINDER_HEALED);
	free(f);
	return NULL;
}

void finder_free(struct finder *f)
{
	if (!f)
		return;
	f->stop = true;
	pthread_join(f->thread, NULL);
	free(f);
}
