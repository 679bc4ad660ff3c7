/*
 * Reading a program once. Runs on the workers of the gate: preads only from the descriptor it was given, so it causes
 * no event of its own.
 */
#include "exec/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util.h"

#define HASH_BUFFER (128 * KIB)

struct exec_hash {
	struct digest *algos[DIGEST_ALGO_COUNT]; /* made at first use */
	EVP_MD_CTX *extra;
	uint8_t *buffer;
};

int exec_hash_new(struct exec_hash **ret)
{
	_cleanup_exec_hash_ struct exec_hash *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->buffer = malloc(HASH_BUFFER);
	h->extra = EVP_MD_CTX_new();
	if (!h->buffer || !h->extra)
		return -ENOMEM;
	*ret = TAKE_PTR(h);
	return 0;
}

void exec_hash_free(struct exec_hash *h)
{
	if (!h)
		return;
	for (unsigned i = 0; i < DIGEST_ALGO_COUNT; i++)
		digest_free(h->algos[i]);
	EVP_MD_CTX_free(h->extra);
	free(h->buffer);
	free(h);
}

static int hash_start(struct exec_hash *h, unsigned algos, const char *extra, bool *ret_extra)
{
	const EVP_MD *md = extra ? EVP_get_digestbyname(extra) : NULL;
	int r = 0;

	for (unsigned i = 0; i < DIGEST_ALGO_COUNT && r == 0; i++) {
		if (!(algos & 1u << i))
			continue;
		if (!h->algos[i])
			r = digest_new((enum digest_algo)i, &h->algos[i]);
		if (r == 0)
			r = digest_start(h->algos[i]);
	}
	*ret_extra = md && EVP_DigestInit_ex(h->extra, md, NULL) == 1;
	return r;
}

static int hash_update(struct exec_hash *h, unsigned algos, bool extra, size_t len)
{
	int r = 0;

	for (unsigned i = 0; i < DIGEST_ALGO_COUNT && r == 0; i++)
		if (algos & 1u << i)
			r = digest_update(h->algos[i], h->buffer, len);
	if (r == 0 && extra && EVP_DigestUpdate(h->extra, h->buffer, len) != 1)
		r = -EIO;
	return r;
}

static int hash_finish(struct exec_hash *h, unsigned algos, bool extra, struct exec_digests *ret)
{
	unsigned len = 0;
	int r = 0;

	for (unsigned i = 0; i < DIGEST_ALGO_COUNT && r == 0; i++)
		if (algos & 1u << i)
			r = digest_finish(h->algos[i], ret->digest[i]);
	if (r == 0 && extra && EVP_DigestFinal_ex(h->extra, ret->extra, &len) != 1)
		r = -EIO;
	ret->have = r == 0 ? algos : 0;
	ret->extra_len = r == 0 ? len : 0;
	return r;
}

/* Up to what the buffer holds; 0 at the end of the file. */
static ssize_t hash_read(struct exec_hash *h, int fd, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(fd, h->buffer, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

int exec_hash_fd(struct exec_hash *h, int fd, uint64_t size, unsigned algos, const char *extra,
		 struct exec_digests *ret)
{
	bool with_extra = false;
	int r;

	algos |= 1u << EXEC_DIGEST;
	ret->have = 0;
	ret->extra_len = ret->head_len = 0;
	ret->size = 0;
	r = hash_start(h, algos, extra, &with_extra);
	while (r == 0) {
		/* One byte more than it should have: a file that grew must not pass for its first part. */
		ssize_t n = hash_read(h, fd, (size_t)MIN(size - ret->size + 1, HASH_BUFFER), ret->size);

		if (n <= 0) {
			r = (int)n;
			break;
		}
		if (ret->head_len < sizeof(ret->head)) {
			size_t keep = MIN((size_t)n, sizeof(ret->head) - ret->head_len);

			memcpy(ret->head + ret->head_len, h->buffer, keep);
			ret->head_len += keep;
		}
		ret->size += (uint64_t)n;
		if (ret->size > size)
			return -EFBIG;
		r = hash_update(h, algos, with_extra, (size_t)n);
	}
	if (r == 0 && ret->size < size)
		r = -ENODATA;
	return r == 0 ? hash_finish(h, algos, with_extra, ret) : r;
}
