/*
 * System calls that rules ask about, and connections that are recorded: a BPF program tells them, a thread ("calls")
 * makes events of them. Connections that the configuration wants recorded go the way of all events, the rest to the
 * rules alone. Nothing is loaded while nobody asks, so that calls cost nothing then. Started, changed and ended on the
 * main thread.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "daemon/monitor.h"
#include "daemon/names.h"
#include "lib/clock.h"
#include "watch/bpf_calls.h"

#define CALLS_ROUND    1024
#define CALLS_CALM_MS  1000 /* without loss: the gap is over */
#define CALLS_COUNT_MS 250  /* between looks at what was counted */

/* What is asked for of DNS. */
enum calls_dns { DNS_UNASKED, DNS_NAMES, DNS_QUERIES };

struct calls {
	struct monitor *m;
	struct bpf_calls *bpf;
	struct names *names; /* NULL: nobody asks, or they cannot be had */
	enum calls_dns dns;
	const struct call_info *query;
	int stop_fd;
	pthread_t thread;
	atomic_uint record; /* enum conf_record */
	atomic_uint_fast64_t told, counted, recorded, cut, lost[BPF_CALL_PROGRAMS];
	uint64_t gap, boot_offset; /* the thread's */
	bool counting;

	struct finder *finder; /* of connections that are there already; NULL: nobody asked yet */
};

static bool is_recorded(const struct calls *c, const struct event_socket *s)
{
	unsigned int record = c->record;

	if (!s || s->op == SOCKET_OP_NONE)
		return false;
	return record == CONF_RECORD_ALL ||
	       (record == CONF_RECORD_IP && (s->family == AF_INET || s->family == AF_INET6));
}

/* A copy with what is known of the other end. */
static const struct event_socket *calls_socket(struct calls *c, struct arena *a, const struct event_socket *s)
{
	struct event_socket named = *s;
	char name[DNS_NAME_MAX];

	named.remote_name = names_of(c->names, s, name);
	return socket_copy(a, &named);
}

/* Takes over the event of a call. */
static void calls_tell(struct calls *c, struct event *e, int32_t tgid, uint64_t start_ns)
{
	e->process = tgid > 0 ? proc_table_at(c->m->procs, tgid, start_ns, e->boot_time) : NULL;
	if (!e->process)
		e->process_why = tgid > 0 ? "gone before it could be asked" : "connected before the monitor ran";
	c->told++;
	c->recorded += e->kind == EVENT_CONNECTION;
	connection_tell(c->m, e);
}

static void calls_take(const struct bpf_call_event *b, void *data)
{
	struct calls *c = data;
	bool recorded = is_recorded(c, b->of_socket ? &b->socket : NULL);
	uint64_t age = clock_mono_ns() - b->mono_ns;
	struct event *e;

	/* It is told as what the policy did. */
	if (b->of_socket && b->result == -EPERM && network_denied(c->m, b->tid, &b->socket, b->mono_ns))
		return;
	e = event_new(recorded ? EVENT_CONNECTION : EVENT_ACCESS);
	if (!e)
		return;
	e->time = clock_real_ns() - age;
	e->boot_time = b->mono_ns + c->boot_offset;
	e->count = b->count;
	e->call = call_new(&e->arena, b->info, b->args, b->texts, b->result);
	e->socket = b->of_socket ? calls_socket(c, &e->arena, &b->socket) : NULL;
	e->path = b->file ? arena_strdup(&e->arena, b->file) : NULL;
	c->counting |= b->of_socket;
	c->cut += b->cut;
	if (!e->call || (b->of_socket && !e->socket))
		event_unref(e);
	else
		calls_tell(c, e, b->tgid, b->start_ns);
}

