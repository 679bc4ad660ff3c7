/* One read of a program gives all digests that the trust sources ask for. A context belongs to one thread. */
#ifndef EXEC_HASH_H
#define EXEC_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "exec/script.h"
#include "lib/digest.h"

/* The digest that names a program in the gate, whatever else is computed. */
#define EXEC_DIGEST	 DIGEST_SHA256
#define EXEC_DIGEST_SIZE 32

struct exec_digests {
	unsigned have; /* 1u << enum digest_algo */
	uint8_t digest[DIGEST_ALGO_COUNT][DIGEST_MAX];
	size_t extra_len; /* 0: none */
	uint8_t extra[DIGEST_MAX];
	uint64_t size; /* bytes read */
	size_t head_len;
	uint8_t head[SCRIPT_HEAD_MAX];
};

struct exec_hash;

int exec_hash_new(struct exec_hash **ret);
void exec_hash_free(struct exec_hash *h);
/*
 * Reads the first `size` bytes of fd. algos: what to compute beside EXEC_DIGEST; extra: OpenSSL name of one digest more
 * ("MD5"), NULL for none; one that OpenSSL does not have is left out. -EFBIG: there is more than size; -ENODATA: less.
 */
int exec_hash_fd(struct exec_hash *h, int fd, uint64_t size, unsigned algos, const char *extra,
		 struct exec_digests *ret);

DEFINE_CLEANUP(struct exec_hash *, exec_hash_free)
#define _cleanup_exec_hash_ _cleanup_(exec_hash_free_p)

#endif
