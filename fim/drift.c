/*
 * A container as it lies against its image. Reads the writable layer, the baseline, and what the mount tables of its
 * processes say; one thread, the caller's.
 */
#include "fim/drift.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fim/mime.h"
#include "fim/mounted.h"
#include "lib/cleanup.h"
#include "lib/util.h"

/* --- what is left out */

static bool is_below(const char *folder, const char *path)
{
	size_t len = strlen(folder);

	while (len > 1 && folder[len - 1] == '/')
		len--;
	return len > 1 && strncmp(path, folder, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

enum drift_left drift_left_out(const struct conf_policy *p, const struct container *c, const char *path)
{
	/* In every container, also where its mounts are not known. */
	static const char *const mounted[] = { "/dev", "/proc", "/sys" };
	static const char *const made[] = { "/.dockerenv", "/run/.containerenv", "/etc/mtab" };
	/* Mounted in most: where nobody tells, they are not the container's. */
	static const char *const usual[] = { "/etc/hosts", "/etc/hostname", "/etc/resolv.conf" };

	for (size_t i = 0; i < ARRAY_SIZE(mounted); i++)
		if (is_below(mounted[i], path))
			return DRIFT_MOUNT;
	for (uint32_t i = 0; i < c->n_mounts; i++)
		if (is_below(c->mounts[i].dest, path))
			return DRIFT_MOUNT;
	for (size_t i = 0; i < ARRAY_SIZE(made); i++)
		if (streq(made[i], path))
			return DRIFT_RUNTIME;
	for (size_t i = 0; i < ARRAY_SIZE(usual) && !c->have_mounts; i++)
		if (streq(usual[i], path))
			return DRIFT_MOUNT;
	return conf_policy_excludes(p, path) ? DRIFT_EXCLUDED : DRIFT_COMPARED;
}

bool drift_is_way(const struct container *c, const char *path)
{
	for (uint32_t i = 0; i < c->n_mounts; i++)
		if (is_below(path, c->mounts[i].dest))
			return true;
	return false;
}

attr_mask drift_mask(void)
{
	attr_mask all = 0;

	attr_apply("all", &all);
	attr_apply("-selinux", &all);
	return all;
}

/* --- the baseline */

struct by_reference {
	const char *image;
	int64_t id;
	uint64_t created;
};

static int is_newest(const struct baseline_info *info, void *data)
{
	struct by_reference *b = data;

	if (info->kind != BASELINE_IMAGE || !streq(info->state, "signed") || !info->image_ref ||
	    !streq(info->image_ref, b->image) || info->created < b->created)
		return 0;
	b->id = info->id;
	b->created = info->created;
	return 0;
}

int drift_find_baseline(struct db *d, const struct container *c, struct arena *a, struct baseline_info *ret)
{
	struct by_reference b = { .image = c->image };
	int r = c->image_digest ? baseline_find_image(d, c->image_digest, a, ret) : -ENOENT;

	if (r == -ENOENT && c->image_id)
		r = baseline_find_image(d, c->image_id, a, ret);
	if (r != -ENOENT || c->image_digest || c->image_id || !c->image)
		return r;
	r = baseline_each(d, is_newest, &b);
	if (r < 0)
		return r;
	return b.id ? baseline_find_id(d, b.id, a, ret) : -ENOENT;
}

/* --- at rest */

struct drift {
	const struct drift_options *o;
	struct upper *upper;
	struct baseline_reader *base;
	struct file_reader *files; /* borrowed */
	struct arena arena;
	attr_mask mask;
	struct arena kept;    /* of the next */
	const char **mounted; /* that were told: DRIFT_MOUNTED_MAX */
	size_t n_mounted;
	bool mounted_full; /* told already */
};

static void drift_gap(void *data, enum gap_reason reason, const char *path, const char *detail)
{
	const struct drift *k = data;

	if (k->o->gap)
		k->o->gap(k->o->data, reason, path, detail);
}

static bool drift_skip(void *data, const char *path)
{
	const struct drift *k = data;

	return drift_left_out(k->o->policy, k->o->container, path) != DRIFT_COMPARED;
}

static void count(const struct drift *k, const struct upper_file *now)
{
	struct scan_progress *p = k->o->progress;

	if (!p)
		return;
	atomic_fetch_add(&p->files, 1);
	if (now->own && now->rec.type == 'f' && now->rec.have & ATTR_BIT(ATTR_DIGEST))
		atomic_fetch_add(&p->bytes, now->rec.size);
	if (now->own && now->rec.unread)
		atomic_fetch_add(&p->unread, 1);
}

static int drift_tell(struct drift *k, const char *path, const struct scan_difference *d)
{
	_cleanup_buf_ struct buf host = BUF_INIT;

	/* Also of what is gone: there its whiteout lies, or nothing any more. */
	buf_printf(&host, "%s%s", k->o->container->upper, path);
	return host.failed ? -ENOMEM : k->o->difference(k->o->data, d, host.data, NULL);
}

static int drift_path(void *data, const char *path)
{
	struct drift *k = data;
	struct scan_difference d = { .path = path };
	struct upper_file now;
	struct record base;
	int r;

	if (k->o->progress && atomic_load(&k->o->progress->stop))
		return -ECANCELED;
	arena_reset(&k->arena);
	r = upper_look(k->upper, &k->arena, path, k->mask, &now);
	if (r < 0) {
		drift_gap(k, GAP_UNREADABLE, path, strerror(-r));
		return 0;
	}
	count(k, &now);
	r = baseline_lookup(k->base, path, &k->arena, &base);
	if (r < 0 && r != -ENOENT)
		return r;
	d.before = r == 0 ? &base : NULL;
	d.after = now.exists ? &now.rec : NULL;
	if (!d.before && d.after && now.rec.type == 'd' && drift_is_way(k->o->container, path))
		return 0;
	d.attributes = upper_compare(d.before, &now, k->mask, &d.change);
	return d.attributes ? drift_tell(k, path, &d) : 0;
}

/* --- what is mounted over it */

/* The same is mounted in every namespace that was copied from the container's own. */
static bool is_news(struct drift *k, const struct mount *m)
{
	_cleanup_buf_ struct buf key = BUF_INIT;

	buf_printf(&key, "%llx %s", (unsigned long long)m->dev, m->root);
	buf_printf(&key, "\n%s", m->point);
	for (size_t i = 0; i < k->n_mounted && !key.failed; i++)
		if (streq(k->mounted[i], key.data))
			return false;
	if (key.failed || k->n_mounted == DRIFT_MOUNTED_MAX) {
		if (!k->mounted_full)
			drift_gap(k, GAP_LIMIT, m->point, "more is mounted in the container than is looked at");
		k->mounted_full = true;
		return false;
	}
	if (!k->mounted)
		k->mounted = arena_zalloc(&k->kept, DRIFT_MOUNTED_MAX * sizeof(*k->mounted));
	if (k->mounted)
		k->mounted[k->n_mounted] = arena_strdup(&k->kept, key.data);
	if (!k->mounted || !k->mounted[k->n_mounted])
		return true;
	k->n_mounted++;
	return true;
}

static int look_at_mount(struct drift *k, const struct mounted_view *v, const struct mount *m)
{
	_cleanup_buf_ struct buf cause = BUF_INIT;
	struct scan_difference d;
	int r;

	arena_reset(&k->arena);
	if (streq(m->point, "/") || drift_skip(k, m->point) || mounted_by_runtime(v, m->point) || !is_news(k, m))
		return 0;
	r = mounted_difference(v, m, &d, &cause);
	return r < 0 ? r : k->o->difference(k->o->data, &d, NULL, cause.data);
}

static int look_at_namespace(const struct mountns_one *ns, void *data)
{
	struct drift *k = data;
	struct mount_table table = { .n = 0 };
	struct mounted_view v = { k->o->container, &table, ns->second, k->base, k->files, &k->arena };
	char path[40];
	int r;

	if (!streq(ns->container, k->o->container->id))
		return 0;
	if (k->o->progress && atomic_load(&k->o->progress->stop))
		return -ECANCELED;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", ns->pid);
	r = mounts_read(path, &table, NULL);
	if (r < 0 && r != -ENOENT && r != -ESRCH)
		drift_gap(k, GAP_UNREADABLE, "/", "what is mounted in the container cannot be read");
	if (r < 0)
		return 0;
	/* The number may be another process's by now. */
	if (mounted_is_entered(&table) && mountns_is_in(k->o->mounts, ns->pid, ns->ino))
		for (size_t i = 0; i < table.n && r == 0; i++)
			r = look_at_mount(k, &v, &table.mounts[i]);
	mounts_free(&table);
	return r;
}

/* --- the whole */

static void tell_mounts(const struct drift *k)
{
	const struct container *c = k->o->container;

	if (!c->have_mounts)
		drift_gap((void *)(uintptr_t)k, GAP_FS_SKIPPED, "/",
			  "what is mounted in the container is not known: files under a mount are taken for the "
			  "container's");
	for (uint32_t i = 0; i < c->n_mounts; i++) {
		/* What every container has is no news. */
		if (drift_left_out(k->o->policy, &(struct container){ .n_mounts = 0 }, c->mounts[i].dest) ==
		    DRIFT_COMPARED)
			drift_gap((void *)(uintptr_t)k, GAP_FS_SKIPPED, c->mounts[i].dest,
				  c->mounts[i].type ?: "mount");
	}
}

static int drift_run(struct drift *k, int fd)
{
	const struct drift_options *o = k->o;
	_cleanup_(mime_free_p) struct mime *mime = NULL;
	struct read_options read = { .algo = o->baseline->algo, .hash_size = o->hash_size };
	const struct upper_walk w = { drift_skip, drift_path, drift_gap, k };
	_cleanup_(file_reader_free_p) struct file_reader *files = NULL;
	int r = mime_new(&mime);

	read.mime = mime;
	if (r == 0)
		r = file_reader_new(&read, &files);
	k->files = files;
	if (r == 0)
		r = baseline_reader_new(o->db, o->baseline->id, &k->base);
	if (r == 0)
		r = upper_new(fd, k->base, k->files, &k->upper);
	if (r == 0)
		r = upper_each(k->upper, "/", &w);
	if (r == 0 && o->mounts && o->container->have_mounts)
		r = mountns_each(o->mounts, look_at_namespace, k);
	if (k->upper)
		upper_free(k->upper);
	if (k->base)
		baseline_reader_free(k->base);
	arena_free(&k->arena);
	arena_free(&k->kept);
	return r;
}

int drift_check(const struct drift_options *o, struct buf *err)
{
	struct drift k = { .o = o, .mask = drift_mask(), .arena = ARENA_INIT, .kept = ARENA_INIT };
	_cleanup_close_ int fd = -1;
	int r;

	if (!o->container->upper)
		return -ENOENT;
	fd = open(o->container->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		buf_printf(err, "its layer cannot be opened: %s", strerror(-r));
		return r;
	}
	tell_mounts(&k);
	r = drift_run(&k, fd);
	if (r < 0 && r != -ECANCELED && !err->len)
		buf_printf(err, "%s", *db_error(o->db) ? db_error(o->db) : strerror(-r));
	return r;
}
