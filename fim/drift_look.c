/*
 * One look at one path of a container: what the image has, what it was when it was told last, what it is, and what to
 * make of that. Runs on the thread "drift" alone; reads writable layers and the store.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/history.h"
#include "fim/drift_live-internal.h"
#include "lib/cleanup.h"
#include "lib/clock.h"
#include "lib/util.h"

#define BIRTHS	     (FS_CREATE | FS_DELETE | FS_RENAME_FROM | FS_RENAME_TO)
#define MOUNTS_WAITS 8
#define WAITS_MAX    20
#define OWN_INODE    (ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO))
#define IDENTITY(r)  (((r)->have & OWN_INODE) == OWN_INODE)

/* What a look is about. */
struct sight {
	struct drift_live *l;
	struct container *c;
	const char *inner, *host;
	const struct conf_policy *policy;
	struct drift_image *image;
	struct upper *upper;
	const struct facts *facts;
	const char *cause; /* NULL: events told of it */
	attr_mask mask;
};

/* --- what is known */

/* As it was told last: by us, in history, else as the image has it. */
static int last_state(const struct sight *s, const char *host, const char *inner, struct side *ret)
{
	struct drift_live *l = s->l;
	int r = lately_get(&l->lately, &l->arena, host, ret);

	if (r != -ENOENT)
		return r;
	r = history_last_layer_state(l->db, s->image->info.id, s->c->upper, inner, &l->arena, &ret->exists, &ret->rec);
	if (r != -ENOENT)
		return r;
	r = baseline_lookup(s->image->base, inner, &l->arena, &ret->rec);
	ret->exists = r == 0;
	return r == -ENOENT ? 0 : r;
}

static int base_state(const struct sight *s, const char *inner, struct side *ret)
{
	int r = baseline_lookup(s->image->base, inner, &s->l->arena, &ret->rec);

	ret->exists = r == 0;
	return r == -ENOENT ? 0 : r;
}

static int now_state(const struct sight *s, const char *inner, attr_mask mask, struct upper_file *file,
		     struct side *ret)
{
	int r = upper_look(s->upper, &s->l->arena, inner, mask, file);

	*ret = (struct side){ file->exists, file->rec };
	return r;
}

/* --- telling */

/* A baseline's record of a file that was never written is no state of an inode. */
static bool is_images(const struct side *s)
{
	return s->exists && !IDENTITY(&s->rec);
}

bool drift_is_outside(const struct process *p, const struct container *c)
{
	return p->known & PROCESS_CGROUP && !strstr(p->cgroup, c->id);
}

static void tell_who(struct event *e, const struct sight *s)
{
	const struct facts *f = s->facts;

	if (f && f->process)
		e->process = process_ref(f->process);
	else
		e->process_why = !f || !f->ops ? "no event told of it"
				 : f->pid      ? "the process was gone before it could be read"
					       : "the sensor does not tell";
	if (!f || !f->ops)
		e->cause = s->cause ? arena_strdup(&e->arena, s->cause) : NULL;
	else if (f->process && drift_is_outside(f->process, s->c))
		e->cause = arena_strdup(&e->arena, "by a process outside of the container");
	else if (f->process && s->l->o.mounts && mountns_is_second(s->l->o.mounts, s->c->id, f->process->pid))
		e->cause = arena_strdup(&e->arena, "by a process of the container in another mount namespace");
}

static void tell(const struct sight *s, const struct judge_input *in, const struct judgement *v)
{
	_cleanup_event_ struct event *e = event_new(EVENT_CHANGE);
	_cleanup_buf_ struct buf host = BUF_INIT;
	uint64_t now = clock_boot_ns(), when = s->facts && s->facts->ops ? s->facts->last : now;
	const char *path = v->renamed ? in->from : in->path;

	buf_printf(&host, "%s%s", s->c->upper, path);
	if (!e || host.failed) {
		s->l->counters.errors++;
		return;
	}
	e->boot_time = MIN(when, now);
	e->time = clock_real_ns() - (now - e->boot_time);
	e->count = 1;
	e->path = arena_strdup(&e->arena, path);
	e->path2 = v->renamed ? arena_strdup(&e->arena, in->path) : NULL;
	e->host_path = arena_strdup(&e->arena, host.data);
	e->container = container_ref(s->c);
	e->baseline = arena_strdup(&e->arena, s->image->info.name);
	e->baseline_id = s->image->info.id;
	e->change = v->change;
	e->status = v->status;
	e->attributes = v->attributes & ATTR_ALL;
	/* It is in the container's own now, or nowhere. */
	if (v->before && v->before->have & ATTR_BIT(ATTR_LAYER) && v->change != CHANGE_REVERTED)
		e->attributes |= ATTR_BIT(ATTR_LAYER);
	tell_who(e, s);
	e->has_before = v->before && record_dup(&e->arena, v->before, &e->before);
	e->has_after = v->after && record_dup(&e->arena, v->after, &e->after);
	if (!e->path || !e->host_path || !e->baseline || e->has_before != !!v->before || e->has_after != !!v->after) {
		s->l->counters.errors++;
		return;
	}
	s->l->counters.changes++;
	s->l->o.emit(e, s->l->o.data);
}

