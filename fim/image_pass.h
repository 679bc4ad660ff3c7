/*
 * Bytes of images on their way through the role unpack, which decompresses and takes archives apart: they go in from a
 * stream and come back as what the role made of them. The asking side; the other one is fim/image_work.h.
 */
#ifndef FIM_IMAGE_PASS_H
#define FIM_IMAGE_PASS_H

#include <stdatomic.h>

#include "fim/image_stream.h"
#include "fim/image_work.h"
#include "lib/role.h"

/* At the same time: what a store keeps packed beside a layer, the layer, and its archive. A process of its own each. */
enum image_role { IMAGE_ROLE_SPLIT, IMAGE_ROLE_LAYER, IMAGE_ROLE_TAR, IMAGE_ROLES };

/* The processes of one image: what one was told by it, it cannot tell of another. */
struct image_roles {
	struct role *of[IMAGE_ROLES];
	const _Atomic int *stop; /* not NULL: ends it early with -ECANCELED when set */
	uint64_t stall_ns;	 /* waited for so long with hardly a byte in or out one is ended; its start counts */
};

/* Starts none yet; stall_ns is a minute, for the caller to change. Negative errno. */
int image_roles_init(struct image_roles *r, struct spawner *s, const _Atomic int *stop);
void image_roles_done(struct image_roles *r);

struct image_pass;

/*
 * All of from goes through; err and from outlive it. Negative errno with a text: the process cannot be started.
 */
int image_pass_new(struct image_roles *roles, enum image_role which, enum image_work work, enum digest_algo algo,
		   struct image_stream *from, struct buf *err, struct image_pass **ret);
void image_pass_free(struct image_pass *p);
/*
 * As struct image_bytes reads. Negative errno with a text: what the role says is wrong with the bytes, or that it ended
 * (-EPIPE) or makes no progress (-ETIMEDOUT).
 */
ssize_t image_pass_read(void *pass, uint8_t *data, size_t room);

DEFINE_CLEANUP(struct image_pass *, image_pass_free)

#endif
