/*
 * Policies of the network in force: the kernel judges, a thread ("network") makes events of what it denies, and makes
 * the tables anew when users, programs or servers of the node are others. Started, changed and ended on the main
 * thread; containers become known on threads of theirs. When the monitor ends nothing is denied any more.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/monitor.h"
#include "lib/clock.h"
#include "watch/bpf_policy.h"
#include "watch/policy_world.h"

#define NETWORK_ROUND	 256
#define NETWORK_COUNT_MS 1000  /* between looks at what was counted */
#define NETWORK_WORLD_MS 10000 /* between looks at users, programs, servers and names */

#define NETWORK_SAME_NS (2 * NSEC_PER_SEC) /* at most from a verdict to the end of its call */

struct network {
	struct monitor *m;
	struct bpf_policy *bpf;
	int stop_fd;
	pthread_t thread;
	bool counting;
	uint64_t lost, lost_names; /* as gaps tell them */
	uint64_t boot_offset;
	atomic_uint_fast64_t told; /* denials, as events */

	pthread_mutex_t making;			    /* one table at a time is made and put in force */
	pthread_mutex_t lock;			    /* of what follows; nothing is read from files under it */
	struct conf *conf;			    /* that is to be in force: its table is, when it could be made */
	struct policy_table *table, *next, *former; /* in force, being filled, before */
	struct policy_world world;
	bool crowded; /* more containers than there is room for */
};

/* --- gaps: each has a scope of its own, or the end of one would be that of another */

enum network_gap { NETWORK_OFF, NETWORK_TABLE, NETWORK_CROWDED, NETWORK_UNPROTECTED, NETWORK_GAPS };

static const struct {
	enum gap_reason reason;
	const char *scope;
} network_gaps[NETWORK_GAPS] = {
	[NETWORK_OFF] = { GAP_WEAK_SENSOR, "network policies" },
	[NETWORK_TABLE] = { GAP_LIMIT, "network policies" },
	[NETWORK_CROWDED] = { GAP_LIMIT, "network policies of containers" },
	[NETWORK_UNPROTECTED] = { GAP_LIMIT, "network.protect" },
};

/* The same again is one; it is over when gap_end says so, not when a look over the files does not find it. */
static void gap_begin(struct monitor *m, enum network_gap g, const char *detail, uint64_t lost)
{
	gapbook_open(m->gaps, network_gaps[g].reason, network_gaps[g].scope, detail, lost, 0);
}

static void gap_end(struct monitor *m, enum network_gap g, const char *healed)
{
	gapbook_end(m->gaps, network_gaps[g].reason, network_gaps[g].scope, healed);
}

/* --- containers */

static void put_container(struct container *c, void *data)
{
	struct network *n = data;
	int r = 0;

	/* Its runtime has not written yet what it runs. */
	if (!c->image)
		return;
	pthread_mutex_lock(&n->lock);
	if (n->table)
		r = bpf_policy_container(n->bpf, n->table, c);
	if (n->next)
		r = bpf_policy_container(n->bpf, n->next, c);
	if (r < 0) {
		n->crowded = true;
		gap_begin(n->m, NETWORK_CROWDED,
			  "no room for more: policies for images and namespaces do not apply to them", 0);
	}
	pthread_mutex_unlock(&n->lock);
}

static int put_each(struct container *c, void *data)
{
	put_container(c, data);
	return 0;
}

/* --- tables */

static void put_name(uint64_t domain, const uint8_t address[16], void *data)
{
	struct network *n = data;

	bpf_policy_name(n->bpf, domain, address, 3 * NETWORK_WORLD_MS * NSEC_PER_MSEC);
}

