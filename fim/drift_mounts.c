/*
 * What is mounted in containers besides what their runtimes mounted: a file or folder of the image that others then see
 * something else in place of, though nothing in the layer changed. Looks at the mount tables of their namespaces when
 * the sensor says so, on the thread "drift"; reads /proc, baselines and writable layers, never what is mounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fim/drift_live-internal.h"
#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/text.h"
#include "lib/util.h"
#include "watch/mounts.h"

#define MOUNTED_MAX 4096
#define LINKS_MAX   40

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
	bool young; /* a container whose runtime still writes down what it mounts */
};

/* One namespace at work. */
struct view {
	struct drift_live *l;
	const struct mountns_one *ns;
	struct container *c;
	const struct conf_policy *policy;
	struct drift_image *image;
	const struct mount_table *table;
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

/* --- which are the runtime's */

static void path_up(struct buf *b)
{
	while (b->len && b->data[--b->len] != '/')
		;
	b->data[b->len] = '\0';
}

/* The path as the image's links make it: the runtime follows them too. False when it goes round, or on lack of memory.
 */
static bool follow_links(const struct view *v, const char *path, struct buf *ret)
{
	_cleanup_free_ char *rest = strdup(path);
	size_t at = 0;

	buf_reset(ret);
	buf_str(ret, "");
	for (int links = 0; rest && rest[at];) {
		size_t len = strcspn(rest + at, "/");
		struct record rec;
		char *name = rest + at;

		at += len + (name[len] == '/');
		if (len == 0 || (len == 1 && *name == '.'))
			continue;
		if (len == 2 && memcmp(name, "..", 2) == 0) {
			path_up(ret);
			continue;
		}
		buf_printf(ret, "/%.*s", (int)len, name);
		if (ret->failed)
			return false;
		if (baseline_lookup(v->image->base, ret->data, &v->l->arena, &rec) < 0 || rec.type != 'l' ||
		    !rec.target)
			continue;
		if (++links > LINKS_MAX || asprintf(&name, "%s/%s", rec.target, rest + at) < 0)
			return false;
		path_up(ret);
		if (*rec.target == '/') {
			buf_reset(ret);
			buf_str(ret, "");
		}
		free(rest);
		rest = name;
		at = 0;
	}
	return rest && !ret->failed;
}

static bool is_at_or_below(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	return len && strncmp(path, folder, len) == 0 && (!path[len] || path[len] == '/');
}

static bool is_runtimes(const struct view *v, const char *point)
{
	_cleanup_buf_ struct buf real = BUF_INIT;

	for (uint32_t i = 0; i < v->c->n_mounts; i++)
		if (follow_links(v, v->c->mounts[i].dest, &real) && is_at_or_below(real.data, point))
			return true;
	return false;
}

/* --- telling */

/* The overlay of the container, as this namespace has it. */
static bool is_own(const struct view *v, const struct mount *m)
{
	for (size_t i = 0; i < v->table->n; i++)
		if (streq(v->table->mounts[i].point, "/"))
			return v->table->mounts[i].dev == m->dev;
	return false;
}

static void describe(const struct view *v, const struct mount *m, const struct process *who, struct buf *b)
{
	buf_str(b, "mounted over it: ");
	if (is_own(v, m)) {
		buf_str(b, "the container's own ");
		text_escape(b, m->root, strlen(m->root));
	} else {
		text_escape(b, m->fstype, strlen(m->fstype));
		if (!streq(m->root, "/")) {
			buf_str(b, ", ");
			text_escape(b, m->root, strlen(m->root));
		}
	}
	if (v->ns->second)
		buf_str(b, "; in another mount namespace of the container");
	if (who && drift_is_outside(who, v->c))
		buf_str(b, "; by a process outside of the container");
}

/* What the image has there, and what is shown now when it is the container's own. */
static void compare(const struct view *v, const struct mount *m, struct event *e)
{
	_cleanup_close_ int fd = -1;
	struct upper *upper = NULL;
	struct upper_file now;
	struct record base;
	enum change change;

	e->attributes = ATTR_BIT(ATTR_DEV);
	e->has_before = baseline_lookup(v->image->base, m->point, &v->l->arena, &base) == 0 &&
			record_dup(&e->arena, &base, &e->before);
	if (!is_own(v, m))
		return;
	fd = open(v->c->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || upper_new(fd, v->image->base, v->image->files, &upper) < 0)
		return;
	if (upper_look(upper, &v->l->arena, m->root, drift_mask(), &now) == 0 && now.exists) {
		e->attributes = upper_compare(e->has_before ? &base : NULL, &now, drift_mask(), &change) & ATTR_ALL;
		e->has_after = record_dup(&e->arena, &now.rec, &e->after);
	}
	upper_free(upper);
}

/* m: NULL, it is not mounted any more. */
static void tell(const struct view *v, const struct mount *m, const char *point)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);
	_cleanup_buf_ struct buf cause = BUF_INIT;

	if (!e) {
		v->l->counters.errors++;
		return;
	}
	e->process = mountns_mounter(v->l->o.mounts, v->c->id);
	e->process_why = e->process ? NULL : "the kernel does not tell who mounts";
	e->boot_time = clock_boot_ns();
	e->time = clock_real_ns();
	e->count = 1;
	e->path = arena_strdup(&e->arena, point);
	e->container = container_ref(v->c);
	e->baseline = arena_strdup(&e->arena, v->image->info.name);
	e->baseline_id = v->image->info.id;
	e->change = m ? CHANGE_REPLACED : CHANGE_REVERTED;
	e->status = m ? STATUS_OPEN : STATUS_REVERTED;
	if (m) {
		describe(v, m, e->process, &cause);
		compare(v, m, e);
	} else {
		e->attributes = ATTR_BIT(ATTR_DEV);
		buf_str(&cause, "what was mounted over it is gone");
	}
	e->cause = cause.failed ? NULL : arena_strdup(&e->arena, cause.data);
	if (!e->path || !e->baseline || !e->cause) {
		v->l->counters.errors++;
		return;
	}
	v->l->counters.changes++;
	v->l->o.emit(e, v->l->o.data);
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
		v->l->counters.errors++;
		return;
	}
	known = &k->list[k->n++];
	*known = (struct mounted){ .ns = v->ns->ino, .hash = hash, .key = TAKE_PTR(key), .there = true };
	known->point = known->key + strlen(known->key) - strlen(m->point);
	known->told = !copied && !is_runtimes(v, m->point);
	if (known->told)
		tell(v, m, m->point);
}

