/*
 * Lists of programs to trust, as text: lines of sha256sum(1) ("HEX  NAME", "\HEX  NAME" with escaped names, HEX alone)
 * and absolute paths or globs, one a line. Empty lines and lines that begin with "#" mean nothing.
 */
#ifndef EXEC_TRUST_FILE_H
#define EXEC_TRUST_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "conf/errors.h"
#include "lib/arena.h"

#define TRUST_FILE_MAX (16 * MIB)

struct trust_line {
	const uint8_t *digest; /* 32 bytes; NULL: a path */
	const char *path;      /* NULL: a digest alone */
};

/*
 * Parses it all; every error goes to errors with line and column. *ret_lines lives in a. 0 with what was good, also
 * when there were errors; -ENOMEM.
 */
int trust_file_parse(const char *text, size_t len, struct arena *a, struct errors *errors,
		     struct trust_line **ret_lines, size_t *ret_n);
/* 64 hex digits, "sha256:" before them or not. NULL, or what is wrong with it. */
const char *trust_digest_parse(const char *s, size_t len, uint8_t ret[32]);

#endif
