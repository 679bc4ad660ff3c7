/*
 * What the package databases of the host say about its files: which package brought a path, and the digest the package
 * gives it. A snapshot, immutable and counted. Readers of database formats are rows of a table (dpkg now).
 *
 * dpkg's digests are MD5. They answer "are these the bytes the package shipped" once, at first sight; they are never a
 * file's identity (the caller remembers a SHA-256 from then on) and never outvote a baseline.
 */
#ifndef PKG_PACKAGES_H
#define PKG_PACKAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define PACKAGE_DIGEST_MAX 64

struct package_file {
	const char *package; /* lives as long as the snapshot */
	const char *version;
	const char *algo; /* OpenSSL name of the digest: "MD5" */
	uint8_t digest[PACKAGE_DIGEST_MAX];
	size_t digest_len; /* 0: listed without one (a folder, a link); never after packages_load */
	bool conffile;	   /* may be changed by the administrator */
	bool half;	   /* it is being unpacked, or that was broken off: version and files may not agree */
	uint64_t touched;  /* real ns: when the package's own records were last written; 0 unknown */
};

struct packages;

/*
 * Reads every known database below root ("/"). A root without any is an empty snapshot. What was malformed is skipped
 * and counted, with the first few named in warnings ("file:line: message\n"). Bounded: 64 MiB a file, 4 million paths.
 */
int packages_load(const char *root, struct packages **ret, struct buf *warnings);
/* The same, and what packages list without a digest too: folders and links. */
int packages_load_lists(const char *root, struct packages **ret, struct buf *warnings);
struct packages *packages_ref(struct packages *p);
void packages_unref(struct packages *p);

/* path: absolute, as the host has it (symlinked /bin, /lib resolved). 0, or -ENOENT when no package lists it. */
int packages_find(const struct packages *p, const char *path, struct package_file *ret);

#define PACKAGE_NAME_MAX 128
/*
 * The same from what was written since the snapshot was made, while a transaction is under way: some milliseconds, and
 * no new snapshot. ret->package is ret_name, ret->version "".
 */
int packages_find_fresh(const struct packages *p, const char *path, char ret_name[PACKAGE_NAME_MAX],
			struct package_file *ret);

/* Version of an installed package (the first of that name), NULL when there is none. */
const char *packages_version(const struct packages *p, const char *name);

size_t packages_count(const struct packages *p); /* packages */
size_t packages_files(const struct packages *p);
size_t packages_skipped(const struct packages *p); /* malformed entries */

/* True when a database was written since the snapshot was made (by time, size and inode of its main file): load it
 * again. */
bool packages_outdated(const struct packages *p);
/* The same in the middle of a transaction: true when anything below the databases was written. */
bool packages_touched(const struct packages *p);
/* True while a package manager holds its lock: databases and files may not agree yet. */
bool packages_busy(const struct packages *p);

/* One snapshot of "/", with what packages list without a digest, for all who need one at the same time. */
struct packages_store;
int packages_store_new(struct packages_store **ret);
void packages_store_free(struct packages_store *s);
/* A reference to a snapshot that nothing was written since, read if need be. s NULL: one of one's own. Any thread. */
int packages_store_get(struct packages_store *s, struct packages **ret, struct buf *warnings);

static inline void packages_unrefp(struct packages **p)
{
	if (*p)
		packages_unref(*p);
}
#define _cleanup_packages_ __attribute__((cleanup(packages_unrefp)))

#endif
