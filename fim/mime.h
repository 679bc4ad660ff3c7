/*
 * MIME type of content by libmagic. One context per thread; the magic database is loaded at the first question.
 */
#ifndef FIM_MIME_H
#define FIM_MIME_H

#include <stddef.h>

#include "lib/cleanup.h"

#define MIME_HEAD 4096 /* first bytes of a file that are looked at */

struct mime;

int mime_new(struct mime **ret);
void mime_free(struct mime *m);
/* Type of the first bytes of a file, borrowed until the next call; NULL when there is no answer (no magic database). */
const char *mime_type(struct mime *m, const void *head, size_t len);

DEFINE_CLEANUP(struct mime *, mime_free)

#endif
