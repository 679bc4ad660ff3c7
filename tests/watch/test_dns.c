/*
 * watch/dns and watch/bpf_dns: answers and questions well made and not, in streams too, what is remembered, and what
 * really comes and goes.
 */
#include "tests/watch/loaded.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/util.h"
#include "watch/bpf_dns.h"
#include "watch/dns.h"

#define HEAD	 "\x12\x34\x81\x80\0\1"
#define QUESTION "\3www\7Example\3org\0\0\1\0\1"
#define A_RECORD "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc6\x33\x64\7"

static const struct {
	const char *what, *data;
	size_t len;
	int result;
	const char *name, *address; /* the last one */
	size_t n;
} answers[] = {
#define BYTES(x) x, sizeof(x) - 1
	{ "one address", BYTES(HEAD "\0\1\0\0\0\0" QUESTION A_RECORD), 0, "www.example.org", "198.51.100.7", 1 },
	{ "behind an alias", BYTES(HEAD "\0\2\0\0\0\0" QUESTION "\xc0\x0c\0\5\0\1\0\0\0\x3c\0\6\3cdn\xc0\x10" A_RECORD),
	  0, "www.example.org", "198.51.100.7", 1 },
	{ "IPv6",
	  BYTES(HEAD "\0\1\0\0\0\0" QUESTION
		     "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"),
	  0, "www.example.org", "2001:db8::1", 1 },
	{ "none of that name", BYTES("\x12\x34\x81\x83\0\1\0\0\0\0\0\0" QUESTION), -EBADMSG, NULL, NULL, 0 },
	{ "a query", BYTES("\x12\x34\x01\x20\0\1\0\0\0\0\0\0" QUESTION), -EBADMSG, NULL, NULL, 0 },
	{ "no addresses", BYTES(HEAD "\0\0\0\0\0\0" QUESTION), 0, "www.example.org", NULL, 0 },
	{ "an address that is too short", BYTES(HEAD "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\1\2\3"), 0,
	  "www.example.org", NULL, 0 },
	{ "data that is not there", BYTES(HEAD "\0\1\0\0\0\0" QUESTION "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2"), -EBADMSG,
	  NULL, NULL, 0 },
	{ "more records than there are", BYTES(HEAD "\xff\xff\0\0\0\0" QUESTION A_RECORD), -EBADMSG, NULL, NULL, 1 },
	{ "cut, as it says", BYTES("\x12\x34\x83\x80\0\1\0\2\0\0\0\0" QUESTION A_RECORD "\xc0\x0c\0"), 0,
	  "www.example.org", "198.51.100.7", 1 },
	{ "two questions", BYTES("\x12\x34\x81\x80\0\2\0\1\0\0\0\0" QUESTION QUESTION A_RECORD), -EBADMSG, NULL, NULL,
	  0 },
	{ "a name that leads to itself", BYTES(HEAD "\0\1\0\0\0\0\xc0\x0c\0\1\0\1"), -EBADMSG, NULL, NULL, 0 },
	{ "a name that leads on", BYTES(HEAD "\0\1\0\0\0\0\xc0\x0e\3www\0\0\1\0\1"), -EBADMSG, NULL, NULL, 0 },
	{ "a name without an end", BYTES(HEAD "\0\1\0\0\0\0\3www"), -EBADMSG, NULL, NULL, 0 },
	{ "a name for a terminal", BYTES(HEAD "\0\1\0\0\0\0\4\x1b[2J\0\0\1\0\1"), -EBADMSG, NULL, NULL, 0 },
	{ "a reserved label", BYTES(HEAD "\0\1\0\0\0\0\x80xx\0\0\1\0\1"), -EBADMSG, NULL, NULL, 0 },
	{ "the root", BYTES(HEAD "\0\0\0\0\0\0\0\0\1\0\1"), 0, "", NULL, 0 },
	{ "a header alone", BYTES(HEAD "\0\0\0\0\0\0"), -EBADMSG, NULL, NULL, 0 },
	{ "half a header", BYTES("\x12\x34\x81"), -EBADMSG, NULL, NULL, 0 },
	{ "nothing", BYTES(""), -EBADMSG, NULL, NULL, 0 },
};

