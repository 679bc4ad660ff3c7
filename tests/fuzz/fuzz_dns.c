/* Fuzz target: answers of DNS. Whatever the bytes, reading ends and stays inside, and the name is one for people. */
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
	r = dns_parse(copy, size, &a);
	check(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	check(a.n <= DNS_ADDRESSES_MAX && strlen(a.name) < DNS_NAME_MAX);
	check(a.name[strspn(a.name, letters)] == '\0');
	return 0;
}
