/*
 * What is mounted in containers besides what their runtimes mounted: a file or folder of the image that others then see
 * something else in place of, though nothing in the layer changed. Looks at the mount tables of their namespaces when
 * the sensor says so, on the thread "drift"; reads /proc, baselines and writable layers, never what is mounted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/history.h"
#include "fim/drift_live-internal.h"
#include "fim/mounted.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/util.h"
#include "watch/mountid.h"

#define MOUNTED_MAX 4096

/* A mount that was looked at. */
struct mounted {
	uint64_t ns, hash;
	char *key;	    /* the same in a copy of the namespace */
	uint64_t id;	    /* of the mount; 0 unknown */
	struct event *told; /* as it is in history; NULL: it is none of its business */
	bool there;
};

struct drift_mounts {
	struct mounted list[MOUNTED_MAX];
	size_t n;
	bool young;	 /* a container whose runtime still writes down what it mounts */
	uint64_t passed; /* for which there was no room in this look */
	bool crowded;	 /* told */
	/* A namespace in which a process was looked for in this look, and found. */
	uint64_t searched;
	bool alive;
	bool waited; /* for events of what the table shows */
};

/* One namespace at work. */
struct view {
	struct drift_live *l;
	const struct mountns_one *ns;
	struct container *c;
	const struct conf_policy *policy;
	struct drift_image *image;
	struct mounted_view seen;
	struct mountids *ids;
};

/* --- what was looked at */

/* What is mounted where, in which container. */
static char *key_of(const struct view *v, const struct mount *m)
{
	char *key;

	return asprintf(&key, "%s %llx %s\n%s", v->c->id, (unsigned long long)m->dev, m->root, m->point) < 0 ? NULL
													     : key;
}

/* ns: 0 for any. */
static struct mounted *mounted_find(struct drift_mounts *k, uint64_t ns, const char *key, uint64_t hash)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->list[i].hash == hash && (!ns || k->list[i].ns == ns) && streq(k->list[i].key, key))
			return &k->list[i];
	return NULL;
}

static void mounted_drop(struct drift_mounts *k, struct mounted *m)
{
	free(m->key);
	if (m->told)
		event_unref(m->told);
	*m = k->list[--k->n];
}

/* --- telling */

struct event *drift_mounts_event(const struct container *c, const char *baseline, int64_t baseline_id,
				 const char *point)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);

	if (!e)
		return NULL;
	e->boot_time = clock_boot_ns();
	e->time = clock_real_ns();
	e->count = 1;
	e->path = arena_strdup(&e->arena, point);
	e->container = container_ref((struct container *)(uintptr_t)c);
	e->baseline = arena_strdup(&e->arena, baseline);
	e->baseline_id = baseline_id;
	e->change = CHANGE_REVERTED;
	e->status = STATUS_REVERTED;
	e->attributes = ATTR_BIT(ATTR_DEV);
	return e->path && e->baseline ? TAKE_PTR(e) : NULL;
}

/* The kernel names who did it with the mount's own number; whoever else mounted something then says nothing. */
static void set_mounter(struct drift_live *l, struct event *e, uint64_t mount, bool gone)
{
	e->process = mountns_mounter(l->o.mounts, mount, gone, !l->mounts->waited);
	l->mounts->waited |= !e->process;
	if (e->process)
		return;
	e->process_why = !mountns_is_told(l->o.mounts) ? "the kernel does not tell who mounts"
			 : gone			       ? "the kernel told of nobody who unmounted it"
						       : "it was mounted before its mount namespace was watched";
}

void drift_mounts_tell(struct drift_live *l, struct event *e, const char *cause)
{
	if (e)
		e->cause = arena_strdup(&e->arena, cause);
	if (!e || !e->cause) {
		l->counters.errors++;
		return;
	}
	l->counters.changes++;
	l->o.emit(e, l->o.data);
}

bool drift_mounts_is_covered(const struct drift_live *l, const struct event *e)
{
	const struct drift_mounts *k = l->mounts;

	for (size_t i = 0; i < k->n; i++) {
		const struct event *t = k->list[i].told;

		if (t && t != e && k->list[i].there && streq(t->path, e->path) &&
		    streq(t->container->id, e->container->id))
			return true;
	}
	return false;
}

