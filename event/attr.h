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

/*
 * ATTR_BIT of each attribute, and two kinds of flags that only masks of a policy carry:
 * ATTR_GROWING: content may only be appended to.
 * ATTR_GROUPED_*: this attribute came with a group, not by its own name, and is not compared for folders: their size,
 * times and link count change with each entry, which is reported as that entry's change.
 */
typedef uint32_t attr_mask;

#define ATTR_GROUPED_SIZE  (1u << 27)
#define ATTR_GROUPED_MTIME (1u << 28)
#define ATTR_GROUPED_CTIME (1u << 29)
#define ATTR_GROUPED_NLINK (1u << 30)
#define ATTR_GROWING	   (1u << 31)
#define ATTR_ALL	   (ATTR_BIT(ATTR_COUNT) - 1) /* the attributes alone: mask & ATTR_ALL takes the flags off */

struct attr_info {
	const char *name; /* configuration, JSON key and column of the views alike */
	const char *help; /* one line for the manual */
	/* True when they differ. Both records have the attribute. */
	bool (*differ)(const struct record *a, const struct record *b);
	/* For people: "0644", "2026-01-31T12:00:00.5Z", "user::rw-,group::r--". Escaped. Nothing when it has no value
	 * (no ACL). */
	void (*format)(struct buf *b, const struct record *r);
	/* New reference: a number, a string, or an object (xattrs); NULL when it has no value. */
	json_t *(*json)(const struct record *r);
};

extern const struct attr_info attr_table[ATTR_COUNT];

/* -EINVAL when unknown. */
int attr_by_name(const char *name, enum attr *ret);

/*
 * Named groups, and their mask:
 * all: every attribute that a change of the file by anybody shows in, without dev, ino and layer, that renumber by
 * themselves
 * content: type size digest target rdev
 * permissions: type mode uid gid xattrs acl caps selinux flags
 * growing: permissions and content, which may only be appended to (flag ATTR_GROWING)
 */
struct attr_group {
	const char *name;
	attr_mask mask;
	const char *help;
};
extern const struct attr_group attr_groups[];
extern const size_t attr_group_count;

/*
 * A group or an attribute; or "-NAME" to take away. Applies to *mask. An attribute by its own name holds for folders
 * too, whatever the order ("all, ctime" and "ctime, all"). -EINVAL when unknown.
 */
int attr_apply(const char *word, attr_mask *mask);

/*
 * Which attributes of `mask` differ, flags off, among those that both records have (who has xattrs has acl, caps and
 * selinux too). The digest differs also when one has it and the other could not be read (unread is neither RECORD_READ
 * nor RECORD_NOT_ASKED). Without ATTR_SELINUX in the mask a label does not count among the xattrs either. ATTR_GROWING
 * is not looked at: the caller decides what may grow.
 */
attr_mask attr_compare(const struct record *before, const struct record *after, attr_mask mask);

/* The word of a type letter: "file", "directory", "symlink", "pipe", "socket", "block", "char"; "unknown" for any
 * other. */
const char *attr_type_name(char type);

/* {"mode":"0644",...} with the attributes of mask that r has, and "unread" with the reason for no digest. New
 * reference. */
json_t *attr_json(const struct record *r, attr_mask mask);
/*
 * ["mode","digest"]; for a policy's mask (flags) the words that attr_apply makes it of: ["all","-mtime","ino"]. New
 * reference.
 */
json_t *attr_mask_json(attr_mask mask);
/* The same words: "mode,digest". */
void attr_mask_text(struct buf *b, attr_mask mask);

#endif
