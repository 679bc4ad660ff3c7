/* The difference of two small texts, line by line, for people: unified, with secrets hidden (fim/redact.h). */
#ifndef FIM_TEXTDIFF_H
#define FIM_TEXTDIFF_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

#define TEXTDIFF_SIZE_MAX 65536 /* bytes of a text that is compared */
#define TEXTDIFF_OUT_MAX  8192	/* bytes of a difference; the rest is counted */
#define TEXTDIFF_LINE_MAX 512	/* bytes of a line that is shown */

/* Text at all: small enough, and no NUL in it. */
bool textdiff_is_text(const char *s, size_t len);

/*
 * Appends hunks of "@@ -1,3 +1,4 @@" with three lines of context, each line ended by a newline and otherwise printable.
 * Nothing when both are the same. -EFBIG: larger than TEXTDIFF_SIZE_MAX. -ENOMEM.
 */
int textdiff(const char *before, size_t n, const char *after, size_t m, struct buf *b);

#endif
