/*
 * Marks, watches and gaps follow the mount table and the configuration: one round sets all of them from what holds now.
 * Notify thread. The difference of two mount tables only decides what is looked at again.
 */
#include "watch/rounds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "watch/internal.h"
#include "watch/place.h"

#define UNMOUNTED_MAX (64 * KIB) /* bytes of mount points remembered */

/* --- one round */

/* Watched file systems that were unmounted stay gaps until something is mounted there again, or they are not guarded
 * any more. */
static void hold_unmounted(struct watch *w)
{
	struct buf kept = BUF_INIT;

	for (size_t at = 0; at < w->unmounted.len; at += strlen(w->unmounted.data + at) + 1) {
		const char *point = w->unmounted.data + at;
		const struct mount *m = mounts_find(&w->mounts, point);

		if (m && streq(m->point, point))
			continue;
		gaps_hold(&w->gaps, GAP_UNMOUNTED, point, "file system was unmounted", 0);
		buf_add(&kept, point, strlen(point) + 1);
	}
	buf_free(&w->unmounted);
	w->unmounted = kept;
}

static void publish(struct watch *w)
{
	struct arena arena = ARENA_INIT, old;
	struct watch_mark *marks = NULL;
	size_t n = 0;
	int r = w->fan ? fan_publish(w->fan, &arena, &marks, &n) : ino_publish(w->ino, &arena, &marks, &n);

	if (r < 0) {
		log_error("sensor: state cannot be shown: %s", strerror(-r));
		arena_free(&arena);
		return;
	}
	pthread_mutex_lock(&w->published.lock);
	old = w->published.arena;
	w->published.arena = arena;
	w->published.marks = marks;
	w->published.n = n;
	pthread_mutex_unlock(&w->published.lock);
	arena_free(&old);
	pthread_mutex_lock(&w->follower.lock);
	if (w->follower.fn)
		w->follower.fn(w->follower.data);
	pthread_mutex_unlock(&w->follower.lock);
}

static bool needs_stand_in(const struct watch *w)
{
	for (size_t i = 0; i < w->mounts.n; i++)
		if (fan_is_stand_in(w->fan, &w->mounts.mounts[i]))
			return true;
	return false;
}

static void update_stand_in(struct watch *w)
{
	_cleanup_buf_ struct buf err = BUF_INIT;

	if (w->fan && !w->ino && needs_stand_in(w) && ino_new(w, false, &w->ino, &err) < 0)
		gaps_hold(&w->gaps, GAP_MARK_FAILED, "inotify", err.data, 0);
	if (w->ino)
		ino_update(w->ino);
}

static void round_all(struct watch *w)
{
	gaps_begin(&w->gaps);
	if (w->fan)
		fan_update(w->fan);
	update_stand_in(w);
	if (w->weak)
		gaps_hold(&w->gaps, GAP_WEAK_SENSOR, "/", w->weak_why ? w->weak_why : "inotify", 0);
	hold_unmounted(w);
	if (w->fan)
		gaps_keep(&w->gaps, GAP_LIMIT, "sensitive");
	gaps_end(&w->gaps);
	publish(w);
}

/* A file mounted over a guarded file: its events carry the name it has in its own folder. */
static void link_file_mount(struct watch *w, const struct mount *m)
{
	attr_mask mask;
	struct stat st;

	if (w->fan && scope_match(&w->conf->scope, m->point, &mask) == SCOPE_IN && !mounts_why_skip(m) &&
	    lstat(m->point, &st) == 0 && S_ISREG(st.st_mode))
		watch_add_linked(w, m->point);
}

void rounds_start(struct watch *w)
{
	emit_begin(&w->emit, clock_boot_ns());
	round_all(w);
	if (w->fan)
		fan_mark_sensitive(w->fan, "/");
	for (size_t i = 0; i < w->mounts.n; i++)
		link_file_mount(w, &w->mounts.mounts[i]);
	emit_flush(&w->emit);
}

void rounds_conf(struct watch *w)
{
	if (w->fan)
		fan_forget(w->fan);
	rounds_start(w);
}

/* --- what a change of mounts asks for */

static int by_id(const void *a, const void *b)
{
	const struct mount *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static const struct mount **sorted(const struct mount_table *t)
{
	const struct mount **list = malloc((t->n + 1) * sizeof(struct mount *));

	for (size_t i = 0; list && i < t->n; i++)
		list[i] = &t->mounts[i];
	if (list)
		qsort(list, t->n, sizeof(struct mount *), by_id);
	return list;
}

/* Calls fn for each mount of `now` that `before` does not have. */
static void each_new(struct watch *w, const struct mount_table *now, const struct mount_table *before,
		     void (*fn)(struct watch *w, const struct mount *m))
{
	_cleanup_free_ const struct mount **known = sorted(before);

	for (size_t i = 0; i < now->n; i++) {
		const struct mount *m = &now->mounts[i], **found;

		found = known ? bsearch(&m, known, before->n, sizeof(struct mount *), by_id) : NULL;
		if (!found || (*found)->dev != m->dev || !streq((*found)->point, m->point) ||
		    !streq((*found)->root, m->root))
			fn(w, m);
	}
}

static bool concerns(const struct watch *w, const struct mount *m)
{
	attr_mask mask;
	enum scope_answer answer = scope_match(&w->conf->scope, m->point, &mask);

	return answer == SCOPE_IN || answer == SCOPE_ABOVE;
}

static void mounted(struct watch *w, const struct mount *m)
{
	_cleanup_buf_ struct buf text = BUF_INIT;

	if (w->fan)
		fan_mark_sensitive(w->fan, m->point);
	link_file_mount(w, m);
	if (!concerns(w, m))
		return;
	buf_printf(&text, "mount over %s (%s)", m->point, m->fstype);
	if (!text.failed)
		emit_rescan(&w->emit, m->point, text.data);
}

static bool has_dev(const struct mount_table *t, uint64_t dev)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->mounts[i].dev == dev)
			return true;
	return false;
}

/* What was in memory is gone with its mount: nothing is left that could be changed unseen. */
static void unmounted(struct watch *w, const struct mount *m)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	enum fstype_class class = fstype_by_name(m->fstype)->class;
	attr_mask mask;

	if (!concerns(w, m))
		return;
	buf_printf(&text, "unmounted from %s (%s)", m->point, m->fstype);
	if (!text.failed)
		emit_rescan(&w->emit, m->point, text.data);
	if (class == FSTYPE_DISK && scope_match(&w->conf->scope, m->point, &mask) == SCOPE_IN &&
	    !has_dev(&w->mounts, m->dev) && w->unmounted.len < UNMOUNTED_MAX)
		buf_add(&w->unmounted, m->point, strlen(m->point) + 1);
}

void rounds_mounts(struct watch *w)
{
	struct mount_table now, before;
	int r = mounts_read(WATCH_MOUNTINFO, &now, NULL);

	if (r < 0) {
		emit_lost(&w->emit, 0, "the mount table could not be read");
		return;
	}
	before = w->mounts;
	w->mounts = now;
	emit_begin(&w->emit, clock_boot_ns());
	each_new(w, &before, &now, unmounted);
	round_all(w);
	/* After the marks: what changes behind the rescan's back is an event. */
	each_new(w, &now, &before, mounted);
	emit_flush(&w->emit);
	mounts_free(&before);
}
