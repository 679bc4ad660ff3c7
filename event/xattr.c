/*
 * Decoders of the two binary extended attributes: POSIX ACLs and file capabilities, as the kernel stores them
 * (linux/posix_acl_xattr.h, linux/capability.h: little-endian). No state; any thread; any bytes.
 */
#include <cap-ng.h>
#include <linux/capability.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>

#include "event/attr_format.h"
#include "lib/util.h"

static void format_malformed(struct buf *b, size_t len)
{
	buf_printf(b, "malformed (%zu bytes)", len);
}

/* --- ACL */

static const struct acl_tag {
	uint16_t tag;
	const char *name;
	bool has_id;
} acl_tags[] = {
	{ ACL_USER_OBJ, "user", false }, { ACL_USER, "user", true },  { ACL_GROUP_OBJ, "group", false },
	{ ACL_GROUP, "group", true },	 { ACL_MASK, "mask", false }, { ACL_OTHER, "other", false },
};

static const struct acl_tag *acl_tag_of(uint16_t tag)
{
	for (size_t i = 0; i < ARRAY_SIZE(acl_tags); i++) {
		if (acl_tags[i].tag == tag)
			return &acl_tags[i];
	}
	return NULL;
}

static bool format_acl_entry(struct buf *b, const char *prefix, struct reader *in)
{
	uint16_t tag, perm;
	const struct acl_tag *info;
	uint32_t id;

	tag = reader_u8(in);
	tag |= (uint16_t)(reader_u8(in) << 8);
	perm = reader_u8(in);
	perm |= (uint16_t)(reader_u8(in) << 8);
	id = reader_u32(in);
	info = acl_tag_of(tag);
	if (in->bad || !info || perm & ~(ACL_READ | ACL_WRITE | ACL_EXECUTE))
		return false;
	buf_printf(b, "%s%s:", prefix, info->name);
	if (info->has_id)
		buf_printf(b, "%u", id);
	buf_printf(b, ":%c%c%c", perm & ACL_READ ? 'r' : '-', perm & ACL_WRITE ? 'w' : '-',
		   perm & ACL_EXECUTE ? 'x' : '-');
	return true;
}

void xattr_format_acl(struct buf *b, const char *prefix, const void *value, size_t len)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	struct reader in = { value, (const uint8_t *)value + len, false };

	if (reader_u32(&in) != POSIX_ACL_XATTR_VERSION)
		in.bad = true;
	while (!in.bad && in.p < in.end) {
		if (text.len)
			buf_char(&text, ',');
		if (!format_acl_entry(&text, prefix, &in))
			in.bad = true;
	}
	if (in.bad || text.failed) {
		buf_str(b, prefix);
		format_malformed(b, len);
		return;
	}
	if (text.len)
		buf_add(b, text.data, text.len);
	else
		buf_printf(b, "%sempty", prefix);
}

/* --- capabilities */

struct caps {
	bool effective;
	uint64_t permitted, inheritable;
	bool has_rootid;
	uint32_t rootid;
};

static bool caps_decode(const void *value, size_t len, struct caps *ret)
{
	static const struct {
		uint32_t revision;
		unsigned words;
		bool has_rootid;
	} revisions[] = {
		{ VFS_CAP_REVISION_1, VFS_CAP_U32_1, false },
		{ VFS_CAP_REVISION_2, VFS_CAP_U32_2, false },
		{ VFS_CAP_REVISION_3, VFS_CAP_U32_3, true },
	};
	struct reader in = { value, (const uint8_t *)value + len, false };
	uint32_t magic = reader_u32(&in);
	struct caps caps = { .effective = magic & VFS_CAP_FLAGS_EFFECTIVE };

	if (magic & VFS_CAP_FLAGS_MASK & ~(uint32_t)VFS_CAP_FLAGS_EFFECTIVE)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(revisions); i++) {
		if ((magic & VFS_CAP_REVISION_MASK) != revisions[i].revision)
			continue;
		for (unsigned word = 0; word < revisions[i].words; word++) {
			caps.permitted |= (uint64_t)reader_u32(&in) << (32 * word);
			caps.inheritable |= (uint64_t)reader_u32(&in) << (32 * word);
		}
		caps.has_rootid = revisions[i].has_rootid;
		if (caps.has_rootid)
			caps.rootid = reader_u32(&in);
		if (in.bad || in.p != in.end)
			return false;
		*ret = caps;
		return true;
	}
	return false;
}

static void format_cap_name(struct buf *b, unsigned cap)
{
	const char *name = cap <= CAP_LAST_CAP ? capng_capability_to_name(cap) : NULL;

	if (name)
		buf_printf(b, "cap_%s", name);
	else
		buf_printf(b, "cap_%u", cap);
}

/* One clause "cap_a,cap_b+ep" of the capabilities in `set`, a blank before all but the first. */
static void format_caps_clause(struct buf *b, size_t start, uint64_t set, const char *letters)
{
	bool first = true;

	if (!set)
		return;
	if (b->len > start)
		buf_char(b, ' ');
	for (unsigned cap = 0; cap < 64; cap++) {
		if (!(set >> cap & 1))
			continue;
		if (!first)
			buf_char(b, ',');
		first = false;
		format_cap_name(b, cap);
	}
	buf_printf(b, "+%s", letters);
}

/* The effective flag is one for all: the kernel raises whatever execve(2) permits. */
void xattr_format_caps(struct buf *b, const void *value, size_t len)
{
	size_t start = b->len;
	struct caps caps;

	if (!caps_decode(value, len, &caps)) {
		format_malformed(b, len);
		return;
	}
	format_caps_clause(b, start, caps.permitted & caps.inheritable, caps.effective ? "eip" : "ip");
	format_caps_clause(b, start, caps.permitted & ~caps.inheritable, caps.effective ? "ep" : "p");
	format_caps_clause(b, start, caps.inheritable & ~caps.permitted, caps.effective ? "ei" : "i");
	if (b->len == start)
		buf_char(b, '=');
	if (caps.has_rootid)
		buf_printf(b, " [rootid=%u]", caps.rootid);
}
