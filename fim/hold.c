/*
 * Changes that are held back: a list in the order in which they happened, and one chain for each path, so that changes
 * of one path are told in their order. Owned by the live thread; no I/O but the look whether package databases were
 * written. What is held is kept in as few bytes as it takes (a big package has tens of thousands of files).
 */
#include "fim/hold-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"

#define HOLD_POLL_NS	 (100 * NSEC_PER_MSEC)
#define HOLD_FLUSH_NS	 (200 * NSEC_PER_MSEC)
#define HOLD_ROUND_NS	 (500 * NSEC_PER_MSEC)
#define HOLD_ROUND_SHARE 10    /* a reading takes at most one part in so many of the time */
#define HOLD_ALGO	 "MD5" /* of all the formats that pkg/ knows */

static const char *const hold_no_proof = "the transaction did not bring it";

int hold_init(struct live *l)
{
	l->hold = calloc(1, sizeof(*l->hold));
	return l->hold ? pathmap_init(&l->hold->chains) : -ENOMEM;
}

static void held_free(struct held *e)
{
	if (e->process)
		process_unref(e->process);
	free(e->cause);
	free(e->path);
	free(e->path2);
	free(e->before);
	free(e->after);
	free(e);
}

/* --- who */

uint8_t hold_actor(struct live *l, const struct fs_event *e)
{
	bool itself;
	struct run *r;

	if (!e->process || !l->conf->packages.hold)
		return HOLD_OTHER;
	r = run_of(l, e->process, &itself);
	if (!r || !(r->manager->installs || (itself && package_manager_owns(r->manager, e->path))))
		return HOLD_OTHER;
	return itself ? HOLD_MANAGER : HOLD_CHILD;
}

void hold_follow(struct live *l, const char *from, const char *to)
{
	const struct pending *old = settle_find(&l->settle, from);
	struct pending *new = settle_find(&l->settle, to);

	if (old && new)
		new->facts.actors |= (old->facts.actors | old->taken.actors) & HOLD_OTHER;
}

/* Nobody but a transaction had a hand in it. What no event told (a name found in a new folder) is put down to whoever
 * made the folder. */
static struct run *hold_run(struct live *l, const struct facts *f, bool *ret_itself)
{
	struct run *r;

	if (!f->process || !l->conf->packages.hold || f->actors & HOLD_OTHER || (f->ops && !f->actors))
		return NULL;
	r = run_of(l, f->process, ret_itself);
	*ret_itself = f->actors == HOLD_MANAGER;
	return r;
}

const char *hold_algo(struct live *l, const struct facts *f)
{
	bool itself;

	return hold_run(l, f, &itself) ? HOLD_ALGO : NULL;
}

/* --- taking */

static struct chain *hold_chain(struct hold *h, const char *path)
{
	return (struct chain *)pathmap_find(&h->chains, path);
}

static bool held_records(struct held *e, const struct change_parts *c)
{
	const struct record *const records[] = { c->before, c->after };
	uint8_t **const data[] = { &e->before, &e->after };
	uint32_t *const len[] = { &e->before_len, &e->after_len };

	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		_cleanup_buf_ struct buf b = BUF_INIT;

		if (!records[i])
			continue;
		record_encode(&b, records[i]);
		*data[i] = b.failed ? NULL : malloc(b.len + 1);
		if (!*data[i])
			return false;
		memcpy(*data[i], b.data, b.len);
		*len[i] = (uint32_t)b.len;
	}
	return true;
}