/* A question to DNS: no call, told as one. */
static void calls_take_query(const struct queries_one *q, void *data)
{
	struct calls *c = data;
	static const uint64_t no_args[CALL_ARGS];
	static const char *const no_texts[CALL_TEXTS];
	struct event *e = event_new(is_recorded(c, &q->socket) ? EVENT_CONNECTION : EVENT_ACCESS);

	if (!e)
		return;
	e->time = clock_real_ns() - (clock_mono_ns() - q->mono_ns);
	e->boot_time = q->mono_ns + c->boot_offset;
	e->count = q->count;
	e->call = call_new(&e->arena, c->query, no_args, no_texts, 0);
	e->socket = socket_copy(&e->arena, &q->socket);
	c->counting = true;
	if (!e->call || !e->socket)
		event_unref(e);
	else
		calls_tell(c, e, q->tgid, q->start_ns);
}

static void calls_take_counted(const struct bpf_call_event *b, void *data)
{
	struct calls *c = data;

	c->counted += b->count;
	calls_take(b, data);
}

/* --- the thread */

static void calls_loss(struct calls *c, bool calm)
{
	static const char *const names[BPF_CALL_PROGRAMS] = { "system calls", "sockets", "io_uring",
							      "ends of connections" };
	uint64_t lost[BPF_CALL_PROGRAMS], n = 0;
	_cleanup_buf_ struct buf why = BUF_INIT;

	bpf_calls_lost(c->bpf, lost);
	buf_str(&why, "more than were read; the ring was full:");
	for (size_t i = 0; i < BPF_CALL_PROGRAMS; i++) {
		uint64_t more = lost[i] - c->lost[i];

		if (more)
			buf_printf(&why, "%s %s", n ? "," : "", names[i]);
		n += more;
		c->lost[i] = lost[i];
	}
	if (n) {
		c->gap = gapbook_lose(c->m->gaps, GAP_LIMIT, "system calls", why.failed ? "" : why.data, n, 0);
	} else if (c->gap && calm) {
		gapbook_close(c->m->gaps, c->gap, "all of them are read again", 0);
		c->gap = 0;
	}
}

static int calls_wait_ms(const struct calls *c)
{
	return c->counting ? CALLS_COUNT_MS : c->gap ? CALLS_CALM_MS : -1;
}

static void *calls_thread(void *data)
{
	struct calls *c = data;
	struct pollfd fds[] = { { .fd = bpf_calls_fd(c->bpf), .events = POLLIN },
				{ .fd = c->stop_fd, .events = POLLIN },
				{ .fd = names_fd(c->names), .events = POLLIN } };
	uint64_t count_at = 0, now;
	int n;

	pthread_setname_np(pthread_self(), "calls");
	for (;;) {
		n = poll(fds, ARRAY_SIZE(fds), calls_wait_ms(c));
		if (fds[1].revents)
			break;
		clock_update_boot_offset(&c->boot_offset);
		names_read(c->names);
		while (bpf_calls_take(c->bpf, CALLS_ROUND, calls_take, c) == CALLS_ROUND)
			calls_loss(c, false);
		now = clock_mono_ns();
		if (c->counting && now >= count_at) {
			c->counting = bpf_calls_counted(c->bpf, calls_take_counted, c);
			c->counting |= names_counted(c->names);
			count_at = now + CALLS_COUNT_MS * NSEC_PER_MSEC;
		}
		calls_loss(c, n == 0);
	}
	/* What was counted and not told yet; of the period that goes on too. */
	for (n = 0; n < 2; n++)
		bpf_calls_counted(c->bpf, calls_take_counted, c);
	return NULL;
}

/* Once; later ones are told as they are made. */
static void calls_find(struct calls *c)
{
	if (!c->finder && c->record != CONF_RECORD_OFF)
		c->finder = finder_new(c->m, c->bpf, &c->recorded);
}

