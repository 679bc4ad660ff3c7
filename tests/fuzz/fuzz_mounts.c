/* Fuzz target: mountinfo. Every mount that is parsed has absolute point and all its strings, and every path finds an
 * answer. */
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"
#include "watch/mounts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int good)
{
	if (!good)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = NULL;
	struct mount_table t;
	size_t bad;

	if (size > 65536)
		return 0;
	/* A copy of just this size, so that a sanitizer sees the first byte behind it. */
	text = malloc(size + !size);
	check(text != NULL);
	memcpy(text, data, size);
	check(mounts_parse(text, size, &t, &bad) == 0);
	for (size_t i = 0; i < t.n; i++) {
		const struct mount *m = &t.mounts[i];

		check(m->point[0] == '/' && m->root && m->fstype[0] && m->source && m->options && m->super_options);
		mounts_find(&t, m->point);
		mounts_why_skip(m);
	}
	mounts_find(&t, "/a/b");
	mounts_free(&t);
	return 0;
}
