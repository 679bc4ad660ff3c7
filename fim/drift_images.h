/*
 * Baselines of images, found by the digest that a container names, for asking by path: a few of them open at a time,
 * nothing of them in memory. One thread, one connection to the store.
 */
#ifndef FIM_DRIFT_IMAGES_H
#define FIM_DRIFT_IMAGES_H

#include "db/baseline.h"
#include "event/container.h"
#include "fim/read.h"

#define DRIFT_IMAGES_MAX 16

struct drift_images;

struct drift_image {
	struct baseline_info info; /* strings are its own */
	struct baseline_reader *base;
	struct file_reader *files; /* digests as the baseline has them */
};

/* pub: the key that every baseline is verified with, whole, before it is used; the caller's. */
int drift_images_new(struct db *d, const struct sign_key *pub, const struct read_options *read,
		     struct drift_images **ret);
void drift_images_free(struct drift_images *s);
/*
 * That of the container's image; borrowed until the next call. -ENOENT: it has none (asked again after a while);
 * -EBADMSG: it is not to be trusted, which was logged.
 */
int drift_images_get(struct drift_images *s, const struct container *c, struct drift_image **ret);
/* Baselines may have come, gone or been replaced. */
void drift_images_forget(struct drift_images *s);

#endif
