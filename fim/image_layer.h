/*
 * Applying one layer, all in one pass: verified here, decompressed and taken apart by the role unpack, whose word
 * counts for nothing but entries.
 */
#ifndef FIM_IMAGE_LAYER_H
#define FIM_IMAGE_LAYER_H

#include "fim/image_entries.h"
#include "fim/image_source.h"
#include "fim/image_tree.h"
#include "fim/scan.h"

/* algo: of the content of files. progress may be NULL: files, bytes and stop are used. */
struct image_apply {
	struct image_tree *tree;
	enum digest_algo algo;
	struct image_roles *roles;
	struct scan_progress *progress;
	struct buf *err;
};

/*
 * from: the layer as its place has it. Sets l->size. -EBADMSG with a text when it is not what l->digest and l->diff_id
 * say, or no layer; -ECANCELED when progress->stop was set.
 */
int image_layer_apply(struct image_apply *a, const struct image_bytes *from, struct image_layer *l, unsigned number);
/* One entry of it, an image_entry_fn: data is a struct image_apply, whose tree knows which layer it is at. */
int image_layer_entry(void *data, const struct tar_entry *e);

#endif
