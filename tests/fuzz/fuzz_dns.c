/*
 * Fuzz target: DNS, the bytes being an answer, a question, and pieces of a stream (number, length, data). Reading ends
 * and stays inside, and names are those for people.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "watch/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

static void on_message(const uint8_t *message, size_t len, const struct dns_stream_who *who, void *data2)
{
	struct dns_answer a;

	(void)who;
	check(len >= 12 && len <= UINT16_MAX);
	(*(size_t *)data2) += len;
	dns_parse(message, len, &a);
}

static void fuzz_stream(const uint8_t *data, size_t size)
{
	struct dns_streams *s = dns_streams_new();
	static const struct dns_stream_id id = { 1, 0 };
	size_t whole = 0, given = 0;

	check(s != NULL);
	for (size_t at = 0; size - at >= 2;) {
		uint32_t seq = data[at];
		size_t len = data[at + 1];

		at += 2;
		len = len < size - at ? len : size - at;
		dns_streams_add(s, &id, seq, data + at, len, on_message, &whole);
		given += len;
		at += len;
	}
	/* No byte counts twice. */
	check(whole <= given);
	dns_streams_free(s);
}

static void fuzz_query(const uint8_t *data, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.\\";
	struct dns_query q;

	if (dns_parse_query(data, size, &q) < 0)
		return;
	check(strlen(q.name) < sizeof(q.name) && strlen(q.type) < sizeof(q.type));
	check(q.name[0] && q.name[strspn(q.name, letters)] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	_cleanup_free_ uint8_t *copy = NULL;
	struct dns_answer a;
	int r;

	if (size > 65536)
		return 0;
	/* A copy of just this size, so that a sanitizer sees the first byte behind it. */
	copy = malloc(size + !size);
	check(copy != NULL);
	memcpy(copy, data, size);
	fuzz_query(copy, size);
	fuzz_stream(copy, size);
	r = dns_parse(copy, size, &a);
	check(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	check(a.n <= DNS_ADDRESSES_MAX && strlen(a.name) < DNS_NAME_MAX);
	check(a.name[strspn(a.name, letters)] == '\0');
	return 0;
}