static int calls_open(struct calls *c, const struct bpf_calls_wants *wants, struct buf *err)
{
	sigset_t all, before;
	int r = bpf_calls_open(&c->m->exits, wants, c->m->conf->sensors.ring, &c->bpf, err);

	if (r < 0)
		return r;
	if (c->dns != DNS_UNASKED)
		c->names = names_open(c->m->gaps, c->dns == DNS_QUERIES ? calls_take_query : NULL, c);
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
	finder_free(c->finder);
	bpf_calls_close(c->bpf);
	names_close(c->names);
	if (c->stop_fd >= 0)
		close(c->stop_fd);
	free(c);
}

static void calls_start(struct monitor *m, const struct conf *conf, const struct bpf_calls_wants *wants,
			enum calls_dns dns)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct calls *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (c) {
		c->m = m;
		c->stop_fd = -1;
		c->record = conf->network.record;
		c->dns = dns;
		c->query = call_by_name("dns_query", strlen("dns_query"));
		r = calls_open(c, wants, &err);
	}
	if (r == 0) {
		m->calls = c;
		calls_find(c);
		gapbook_end(m->gaps, GAP_WEAK_SENSOR, "system calls", "they are told now");
		return;
	}
	gapbook_open(m->gaps, GAP_WEAK_SENSOR, "system calls", err.len ? err.data : strerror(-r), 0, 0);
	if (c)
		calls_free(c);
}

/* What is seen as something else too. */
static uint32_t calls_faces(void)
{
	uint32_t faces = 0;

	for (size_t i = 0; i < call_count; i++)
		if (call_table[i].is_change)
			faces |= FACE_BIT(face_of_call(&call_table[i]));
	return faces;
}

