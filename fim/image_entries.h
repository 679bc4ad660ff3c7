/*
 * Entries of a layer, each with the digest of its content: read from the archive by the role unpack, sent as bytes to
 * whoever asked, and read there again.
 */
#ifndef FIM_IMAGE_ENTRIES_H
#define FIM_IMAGE_ENTRIES_H

#include "fim/image_tar.h"

/* e: valid for the call; of a regular file rec has size and digest. Negative errno ends it. */
typedef int (*image_entry_fn)(void *data, const struct tar_entry *e);

/* All entries of an archive. As tar_reader_next; the text names the entry. */
int image_entries_of_tar(const struct tar_input *in, enum digest_algo algo, struct buf *err, image_entry_fn fn,
			 void *data);

/* Appends one as bytes. */
void image_entry_encode(struct buf *b, const struct tar_entry *e);
/* All that were written so. Any bytes are safe: -EBADMSG when they are none. */
int image_entries_of_bytes(const struct tar_input *in, enum digest_algo algo, struct buf *err, image_entry_fn fn,
			   void *data);

#endif
