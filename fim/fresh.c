/*
 * Hard links made while everything runs: the sensor tells which inode got one; here its guarded names are found, the
 * sensor is told to follow the inode under them, and they are looked at, for what was written before it did. On the
 * live thread; stats guarded names, reads no file. Asking the baseline takes long, so that is done for many inodes at
 * once and not often.
 */
#include "fim/live-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "lib/util.h"

#define FRESH_COST_FACTOR 20 /* not asked again before so many times as long as asking took */
#define FRESH_OPS	  (FS_MODIFY | FS_CLOSE_WRITE | FS_ATTRIB)

static bool fresh_is(const char *path, uint64_t dev, uint64_t ino)
{
	struct statx stx;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, STATX_INO, &stx) ==
		       0 &&
	       stx.stx_ino == ino && makedev(stx.stx_dev_major, stx.stx_dev_minor) == dev;
}

/* False: path is another file by now, or not guarded. */
static bool fresh_found(struct live *l, const char *path, const struct fresh *f)
{
	struct fs_event e = {
		.ops = f->ops, .pid = f->pid, .process = f->process, .path = path, .boot_ns = f->boot_ns
	};
	struct pending *p;
	attr_mask mask;

	if (!live_mask(l, path, &mask) || !fresh_is(path, f->dev, f->ino))
		return false;
	if (l->o.noticed)
		l->o.noticed(path, true, false, l->o.data);
	p = settle_find(&l->settle, path);
	/* What came later by its own name names the author better. */
	if (p && p->facts.ops && p->facts.last >= f->boot_ns)
		return true;
	if (settle_event(&l->settle, &e) < 0)
		live_overflow(l, path);
	return true;
}

static void fresh_put(struct live *l, const struct fresh *new)
{
	struct fresh *f = l->fresh;

	while (f < l->fresh + l->n_fresh && !(f->ino == new->ino && f->dev == new->dev))
		f++;
	if (f == l->fresh + LIVE_FRESH_MAX) {
		l->counters.dropped++;
		if (!l->fresh_full)
			rescan_request(l, "/", false, "more new hard links at once than can be followed", NULL);
		l->fresh_full = true;
		return;
	}
	if (f == l->fresh + l->n_fresh) {
		l->n_fresh++;
		*f = *new;
	} else {
		if (f->process)
			process_unref(f->process);
		f->process = new->process;
		f->pid = new->pid;
		f->ops |= new->ops;
		f->boot_ns = new->boot_ns;
	}
	if (f->process)
		process_ref(f->process);
}

void fresh_event(struct live *l, const struct fs_event *e)
{
	struct fresh f = { e->dev, e->ino, e->boot_ns, e->ops & FRESH_OPS, e->pid, e->process };
	const char *path = states_inode(l->states, e->dev, e->ino);

	if (path && !(*path && fresh_found(l, path, &f)))
		fresh_put(l, &f);
}

static int fresh_name(const char *path, uint64_t ino, void *data)
{
	struct live *l = data;

	for (size_t i = 0; i < l->n_fresh; i++) {
		const struct fresh *f = &l->fresh[i];

		/* What happens next is told of the path at once, before it is judged. */
		if (f->ino == ino && fresh_found(l, path, f))
			states_set_inode(l->states, path, f->dev, f->ino);
	}
	return 0;
}

static void fresh_clear(struct live *l)
{
	for (size_t i = 0; i < l->n_fresh; i++)
		if (l->fresh[i].process)
			process_unref(l->fresh[i].process);
	l->n_fresh = 0;
	l->fresh_full = false;
}

uint64_t fresh_flush(struct live *l, uint64_t now)
{
	uint64_t inos[LIVE_FRESH_MAX], end;

	if (!l->n_fresh)
		return UINT64_MAX;
	if (now < l->fresh_due)
		return l->fresh_due;
	for (size_t i = 0; i < l->n_fresh; i++)
		inos[i] = l->fresh[i].ino;
	if (states_each_inode(l->states, inos, l->n_fresh, fresh_name, l) < 0) {
		l->counters.errors++;
		rescan_request(l, "/", false, "the baseline could not be asked for names of an inode", NULL);
	}
	fresh_clear(l);
	end = clock_boot_ns();
	l->fresh_due = end + (end - now) * FRESH_COST_FACTOR;
	return UINT64_MAX;
}

void fresh_free(struct live *l)
{
	fresh_clear(l);
}
