/*
 * Secrets in text that people get to see: private keys, hashes of passwords, what stands behind a word that means
 * secret, tokens of well-known shape, and what is too random to be a word. Better too much than too little is hidden;
 * what nobody can tell from a word (a short password in prose) is not found.
 */
#ifndef FIM_REDACT_H
#define FIM_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/buf.h"

#define REDACTED "[redacted]"

/* Appends the line, escaped for people (text_escape), with REDACTED for each secret. */
void redact_line(struct buf *b, const char *s, size_t len);

/*
 * Whether a line begins, is in, or ends a block of a private key. *inside is kept from line to line, false before the
 * first; a block that does not end reaches to the end of the text.
 */
bool redact_block(const char *s, size_t len, bool *inside);

#endif
