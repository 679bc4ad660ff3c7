/*
 * One look at one path: what is asked of a hash worker, what the worker reads, and what the live thread makes of the
 * answer. evaluate_read runs on workers and touches nothing but its job; all else runs on the live thread.
 *
 * Both ends of a rename are pending. The new name is judged first and takes the old one along; the old one gives way
 * until that has happened.
 */
#include "fim/live-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fim/compare.h"
#include "lib/util.h"
#include "watch/place.h"

#define EVALUATE_CHAIN_MAX 16
#define EVALUATE_WAITS_MAX 20
#define EVALUATE_RETRY_NS  NSEC_PER_SEC
#define EVALUATE_OWN_END   (FS_CLOSE_WRITE | FS_DELETE | FS_RENAME_TO | FS_RENAME_FROM)

void evaluate_free(struct job *j)
{
	arena_free(&j->arena);
	free(j);
}

/* What is held back is in no history yet. */
static int evaluate_last(struct live *l, struct arena *a, const char *path, struct side *ret)
{
	int r = hold_last(l, a, path, ret);

	return r ? MIN(r, 0) : states_last(l->states, a, path, ret);
}

/* --- on a worker */

static int read_side(struct file_reader *reader, struct arena *a, int rootfd, const char *path, attr_mask mask,
		     struct side *ret, int *ret_dirfd, const char **ret_name)
{
	int r = file_open_parent(rootfd, path, ret_dirfd, ret_name);

	if (r == 0)
		r = file_read_meta(reader, a, *ret_dirfd, *ret_name, &ret->rec);
	/* A component that is a link or no folder: what is guarded by this name is not there. */
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
		ret->exists = false;
		return 0;
	}
	if (r < 0)
		return r;
	ret->exists = true;
	if (mask)
		file_read_content(reader, a, *ret_dirfd, *ret_name, mask, &ret->rec);
	return 0;
}

static void read_names(struct job *j, int dirfd, const char *name)
{
	_cleanup_close_ int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	_cleanup_closedir_ DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir)
		return;
	TAKE_FD(fd);
	j->names = arena_alloc(&j->arena, LIVE_LIST_MAX * sizeof(*j->names));
	while (j->names && (e = readdir(dir))) {
		if (streq(e->d_name, ".") || streq(e->d_name, ".."))
			continue;
		if (j->n_names == LIVE_LIST_MAX) {
			j->more_names = true;
			break;
		}
		j->names[j->n_names] = arena_strdup(&j->arena, e->d_name);
		if (!j->names[j->n_names])
			break;
		j->n_names++;
	}
}

static void read_prefix(struct file_reader *reader, struct job *j, int dirfd, const char *name)
{
	if (!j->want_prefix || j->now.rec.type != 'f' || j->now.rec.size < j->prefix_size)
		return;
	j->has_prefix = file_read_prefix(reader, dirfd, name, j->prefix_size, j->prefix) == 0;
}

void evaluate_read(struct file_reader *reader, int rootfd, struct job *j)
{
	_cleanup_close_ int dirfd = -1, from_dirfd = -1;
	uint64_t start = clock_mono_ns(), unanswered = file_reader_unanswered(reader);
	const char *name;

	/* Created and not closed: a regular file with one name may still be written. */
	if (j->create_only) {
		j->error = read_side(reader, &j->arena, rootfd, j->path, 0, &j->now, &dirfd, &name);
		j->still_open = !j->error && j->now.exists && j->now.rec.type == 'f' && j->now.rec.nlink == 1;
		if (j->error || j->still_open)
			return;
		cleanup_close(&dirfd);
		dirfd = -1;
	}
	file_reader_want_extra(reader, j->extra_algo);
	j->error = read_side(reader, &j->arena, rootfd, j->path,
			     j->extra_algo ? j->mask | ATTR_BIT(ATTR_DIGEST) : j->mask, &j->now, &dirfd, &name);
	j->extra_len = file_reader_extra(reader, j->extra);
	file_reader_want_extra(reader, NULL);
	if (!j->error && j->now.exists && j->now.rec.type == 'd' && j->list)
		read_names(j, dirfd, name);
	if (!j->error && j->now.exists)
		read_prefix(reader, j, dirfd, name);
	if (!j->error && j->from)
		j->error = read_side(reader, &j->arena, rootfd, j->from, 0, &j->from_now, &from_dirfd, &name);
	j->cost = clock_mono_ns() - start - (file_reader_unanswered(reader) - unanswered);
}