static void tell_gone(struct drift_live *l, const struct mounted *m, bool namespace)
{
	const struct event *t = m->told;
	_cleanup_event_ struct event *e = NULL;

	if (drift_mounts_is_covered(l, t))
		return;
	e = drift_mounts_event(t->container, t->baseline, t->baseline_id, t->path);
	if (e && namespace)
		e->process_why = "nobody unmounted it";
	else if (e)
		set_mounter(l, e, m->id, true);
	drift_mounts_tell(l, e,
			  namespace ? "what was mounted over it is gone with its mount namespace"
				    : "what was mounted over it is gone");
}

/* It stands since an earlier run, which told it. A reference, or NULL. */
static struct event *find_told(const struct view *v, const char *point, const char *cause)
{
	_cleanup_event_ struct event *e = NULL;

	if (history_mounted(v->l->db, v->image->info.id, v->c->id, point, cause, &e) < 0)
		return NULL;
	drift_stand_found(v->l, e->id);
	return drift_mounts_event(v->c, v->image->info.name, v->image->info.id, point);
}

/* What is now in history; NULL when it could not be told. */
static struct event *tell_mounted(const struct view *v, const struct mount *m, uint64_t id)
{
	_cleanup_event_ struct event *e = NULL;
	_cleanup_buf_ struct buf cause = BUF_INIT;
	struct scan_difference d;
	struct event *told;

	if (mounted_difference(&v->seen, m, &d, &cause) < 0) {
		v->l->counters.errors++;
		return NULL;
	}
	told = find_told(v, m->point, cause.data);
	if (told)
		return told;
	e = drift_mounts_event(v->c, v->image->info.name, v->image->info.id, m->point);
	if (e) {
		set_mounter(v->l, e, id, false);
		e->change = d.change;
		e->status = STATUS_OPEN;
		e->attributes = d.attributes;
		e->has_before = d.before && record_dup(&e->arena, d.before, &e->before);
		e->has_after = d.after && record_dup(&e->arena, d.after, &e->after);
		if (e->process && drift_is_outside(e->process, v->c))
			buf_str(&cause, MOUNTED_OUTSIDE);
	}
	if (cause.failed)
		event_unref(TAKE_PTR(e));
	drift_mounts_tell(v->l, e, cause.data);
	return TAKE_PTR(e);
}

/* --- looking */

static void look_at(const struct view *v, const struct mount *m)
{
	struct drift_mounts *k = v->l->mounts;
	_cleanup_free_ char *key = key_of(v, m);
	uint64_t hash = key ? hash_bytes(0, key, strlen(key)) : 0;
	struct mounted *known = key ? mounted_find(k, v->ns->ino, key, hash) : NULL;
	bool copied = key && v->ns->second && mounted_find(k, 0, key, hash);

	if (known) {
		known->there = true;
		return;
	}
	if (!key || k->n == MOUNTED_MAX) {
		k->passed++;
		return;
	}
	known = &k->list[k->n++];
	*known = (struct mounted){ .ns = v->ns->ino, .hash = hash, .key = TAKE_PTR(key), .there = true };
	if (copied || mounted_by_runtime(&v->seen, m->point))
		return;
	known->id = mountids_find(v->ids, m->id);
	known->told = tell_mounted(v, m, known->id);
}

static void look_at_table(const struct view *v)
{
	struct drift_mounts *k = v->l->mounts;

	for (size_t i = 0; i < k->n; i++)
		k->list[i].there &= k->list[i].ns != v->ns->ino;
	for (size_t i = 0; i < v->seen.table->n; i++) {
		const struct mount *m = &v->seen.table->mounts[i];

		arena_reset(&v->l->arena);
		if (!streq(m->point, "/") && drift_left_out(v->policy, v->c, m->point) == DRIFT_COMPARED)
			look_at(v, m);
	}
	for (size_t i = k->n; i-- > 0;) {
		struct mounted *m = &k->list[i];

		if (m->ns != v->ns->ino || m->there)
			continue;
		if (m->told)
			tell_gone(v->l, m, false);
		mounted_drop(k, m);
	}
}

