/*
 * The attribute table: what is known about a file, one row an attribute. Configuration names, database columns,
 * JSON keys, the compare step and the manual all come from these rows. (It lives in event/ because conf, db and fim
 * all need it.)
 */
#ifndef EVENT_ATTR_H
#define EVENT_ATTR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "event/record.h"
#include "lib/buf.h"

typedef uint32_t attr_mask; /* 1u << enum attr */

struct attr_info {
	const char *name; /* configuration, JSON key and column of the views alike */
	const char *help; /* one line for the manual */
	/* 0 when equal. Both records have the attribute. */
	int (*differ)(const struct record *a, const struct record *b);
	/* For people and the views: "0644", "2026-01-31T12:00:00.5Z", "user::rw-,group::r--". */
	void (*format)(struct buf *b, const struct record *r);
	/* New reference: a number, a string, or an object (xattrs). */
	json_t *(*json)(const struct record *r);
};

extern const struct attr_info attr_table[ATTR_COUNT];

/* -EINVAL when unknown. */
int attr_by_name(const char *name, enum attr *ret);

/*
 * Named groups, and their mask:
 * all: every attribute that a change of the file by anybody shows in, without dev and ino, that renumber by themselves
 * content: type size digest target
 * permissions: type mode uid gid xattrs acl caps selinux flags
 * growing: permissions, and content may only be appended to (flag ATTR_GROWING)
 */
#define ATTR_GROWING (1u << 31)
struct attr_group {
	const char *name;
	attr_mask mask;
	const char *help;
};
extern const struct attr_group attr_groups[];
extern const size_t attr_group_count;

/* A group or an attribute; or "-NAME" to take away. Applies to *mask. -EINVAL when unknown. */
int attr_apply(const char *word, attr_mask *mask);

/*
 * Which attributes of `mask` differ, among those both records have. An attribute only one side has differs, unless it
 * is one that is not recorded for every file (digest of an unread file, mime, flags): then it counts only when the record
 * states that it had been looked for (record.looked).
 */
attr_mask attr_compare(const struct record *before, const struct record *after, attr_mask mask);

/* {"mode":"0644",...} with the attributes of mask that r has. New reference. */
json_t *attr_json(const struct record *r, attr_mask mask);
/* ["mode","digest"] */
json_t *attr_mask_json(attr_mask mask);
/* "mode,digest" */
void attr_mask_text(struct buf *b, attr_mask mask);

#endif