/* --- renamed folders */

void evaluate_note_move(struct live *l, const struct fs_event *e)
{
	struct move *m = &l->moves[l->next_move];

	l->next_move = (l->next_move + 1) % LIVE_MOVES_MAX;
	free(m->from);
	free(m->to);
	if (m->process)
		process_unref(m->process);
	*m = (struct move){ strdup(e->path2), strdup(e->path), e->process ? process_ref(e->process) : NULL };
	if (!m->from || !m->to) {
		free(m->from);
		free(m->to);
		m->from = m->to = NULL;
	}
}

/* The other name of path, now (or before) a folder above it was renamed a moment ago. */
static const struct move *evaluate_moved(const struct live *l, const char *path, bool before, struct buf *ret_other)
{
	for (size_t i = 1; i <= LIVE_MOVES_MAX; i++) {
		const struct move *m = &l->moves[(l->next_move + LIVE_MOVES_MAX - i) % LIVE_MOVES_MAX];
		const char *this = before ? m->to : m->from;

		if (!m->from || !live_below(path, this))
			continue;
		buf_printf(ret_other, "%s%s", before ? m->from : m->to, path + strlen(this));
		return ret_other->failed ? NULL : m;
	}
	return NULL;
}

/* --- asking */

/* Where a file that was renamed several times in a row came from: the first name that is known. */
static const char *evaluate_origin(struct live *l, struct job *j, const char *from)
{
	struct side last;

	for (unsigned i = 0; i < EVALUATE_CHAIN_MAX; i++) {
		const struct pending *p = settle_find(&l->settle, from);

		if (evaluate_last(l, &j->arena, from, &last) < 0 || last.exists || !p)
			break;
		if (p->facts.from)
			from = p->facts.from;
		else if (p->taken.from)
			from = p->taken.from;
		else
			break;
	}
	return arena_strdup(&j->arena, from);
}

static void evaluate_ask_origin(struct live *l, struct job *j)
{
	_cleanup_buf_ struct buf from = BUF_INIT;

	if (j->p->taken.from)
		j->from = evaluate_origin(l, j, j->p->taken.from);
	else if (evaluate_moved(l, j->path, true, &from))
		j->from = arena_strdup(&j->arena, from.data);
}

static void evaluate_ask_prefix(struct live *l, struct job *j)
{
	struct side last;

	if (!(j->mask & ATTR_GROWING))
		return;
	j->mask |= ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
	if (evaluate_last(l, &j->arena, j->path, &last) < 0 || !last.exists)
		return;
	j->want_prefix = last.rec.have & ATTR_BIT(ATTR_DIGEST);
	j->prefix_size = last.rec.size;
}

static void evaluate_end(struct live *l, struct pending *p, uint64_t cost)
{
	if (p->taken.scan)
		l->scan_outstanding--;
	settle_done(&l->settle, p, clock_boot_ns(), cost);
}

void evaluate_start(struct live *l, struct pending *p)
{
	const struct facts *f = &p->taken;
	struct job *j;
	attr_mask mask;

	if (!live_mask(l, p->node.path, &mask)) {
		evaluate_end(l, p, 0);
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		l->counters.errors++;
		settle_put_back(&l->settle, p, clock_boot_ns() + EVALUATE_RETRY_NS);
		return;
	}
	j->message.kind = MESSAGE_RESULT;
	j->p = p;
	j->path = p->node.path;
	j->looked = clock_boot_ns();
	j->mask = mask;
	j->create_only = f->ops & FS_CREATE && !(f->ops & EVALUATE_OWN_END) && !f->is_dir && !p->writer_open;
	j->list = f->ops & (FS_CREATE | FS_RENAME_TO) || (f->candidate && !f->scan);
	evaluate_ask_origin(l, j);
	evaluate_ask_prefix(l, j);
	j->extra_algo = hold_algo(l, f);
	l->counters.evaluated++;
	l->in_flight++;
	/* Never full: it has room for all that may be in flight. */
	if (queue_try_push(l->jobs, j) < 0) {
		l->in_flight--;
		settle_put_back(&l->settle, p, clock_boot_ns() + EVALUATE_RETRY_NS);
		evaluate_free(j);
	}
}

