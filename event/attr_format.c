/*
 * Attributes as text and as JSON. No state; any thread. Values of extended attributes are hostile: anybody who owns a
 * file sets them, and file systems from elsewhere hold any bytes.
 */
#include "event/attr_format.h"

#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "event/attr.h"
#include "event/json.h"
#include "lib/text.h"
#include "lib/util.h"

/* --- numbers and strings */

#define SHOW_NUMBER(member)                                                                                            \
	void attr_format_##member(struct buf *b, const struct record *r)                                               \
	{                                                                                                              \
		buf_printf(b, "%" PRIu64, (uint64_t)r->member);                                                        \
	}                                                                                                              \
	json_t *attr_json_##member(const struct record *r)                                                             \
	{                                                                                                              \
		return json_u64(r->member);                                                                            \
	}

SHOW_NUMBER(uid)
SHOW_NUMBER(gid)
SHOW_NUMBER(size)
SHOW_NUMBER(ino)
SHOW_NUMBER(nlink)
SHOW_NUMBER(layer)

#define SHOW_DEVICE(member)                                                                                            \
	void attr_format_##member(struct buf *b, const struct record *r)                                               \
	{                                                                                                              \
		buf_printf(b, "%u:%u", major(r->member), minor(r->member));                                            \
	}                                                                                                              \
	json_t *attr_json_##member(const struct record *r)                                                             \
	{                                                                                                              \
		return json_sprintf("%u:%u", major(r->member), minor(r->member));                                      \
	}

SHOW_DEVICE(dev)
SHOW_DEVICE(rdev)

/* For people the zeros at the end of a fraction go: most files of a package have whole seconds. */
static void format_time(struct buf *b, int64_t ns)
{
	char text[TEXT_TIME_MAX];
	size_t len;

	text_time(text, (uint64_t)ns, ns % (int64_t)NSEC_PER_SEC ? 9 : 0);
	len = strlen(text) - 1;
	if (memchr(text, '.', len)) {
		while (text[len - 1] == '0')
			len--;
	}
	buf_add(b, text, len);
	buf_char(b, 'Z');
}

#define SHOW_TIME(member)                                                                                              \
	void attr_format_##member(struct buf *b, const struct record *r)                                               \
	{                                                                                                              \
		format_time(b, r->member);                                                                             \
	}                                                                                                              \
	json_t *attr_json_##member(const struct record *r)                                                             \
	{                                                                                                              \
		return json_time((uint64_t)r->member);                                                                 \
	}

SHOW_TIME(mtime)
SHOW_TIME(ctime)

const char *attr_type_name(char type)
{
	static const struct {
		char type;
		const char *name;
	} names[] = { { 'f', "file" },	 { 'd', "directory" }, { 'l', "symlink" }, { 'p', "pipe" },
		      { 's', "socket" }, { 'b', "block" },     { 'c', "char" } };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].type == type)
			return names[i].name;
	}
	return "unknown";
}

void attr_format_type(struct buf *b, const struct record *r)
{
	buf_str(b, attr_type_name(r->type));
}

json_t *attr_json_type(const struct record *r)
{
	return json_string(attr_type_name(r->type));
}

void attr_format_mode(struct buf *b, const struct record *r)
{
	buf_printf(b, "%04o", r->mode);
}

json_t *attr_json_mode(const struct record *r)
{
	return json_sprintf("%04o", r->mode);
}

void attr_format_digest(struct buf *b, const struct record *r)
{
	buf_hex(b, r->digest, MIN(r->digest_len, DIGEST_MAX));
}

