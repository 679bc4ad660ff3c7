/* A build without libarchive reads layers that are not compressed. */
#include <errno.h>

#include "fim/image_error.h"
#include "fim/image_unpack.h"

int image_unpack_ready(struct buf *err)
{
	return image_fail(err, -EOPNOTSUPP, "this holdfast was built without libarchive");
}

int image_unpack_new(const struct image_bytes *from _unused_, enum image_pack pack, struct buf *err,
		     struct image_unpack **ret _unused_)
{
	return image_fail(err, -EOPNOTSUPP, "compressed with %s: this holdfast was built without libarchive",
			  pack == IMAGE_PACK_GZIP ? "gzip" : "zstd");
}

void image_unpack_free(struct image_unpack *u _unused_)
{
}

ssize_t image_unpack_read(void *unpack _unused_, uint8_t *data _unused_, size_t room _unused_)
{
	return -EOPNOTSUPP;
}
