/*
 * The table of pending paths: a hash table by path and a binary heap by due time. Owned by the live thread; no I/O, no
 * locks. An entry is in the heap unless it is busy.
 */
#include "fim/settle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "watch/place.h"

int settle_init(struct settle *s, size_t limit, uint64_t settle_ns, uint64_t settle_max_ns)
{
	memset(s, 0, sizeof(*s));
	s->limit = limit;
	s->settle = settle_ns;
	s->settle_max = MAX(settle_max_ns, settle_ns);
	return pathmap_init(&s->map);
}

static void facts_clear(struct facts *f)
{
	if (f->process)
		process_unref(f->process);
	free(f->from);
	free(f->to);
	memset(f, 0, sizeof(*f));
}

static void pending_free(struct pending *p)
{
	facts_clear(&p->facts);
	facts_clear(&p->taken);
	free((char *)p->node.path);
	free(p);
}

void settle_free(struct settle *s)
{
	struct path_node *node;

	while (s->map.slots && (node = pathmap_pop(&s->map)))
		pending_free((struct pending *)node);
	pathmap_free(&s->map);
	free(s->heap);
	memset(s, 0, sizeof(*s));
}

struct pending *settle_find(const struct settle *s, const char *path)
{
	return (struct pending *)pathmap_find(&s->map, path);
}

static void heap_set(struct settle *s, size_t i, struct pending *p)
{
	s->heap[i] = p;
	p->heap = i;
}

static void heap_up(struct settle *s, struct pending *p)
{
	size_t i = p->heap;

	while (i > 0 && s->heap[(i - 1) / 2]->due > p->due) {
		heap_set(s, i, s->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(s, i, p);
}

static void heap_down(struct settle *s, struct pending *p)
{
	size_t i = p->heap;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < s->n_heap && s->heap[child + 1]->due < s->heap[child]->due)
			child++;
		if (child >= s->n_heap || s->heap[child]->due >= p->due)
			break;
		heap_set(s, i, s->heap[child]);
		i = child;
	}
	heap_set(s, i, p);
}

/* The heap has room for every entry: it grows with them. */
static void heap_insert(struct settle *s, struct pending *p)
{
	heap_set(s, s->n_heap++, p);
	heap_up(s, p);
}

static void heap_remove(struct settle *s, struct pending *p)
{
	size_t i = p->heap;
	struct pending *last = s->heap[--s->n_heap];

	p->heap = SIZE_MAX;
	if (last == p)
		return;
	heap_set(s, i, last);
	heap_up(s, last);
	heap_down(s, last);
}

static bool heap_reserve(struct settle *s)
{
	size_t size = s->heap_size ? s->heap_size * 2 : 256;
	struct pending **heap;

	if (s->map.n < s->heap_size)
		return true;
	heap = realloc(s->heap, size * sizeof(*heap));
	if (!heap)
		return false;
	s->heap = heap;
	s->heap_size = size;
	return true;
}

static uint64_t settle_due(const struct settle *s, const struct pending *p)
{
	const struct facts *f = &p->facts;
	uint64_t quiet = s->settle, patience = p->patience ? p->patience : s->settle_max, due;

	if (!f->ops) /* a candidate, or resting */
		return MAX(f->candidate ? f->first + MAX(s->settle, SETTLE_CANDIDATE) : p->rest_until, p->rest_until);
	if (!(f->ops & (FS_DELETE | FS_RENAME_FROM)) && place_is_temporary(p->node.path)) {
		quiet = MAX(quiet, SETTLE_TEMPORARY);
		patience = MAX(patience, SETTLE_TEMPORARY);
	}
	due = p->writer_open ? f->first + patience : MIN(f->last + quiet, f->first + patience);
	return MAX(due, p->rest_until);
}

static void settle_schedule(struct settle *s, struct pending *p)
{
	p->due = settle_due(s, p);
	if (p->heap == SIZE_MAX) {
		heap_insert(s, p);
		return;
	}
	heap_up(s, p);
	heap_down(s, p);
}

/* A rename adds two names of about the same length. */
static size_t pending_bytes(const char *path)
{
	return sizeof(struct pending) + 3 * (strlen(path) + 1);
}

static int settle_get(struct settle *s, const char *path, struct pending **ret)
{
	struct pending *p = settle_find(s, path);

	if (!p) {
		/* One always fits. */
		if (s->map.n >= s->limit || (s->map.n && s->bytes + pending_bytes(path) > s->limit * SETTLE_BYTES))
			return -ENOSPC;
		p = heap_reserve(s) ? calloc(1, sizeof(*p)) : NULL;
		if (!p)
			return -ENOMEM;
		p->node.path = strdup(path);
		if (!p->node.path) {
			free(p);
			return -ENOMEM;
		}
		p->heap = SIZE_MAX;
		pathmap_add(&s->map, &p->node);
		s->bytes += pending_bytes(path);
		s->high_water = MAX(s->high_water, s->map.n);
	}
	*ret = p;
	return 0;
}

/* The newer name replaces the older one; without memory the rename becomes a removal and an addition. */
static void facts_name(char **name, const char *value)
{
	free(*name);
	*name = strdup(value);
}

