/* Fuzz target: first bytes of programs, and command lines, from anybody. */
#include <stdlib.h>
#include <string.h>

#include "exec/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const shells[] = { "/bin/sh", "/usr/bin/python3", "/usr/bin/perl", "bash" };
	struct script_kind k;

	script_sniff(data, size, &k);
	if (k.type >= EXEC_TYPE_COUNT || strlen(k.interpreter) >= SCRIPT_LINE_MAX ||
	    strlen(k.argument) >= SCRIPT_LINE_MAX)
		abort();
	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		const char *s = script_from_argv(shells[i], (const char *)data, size);

		if (s && (s < (const char *)data || !memchr(s, 0, (size_t)((const char *)data + size - s))))
			abort();
	}
	return 0;
}
