/*
 * libarchive as a decompressor, nothing else: which format it is was decided by the caller, so that no content can make
 * it guess another one. A bomb is ended by its ratio. The library is loaded by the first layer that is compressed.
 */
#include "fim/image_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "fim/image_error.h"
#include "lib/late.h"

/* What expands further after the first of these many bytes is no image: deflate cannot go beyond 1032. */
#define BOMB_FREE  (256 * MIB)
#define BOMB_RATIO 400

#define UNPACK_PIECE (64 * KIB)

/* The calls of libarchive that are used, by their names without the archive_ in front. */
#define UNPACK_CALLS(call)                                                                                             \
	call(error_string) call(read_append_filter) call(read_data) call(read_free) call(read_new)                     \
		call(read_next_header) call(read_open) call(read_support_format_empty) call(read_support_format_raw)   \
			call(set_error)

#define UNPACK_MEMBER(name) __typeof__(&archive_##name) name;
#define UNPACK_LATE(name)   { "archive_" #name, &archive.name },

static struct {
	UNPACK_CALLS(UNPACK_MEMBER)
} archive;

struct image_unpack {
	struct image_bytes from;
	struct archive *a;
	struct buf *err;
	int error; /* of from: libarchive keeps it to itself */
	bool empty;
	uint64_t taken, bytes;
	uint8_t piece[UNPACK_PIECE];
};

static la_ssize_t unpack_input(struct archive *a, void *data, const void **ret)
{
	struct image_unpack *u = data;
	ssize_t n = u->from.read(u->from.ctx, u->piece, sizeof(u->piece));

	if (n < 0) {
		u->error = (int)n;
		archive.set_error(a, (int)-n, "reading");
		return -1;
	}
	u->taken += (uint64_t)n;
	*ret = u->piece;
	return n;
}

static int unpack_fail(struct image_unpack *u)
{
	const char *why = archive.error_string(u->a);

	return u->error ? u->error : image_fail(u->err, -EBADMSG, "decompressing: %s", why ? why : "malformed");
}

static int unpack_open(struct image_unpack *u, enum image_pack pack)
{
	struct archive_entry *entry;
	int r = archive.read_append_filter(u->a, pack == IMAGE_PACK_GZIP ? ARCHIVE_FILTER_GZIP : ARCHIVE_FILTER_ZSTD);

	if (r == ARCHIVE_OK)
		r = archive.read_support_format_raw(u->a);
	if (r == ARCHIVE_OK)
		r = archive.read_support_format_empty(u->a);
	if (r == ARCHIVE_OK)
		r = archive.read_open(u->a, u, NULL, unpack_input, NULL);
	if (r == ARCHIVE_OK)
		r = archive.read_next_header(u->a, &entry);
	u->empty = r == ARCHIVE_EOF;
	return r == ARCHIVE_OK || r == ARCHIVE_EOF ? 0 : unpack_fail(u);
}

/* Once in a process. */
int image_unpack_ready(struct buf *err)
{
	static const struct late_call calls[] = { UNPACK_CALLS(UNPACK_LATE) };
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	_cleanup_buf_ struct buf why = BUF_INIT;
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!archive.read_new)
		r = late_load("libarchive.so.13", calls, ARRAY_SIZE(calls), &why);
	pthread_mutex_unlock(&lock);
	return r < 0 ? image_fail(err, -EOPNOTSUPP, "decompressing: %s", why.len ? why.data : "libarchive") : 0;
}

int image_unpack_new(const struct image_bytes *from, enum image_pack pack, struct buf *err, struct image_unpack **ret)
{
	_cleanup_(image_unpack_free_p) struct image_unpack *u = calloc(1, sizeof(*u));
	int r;

	if (!u)
		return -ENOMEM;
	r = image_unpack_ready(err);
	if (r < 0)
		return r;
	u->from = *from;
	u->err = err;
	u->a = archive.read_new();
	if (!u->a)
		return -ENOMEM;
	r = unpack_open(u, pack);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(u);
	return 0;
}

void image_unpack_free(struct image_unpack *u)
{
	if (u->a)
		archive.read_free(u->a);
	free(u);
}

ssize_t image_unpack_read(void *unpack, uint8_t *data, size_t room)
{
	struct image_unpack *u = unpack;
	la_ssize_t n = u->empty ? 0 : archive.read_data(u->a, data, room);

	if (n < 0)
		return unpack_fail(u);
	u->bytes += (uint64_t)n;
	if (u->bytes > BOMB_FREE && u->bytes / BOMB_RATIO > u->taken)
		return image_fail(u->err, -E2BIG, "expands to more than %d times its size", BOMB_RATIO);
	return n;
}
