/*
 * The files of an image, layer over layer: attributes in memory, content never. What is in it depends on the layers
 * alone, not on how they were read, so that one image gives one baseline.
 */
#ifndef FIM_IMAGE_TREE_H
#define FIM_IMAGE_TREE_H

#include "event/record.h"
#include "fim/image_tar.h"

/* Some 180 bytes an entry: about three million entries. */
#define IMAGE_MEMORY_MAX (512 * MIB)

struct image_tree;
struct image_node;

/* memory_max 0: IMAGE_MEMORY_MAX. err gets the texts of all failures. */
int image_tree_new(size_t memory_max, struct buf *err, struct image_tree **ret);
void image_tree_free(struct image_tree *t);
/* What is added from now on belongs to this layer: 1 the lowest, each one higher than the one before. */
void image_tree_layer(struct image_tree *t, unsigned number);
/*
 * Applies one entry of a layer. *ret is the node of a regular file, whose digest the caller adds, else NULL.
 *
 * The rules of the OCI layer format: ".wh.NAME" hides NAME of lower layers, ".wh..wh..opq" all that lower layers have
 * in its folder, whatever their order in the layer; a folder over a folder keeps what is in it, anything else replaces
 * what was there. An entry below something of a lower layer that is no folder replaces it by one, as overlayfs shows
 * it; below a link of its own layer it would land elsewhere, and that is refused. A folder that no layer describes has
 * no attributes but its type.
 *
 * -EBADMSG: a path that is absolute, leaves the tree or cannot be a name; a hard link to nothing, a folder or itself.
 * -E2BIG: a name or path too long, or no memory left.
 */
int image_tree_add(struct image_tree *t, const struct tar_entry *e, struct image_node **ret);
int image_tree_digest(struct image_tree *t, struct image_node *n, const uint8_t *digest, size_t len);
/* Entries of the whole tree, with its root. */
uint64_t image_tree_entries(const struct image_tree *t);
/*
 * All of it as chunks, each folder's in order, as a scan of the same tree would give them (not sealed); borrowed for
 * the call. Non-zero of fn ends it.
 */
int image_tree_each(struct image_tree *t, int (*fn)(void *data, struct chunk *c), void *data);

/*
 * Takes off an entry what an image does not have: whatever depends on the file system it was unpacked to. Of the root
 * itself only the type is left: in a container its attributes are those of a folder that the runtime made.
 */
void image_entry_reduce(struct entry *e, struct arena *a);

DEFINE_CLEANUP(struct image_tree *, image_tree_free)

#endif