static void test_parse(void **state)
{
	struct dns_answer a;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		uint8_t *copy = malloc(answers[i].len + !answers[i].len); /* of just this size */
		char address[INET6_ADDRSTRLEN + 8];
		uint8_t expected[SOCKET_ADDRESS];
		int r;

		memcpy(copy, answers[i].data, answers[i].len);
		r = dns_parse(copy, answers[i].len, &a);
		free(copy);
		if (r != answers[i].result)
			fail_msg("%s: %d", answers[i].what, r);
		if (r < 0)
			continue;
		assert_string_equal(a.name, answers[i].name);
		if (a.n != answers[i].n)
			fail_msg("%s: %zu addresses", answers[i].what, a.n);
		if (!a.n)
			continue;
		snprintf(address, sizeof(address), "%s%s",
			 strchr(answers[i].address, ':') ? "" : "::ffff:", answers[i].address);
		assert_int_equal(inet_pton(AF_INET6, address, expected), 1);
		assert_memory_equal(a.addresses[a.n - 1].address, expected, sizeof(expected));
		assert_int_equal(a.addresses[0].ttl, 60);
	}
}

/* A name of the greatest length, one that is longer, and one of pointers to pointers. */
static void test_long_names(void **state)
{
	uint8_t data[1024] = HEAD "\0\0\0\0\0\0";
	struct dns_answer a;
	size_t at;

	(void)state;
	for (unsigned int labels = 3; labels < 6; labels++) {
		at = 12;
		for (unsigned int i = 0; i < labels; i++) {
			data[at++] = 63;
			memset(data + at, 'a', 63);
			at += 63;
		}
		memcpy(data + at, "\0\0\1\0\1", 5);
		assert_int_equal(dns_parse(data, at + 5, &a), labels * 64 - 1 < DNS_NAME_MAX ? 0 : -EBADMSG);
	}
	assert_true(strlen(a.name) < DNS_NAME_MAX);
	/* Hundreds of labels, each of one byte. */
	at = 12;
	for (unsigned int i = 0; i < 200; i++) {
		data[at++] = 1;
		data[at++] = 'b';
	}
	memcpy(data + at, "\0\0\1\0\1", 5);
	assert_int_equal(dns_parse(data, at + 5, &a), -EBADMSG);
}

static const struct {
	const char *what, *data;
	size_t len;
	const char *name, *type; /* NULL: malformed, or none */
} queries[] = {
#define QUERY "\x12\x34\x01\x20\0\1\0\0\0\0\0\1"
	{ "an address", BYTES(QUERY QUESTION), "www.example.org", "A" },
	{ "text", BYTES(QUERY "\1a\3org\0\0\x10\0\1"), "a.org", "TXT" },
	{ "a type of the future", BYTES(QUERY "\1a\0\xff\xfa\0\1"), "a", "TYPE65530" },
	{ "the root", BYTES(QUERY "\0\0\2\0\1"), ".", "NS" },
	{ "any bytes", BYTES(QUERY "\4\x1b[2.\0\0\1\0\1"), "\\027\\0912\\046", "A" },
	{ "an answer", BYTES(HEAD "\0\0\0\0\0\0" QUESTION), NULL, NULL },
	{ "an update", BYTES("\x12\x34\x28\x20\0\1\0\0\0\0\0\1" QUESTION), NULL, NULL },
	{ "two questions", BYTES("\x12\x34\x01\x20\0\2\0\0\0\0\0\1" QUESTION QUESTION), NULL, NULL },
	{ "without a class", BYTES(QUERY "\1a\0\0\1"), NULL, NULL },
	{ "a name that leads to itself", BYTES(QUERY "\xc0\x0c\0\1\0\1"), NULL, NULL },
	{ "nothing", BYTES(""), NULL, NULL },
};

static void test_queries(void **state)
{
	struct dns_query q;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		uint8_t *copy = malloc(queries[i].len + !queries[i].len); /* of just this size */
		int r;

		memcpy(copy, queries[i].data, queries[i].len);
		r = dns_parse_query(copy, queries[i].len, &q);
		free(copy);
		if (r != (queries[i].name ? 0 : -EBADMSG))
			fail_msg("%s: %d", queries[i].what, r);
		if (r < 0)
			continue;
		assert_string_equal(q.name, queries[i].name);
		assert_string_equal(q.type, queries[i].type);
	}
}