static void look_at_table(const struct view *v)
{
	struct drift_mounts *k = v->l->mounts;

	for (size_t i = 0; i < k->n; i++)
		k->list[i].there &= k->list[i].ns != v->ns->ino;
	for (size_t i = 0; i < v->table->n; i++) {
		const struct mount *m = &v->table->mounts[i];

		arena_reset(&v->l->arena);
		if (!streq(m->point, "/") && drift_left_out(v->policy, v->c, m->point) == DRIFT_COMPARED)
			look_at(v, m);
	}
	for (size_t i = k->n; i-- > 0;) {
		struct mounted *m = &k->list[i];

		if (m->ns != v->ns->ino || m->there)
			continue;
		if (m->told)
			tell(v, NULL, m->point);
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
	v.table = &table;
	/* The number may be another process's by now. */
	if (mountns_is_in(l->o.mounts, ns->pid, ns->ino))
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

bool drift_mounts_look(struct drift_live *l)
{
	if (!l->o.mounts)
		return false;
	if (!l->mounts)
		l->mounts = calloc(1, sizeof(*l->mounts));
	if (!l->mounts)
		return false;
	l->mounts->young = false;
	mountns_each(l->o.mounts, look_at_namespace, l);
	forget_gone(l);
	return l->mounts->young;
}

void drift_mounts_free(struct drift_live *l)
{
	while (l->mounts && l->mounts->n)
		mounted_drop(l->mounts, &l->mounts->list[0]);
	free(TAKE_PTR(l->mounts));
}
