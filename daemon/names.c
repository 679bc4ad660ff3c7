/* Answers of DNS, read as they come and remembered; questions, told. Thread "calls". */
#include "daemon/names.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/gapbook.h"
#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_dns.h"

#define NAMES_ROUND  256
#define NAMES_ROUNDS 16

#define NAMES_SCOPE   "names of addresses"
#define QUERIES_SCOPE "queries of DNS"

struct names {
	struct gapbook *gaps;
	struct bpf_dns_reader *reader;
	struct dns_cache *cache;
	struct dns_streams *streams;
	struct queries *queries;	     /* NULL: nobody asks */
	const struct bpf_dns_packet *packet; /* that is being read */
	uint64_t lost;
};

static void names_open_failed(struct gapbook *gaps, bool queries, const char *why)
{
	gapbook_open(gaps, GAP_WEAK_SENSOR, NAMES_SCOPE, why, 0, 0);
	if (queries)
		gapbook_open(gaps, GAP_WEAK_SENSOR, QUERIES_SCOPE, why, 0, 0);
}

struct names *names_open(struct gapbook *gaps, void (*query)(const struct queries_one *q, void *data), void *data)
{
	_cleanup_(names_close_p) struct names *n = calloc(1, sizeof(*n));
	_cleanup_buf_ struct buf err = BUF_INIT;
	int r;

	if (!n)
		return NULL;
	n->gaps = gaps;
	n->cache = dns_cache_new();
	n->streams = dns_streams_new();
	n->queries = query ? queries_new(query, data) : NULL;
	if (!n->cache || !n->streams || (query && !n->queries))
		return NULL;
	r = bpf_dns_open(&n->reader, &err);
	if (r < 0) {
		names_open_failed(gaps, query != NULL, err.len ? err.data : strerror(-r));
		return NULL;
	}
	gapbook_end(gaps, GAP_WEAK_SENSOR, NAMES_SCOPE, "they are learned now");
	if (query && !bpf_dns_queries(n->reader))
		gapbook_open(gaps, GAP_WEAK_SENSOR, QUERIES_SCOPE, "the kernel does not say who sends a packet", 0, 0);
	else
		gapbook_end(gaps, GAP_WEAK_SENSOR, QUERIES_SCOPE, query ? "they are told now" : "nobody asks for them");
	return TAKE_PTR(n);
}

void names_close(struct names *n)
{
	if (!n)
		return;
	if (n->queries)
		queries_end_period(n->queries);
	bpf_dns_close(n->reader);
	dns_cache_free(n->cache);
	dns_streams_free(n->streams);
	queries_free(n->queries);
	free(n);
}

int names_fd(const struct names *n)
{
	return n ? bpf_dns_fd(n->reader) : -1;
}

static void on_query(struct names *n, const uint8_t *data, size_t len, const struct dns_stream_who *who)
{
	struct queries_one one = { .tgid = who->tgid,
				   .start_ns = who->start_ns,
				   .mono_ns = n->packet->mono_ns,
				   .count = 1,
				   .socket = n->packet->socket };
	struct dns_query q;

	if (!n->queries || who->tgid == getpid() || dns_parse_query(data, len, &q) < 0)
		return;
	one.socket.query = q.name;
	one.socket.query_type = q.type;
	queries_take(n->queries, &one);
}

static void on_message(const uint8_t *data, size_t len, const struct dns_stream_who *who, void *data2)
{
	struct names *n = data2;
	struct dns_answer a;

	if (n->packet->query)
		on_query(n, data, len, who);
	else if (dns_parse(data, len, &a) == 0)
		dns_cache_add(n->cache, &a, clock_boot_ns());
}

static void on_packet(const struct bpf_dns_packet *p, void *data)
{
	const struct dns_stream_id id = { .cookie = p->cookie, .query = p->query };
	const struct dns_stream_who who = { .tgid = p->tgid, .tid = p->tid, .start_ns = p->start_ns };
	struct names *n = data;

	n->packet = p;
	if (!p->stream)
		on_message(p->data, p->len, &who, n);
	else if (p->begins)
		dns_streams_begin(n->streams, &id, p->seq, &who);
	else
		dns_streams_add(n->streams, &id, p->seq, p->data, p->len, on_message, n);
}

void names_read(struct names *n)
{
	uint64_t lost;

	if (!n)
		return;
	/* In a flood of them other calls have their turn. */
	for (int i = 0; i < NAMES_ROUNDS && bpf_dns_take(n->reader, NAMES_ROUND, on_packet, n) == NAMES_ROUND; i++)
		;
	lost = bpf_dns_lost(n->reader) + dns_streams_lost(n->streams);
	if (lost == n->lost)
		return;
	gapbook_once(n->gaps, GAP_LIMIT, NAMES_SCOPE, "more questions and answers of DNS than were read",
		     lost - n->lost, "they are read again");
	n->lost = lost;
}

bool names_counted(struct names *n)
{
	return n && n->queries && queries_end_period(n->queries);
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
