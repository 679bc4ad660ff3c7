/* The snapshot itself, for the two files that make and ask it. Nothing outside exec/trust*.c includes this. */
#ifndef EXEC_TRUST_INTERNAL_H
#define EXEC_TRUST_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "exec/trust.h"
#include "lib/arena.h"

#define TRUST_PATHS_MAX 4096
#define TRUST_GLOBS_MAX 256 /* each is tried for each program that nobody vouches for */
#define TRUST_NAMED_MAX 1024
/* Slots of confirmed digests; a digest is looked for in a few that follow its own, then takes one of them over. */
#define CONFIRMED_SLOTS 16384
#define CONFIRMED_PROBE 8

struct digest_set {
	enum trust_source source;
	enum digest_algo algo;
	const char *label;
	bool shared;					 /* data and strings belong to the base */
	bool image;					 /* it lists the programs of a container image */
	const char *image_digest, *image_id, *image_ref; /* which; NULL: not known */
	uint8_t *data;
	size_t n, room;
};

struct confirmed {
	uint8_t digest[EXEC_DIGEST_SIZE];
	bool used;
	const char *interpreter; /* as in struct trust_answer */
	char why[TRUST_WHY_MAX];
};

/* An interpreter under whatever name. */
struct named {
	const char *interpreter;
	enum digest_algo algo;
	bool image;
	uint8_t digest[DIGEST_MAX];
};

struct trust {
	atomic_uint refs;
	struct trust
		*base; /* whose sets and paths these are, all (own false) or those that are shared; NULL: our own */
	bool own;      /* the array of sets is ours */
	struct arena arena;
	enum trust_source order[TRUST_SOURCE_COUNT];
	size_t n_order;
	struct packages *packages;
	struct digest_set *sets;
	size_t n_sets;
	struct named *named; /* by baselines; those that share our sets ask us */
	size_t n_named;
	const char *paths[TRUST_PATHS_MAX], *globs[TRUST_GLOBS_MAX];
	size_t n_paths, n_globs;
	enum trust_images images;
	bool any_image; /* among the sets */
	unsigned algos;
	pthread_mutex_t lock;
	struct confirmed *confirmed; /* CONFIRMED_SLOTS, made when first needed */
};

/* Whose data the sets of t are that it shares, and all that baselines say. */
struct trust *trust_root(struct trust *t);
/* Orders the paths of a snapshot. */
int trust_compare_path(const void *a, const void *b);

#endif
