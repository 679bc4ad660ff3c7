/*
 * Who vouches for a program. A snapshot: filled, sealed, from then on immutable and counted; the one thing it learns is
 * which digests a package database has confirmed (bounded, locked inside, never across I/O).
 *
 * Sources are asked in the configured order; the first that vouches answers:
 *   baselines  the digest is that of a program in a signed baseline, whatever the path; baselines of images vouch for
 *              what runs in containers of that image, and not for the host
 *   packages   a package lists the path, and the bytes match the package's own digest when first seen; from then on
 *              the SHA-256 alone is enough. Scripts that the package manager itself unpacks and runs count too.
 *   explicit   a digest, or a path, that was added by hand
 * Before them the list of denied programs is asked: of what stands there nobody vouches.
 */
#ifndef EXEC_TRUST_H
#define EXEC_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "event/container.h"
#include "exec/hash.h"
#include "pkg/packages.h"

enum trust_source { TRUST_NONE, TRUST_BASELINES, TRUST_PACKAGES, TRUST_EXPLICIT, TRUST_DENIED, TRUST_SOURCE_COUNT };
extern const char *const trust_source_names[TRUST_SOURCE_COUNT];
/* -EINVAL when unknown. "dpkg" is another name of "packages". */
int trust_source_by_name(const char *name, enum trust_source *ret);

/* For which processes the baselines of container images vouch. */
enum trust_images { TRUST_IMAGES_OWN, TRUST_IMAGES_CONTAINERS, TRUST_IMAGES_EVERYWHERE };

struct trust;

/* packages may be NULL; the snapshot takes a reference. -EINVAL for more than TRUST_SOURCE_COUNT sources. */
int trust_new(const enum trust_source *order, size_t n, struct packages *packages, struct trust **ret);
/*
 * Before trust_seal only. label: "host", who answers for the digests of this set; *ret_set numbers it. A set of source
 * TRUST_DENIED is one of programs that are denied. -E2BIG.
 */
int trust_add_set(struct trust *t, enum trust_source source, const char *label, enum digest_algo algo,
		  unsigned *ret_set);
int trust_add_digest(struct trust *t, unsigned set, const uint8_t *digest);
/*
 * Before trust_seal: what has this digest is an interpreter (script_interpreter), whatever its name. image: the
 * baseline of an image says so, which counts for containers alone. -E2BIG.
 */
int trust_add_interpreter(struct trust *t, enum digest_algo algo, const uint8_t *digest, const char *interpreter,
			  bool image);
/* Before trust_seal: the digests of this set are those of an image. Any of the three may be NULL. */
int trust_set_image(struct trust *t, unsigned set, const char *digest, const char *id, const char *reference);
/* Before trust_seal; TRUST_IMAGES_OWN without it: of containers whose image it is. */
void trust_believe_images(struct trust *t, enum trust_images where);
/*
 * Absolute path or glob (lib/text.h). The file that stands there is trusted whatever its content: for programs that
 * change by themselves. -E2BIG beyond 4096 paths or 256 globs.
 */
int trust_add_path(struct trust *t, const char *path);
/* Sorts. -ENOMEM. */
int trust_seal(struct trust *t);
/* A sealed snapshot with another package database; digests and paths are shared with `sealed`. -ENOMEM. */
int trust_renew(struct trust *sealed, struct packages *packages, struct trust **ret);
/*
 * A snapshot that is not sealed yet, with the packages and baselines of `sealed` and nothing that was added by hand.
 * -ENOMEM.
 */
int trust_relist(struct trust *sealed, struct trust **ret);
/* Once both are sealed: what the packages of old have confirmed need not be confirmed again. */
void trust_keep_confirmed(struct trust *t, struct trust *old);
struct trust *trust_ref(struct trust *t);
void trust_unref(struct trust *t);

/*
 * A package manager is at work: its lists and the files may not agree yet, so that a file that nobody vouches for may
 * be vouched for in a moment. Asks the file system.
 */
bool trust_unsettled(const struct trust *t);

/* Of those that are trusted, and of those that are denied. */
size_t trust_digest_count(const struct trust *t);
size_t trust_denied_count(const struct trust *t);
size_t trust_path_count(const struct trust *t);
/* There are sets of images: an answer may depend on where the program runs. */
bool trust_has_images(const struct trust *t);

/* What to compute for a file before asking: 1u << enum digest_algo for each, and the OpenSSL name of the digest that
 * its package gives (NULL: none does). */
unsigned trust_algos(const struct trust *t);
const char *trust_package_algo(const struct trust *t, const char *path);

#define TRUST_WHY_MAX 128

struct trust_answer {
	enum trust_source source; /* TRUST_NONE: nobody vouches. TRUST_DENIED is no answer */
	bool denied;		  /* it is on the list of denied programs; source is TRUST_NONE then */
	char why[TRUST_WHY_MAX]; /* "baseline host", "package coreutils 9.1-1", "explicit path"; printable or escaped by
				    whoever shows it */
	const char *interpreter; /* what whoever vouches calls a program of this content, a constant of script.h; NULL:
				    no interpreter */
	bool image; /* by the baseline of an image; with TRUST_NONE: one holds it, but vouches for nothing here */
};

/*
 * c: in which it runs, with the container's files before it; NULL: the host, or nobody knows.
 * path: as readlink of /proc/self/fd/N says, NULL when unknown; st: of the file that was hashed. May stat `path` where
 * a rule by path could apply, and read lists of packages that are being installed (never on the thread that reads
 * permission events).
 */
void trust_ask(struct trust *t, const char *path, const struct stat *st, const struct exec_digests *digests,
	       const struct container *c, struct trust_answer *ret);

/*
 * Is this program in the image of the container? 1 yes, with who says so in ret; 0 no; -ENOENT: there is no baseline of
 * that image, or it is not known which image it is. Compared by digest, by id, else by reference.
 */
int trust_ask_image(const struct trust *t, const struct container *c, const struct exec_digests *digests,
		    struct trust_answer *ret);

static inline void trust_unrefp(struct trust **t)
{
	if (*t)
		trust_unref(*t);
}
#define _cleanup_trust_ __attribute__((cleanup(trust_unrefp)))

#endif
