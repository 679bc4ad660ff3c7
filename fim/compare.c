/*
 * What kind of change lies between two records. No state; any thread. Opens nothing: what it is not told (the prefix of
 * a grown file) it does not find out.
 */
#include "fim/compare.h"

#include <string.h>

#include "lib/util.h"

#define COMPARE_WHEN_AND_WHERE                                                                                         \
	(ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME) | ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO) | ATTR_BIT(ATTR_NLINK))

/* What the content of a file of this type is. A folder's is its entries, which are records of their own. */
static attr_mask compare_content_of(char type)
{
	switch (type) {
	case 'f':
		return ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
	case 'l':
		return ATTR_BIT(ATTR_TARGET);
	case 'b':
	case 'c':
		return ATTR_BIT(ATTR_RDEV);
	default:
		return 0;
	}
}

/* Growing files are guarded by what their content was, so their mask asks for it in any case. */
static attr_mask compare_full_mask(attr_mask mask)
{
	if (mask & ATTR_GROWING)
		mask |= ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST);
	return mask;
}

static bool compare_same_inode(const struct record *a, const struct record *b)
{
	const uint32_t need = ATTR_BIT(ATTR_DEV) | ATTR_BIT(ATTR_INO);

	return (a->have & b->have & need) != need || (a->dev == b->dev && a->ino == b->ino);
}

attr_mask compare_records(const struct record *before, const struct record *after, attr_mask mask,
			  enum change *ret_change)
{
	attr_mask differing, content;

	if (!before || !after) {
		const struct record *r = before ? before : after;

		if (!r)
			return 0;
		*ret_change = before ? CHANGE_REMOVED : CHANGE_ADDED;
		/* An entry that came or went is a difference whatever is compared in it. */
		return (mask & ATTR_ALL & r->have) | ATTR_BIT(ATTR_TYPE);
	}
	differing = attr_compare(before, after, compare_full_mask(mask));
	if (!differing)
		return 0;
	if (before->type != after->type) {
		*ret_change = CHANGE_REPLACED;
		return differing;
	}
	content = compare_content_of(after->type);
	/* Whether another file stands there is judged by all that is known, not only by what is guarded. */
	if (!compare_same_inode(before, after) && attr_compare(before, after, content))
		*ret_change = CHANGE_REPLACED;
	else
		*ret_change = differing & content ? CHANGE_CHANGED : CHANGE_ATTRIBUTES;
	return differing;
}

bool compare_undone(const struct record *baseline, const struct record *now, attr_mask mask)
{
	mask = compare_full_mask(mask) & ~COMPARE_WHEN_AND_WHERE;
	if (baseline->type == 'd')
		mask &= ~ATTR_BIT(ATTR_SIZE);
	return !attr_compare(baseline, now, mask);
}

attr_mask compare_growing(const struct record *before, const struct record *after, const uint8_t *prefix,
			  attr_mask differing)
{
	if (!prefix || before->type != 'f' || after->type != 'f' || !(before->have & ATTR_BIT(ATTR_DIGEST)))
		return differing;
	if (after->size < before->size || memcmp(prefix, before->digest, before->digest_len) != 0)
		return differing;
	return differing & ~(ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME));
}
