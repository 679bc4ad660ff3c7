/*
 * Golden images: the baseline of a container image, from wherever the image lies, without unpacking it.
 */
#ifndef FIM_IMAGE_H
#define FIM_IMAGE_H

#include "fim/baseline.h"

struct fim_image_options {
	/* Its rootfd, root, scope, image_ref and image_digest are not looked at. gap: for folders alone. */
	struct fim_init_options init;
	/*
	 * A root folder; an OCI layout, folder or tar archive; a docker-archive; or with a prefix (image_source.h) an
	 * image in a store of this node.
	 */
	const char *source;
	const char *platform; /* "linux/arm64": which image of an index; NULL: this node's */
	size_t memory_max;    /* for names and attributes; 0: IMAGE_MEMORY_MAX */
	/* Starts the role unpack, which reads layers; NULL: only a root folder can be taken. */
	struct spawner *spawner;
};

/*
 * Takes the baseline of an image. Layers are applied in memory; digests of manifest, configuration and layers are
 * verified, and all of the image has been read, before anything is stored. The tree of the baseline depends on the
 * image alone. As fim_init; -EBADMSG (malformed, or not what its digest says), -E2BIG (beyond a limit), -EOPNOTSUPP,
 * -ENOENT: text in err names the source, the layer and the entry.
 */
int fim_init_image(struct db *d, const struct fim_image_options *o, int64_t *ret_id, struct buf *err);

#endif