static struct held *held_new(const struct told *t, const struct change_parts *c)
{
	struct held *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->added = clock_boot_ns();
	e->status = c->status;
	e->change = c->change;
	e->attributes = c->attributes;
	e->why = c->why;
	e->boot_ns = c->boot_ns;
	e->actors = t->facts->actors;
	e->process = c->process ? process_ref(c->process) : NULL;
	e->path = strdup(c->path);
	e->path2 = c->path2 ? strdup(c->path2) : NULL;
	e->cause = c->cause ? strdup(c->cause) : NULL;
	if (t->extra && t->extra_len <= sizeof(e->extra)) {
		memcpy(e->extra, t->extra, t->extra_len);
		e->extra_len = (uint8_t)t->extra_len;
	}
	if (e->path && !e->path2 == !c->path2 && !e->cause == !c->cause && held_records(e, c))
		return e;
	held_free(e);
	return NULL;
}

static bool hold_link(struct hold *h, struct held *e, const char *path, struct chain *chain)
{
	if (!chain) {
		chain = calloc(1, sizeof(*chain));
		if (!chain)
			return false;
		chain->node.path = strdup(path);
		if (!chain->node.path) {
			free(chain);
			return false;
		}
		pathmap_add(&h->chains, &chain->node);
	}
	e->chain = chain;
	if (chain->last)
		chain->last->same = e;
	else
		chain->first = e;
	chain->last = e;
	e->prev = h->last;
	if (h->last)
		h->last->next = e;
	else
		h->first = e;
	h->last = e;
	h->n++;
	return true;
}

static void held_decide(struct hold *h, struct held *e, enum deviation_status status, struct buf *cause)
{
	e->ready = true;
	e->status = status;
	if (cause) {
		free(e->cause);
		e->cause = cause->len && !cause->failed ? strdup(cause->data) : NULL;
	}
	h->n_ready++;
}

static void hold_make_room(struct hold *h)
{
	_cleanup_buf_ struct buf cause = BUF_INIT;
	struct held *e = h->first;

	while (e && e->ready)
		e = e->next;
	if (!e)
		return;
	buf_printf(&cause, "not verified: more than %d changes of package transactions at once", HOLD_MAX);
	held_decide(h, e, e->status, &cause);
}

bool hold_change(struct live *l, const struct told *t, const struct change_parts *c)
{
	struct hold *h = l->hold;
	const char *path = t->in->path;
	struct chain *chain = hold_chain(h, path);
	bool itself = false;
	struct run *run = hold_run(l, t->facts, &itself);
	struct held *e;

	if (c->status != STATUS_OPEN)
		run = NULL; /* it is as the baseline has it: nothing to explain */
	if (!run && !chain)
		return false;
	e = held_new(t, c);
	if (!e || !hold_link(h, e, path, chain)) {
		if (e)
			held_free(e);
		l->counters.errors++;
		return false;
	}
	e->run = run;
	if (run) {
		run->held++;
	} else {
		held_decide(h, e, e->status, NULL);
		chain->urgent = chain->urgent ? chain->urgent : e->added;
		h->urgent = true;
	}
	if (h->n > HOLD_MAX)
		hold_make_room(h);
	return true;
}

int hold_last(struct live *l, struct arena *a, const char *path, struct side *ret)
{
	const struct chain *chain = hold_chain(l->hold, path);
	struct record rec;
	void *copy;
	int r;

	if (!chain)
		return 0;
	ret->exists = chain->last->after != NULL;
	if (!ret->exists)
		return 1;
	copy = arena_dup(a, chain->last->after, chain->last->after_len);
	r = copy ? record_decode(copy, chain->last->after_len, &rec) : -ENOMEM;
	if (r < 0)
		return r;
	ret->rec = rec;
	return 1;
}

/* --- telling */

static void hold_unlink(struct hold *h, struct held *e)
{
	struct chain *chain = e->chain;

	chain->first = e->same; /* only the first of a chain is told */
	if (!chain->first) {
		pathmap_remove(&h->chains, &chain->node);
		free((char *)chain->node.path);
		free(chain);
	}
	*(e->prev ? &e->prev->next : &h->first) = e->next;
	*(e->next ? &e->next->prev : &h->last) = e->prev;
	h->n--;
	h->n_ready -= e->ready;
	if (e->run)
		e->run->held--;
}