/* --- streams */

struct whole {
	size_t n, bytes;
	int32_t tgid;
	char first[8];
};

static void on_whole(const uint8_t *message, size_t len, const struct dns_stream_who *who, void *data2)
{
	struct whole *w = data2;

	w->first[w->n++ % sizeof(w->first)] = (char)message[0];
	w->bytes += len;
	w->tgid = who->tgid;
}

/* Two messages, of 12 and 300 bytes. */
static size_t two_messages(uint8_t *data)
{
	memset(data, 'b', 2 + 12 + 2 + 300);
	memcpy(data,
	       "\0\x0c"
	       "aaaaaaaaaaaa"
	       "\1\x2c",
	       16);
	return 2 + 12 + 2 + 300;
}

static const struct {
	const char *what;
	size_t pieces[8][2]; /* from, length */
	size_t n;	     /* messages */
} cuts[] = {
	{ "whole", { { 0, 316 } }, 2 },
	{ "within a length", { { 0, 1 }, { 1, 14 }, { 15, 1 }, { 16, 300 } }, 2 },
	{ "twice, and over each other", { { 0, 20 }, { 0, 20 }, { 10, 100 }, { 50, 266 } }, 2 },
	{ "before their turn", { { 200, 116 }, { 14, 100 }, { 114, 86 }, { 0, 14 } }, 2 },
	{ "with a hole", { { 0, 14 }, { 15, 301 } }, 1 },
};

static void test_streams(void **state)
{
	static const struct dns_stream_who who = { .tgid = 7 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		_cleanup_(dns_streams_free_p) struct dns_streams *s = dns_streams_new();
		const struct dns_stream_id id = { i, 1 };
		struct whole w = { .n = 0 };
		uint8_t data[400];

		two_messages(data);
		/* Numbers go round. */
		dns_streams_begin(s, &id, UINT32_MAX - 5, &who);
		for (size_t k = 0; k < ARRAY_SIZE(cuts[i].pieces) && cuts[i].pieces[k][1]; k++)
			dns_streams_add(s, &id, UINT32_MAX - 5 + (uint32_t)cuts[i].pieces[k][0],
					data + cuts[i].pieces[k][0], cuts[i].pieces[k][1], on_whole, &w);
		if (w.n != cuts[i].n || w.tgid != 7)
			fail_msg("%s: %zu messages", cuts[i].what, w.n);
		assert_int_equal(w.bytes, w.n == 2 ? 312 : 12);
		assert_int_equal(w.first[0], 'a');
		assert_int_equal(dns_streams_lost(s), 0);
	}
}

/* What has no bound in what is sent has one here, and is counted. */
static void test_stream_bounds(void **state)
{
	_cleanup_(dns_streams_free_p) struct dns_streams *s = dns_streams_new();
	static const struct dns_stream_who who = { .tgid = 7 };
	static uint8_t big[DNS_STREAM_PIECE_MAX + 1];
	struct dns_stream_id id = { 1, 0 };
	struct whole w = { .n = 0 };
	uint8_t data[400];

	(void)state;
	two_messages(data);
	/* Pieces that wait. */
	dns_streams_begin(s, &id, 0, &who);
	for (uint32_t i = 0; i <= DNS_STREAM_PIECES_MAX; i++)
		dns_streams_add(s, &id, 10 + 2 * i, data, 1, on_whole, &w);
	assert_int_equal(dns_streams_lost(s), 1);
	/* No message is that short, no piece that long. */
	dns_streams_add(s, &id, 0, (const uint8_t *)"\0\3abc", 5, on_whole, &w);
	assert_int_equal(dns_streams_lost(s), 2);
	dns_streams_add(s, &id, 0, big, sizeof(big), on_whole, &w);
	assert_int_equal(dns_streams_lost(s), 3);
	assert_int_equal(w.n, 0);
	/* The one used longest ago is forgotten; what comes of it is taken for a beginning, by nobody known. */
	for (id.cookie = 2; id.cookie < 3 + DNS_STREAMS_MAX; id.cookie++) {
		dns_streams_begin(s, &id, 0, &who);
		dns_streams_add(s, &id, 0, data, 1, on_whole, &w);
	}
	id.cookie = 3;
	dns_streams_add(s, &id, 1, data + 1, 13, on_whole, &w);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.tgid, 7);
	id.cookie = 2;
	dns_streams_add(s, &id, 316, data, 316, on_whole, &w);
	assert_int_equal(w.n, 3);
	assert_int_equal(w.tgid, 0);
}

