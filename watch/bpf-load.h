/* What the loaders of BPF programs share. Not for others. */
#ifndef WATCH_BPF_LOAD_H
#define WATCH_BPF_LOAD_H

#include "lib/buf.h"

/* Whether programs make sense here at all; sends what libbpf says to the log. -ENOTSUP, text in err. */
int bpf_load_begin(struct buf *err);
/* A power of two of pages. */
size_t bpf_ring_size(size_t wanted);

#endif