static void facts_event(struct facts *f, const struct fs_event *e)
{
	if (!f->ops)
		f->first = e->boot_ns;
	f->last = MAX(f->last, e->boot_ns);
	f->ops |= e->ops;
	f->is_dir = e->is_dir;
	f->actors |= e->actor;
	if (e->ops & FS_RENAME_TO) {
		free(f->from);
		f->from = NULL;
		if (e->path2)
			facts_name(&f->from, e->path2);
	}
	if (e->ops & FS_RENAME_FROM)
		facts_name(&f->to, e->path2 && !(e->ops & FS_RENAME_TO) ? e->path2 : "");
	if (e->pid)
		f->pid = e->pid;
	if (e->process) {
		if (f->process)
			process_unref(f->process);
		f->process = process_ref(e->process);
	}
}

int settle_event(struct settle *s, const struct fs_event *e)
{
	struct pending *p;
	int r = settle_get(s, e->path, &p);

	if (r < 0)
		return r;
	facts_event(&p->facts, e);
	/* Order inside one event is unknown: a close in it is taken as the end. */
	if (e->ops & (FS_CLOSE_WRITE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO))
		p->writer_open = false;
	else if (e->ops & FS_MODIFY)
		p->writer_open = true;
	if (!p->busy)
		settle_schedule(s, p);
	return 0;
}

int settle_candidate(struct settle *s, const char *path, const char *from, uint64_t now, struct pending **ret)
{
	struct pending *p;
	int r = settle_get(s, path, &p);

	if (r < 0)
		return r;
	if (from && !p->facts.from)
		facts_name(&p->facts.from, from);
	p->facts.candidate = true;
	if (!p->facts.ops)
		p->facts.first = p->facts.last = now;
	if (!p->busy)
		settle_schedule(s, p);
	*ret = p;
	return 0;
}

/* A resting entry that nothing happened to is forgotten when its rest is over. */
static void settle_drop(struct settle *s, struct pending *p)
{
	if (p->heap != SIZE_MAX)
		heap_remove(s, p);
	pathmap_remove(&s->map, &p->node);
	s->bytes -= pending_bytes(p->node.path);
	pending_free(p);
}

struct pending *settle_take(struct settle *s, uint64_t now)
{
	while (s->n_heap > 0) {
		struct pending *p = s->heap[0];

		if (p->due > now)
			return NULL;
		if (!p->facts.ops && !p->facts.candidate) {
			settle_drop(s, p);
			continue;
		}
		heap_remove(s, p);
		p->busy = true;
		p->impatient = p->facts.ops && (p->writer_open || now < p->facts.last + s->settle);
		p->taken = p->facts;
		memset(&p->facts, 0, sizeof(p->facts));
		return p;
	}
	return NULL;
}

uint64_t settle_next(const struct settle *s)
{
	return s->n_heap > 0 ? s->heap[0]->due : UINT64_MAX;
}

void settle_put_back(struct settle *s, struct pending *p, uint64_t due)
{
	struct facts *f = &p->facts, *t = &p->taken;

	if (f->ops || f->candidate) {
		due = MIN(due, settle_due(s, p));
		/* What came meanwhile is newer, and wins. */
		f->first = t->first;
		f->ops |= t->ops;
		f->candidate |= t->candidate;
		f->scan |= t->scan;
		f->actors |= t->actors;
		f->cause = f->cause ? f->cause : t->cause;
		f->pid = f->pid ? f->pid : t->pid;
		if (!f->process)
			f->process = TAKE_PTR(t->process);
		if (!f->from)
			f->from = TAKE_PTR(t->from);
		if (!f->to)
			f->to = TAKE_PTR(t->to);
		facts_clear(t);
	} else {
		*f = *t;
		memset(t, 0, sizeof(*t));
	}
	p->busy = false;
	p->due = due;
	heap_insert(s, p);
}

bool settle_doubts(struct settle *s, struct pending *p, uint64_t looked, uint64_t seen, uint64_t now)
{
	const uint32_t told = FS_DELETE | FS_RENAME_FROM;

	if (p->taken.ops & told)
		return false;
	p->gone_ns = p->gone_ns ?: looked;
	/* What came while it was looked at is to be judged with it. */
	if (!(p->facts.ops & told) && (seen >= p->gone_ns || now - p->gone_ns > SETTLE_GONE_MAX))
		return false;
	settle_put_back(s, p, now + SETTLE_GONE_STEP);
	return true;
}

void settle_hasten(struct settle *s, struct pending *p, uint64_t due)
{
	if (p->heap == SIZE_MAX || p->due <= due)
		return;
	p->due = due;
	heap_up(s, p);
}

void settle_done(struct settle *s, struct pending *p, uint64_t now, uint64_t cost)
{
	uint64_t rest = 0;

	facts_clear(&p->taken);
	p->busy = false;
	p->waited = 0;
	p->gone_ns = 0;
	if (p->impatient) {
		p->patience = MIN(MAX(p->patience, s->settle_max) * 2, SETTLE_PATIENCE_MAX);
		rest = p->patience;
	} else if (!p->facts.ops) {
		p->patience = 0;
	}
	p->rest_until = cost > s->settle ? now + MIN(cost * SETTLE_COST_FACTOR, SETTLE_PATIENCE_MAX) : 0;
	if (p->facts.ops || p->facts.candidate) {
		settle_schedule(s, p);
		return;
	}
	if (!rest && p->rest_until <= now) {
		settle_drop(s, p);
		return;
	}
	p->due = MAX(now + rest, p->rest_until);
	heap_insert(s, p);
}
