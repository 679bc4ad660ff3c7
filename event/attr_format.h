/*
 * How each attribute is shown: the format and json members of attr_table. Extended attributes are decoded here from the
 * bytes the kernel gave; malformed ones are shown as "malformed (N bytes)".
 */
#ifndef EVENT_ATTR_FORMAT_H
#define EVENT_ATTR_FORMAT_H

#include <jansson.h>

#include "event/record.h"
#include "lib/buf.h"

#define ATTR_XATTR_ACL_ACCESS  "system.posix_acl_access"
#define ATTR_XATTR_ACL_DEFAULT "system.posix_acl_default"
#define ATTR_XATTR_CAPS	       "security.capability"
#define ATTR_XATTR_SELINUX     "security.selinux"

void attr_format_type(struct buf *b, const struct record *r);
void attr_format_mode(struct buf *b, const struct record *r);
void attr_format_uid(struct buf *b, const struct record *r);
void attr_format_gid(struct buf *b, const struct record *r);
void attr_format_size(struct buf *b, const struct record *r);
void attr_format_mtime(struct buf *b, const struct record *r);
void attr_format_ctime(struct buf *b, const struct record *r);
void attr_format_dev(struct buf *b, const struct record *r);
void attr_format_ino(struct buf *b, const struct record *r);
void attr_format_nlink(struct buf *b, const struct record *r);
void attr_format_target(struct buf *b, const struct record *r);
void attr_format_digest(struct buf *b, const struct record *r);
void attr_format_rdev(struct buf *b, const struct record *r);
void attr_format_xattrs(struct buf *b, const struct record *r);
void attr_format_acl(struct buf *b, const struct record *r);
void attr_format_caps(struct buf *b, const struct record *r);
void attr_format_selinux(struct buf *b, const struct record *r);
void attr_format_flags(struct buf *b, const struct record *r);
void attr_format_mime(struct buf *b, const struct record *r);
void attr_format_layer(struct buf *b, const struct record *r);

json_t *attr_json_type(const struct record *r);
json_t *attr_json_mode(const struct record *r);
json_t *attr_json_uid(const struct record *r);
json_t *attr_json_gid(const struct record *r);
json_t *attr_json_size(const struct record *r);
json_t *attr_json_mtime(const struct record *r);
json_t *attr_json_ctime(const struct record *r);
json_t *attr_json_dev(const struct record *r);
json_t *attr_json_ino(const struct record *r);
json_t *attr_json_nlink(const struct record *r);
json_t *attr_json_target(const struct record *r);
json_t *attr_json_digest(const struct record *r);
json_t *attr_json_rdev(const struct record *r);
json_t *attr_json_xattrs(const struct record *r);
json_t *attr_json_acl(const struct record *r);
json_t *attr_json_caps(const struct record *r);
json_t *attr_json_selinux(const struct record *r);
json_t *attr_json_flags(const struct record *r);
json_t *attr_json_mime(const struct record *r);
json_t *attr_json_layer(const struct record *r);

/* The value of an ACL xattr as "user::rw-,user:1000:r--,...", each entry behind prefix ("default:"). */
void xattr_format_acl(struct buf *b, const char *prefix, const void *value, size_t len);
/* The value of security.capability as "cap_net_raw+ep". */
void xattr_format_caps(struct buf *b, const void *value, size_t len);

#endif
