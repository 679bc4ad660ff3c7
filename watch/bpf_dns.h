/*
 * Answers of DNS that come to this node, told by a BPF program at the root of the cgroups. A struct belongs to one
 * thread.
 */
#ifndef WATCH_BPF_DNS_H
#define WATCH_BPF_DNS_H

#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/cleanup.h"

struct bpf_dns_reader;

/* -ENOTSUP: built without, or there is no unified cgroup hierarchy; or what the kernel said; text in err. */
int bpf_dns_open(struct bpf_dns_reader **ret, struct buf *err);
void bpf_dns_close(struct bpf_dns_reader *d);
/* Readable while there are some. */
int bpf_dns_fd(const struct bpf_dns_reader *d);
/* Hands at most max answers to fn; any bytes, borrowed for the call. Their number, or a negative errno. */
int bpf_dns_take(struct bpf_dns_reader *d, unsigned int max, void (*fn)(const uint8_t *data, size_t len, void *data2),
		 void *data);
/* That found no room. */
uint64_t bpf_dns_lost(const struct bpf_dns_reader *d);

DEFINE_CLEANUP(struct bpf_dns_reader *, bpf_dns_close)

#endif
