/*
 * The attribute table and its groups: names, comparing, words of a mask. No state; any thread. How each attribute is
 * shown is in attr_format.c.
 */
#include "event/attr.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "event/attr_format.h"
#include "event/json.h"
#include "lib/util.h"

#define DIFFER_NUMBER(member)                                                                                          \
	static bool differ_##member(const struct record *a, const struct record *b)                                    \
	{                                                                                                              \
		return a->member != b->member;                                                                         \
	}

DIFFER_NUMBER(type)
DIFFER_NUMBER(mode)
DIFFER_NUMBER(uid)
DIFFER_NUMBER(gid)
DIFFER_NUMBER(size)
DIFFER_NUMBER(mtime)
DIFFER_NUMBER(ctime)
DIFFER_NUMBER(dev)
DIFFER_NUMBER(ino)
DIFFER_NUMBER(nlink)
DIFFER_NUMBER(rdev)
DIFFER_NUMBER(layer)

static bool differ_string(const char *a, const char *b)
{
	return a && b ? !streq(a, b) : a != b;
}

static bool differ_target(const struct record *a, const struct record *b)
{
	return differ_string(a->target, b->target);
}

static bool differ_mime(const struct record *a, const struct record *b)
{
	return differ_string(a->mime, b->mime);
}

static bool differ_digest(const struct record *a, const struct record *b)
{
	return a->digest_len != b->digest_len || memcmp(a->digest, b->digest, a->digest_len) != 0;
}

static bool differ_xattrs(const struct record *a, const struct record *b)
{
	return a->xattrs_len != b->xattrs_len || (a->xattrs_len && memcmp(a->xattrs, b->xattrs, a->xattrs_len) != 0);
}

static bool differ_xattr(const struct record *a, const struct record *b, const char *name)
{
	size_t a_len = 0, b_len = 0;
	const void *a_value = record_xattr(a, name, &a_len), *b_value = record_xattr(b, name, &b_len);

	if (!a_value || !b_value)
		return a_value != b_value;
	return a_len != b_len || memcmp(a_value, b_value, a_len) != 0;
}

static bool differ_acl(const struct record *a, const struct record *b)
{
	return differ_xattr(a, b, ATTR_XATTR_ACL_ACCESS) || differ_xattr(a, b, ATTR_XATTR_ACL_DEFAULT);
}

static bool differ_caps(const struct record *a, const struct record *b)
{
	return differ_xattr(a, b, ATTR_XATTR_CAPS);
}

static bool differ_selinux(const struct record *a, const struct record *b)
{
	return differ_xattr(a, b, ATTR_XATTR_SELINUX);
}

/*
 * Flags that a file system sets and clears by itself as a file grows or is stored in another way (ext4: extents, index,
 * inline data, huge file; btrfs: compression given up): nobody's change.
 */
static bool differ_flags(const struct record *a, const struct record *b)
{
	const uint32_t own = FS_DIRTY_FL | FS_COMPRBLK_FL | FS_NOCOMP_FL | FS_INDEX_FL | FS_HUGE_FILE_FL |
			     FS_EXTENT_FL | FS_EA_INODE_FL | FS_EOFBLOCKS_FL | FS_INLINE_DATA_FL;

	return (a->flags & ~own) != (b->flags & ~own);
}

