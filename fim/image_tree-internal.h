/* What the files of the tree of an image share. Nothing outside fim/image_tree*.c includes this. */
#ifndef FIM_IMAGE_TREE_INTERNAL_H
#define FIM_IMAGE_TREE_INTERNAL_H

#include "fim/image_tree.h"

struct image_node {
	struct image_node *parent, *children, *next, *prev; /* of the same folder */
	struct image_node *chain;			    /* of the same slot */
	const char *target;
	const uint8_t *xattrs, *digest;
	uint64_t size; /* of a file; device number of a device */
	int64_t mtime;
	uint32_t hash, uid, gid, xattrs_len;
	uint16_t mode;
	uint8_t digest_len;
	char type;
	uint8_t layer; /* that brought what is there now */
	uint8_t given; /* the last layer that described it; 0: none did */
	uint8_t seen;  /* the last layer that has it or something in it */
	uint8_t name_len;
	char name[];
};

struct image_tree {
	struct arena arena;
	size_t memory_max, table_bytes;
	struct buf *err;
	struct image_node *root;
	struct image_node **slots;
	size_t n_slots, n;
	uint64_t seed; /* of the hash: nobody can choose names that collide */
	uint8_t layer;
};

#endif
