/*
 * The rules by which a change is excused. No I/O, no state; any thread. What a package's records do not hold (modes,
 * owners, where a link leads) is only believed when the manager itself did it, in a transaction that wrote that
 * package's records; rights that were not there before are never excused.
 */
#include "pkg/explain.h"

#include <string.h>
#include <sys/stat.h>

#include "lib/util.h"

/* What changes in a folder when something in it does. */
#define EXPLAIN_FOLDER (ATTR_BIT(ATTR_MTIME) | ATTR_BIT(ATTR_CTIME) | ATTR_BIT(ATTR_NLINK) | ATTR_BIT(ATTR_SIZE))
#define EXPLAIN_RIGHTS                                                                                                 \
	(ATTR_BIT(ATTR_MODE) | ATTR_BIT(ATTR_UID) | ATTR_BIT(ATTR_GID) | ATTR_BIT(ATTR_XATTRS) | ATTR_BIT(ATTR_ACL) |  \
	 ATTR_BIT(ATTR_CAPS) | ATTR_BIT(ATTR_SELINUX) | ATTR_BIT(ATTR_FLAGS))

/* Names under which dpkg keeps its version of a conffile that the administrator did not want. */
static const char *const explain_aside[] = { ".dpkg-dist", ".dpkg-new" };

static void explain_package(struct buf *b, const struct package_file *f)
{
	buf_printf(b, "package %s %s", f->package, f->version);
}

static bool explain_open(struct buf *b, const struct explain_input *in, const char *why)
{
	buf_str(b, b->len ? ": " : "");
	buf_str(b, why);
	if (in->script)
		buf_printf(b, " (by %s)", in->script);
	return false;
}

static bool explain_has_caps(const struct record *r)
{
	size_t len;

	return record_xattr(r, "security.capability", &len) != NULL;
}

/* Rights that the file has now and did not have before. */
static const char *explain_gained(const struct explain_input *in)
{
	const struct record *is = in->is, *was = in->was;
	uint16_t had = was ? was->mode : 0;

	if (is->type == 'l')
		return NULL;
	if (is->type == 'f' && is->mode & ~had & (S_ISUID | S_ISGID))
		return "its bytes are right, but that it is setuid or setgid now is not for a package to vouch for";
	if (is->mode & ~had & S_IWOTH && !(is->type == 'd' && is->mode & S_ISVTX))
		return "anybody may write to it now";
	if (is->type == 'f' && explain_has_caps(is) && !(was && explain_has_caps(was)))
		return "its bytes are right, but that it has capabilities now is not for a package to vouch for";
	return NULL;
}

static bool explain_removed(const struct explain_input *in, struct buf *b)
{
	struct package_file old, now;
	const char *version;
	bool listed = false;

	for (size_t i = 0; i < EXPLAIN_BEFORE && !listed; i++)
		listed = in->before[i] && packages_find(in->before[i], in->path, &old) == 0;
	if (packages_find(in->after, in->path, &now) == 0) {
		explain_package(b, &now);
		return explain_open(b, in, "still lists it");
	}
	if (!listed)
		return explain_open(b, in, "no package listed it");
	version = packages_version(in->after, old.package);
	buf_printf(b, "package %s %s %s", old.package, version ? version : old.version,
		   version ? "does not have it any more" : "removed");
	return true;
}

/* Folders, links, devices: there is nothing to compare. */
static bool explain_bare(const struct explain_input *in, const struct package_file *f, struct buf *b)
{
	const char *gained = explain_gained(in);

	explain_package(b, f);
	if (gained)
		return explain_open(b, in, gained);
	if (in->is->type == 'f')
		return explain_open(b, in, "has no digest of it");
	if (in->itself && f->touched >= in->since)
		return true;
	return explain_open(b, in, "lists it, but there is nothing to verify it by");
}

static bool explain_bytes(const struct explain_input *in, const struct package_file *f)
{
	return in->digest && in->digest_len == f->digest_len && memcmp(in->digest, f->digest, f->digest_len) == 0;
}

static bool explain_listed(const struct explain_input *in, const struct package_file *f, struct buf *b)
{
	const char *gained;

	explain_package(b, f);
	if (in->is->type != 'f')
		return explain_open(b, in, "lists a regular file there");
	if (!in->digest)
		return explain_open(b, in, "its bytes could not be compared");
	if (!explain_bytes(in, f))
		return explain_open(b, in, "the bytes are not the package's");
	gained = explain_gained(in);
	if (gained)
		return explain_open(b, in, gained);
	if (in->was && in->attributes & EXPLAIN_RIGHTS && !(in->itself && f->touched >= in->since))
		return explain_open(b, in, "its bytes are right, its rights are not as they were");
	return true;
}

/* The package's version of a configuration file, put beside the administrator's. */
static bool explain_set_aside(const struct explain_input *in, const char *path, struct buf *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(explain_aside); i++) {
		size_t len = strlen(path), cut = strlen(explain_aside[i]);
		_cleanup_buf_ struct buf name = BUF_INIT;
		struct package_file f;

		if (len <= cut || !streq(path + len - cut, explain_aside[i]))
			continue;
		buf_add(&name, path, len - cut);
		if (name.failed || packages_find(in->after, name.data, &f) || !explain_bytes(in, &f) ||
		    explain_gained(in))
			continue;
		explain_package(b, &f);
		buf_str(b, ": its version of a configuration file");
		return true;
	}
	return false;
}

bool explain_change(const struct explain_input *in, struct buf *ret_cause)
{
	const char *path = in->change == CHANGE_RENAMED && in->path2 ? in->path2 : in->path;
	struct package_file f;

	if (in->itself && package_manager_owns(in->manager, path) &&
	    (path == in->path || package_manager_owns(in->manager, in->path))) {
		buf_printf(ret_cause, "%s: its own records", in->manager->name);
		return true;
	}
	if (!in->after)
		return explain_open(ret_cause, in, "the package database could not be read");
	if (!in->is)
		return explain_removed(in, ret_cause);
	if (in->was && in->is->type == 'd' && in->was->type == 'd' && !(in->attributes & ATTR_ALL & ~EXPLAIN_FOLDER)) {
		buf_printf(ret_cause, "package transaction (%s): what is in the folder changed", in->manager->name);
		return true;
	}
	if (packages_find(in->after, path, &f) == 0 && f.half) {
		explain_package(ret_cause, &f);
		return explain_open(ret_cause, in, "it is not unpacked completely");
	}
	if (packages_find(in->after, path, &f) == 0)
		return f.digest_len ? explain_listed(in, &f, ret_cause) : explain_bare(in, &f, ret_cause);
	if (in->is->type == 'f' && explain_set_aside(in, path, ret_cause))
		return true;
	return explain_open(ret_cause, in, "no package lists it");
}