static void remember(struct dns_cache *c, const char *name, uint32_t address, uint32_t ttl, uint64_t now)
{
	struct dns_answer a = { .n = 1, .addresses = { { { [10] = 0xff, [11] = 0xff }, ttl } } };

	memcpy(a.addresses[0].address + 12, &address, 4);
	snprintf(a.name, sizeof(a.name), "%s", name);
	dns_cache_add(c, &a, now);
}

static void test_cache(void **state)
{
	_cleanup_(dns_cache_free_p) struct dns_cache *c = dns_cache_new();
	uint8_t address[SOCKET_ADDRESS] = { [10] = 0xff, [11] = 0xff, [15] = 1 };
	char name[DNS_NAME_MAX];
	uint32_t first = htonl(1);

	(void)state;
	assert_false(dns_cache_get(c, address, 0, name));
	remember(c, "one", first, 1, 1000);
	assert_true(dns_cache_get(c, address, 1000, name));
	assert_string_equal(name, "one");
	remember(c, "two", first, 3600, 2000);
	assert_true(dns_cache_get(c, address, 7000 * NSEC_PER_SEC, name));
	assert_string_equal(name, "two");
	assert_false(dns_cache_get(c, address, 7300 * NSEC_PER_SEC, name));
	assert_int_equal(dns_cache_count(c), 1);
	/* The oldest goes. */
	for (uint32_t i = 2; i < DNS_CACHE_MAX + 2; i++)
		remember(c, "more", htonl(i), 60, 3000);
	assert_int_equal(dns_cache_count(c), DNS_CACHE_MAX);
	assert_false(dns_cache_get(c, address, 3000, name));
}

/* --- on the running kernel */

struct seen {
	struct dns_streams *streams;
	const struct bpf_dns_packet *packet;
	pid_t asks;
	/* Of www.example.org: over UDP, and over TCP. */
	unsigned int queries[2], answers[2];
};

static void on_message(const uint8_t *data, size_t len, const struct dns_stream_who *who, void *data2)
{
	struct seen *s = data2;
	const struct bpf_dns_packet *p = s->packet;
	struct dns_answer a;
	struct dns_query q;

	/* Others may ask too. */
	if (p->query && who->tgid == s->asks && dns_parse_query(data, len, &q) == 0) {
		assert_string_equal(q.name, "www.example.org");
		assert_string_equal(q.type, "A");
		assert_int_equal(p->socket.remote_port, 53);
		assert_true(p->socket.local_port != 53 && who->start_ns && p->mono_ns);
		assert_memory_equal(p->socket.remote + 12, "\x7f\0\0\1", 4);
		s->queries[p->stream]++;
	}
	if (!p->query && dns_parse(data, len, &a) == 0)
		s->answers[p->stream] += streq(a.name, "www.example.org");
}

static void on_packet(const struct bpf_dns_packet *p, void *data)
{
	const struct dns_stream_id id = { .cookie = p->cookie, .query = p->query };
	const struct dns_stream_who who = { .tgid = p->tgid, .tid = p->tid, .start_ns = p->start_ns };
	struct seen *s = data;

	s->packet = p;
	if (!p->stream)
		on_message(p->data, p->len, &who, s);
	else if (p->begins)
		dns_streams_begin(s->streams, &id, p->seq, &who);
	else
		dns_streams_add(s->streams, &id, p->seq, p->data, p->len, on_message, s);
}

/* As constants. */
#define NETWORK16(x) (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (x) : __builtin_bswap16(x))
#define NETWORK32(x) (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? (x) : __builtin_bswap32(x))