/* --- judging */

/* The kernel said so; a file of the image got its inode only on the way. */
static void follow_rename(struct judge_input *in)
{
	if (!in->from || !in->from_last.exists || in->from_now.exists || in->last.exists ||
	    in->from_last.rec.type != in->now.rec.type || !is_images(&in->from_last))
		return;
	in->from_last.rec.dev = in->now.rec.dev;
	in->from_last.rec.ino = in->now.rec.ino;
}

static int judge(const struct sight *s, const char *from, struct judge_input *in, struct upper_file *file)
{
	struct upper_file from_file;
	_cleanup_buf_ struct buf from_host = BUF_INIT;
	int r;

	*in = (struct judge_input){ .path = s->inner, .from = from, .mask = s->mask };
	in->ops = s->facts ? s->facts->ops : 0;
	r = now_state(s, s->inner, s->mask, file, &in->now);
	if (r == 0)
		r = base_state(s, s->inner, &in->base);
	if (r == 0)
		r = last_state(s, s->host, s->inner, &in->last);
	if (r == 0 && from) {
		buf_printf(&from_host, "%s%s", s->c->upper, from);
		r = from_host.failed ? -ENOMEM : last_state(s, from_host.data, from, &in->from_last);
		if (r == 0)
			r = now_state(s, from, 0, &from_file, &in->from_now);
	}
	/* Copying a file up makes a name in the layer: for the container the file was there before. */
	if (is_images(&in->last) || is_images(&in->now))
		in->ops &= ~(uint32_t)BIRTHS;
	return r;
}

/* What is in a folder that came, went or moved told nothing of its own. */
static void follow_folder(const struct sight *s, const struct judge_input *in, const struct judgement *v)
{
	bool came = in->now.exists && in->now.rec.type == 'd' && (v->tell || in->ops & FS_RENAME_TO),
	     went = in->last.exists && in->last.rec.type == 'd' && v->tell;

	/* A scan goes through folders by itself. */
	if (s->cause && !(s->facts && s->facts->ops))
		return;
	if (came || went)
		drift_scan(s->l, s->c, s->inner, s->facts, "in a folder that was made, moved or removed");
	if (v->renamed && in->now.rec.type == 'd')
		drift_scan(s->l, s->c, in->from, s->facts, "in a folder that was moved");
}

static void settle_judgement(const struct sight *s, struct judge_input *in, const struct upper_file *file)
{
	const struct side gone = { .exists = false };
	_cleanup_buf_ struct buf from_host = BUF_INIT;
	struct judgement v;

	follow_rename(in);
	judge_path(in, &v);
	if (v.tell && v.change == CHANGE_CHANGED && is_images(&in->last) && file->own && !file->copied)
		v.change = CHANGE_REPLACED;
	/* The runtime makes the way to what it mounts. */
	if (v.tell && v.change == CHANGE_ADDED && in->now.rec.type == 'd' && drift_is_way(s->c, s->inner))
		v.tell = false;
	if (v.tell)
		tell(s, in, &v);
	/* What is as the image has it needs no remembering. */
	if (v.tell || in->last.exists != in->now.exists || !is_images(&in->now))
		lately_set(&s->l->lately, s->host, &in->now);
	if (v.renamed) {
		buf_printf(&from_host, "%s%s", s->c->upper, in->from);
		if (!from_host.failed)
			lately_set(&s->l->lately, from_host.data, &gone);
	}
	follow_folder(s, in, &v);
}

/* --- the whole of one path */

