/* watch/dns and watch/bpf_dns: answers well made and not, what is remembered, and those that really come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
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
	struct dns_answer answer;
	int result;
	size_t n;
};

static void on_answer(const uint8_t *data, size_t len, void *data2)
{
	struct seen *s = data2;

	s->result = dns_parse(data, len, &s->answer);
	/* Others may ask too. */
	s->n += s->result == 0 && streq(s->answer.name, "www.example.org");
}

/* In a network of its own, where port 53 is free: a server that answers once. */
static int answer_once(void)
{
	static const char answer[] = HEAD "\0\1\0\0\0\0" QUESTION A_RECORD;
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(53),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	socklen_t len = sizeof(to);
	int server, client;

	if (unshare(CLONE_NEWNET))
		return 77;
	server = socket(AF_INET, SOCK_DGRAM, 0);
	client = socket(AF_INET, SOCK_DGRAM, 0);
	if (ioctl(server, SIOCSIFFLAGS, &lo) || bind(server, (struct sockaddr *)&at, len) ||
	    bind(client, (struct sockaddr *)&to, len) || getsockname(client, (struct sockaddr *)&to, &len))
		return 1;
	return sendto(server, answer, sizeof(answer) - 1, 0, (struct sockaddr *)&to, len) == sizeof(answer) - 1 ? 0 : 2;
}

static void test_kernel(void **state)
{
	_cleanup_(bpf_dns_close_p) struct bpf_dns_reader *d = NULL;
	_cleanup_buf_ struct buf err = BUF_INIT;
	uint64_t deadline = clock_mono_ns() + 60 * NSEC_PER_SEC;
	struct seen seen = { .n = 0 };
	int status;
	pid_t pid;

	(void)state;
	if (bpf_dns_open(&d, &err) < 0) {
		print_message("skipped: %s\n", err.data);
		skip();
	}
	pid = fork();
	if (pid == 0)
		_exit(answer_once());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("skipped: no network namespace of our own\n");
		skip();
	}
	assert_int_equal(status, 0);
	while (!seen.n) {
		struct pollfd p = { .fd = bpf_dns_fd(d), .events = POLLIN };

		poll(&p, 1, 100);
		assert_true(bpf_dns_take(d, 100, on_answer, &seen) >= 0);
		assert_true(clock_mono_ns() < deadline);
	}
	assert_int_equal(bpf_dns_lost(d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
