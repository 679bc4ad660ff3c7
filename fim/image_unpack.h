/*
 * Decompressing layers: gzip and zstd, by libarchive, in the role unpack. A build without it says so for what is
 * compressed (image_unpack-none.c).
 */
#ifndef FIM_IMAGE_UNPACK_H
#define FIM_IMAGE_UNPACK_H

#include "fim/image_stream.h"

enum image_pack { IMAGE_PACK_NONE, IMAGE_PACK_GZIP, IMAGE_PACK_ZSTD };

/* By the first bytes of a layer. */
enum image_pack image_pack_of(const uint8_t *head, size_t len);

/* Loads the library, for those who cannot later on. -EOPNOTSUPP with a text. */
int image_unpack_ready(struct buf *err);

struct image_unpack;

/* from is read until the compressed data ends. -EOPNOTSUPP with a text when this build cannot. */
int image_unpack_new(const struct image_bytes *from, enum image_pack pack, struct buf *err, struct image_unpack **ret);
void image_unpack_free(struct image_unpack *u);
/* As struct image_bytes reads. -EBADMSG: malformed or cut short; -E2BIG: expands beyond all reason. */
ssize_t image_unpack_read(void *unpack, uint8_t *data, size_t room);

DEFINE_CLEANUP(struct image_unpack *, image_unpack_free)

#endif
