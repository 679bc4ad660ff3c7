/* Between the snapshot (packages.c) and the readers of database formats. */
#ifndef PKG_READER_H
#define PKG_READER_H

#include "pkg/packages.h"

#define PACKAGE_STAMPS 4

/*
 * One format. load calls packages_add_* for all it finds below rootfd; a root without this database is 0. stamps are
 * what a transaction writes, relative to the root: the first is the file whose change means "outdated". lock: the lock
 * file of the manager.
 */
struct package_format {
	const char *name;
	const char *stamps[PACKAGE_STAMPS]; /* NULL: no more */
	const char *lock;
	int (*load)(struct packages *p, int rootfd, struct buf *warnings);
	/*
	 * Looks for path (no leading slash) only in what was written since (real ns): 0, -ENOENT, or another negative
	 * errno. ret_name: of the package, cut when it has to be.
	 */
	int (*fresh)(const struct packages *p, int rootfd, uint64_t since, const char *path,
		     char ret_name[PACKAGE_NAME_MAX], struct package_file *ret);
};

/* Both name one file of the host; neither begins with a slash. */
bool packages_same_path(const struct packages *p, const char *a, size_t a_len, const char *b, size_t b_len);

extern const struct package_format package_dpkg;

/* Returns the package's number for packages_add_file, or a negative errno. */
int packages_add(struct packages *p, const char *name, size_t name_len, const char *version, size_t version_len);
/* A newer word on the same package. */
int packages_set_version(struct packages *p, int package, const char *version, size_t len);
/* It is not installed any more, after all. */
void packages_drop(struct packages *p, int package);
/* Removed, but its configuration is still there: it counts no more, its files are known. */
void packages_set_residual(struct packages *p, int package);
/* Whether it is in the middle of being unpacked. */
void packages_set_half(struct packages *p, int package, bool half);
/* Its own records were written then (real ns). */
void packages_note_touched(struct packages *p, int package, uint64_t ns);
/* Whether paths without a digest are wanted too. */
bool packages_want_lists(const struct packages *p);
/*
 * path absolute or relative to the root, len bytes. A later call for a path replaces the earlier one (a conffile's
 * digest from status, a file that moved between packages), but none without a digest (NULL) replaces one that has it.
 */
int packages_add_file(struct packages *p, int package, const char *path, size_t len, const char *algo,
		      const uint8_t *digest, size_t digest_len, bool conffile);
void packages_skip(struct packages *p, struct buf *warnings, const char *file, unsigned line, const char *what);

/* A whole regular file below dirfd (no links followed, at most max bytes), NUL behind it: 0 and *ret_data to free, or
 * -errno. ret_changed (may be NULL): its ctime, real ns. */
int package_read_file(int dirfd, const char *path, size_t max, char **ret_data, size_t *ret_len, uint64_t *ret_changed);

#endif