static void hold_tell(struct live *l, struct held *e)
{
	struct record before, after;
	struct change_parts c = {
		.path = e->path,
		.path2 = e->path2,
		.change = e->change,
		.status = e->status,
		.attributes = e->attributes,
		.process = e->process,
		.why = e->why,
		.cause = e->cause,
		.boot_ns = e->boot_ns,
	};

	/* Encoded here: it can be decoded. */
	if (e->before && record_decode(e->before, e->before_len, &before) == 0)
		c.before = &before;
	if (e->after && record_decode(e->after, e->after_len, &after) == 0)
		c.after = &after;
	l->counters.excused += e->status == STATUS_EXCUSED;
	tell_parts(l, &c);
}

static void hold_emit(struct live *l, size_t room)
{
	struct hold *h = l->hold;

	for (struct held *e = h->first, *next; e && h->n_ready && room; e = next) {
		next = e->next;
		if (!e->ready || e->chain->first != e)
			continue;
		hold_tell(l, e);
		hold_unlink(h, e);
		held_free(e);
		room--;
	}
}

/* --- verifying */

static bool held_explain(const struct hold *h, const struct held *e, struct buf *cause)
{
	_cleanup_buf_ struct buf script = BUF_INIT;
	struct record was, is;
	struct package_actor actor;
	struct explain_input in = {
		.before = { h->before[0], h->before[1], h->before[2] },
		.after = h->after,
		.manager = e->run->manager,
		.itself = e->actors == HOLD_MANAGER,
		.since = e->run->since,
		.change = e->change,
		.attributes = e->attributes,
		.path = e->path,
		.path2 = e->path2,
		.digest = e->extra_len ? e->extra : NULL,
		.digest_len = e->extra_len,
	};

	if (e->before && record_decode(e->before, e->before_len, &was) == 0)
		in.was = &was;
	if (e->after && record_decode(e->after, e->after_len, &is) == 0)
		in.is = &is;
	if (package_actor(e->process, &actor))
		package_script_text(&actor, e->process, &script);
	in.script = script.len && !script.failed ? script.data : NULL;
	return explain_change(&in, cause);
}

/* Why it is not waited for any longer; NULL: it is. */
static const char *held_over(const struct live *l, const struct held *e, uint64_t started, bool all)
{
	if (all)
		return "the monitor ended before the transaction did";
	if (e->run->ended && started >= e->run->ended + HOLD_GRACE_NS && started > e->added)
		return hold_no_proof;
	if (e->chain->urgent && started >= e->chain->urgent)
		return "somebody else changed it before it could be verified";
	if (started > e->added + l->conf->packages.hold)
		return "the transaction takes longer than packages.hold";
	return NULL;
}

static void held_verify(struct live *l, struct held *e, uint64_t started, bool all)
{
	_cleanup_buf_ struct buf cause = BUF_INIT;
	const char *over = held_over(l, e, started, all);

	if (e->run->trust == RUN_REFUSED) {
		buf_printf(&cause, "not verified: what calls itself %s is not the installed one", e->run->program);
		held_decide(l->hold, e, STATUS_OPEN, &cause);
	} else if (e->run->trust == RUN_TRUSTED && held_explain(l->hold, e, &cause)) {
		held_decide(l->hold, e, STATUS_EXCUSED, &cause);
	} else if (over) {
		/* What did not match in the end speaks for itself. */
		if (over != hold_no_proof || e->run->trust == RUN_ASKED)
			buf_printf(&cause, "%snot verified: %s", cause.len ? "; " : "", over);
		held_decide(l->hold, e, STATUS_OPEN, &cause);
	}
}

void hold_verify(struct live *l, uint64_t started, bool all)
{
	for (struct held *e = l->hold->first; e; e = e->next)
		if (!e->ready)
			held_verify(l, e, started, all);
}

static void hold_drop(struct packages **p)
{
	if (*p)
		packages_unref(*p);
	*p = NULL;
}

