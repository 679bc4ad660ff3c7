/* Applying one layer: verified, decompressed, decoded, its content digested, all in one pass. */
#ifndef FIM_IMAGE_LAYER_H
#define FIM_IMAGE_LAYER_H

#include "fim/image_source.h"
#include "fim/image_tree.h"
#include "fim/scan.h"

/* digest: a context for the content of files. progress may be NULL: files, bytes and stop are used. */
struct image_apply {
	struct image_tree *tree;
	struct digest *digest;
	enum digest_algo algo;
	struct scan_progress *progress;
	struct buf *err;
};

/*
 * from: the layer as its place has it. Sets l->size. -EBADMSG with a text when it is not what l->digest and l->diff_id
 * say, or no layer; -ECANCELED when progress->stop was set.
 */
int image_layer_apply(struct image_apply *a, const struct image_bytes *from, struct image_layer *l, unsigned number);
/* The same without digests to verify, for archives alone. */
int image_layer_entries(struct image_apply *a, const struct tar_input *in, unsigned number);

#endif