const struct attr_info attr_table[ATTR_COUNT] = {
	[ATTR_TYPE] = { "type", "kind of file: file, directory, symlink, pipe, socket, block, char", differ_type,
			attr_format_type, attr_json_type },
	[ATTR_MODE] = { "mode", "permission bits with setuid, setgid and sticky, octal", differ_mode, attr_format_mode,
			attr_json_mode },
	[ATTR_UID] = { "uid", "owner", differ_uid, attr_format_uid, attr_json_uid },
	[ATTR_GID] = { "gid", "group", differ_gid, attr_format_gid, attr_json_gid },
	[ATTR_SIZE] = { "size", "bytes", differ_size, attr_format_size, attr_json_size },
	[ATTR_MTIME] = { "mtime", "time of the last change of the content", differ_mtime, attr_format_mtime,
			 attr_json_mtime },
	[ATTR_CTIME] = { "ctime", "time of the last change of the inode; programs cannot set it", differ_ctime,
			 attr_format_ctime, attr_json_ctime },
	[ATTR_DEV] = { "dev", "device number of the file system", differ_dev, attr_format_dev, attr_json_dev },
	[ATTR_INO] = { "ino", "inode number", differ_ino, attr_format_ino, attr_json_ino },
	[ATTR_NLINK] = { "nlink", "number of hard links", differ_nlink, attr_format_nlink, attr_json_nlink },
	[ATTR_TARGET] = { "target", "where a symbolic link points", differ_target, attr_format_target,
			  attr_json_target },
	[ATTR_DIGEST] = { "digest", "cryptographic digest of the content of a regular file", differ_digest,
			  attr_format_digest, attr_json_digest },
	[ATTR_RDEV] = { "rdev", "device number of a block or character device", differ_rdev, attr_format_rdev,
			attr_json_rdev },
	[ATTR_XATTRS] = { "xattrs", "all extended attributes: user, trusted, security, system", differ_xattrs,
			  attr_format_xattrs, attr_json_xattrs },
	[ATTR_ACL] = { "acl", "POSIX access control lists, access and default", differ_acl, attr_format_acl,
		       attr_json_acl },
	[ATTR_CAPS] = { "caps", "file capabilities", differ_caps, attr_format_caps, attr_json_caps },
	[ATTR_SELINUX] = { "selinux", "SELinux label", differ_selinux, attr_format_selinux, attr_json_selinux },
	[ATTR_FLAGS] = { "flags", "inode flags as lsattr(1) shows them: i immutable, a append only", differ_flags,
			 attr_format_flags, attr_json_flags },
	[ATTR_MIME] = { "mime", "MIME type by content (libmagic)", differ_mime, attr_format_mime, attr_json_mime },
	[ATTR_LAYER] = { "layer", "layer of the image that brought it, 1 the lowest; only in baselines of images",
			 differ_layer, attr_format_layer, attr_json_layer },
};

