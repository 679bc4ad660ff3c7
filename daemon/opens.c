/*
 * Opens that rules ask about: a BPF program tells those of the programs and names that the rules' terms have, a thread
 * ("opens") keeps the ones whose path is meant and hands them to the rules, as an access to a file or as the call.
 * Nothing is loaded while no rule asks, so that opens cost nothing then. Started, changed and ended on the main thread.
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
#include "event/json.h"
#include "lib/clock.h"
#include "rules/opens.h"
#include "watch/bpf_opens.h"

#define OPENS_SCOPE    "opens that rules ask for"
#define OPENS_LEFT_OUT "rules that ask for opens"
#define OPENS_ROUND    512
#define OPENS_CALM_MS  1000 /* without loss: the gap is over */
#define OPENS_RECENT   1024
#define OPENS_SHARE    4		  /* of sensors.ring: a record is a fourth of a start's or a call's */
#define OPENS_SAME_NS  (5 * NSEC_PER_SEC) /* the other sensor has told it by then */

/* Somebody's open of a file: by which of both sensors it was told first. */
struct recent {
	uint64_t hash, boot_ns;
	bool by_marks;
};

struct opens_part {
	struct monitor *m;
	struct bpf_opens *bpf;
	struct rules *rules; /* counted: the terms are theirs */
	struct opens wanted;
	int stop_fd;
	pthread_t thread;
	atomic_uint_fast64_t seen, told, cut, lost, no_memory;

	pthread_mutex_t lock; /* of recent */
	struct recent recent[OPENS_RECENT];

	/* The thread's. */
	uint64_t gap, boot_offset;
	struct fs_batch *batch;
};

/* --- told by both sensors, counted once */

static uint64_t recent_hash(const char *path, int32_t pid)
{
	return (uint64_t)field_hash(path, strlen(path)) << 32 | (uint32_t)pid;
}

/* The other sensor has told it. What marks tell stands for several opens of a process, what BPF tells for one. */
static bool is_told(struct opens_part *o, const char *path, int32_t pid, bool by_marks)
{
	uint64_t hash = recent_hash(path, pid), now = clock_boot_ns();
	struct recent *r = &o->recent[(hash ^ hash >> 32) % OPENS_RECENT];
	bool known;

	pthread_mutex_lock(&o->lock);
	known = r->hash == hash && r->by_marks != by_marks && now - r->boot_ns < OPENS_SAME_NS;
	if (!known)
		*r = (struct recent){ hash, now, by_marks };
	else if (r->by_marks)
		r->hash = 0;
	pthread_mutex_unlock(&o->lock);
	return known;
}

void opens_part_accesses(struct monitor *m, struct fs_batch *b)
{
	struct opens_part *o;

	pthread_mutex_lock(&m->opens_lock);
	o = m->opens;
	for (uint32_t i = 0; o && i < b->n; i++) {
		struct fs_event *e = &b->events[i];

		if (e->ops & FS_OPEN && opens_match(&o->wanted, OPEN_BIT(OPEN_READ), e->path, strlen(e->path), NULL) &&
		    is_told(o, e->path, e->pid, true))
			e->ops &= ~(uint32_t)FS_OPEN;
	}
	pthread_mutex_unlock(&m->opens_lock);
}

/* --- one open */

static bool make_room(struct opens_part *o)
{
	struct fs_batch *b = o->batch;

	if (!b) {
		b = o->batch = calloc(1, sizeof(*b));
		if (!b)
			return false;
		b->events = arena_alloc(&b->arena, OPENS_ROUND * sizeof(*b->events));
	}
	return b->events && b->n < OPENS_ROUND;
}

static void take_read(struct opens_part *o, const struct bpf_open_event *open)
{
	struct fs_event e = { .ops = FS_OPEN, .is_dir = open->is_dir, .pid = open->tgid };

	if (!open->path || !opens_match(&o->wanted, OPEN_BIT(OPEN_READ), open->path, open->len, open->comm) ||
	    is_told(o, open->path, open->tgid, false))
		return;
	e.path = make_room(o) ? arena_strndup(&o->batch->arena, open->path, open->len) : NULL;
	if (!e.path) {
		o->no_memory++;
		return;
	}
	e.boot_ns = open->mono_ns + o->boot_offset;
	e.process = proc_table_at(o->m->procs, open->tgid, open->start_ns, e.boot_ns);
	o->batch->events[o->batch->n++] = e;
	o->told++;
}

static struct event *call_event(const struct opens_part *o, const struct bpf_open_event *open)
{
	struct event *e = event_new(EVENT_ACCESS);

	if (!e)
		return NULL;
	e->time = clock_real_ns() - (clock_mono_ns() - open->mono_ns);
	e->boot_time = open->mono_ns + o->boot_offset;
	e->count = 1;
	e->call = call_new_open(&e->arena, open->call, &open->open, open->result);
	e->path = open->path ? arena_strndup(&e->arena, open->path, open->len) : NULL;
	if (e->call && (e->path || !open->path))
		return e;
	event_unref(e);
	return NULL;
}