/* All that holds for the table that is filled, then in place of the one in force. */
static void network_switch(struct network *n, struct policy_table *t, const struct policy_world *w)
{
	pthread_mutex_lock(&n->lock);
	n->next = t;
	n->crowded = false;
	pthread_mutex_unlock(&n->lock);
	if (t->set.by_container)
		containers_each(n->m->containers, put_each, n);
	pthread_mutex_lock(&n->lock);
	bpf_policy_switch(n->bpf, t);
	/* What was denied by the one before may not be told yet. */
	policy_table_free(n->former);
	n->former = n->table;
	n->table = TAKE_PTR(n->next);
	n->world = *w;
	if (!n->crowded)
		gap_end(n->m, NETWORK_CROWDED, "there is room again");
	if (w->unprotected)
		gap_begin(n->m, NETWORK_UNPROTECTED, "more addresses than can be kept from being denied",
			  w->unprotected);
	else
		gap_end(n->m, NETWORK_UNPROTECTED, "there is room for all again");
	pthread_mutex_unlock(&n->lock);
}

/* A table of conf and of the node as it is, put in force. 1: other policies are wanted meanwhile. */
static int network_put(struct network *n, struct conf *conf, const struct policy_world *w)
{
	struct policy_table *t = NULL;
	int r = 1;

	pthread_mutex_lock(&n->making);
	if (conf == n->conf)
		r = policy_table_new(conf, w, n->table ? n->table->set.serial + 1 : 1, &t);
	if (r == 0)
		r = bpf_policy_fill(n->bpf, t, conf->network.mode == CONF_NETWORK_ENFORCE);
	if (r == 0)
		network_switch(n, TAKE_PTR(t), w);
	policy_table_free(t);
	pthread_mutex_unlock(&n->making);
	return r;
}

/* Whether policies, users, programs or servers are others than those of the table in force; then it is made anew. */
static int network_look(struct network *n)
{
	_cleanup_free_ struct policy_world *w = malloc(sizeof(*w));
	struct conf *conf;
	bool same;
	int r = 0;

	if (!w)
		return -ENOMEM;
	pthread_mutex_lock(&n->lock);
	conf = conf_ref(n->conf);
	pthread_mutex_unlock(&n->lock);
	policy_world_read(conf, "/", w);
	policy_hosts_each(conf, "/", put_name, n);
	pthread_mutex_lock(&n->lock);
	same = n->table && n->table->conf == conf && !n->crowded && policy_world_same(conf, w, &n->world);
	pthread_mutex_unlock(&n->lock);
	if (!same)
		r = network_put(n, conf, w);
	conf_unref(conf);
	return r;
}

/* What fails is tried again at the next look. */
static void network_renew(struct network *n)
{
	int r = network_look(n);

	if (r < 0)
		gap_begin(n->m, NETWORK_TABLE, strerror(-r), 0);
	else if (r == 0)
		gap_end(n->m, NETWORK_TABLE, "they are in force now");
}

static void network_want(struct network *n, struct conf *conf)
{
	struct conf *before;

	pthread_mutex_lock(&n->making);
	pthread_mutex_lock(&n->lock);
	before = n->conf;
	n->conf = conf_ref(conf);
	pthread_mutex_unlock(&n->lock);
	pthread_mutex_unlock(&n->making);
	if (before)
		conf_unref(before);
}

/* --- what was denied */

static const struct call_info *call_of(const struct event_socket *s)
{
	const char *name = s->op == SOCKET_SEND ? "sendto" : "connect";

	return call_by_name(name, strlen(name));
}

/* "web: deny 10.0.0.0/8:443" */
static const char *entry_text(struct network *n, struct arena *a, const struct bpf_policy_event *b)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	const struct policy_table *t;

	pthread_mutex_lock(&n->lock);
	t = n->table && n->table->set.serial == b->serial     ? n->table
	    : n->former && n->former->set.serial == b->serial ? n->former
							      : NULL;
	if (t && t->entries[b->entry].policy)
		buf_printf(&text, "%s: %s", t->entries[b->entry].policy, t->entries[b->entry].text);
	else if (b->entry == POLICY_UNKNOWN)
		buf_str(&text, "unknown container");
	pthread_mutex_unlock(&n->lock);
	return text.len && !text.failed ? arena_strdup(a, text.data) : NULL;
}

