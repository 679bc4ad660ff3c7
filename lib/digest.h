/*
 * Content digests through OpenSSL EVP. A context belongs to one thread and is reused from file to file.
 */
#ifndef LIB_DIGEST_H
#define LIB_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/cleanup.h"

enum digest_algo { DIGEST_SHA256, DIGEST_SHA512, DIGEST_SHA3_256, DIGEST_BLAKE2B512, DIGEST_ALGO_COUNT };

#define DIGEST_MAX 64

struct digest_info {
	const char *name;     /* configuration, database, JSON: "sha256" */
	const char *evp_name; /* EVP_MD_fetch */
	size_t size;	      /* bytes */
};

extern const struct digest_info digest_table[DIGEST_ALGO_COUNT];

/* -EINVAL when unknown. */
int digest_by_name(const char *name, enum digest_algo *ret);

struct digest;

int digest_new(enum digest_algo algo, struct digest **ret);
/* By its OpenSSL name ("MD5"): digests that others use and we only compare. -EOPNOTSUPP when there is none. */
int digest_new_named(const char *evp_name, struct digest **ret);
void digest_free(struct digest *d);
int digest_start(struct digest *d);
int digest_update(struct digest *d, const void *data, size_t len);
/* Writes digest_size bytes. */
int digest_finish(struct digest *d, uint8_t ret[DIGEST_MAX]);
size_t digest_size(const struct digest *d);
int digest_once(struct digest *d, const void *data, size_t len, uint8_t ret[DIGEST_MAX]);

/*
 * Digest of the bytes [0, limit) of fd by pread with the context's own buffer; *ret_read is what was there (less than
 * limit at end of file). `head`, when not NULL, receives up to *head_len first bytes and *head_len becomes their
 * number. Returns a negative errno of read.
 */
int digest_fd(struct digest *d, int fd, uint64_t limit, uint8_t ret[DIGEST_MAX], uint64_t *ret_read, void *head,
	      size_t *head_len);

DEFINE_CLEANUP(struct digest *, digest_free)
#define _cleanup_digest_ _cleanup_(digest_free_p)

#endif