static void take_call(struct opens_part *o, const struct bpf_open_event *open)
{
	uint32_t classes = open->classes & ~OPEN_BIT(OPEN_READ);
	struct event *e;

	if (!open->call || !classes ||
	    (!opens_match(&o->wanted, classes, open->path, open->len, open->comm) &&
	     !opens_match(&o->wanted, classes, open->open.written, open->written_len, open->comm)))
		return;
	o->cut += open->cut;
	e = call_event(o, open);
	if (!e) {
		o->no_memory++;
		return;
	}
	e->process = proc_table_at(o->m->procs, open->tgid, open->start_ns, e->boot_time);
	if (!e->process)
		e->process_why = "gone before it could be asked";
	/* Nothing else is known of the file. */
	if (!e->path)
		e->path = e->call->open->written;
	containers_place(o->m, e);
	engine_event(o->m->engine, e);
	event_unref(e);
	o->told++;
}

static void opens_take(const struct bpf_open_event *open, void *data)
{
	struct opens_part *o = data;

	o->seen++;
	if (open->classes & OPEN_BIT(OPEN_READ))
		take_read(o, open);
	take_call(o, open);
}

static void opens_flush(struct opens_part *o)
{
	struct fs_batch *b = TAKE_PTR(o->batch);

	if (!b)
		return;
	b->real_ns = clock_real_ns();
	b->boot_ns = clock_boot_ns();
	engine_accesses(o->m->engine, b);
}

/* --- the thread */

static void opens_loss(struct opens_part *o, bool calm)
{
	uint64_t lost = bpf_opens_lost(o->bpf) + o->no_memory, n = lost - MIN(o->lost, lost);

	o->lost = lost;
	if (n) {
		o->gap = gapbook_lose(o->m->gaps, GAP_LIMIT, OPENS_SCOPE,
				      "more than were read: the ring was full, or memory short", n, 0);
	} else if (o->gap && calm) {
		gapbook_close(o->m->gaps, o->gap, "all of them are read again", 0);
		o->gap = 0;
	}
}

static void opens_read(struct opens_part *o)
{
	int n;

	clock_update_boot_offset(&o->boot_offset);
	do {
		n = bpf_opens_take(o->bpf, OPENS_ROUND, opens_take, o);
		opens_flush(o);
		opens_loss(o, n == 0);
	} while (n == OPENS_ROUND);
}

static void *opens_thread(void *data)
{
	struct opens_part *o = data;
	struct pollfd fds[] = { { .fd = bpf_opens_fd(o->bpf), .events = POLLIN },
				{ .fd = o->stop_fd, .events = POLLIN } };

	pthread_setname_np(pthread_self(), "opens");
	/* When it is to stop, another has its place: what it was told before is read still. */
	do {
		poll(fds, ARRAY_SIZE(fds), o->gap ? OPENS_CALM_MS : -1);
		opens_read(o);
	} while (!fds[1].revents);
	return NULL;
}

/* --- what the kernel is to look for */

_Static_assert((int)OPEN_READ == BPF_OPENS_READ && (int)OPEN_CALL == BPF_OPENS_CALL &&
		       (int)OPEN_WRITE == BPF_OPENS_WRITE && (int)OPEN_MAKE == BPF_OPENS_MAKE &&
		       (int)OPEN_PROGRAM == BPF_OPENS_PROGRAM && (int)OPEN_UP == BPF_OPENS_UP,
	       "the rules' classes are the program's");

static struct bpf_opens_row last_name(enum bpf_opens_what what, const char *s, size_t len)
{
	const char *slash = memrchr(s, '/', len);
	size_t before = slash ? (size_t)(slash - s) + 1 : 0;

	return (struct bpf_opens_row){ .what = what, .s = s + before, .len = len - before };
}

/* Without a name: there is none. */
static struct bpf_opens_row row_of(const struct open_term *t)
{
	switch (t->what) {
	case OPEN_PATH:
		return last_name(BPF_OPENS_FILE, t->s, t->len);
	case OPEN_FILE:
		return (struct bpf_opens_row){ .what = BPF_OPENS_FILE, .s = t->s, .len = t->len };
	case OPEN_COMM:
		return (struct bpf_opens_row){ .what = BPF_OPENS_COMM, .s = t->s, .len = t->len };
	case OPEN_BELOW:
		if (t->s[t->len - 1] == '/')
			return last_name(BPF_OPENS_WAY, t->s, t->len - 1);
		return last_name(BPF_OPENS_START, t->s, t->len);
	case OPEN_WAY:
		return (struct bpf_opens_row){ .what = BPF_OPENS_WAY, .s = t->name, .len = t->name_len };
	case OPEN_EACH:
	case OPEN_WHATS:
		break;
	}
	return (struct bpf_opens_row){ .len = 0 };
}

