/*
 * Decides what kind of change lies between what a path was and what it is. Pure: no I/O, no allocation, any thread.
 *
 * An open deviation is one where the last known state is not what the baseline has. Undoing one is `reverted`; times,
 * inode and link count do not come back by undoing, so they do not count there.
 */
#include "fim/judge.h"

#include <string.h>

#include "fim/compare.h"
#include "watch/watch.h"

#define JUDGE_BIRTH (FS_CREATE | FS_RENAME_TO | FS_DELETE)

static bool judge_same_inode(const struct record *a, const struct record *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->type == b->type;
}

static attr_mask judge_differing(const struct record *a, const struct record *b, attr_mask mask)
{
	enum change change;

	return compare_records(a, b, mask, &change);
}

/* Nothing is said about a path that the baseline does not have and that is not there. */
static bool judge_deviates(const struct side *base, const struct side *s, attr_mask mask)
{
	if (base->exists != s->exists)
		return true;
	return base->exists && judge_differing(&base->rec, &s->rec, mask) != 0;
}

/* The path is again as the baseline has it, and it was not before. */
static bool judge_reverted(const struct judge_input *in)
{
	const attr_mask mask = in->mask & ~ATTR_BIT(ATTR_CTIME);

	if (!judge_deviates(&in->base, &in->last, in->mask) || in->base.exists != in->now.exists)
		return false;
	if (!in->base.exists)
		return true;
	if (!compare_undone(&in->base.rec, &in->now.rec, in->mask))
		return false;
	/* What differs is at most when and where: that alone was all that differed before, too, unless it was undone.
	 */
	return !in->last.exists || !compare_undone(&in->base.rec, &in->last.rec, in->mask) ||
	       (judge_deviates(&in->base, &in->last, mask) && !judge_deviates(&in->base, &in->now, mask));
}

static void judge_tell(struct judgement *j, const struct judge_input *in, enum change change, attr_mask attributes)
{
	j->tell = true;
	j->change = change;
	j->status = change == CHANGE_REVERTED ? STATUS_REVERTED : STATUS_OPEN;
	j->attributes = attributes;
	j->before = in->last.exists ? &in->last.rec : NULL;
	j->after = in->now.exists ? &in->now.rec : NULL;
}

/* A known file was moved here, to a name that was free. */
static bool judge_renamed(const struct judge_input *in, struct judgement *j)
{
	if (!in->from || !in->from_last.exists || in->last.exists)
		return false;
	if (!judge_same_inode(&in->from_last.rec, &in->now.rec))
		return false;
	if (in->from_now.exists)
		return false; /* the old name is in use again: a replacement there, an addition here */
	judge_tell(j, in, CHANGE_RENAMED, judge_differing(&in->from_last.rec, &in->now.rec, in->mask));
	j->before = &in->from_last.rec;
	j->renamed = true;
	return true;
}

static void judge_appeared(const struct judge_input *in, struct judgement *j)
{
	attr_mask differing;

	if (judge_renamed(in, j))
		return;
	if (!in->base.exists) {
		differing = judge_differing(NULL, &in->now.rec, in->mask);
		judge_tell(j, in, CHANGE_ADDED, differing);
		return;
	}
	/* Removed a while ago, and something else stands there now. */
	differing = judge_differing(&in->base.rec, &in->now.rec, in->mask);
	judge_tell(j, in, CHANGE_REPLACED, differing);
	j->before = &in->base.rec;
}

/*
 * The events saw another file come to this name, even when its content is the same; its inode number may be that of the
 * file before, which was just given back.
 */
static bool judge_born(const struct judge_input *in)
{
	if (!judge_same_inode(&in->last.rec, &in->now.rec))
		return in->ops & JUDGE_BIRTH;
	return in->ops & FS_CREATE && in->ops & (FS_DELETE | FS_RENAME_FROM);
}

static void judge_both(const struct judge_input *in, struct judgement *j)
{
	const struct record *before = &in->last.rec, *after = &in->now.rec;
	enum change change = CHANGE_ATTRIBUTES;
	attr_mask differing = compare_records(before, after, in->mask, &change);

	if (in->mask & ATTR_GROWING)
		differing = compare_growing(before, after, in->prefix, differing);
	if (!differing)
		return;
	if (judge_born(in))
		change = CHANGE_REPLACED;
	judge_tell(j, in, change, differing);
}

void judge_path(const struct judge_input *in, struct judgement *ret)
{
	*ret = (struct judgement){ 0 };
	if (!in->now.exists && !in->last.exists) {
		ret->transient = in->ops & (FS_CREATE | FS_RENAME_TO) && in->ops & (FS_DELETE | FS_RENAME_FROM);
		return;
	}
	if (judge_reverted(in)) {
		attr_mask attributes = judge_differing(in->last.exists ? &in->last.rec : NULL,
						       in->now.exists ? &in->now.rec : NULL, in->mask);

		if (attributes)
			judge_tell(ret, in, CHANGE_REVERTED, attributes);
		return;
	}
	if (!in->now.exists)
		judge_tell(ret, in, CHANGE_REMOVED, judge_differing(&in->last.rec, NULL, in->mask));
	else if (!in->last.exists)
		judge_appeared(in, ret);
	else
		judge_both(in, ret);
}
