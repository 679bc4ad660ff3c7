/* What the loaders of BPF programs share: where they may be loaded, and the ring that they are read from. Not for
 * others. */
#ifndef WATCH_BPF_LOAD_H
#define WATCH_BPF_LOAD_H

#include <bpf/libbpf.h>

#include "lib/buf.h"

typedef void bpf_ring_fn(void *ctx, const void *data, size_t len);

struct bpf_ring {
	int fd;
	bpf_ring_fn *fn;
	void *ctx;
	unsigned long *consumer; /* how far it is read, and written; bytes since it was made */
	unsigned long *producer;
	const uint8_t *data;
	size_t mask, mapped;
};

/* Whether programs make sense here at all; sends what libbpf says to the log. -ENOTSUP, text in err. */
int bpf_load_begin(struct buf *err);
/* Why programs could not be loaded: into err, "BPF, what: why"; what may be NULL. Returns error, a negative errno. */
int bpf_load_failed(struct buf *err, const char *what, int error);
/* A descriptor of the unified cgroup hierarchy's root as far as we see it, mounted or not; -ENOTSUP: there is none. */
int bpf_cgroup_root(void);
/*
 * How often the kernel left the program out: it would have run within itself, or stopped one run for another on the
 * same processor. 0 where it is not loaded.
 */
uint64_t bpf_missed(const struct bpf_program *p);
/*
 * Each key of a hash or a trie, once; fn may take away the one that it is called with. Others may come and go
 * meanwhile: no more than max are looked at. Keys of at most BPF_KEY_MAX bytes.
 */
#define BPF_KEY_MAX 128
void bpf_map_each_key(const struct bpf_map *map, unsigned int max, void (*fn)(int fd, const void *key, void *data),
		      void *data);
/* Before the program is loaded. bytes: made a power of two of pages. 0, or a negative errno. */
int bpf_ring_resize(struct bpf_map *map, size_t bytes);
/*
 * After it is. fn is called with ctx by bpf_ring_take for each record, which is aligned to 8 bytes. 0, or a negative
 * errno; it is to be closed in any case.
 */
int bpf_ring_open(struct bpf_ring *r, const struct bpf_map *map, bpf_ring_fn *fn, void *ctx);
void bpf_ring_close(struct bpf_ring *r);
/* At most max records, in the kernel's order. How many. */
unsigned int bpf_ring_take(struct bpf_ring *r, unsigned int max);

#endif