void calls_stop(struct monitor *m)
{
	struct calls *c = TAKE_PTR(m->calls);
	uint64_t one = 1;

	if (!c)
		return;
	if (m->engine)
		engine_set_told(m->engine, calls_faces(), false);
	if (write(c->stop_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: a fresh eventfd */
	pthread_join(c->thread, NULL);
	calls_free(c);
}

/* Of kernels without the tracepoint. */
static void calls_check_ends(struct calls *c, const struct bpf_calls_wants *wants)
{
	bool tcp = false, udp = false;

	for (size_t i = 0; i < call_count; i++) {
		tcp |= wants->calls[i] && call_table[i].filter == CALL_END && !bpf_calls_ends(c->bpf);
		udp |= wants->calls[i] && call_table[i].filter == CALL_DATAGRAM_END && !bpf_calls_datagram_ends(c->bpf);
	}
	if (tcp || udp)
		gapbook_open(c->m->gaps, GAP_WEAK_SENSOR, "ends of connections",
			     tcp ? "the kernel does not tell them" : "the kernel does not tell those of UDP", 0, 0);
	else
		gapbook_end(c->m->gaps, GAP_WEAK_SENSOR, "ends of connections", "all that are asked for are told");
}

/* What nobody asks for is no gap. */
static void calls_unasked(struct monitor *m, bool calls, enum calls_dns dns)
{
	if (dns != DNS_QUERIES)
		gapbook_end(m->gaps, GAP_WEAK_SENSOR, "queries of DNS", "nobody asks for them");
	if (dns == DNS_UNASKED)
		gapbook_end(m->gaps, GAP_WEAK_SENSOR, "names of addresses", "nobody asks for them");
	if (!calls) {
		gapbook_end(m->gaps, GAP_WEAK_SENSOR, "ends of connections", "nobody asks for them");
		gapbook_end(m->gaps, GAP_WEAK_SENSOR, "system calls", "nobody asks for them");
	}
}

/* Whether connections are recorded that the call makes. */
static bool records_call(const struct conf *conf, const struct call_info *call)
{
	return conf->network.record != CONF_RECORD_OFF && call_has_socket(call) && call->op != SOCKET_OP_NONE;
}

static bool wants_names(const struct conf *conf, const struct rules *rules)
{
	return conf->network.record != CONF_RECORD_OFF || rules_ask_field(rules, "fd.sip.name") ||
	       rules_ask_field(rules, "fd.cip.name") || rules_ask_field(rules, "fd.rip.name");
}

/* Where a connection is accepted it is remembered whose it is, for its end. */
static void want_accepts(bool *wanted)
{
	for (size_t i = 0; i < call_count; i++)
		wanted[i] |= call_table[i].filter == CALL_ACCEPT;
}

/* Whether rules ask for what looks find, where no BPF program tells it. */
static bool calls_apply(struct monitor *m, const struct conf *conf, const struct rules *rules)
{
	_cleanup_free_ bool *wanted = calloc(call_count, sizeof(*wanted));
	struct bpf_calls_wants wants = {
		.calls = wanted,
		.unix_too = conf->network.record == CONF_RECORD_ALL || rules_ask_unix(rules),
		.data = rules_ask_field(rules, "evt.buffer"),
	};
	bool off = m->conf->sensors.bpf == CONF_BPF_OFF, by_rule = false, any = false, looked = false;
	enum calls_dns dns = wants_names(conf, rules) ? DNS_NAMES : DNS_UNASKED;

	for (size_t i = 0; wanted && i < call_count; i++) {
		bool asked = call_table[i].filter != CALL_OPEN && rules_ask_call(rules, &call_table[i]);

		by_rule |= asked;
		looked |= asked && call_is_looked_for(&call_table[i]);
		wanted[i] |= asked || records_call(conf, &call_table[i]);
		any |= wanted[i];
		if (wanted[i] && call_table[i].filter == CALL_QUERY)
			dns = DNS_QUERIES;
		if (wanted[i] && call_table[i].filter == CALL_END)
			want_accepts(wanted);
	}
	if (!any || off || (m->calls && m->calls->dns != dns))
		calls_stop(m);
	calls_unasked(m, off ? by_rule : any, any && !off ? dns : DNS_UNASKED);
	if (off && by_rule)
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, "system calls", "rules ask for them, and sensors.bpf is off", 0,
			     0);
	if (!any || off)
		return looked;
	if (m->calls) {
		m->calls->record = conf->network.record;
		bpf_calls_want(m->calls->bpf, &wants);
		calls_find(m->calls);
	} else {
		calls_start(m, conf, &wants, dns);
	}
	if (m->calls)
		calls_check_ends(m->calls, &wants);
	if (m->engine)
		engine_set_told(m->engine, calls_faces(), m->calls != NULL);
	return looked;
}

void calls_rules(struct monitor *m, const struct conf *conf, const struct rules *rules)
{
	bool recorded = conf->network.record != CONF_RECORD_OFF, asked = calls_apply(m, conf, rules) || recorded;

	if (asked && !m->calls) {
		looks_start(m, recorded);
		return;
	}
	looks_stop(m);
	gapbook_end(m->gaps, GAP_WEAK_SENSOR, "connections",
		    asked ? "they are told as they are made" : "nobody asks for them");
}

json_t *calls_status(struct monitor *m)
{
	struct calls *c = m->calls;
	uint64_t lost = 0;
	json_t *o;

	if (!c && m->looks)
		return looks_status(m);
	o = json_object();
	json_object_set_new(o, "source", c ? json_string("BPF") : json_null());
	if (!c)
		return o;
	for (size_t i = 0; i < BPF_CALL_PROGRAMS; i++)
		lost += c->lost[i];
	json_object_set_new(o, "told", json_integer((json_int_t)c->told));
	json_object_set_new(o, "counted", json_integer((json_int_t)c->counted));
	json_object_set_new(o, "recorded", json_integer((json_int_t)c->recorded));
	json_object_set_new(o, "lost", json_integer((json_int_t)lost));
	json_object_set_new(o, "cut", json_integer((json_int_t)c->cut));
	json_object_set_new(o, "names", json_integer((json_int_t)names_count(c->names)));
	json_object_set_new(o, "io_uring", json_boolean(bpf_calls_uring(c->bpf)));
	json_object_set_new(o, "ends", json_boolean(bpf_calls_ends(c->bpf)));
	return o;
}
