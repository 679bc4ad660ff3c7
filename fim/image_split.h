/* A layer put together again from its tar-split and its unpacked files. */
#ifndef FIM_IMAGE_SPLIT_H
#define FIM_IMAGE_SPLIT_H

#include "fim/image_source.h"

/* All of it is image_split.c's; starts as IMAGE_SPLIT_INIT. */
struct image_split {
	int packed, diff, file;
	struct image_range range, content;
	struct image_stream *stream;
	struct image_pass *unpack;
	struct buf lines, out;
	size_t at, given;
	bool ended;
	struct buf *err;
};

#define IMAGE_SPLIT_INIT                                                                                               \
	{                                                                                                              \
		.packed = -1, .diff = -1, .file = -1                                                                   \
	}

/*
 * *ret reads the layer's archive. packed: the gzipped tar-split, diff: the folder of its files; both are taken over,
 * whatever becomes of it. err outlives the reading. -EBADMSG when the files are not what was unpacked.
 */
int image_split_open(struct image_split *s, struct image_roles *roles, int packed, int diff, struct buf *err,
		     struct image_bytes *ret);
/* Ready for the next one. */
void image_split_close(struct image_split *s);
void image_split_free(struct image_split *s);

#endif