static const struct sockaddr_in server_at = { .sin_family = AF_INET,
					      .sin_port = NETWORK16(53),
					      .sin_addr = { NETWORK32(INADDR_LOOPBACK) } };

static int ask(int server, int client)
{
	static const char query[] = QUERY QUESTION, answer[] = HEAD "\0\1\0\0\0\0" QUESTION A_RECORD;
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char got[64];

	if (bind(server, (const struct sockaddr *)&server_at, sizeof(server_at)) ||
	    sendto(client, query, sizeof(query) - 1, 0, (const struct sockaddr *)&server_at, sizeof(server_at)) < 0 ||
	    recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from, &len) != sizeof(query) - 1)
		return 1;
	return sendto(server, answer, sizeof(answer) - 1, 0, (struct sockaddr *)&from, len) == sizeof(answer) - 1 ? 0
														  : 2;
}

/* In pieces that begin and end within lengths and names. */
static int put(int fd, const char *data, size_t len, size_t step)
{
	static const int one = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		return 1;
	for (size_t at = 0; at < len; at += step)
		if (send(fd, data + at, MIN(step, len - at), 0) < 0)
			return 1;
	return 0;
}

static int ask_stream(int listener, int client)
{
	static const char query[] = "\0\x21" QUERY QUESTION, answer[] = "\0\x31" HEAD "\0\1\0\0\0\0" QUESTION A_RECORD;
	char got[2 * sizeof(query)];
	int server;

	if (bind(listener, (const struct sockaddr *)&server_at, sizeof(server_at)) || listen(listener, 1) ||
	    connect(client, (const struct sockaddr *)&server_at, sizeof(server_at)))
		return 3;
	server = accept(listener, NULL, NULL);
	/* Twice, so that one follows upon another. */
	for (int i = 0; i < 2; i++)
		if (put(client, query, sizeof(query) - 1, 9) || put(server, answer, sizeof(answer) - 1, 7))
			return 4;
	return recv(server, got, 2 * (sizeof(query) - 1), MSG_WAITALL) == 2 * (sizeof(query) - 1) ? 0 : 5;
}

/* In a network of its own, where port 53 is free. */
static int ask_both(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int datagram, r;

	if (unshare(CLONE_NEWNET))
		return 77;
	datagram = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(datagram, SIOCSIFFLAGS, &lo))
		return 6;
	r = ask(datagram, socket(AF_INET, SOCK_DGRAM, 0));
	return r ? r : ask_stream(socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_STREAM, 0));
}

/* False: there is no BPF, or no network namespace of our own. A test that is skipped frees nothing by itself. */
static bool read_both(void)
{
	_cleanup_(bpf_dns_close_p) struct bpf_dns_reader *d = NULL;
	_cleanup_(dns_streams_free_p) struct dns_streams *streams = dns_streams_new();
	_cleanup_buf_ struct buf err = BUF_INIT;
	uint64_t deadline = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct seen seen = { .streams = streams };
	int status;

	if (!are_loaded(bpf_dns_open(&d, &err), &err))
		return false;
	seen.asks = fork();
	if (seen.asks == 0)
		_exit(ask_both());
	assert_int_equal(waitpid(seen.asks, &status, 0), seen.asks);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: no network namespace of our own\n");
		return false;
	}
	assert_int_equal(status, 0);
	while (!seen.answers[0] || seen.answers[1] < 2 || (bpf_dns_queries(d) && seen.queries[1] < 2)) {
		struct pollfd p = { .fd = bpf_dns_fd(d), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(bpf_dns_take(d, 100, on_packet, &seen) >= 0);
		assert_true(clock_mono_ns() < deadline);
	}
	assert_int_equal(seen.queries[0], bpf_dns_queries(d));
	assert_int_equal(bpf_dns_lost(d), 0);
	assert_int_equal(dns_streams_lost(streams), 0);
	return true;
}

static void test_kernel(void **state _unused_)
{
	if (!read_both())
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	cmocka_unit_test(test_long_names),    cmocka_unit_test(test_queries),
		cmocka_unit_test(test_streams), cmocka_unit_test(test_stream_bounds), cmocka_unit_test(test_cache),
		cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
