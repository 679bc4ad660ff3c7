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

#define MOUNTED_MAX 4096

/* A mount that was looked at. */
struct mounted {
	uint64_t ns, hash;
	char *key;	   /* the same in a copy of the namespace */
	const char *point; /* at its end */
	bool told, there;
};

struct drift_mounts {
	struct mounted list[MOUNTED_MAX];
	size_t n;
	bool young;	 /* a container whose runtime still writes down what it mounts */
	uint64_t passed; /* for which there was no room in this look */
	bool crowded;	 /* told */
};

/* One namespace at work. */
struct view {
	struct drift_live *l;
	const struct mountns_one *ns;
	struct container *c;
	const struct conf_policy *policy;
	struct drift_image *image;
	struct mounted_view seen;
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
	*m = k->list[--k->n];
}

/* --- telling */

static struct event *event_of(const struct view *v, const char *point)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);

	if (!e)
		return NULL;
	e->process = mountns_mounter(v->l->o.mounts, v->c->id);
	e->process_why = e->process ? NULL : "the kernel does not tell who mounts";
	e->boot_time = clock_boot_ns();
	e->time = clock_real_ns();
	e->count = 1;
	e->path = arena_strdup(&e->arena, point);
	e->container = container_ref(v->c);
	e->baseline = arena_strdup(&e->arena, v->image->info.name);
	e->baseline_id = v->image->info.id;
	e->change = CHANGE_REVERTED;
	e->status = STATUS_REVERTED;
	e->attributes = ATTR_BIT(ATTR_DEV);
	return e->path && e->baseline ? TAKE_PTR(e) : NULL;
}

static void tell(const struct view *v, struct event *e, const char *cause)
{
	if (e)
		e->cause = arena_strdup(&e->arena, cause);
	if (!e || !e->cause) {
		v->l->counters.errors++;
		return;
	}
	v->l->counters.changes++;
	v->l->o.emit(e, v->l->o.data);
}

static void tell_gone(const struct view *v, const char *point)
{
	_cleanup_event_ struct event *e = event_of(v, point);

	tell(v, e, "what was mounted over it is gone");
}

/* It stands since an earlier run, which told it. */
static bool is_in_history(const struct view *v, const char *point, const char *cause)
{
	return history_mounted(v->l->db, v->image->info.id, v->c->id, point, cause, NULL) == 0;
}

static void tell_mounted(const struct view *v, const struct mount *m)
{
	_cleanup_event_ struct event *e = NULL;
	_cleanup_buf_ struct buf cause = BUF_INIT;
	struct scan_difference d;

	if (mounted_difference(&v->seen, m, &d, &cause) < 0) {
		v->l->counters.errors++;
		return;
	}
	if (is_in_history(v, m->point, cause.data))
		return;
	e = event_of(v, m->point);
	if (e) {
		e->change = d.change;
		e->status = STATUS_OPEN;
		e->attributes = d.attributes;
		e->has_before = d.before && record_dup(&e->arena, d.before, &e->before);
		e->has_after = d.after && record_dup(&e->arena, d.after, &e->after);
		if (e->process && drift_is_outside(e->process, v->c))
			buf_str(&cause, MOUNTED_OUTSIDE);
	}
	tell(v, cause.failed ? NULL : e, cause.data);
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
	known->point = known->key + strlen(known->key) - strlen(m->point);
	known->told = !copied && !mounted_by_runtime(&v->seen, m->point);
	if (known->told)
		tell_mounted(v, m);
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
			tell_gone(v, m->point);
		mounted_drop(k, m);
	}
}

static int look_at_namespace(const struct mountns_one *ns, void *data)
{
	struct drift_live *l = data;
	_cleanup_container_ struct container *c = containers_by_id(l->o.containers, ns->container);
	struct view v = { .l = l, .ns = ns, .c = c };
	struct mount_table table = { .n = 0 };
	char path[40];

	v.policy = c ? conf_policy_of(l->now, c) : NULL;
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
	v.seen = (struct mounted_view){ .container = c,
					.table = &table,
					.second = ns->second,
					.base = v.image->base,
					.files = v.image->files,
					.arena = &l->arena };
	/* The number may be another process's by now. */
	if (!mounted_is_entered(&table))
		l->mounts->young = true;
	else if (mountns_is_in(l->o.mounts, ns->pid, ns->ino))
		look_at_table(&v);
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

/* Of namespaces that are gone: with them went what was mounted there. */
static void forget_gone(struct drift_live *l)
{
	struct drift_mounts *k = l->mounts;

	for (size_t i = 0; i < k->n; i++)
		k->list[i].there = false;
	mountns_each(l->o.mounts, mark_alive, k);
	for (size_t i = k->n; i-- > 0;)
		if (!k->list[i].there)
			mounted_drop(k, &k->list[i]);
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
	mountns_each(l->o.mounts, look_at_namespace, l);
	forget_gone(l);
	tell_crowded(l);
	return l->mounts->young;
}

void drift_mounts_free(struct drift_live *l)
{
	while (l->mounts && l->mounts->n)
		mounted_drop(l->mounts, &l->mounts->list[0]);
	free(TAKE_PTR(l->mounts));
}
