/* The BPF programs of DNS: loading them at the root of the unified cgroup hierarchy, reading their ring. */
#include "watch/bpf_dns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "watch/bpf-load.h"
#include "watch/bpf/dns.skel.h"
#include "watch/bpf/record.h"

struct bpf_dns_reader {
	struct dns_bpf *skeleton;
	struct bpf_ring ring;

	/* Of bpf_dns_take. */
	void (*fn)(const struct bpf_dns_packet *p, void *data);
	void *data;
};

static void on_record(void *ctx, const void *data, size_t len)
{
	struct bpf_dns_reader *d = ctx;
	struct bpf_dns_packet p;

	if (bpf_decode_dns(data, len, &p) == 0)
		d->fn(&p, d->data);
}

/* The kernel may not let a program of packets know who runs. */
static int load(struct bpf_dns_reader *d, bool queries)
{
	dns_bpf__destroy(d->skeleton);
	d->skeleton = dns_bpf__open();
	if (!d->skeleton)
		return -errno;
	bpf_program__set_autoload(d->skeleton->progs.on_egress, queries);
	return dns_bpf__load(d->skeleton);
}

static int start(struct bpf_dns_reader *d)
{
	_cleanup_close_ int root = bpf_cgroup_root();
	struct dns_bpf *s;
	int r;

	if (root < 0)
		return root;
	r = load(d, true);
	if (r < 0)
		r = load(d, false);
	if (r < 0)
		return r;
	s = d->skeleton;
	r = bpf_ring_open(&d->ring, s->maps.ring, on_record, d);
	if (r < 0)
		return r;
	s->links.on_ingress = bpf_program__attach_cgroup(s->progs.on_ingress, root);
	if (!s->links.on_ingress)
		return -errno;
	if (bpf_program__fd(s->progs.on_egress) >= 0)
		s->links.on_egress = bpf_program__attach_cgroup(s->progs.on_egress, root);
	return 0;
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
	if (r < 0)
		return bpf_load_failed(err, "DNS", r);
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

bool bpf_dns_queries(const struct bpf_dns_reader *d)
{
	return d->skeleton->links.on_egress != NULL;
}

int bpf_dns_take(struct bpf_dns_reader *d, unsigned int max, void (*fn)(const struct bpf_dns_packet *p, void *data),
		 void *data)
{
	d->fn = fn;
	d->data = data;
	return (int)bpf_ring_take(&d->ring, max);
}

uint64_t bpf_dns_lost(const struct bpf_dns_reader *d)
{
	return __atomic_load_n(&d->skeleton->bss->lost, __ATOMIC_RELAXED);
}