static void network_take(const struct bpf_policy_event *b, void *data)
{
	static const uint64_t none[CALL_ARGS] = { UINT32_MAX };
	static const char *const texts[CALL_TEXTS];
	struct event *e = event_new(EVENT_CONNECTION);
	struct event_socket s = b->socket;
	struct network *n = data;

	if (!e)
		return;
	e->time = clock_real_ns() - (clock_mono_ns() - b->mono_ns);
	e->boot_time = b->mono_ns + n->boot_offset;
	e->count = b->count;
	s.verdict = b->denied ? SOCKET_DENIED : SOCKET_UNEXPECTED;
	s.policy = entry_text(n, &e->arena, b);
	e->socket = socket_copy(&e->arena, &s);
	/* What was let go on is told by its call, where somebody asks for it. */
	e->call = b->denied ? call_new(&e->arena, call_of(&s), none, texts, -EPERM) : NULL;
	e->process = proc_table_at(n->m->procs, b->tgid, b->start_ns, e->boot_time);
	if (!e->process)
		e->process_why = "gone before it could be asked";
	if (!e->socket || (b->denied && !e->call)) {
		event_unref(e);
		return;
	}
	connection_describe(e);
	n->told += b->count;
	n->counting = true;
	pipeline_emit(e, n->m);
}

static void network_loss(struct network *n)
{
	struct bpf_policy_counts c;

	bpf_policy_get_counts(n->bpf, &c);
	if (c.lost != n->lost)
		gapbook_once(n->m->gaps, GAP_LIMIT, "denied connections",
			     "more connections were denied than were told; the ring was full", c.lost - n->lost,
			     "they are told again");
	if (c.lost_names != n->lost_names)
		gapbook_once(n->m->gaps, GAP_LIMIT, "addresses of domains",
			     "no room for more: connections to them are judged as to any other",
			     c.lost_names - n->lost_names, "there is room again");
	n->lost = c.lost;
	n->lost_names = c.lost_names;
}

static void *network_thread(void *data)
{
	struct network *n = data;
	struct pollfd fds[] = { { .fd = bpf_policy_fd(n->bpf), .events = POLLIN },
				{ .fd = n->stop_fd, .events = POLLIN } };
	uint64_t count_at = 0, look_at = clock_mono_ns() + NETWORK_WORLD_MS * NSEC_PER_MSEC, now;

	pthread_setname_np(pthread_self(), "network");
	for (;;) {
		poll(fds, ARRAY_SIZE(fds), n->counting ? NETWORK_COUNT_MS : NETWORK_WORLD_MS);
		if (fds[1].revents)
			break;
		clock_update_boot_offset(&n->boot_offset);
		while (bpf_policy_take(n->bpf, NETWORK_ROUND, network_take, n) == NETWORK_ROUND)
			;
		now = clock_mono_ns();
		if (n->counting && now >= count_at) {
			n->counting = bpf_policy_counted(n->bpf, network_take, n);
			count_at = now + NETWORK_COUNT_MS * NSEC_PER_MSEC;
		}
		network_loss(n);
		if (now >= look_at) {
			network_renew(n);
			look_at = clock_mono_ns() + NETWORK_WORLD_MS * NSEC_PER_MSEC;
		}
	}
	while (bpf_policy_take(n->bpf, NETWORK_ROUND, network_take, n) == NETWORK_ROUND)
		;
	for (int i = 0; i < 2; i++)
		bpf_policy_counted(n->bpf, network_take, n);
	return NULL;
}

/* --- begin and end */

static void network_free(struct network *n)
{
	bpf_policy_close(n->bpf);
	policy_table_free(n->table);
	policy_table_free(n->former);
	if (n->conf)
		conf_unref(n->conf);
	if (n->stop_fd >= 0)
		close(n->stop_fd);
	pthread_mutex_destroy(&n->lock);
	pthread_mutex_destroy(&n->making);
	free(n);
}

static int network_open(struct network *n, struct conf *conf, struct buf *err)
{
	sigset_t all, before;
	int r = bpf_policy_open(&n->bpf, err);

	if (r < 0)
		return r;
	n->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->stop_fd < 0)
		return -errno;
	containers_on_read(n->m->containers, put_container, n);
	network_want(n, conf);
	r = network_look(n);
	if (r == 0) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &before);
		r = -pthread_create(&n->thread, NULL, network_thread, n);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	if (r < 0)
		containers_on_read(n->m->containers, NULL, NULL);
	return r;
}

