/*
 * One version of one file: every attribute that was recorded, and which ones those are. Pointers lead into memory of
 * whoever made the record (an arena, a chunk); records are plain values to copy.
 */
#ifndef EVENT_RECORD_H
#define EVENT_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/digest.h"

enum attr {
	ATTR_TYPE,
	ATTR_MODE,
	ATTR_UID,
	ATTR_GID,
	ATTR_SIZE,
	ATTR_MTIME,
	ATTR_CTIME,
	ATTR_DEV,
	ATTR_INO,
	ATTR_NLINK,
	ATTR_TARGET,
	ATTR_DIGEST,
	ATTR_RDEV,
	ATTR_XATTRS,
	ATTR_ACL,
	ATTR_CAPS,
	ATTR_SELINUX,
	ATTR_FLAGS,
	ATTR_MIME,
	ATTR_LAYER,
	ATTR_COUNT
};
#define ATTR_BIT(a) (1u << (a))

/*
 * Why a regular file has no digest, or a file of any kind no xattrs. Positive errno values also stand here (EACCES,
 * EIO, ETXTBSY...).
 */
enum record_unread {
	RECORD_READ = 0,	/* it has both, or none is due (only a regular file has a digest) */
	RECORD_UNSTABLE = 1000, /* changed while being read, three times */
	RECORD_TOO_LARGE,	/* above limits.hash_size */
	RECORD_NOT_ASKED,	/* attributes of its path leave the digest out */
	RECORD_GONE,		/* removed between listing and reading */
};

struct record {
	uint32_t have; /* ATTR_BIT of each attribute recorded */
	char type;     /* as find -printf %y: f d l p s b c */
	uint16_t mode; /* permission bits with setuid, setgid, sticky: 07777 */
	uint16_t unread;
	uint32_t uid;
	uint32_t gid;
	uint32_t flags; /* FS_IOC_GETFLAGS */
	uint32_t nlink;
	uint64_t size;
	int64_t mtime; /* ns since 1970 */
	int64_t ctime;
	uint64_t dev; /* makedev(major, minor) as in struct stat */
	uint64_t ino;
	uint64_t rdev;
	const char *target; /* of a symlink */
	/*
	 * All xattrs: buf_bytes(name) buf_bytes(value) pairs sorted by name. ACL, CAPS and SELINUX are views of it.
	 * NULL and 0 when there are none (ATTR_XATTRS is still in have when that was looked for).
	 */
	const uint8_t *xattrs;
	uint32_t xattrs_len;
	uint8_t digest_len;
	uint8_t digest[DIGEST_MAX];
	const char *mime;
	uint32_t layer; /* of an image that brought it: 1 the lowest; 0 is not in have */
};

/*
 * Makes r anew from what struct statx gives, as its stx_mask says: type mode uid gid size mtime ctime dev ino nlink,
 * and rdev of devices. Everything else is cleared. Times out of the range of an int64_t of nanoseconds are kept at its
 * ends.
 */
struct statx;
void record_from_statx(struct record *r, const struct statx *stx);
/* Value of one xattr, NULL when absent. Borrowed. */
const void *record_xattr(const struct record *r, const char *name, size_t *ret_len);
/* Copy of r with all it points to, in `a`. False when out of memory. */
bool record_dup(struct arena *a, const struct record *r, struct record *ret);
/*
 * True when both know device, inode, ctime, size, mtime and type, and they are the same: the content was not touched in
 * between.
 */
bool record_same_version(const struct record *a, const struct record *b);

/*
 * Canonical bytes of a record, for signatures and for keeping one in a column. Same record, same bytes, and the other
 * way round: members that `have` leaves out are not in it, and only what record_encode can have made is decoded. The
 * format begins with a version byte. record_decode borrows from data (strings are NUL-terminated in it); -EBADMSG when
 * malformed (any bytes are safe).
 */
void record_encode(struct buf *b, const struct record *r);
int record_decode(const void *data, size_t len, struct record *ret);

/* "permission denied", "changed while being read" ...: text of record.unread; NULL for 0. */
const char *record_unread_text(unsigned unread);

/* A named record of one folder. */
struct entry {
	const char *name; /* no slash; "" only for the root folder "/" itself */
	struct record rec;
};

/*
 * A piece of one folder: entries sorted by name (byte order). The unit that walks, workers and the store hand
 * around, and whose digest is a leaf under the baseline's signature.
 */
#define CHUNK_MAX 64
struct chunk {
	struct arena arena; /* owns everything below */
	const char *dir;    /* absolute path of the folder as the baseline names it ("/etc"), bytes */
	uint64_t dir_seq;   /* number of the folder in walk order, from 1 */
	uint32_t seq;	    /* number of the chunk in its folder, from 0 */
	uint32_t n;
	struct entry *entries;
	/* BLAKE2b-512 cut to 32 bytes over dir, seq and each name and encoded record, without its layer: an image gives
	 * the same chunks however it is cut into layers. */
	uint8_t digest[32];
};

/*
 * An empty chunk on the heap; NULL when out of memory. A zeroed variable will do too: end that with
 * arena_free(&c->arena).
 */
struct chunk *chunk_new(void);
/* Forgets everything but a block of the arena's memory, which chunk_free (or arena_free) gives back. */
void chunk_reset(struct chunk *c);
void chunk_free(struct chunk *c);
/* Computes c->digest with d, a DIGEST_BLAKE2B512 context; scratch is the caller's to reuse. */
int chunk_seal(struct chunk *c, struct digest *d, struct buf *scratch);

DEFINE_CLEANUP(struct chunk *, chunk_free)
#define _cleanup_chunk_ _cleanup_(chunk_free_p)

#endif
