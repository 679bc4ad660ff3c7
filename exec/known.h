/*
 * Digests of programs that were read lately, by version of the file (file system, inode, ctime, size): whoever reads
 * one, the gate or file integrity, reads it for the other too. An entry is only made under a read lease, by which
 * nobody had the file open for writing or mapped writable while it was read, and only for file systems on disks, where
 * every later write moves ctime; who takes a digest from here for a verdict must hold a lease himself.
 *
 * Bounded (4096 programs; the oldest of a set goes), any thread, no lock over I/O.
 */
#ifndef EXEC_KNOWN_H
#define EXEC_KNOWN_H

#include "exec/hash.h"

/* One version of one file. */
struct file_id {
	uint64_t dev, ino, size;
	int64_t ctime; /* ns */
};

struct known;

struct known_stats {
	uint64_t read;	 /* programs read for file integrity, under a lease */
	uint64_t shared; /* digests that file integrity had from the gate, or the gate from it */
};

/* Ignores SIGIO for the whole process: the kernel tells by it when somebody wants a lease broken. */
int known_new(struct known **ret);
void known_free(struct known *k);
/* What is computed of each program beside EXEC_DIGEST, as in exec_hash_fd. */
void known_want(struct known *k, unsigned algos, const char *extra);

/* True when all of algos (and of `extra`, NULL: none) is known of this version; head_len of ret is 0. */
bool known_find(struct known *k, const struct file_id *id, unsigned algos, const char *extra, struct exec_digests *ret,
		enum exec_type *ret_type);
/* As read under a lease that was still held afterwards, of a file on a disk; a version that is too young is left out.
 */
void known_put(struct known *k, const struct file_id *id, const char *extra, const struct exec_digests *d,
	       enum exec_type type);

/* All of it: the names may be those of other files now. */
void known_forget(struct known *k);

/*
 * For who wants just a digest of the regular file that fd is open on, and is not in a hurry: from what is known, else
 * read here, under a lease of its own. 1: neither can be (somebody writes to it, its file system has no leases, it is
 * too large or too young): the caller reads it himself. Or a negative errno of reading.
 */
int known_digest(struct known *k, int fd, enum digest_algo algo, uint8_t ret[DIGEST_MAX]);

/* True where ctime tells versions apart: file systems on disks. */
bool known_cacheable(int fd);
void known_identify(const struct stat *st, struct file_id *ret);

void known_get_stats(const struct known *k, struct known_stats *ret);

DEFINE_CLEANUP(struct known *, known_free)

#endif