#define SHOW_STRING(member)                                                                                            \
	void attr_format_##member(struct buf *b, const struct record *r)                                               \
	{                                                                                                              \
		if (r->member)                                                                                         \
			text_escape(b, r->member, strlen(r->member));                                                  \
	}                                                                                                              \
	json_t *attr_json_##member(const struct record *r)                                                             \
	{                                                                                                              \
		return json_formatted(r, attr_format_##member);                                                        \
	}

/* What format makes of it, NULL when that is nothing. */
static json_t *json_formatted(const struct record *r, void (*format)(struct buf *b, const struct record *r))
{
	_cleanup_buf_ struct buf b = BUF_INIT;

	format(&b, r);
	return b.failed || !b.len ? NULL : json_stringn(b.data, b.len);
}

SHOW_STRING(mime)

void attr_format_target(struct buf *b, const struct record *r)
{
	if (r->target)
		text_escape(b, r->target, strlen(r->target));
}

/* As json_put_bytes has it: escaped only when it is not UTF-8. */
json_t *attr_json_target(const struct record *r)
{
	if (r->target && text_utf8_valid(r->target, strlen(r->target)))
		return json_string(r->target);
	return json_formatted(r, attr_format_target);
}

json_t *attr_json_digest(const struct record *r)
{
	return json_formatted(r, attr_format_digest);
}

/* --- inode flags */

/* Letters and order of lsattr(1), e2fsprogs lib/e2p/pf.c (1.47). */
static const struct {
	uint32_t flag;
	char letter;
} flag_letters[] = {
	{ FS_SECRM_FL, 's' },	  { FS_UNRM_FL, 'u' },	       { FS_SYNC_FL, 'S' },	   { FS_DIRSYNC_FL, 'D' },
	{ FS_IMMUTABLE_FL, 'i' }, { FS_APPEND_FL, 'a' },       { FS_NODUMP_FL, 'd' },	   { FS_NOATIME_FL, 'A' },
	{ FS_COMPR_FL, 'c' },	  { FS_COMPRBLK_FL, 'B' },     { FS_DIRTY_FL, 'Z' },	   { FS_NOCOMP_FL, 'm' },
	{ FS_ENCRYPT_FL, 'E' },	  { FS_JOURNAL_DATA_FL, 'j' }, { FS_INDEX_FL, 'I' },	   { FS_NOTAIL_FL, 't' },
	{ FS_TOPDIR_FL, 'T' },	  { FS_EXTENT_FL, 'e' },       { FS_HUGE_FILE_FL, 'h' },   { FS_NOCOW_FL, 'C' },
	{ FS_DAX_FL, 'x' },	  { FS_CASEFOLD_FL, 'F' },     { FS_INLINE_DATA_FL, 'N' }, { FS_PROJINHERIT_FL, 'P' },
	{ FS_VERITY_FL, 'V' },
};

void attr_format_flags(struct buf *b, const struct record *r)
{
	uint32_t rest = r->flags;

	for (size_t i = 0; i < ARRAY_SIZE(flag_letters); i++) {
		if (rest & flag_letters[i].flag)
			buf_char(b, flag_letters[i].letter);
		rest &= ~flag_letters[i].flag;
	}
	if (rest)
		buf_printf(b, "%s0x%x", r->flags == rest ? "" : "+", (unsigned)rest);
}

/* No flags set is a value: the empty string. */
json_t *attr_json_flags(const struct record *r)
{
	json_t *value = json_formatted(r, attr_format_flags);

	return value ? value : json_string("");
}

/* --- extended attributes */

/* Text that shows as it is; what reads as hex does not, to keep the two apart. */
static bool xattr_is_text(const char *value, size_t len)
{
	_cleanup_buf_ struct buf escaped = BUF_INIT;

	if (!text_utf8_valid(value, len) || (len >= 2 && memcmp(value, "0x", 2) == 0))
		return false;
	text_sanitize(&escaped, value, len);
	return !escaped.failed && escaped.len == len;
}

static void format_xattr_value(struct buf *b, const char *value, size_t len)
{
	if (xattr_is_text(value, len)) {
		buf_add(b, value, len);
		return;
	}
	buf_str(b, "0x");
	buf_hex(b, value, len);
}

/* "name=value, name=value" */
void attr_format_xattrs(struct buf *b, const struct record *r)
{
	struct reader in = { r->xattrs, r->xattrs ? r->xattrs + r->xattrs_len : NULL, false };
	bool first = true;

	while (in.p < in.end) {
		size_t name_len, len;
		const char *name = reader_bytes(&in, &name_len), *value = reader_bytes(&in, &len);

		if (in.bad)
			break;
		if (!first)
			buf_str(b, ", ");
		first = false;
		text_escape(b, name, name_len);
		buf_char(b, '=');
		format_xattr_value(b, value, len);
	}
	if (in.bad)
		buf_printf(b, "malformed (%u bytes)", (unsigned)r->xattrs_len);
}

json_t *attr_json_xattrs(const struct record *r)
{
	struct reader in = { r->xattrs, r->xattrs ? r->xattrs + r->xattrs_len : NULL, false };
	json_t *o;

	if (in.p == in.end)
		return NULL;
	o = json_object();
	while (in.p < in.end) {
		_cleanup_buf_ struct buf key = BUF_INIT, text = BUF_INIT;
		size_t name_len, len;
		const char *name = reader_bytes(&in, &name_len), *value = reader_bytes(&in, &len);

		if (in.bad)
			break;
		buf_str(&key, "");
		buf_str(&text, "");
		text_escape(&key, name, name_len);
		format_xattr_value(&text, value, len);
		if (!key.failed && !text.failed)
			json_object_set_new(o, key.data, json_stringn(text.data, text.len));
	}
	return o;
}

void attr_format_acl(struct buf *b, const struct record *r)
{
	size_t len;
	const void *value = record_xattr(r, ATTR_XATTR_ACL_ACCESS, &len);
	size_t start = b->len;

	if (value)
		xattr_format_acl(b, "", value, len);
	value = record_xattr(r, ATTR_XATTR_ACL_DEFAULT, &len);
	if (!value)
		return;
	if (b->len > start)
		buf_char(b, ',');
	xattr_format_acl(b, "default:", value, len);
}

json_t *attr_json_acl(const struct record *r)
{
	return json_formatted(r, attr_format_acl);
}

void attr_format_caps(struct buf *b, const struct record *r)
{
	size_t len;
	const void *value = record_xattr(r, ATTR_XATTR_CAPS, &len);

	if (value)
		xattr_format_caps(b, value, len);
}

json_t *attr_json_caps(const struct record *r)
{
	return json_formatted(r, attr_format_caps);
}

/* The kernel keeps the label with its NUL. */
void attr_format_selinux(struct buf *b, const struct record *r)
{
	size_t len;
	const char *value = record_xattr(r, ATTR_XATTR_SELINUX, &len);

	if (!value)
		return;
	if (len && !value[len - 1])
		len--;
	text_escape(b, value, len);
}

json_t *attr_json_selinux(const struct record *r)
{
	return json_formatted(r, attr_format_selinux);
}