static void network_start(struct monitor *m, struct conf *conf)
{
	struct network *n = calloc(1, sizeof(*n));
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r = -ENOMEM;

	if (n) {
		n->m = m;
		n->stop_fd = -1;
		pthread_mutex_init(&n->lock, NULL);
		pthread_mutex_init(&n->making, NULL);
		r = network_open(n, conf, &err);
	}
	if (r == 0) {
		pthread_mutex_lock(&m->network_lock);
		m->network = n;
		pthread_mutex_unlock(&m->network_lock);
		gap_end(m, NETWORK_OFF, "they are in force now");
		gap_end(m, NETWORK_TABLE, "they are in force now");
		return;
	}
	log_error("network policies are not in force, nothing is denied: %s", err.len ? err.data : strerror(-r));
	gap_begin(m, NETWORK_OFF, err.len ? err.data : strerror(-r), 0);
	if (n)
		network_free(n);
}

void network_stop(struct monitor *m)
{
	struct network *n;
	uint64_t one = 1;

	pthread_mutex_lock(&m->network_lock);
	n = TAKE_PTR(m->network);
	pthread_mutex_unlock(&m->network_lock);
	if (!n)
		return;
	containers_on_read(m->containers, NULL, NULL);
	if (write(n->stop_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: a fresh eventfd */
	pthread_join(n->thread, NULL);
	network_free(n);
}

void network_rules(struct monitor *m, struct conf *conf)
{
	if (conf->network.mode == CONF_NETWORK_OFF || m->conf->sensors.bpf == CONF_BPF_OFF) {
		network_stop(m);
		for (enum network_gap g = NETWORK_TABLE; g < NETWORK_GAPS; g++)
			gap_end(m, g, "no policies are in force");
		if (conf->network.mode == CONF_NETWORK_OFF)
			gap_end(m, NETWORK_OFF, "no policies are asked for");
		else
			gap_begin(m, NETWORK_OFF, "sensors.bpf is off", 0);
		return;
	}
	if (!m->network) {
		network_start(m, conf);
		return;
	}
	network_want(m->network, conf);
	network_renew(m->network);
}

bool network_denied(struct monitor *m, int32_t tid, const struct event_socket *s, uint64_t mono_ns)
{
	uint64_t denied;

	pthread_mutex_lock(&m->network_lock);
	denied = m->network ? bpf_policy_denied(m->network->bpf, tid, s) : 0;
	pthread_mutex_unlock(&m->network_lock);
	return denied && mono_ns < denied + NETWORK_SAME_NS;
}

json_t *network_status(struct monitor *m)
{
	static const char *const modes[] = { "off", "observe", "enforce" };
	struct network *n = m->network;
	struct bpf_policy_counts c;
	json_t *o = json_object();

	if (!n) {
		json_object_set_new(o, "mode", json_string("off"));
		return o;
	}
	bpf_policy_get_counts(n->bpf, &c);
	pthread_mutex_lock(&n->lock);
	json_object_set_new(o, "mode", json_string(modes[n->table->conf->network.mode]));
	json_object_set_new(o, "policies", json_integer((json_int_t)n->table->conf->network.n_policies));
	json_object_set_new(o, "table", json_integer((json_int_t)n->table->set.serial));
	pthread_mutex_unlock(&n->lock);
	json_object_set_new(o, "judged", json_integer((json_int_t)c.judged));
	json_object_set_new(o, "denied", json_integer((json_int_t)c.denied));
	json_object_set_new(o, "unknown", json_integer((json_int_t)c.unknown));
	json_object_set_new(o, "told", json_integer((json_int_t)n->told));
	json_object_set_new(o, "lost", json_integer((json_int_t)c.lost));
	json_object_set_new(o, "domains", json_boolean(bpf_policy_learns(n->bpf)));
	return o;
}