static int open_sight(struct sight *s, int *ret_fd)
{
	int r;

	s->policy = conf_policy_of(s->l->now, s->c);
	if (!s->policy || s->policy->files != CONF_FILES_OBSERVE)
		return -ENOENT;
	r = drift_images_get(s->l->images, s->c, &s->image);
	if (r < 0) {
		s->l->counters.no_baseline++;
		if (r == -ENOENT && s->l->o.no_baseline)
			s->l->o.no_baseline(s->c, s->l->o.data);
		return r;
	}
	s->mask = drift_mask();
	*ret_fd = open(s->c->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* A container that is gone takes its layer along, and nothing of that is a change. */
	return *ret_fd < 0 ? -errno : upper_new(*ret_fd, s->image->base, s->image->files, &s->upper);
}

/* p: a look that it was taken for, and may be put back; from: in the same container, or NULL. 1: it was. */
static int look(struct sight *s, struct pending *p, const char *from)
{
	uint64_t looked = clock_boot_ns();
	struct upper_file file;
	struct judge_input in;
	int r;

	s->l->counters.looks++;
	upper_forget(s->upper);
	r = drift_left_out(s->policy, s->c, s->inner) == DRIFT_COMPARED ? judge(s, from, &in, &file) : -ENOENT;
	if (r < 0)
		return r;
	if (p && in.last.exists && !in.now.exists &&
	    settle_doubts(&s->l->settle, p, looked, s->l->seen, clock_boot_ns()))
		return 1;
	settle_judgement(s, &in, &file);
	return 0;
}

/* The new name of a rename is judged first, and takes the old one along. */
static bool gives_way(struct drift_live *l, struct pending *p)
{
	uint64_t now = clock_boot_ns();
	struct pending *other = p->taken.to && *p->taken.to ? settle_find(&l->settle, p->taken.to) : NULL;

	if (!other || other == p || other->busy || !other->facts.from || p->waited >= WAITS_MAX)
		return false;
	settle_hasten(&l->settle, other, now);
	p->waited++;
	settle_put_back(&l->settle, p, now + l->settle.settle / 2 + 1);
	return true;
}

/* The runtime still writes down what is mounted in it: until then its mount points look like files of the container. */
static bool is_young(struct drift_live *l, struct pending *p, const struct container *c)
{
	if (!c || c->have_mounts || p->waited >= MOUNTS_WAITS || l->stop)
		return false;
	p->waited++;
	settle_put_back(&l->settle, p, clock_boot_ns() + DRIFT_YOUNG_NS);
	return true;
}

bool drift_look(struct drift_live *l, struct pending *p)
{
	const char *inner, *from = NULL;
	_cleanup_container_ struct container *c = containers_by_path(l->o.containers, p->node.path, &inner),
					     *other = NULL;
	_cleanup_close_ int fd = -1;
	uint64_t started = clock_mono_ns();
	struct sight s = {
		.l = l, .c = c, .host = p->node.path, .facts = &p->taken, .cause = p->taken.cause ?: l->cause
	};
	int r = 0;

	if (is_young(l, p, c) || gives_way(l, p))
		return false;
	arena_reset(&l->arena);
	if (c) {
		s.inner = inner;
		if (p->taken.from)
			other = containers_by_path(l->o.containers, p->taken.from, &from);
		r = open_sight(&s, &fd);
		if (r == 0)
			r = look(&s, p, other == c ? from : NULL);
		if (s.upper)
			upper_free(s.upper);
	}
	if (r > 0)
		return false;
	if (r < 0 && r != -ENOENT)
		l->counters.errors++;
	settle_done(&l->settle, p, clock_boot_ns(), clock_mono_ns() - started);
	return true;
}

/* --- layers as a whole */

struct scanning {
	struct sight s;
	const struct facts *facts; /* whose doing it is; NULL: not known */
	struct buf host;
	struct upper *second; /* the walk has one of its own */
};

static bool scan_skip(void *data, const char *path)
{
	const struct scanning *k = data;

	return drift_left_out(k->s.policy, k->s.c, path) != DRIFT_COMPARED;
}

/* An event that tells who did it may be on its way: so it waits a little, as far as there is room. */
static int scan_path(void *data, const char *path)
{
	struct scanning *k = data;
	struct drift_live *l = k->s.l;
	struct pending *p;

	if (l->stop)
		return -ECANCELED;
	buf_reset(&k->host);
	buf_printf(&k->host, "%s%s", k->s.c->upper, path);
	if (k->host.failed)
		return -ENOMEM;
	if (settle_count(&l->settle) < DRIFT_PENDING / 2 &&
	    settle_candidate(&l->settle, k->host.data, NULL, clock_boot_ns(), &p) == 0) {
		if (!p->facts.cause)
			p->facts.cause = k->s.cause;
		if (!p->facts.process && k->facts && k->facts->process)
			p->facts.process = process_ref(k->facts->process);
		return 0;
	}
	arena_reset(&l->arena);
	k->s.inner = path;
	k->s.host = k->host.data;
	return look(&k->s, NULL, NULL) == -ENOMEM ? -ENOMEM : 0;
}

void drift_scan(struct drift_live *l, struct container *c, const char *inner, const struct facts *f, const char *cause)
{
	struct scanning k = { .s = { .l = l, .c = c, .cause = cause }, .facts = f };
	const struct upper_walk w = { .skip = scan_skip, .path = scan_path, .data = &k };
	_cleanup_close_ int fd = -1;
	int r = open_sight(&k.s, &fd);

	if (r == 0)
		r = upper_new(fd, k.s.image->base, k.s.image->files, &k.second);
	if (r == 0)
		r = upper_each(k.second, inner, &w);
	if (r < 0 && r != -ENOENT && r != -ECANCELED)
		l->counters.errors++;
	if (k.s.upper)
		upper_free(k.s.upper);
	if (k.second)
		upper_free(k.second);
	buf_free(&k.host);
}