static int look_at_namespace(const struct mountns_one *ns, void *data)
{
	struct drift_live *l = data;
	_cleanup_container_ struct container *c = containers_by_id(l->o.containers, ns->container);
	_cleanup_(mountids_free) struct mountids ids = { .ns = ns->id };
	struct view v = { .l = l, .ns = ns, .c = c, .ids = &ids };
	struct mount_table table = { .n = 0 };
	char path[40];

	v.policy = c ? conf_policy_of(l->now, c) : NULL;
	drift_stand_seen(l, ns->container, false);
	if (c && !v.policy)
		return 0;
	if (!c || !c->upper || !c->have_mounts) {
		l->mounts->young = true;
		return 0;
	}
	if (v.policy->files != CONF_FILES_OBSERVE)
		return 0;
	if (drift_images_get(l->images, c, &v.image) < 0) {
		l->counters.no_baseline++;
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", ns->pid);
	if (mounts_read(path, &table, NULL) < 0)
		return 0;
	l->mounts->waited = false;
	v.seen = (struct mounted_view){ .container = c,
					.table = &table,
					.second = ns->second,
					.base = v.image->base,
					.files = v.image->files,
					.arena = &l->arena };
	/* The number may be another process's by now. */
	if (!mounted_is_entered(&table)) {
		l->mounts->young = true;
	} else if (mountns_is_in(l->o.mounts, ns->pid, ns->ino)) {
		look_at_table(&v);
		drift_stand_seen(l, ns->container, true);
	}
	mounts_free(&table);
	return l->stop ? -ECANCELED : 0;
}

static int mark_alive(const struct mountns_one *ns, void *data)
{
	struct drift_mounts *k = data;

	for (size_t i = 0; i < k->n; i++)
		k->list[i].there |= k->list[i].ns == ns->ino;
	return 0;
}

/* A process that nobody saw may be in it still. */
static bool is_alive(struct drift_live *l, const struct mounted *m)
{
	struct drift_mounts *k = l->mounts;

	if (k->searched != m->ns)
		k->alive = mountns_search(l->o.mounts, m->told->container->id, m->ns);
	k->searched = m->ns;
	return k->alive;
}

/* Of namespaces that are gone: with them went what was mounted there. */
static void forget_gone(struct drift_live *l)
{
	struct drift_mounts *k = l->mounts;

	for (size_t i = 0; i < k->n; i++)
		k->list[i].there = false;
	mountns_each(l->o.mounts, mark_alive, k);
	k->searched = 0;
	for (size_t i = k->n; i-- > 0 && !l->stop;) {
		struct mounted *m = &k->list[i];

		m->there = m->there || (m->told && is_alive(l, m));
		if (m->there)
			continue;
		if (m->told)
			tell_gone(l, m, true);
		mounted_drop(k, m);
	}
}

static void tell_crowded(struct drift_live *l)
{
	struct drift_mounts *k = l->mounts;

	if (l->stop || k->crowded == !!k->passed)
		return;
	k->crowded = !!k->passed;
	if (l->o.crowded)
		l->o.crowded(k->passed, l->o.data);
}

bool drift_mounts_look(struct drift_live *l)
{
	if (!l->o.mounts)
		return false;
	if (!l->mounts)
		l->mounts = calloc(1, sizeof(*l->mounts));
	if (!l->mounts)
		return false;
	l->mounts->young = false;
	l->mounts->passed = 0;
	drift_stand_begin(l);
	mountns_each(l->o.mounts, look_at_namespace, l);
	forget_gone(l);
	if (!l->stop)
		drift_stand_end(l);
	tell_crowded(l);
	return l->mounts->young;
}

bool drift_mounts_stand(const struct drift_live *l)
{
	for (size_t i = 0; l->mounts && i < l->mounts->n; i++)
		if (l->mounts->list[i].told)
			return true;
	return false;
}

void drift_mounts_free(struct drift_live *l)
{
	while (l->mounts && l->mounts->n)
		mounted_drop(l->mounts, &l->mounts->list[0]);
	free(TAKE_PTR(l->mounts));
	drift_stand_free(l);
}
