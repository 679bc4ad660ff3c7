/*
 * What kind of change lies between two versions of a path. The one place that decides; scan and live both ask it.
 */
#ifndef FIM_COMPARE_H
#define FIM_COMPARE_H

#include "event/event.h"

/*
 * before or after may be NULL (absent). Returns the attributes of mask that differ and sets *ret_change; 0 and
 * untouched when nothing of mask differs. Another inode at the path (with dev or ino different) whose type or content
 * differs, or whose birth is evident from the live events, is REPLACED; the same inode with content differing is
 * CHANGED; else ATTRIBUTES.
 */
attr_mask compare_records(const struct record *before, const struct record *after, attr_mask mask,
			  enum change *ret_change);

/* As `again as the baseline has it` means it: equal but for times, inode, device and link count. */
bool compare_undone(const struct record *baseline, const struct record *now, attr_mask mask);

/*
 * ATTR_GROWING: size grew and `prefix` (digest of the first before->size bytes now) equals before->digest: removes
 * size, digest, times from differing. Shrunk or rewritten stays.
 */
attr_mask compare_growing(const struct record *before, const struct record *after, const uint8_t *prefix,
			  attr_mask differing);

#endif
