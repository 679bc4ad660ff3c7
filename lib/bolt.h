/*
 * Reading a database of bbolt (containerd's meta.db) while somebody else writes it: buckets in buckets, values by keys.
 * Any bytes are safe.
 */
#ifndef LIB_BOLT_H
#define LIB_BOLT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bolt {
	int fd;
	uint32_t page_size;
	uint64_t root, txid;
	unsigned visited;
};

struct bolt_item {
	const uint8_t *key, *value; /* borrowed for the call; no strings */
	size_t key_len, value_len;
	bool bucket;
};

/* fd is the caller's and outlives it. -EBADMSG: no such database, or one that is written just now. */
int bolt_open(int fd, struct bolt *ret);
/*
 * fn for each value behind the keys, one for each level, NULL for any; any: the item (its key counts) that stood for
 * the last such level. Non-zero ends. 0; what fn gave; -EBADMSG: malformed, or changed while it was read; -ENOMEM.
 */
typedef int (*bolt_fn)(const struct bolt_item *value, const struct bolt_item *any, void *data);
int bolt_find(struct bolt *b, const char *const *keys, size_t n, bolt_fn fn, void *data);

/*
 * Nothing was committed since bolt_open. The writer does not know of us: from the second commit on pages may be used
 * again. What was found, or was not there, counts when this is true afterwards.
 */
bool bolt_is_current(const struct bolt *b);

#endif