/* --- the other end of a rename */

static void evaluate_give_way(struct live *l, struct pending *p, struct pending *other)
{
	uint64_t now = clock_boot_ns();

	settle_hasten(&l->settle, other, now);
	p->waited++;
	settle_put_back(&l->settle, p, now + l->settle.settle / 2);
}

static struct pending *evaluate_follow_folder(struct live *l, struct pending *p)
{
	_cleanup_buf_ struct buf to = BUF_INIT;
	const struct move *m = evaluate_moved(l, p->node.path, false, &to);
	struct pending *other = m ? settle_find(&l->settle, to.data) : NULL;

	/* Once the new name has been judged and this one is still known, it was really removed. */
	if (!m || other || p->waited)
		return other;
	if (settle_candidate(&l->settle, to.data, p->node.path, clock_boot_ns(), &other) < 0)
		return NULL;
	other->facts.cause = "folder renamed";
	if (!other->facts.process && m->process)
		other->facts.process = process_ref(m->process);
	return other;
}

/* A name in the middle of a chain of renames that nobody knew: its ends now point to each other. */
static void evaluate_pass_on(struct live *l, struct pending *p, struct pending *other)
{
	const char *origin = p->taken.from;
	struct pending *first = origin ? settle_find(&l->settle, origin) : NULL;

	if (!origin || !other->facts.from || !streq(other->facts.from, p->node.path))
		return;
	free(other->facts.from);
	other->facts.from = strdup(origin);
	if (first && first->facts.to) {
		free(first->facts.to);
		first->facts.to = strdup(other->node.path);
	}
}

/* True when p has to wait for another path to be judged. */
static bool evaluate_waits(struct live *l, struct job *j, const struct side *last)
{
	struct pending *p = j->p, *other = NULL;
	bool follows = false;

	if (j->now.exists || p->waited >= EVALUATE_WAITS_MAX)
		return false;
	if (p->taken.to && *p->taken.to)
		other = settle_find(&l->settle, p->taken.to);
	if (!last->exists) {
		if (other && other != p)
			evaluate_pass_on(l, p, other);
		return false;
	}
	if (!other && !p->taken.to) {
		other = evaluate_follow_folder(l, p);
		follows = other != NULL;
	}
	if (!other || other == p || (!other->busy && !other->facts.from && !follows))
		return false;
	evaluate_give_way(l, p, other);
	return true;
}

/* --- folders */

/* Everything in a folder that came is looked at, under its new name. */
static void evaluate_list(struct live *l, struct job *j, const char *from)
{
	_cleanup_buf_ struct buf path = BUF_INIT, old = BUF_INIT;
	struct process *process = j->p->taken.process;

	if (j->more_names) {
		rescan_request(l, j->path, false, from ? "folder renamed" : "in a new folder", process);
		return;
	}
	for (size_t i = 0; i < j->n_names; i++) {
		struct pending *p;

		buf_reset(&path);
		buf_reset(&old);
		buf_printf(&path, "%s/%s", j->path, j->names[i]);
		if (from)
			buf_printf(&old, "%s/%s", from, j->names[i]);
		if (path.failed || old.failed)
			return;
		if (settle_candidate(&l->settle, path.data, from ? old.data : NULL, clock_boot_ns(), &p) < 0) {
			live_overflow(l, path.data);
			return;
		}
		if (!p->facts.cause)
			p->facts.cause = from ? "folder renamed" : "in a new folder";
		if (!p->facts.process && process)
			p->facts.process = process_ref(process);
	}
}

