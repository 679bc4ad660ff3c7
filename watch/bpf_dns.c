/* The BPF program of DNS: loading it at the root of the unified cgroup hierarchy, reading its ring. */
#include "watch/bpf_dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "lib/util.h"
#include "watch/bpf-load.h"
#include "watch/bpf/dns.skel.h"
#include "watch/bpf/record.h"

struct bpf_dns_reader {
	struct dns_bpf *skeleton;
	struct bpf_ring ring;

	/* Of bpf_dns_take. */
	void (*fn)(const uint8_t *data, size_t len, void *data2);
	void *data;
};

static int on_record(void *ctx, void *data, size_t len)
{
	const struct bpf_dns *answer = data;
	struct bpf_dns_reader *d = ctx;

	if (len >= sizeof(*answer))
		d->fn(answer->data, MIN((size_t)answer->len, sizeof(answer->data)), d->data);
	return bpf_ring_next(&d->ring);
}

static int start(struct bpf_dns_reader *d)
{
	_cleanup_close_ int root = bpf_cgroup_root();
	int r;

	if (root < 0)
		return root;
	d->skeleton = dns_bpf__open_and_load();
	if (!d->skeleton)
		return -errno;
	r = bpf_ring_open(&d->ring, d->skeleton->maps.ring, on_record, d);
	if (r < 0)
		return r;
	d->skeleton->links.on_ingress = bpf_program__attach_cgroup(d->skeleton->progs.on_ingress, root);
	return d->skeleton->links.on_ingress ? 0 : -errno;
}

int bpf_dns_open(struct bpf_dns_reader **ret, struct buf *err)
{
	_cleanup_(bpf_dns_close_p) struct bpf_dns_reader *d = NULL;
	int r = bpf_load_begin(err);

	if (r < 0)
		return r;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	r = start(d);
	if (r < 0) {
		buf_printf(err, "BPF, DNS: %s", strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(d);
	return 0;
}

void bpf_dns_close(struct bpf_dns_reader *d)
{
	if (!d)
		return;
	bpf_ring_close(&d->ring);
	dns_bpf__destroy(d->skeleton);
	free(d);
}

int bpf_dns_fd(const struct bpf_dns_reader *d)
{
	return d->ring.fd;
}

int bpf_dns_take(struct bpf_dns_reader *d, unsigned int max, void (*fn)(const uint8_t *data, size_t len, void *data2),
		 void *data)
{
	d->fn = fn;
	d->data = data;
	return bpf_ring_take(&d->ring, max);
}

uint64_t bpf_dns_lost(const struct bpf_dns_reader *d)
{
	return __atomic_load_n(&d->skeleton->bss->lost, __ATOMIC_RELAXED);
}
