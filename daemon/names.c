/* Answers of DNS, read as they come and remembered. Thread "calls". */
#include "daemon/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/gapbook.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_dns.h"

#define NAMES_ROUND  256
#define NAMES_ROUNDS 16

struct names {
	struct gapbook *gaps;
	struct bpf_dns_reader *reader;
	struct dns_cache *cache;
	uint64_t lost;
};

struct names *names_open(struct gapbook *gaps)
{
	_cleanup_(names_close_p) struct names *n = calloc(1, sizeof(*n));
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	if (!n)
		return NULL;
	n->gaps = gaps;
	n->cache = dns_cache_new();
	if (!n->cache)
		return NULL;
	r = bpf_dns_open(&n->reader, &err);
	if (r < 0) {
		gapbook_open(gaps, GAP_WEAK_SENSOR, "names of addresses", err.len ? err.data : strerror(-r), 0, 0);
		return NULL;
	}
	gapbook_end(gaps, GAP_WEAK_SENSOR, "names of addresses", "they are learned now");
	return TAKE_PTR(n);
}

void names_close(struct names *n)
{
	if (!n)
		return;
	bpf_dns_close(n->reader);
	dns_cache_free(n->cache);
	free(n);
}

int names_fd(const struct names *n)
{
	return n ? bpf_dns_fd(n->reader) : -1;
}

static void on_answer(const uint8_t *data, size_t len, void *data2)
{
	struct names *n = data2;
	struct dns_answer a;

	if (dns_parse(data, len, &a) == 0)
		dns_cache_add(n->cache, &a, clock_boot_ns());
}

void names_read(struct names *n)
{
	uint64_t lost;

	if (!n)
		return;
	/* In a flood of them other calls have their turn. */
	for (int i = 0; i < NAMES_ROUNDS && bpf_dns_take(n->reader, NAMES_ROUND, on_answer, n) == NAMES_ROUND; i++)
		;
	lost = bpf_dns_lost(n->reader);
	if (lost == n->lost)
		return;
	gapbook_once(n->gaps, GAP_LIMIT, "names of addresses", "more answers of DNS than were read", lost - n->lost,
		     "they are read again");
	n->lost = lost;
}

const char *names_of(struct names *n, const struct event_socket *s, char buf[DNS_NAME_MAX])
{
	if (!n || !s->has_remote || (s->family != AF_INET && s->family != AF_INET6))
		return NULL;
	/* An answer comes before the connection that it leads to, but is in another ring. */
	names_read(n);
	return dns_cache_get(n->cache, s->remote, clock_boot_ns(), buf) ? buf : NULL;
}

size_t names_count(const struct names *n)
{
	return n ? dns_cache_count(n->cache) : 0;
}