static void evaluate_folder(struct live *l, struct job *j, const struct judge_input *in, const struct judgement *v)
{
	const struct facts *f = &j->p->taken;

	if (in->now.exists && in->now.rec.type == 'd') {
		if (v->renamed) {
			rescan_request(l, in->from, false, "folder renamed", f->process);
		}
		if (v->renamed || (v->tell && (!in->last.exists || f->ops & FS_RENAME_TO)))
			evaluate_list(l, j, v->renamed ? in->from : NULL);
		/* Another one took its place within the settling time: alike itself, with anything in it. */
		else if (f->ops & FS_RENAME_TO && in->last.exists && !f->scan)
			rescan_request(l, j->path, false, "folder exchanged", f->process);
	}
	/*
	 * What was below a folder that went away whole gave no events of its own, and when it was emptied first their
	 * names could not be asked for any more.
	 */
	if (v->tell && in->last.exists && in->last.rec.type == 'd' && !f->scan &&
	    (!in->now.exists || in->now.rec.type != 'd'))
		rescan_request(l, j->path, false, "folder is gone", f->process);
}

/* --- judging */

static int evaluate_input(struct live *l, struct job *j, struct judge_input *in)
{
	int r;

	*in = (struct judge_input){
		.path = j->path,
		.from = j->from,
		.ops = j->p->taken.ops,
		.mask = j->mask,
		.now = j->now,
		.from_now = j->from_now,
		.prefix = j->has_prefix ? j->prefix : NULL,
	};
	r = evaluate_last(l, &j->arena, j->path, &in->last);
	if (r == 0)
		r = states_base(l->states, &j->arena, j->path, &in->base);
	if (r == 0 && j->from)
		r = evaluate_last(l, &j->arena, j->from, &in->from_last);
	return r;
}

static bool evaluate_same(const struct side *a, const struct side *b)
{
	return a->exists == b->exists && (!a->exists || record_same_version(&a->rec, &b->rec));
}

/* When in doubt it is. */
static bool is_based(struct live *l, struct job *j, const char *path)
{
	struct side base;

	return states_base(l->states, &j->arena, path, &base) < 0 || base.exists;
}

static void evaluate_judge(struct live *l, struct job *j, const struct judge_input *in)
{
	const struct side gone = { .exists = false };
	const struct facts *f = &j->p->taken;
	struct judgement v;

	judge_path(in, &v);
	/* An editor's temporary file is no news, unless somebody ran it; what was renamed is told under its new name.
	 */
	if (v.transient && (!place_is_temporary(j->path) || f->ops & FS_EXEC) && (!f->to || !*f->to))
		merge_transient(l, j->path, f);
	if (v.tell)
		tell_change(l, &(struct told){ in, &v, f, j->extra_len ? j->extra : NULL, j->extra_len });
	if (v.tell || !evaluate_same(&in->last, &in->now))
		states_set(l->states, j->path, &in->now, in->base.exists);
	if (v.renamed)
		states_set(l->states, in->from, &gone, is_based(l, j, in->from));
	l->counters.names = states_names(l->states);
	evaluate_folder(l, j, in, &v);
	if (in->now.exists && in->now.rec.type == 'f' && in->now.rec.nlink > 1 && l->o.noticed)
		l->o.noticed(j->path, true, false, l->o.data);
}

static void evaluate_failed(struct live *l, struct job *j, int error)
{
	struct pending *p = j->p;

	l->counters.errors++;
	if (p->waited < LIVE_RETRIES) {
		p->waited++;
		settle_put_back(&l->settle, p, clock_boot_ns() + EVALUATE_RETRY_NS);
		return;
	}
	if (l->o.gap)
		l->o.gap(&(struct watch_gap){ .reason = GAP_UNREADABLE, .scope = j->path, .detail = strerror(-error) },
			 l->o.data);
	evaluate_end(l, p, j->cost);
}

void evaluate_finish(struct live *l, struct job *j)
{
	struct pending *p = j->p;
	struct judge_input in;
	int r = j->error;

	if (j->still_open) {
		p->writer_open = !(p->facts.ops & EVALUATE_OWN_END);
		settle_put_back(&l->settle, p, p->taken.first + l->settle.settle_max);
	} else if (r < 0 || (r = evaluate_input(l, j, &in)) < 0) {
		evaluate_failed(l, j, r);
	} else if (!(in.last.exists && !j->now.exists &&
		     settle_doubts(&l->settle, p, j->looked, l->seen, clock_boot_ns())) &&
		   !evaluate_waits(l, j, &in.last)) {
		evaluate_judge(l, j, &in);
		evaluate_end(l, p, j->cost);
	}
	evaluate_free(j);
}