int attr_by_name(const char *name, enum attr *ret)
{
	for (unsigned i = 0; i < ATTR_COUNT; i++) {
		if (streq(attr_table[i].name, name)) {
			*ret = (enum attr)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* --- groups */

/* What changes with every entry of a folder, and the flag that keeps it from being compared there. */
static const struct {
	attr_mask attr, grouped;
} attr_of_folders[] = {
	{ ATTR_BIT(ATTR_SIZE), ATTR_GROUPED_SIZE },
	{ ATTR_BIT(ATTR_MTIME), ATTR_GROUPED_MTIME },
	{ ATTR_BIT(ATTR_CTIME), ATTR_GROUPED_CTIME },
	{ ATTR_BIT(ATTR_NLINK), ATTR_GROUPED_NLINK },
};

#define GROUP_PERMISSIONS                                                                                              \
	(ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) | ATTR_BIT(ATTR_XATTRS) | \
	 ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_CAPS) | ATTR_BIT(ATTR_SELINUX) | ATTR_BIT(ATTR_FLAGS))
#define GROUP_CONTENT                                                                                                  \
	(ATTR_BIT(ATTR_TYPE) | ATTR_BIT(ATTR_SIZE) | ATTR_BIT(ATTR_DIGEST) | ATTR_BIT(ATTR_TARGET) |                   \
	 ATTR_BIT(ATTR_RDEV) | ATTR_GROUPED_SIZE)

const struct attr_group attr_groups[] = {
	{ "all",
	  (ATTR_ALL & ~ATTR_BIT(ATTR_DEV) & ~ATTR_BIT(ATTR_INO) & ~ATTR_BIT(ATTR_LAYER)) | ATTR_GROUPED_SIZE |
		  ATTR_GROUPED_MTIME | ATTR_GROUPED_CTIME | ATTR_GROUPED_NLINK,
	  "every attribute but dev, ino and layer, which renumber by themselves" },
	{ "content", GROUP_CONTENT, "what the file holds: type size digest target rdev" },
	{ "permissions", GROUP_PERMISSIONS, "who may do what: type mode uid gid xattrs acl caps selinux flags" },
	{ "growing", GROUP_PERMISSIONS | GROUP_CONTENT | ATTR_GROWING,
	  "for logs: permissions and content, but appended content is fine; shrunk or rewritten is not" },
};
const size_t attr_group_count = ARRAY_SIZE(attr_groups);

static attr_mask attr_grouped_flag(attr_mask attr)
{
	for (size_t i = 0; i < ARRAY_SIZE(attr_of_folders); i++) {
		if (attr_of_folders[i].attr == attr)
			return attr_of_folders[i].grouped;
	}
	return 0;
}

/* A group does not take folders away again from an attribute that was named by itself before. */
static attr_mask attr_add_group(attr_mask mask, attr_mask group)
{
	for (size_t i = 0; i < ARRAY_SIZE(attr_of_folders); i++) {
		if (mask & attr_of_folders[i].attr && !(mask & attr_of_folders[i].grouped))
			group &= ~attr_of_folders[i].grouped;
	}
	return mask | group;
}

static attr_mask attr_remove_group(attr_mask mask, attr_mask group)
{
	for (size_t i = 0; i < ARRAY_SIZE(attr_of_folders); i++) {
		if (group & attr_of_folders[i].attr)
			group |= attr_of_folders[i].grouped;
	}
	return mask & ~group;
}

int attr_apply(const char *word, attr_mask *mask)
{
	bool away = *word == '-';
	attr_mask flag;
	enum attr attr;

	word += away;
	for (size_t i = 0; i < attr_group_count; i++) {
		if (!streq(attr_groups[i].name, word))
			continue;
		*mask = away ? attr_remove_group(*mask, attr_groups[i].mask)
			     : attr_add_group(*mask, attr_groups[i].mask);
		return 0;
	}
	if (attr_by_name(word, &attr) < 0)
		return -EINVAL;
	flag = attr_grouped_flag(ATTR_BIT(attr));
	*mask &= ~flag;
	*mask = away ? *mask & ~ATTR_BIT(attr) : *mask | ATTR_BIT(attr);
	return 0;
}

/* --- comparing */

/* The next pair that is not the SELinux label; false at the end. */
static bool attr_next_unlabelled(struct reader *in, const uint8_t **ret, size_t *ret_len)
{
	const size_t label = strlen(ATTR_XATTR_SELINUX);

	while (!in->bad && in->p < in->end) {
		const uint8_t *start = in->p;
		size_t name_len, len;
		const void *name = reader_bytes(in, &name_len);

		reader_bytes(in, &len);
		if (in->bad || (name_len == label && memcmp(name, ATTR_XATTR_SELINUX, label) == 0))
			continue;
		*ret = start;
		*ret_len = (size_t)(in->p - start);
		return true;
	}
	return false;
}

/* Whose label does not count is the same file under another policy, or unpacked on a node without one. */
static bool attr_differ_unlabelled(const struct record *a, const struct record *b)
{
	struct reader in[2] = { { 0 }, { 0 } };
	const uint8_t *pair[2] = { NULL, NULL };
	size_t len[2] = { 0, 0 };

	if (a->xattrs)
		in[0] = (struct reader){ a->xattrs, a->xattrs + a->xattrs_len, false };
	if (b->xattrs)
		in[1] = (struct reader){ b->xattrs, b->xattrs + b->xattrs_len, false };
	for (;;) {
		bool more[2] = { attr_next_unlabelled(&in[0], &pair[0], &len[0]),
				 attr_next_unlabelled(&in[1], &pair[1], &len[1]) };

		if (!more[0] || !more[1])
			return more[0] != more[1];
		if (len[0] != len[1] || memcmp(pair[0], pair[1], len[0]) != 0)
			return true;
	}
}

/* Who looked for xattrs has their views. */
static uint32_t attr_have(const struct record *r)
{
	if (r->have & ATTR_BIT(ATTR_XATTRS))
		return r->have | ATTR_BIT(ATTR_ACL) | ATTR_BIT(ATTR_CAPS) | ATTR_BIT(ATTR_SELINUX);
	return r->have;
}

static bool attr_became_unreadable(const struct record *with, const struct record *without, enum attr attr)
{
	return with->have & ATTR_BIT(attr) && !(without->have & ATTR_BIT(attr)) && without->unread != RECORD_READ &&
	       without->unread != RECORD_NOT_ASKED;
}

/* Of a file that could not be read at all the digest says it. */
static bool attr_lost_xattrs(const struct record *with, const struct record *without)
{
	return attr_became_unreadable(with, without, ATTR_XATTRS) &&
	       (without->type != 'f' || without->have & ATTR_BIT(ATTR_DIGEST));
}

attr_mask attr_compare(const struct record *before, const struct record *after, attr_mask mask)
{
	attr_mask differing = 0, both;

	if (before->type == 'd' && after->type == 'd') {
		for (size_t i = 0; i < ARRAY_SIZE(attr_of_folders); i++) {
			if (mask & attr_of_folders[i].grouped)
				mask &= ~attr_of_folders[i].attr;
		}
	}
	both = mask & attr_have(before) & attr_have(after) & ATTR_ALL;
	for (unsigned i = 0; i < ATTR_COUNT; i++) {
		if (both & ATTR_BIT(i) && attr_table[i].differ(before, after))
			differing |= ATTR_BIT(i);
	}
	if (differing & ATTR_BIT(ATTR_XATTRS) && !(mask & ATTR_BIT(ATTR_SELINUX)) &&
	    !attr_differ_unlabelled(before, after))
		differing &= ~ATTR_BIT(ATTR_XATTRS);
	if (mask & ATTR_BIT(ATTR_DIGEST) &&
	    (attr_became_unreadable(before, after, ATTR_DIGEST) || attr_became_unreadable(after, before, ATTR_DIGEST)))
		differing |= ATTR_BIT(ATTR_DIGEST);
	if (mask & ATTR_BIT(ATTR_XATTRS) && (attr_lost_xattrs(before, after) || attr_lost_xattrs(after, before)))
		differing |= ATTR_BIT(ATTR_XATTRS);
	return differing;
}

/* --- words of a mask */

#define ATTR_WORDS_MAX (2 + ATTR_COUNT)

struct attr_words {
	size_t n;
	struct {
		bool away;
		const char *name;
	} words[ATTR_WORDS_MAX];
};

static void attr_words_add(struct attr_words *w, bool away, const char *name)
{
	w->words[w->n].away = away;
	w->words[w->n++].name = name;
}

/* The words that turn `from` into mask; false when flags are in the way. */
static bool attr_words_between(struct attr_words *w, attr_mask from, attr_mask mask)
{
	for (unsigned i = 0; i < ATTR_COUNT; i++) {
		attr_mask bits = ATTR_BIT(i) | attr_grouped_flag(ATTR_BIT(i));

		if ((from & bits) == (mask & bits))
			continue;
		if (mask & bits & ~ATTR_BIT(i))
			return false;
		attr_words_add(w, !(mask & ATTR_BIT(i)), attr_table[i].name);
	}
	return (from & ATTR_GROWING) == (mask & ATTR_GROWING);
}

/* The shortest way from groups that gives the mask; its plain names when none does. */
static void attr_words_of(struct attr_words *ret, attr_mask mask)
{
	static const struct {
		const char *first, *second;
	} bases[] = {
		{ "all", NULL }, { "content", NULL }, { "permissions", NULL }, { "growing", NULL }, { "all", "growing" }
	};

	*ret = (struct attr_words){ 0 };
	if (mask & ATTR_ALL && mask & ~ATTR_ALL) {
		for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
			struct attr_words w = { 0 };
			attr_mask from = 0;

			attr_apply(bases[i].first, &from);
			attr_words_add(&w, false, bases[i].first);
			if (bases[i].second) {
				attr_apply(bases[i].second, &from);
				attr_words_add(&w, false, bases[i].second);
			}
			if (attr_words_between(&w, from, mask) && (!ret->n || w.n < ret->n))
				*ret = w;
		}
	}
	if (!ret->n)
		attr_words_between(ret, 0, mask & ATTR_ALL);
}

