/*
 * Fuzz target: lists of programs to trust, and environments. What a list gives is whole: a digest has its size, a path
 * begins at the root; each line is an entry, an error or nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "exec/environment.h"
#include "exec/trust_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t sum; /* so that every byte of a digest is read */

static void parse_list(const char *text, size_t size)
{
	_cleanup_errors_ struct errors errors = ERRORS_INIT;
	_cleanup_arena_ struct arena a = ARENA_INIT;
	_cleanup_buf_ struct buf said = BUF_INIT;
	struct trust_line *lines;
	size_t n = 0;

	if (trust_file_parse(text, size, &a, &errors, &lines, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (!lines[i].digest && (!lines[i].path || lines[i].path[0] != '/'))
			abort();
		for (size_t k = 0; lines[i].digest && k < 32; k++)
			sum ^= lines[i].digest[k];
		if (lines[i].path && strlen(lines[i].path) > size)
			abort();
	}
	errors_write(&errors, "l", &said);
}

static void parse_environment(const char *data, size_t size)
{
	struct environment whole = { .said = BUF_INIT }, bytes = { .said = BUF_INIT };

	environment_add(&whole, data, size);
	environment_end(&whole);
	for (size_t i = 0; i < size; i++)
		environment_add(&bytes, data + i, 1);
	environment_end(&bytes);
	if (whole.said.len != bytes.said.len || whole.cut != bytes.cut ||
	    (whole.said.len && memcmp(whole.said.data, bytes.said.data, whole.said.len) != 0))
		abort();
	buf_free(&whole.said);
	buf_free(&bytes.said);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t digest[32];

	parse_list((const char *)data, size);
	parse_environment((const char *)data, size);
	if (!trust_digest_parse((const char *)data, size, digest) && size < 64)
		abort();
	return 0;
}
