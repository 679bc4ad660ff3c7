/*
 * Ed25519 through OpenSSL. The private key (PEM, mode 0600) is made at the first init beside the database, or given;
 * its public half lies beside it (KEY.pub) and is what verification uses.
 */
#ifndef DB_SIGN_H
#define DB_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"

#define SIGN_SIZE	 64
#define SIGN_PUBLIC_SIZE 32

struct sign_key;

/* make: create when absent. Refuses (-EPERM) a private key that others may read or write. */
int sign_key_load(const char *path, int make, struct sign_key **ret, struct buf *err);
/* Public half only (verification): from PATH.pub, else from the private key when it may be read. */
int sign_key_load_public(const char *path, struct sign_key **ret, struct buf *err);
int sign_key_from_public(const uint8_t pub[SIGN_PUBLIC_SIZE], struct sign_key **ret);
void sign_key_free(struct sign_key *k);
void sign_key_public(const struct sign_key *k, uint8_t ret[SIGN_PUBLIC_SIZE]);
/* "ed25519:0a1b2c..." first 16 hex digits of the SHA-256 of the public key: what people compare. */
void sign_key_id(const struct sign_key *k, struct buf *ret);
int sign_make(const struct sign_key *k, const void *data, size_t len, uint8_t ret[SIGN_SIZE]);
/* 0 good, -EBADMSG bad. */
int sign_check(const struct sign_key *k, const void *data, size_t len, const uint8_t sig[SIGN_SIZE]);

DEFINE_CLEANUP(struct sign_key *, sign_key_free)
#define _cleanup_sign_key_ _cleanup_(sign_key_free_p)

#endif