/* A file that is removed was listed by one of the last states, perhaps by one that was not there for long. */
static void hold_set_after(struct hold *h, struct packages *p)
{
	if (p == h->after) {
		packages_unref(p);
		return;
	}
	hold_drop(&h->before[EXPLAIN_BEFORE - 1]);
	for (size_t i = EXPLAIN_BEFORE - 1; i > 1; i--)
		h->before[i] = h->before[i - 1];
	h->before[1] = h->after;
	h->after = p;
}

/* Between transactions what is, is also what was before the next one. */
static void hold_rest(struct hold *h)
{
	if (h->n || h->n_runs || !h->after)
		return;
	for (size_t i = 0; i < EXPLAIN_BEFORE; i++)
		hold_drop(&h->before[i]);
	h->before[0] = packages_ref(h->after);
	h->stale = false;
}

void hold_round_done(struct live *l)
{
	struct hold *h = l->hold;
	struct round *r = h->round;

	pthread_join(r->thread, NULL);
	h->round = NULL;
	for (size_t i = 0; i < r->n; i++)
		run_decide(r->asked[i].run, r->asked[i].trusted);
	if (r->packages)
		hold_set_after(h, packages_ref(r->packages));
	if (r->error < 0)
		log_warn("the package database could not be read: %s", strerror(-r->error));
	h->next_round = clock_boot_ns() + MAX(HOLD_ROUND_NS, r->cost * HOLD_ROUND_SHARE);
	hold_verify(l, r->started, false);
	round_free(r);
	hold_rest(h);
}

static void hold_round(struct live *l, uint64_t now)
{
	struct hold *h = l->hold;

	if (h->round || (now < h->next_round && !h->urgent))
		return;
	h->urgent = false;
	if (round_start(l, now))
		return;
	h->next_round = now + HOLD_ROUND_NS;
	hold_verify(l, now, false);
	hold_rest(h);
}

uint64_t hold_step(struct live *l)
{
	struct hold *h = l->hold;
	uint64_t now = clock_boot_ns();

	if (!l->conf->packages.hold && !h->n)
		return UINT64_MAX;
	if (h->n_runs)
		runs_poll(l, now);
	if (h->n || h->n_runs || h->stale || !h->after)
		hold_round(l, now);
	if (h->n_ready)
		hold_emit(l, l->o.room ? l->o.room(l->o.data) : SIZE_MAX);
	l->counters.held = h->n;
	return h->n || h->n_runs || h->stale ? now + HOLD_POLL_NS : UINT64_MAX;
}

/* --- the end */

/* What finds no room is in no history: the check of the next start finds it. */
void hold_flush(struct live *l)
{
	uint64_t deadline = clock_boot_ns() + HOLD_FLUSH_NS;

	hold_verify(l, clock_boot_ns(), true);
	while (l->hold->n_ready && clock_boot_ns() < deadline) {
		hold_emit(l, l->o.room ? l->o.room(l->o.data) : SIZE_MAX);
		if (l->hold->n_ready)
			usleep(1000);
	}
}

void hold_stop(struct live *l, bool *ret_stuck)
{
	struct hold *h = l->hold;

	if (!h->round)
		return;
	if (!live_join(l, h->round->thread)) {
		*ret_stuck = true;
		return;
	}
	round_free(h->round);
	h->round = NULL;
}

void hold_free(struct live *l)
{
	struct hold *h = l->hold;
	struct path_node *node;

	if (!h)
		return;
	for (struct held *e; (e = h->first);) {
		h->first = e->next;
		held_free(e);
	}
	while (h->chains.slots && (node = pathmap_pop(&h->chains))) {
		free((char *)node->path);
		free(node);
	}
	pathmap_free(&h->chains);
	runs_free(h);
	for (size_t i = 0; i < EXPLAIN_BEFORE; i++)
		hold_drop(&h->before[i]);
	hold_drop(&h->after);
	free(h);
}
