/* Between the snapshot (packages.c) and the readers of database formats. */
#ifndef PKG_READER_H
#define PKG_READER_H

#include "pkg/packages.h"

/*
 * One format. load calls packages_add_* for all it finds below rootfd; a root without this database is 0. stamp and
 * lock name the file whose change means "outdated" and the lock file of the manager, relative to the root.
 */
struct package_format {
	const char *name;
	const char *stamp;
	const char *lock;
	int (*load)(struct packages *p, int rootfd, struct buf *warnings);
};

extern const struct package_format package_dpkg;

/* Returns the package's number for packages_add_file, or a negative errno. */
int packages_add(struct packages *p, const char *name, size_t name_len, const char *version, size_t version_len);
/*
 * path absolute or relative to the root, len bytes. A later call for a path replaces the earlier one (a conffile's
 * digest from status, a file that moved between packages).
 */
int packages_add_file(struct packages *p, int package, const char *path, size_t len, const char *algo,
		      const uint8_t *digest, size_t digest_len, bool conffile);
void packages_skip(struct packages *p, struct buf *warnings, const char *file, unsigned line, const char *what);

/* A whole regular file below dirfd (no links followed, at most max bytes), NUL behind it: 0 and *ret_data to free, or
 * -errno. */
int package_read_file(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len);

#endif