static int opens_open(struct opens_part *o, struct buf *err)
{
	_cleanup_free_ struct bpf_opens_row *rows = calloc(o->wanted.n + 1, sizeof(*rows));
	struct bpf_opens_wants wants = { .rows = rows, .dirs = o->wanted.dirs };

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < o->wanted.n; i++) {
		const struct open_term *t = &o->wanted.terms[i];

		rows[wants.n] = row_of(t);
		rows[wants.n].classes = OPEN_BIT(t->class);
		if (t->what == OPEN_EACH)
			wants.always |= OPEN_BIT(t->class);
		/* No path ends with a slash. */
		wants.n += rows[wants.n].len > 0;
	}
	return bpf_opens_open(&o->m->exits, &wants, o->m->conf->sensors.ring / OPENS_SHARE, &o->bpf, err);
}

/* --- life */

static void opens_free_part(struct opens_part *o)
{
	bpf_opens_close(o->bpf);
	fs_batch_free(o->batch);
	opens_free(&o->wanted);
	rules_unref(o->rules);
	if (o->stop_fd >= 0)
		close(o->stop_fd);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static int opens_run(struct opens_part *o, struct buf *err)
{
	sigset_t all, before;
	int r = opens_open(o, err);

	if (r < 0)
		return r;
	o->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (o->stop_fd < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&o->thread, NULL, opens_thread, o);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static struct opens_part *opens_new(struct monitor *m, struct rules *rules, struct opens *wanted)
{
	struct opens_part *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	pthread_mutex_init(&o->lock, NULL);
	o->m = m;
	o->stop_fd = -1;
	o->rules = rules_ref(rules);
	o->wanted = *wanted;
	*wanted = (struct opens){ 0 };
	return o;
}

static void opens_swap(struct monitor *m, struct opens_part *o)
{
	pthread_mutex_lock(&m->opens_lock);
	m->opens = o;
	pthread_mutex_unlock(&m->opens_lock);
}

static void opens_end(struct opens_part *o)
{
	uint64_t one = 1;

	if (write(o->stop_fd, &one, sizeof(one)) < 0)
		return; /* cannot be: a fresh eventfd */
	pthread_join(o->thread, NULL);
	if (o->gap)
		gapbook_close(o->m->gaps, o->gap, "other rules ask", 0);
	opens_free_part(o);
}

void opens_part_stop(struct monitor *m)
{
	struct opens_part *o = m->opens;

	opens_swap(m, NULL);
	if (m->engine)
		engine_set_told(m->engine, FACES_OPEN, false);
	if (o)
		opens_end(o);
}

static void opens_start(struct monitor *m, struct rules *rules, struct opens *wanted)
{
	_cleanup_buf_ struct buf err = BUF_INIT;
	struct opens_part *o = opens_new(m, rules, wanted), *old = m->opens;
	int r = o ? opens_run(o, &err) : -ENOMEM;

	if (r < 0) {
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, OPENS_SCOPE, err.len ? err.data : strerror(-r), 0, 0);
		if (o)
			opens_free_part(o);
		return;
	}
	gapbook_end(m->gaps, GAP_WEAK_SENSOR, OPENS_SCOPE, "they are told now");
	opens_swap(m, o);
	if (m->engine)
		engine_set_told(m->engine, FACES_OPEN, o->wanted.classes & ~OPEN_BIT(OPEN_READ));
	if (old)
		opens_end(old);
}

void opens_part_rules(struct monitor *m, const struct conf *conf, struct rules *rules)
{
	struct opens wanted = { 0 };
	int r = rules_opens(rules, &wanted);
	bool asked = r == 0 && wanted.n && conf->opens != CONF_OPENS_OFF, off = m->conf->sensors.bpf == CONF_BPF_OFF;

	if (asked && wanted.left_out)
		gapbook_open(m->gaps, GAP_LIMIT, OPENS_LEFT_OUT, "they name more paths than can be looked for",
			     wanted.left_out, 0);
	else
		gapbook_end(m->gaps, GAP_LIMIT, OPENS_LEFT_OUT, "all of them are looked for, or nobody asks");
	if (!asked || off)
		opens_part_stop(m);
	if (!asked) {
		gapbook_end(m->gaps, GAP_WEAK_SENSOR, OPENS_SCOPE, "nobody asks for them");
	} else if (off) {
		gapbook_open(m->gaps, GAP_WEAK_SENSOR, OPENS_SCOPE, "sensors.bpf is off", 0, 0);
	} else if (!m->opens || !opens_equal(&wanted, &m->opens->wanted)) {
		opens_start(m, rules, &wanted);
	}
	opens_free(&wanted);
}

json_t *opens_part_status(struct monitor *m)
{
	struct opens_part *o = m->opens;
	json_t *s = json_object();

	json_object_set_new(s, "source", o ? json_string("BPF") : json_null());
	if (!o)
		return s;
	json_object_set_new(s, "rules", json_integer((json_int_t)o->wanted.rules));
	json_object_set_new(s, "terms", json_integer((json_int_t)o->wanted.n));
	json_object_set_new(s, "seen", json_integer((json_int_t)o->seen));
	json_object_set_new(s, "told", json_integer((json_int_t)o->told));
	json_object_set_new(s, "cut", json_integer((json_int_t)o->cut));
	json_object_set_new(s, "lost", json_integer((json_int_t)o->lost));
	return s;
}