json_t *attr_mask_json(attr_mask mask)
{
	json_t *list = json_array();
	struct attr_words w;

	attr_words_of(&w, mask);
	for (size_t i = 0; i < w.n; i++)
		json_array_append_new(list, json_sprintf("%s%s", w.words[i].away ? "-" : "", w.words[i].name));
	return list;
}

void attr_mask_text(struct buf *b, attr_mask mask)
{
	struct attr_words w;

	attr_words_of(&w, mask);
	for (size_t i = 0; i < w.n; i++)
		buf_printf(b, "%s%s%s", i ? "," : "", w.words[i].away ? "-" : "", w.words[i].name);
}

json_t *attr_json(const struct record *r, attr_mask mask)
{
	json_t *o = json_object();
	uint32_t have = mask & attr_have(r);

	for (unsigned i = 0; i < ATTR_COUNT; i++) {
		json_t *value = have & ATTR_BIT(i) ? attr_table[i].json(r) : NULL;

		if (value)
			json_object_set_new(o, attr_table[i].name, value);
	}
	if (have & ATTR_BIT(ATTR_TARGET)) /* with target_raw when it is not UTF-8 */
		json_put_string(o, "target", r->target);
	if (mask & ATTR_BIT(ATTR_DIGEST) && !(have & ATTR_BIT(ATTR_DIGEST)) && r->unread != RECORD_READ &&
	    r->unread != RECORD_NOT_ASKED)
		json_object_set_new(o, "unread", json_string(record_unread_text(r->unread)));
	return o;
}
