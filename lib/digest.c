/*
 * Content digests through OpenSSL EVP. Owns the EVP contexts and the read buffer of each struct digest, which belongs
 * to one thread. Reads by pread only, so the descriptor's offset never moves; does not give page cache back (the caller
 * knows what it read before).
 */
#include "lib/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>

#include "lib/util.h"

#define DIGEST_BUFFER (256 * KIB)

const struct digest_info digest_table[DIGEST_ALGO_COUNT] = {
	[DIGEST_SHA256] = { "sha256", "SHA256", 32 },
	[DIGEST_SHA512] = { "sha512", "SHA512", 64 },
	[DIGEST_SHA3_256] = { "sha3-256", "SHA3-256", 32 },
	[DIGEST_BLAKE2B512] = { "blake2b512", "BLAKE2b512", 64 },
};

struct digest {
	bool started; /* the context knows its algorithm: later starts need not look it up */
	EVP_MD_CTX *ctx;
	const EVP_MD *md;
	uint8_t *buffer; /* DIGEST_BUFFER, page aligned; made at the first digest_fd */
};

/* A fetched algorithm saves the look-up that each start by name costs in OpenSSL 3; 1.1.1 has static ones. */
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
static const EVP_MD *digest_fetch(const char *name)
{
	return EVP_MD_fetch(NULL, name, NULL);
}

static void digest_release(const EVP_MD *md)
{
	EVP_MD_free((EVP_MD *)md);
}
#else
static const EVP_MD *digest_fetch(const char *name)
{
	return EVP_get_digestbyname(name);
}

static void digest_release(const EVP_MD *md _unused_)
{
}
#endif

int digest_by_name(const char *name, enum digest_algo *ret)
{
	for (unsigned i = 0; i < DIGEST_ALGO_COUNT; i++) {
		if (streq(digest_table[i].name, name)) {
			*ret = (enum digest_algo)i;
			return 0;
		}
	}
	return -EINVAL;
}

int digest_new_named(const char *evp_name, struct digest **ret)
{
	_cleanup_digest_ struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->md = digest_fetch(evp_name);
	if (!d->md)
		return -EOPNOTSUPP; /* a provider configuration (FIPS) may leave algorithms out */
	d->ctx = EVP_MD_CTX_new();
	if (!d->ctx)
		return -ENOMEM;
	*ret = TAKE_PTR(d);
	return 0;
}

int digest_new(enum digest_algo algo, struct digest **ret)
{
	return digest_new_named(digest_table[algo].evp_name, ret);
}

size_t digest_size(const struct digest *d)
{
	return (size_t)EVP_MD_size(d->md);
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	EVP_MD_CTX_free(d->ctx);
	if (d->md)
		digest_release(d->md);
	free(d->buffer);
	free(d);
}

int digest_start(struct digest *d)
{
	if (EVP_DigestInit_ex(d->ctx, d->started ? NULL : d->md, NULL) != 1)
		return -EIO;
	d->started = true;
	return 0;
}

int digest_update(struct digest *d, const void *data, size_t len)
{
	return EVP_DigestUpdate(d->ctx, data, len) == 1 ? 0 : -EIO;
}

int digest_finish(struct digest *d, uint8_t ret[DIGEST_MAX])
{
	return EVP_DigestFinal_ex(d->ctx, ret, NULL) == 1 ? 0 : -EIO;
}

int digest_once(struct digest *d, const void *data, size_t len, uint8_t ret[DIGEST_MAX])
{
	int r = digest_start(d);

	if (!r)
		r = digest_update(d, data, len);
	if (!r)
		r = digest_finish(d, ret);
	return r;
}

static ssize_t digest_read(int fd, void *data, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, data, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int digest_buffer(struct digest *d)
{
	void *p;

	if (d->buffer)
		return 0;
	if (posix_memalign(&p, 4096, DIGEST_BUFFER))
		return -ENOMEM;
	d->buffer = p;
	return 0;
}

/* Keeps the first bytes of what was read for the caller. */
static void digest_keep_head(void *head, size_t room, size_t *have, const void *data, size_t len)
{
	size_t n = MIN(len, room - *have);

	memcpy((uint8_t *)head + *have, data, n);
	*have += n;
}

int digest_fd(struct digest *d, int fd, uint64_t limit, uint8_t ret[DIGEST_MAX], uint64_t *ret_read, void *head,
	      size_t *head_len)
{
	size_t room = head ? *head_len : 0, have = 0;
	uint64_t done = 0;
	ssize_t n;
	int r;

	r = digest_buffer(d);
	if (!r)
		r = digest_start(d);
	if (r < 0)
		return r;
	/* Asks for `limit` bytes and no more: no read just to see the end of a file whose size is known. */
	while (done < limit) {
		n = digest_read(fd, d->buffer, MIN(limit - done, DIGEST_BUFFER), done);
		if (n < 0)
			return (int)n;
		if (!n)
			break;
		if (have < room)
			digest_keep_head(head, room, &have, d->buffer, (size_t)n);
		r = digest_update(d, d->buffer, (size_t)n);
		if (r < 0)
			return r;
		done += (uint64_t)n;
	}
	r = digest_finish(d, ret);
	if (r < 0)
		return r;
	*ret_read = done;
	if (head)
		*head_len = have;
	return 0;
}
